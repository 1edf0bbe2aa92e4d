"""The open first screen shows things as they are: looked at again, seldom enough for a crowd, and not where nobody sees it."""

from __future__ import annotations

import json
from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from tests.widget_ui.states import NOTICE, ORDER, ORDERS, OUTAGE, STATES, USUAL, comes_to
from tests.widget_ui.stub import Stub, open_stub

HOME: Final = STATES[0]
DOWN: Final = {**ORDERS, "orders": [{**ORDER, "likely": [{**OUTAGE, "outcome": "wait", "actions": [], "amount": None, "until": None}]}]}
BACK: Final = {**ORDERS, "orders": [{**ORDER, "likely": [OUTAGE]}]}
LOOK: Final = "GET /v1/help/orders"
ANSWERS: Final = {**USUAL, LOOK: DOWN}
# Every wait is the shortest of those that are spread.
SOONEST: Final = "Math.random = () => 0;"
PACE_MS: Final = 120_000
CHECK_MS: Final = 2_000


def looks(stub: Stub) -> int:
    return sum("/v1/help/orders" in one.url for one in stub.asked)


async def comes_home(page: Page) -> None:
    """To the first screen, and until it is looked at again by itself: that begins with the stream of the show's notice."""
    async with page.expect_request("**/v1/help/live*"):
        await comes_to(page, HOME)


async def is_told(page: Page, text: str) -> None:
    await expect(page.locator("makegood-help [role=status]")).to_contain_text(text)


async def test_an_outage_that_has_ended_is_over_on_the_open_screen(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, script=SOONEST) as (page, stub):
        await page.clock.install()
        await comes_home(page)
        await expect(page.get_by_role("button", name="The stream has been down since")).to_be_visible()
        other = page.get_by_role("button", name="Something else")
        await other.focus()
        # Nothing has changed: nothing is said.
        async with page.expect_response("**/v1/help/orders*"):
            await page.clock.fast_forward(PACE_MS + CHECK_MS)
        await expect(page.locator("makegood-help [role=status]")).to_have_text("")
        stub.answers[LOOK] = BACK
        await page.clock.fast_forward(PACE_MS + CHECK_MS)
        await expect(page.get_by_role("button", name="The stream was down from")).to_be_visible()
        await expect(page.get_by_text("has been down since")).to_have_count(0)
        await is_told(page, "The stream was down from")
        await expect(other).to_be_focused()
        assert looks(stub) == 3


async def test_news_of_the_show_is_looked_into_soon(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, script=SOONEST) as (page, stub):
        await comes_home(page)
        stub.answers |= {LOOK: BACK, "GET /v1/help/live": f"event: notice\ndata: {json.dumps({**NOTICE, 'over': True})}\n\n"}
        await expect(page.get_by_role("button", name="The stream was down from")).to_be_visible()
        await expect(page.get_by_text("It is over").first).to_be_visible()
        assert looks(stub) == 2


@pytest.mark.parametrize(
    ("gone", "there"),
    [
        ("Object.defineProperty(document, 'hidden', { value: true, configurable: true })", "delete document.hidden"),
        ("Object.defineProperty(navigator, 'onLine', { value: false, configurable: true })", "delete navigator.onLine"),
    ],
)
async def test_what_nobody_can_see_asks_for_nothing(browser: Browser, gone: str, there: str) -> None:
    """And looks at once where somebody does again."""
    async with open_stub(browser, ANSWERS, script=SOONEST) as (page, stub):
        await page.clock.install()
        await comes_home(page)
        await page.evaluate(gone)
        await page.clock.fast_forward(10 * PACE_MS)
        assert looks(stub) == 1
        stub.answers[LOOK] = BACK
        await page.evaluate(there)
        await page.clock.fast_forward(CHECK_MS)
        await expect(page.get_by_role("button", name="The stream was down from")).to_be_visible()
        assert looks(stub) == 2


async def test_who_has_gone_on_or_closed_it_asks_for_nothing(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, script=SOONEST) as (page, stub):
        await page.clock.install()
        await comes_home(page)
        await page.get_by_role("button", name="Something else").click()
        await expect(page.get_by_role("heading", name="What is it about?")).to_be_visible()
        await page.clock.fast_forward(10 * PACE_MS)
        assert looks(stub) == 1
        await page.get_by_role("button", name="Close").click()
        await page.clock.fast_forward(10 * PACE_MS)
        await page.locator(".launcher").click()
        await expect(page.get_by_role("heading", name="How can we help?")).to_be_visible()
        assert looks(stub) == 2


async def test_a_look_that_nobody_answers_leaves_the_screen_as_it_was(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS, script=SOONEST) as (page, stub):
        await page.clock.install()
        await comes_home(page)
        stub.answers[LOOK] = None
        async with page.expect_event("requestfailed", lambda one: "/v1/help/orders" in one.url):
            await page.clock.fast_forward(PACE_MS + CHECK_MS)
        await expect(page.get_by_role("button", name="The stream has been down since")).to_be_visible()
        await expect(page.get_by_text("We cannot be reached just now")).to_have_count(0)
