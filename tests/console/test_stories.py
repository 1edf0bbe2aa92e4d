"""What people do at the desk from their first look to the end of a case, each in a real browser, against the running service."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from integrations.sandbox_books import LedgerLine
from service.demo.night import Night
from service.demo.stage import CANCELLED, LIVE, set_shows, ticket
from service.demo.visit import sign_in_links
from service.model import WireId, unwire
from tests.console.pages import double_charge
from tests.console.people import Console, agent_token, case_at_hand, case_now, customer_asks, customer_writes, has_it, takes
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import until

# A claim of the console's ends so long after its last sign of life (service/ui/src/store/claims.ts).
LEASE: Final = timedelta(seconds=90)

# Whatever colour space it is written in, as red, green and blue.
_BACKGROUND: Final = """() => {
  const paper = document.createElement('canvas').getContext('2d');
  paper.fillStyle = getComputedStyle(document.body).backgroundColor;
  paper.fillRect(0, 0, 1, 1);
  return [...paper.getImageData(0, 0, 1, 1).data];
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def shows(night: Night) -> None:
    await set_shows(night)


def row(page: Page, case: str) -> Locator:
    return page.get_by_role("listbox", name="Cases").locator(f"#row-{case}")


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def timeline(page: Page) -> Locator:
    return page.get_by_role("tabpanel", name="Timeline")


async def opens(page: Page, case: str, heading: str) -> None:
    """Finds the case in the queue and looks at it."""
    await page.goto("/desk?state=all")
    await row(page, case).click()
    # The guide beside the case may have the same name.
    await expect(page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()


async def ends(page: Page, why: str) -> None:
    await button(page, "End").click()
    dialog = page.get_by_role("dialog", name="End the case")
    await dialog.get_by_role("textbox", name="Why").fill(why)
    await button(dialog, "End as solved").click()
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_text(re.compile(r"^Solved ")).first).to_be_visible()


async def a_question(night: Night, says: str = "Can I bring my own headphones?") -> str:
    """A case that only needs words. Returns it."""
    order = await night.shop.order(LIVE, [ticket()], ref=f"Q-{uuid4().hex[:8].upper()}")
    return str((await customer_asks(night, "other", order, says))["id"])


def uuid_of(case: str) -> UUID:
    found = unwire(WireId.CASE, case)
    assert found is not None
    return found


async def gone_back(night: Night, payment: str) -> LedgerLine:
    """Of the books, once they have it: a case that a person has ended may end before its money has gone."""
    return await until(lambda: night.books.line(payment), lambda line: line.refunds > 0)


async def case_row(night: Night, case: str) -> dict[str, Any]:
    found = await night.pool.fetchrow("SELECT owner, agent_id, state FROM cases WHERE id = $1", uuid_of(case))
    return dict(found or {})


async def kept_draft(night: Night, case: str) -> str | None:
    """What the service has of what somebody is typing."""
    found: str | None = await night.pool.fetchval("SELECT body FROM draft WHERE case_id = $1", uuid_of(case))
    return found


# ------------------------------------------------------------------------------------------------------------------- one person


async def test_an_agent_finds_understands_and_resolves_an_escalated_double_charge(console: Console, night: Night) -> None:
    case = await double_charge(night, "STORY-1")
    page = await console.agent()
    await opens(page, case, "Charged twice")
    # Understands: the decision in words, what the customer wrote, what was charged.
    await expect(page.get_by_text("Money of this order has been sent back before")).to_be_visible()
    await expect(timeline(page).get_by_text("My bank shows 45.00 twice")).to_be_visible()
    await expect(page.get_by_text("€45.00 + €45.00")).to_be_visible()
    await page.get_by_role("tab", name="Money").click()
    await expect(page.get_by_role("table", name="Charges").get_by_role("row")).to_have_count(3)
    await page.get_by_role("tab", name="Timeline").click()
    # Resolves: looks at what would happen, says why, sees it land on the timeline.
    await takes(page)
    await page.get_by_role("button", name=re.compile("Send back €45.00, the second charge")).click()
    acting = page.get_by_role("region", name="What would happen")
    await expect(acting.get_by_text("Tickets and access stay as they are")).to_be_visible()
    assert (await night.books.line("ch_STORY-1_2")).refunds == 0
    await acting.get_by_role("textbox", name="Why, in your words").fill("The first refund was for the T-shirt")
    await button(acting, "Send back €45.00").click()
    await expect(acting).to_have_count(0)
    await expect(timeline(page).get_by_text("The first refund was for the T-shirt")).to_be_visible()
    await button(page, "Write to the customer").click()
    await page.get_by_role("textbox", name="Reply to the customer").fill("€45.00 is on its way back to your Visa ending 4242.")
    await button(page, "Send to the customer").click()
    await expect(timeline(page).get_by_text("€45.00 is on its way back")).to_be_visible()
    await ends(page, "the second charge went back")

    second = await gone_back(night, "ch_STORY-1_2")
    assert ((await night.books.line("ch_STORY-1_1")).refunds, second.refunded_minor, second.refunds) == (0, 4500, 1)
    now = await case_now(night, case)
    assert now["status"] == "resolved"
    assert [one["kind"] for one in now["messages"]] == ["customer", "reply"]


async def test_a_keyboard_alone_does_a_whole_case(console: Console, night: Night) -> None:
    case = await double_charge(night, "KEYS-1")
    page = await console.agent()
    press = page.keyboard.press
    await page.goto("/desk?problem=charged_twice")
    await expect(row(page, case)).to_be_visible()
    for _ in range(await page.get_by_role("option").count()):
        await press("j")
        if await page.get_by_role("listbox", name="Cases").get_attribute("aria-activedescendant") == f"row-{case}":
            break
    await press("Enter")
    await expect(page.get_by_role("heading", name="Charged twice", exact=True, level=1)).to_be_visible()
    await expect(button(page, "Take")).to_be_visible()
    await press("Enter")
    await has_it(page)
    key = await page.get_by_role("button", name=re.compile("Send back €45.00, the second charge")).get_attribute("aria-keyshortcuts")
    assert key
    await press(key)
    await expect(page.get_by_role("textbox", name="Why, in your words")).to_be_visible()
    await tab_to(page, "Why, in your words")
    await page.keyboard.type("Both charges are for the same ticket")
    await press("Control+Enter")
    await expect(timeline(page).get_by_text("Both charges are for the same ticket")).to_be_visible()
    await press("c")
    await expect(page.get_by_role("textbox", name="Reply to the customer")).to_be_focused()
    await page.keyboard.type("The second charge is on its way back to you.")
    await press("Control+Enter")
    await expect(timeline(page).get_by_text("The second charge is on its way back")).to_be_visible()
    await press("Escape")
    await press("e")
    dialog = page.get_by_role("dialog", name="End the case")
    await expect(dialog).to_be_visible()
    await tab_to(page, "Why")
    await page.keyboard.type("put right")
    await press("Control+Enter")
    await expect(page.get_by_text(re.compile(r"^Solved ")).first).to_be_visible()

    assert (await gone_back(night, "ch_KEYS-1_2")).refunds == 1
    assert (await case_now(night, case))["status"] == "resolved"


# A key in the very turn in which the page has changed: sooner than any hand, and later than any effect may be.
_AT_ONCE: Final = """
([key, gone]) => new Promise((resolve) => {
    const at = () => document.activeElement ?? document.body;
    const press = (key) => at().dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    const done = async (changes, watch) => {
        if (document.querySelector(gone)) return;
        watch.disconnect();
        press(key);
        // The page is drawn anew within this turn.
        for (let turn = 0; turn < 3; turn += 1) await null;
        resolve(at().ariaLabel ?? at().tagName);
    };
    new MutationObserver(done).observe(document.body, { childList: true, subtree: true });
    press('Escape');
})
"""


async def test_the_first_key_after_something_closed_is_the_pages_and_the_next_is_text(console: Console, night: Night) -> None:
    page = await console.agent()
    await opens(page, await double_charge(night, "KEYS-2"), "Charged twice")
    await takes(page)
    await page.get_by_role("button", name=re.compile("Send back €45.00, the second charge")).click()
    await expect(page.get_by_role("textbox", name="Why, in your words")).to_be_focused()
    assert await page.evaluate(_AT_ONCE, ["n", ".acting"]) == "Note for the desk"
    await page.keyboard.press("Escape")
    await page.keyboard.press("e")
    await expect(page.get_by_role("dialog", name="End the case")).to_be_visible()
    assert await page.evaluate(_AT_ONCE, ["c", "dialog"]) == "Reply to the customer"


async def tab_to(page: Page, name: str) -> None:
    """By the tabulator alone, within as many steps as a page has stops."""
    field = page.get_by_role("textbox", name=name)
    for _ in range(60):
        if await field.evaluate("one => one === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"the tabulator does not reach {name}")


async def test_a_link_signs_in_once_and_leads_to_the_queue(console: Console, night: Night) -> None:
    (_, link), *_ = await sign_in_links(night)
    page = await console.person(None)
    await page.goto(link)
    await expect(page.get_by_role("listbox", name="Cases").or_(page.get_by_text("Nobody waits"))).to_be_visible()
    assert "mgl_" not in page.url
    other = await console.person(None)
    await other.goto(link)
    await expect(other.get_by_text(re.compile("once")).first).to_be_visible()
    await expect(other.get_by_role("listbox", name="Cases")).to_have_count(0)


# ------------------------------------------------------------------------------------------------------------------ two people


async def test_of_two_agents_who_race_for_a_case_one_has_it_and_the_other_is_told(console: Console, night: Night) -> None:
    case = await a_question(night)
    pages = [await console.agent(), await console.another("Noor")]
    for page in pages:
        await opens(page, case, "Something else")
    await asyncio.gather(*(page.evaluate("document.querySelector('#take')?.click()") for page in pages))
    heads = [case_at_hand(page) for page in pages]
    for head in heads:
        await expect(head.get_by_text(re.compile(r"^(You have it|\w+ has it)$")).first).to_be_visible()
    have = [await head.get_by_text("You have it", exact=True).count() > 0 for head in heads]
    assert sorted(have) == [False, True]
    loser = pages[have.index(False)]
    await expect(button(loser, "Take")).to_have_count(0)
    taken = await night.pool.fetchval("SELECT count(*) FROM timeline WHERE case_id = $1 AND kind = 'taken'", uuid_of(case))
    assert (taken, (await case_row(night, case))["owner"]) == (1, "agent")


async def test_a_second_person_confirms_480_and_sees_what_the_first_did(console: Console, night: Night) -> None:
    order = await night.shop.order(CANCELLED, [ticket(48000)], ref=f"BOX-{uuid4().hex[:6].upper()}", customer_ref=uuid4().hex)
    case = str((await customer_asks(night, "show_cancelled", order, "We had the box for six."))["id"])
    mira, jonas = await console.agent(), await console.lead()
    await opens(mira, case, "Show cancelled")
    await takes(mira)
    await agrees(mira, "The show was cancelled")
    await expect(mira.get_by_text("1 of 2 agreed")).to_be_visible()
    assert (await night.books.line(order.payments[0])).refunds == 0

    await opens(jonas, case, "Show cancelled")
    await expect(timeline(jonas).get_by_text("The show was cancelled")).to_be_visible()
    await expect(jonas.get_by_text("1 of 2 agreed")).to_be_visible()
    await agrees(jonas, "I have looked at the order")
    for page in (jonas, mira):
        await expect(page.get_by_text(re.compile(r"^Solved ")).first).to_be_visible()
    line = await night.books.line(order.payments[0])
    assert (line.refunded_minor, line.refunds) == (48000, 1)


async def agrees(page: Page, why: str) -> None:
    await button(page, "Look and decide").click()
    acting = page.get_by_role("region", name="Waits for a yes").filter(has=page.get_by_role("textbox"))
    await expect(acting.get_by_text("€480.00").first).to_be_visible()
    await acting.get_by_role("textbox").first.fill(why)
    await acting.get_by_role("button", name=re.compile("^(Agree|Yes|Send back)")).click()
    await expect(acting).to_have_count(0)


# ------------------------------------------------------------------------------------------------------------ while one is typing


async def test_an_answer_that_arrives_while_one_types_moves_neither_text_nor_caret(console: Console, night: Night) -> None:
    case = await a_question(night)
    page = await console.agent()
    await opens(page, case, "Something else")
    await takes(page)
    field = await begins(page, "Yes, bring them; the hall has")
    await field.evaluate("one => one.setSelectionRange(5, 5)")
    await customer_writes(night, case, "They are the wireless ones, by the way.")
    await expect(timeline(page).get_by_text("They are the wireless ones")).to_be_visible()
    assert await caret(field) == ["Yes, bring them; the hall has", 5, 5, True]
    await page.keyboard.type("please ")
    assert await caret(field) == ["Yes, please bring them; the hall has", 12, 12, True]


async def test_the_end_of_the_session_loses_nothing_that_was_typed(console: Console, night: Night) -> None:
    case = await a_question(night)
    token = await agent_token(night.pool, night.desk, "Sami")
    page = await console.person(token)
    await opens(page, case, "Something else")
    await takes(page)
    field = await begins(page, "I have asked the hall, and")
    await night.pool.execute(
        "DELETE FROM desk_session WHERE agent_id = (SELECT id FROM agent WHERE platform_id = $1 AND name = 'Sami')", night.desk.platform_id
    )
    await page.keyboard.type(" they")
    dialog = page.get_by_role("dialog", name="You were signed out")
    await expect(dialog).to_be_visible()
    await page.keyboard.type(" say yes")
    assert await field.input_value() == "I have asked the hall, and they say yes", "the dialog took letters from who was typing"
    await dialog.get_by_label("Token").fill(token)
    await expect(page.locator("dialog:modal"), "nobody types in the page any more, and it can still be used").to_have_count(1)
    await button(dialog, "Sign in with the token").click()
    await expect(dialog).to_have_count(0)
    await expect(field).to_have_value("I have asked the hall, and they say yes")
    await button(page, "Send to the customer").click()
    await expect(timeline(page).get_by_text("I have asked the hall, and they say yes")).to_be_visible()


async def test_a_case_whose_agents_browser_dies_is_back_when_its_lease_ends_with_the_unsent_note(console: Console, night: Night) -> None:
    case = await a_question(night)
    mira, noor = await console.agent(), await console.another("Noor")
    await opens(mira, case, "Something else")
    await takes(mira)
    await button(mira, "Note").click()
    await mira.get_by_role("textbox", name="Note for the desk").fill("Asked the hall; they call back at nine")
    await until_kept(night, case, "Asked the hall; they call back at nine")
    await opens(noor, case, "Something else")
    await expect(case_at_hand(noor).get_by_text("Mira has it").first).to_be_visible()
    await mira.context.close()

    await night.pool.execute("UPDATE app_clock SET ahead = ahead + $1", LEASE + timedelta(seconds=5))
    await expect(button(noor, "Take")).to_be_visible()
    assert (await case_row(night, case)) == {"owner": "queue", "agent_id": None, "state": "open"}
    await takes(noor)
    await button(noor, "Note").click()
    await expect(noor.get_by_text("Asked the hall; they call back at nine")).to_be_visible()
    await button(noor, "Use it").click()
    await expect(noor.get_by_role("textbox", name="Note for the desk")).to_have_value("Asked the hall; they call back at nine")


async def begins(page: Page, text: str) -> Locator:
    """Types the beginning of a reply."""
    await button(page, "Write to the customer").click()
    field = page.get_by_role("textbox", name="Reply to the customer")
    await expect(field).to_be_focused()
    await field.press_sequentially(text)
    return field


async def caret(field: Locator) -> list[Any]:
    found: list[Any] = await field.evaluate("one => [one.value, one.selectionStart, one.selectionEnd, one === document.activeElement]")
    return found


async def until_kept(night: Night, case: str, text: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await kept_draft(night, case) != text:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_page_is_as_bright_as_the_reader_wants_it(console: Console, theme: str) -> None:
    page = await console.person(None, color_scheme=theme)
    await page.goto("/desk/sign-in")
    await expect(page.get_by_role("heading").first).to_be_visible()
    red, green, blue, _ = await page.evaluate(_BACKGROUND)
    assert (red + green + blue > 3 * 128) == (theme == "light")
