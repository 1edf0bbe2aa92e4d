"""Whose widget it is: a page and a tab outlive a customer, and nothing of one is shown to the next, asked for or sent as them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, Request, Route, expect

from tests.widget_ui.states import ORDER, ORDERS, STATES, USUAL, comes_to
from tests.widget_ui.stub import Stub, open_stub, problem

CONFIRM: Final = next(one for one in STATES if one.name == "confirm")
SEND: Final = "Send back €6.94"
MINE: Final = "my neighbour has my ticket"


def jwt(subject: str, serial: int = 0) -> str:
    """As a platform signs one: each is another text, and the subject says whose it is."""
    parts = ({"alg": "HS256"}, {"sub": subject, "jti": serial, "name": "Zoë ÿ?"}, serial)
    return ".".join(base64.urlsafe_b64encode(json.dumps(one, ensure_ascii=False).encode()).decode().rstrip("=") for one in parts)


A, B = jwt("customer-a"), jwt("customer-b")


def orders(request: Request) -> Any:
    """A has what everybody has here; B has one order, by another name."""
    if request.headers["authorization"] == f"Bearer {B}":
        return {"orders": [{**ORDER, "order": "OF-B"}], "cases": []}
    return ORDERS


ANSWERS: Final = {**USUAL, "GET /v1/help/orders": orders}


async def says(page: Page, script: str) -> None:
    """What the host page does with the element."""
    await page.evaluate(
        f"customElements.whenDefined('makegood-help').then(() => {{ const help = document.querySelector('makegood-help'); {script} }})"
    )


async def signs_in(page: Page, token: str | None) -> None:
    await says(page, f"help.getToken = async () => {json.dumps(token)};")


async def is_b(page: Page) -> None:
    await expect(page.get_by_text("Order OF-B")).to_be_visible()
    await expect(page.get_by_text("Order M0VLU")).to_have_count(0)


def shown_by(stub: Stub) -> set[str]:
    return {one.headers["authorization"].removeprefix("Bearer ") for one in stub.asked if "authorization" in one.headers}


async def stored(page: Page) -> str:
    found: str = await page.evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }])")
    return found


async def test_the_next_customer_at_the_same_page_is_not_the_one_before(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, stub):
        await signs_in(page, A)
        await comes_to(page, STATES[0])
        await expect(page.get_by_text("Order M0VLU")).to_be_visible()
        await page.keyboard.press("Escape")
        await signs_in(page, B)
        stub.asked.clear()
        await page.locator(".launcher").click()
        await is_b(page)
        assert shown_by(stub) == {B}


async def test_after_signing_out_nothing_of_the_customer_is_there(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, stub):
        await signs_in(page, A)
        await comes_to(page, STATES[0])
        await page.keyboard.press("Escape")
        await signs_in(page, None)
        stub.asked.clear()
        await page.locator(".launcher").click()
        await expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
        assert shown_by(stub) == set()


async def test_a_yes_of_the_next_customer_is_not_sent_as_the_one_before(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, stub):
        await signs_in(page, A)
        await comes_to(page, CONFIRM)
        await signs_in(page, B)
        await page.get_by_role("button", name=SEND).click()
        await is_b(page)
        assert stub.posts("/v1/cases") == []


async def test_a_token_that_was_only_signed_anew_changes_nothing(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, stub):
        await signs_in(page, A)
        await comes_to(page, CONFIRM)
        fresh = jwt("customer-a", 1)
        await signs_in(page, fresh)
        await page.get_by_role("button", name=SEND).click()
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_visible()
        (sent,) = stub.posts("/v1/cases")
        assert sent.headers["authorization"] == f"Bearer {fresh}"


async def test_a_token_that_has_run_out_makes_way_for_nobody_elses(browser: Browser) -> None:
    """What was wanted as A is not asked for as B: it begins anew."""
    refused = {
        **ANSWERS,
        "POST /v1/help/follow": problem(401, "not_authenticated"),
        "GET /v1/help": {**USUAL["GET /v1/help"], "notice": None},
    }
    async with open_stub(browser, refused, signed_in=False) as (page, stub):
        await says(page, f"const all = {json.dumps([A, A])}; help.getToken = async () => all.shift() ?? {json.dumps(B)};")
        await comes_to(page, CONFIRM)
        stub.answers["POST /v1/cases"] = problem(401, "not_authenticated")
        await page.get_by_role("button", name=SEND).click()
        await is_b(page)
        assert [one.headers["authorization"] for one in stub.posts("/v1/cases")] == [f"Bearer {A}"]


@pytest.mark.parametrize("how", [f"help.setAttribute('token', '{B}')", f"help.getToken = async () => '{B}'; help.refresh()"])
async def test_an_open_widget_hears_of_the_next_customer(browser: Browser, how: str) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, _):
        await says(page, f"help.setAttribute('token', '{A}');")
        await comes_to(page, CONFIRM)
        await says(page, how)
        await is_b(page)


async def test_a_host_signs_its_customer_out_of_an_open_widget(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, stub):
        await says(page, f"help.setAttribute('token', '{A}');")
        await comes_to(page, next(one for one in STATES if one.name == "tell"))
        assert "no sound" in await stored(page)
        stub.asked.clear()
        await says(page, "help.signOut();")
        await expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
        assert "no sound" not in await stored(page)
        assert shown_by(stub) == set()


async def test_an_answer_that_comes_late_is_not_the_next_customers(browser: Browser) -> None:
    is_there = asyncio.Event()

    async def late(route: Route) -> None:
        if route.request.headers["authorization"] == f"Bearer {A}":
            await is_there.wait()
        await route.fallback()

    async with open_stub(browser, ANSWERS, signed_in=False) as (page, _):
        await page.route("**/v1/help/orders*", late)
        await signs_in(page, A)
        async with page.expect_request("**/v1/help/orders*"):
            await page.locator(".launcher").click()
        await page.keyboard.press("Escape")
        await signs_in(page, B)
        await page.locator(".launcher").click()
        await is_b(page)
        async with page.expect_response(lambda one: one.request.headers.get("authorization") == f"Bearer {A}"):
            is_there.set()
        await is_b(page)


async def test_while_the_host_cannot_say_who_is_there_nothing_is_sent(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, stub):
        await signs_in(page, A)
        await comes_to(page, CONFIRM)
        await says(page, "window.asked = 0; help.getToken = async () => { window.asked += 1; throw new Error('no network'); };")
        await page.get_by_role("button", name=SEND).click()
        # Not by Playwright's own waiting: it makes code of a text, which the page's policy forbids.
        while await page.evaluate("window.asked") < 2:
            await page.wait_for_timeout(20)
        assert stub.posts("/v1/cases") == []
        await signs_in(page, A)
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_visible()
        assert len(stub.posts("/v1/cases")) == 1


async def test_what_one_customer_had_said_yes_to_is_not_sent_as_the_next(browser: Browser) -> None:
    async with open_stub(browser, {**ANSWERS, "POST /v1/cases": None}, signed_in=False) as (page, stub):
        stub.attributes += f' data-token="{A}"'
        await page.reload()
        await comes_to(page, CONFIRM)
        async with page.expect_request("**/v1/cases"):
            await page.get_by_role("button", name=SEND).click()
        stub.attributes = stub.attributes.replace(A, B)
        stub.asked.clear()
        await page.reload()
        await is_b(page)
        assert [one for one in stub.posts("/v1/cases") if one.headers["authorization"] == f"Bearer {B}"] == []
        kept = await stored(page)
        assert "pending" not in kept
        assert "amount" not in kept


@pytest.mark.parametrize("following", [B, None])
async def test_half_written_words_are_of_whoever_wrote_them(browser: Browser, following: str | None) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, stub):
        guest = stub.attributes
        stub.attributes = f'{guest} data-token="{A}"'
        await page.reload()
        await page.locator(".launcher").click()
        await page.get_by_role("button", name="Talk to a person").click()
        await page.get_by_label("In your words").fill(MINE)
        await page.reload()
        await page.get_by_role("button", name="Talk to a person").click()
        await expect(page.get_by_label("In your words")).to_have_value(MINE)
        stub.attributes = guest if following is None else f'{guest} data-token="{following}"'
        await page.reload()
        await page.get_by_role("button", name="Talk to a person").click()
        await expect(page.get_by_label("In your words")).to_have_value("")
        kept = await stored(page)
        assert MINE not in kept
        assert "customer-" not in kept


async def test_a_guest_leaves_no_words_in_the_tab(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, signed_in=False) as (page, _):
        await page.locator(".launcher").click()
        await page.get_by_role("button", name="Talk to a person").click()
        await page.get_by_label("In your words").fill(MINE)
        await page.get_by_role("button", name="Back").click()
        await page.get_by_role("button", name="Talk to a person").click()
        await expect(page.get_by_label("In your words")).to_have_value(MINE)
        assert MINE not in await stored(page)


@pytest.mark.parametrize("possible", [True, False])
async def test_mail_about_a_notice_is_offered_where_an_address_is_known(browser: Browser, *, possible: bool) -> None:
    state = next(one for one in STATES if one.name == "home-notice")
    told = {**USUAL, **state.answers, "GET /v1/help/follow": {"following": False, "possible": possible}}
    async with open_stub(browser, told) as (page, _):
        async with page.expect_response(re.compile("/v1/help/follow")) as answer:
            await comes_to(page, state)
        await (await answer.value).finished()
        await page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        await expect(page.get_by_role("button", name="E-mail me when this changes")).to_have_count(int(possible))
