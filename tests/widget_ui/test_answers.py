"""An answer that moves money: what it would bring is looked at and agreed to first, as everything else that moves money is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, Request, expect

from tests.widget_ui.states import CASE, DONE, OUTAGE, POSTPONED, STATES, TWICE, USUAL, comes_to
from tests.widget_ui.stub import open_stub, problem

ASK: Final = next(one for one in STATES if one.name == "ask")
PREVIEW: Final = f"/v1/cases/{CASE}/preview"
GIVE: Final = f"/v1/cases/{CASE}/answers"
FACT: Final = {"fact": "answer.postponed", "value": "refund"}
BACK: Final = {**TWICE, "problem": "show_postponed", "amount": 2500, "because": "The show was moved, and you want your money back."}
PAID: Final = {**DONE, "operations": [{**DONE["operations"][0], "amount": 2500}]}
ANSWERS: Final[Mapping[str, Any]] = {
    **USUAL,
    **ASK.answers,
    f"GET /v1/cases/{CASE}": POSTPONED,
    f"POST {PREVIEW}": BACK,
    f"POST {GIVE}": PAID,
}


def sent(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.post_data or "{}")
    return found


async def taps(page: Page, name: str) -> None:
    await page.get_by_role("dialog").get_by_role("button", name=name).click()


async def test_the_amount_is_agreed_to_before_the_answer_is_given(browser: Browser) -> None:
    async with open_stub(browser, ANSWERS) as (page, stub):
        await comes_to(page, ASK)
        await taps(page, "Money back")
        await expect(page.get_by_text("It goes to Visa ·· 4242")).to_be_visible()
        assert stub.posts(GIVE) == []
        await taps(page, "Not now")
        await expect(page.get_by_role("heading", name="One question")).to_be_visible()
        await taps(page, "Money back")
        await taps(page, "Send back €25.00")
        await expect(page.get_by_role("heading", name="€25.00 sent back")).to_be_visible()
        (given,) = stub.posts(GIVE)
        assert sent(given) == {**FACT, "offered": {"amount": 2500, "currency": "EUR", "to": "Visa ·· 4242"}}
        assert [sent(one) for one in stub.posts(PREVIEW)] == [FACT, FACT]


# When each tap came, by the browser's own clock.
_TAPS = "addEventListener('click', (event) => (window.taps ??= []).push(event.timeStamp), true)"
_PAUSE_MS = 350


@pytest.mark.parametrize("has_touch", [False, True])
async def test_the_second_tap_of_a_double_one_agrees_to_nothing(browser: Browser, *, has_touch: bool) -> None:
    """The yes has come to stand where the answer was tapped; two taps with a pause between them are two."""
    async with open_stub(browser, ANSWERS, has_touch=has_touch, script=_TAPS) as (page, stub):
        await comes_to(page, ASK)
        x, y = await _below_both(page, "Money back", "Send back €25.00")
        await (page.touchscreen.tap(x, y) if has_touch else page.mouse.click(x, y))
        await expect(page.get_by_role("button", name="Send back €25.00")).to_be_visible()
        if has_touch:
            await page.touchscreen.tap(x, y)
        else:
            await page.mouse.down(click_count=2)
            await page.mouse.up(click_count=2)
        *_, first, second = await page.evaluate("window.taps")
        if has_touch and second - first >= _PAUSE_MS:
            await expect(page.get_by_role("heading", name="€25.00 sent back")).to_be_visible()
            return
        await taps(page, "Not now")
        await expect(page.get_by_role("heading", name="One question")).to_be_visible()
        assert stub.posts(GIVE) == []
        await taps(page, "Money back")
        await taps(page, "Send back €25.00")
        await expect(page.get_by_role("heading", name="€25.00 sent back")).to_be_visible()


async def _below_both(page: Page, one: str, other: str) -> tuple[float, float]:
    """A point on the button of this screen, and on the one of the next."""
    upper = await page.get_by_role("button", name=one).bounding_box()
    await taps(page, one)
    lower = await page.get_by_role("button", name=other).bounding_box()
    await taps(page, "Not now")
    await expect(page.get_by_role("button", name=one)).to_be_visible()
    assert upper is not None
    assert lower is not None
    top, bottom = max(upper["y"], lower["y"]), min(upper["y"] + upper["height"], lower["y"] + lower["height"])
    assert top < bottom, "they stand apart: there is nothing to be nervous of"
    return lower["x"] + lower["width"] / 2, (top + bottom) / 2


@pytest.mark.parametrize("with_likely", [True, False])
async def test_what_has_changed_since_is_agreed_to_again(browser: Browser, *, with_likely: bool) -> None:
    less = {**BACK, "amount": 2000}
    status, moved = problem(409, "offer_moved")
    async with open_stub(browser, {**ANSWERS, f"POST {GIVE}": (status, {**moved, **({"likely": less} if with_likely else {})})}) as (
        page,
        stub,
    ):
        await comes_to(page, ASK)
        await taps(page, "Money back")
        await expect(page.get_by_role("button", name="Send back €25.00")).to_be_visible()
        stub.answers[f"POST {PREVIEW}"] = less
        await taps(page, "Send back €25.00")
        await expect(page.get_by_text("Something has changed").first).to_be_visible()
        stub.answers[f"POST {GIVE}"] = PAID
        await taps(page, "Send back €20.00")
        await expect(page.get_by_role("heading", name="sent back")).to_be_visible()
        assert [sent(one)["offered"]["amount"] for one in stub.posts(GIVE)] == [2500, 2000]


@pytest.mark.parametrize(
    "previewed",
    [
        {**BACK, "actions": [], "amount": None, "currency": None, "to": None},
        {**OUTAGE, "outcome": "escalate"},
        problem(404, "not_found"),
        problem(405, "no"),
    ],
)
async def test_an_answer_that_moves_nothing_is_given_at_once(browser: Browser, previewed: Any) -> None:
    """So is any answer to a service that is older than this widget."""
    async with open_stub(browser, {**ANSWERS, f"POST {PREVIEW}": previewed}) as (page, stub):
        await comes_to(page, ASK)
        await taps(page, "Money back")
        await expect(page.get_by_role("heading", name="sent back")).to_be_visible()
        (given,) = stub.posts(GIVE)
        assert sent(given) == FACT


async def test_who_asks_for_a_person_instead_keeps_their_case(browser: Browser) -> None:
    people = {**POSTPONED, "status": "with_people", "question": None, "version": 9}
    async with open_stub(browser, {**ANSWERS, f"POST /v1/cases/{CASE}/person": people}) as (page, stub):
        await comes_to(page, ASK)
        await taps(page, "Money back")
        await taps(page, "Talk to a person")
        await expect(page.get_by_role("heading", name="Your request is with our team")).to_be_visible()
        assert len(stub.posts("/v1/cases")) == 1
        assert stub.posts(GIVE) == []
