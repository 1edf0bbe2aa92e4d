"""A code that is on its way: on a phone one closes the widget to read the mail, and finds it where it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from playwright.async_api import Browser, Page, expect

from tests.widget_ui.states import CASE, STATES, USUAL, WHO_ASKED, comes_to
from tests.widget_ui.stub import Stub, open_stub

CODE: Final = next(one for one in STATES if one.name == "code")
ASKED: Final = next(one for one in STATES if one.name == "who-asked")
MIRA: Final = "mira@example.org"


async def closes(page: Page) -> None:
    """As on a phone, where it is all there is."""
    await page.get_by_role("button", name="Close").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def reopens(page: Page, heading: str) -> None:
    await closes(page)
    await page.locator(".launcher").click()
    await expect(page.get_by_role("dialog").get_by_role("heading", name=heading)).to_be_visible()


async def names(page: Page, token: str | None) -> None:
    await page.evaluate(f"document.querySelector('makegood-help').getToken = async () => {json.dumps(token)}")


def codes(stub: Stub) -> int:
    return len(stub.posts("/v1/sessions/codes"))


async def test_who_reads_the_mail_meanwhile_comes_back_to_the_same_code(browser: Browser) -> None:
    async with open_stub(browser, USUAL, signed_in=False) as (page, stub):
        await comes_to(page, CODE)
        await page.get_by_label("Six digits").fill("042")
        await reopens(page, "Enter the code")
        await expect(page.get_by_text(MIRA).first).to_be_visible()
        await expect(page.get_by_label("Six digits")).to_be_focused()
        await expect(page.get_by_label("Six digits")).to_have_value("")
        assert MIRA not in await page.evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }])")
        await page.get_by_label("Six digits").fill("042917")
        await page.get_by_role("button", name="Confirm the code").click()
        await expect(page.get_by_role("heading", name="How can we help?")).to_be_visible()
        await reopens(page, "How can we help?")
        assert codes(stub) == 1


async def test_so_does_who_was_asked_for_it_within_their_case(browser: Browser) -> None:
    answers = {**USUAL, **ASKED.answers, f"GET /v1/cases/{CASE}": WHO_ASKED}
    async with open_stub(browser, answers, signed_in=False) as (page, stub):
        await comes_to(page, ASKED)
        await page.get_by_label("E-mail address").fill(MIRA)
        await page.get_by_role("button", name="Send me a code").click()
        await expect(page.get_by_role("heading", name="Enter the code")).to_be_visible()
        await reopens(page, "Enter the code")
        await expect(page.get_by_text(MIRA).first).to_be_visible()
        assert codes(stub) == 1
        # Another address is written where the first was: in the case, which stays theirs.
        prompt = str(WHO_ASKED["question"]["prompt"])
        for _ in range(2):
            await page.get_by_role("button", name="Back").click()
            await expect(page.get_by_text(prompt)).to_be_visible()
            await expect(page.get_by_label("E-mail address")).to_have_value(MIRA)
            await page.get_by_role("button", name="Send me a code").click()
            await expect(page.get_by_role("heading", name="Enter the code")).to_be_visible()
        assert codes(stub) == 3


async def test_a_code_that_is_good_no_more_is_waited_for_no_more(browser: Browser) -> None:
    async with open_stub(browser, USUAL, signed_in=False) as (page, _):
        sent_at = datetime.now(UTC)
        await page.clock.set_fixed_time(sent_at)
        await comes_to(page, CODE)
        await page.clock.set_fixed_time(sent_at + timedelta(minutes=10, milliseconds=-1))
        await reopens(page, "Enter the code")
        await page.clock.set_fixed_time(sent_at + timedelta(minutes=10))
        await reopens(page, "Who are you?")


async def test_who_has_gone_back_to_another_address_finds_the_address(browser: Browser) -> None:
    async with open_stub(browser, USUAL, signed_in=False) as (page, _):
        await comes_to(page, CODE)
        await reopens(page, "Enter the code")
        await page.get_by_role("button", name="Back").click()
        await expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
        await reopens(page, "Who are you?")
        await expect(page.get_by_label("E-mail address")).to_have_value(MIRA)


async def test_who_has_signed_in_meanwhile_is_asked_for_no_guests_code(browser: Browser) -> None:
    """Nor is whoever comes after them."""
    async with open_stub(browser, USUAL, signed_in=False) as (page, _):
        await comes_to(page, CODE)
        await names(page, "jwt")
        await reopens(page, "How can we help?")
        await names(page, None)
        await reopens(page, "Who are you?")
        await expect(page.get_by_label("E-mail address")).to_have_value("")
