"""What happens to phones in venues: no network, a page loaded anew, two tabs, a sign-in that ran out, a nervous finger, our own failure."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, Request, expect

from tests.widget_ui.states import CASE, DONE, EVENTS, HELP, OPEN, OUTAGE, PEOPLE, STATES, TAKEN, USUAL, comes_to, writes
from tests.widget_ui.stub import case_events, open_stub, problem

CONFIRM = next(one for one in STATES if one.name == "confirm")
WHO = next(one for one in STATES if one.name == "who")
CODE = next(one for one in STATES if one.name == "code")
SEND = "Send back €6.94"


def sent(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.post_data or "{}")
    return found


def keys(requests: list[Request]) -> set[str]:
    return {one.headers["idempotency-key"] for one in requests}


async def stored(page: Page) -> str:
    found: str = await page.evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie])")
    return found


async def test_a_double_tap_does_one_thing(browser: Browser) -> None:
    async with open_stub(browser, USUAL) as (page, stub):
        await comes_to(page, CONFIRM)
        await page.get_by_role("button", name=SEND).dblclick()
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_visible()
        (asked,) = stub.posts("/v1/cases")
        assert sent(asked)["offered"] == {"amount": 694, "currency": "EUR", "to": "Visa ·· 4242"}


async def test_what_was_on_its_way_when_the_page_was_loaded_anew_is_done_once(browser: Browser) -> None:
    """The answer is lost with the page; the same request goes out again under the same key, and nobody taps again."""
    async with open_stub(browser, {**USUAL, "POST /v1/cases": None}) as (page, stub):
        await comes_to(page, CONFIRM)
        await page.get_by_role("button", name=SEND).click()
        while not stub.posts("/v1/cases"):
            await page.wait_for_timeout(20)
        stub.answers["POST /v1/cases"] = (200, DONE)
        await page.reload()
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_visible()
        asked = stub.posts("/v1/cases")
        assert len(asked) >= 2
        assert len(keys(asked)) == 1
        assert len({one.post_data for one in asked}) == 1


async def test_a_case_under_way_is_shown_again_after_a_reload(browser: Browser) -> None:
    answers = {**USUAL, "POST /v1/cases": (202, OPEN), f"GET /v1/cases/{CASE}": OPEN}
    async with open_stub(browser, answers) as (page, stub):
        await comes_to(page, CONFIRM)
        await page.get_by_role("button", name=SEND).click()
        await expect(page.get_by_role("heading", name="We are on it")).to_be_visible()
        stub.answers[EVENTS] = case_events(DONE)
        await page.reload()
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_visible()
        assert await page.evaluate("window.heard") == ["open", "resolved"]
        assert len(stub.posts("/v1/cases")) == 1


async def test_without_network_it_keeps_trying_and_does_it_once(browser: Browser) -> None:
    async with open_stub(browser, USUAL) as (page, stub):
        await comes_to(page, CONFIRM)
        stub.answers["POST /v1/cases"] = None
        await page.get_by_role("button", name=SEND).click()
        await expect(page.get_by_text("We cannot be reached just now")).to_be_visible()
        await expect(page.get_by_role("link", name="help@northern.example")).to_be_visible()
        stub.answers["POST /v1/cases"] = (201, DONE)
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_visible()
        await expect(page.get_by_text("We cannot be reached just now")).to_have_count(0)
        assert len(keys(stub.posts("/v1/cases"))) == 1


async def test_where_nobody_answers_in_five_seconds_the_other_contacts_show(browser: Browser) -> None:
    """From what was known at the last visit: the service has told nothing since."""
    async with open_stub(browser, USUAL) as (page, stub):
        await comes_to(page, STATES[0])
        await page.keyboard.press("Escape")
        stub.answers |= dict.fromkeys(("GET /v1/help", "GET /v1/help/orders"), None)
        await page.reload()
        await page.locator(".launcher").click()
        for contact in ("help@northern.example", "+49 30 1234567", "northern.example/help"):
            await expect(page.get_by_role("dialog").get_by_role("link", name=contact)).to_be_visible()
        stub.answers |= USUAL
        await page.evaluate("dispatchEvent(new Event('online'))")
        await expect(page.get_by_role("heading", name="How can we help?")).to_be_visible()
        await expect(page.get_by_role("link", name="+49 30 1234567")).to_have_count(0)


async def test_where_streams_are_cut_the_case_is_asked_for(browser: Browser) -> None:
    answers = {**USUAL, "POST /v1/cases": (202, OPEN), EVENTS: None, f"GET /v1/cases/{CASE}": DONE}
    async with open_stub(browser, answers) as (page, _):
        await comes_to(page, CONFIRM)
        await page.get_by_role("button", name=SEND).click()
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_visible()


async def test_a_token_that_ran_out_is_asked_for_anew_once(browser: Browser) -> None:
    def orders(request: Request) -> Any:
        return USUAL["GET /v1/help/orders"] if request.headers["authorization"] == "Bearer second" else problem(401, "not_authenticated")

    give = """customElements.whenDefined('makegood-help').then(() => {
      const tokens = ['first', 'second'];
      document.querySelector('makegood-help').getToken = async () => tokens.shift() ?? null;
    });"""
    async with open_stub(browser, {**USUAL, "GET /v1/help/orders": orders}, signed_in=False, script=give) as (page, stub):
        await comes_to(page, STATES[0])
        tokens = [one.headers["authorization"] for one in stub.asked if "/v1/help/orders" in one.url]
        assert tokens == ["Bearer first", "Bearer second"]
        assert "second" not in await stored(page)


async def test_where_the_host_has_no_new_token_what_was_typed_is_kept(browser: Browser) -> None:
    answers = {**USUAL, "POST /v1/cases": (201, PEOPLE), f"GET /v1/cases/{CASE}": PEOPLE}
    async with open_stub(browser, answers) as (page, stub):
        await comes_to(page, CONFIRM)
        await page.get_by_role("button", name=SEND).click()
        await writes(page, "Your message", "It has a hole at the back.")
        stub.answers[f"POST /v1/cases/{CASE}/messages"] = problem(401, "not_authenticated")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
        await expect(page.get_by_text("What you typed is kept").first).to_be_visible()
        await writes(page, "E-mail address", "mira@example.org")
        await page.get_by_role("button", name="Send me a code").click()
        await writes(page, "Six digits", "٠٤٢٩١٧")
        stub.answers[f"POST /v1/cases/{CASE}/messages"] = (201, TAKEN)
        await page.get_by_role("button", name="Confirm the code").click()
        await expect(page.get_by_label("Your message")).to_have_value("It has a hole at the back.")
        (proof,) = stub.posts("/v1/sessions/verify")
        assert sent(proof) == {"code": "042917"}
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("heading", name="Mira has your request")).to_be_visible()
        await expect(page.get_by_label("Your message")).to_have_value("")


async def test_a_mistake_keeps_what_was_typed_and_says_what_is_wrong(browser: Browser) -> None:
    async with open_stub(browser, USUAL, signed_in=False) as (page, stub):
        await comes_to(page, WHO)
        await writes(page, "E-mail address", "mira@example")
        await page.get_by_role("button", name="Send me a code").click()
        email = page.get_by_label("E-mail address")
        await expect(email).to_be_focused()
        await expect(email).to_have_attribute("aria-invalid", "true")
        await expect(email).to_have_value("mira@example")
        await expect(page.get_by_text("An address looks like").first).to_be_visible()
        assert stub.posts("/v1/sessions/codes") == []


async def test_what_a_guest_types_and_proves_is_in_no_storage(browser: Browser) -> None:
    async with open_stub(browser, {**USUAL, "POST /v1/cases": (202, OPEN), f"GET /v1/cases/{CASE}": OPEN}, signed_in=False) as (page, stub):
        await comes_to(page, CODE)
        await writes(page, "Six digits", "042917")
        await page.get_by_role("button", name="Confirm the code").click()
        await page.get_by_role("button", name="The stream was down").click()
        await page.get_by_role("button", name=SEND).click()
        await expect(page.get_by_role("heading", name="We are on it")).to_be_visible()
        kept = await stored(page)
        assert CASE in kept
        for secret in ("mira", "mgs_1", "042917", "4242"):
            assert secret not in kept
        assert all("mgs_1" not in one.url and "042917" not in one.url for one in stub.asked)


async def test_two_tabs_say_the_same(browser: Browser) -> None:
    """Each asks under a key of its own; the service makes one case of them, and both show it."""
    answers = {**USUAL, "POST /v1/cases": (202, OPEN), f"GET /v1/cases/{CASE}": OPEN}
    async with open_stub(browser, answers) as (page, stub):
        await comes_to(page, CONFIRM)
        other = await page.context.new_page()
        await other.goto("/")
        await comes_to(other, CONFIRM)
        for one in (page, other):
            await one.get_by_role("button", name=SEND).click()
            await expect(one.get_by_role("heading", name="We are on it")).to_be_visible()
        stub.answers[EVENTS] = case_events(DONE)
        for one in (page, other):
            await expect(one.get_by_role("heading", name="€6.94 sent back")).to_be_visible()
        assert len(keys(stub.posts("/v1/cases"))) == 2


async def test_names_and_messages_are_text_and_nothing_else(browser: Browser) -> None:
    evil = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>{amount}'
    answers = {
        **USUAL,
        "GET /v1/help": {
            **HELP,
            "name": evil,
            "accent": "red;} * {display:none",
            "contacts": {**HELP["contacts"], "url": "javascript:window.owned=1"},
        },
        "POST /v1/cases": (201, {**TAKEN, "show_name": evil, "messages": [{**TAKEN["messages"][1], "body": evil, "author": evil}]}),
    }
    async with open_stub(browser, answers) as (page, _):
        await comes_to(page, CONFIRM)
        await page.get_by_role("button", name=SEND).click()
        await expect(page.get_by_role("listitem").filter(has_text="onerror")).to_be_visible()
        assert await page.evaluate("window.owned") is None
        assert (
            await page.evaluate(
                "document.querySelector('makegood-help').shadowRoot.querySelectorAll('img, script, iframe, [style]').length"
            )
            == 0
        )
        assert await page.locator("makegood-help a[href^=javascript]").count() == 0


async def test_nothing_of_a_signed_in_customer_is_asked_for_before_they_open_it(browser: Browser) -> None:
    async with open_stub(browser, USUAL) as (page, stub):
        await expect(page.locator(".launcher")).to_be_visible()
        assert {one.url.split("/v1/")[1] for one in stub.asked} <= {"help?show=nll26"}
        assert all("authorization" not in one.headers for one in stub.asked)


async def test_what_has_changed_since_is_agreed_to_again(browser: Browser) -> None:
    async with open_stub(
        browser, {**USUAL, "POST /v1/cases": problem(409, "offer_moved"), "POST /v1/help/preview": {**OUTAGE, "amount": 500}}
    ) as (page, stub):
        await comes_to(page, CONFIRM)
        await page.get_by_role("button", name=SEND).click()
        await expect(page.get_by_text("Something has changed").first).to_be_visible()
        stub.answers["POST /v1/cases"] = (201, DONE)
        await page.get_by_role("button", name="Send back €5.00").click()
        await expect(page.get_by_role("heading", name="sent back")).to_be_visible()
        first, second = stub.posts("/v1/cases")
        assert [sent(one)["offered"]["amount"] for one in (first, second)] == [694, 500]
        assert len(keys([first, second])) == 2


async def test_what_the_player_knows_goes_with_trouble_at_playing(browser: Browser) -> None:
    answers = {
        **USUAL,
        "POST /v1/help/preview": {**OUTAGE, "outcome": "ask", "actions": [], "amount": None},
        "POST /v1/cases": (201, TAKEN),
    }
    async with open_stub(browser, answers) as (page, stub):
        await page.evaluate(
            "customElements.whenDefined('makegood-help').then(() => document.querySelector('makegood-help')"
            ".report({ error: '3016', device: 'TV', system: 'x'.repeat(500), appVersion: '7.1', network: '3g', more: 'no' }))"
        )
        await page.locator(".launcher").click()
        for name in ("Something else", "The stream", "No picture or sound", "Northern Lights Live"):
            await page.get_by_role("dialog").get_by_role("button", name=name).first.click()
        await expect(page.get_by_role("heading", name="Mira has your request")).to_be_visible()
        (asked,) = stub.posts("/v1/cases")
        player = sent(asked)["player"]
        assert player == {"error": "3016", "device": "TV", "system": "x" * 100, "app_version": "7.1", "network": "3g"}


async def test_who_cannot_read_that_mailbox_tells_people_of_the_purchase(browser: Browser) -> None:
    async with open_stub(browser, {**USUAL, "POST /v1/cases": (201, PEOPLE)}, signed_in=False) as (page, stub):
        await comes_to(page, next(one for one in STATES if one.name == "purchase"))
        await writes(page, "When you bought it", "2026-11-01T20:15")
        await writes(page, "What you paid", "45,00")
        await writes(page, "Last four digits of the card", "424")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_label("Last four digits of the card")).to_be_focused()
        await writes(page, "Last four digits of the card", "4242")
        await writes(page, "Address where we can reach you", "new@example.org")
        await writes(page, "What happened?", "That address is of a firm I have left.")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("heading", name="Your request is with our team")).to_be_visible()
        (asked,) = stub.posts("/v1/cases")
        assert sent(asked)["purchase"] == {
            "bought_at": "2026-11-01T19:15:00.000Z",
            "amount": 4500,
            "currency": "EUR",
            "last4": "4242",
            "email": "new@example.org",
        }
        kept = await stored(page)
        assert "new@example.org" not in kept
        assert "4242" not in kept


async def test_where_the_widget_may_not_be_the_other_contacts_show(browser: Browser) -> None:
    """A page that the platform has not named gets nothing; what it would say if nobody answered is not asked for again and again."""
    async with open_stub(browser, {**USUAL, "GET /v1/help": problem(403, "origin_not_allowed")}) as (page, stub):
        await page.locator(".launcher").click()
        await expect(page.get_by_text("We cannot be reached just now")).to_be_visible()
        assert len(stub.asked) <= 3


async def test_a_service_that_is_away_is_asked_once_while_nobody_looks(browser: Browser) -> None:
    async with open_stub(browser, {**USUAL, "GET /v1/help": None}) as (page, stub):
        await expect(page.locator(".launcher")).to_be_visible()
        await page.wait_for_timeout(1500)
        assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("written", "asked"), [("en_US", "en-US"), ("en-US-x-shop", "en-US"), ("english", "en-GB"), ("-", "en-GB"), ("de_AT", "de-AT")]
)
async def test_where_a_page_writes_its_language_in_its_own_way_there_is_help(browser: Browser, written: str, asked: str) -> None:
    """What it does not say, the browser does."""
    script = "new MutationObserver(() => { const root = document.documentElement; if (root && root.lang !== '%s') root.lang = '%s'; })"
    watched = f"{script % (written, written)}.observe(document, {{ childList: true, subtree: true }});"
    async with open_stub(browser, USUAL, script=watched) as (page, stub):
        await page.locator(".launcher").click()
        await expect(page.get_by_role("dialog").get_by_text(re.compile("6[.,]94")).first).to_be_visible()
        locales = [parse_qs(urlsplit(one.url).query)["locale"] for one in stub.asked if "/v1/help/orders" in one.url]
        assert locales == [[asked]]
