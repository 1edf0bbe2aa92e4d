"""What stands on the screen is true and whole: where money goes, on which day, whom one can reach, and how sentences are joined."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from tests.widget_ui.states import CASE, DONE, HELP, SENT, STATES, USUAL, WAITING, WHERE, comes_to, writes
from tests.widget_ui.stub import Json, open_stub, problem

PAYOUT: Final = f"/v1/cases/{CASE}/payout"
WHERE_TO: Final = next(one for one in STATES if one.name == "where")
ACCOUNT: Final = "E-mail address of that account"
CHOSEN: Final[Json] = {**SENT, "amount": 4500, "to": "your sandbox account", "chosen": True}


async def taps(page: Page, name: str) -> None:
    await page.get_by_role("dialog").get_by_role("button", name=name).click()


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "It goes to Visa ·· 4242. Banks take 5 to 10 days to show it."),
        ("de", "Es geht an Visa ·· 4242. Banken brauchen 5 bis 10 Tage, bis es zu sehen ist."),
        ("fr", "Cela part vers Visa ·· 4242. Les banques mettent 5 à 10 jours à l’afficher."),  # noqa: RUF001 - a French apostrophe
        ("es", "Va a Visa ·· 4242. Los bancos tardan de 5 a 10 días en mostrarlo."),
        ("ja", "Visa ·· 4242にお戻しします。表示されるまで5～10日かかります。"),  # noqa: RUF001 - Japanese writes ranges so
        ("ar", "يُرسل إلى Visa ·· 4242. تحتاج البنوك من 5 إلى 10 أيام لإظهاره."),
    ],
)
async def test_two_sentences_are_joined_as_the_reader_s_language_does(browser: Browser, language: str, said: str) -> None:
    async with open_stub(browser, USUAL, lang=language) as (page, _):
        await page.locator(".launcher").click()
        await page.get_by_role("dialog").locator(".row").first.click()
        await page.get_by_role("dialog").locator(".primary").click()
        await expect(page.get_by_role("dialog").get_by_text(said, exact=True)).to_be_visible()


async def test_the_address_of_an_account_is_asked_for_with_the_way_that_needs_it(browser: Browser) -> None:
    """Nothing is sent to find out; and what was typed for one way does not go with another."""
    paid = {**DONE, "operations": [CHOSEN]}
    async with open_stub(browser, {**USUAL, **WHERE_TO.answers, f"POST {PAYOUT}": paid}) as (page, stub):
        await comes_to(page, WHERE_TO)
        await taps(page, "Your sandbox account")
        await expect(page.get_by_role("heading", name="Your sandbox account", exact=True)).to_be_visible()
        await writes(page, ACCOUNT, "mira@example")
        await taps(page, "Send €45.00 there")
        await expect(page.get_by_label(ACCOUNT)).to_be_focused()
        assert stub.posts(PAYOUT) == []
        await writes(page, ACCOUNT, "mira@example.org")
        await taps(page, "Not now")
        await taps(page, "Your bank account, by our team")
        await expect(page.get_by_role("heading", name="Your bank account, by our team")).to_be_visible()
        await expect(page.get_by_label(ACCOUNT)).to_have_count(0)
        await taps(page, "Send €45.00 there")
        await expect(page.get_by_role("heading", name="€45.00 sent back")).to_be_visible()
        (asked,) = stub.posts(PAYOUT)
        assert json.loads(asked.post_data or "{}") == {"operation": SENT["id"], "to": "manual"}


async def test_the_address_goes_with_the_money(browser: Browser) -> None:
    """Also when a second proof is asked for in between."""
    async with open_stub(browser, {**USUAL, **WHERE_TO.answers, f"POST {PAYOUT}": problem(403, "not_strong")}) as (page, stub):
        await comes_to(page, WHERE_TO)
        await taps(page, "your PayPal account")
        await writes(page, ACCOUNT, "mira@example.org")
        await taps(page, "Send €45.00 there")
        await expect(page.get_by_role("button", name="Try again")).to_be_visible()
        stub.answers[f"POST {PAYOUT}"] = {**DONE, "operations": [{**CHOSEN, "to": "your PayPal account"}]}
        await taps(page, "Try again")
        await expect(page.get_by_role("heading", name="€45.00 sent back")).to_be_visible()
        bodies = [json.loads(one.post_data or "{}") for one in stub.posts(PAYOUT)]
        assert bodies == [{"operation": SENT["id"], "to": "paypal", "address": "mira@example.org"}] * 2


async def test_of_money_that_went_elsewhere_no_bank_s_days_are_told(browser: Browser) -> None:
    async with open_stub(browser, {**USUAL, "POST /v1/cases": (201, {**DONE, "operations": [CHOSEN]})}) as (page, _):
        await comes_to(page, next(one for one in STATES if one.name == "confirm"))
        await taps(page, "Send back €6.94")
        await expect(page.get_by_text("It goes to your sandbox account.", exact=True)).to_be_visible()
        await expect(page.get_by_text("Banks take")).to_have_count(0)


async def test_a_choice_does_not_name_the_card_that_the_money_cannot_go_to(browser: Browser) -> None:
    closed = {**WHERE, "operations": [{**WHERE["operations"][0], "to": "Visa ·· 4242"}]}
    async with open_stub(browser, {**USUAL, "POST /v1/cases": (201, closed)}) as (page, _):
        await comes_to(page, WHERE_TO)
        await expect(page.get_by_text("You choose where it goes")).to_be_visible()
        await expect(page.get_by_text("Visa ·· 4242")).to_have_count(0)


@pytest.mark.parametrize(("until", "said"), [("2026-11-23T06:00:00Z", "by Mon 23 Nov 7:00 at"), ("2026-11-22T22:30:00Z", "by 23:30 at")])
async def test_a_time_that_is_not_today_has_its_day(browser: Browser, until: str, said: str) -> None:
    case = {**WAITING, "wait": {"waiting_for": "incident_end", "until": until}}
    async with open_stub(browser, {**USUAL, "POST /v1/cases": (201, case)}) as (page, _):
        await page.clock.set_fixed_time(datetime(2026, 11, 22, 20, 0, tzinfo=UTC))
        await comes_to(page, next(one for one in STATES if one.name == "wait"))
        shown = await page.get_by_text("We look again").inner_text()
        assert said in shown.replace(",", "")


async def test_a_guest_who_was_offered_nothing_is_not_offered_something_else(browser: Browser) -> None:
    async with open_stub(browser, USUAL, signed_in=False) as (page, _):
        await comes_to(page, next(one for one in STATES if one.name == "who"))
        await expect(page.get_by_text("Something else")).to_have_count(0)
        await taps(page, "What is it about?")
        await expect(page.get_by_role("heading", name="What is it about?")).to_be_visible()


async def test_whom_nobody_can_reach_is_not_named(browser: Browser) -> None:
    """A platform has said nothing of it, or no more than a word: there is nothing to tap, and nothing is said."""
    nobody = {"support": "support", "email": None, "phone": None, "url": None}
    async with open_stub(browser, {**USUAL, "GET /v1/help": {**HELP, "contacts": nobody}}) as (page, stub):
        await comes_to(page, next(one for one in STATES if one.name == "confirm"))
        stub.answers["POST /v1/cases"] = None
        await taps(page, "Send back €6.94")
        away = page.get_by_role("region", name="We cannot be reached just now")
        await expect(away).to_be_visible()
        assert (await away.inner_text()).splitlines()[-1].startswith("We keep trying.")
        await expect(away.get_by_role("link")).to_have_count(0)
