"""What whoever builds the host page is told in the console: once, of their mistake, and nothing of a customer's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from tests.widget_ui.states import STATES, USUAL, comes_to
from tests.widget_ui.stub import AT, Stub, open_stub, problem

MINE: Final = "not a token, but a name: Mira"
REFUSED: Final = "makegood: the token was refused: see docs/integrate.md, section 3"
UNREACHED: Final = f"makegood: cannot be reached from {AT}: is northern the platform's name, and {AT} among its `origins`?"
REJECTED: Final = "makegood: getToken threw or rejected: it gives a token, or null for a guest"


def gives(answer: str) -> str:
    return (
        f"customElements.whenDefined('makegood-help').then(() => {{ document.querySelector('makegood-help').getToken = () => {answer}; }});"
    )


def heard_at(page: Page) -> Sequence[str]:
    heard: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"warning", "error"} and not message.text.startswith("Failed to load resource"):
            heard.append(message.text)

    page.on("console", hear)
    return heard


async def opens_twice(page: Page, heading: str) -> None:
    for _ in range(2):
        await page.locator(".launcher").click()
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
        await page.keyboard.press("Escape")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (f"({{ token: '{MINE}' }})", "makegood: getToken returned an object, not the token itself"),
        ("Promise.resolve(17)", "makegood: getToken returned a number, not the token itself"),
        (f"Promise.reject(new Error('{MINE}'))", REJECTED),
        (f"{{ throw new Error('{MINE}'); }}", REJECTED),
    ],
)
async def test_what_is_no_token_is_named_once_and_its_customer_is_a_guest(browser: Browser, answer: str, said: str) -> None:
    async with open_stub(browser, USUAL, signed_in=False, script=gives(answer)) as (page, stub):
        heard = heard_at(page)
        async with page.expect_console_message(lambda one: one.text == said):
            await opens_twice(page, "Who are you?")
        assert heard == [said]
        assert all("authorization" not in one.headers for one in stub.asked)


@pytest.mark.parametrize("answer", ["null", "undefined", "Promise.resolve('')"])
async def test_a_host_that_names_nobody_has_made_no_mistake(browser: Browser, answer: str) -> None:
    async with open_stub(browser, USUAL, signed_in=False, script=gives(answer)) as (page, _):
        heard = heard_at(page)
        await opens_twice(page, "Who are you?")
        assert heard == []


async def test_a_refused_token_is_told_of_and_who_has_only_come_is_a_guest_like_any_other(browser: Browser) -> None:
    """Nothing was typed yet, and nothing has gone wrong for them."""
    async with open_stub(browser, {**USUAL, "GET /v1/help/orders": problem(401, "not_authenticated")}) as (page, _):
        heard = heard_at(page)
        async with page.expect_console_message(lambda one: one.text == REFUSED):
            await opens_twice(page, "Who are you?")
        await page.locator(".launcher").click()
        await expect(page.get_by_text("We send a code").first).to_be_visible()
        await expect(page.get_by_text("Please show again")).to_have_count(0)
        assert heard == [REFUSED]


async def test_a_guest_whose_session_has_run_out_is_no_mistake_of_the_page(browser: Browser) -> None:
    async with open_stub(browser, USUAL, signed_in=False) as (page, stub):
        heard = heard_at(page)
        await comes_to(page, next(one for one in STATES if one.name == "code"))
        await page.get_by_label("Six digits").fill("042917")
        stub.answers["GET /v1/help/orders"] = problem(401, "not_authenticated")
        await page.get_by_role("button", name="Confirm the code").click()
        await expect(page.get_by_text("Please show again who you are.").first).to_be_visible()
        assert heard == []


async def test_a_page_that_may_not_ask_is_told_which_two_names_to_look_at(browser: Browser) -> None:
    """Before anybody opens it, and once."""
    async with open_stub(browser, USUAL) as (page, stub):
        # The page that is there may still be asking, and would hear of it as well.
        await page.goto("about:blank")
        stub.answers["GET /v1/help"] = None
        heard = heard_at(page)
        async with page.expect_console_message(lambda one: one.text == UNREACHED):
            await page.goto("/")
        await page.locator(".launcher").click()
        await expect(page.get_by_text("We cannot be reached just now")).to_be_visible()
        assert heard == [UNREACHED]


async def test_a_service_that_goes_away_later_is_no_mistake_of_the_page(browser: Browser) -> None:
    async with open_stub(browser, USUAL) as (page, stub):
        heard = heard_at(page)
        await expect(page.locator(".launcher")).to_be_visible()
        stub.answers["GET /v1/help/orders"] = None
        await page.locator(".launcher").click()
        await expect(page.get_by_text("We cannot be reached just now")).to_be_visible()
        assert heard == []


def without_platform(stub: Stub) -> None:
    stub.attributes = re.sub(r'data-platform="\w+"', "", stub.attributes)


async def test_a_script_that_can_make_no_launcher_says_so(browser: Browser) -> None:
    async with open_stub(browser, USUAL) as (page, stub):
        without_platform(stub)
        async with page.expect_console_message(lambda one: one.text == "makegood: no data-platform and no <makegood-help>") as heard:
            await page.reload()
        assert (await heard.value).type == "warning"
        assert await page.locator(".launcher").count() == 0


async def test_an_element_of_the_page_needs_no_platform_on_its_script(browser: Browser) -> None:
    async with open_stub(browser, USUAL) as (page, stub):
        without_platform(stub)
        # Nobody is hurried: the script waits seconds for the element.
        now = datetime.now(UTC)
        await page.clock.install(time=now)
        await page.clock.pause_at(now + timedelta(hours=1))
        heard = heard_at(page)
        await page.reload()
        made = "const one = document.createElement('makegood-help'); one.setAttribute('platform', 'northern'); document.body.append(one);"
        await page.evaluate(made)
        await expect(page.locator(".launcher")).to_be_visible()
        await page.clock.fast_forward(10_000)
        assert heard == []
