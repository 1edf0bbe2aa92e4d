"""The pages beside the queue: rules in words, brakes that ask twice, search by keys, numbers that lead somewhere, one tap for customers."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from service.demo.night import Night
from service.demo.stage import LIVE, ticket
from service.satisfaction import Satisfactions
from tests.console.pages import ORDER, busy_night
from tests.console.people import NARROW, WIDE, Console, customer_asks

# A few of each kind: what the pages show is theirs to say, not how many there are.
_CUSTOMERS: Final = 12


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def case(night: Night) -> str:
    """The escalated double charge among a few other cases, two of which wait for a person's yes."""
    return await busy_night(night, _CUSTOMERS)


@pytest.mark.usefixtures("case")
async def test_every_condition_of_every_pack_reads_in_words(console: Console) -> None:
    page = await console.lead()
    for pack in ("refund", "access", "charges", "passes", "support"):
        await page.goto(f"/desk/policies/{pack}")
        panel = page.get_by_role("tabpanel")
        await expect(panel.get_by_role("row").first).to_be_visible()
        conditions = await panel.locator("td[data-head=When]").all()
        assert len(conditions) >= 10, pack
        for one in conditions:
            text = await one.inner_text()
            assert await one.locator("code").count() == 0, f"{pack}: {text}"
            assert not any(sign in text for sign in ("==", "&&", "||", "!", "_")), f"{pack}: {text}"


@pytest.mark.usefixtures("case")
async def test_a_long_page_scrolls_below_the_bar_and_the_document_does_not(console: Console) -> None:
    page = await console.lead()
    await page.goto("/desk/policies/refund")
    await expect(page.get_by_role("tabpanel").get_by_role("row").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")


@pytest.mark.usefixtures("case")
async def test_facts_are_tried_and_nothing_is_decided(console: Console, night: Night) -> None:
    before = await night.pool.fetchval("SELECT count(*) FROM decision")
    page = await console.lead()
    await page.goto("/desk/policies/refund")
    box = page.get_by_role("region", name="Try facts")
    await box.get_by_label("Start from").select_option(label="Dispute open")
    await box.get_by_role("button", name="Try these facts").click()
    await expect(box.get_by_role("status")).to_contain_text("Dispute open decides: needs a person")
    await expect(box.get_by_role("listitem").filter(has_text="Order unknown")).to_contain_text("does not fit")
    assert await night.pool.fetchval("SELECT count(*) FROM decision") == before


async def test_a_brake_asks_for_its_reason_and_its_name_and_holds_until_it_is_let_go(console: Console, night: Night) -> None:
    page = await console.lead()
    await page.goto("/desk/brakes")
    await page.get_by_role("button", name="Pause something").click()
    pause = page.get_by_role("dialog").get_by_role("button", name="Pause refund")
    await page.get_by_label("Why?").fill("refunds look too high")
    await page.get_by_label("Type “Refund”").fill("refun")
    await expect(pause).to_have_attribute("aria-disabled", "true")
    await pause.click(force=True)
    assert await paused(night) == []
    await page.get_by_label("Type “Refund”").fill("refund")
    await pause.click()
    await expect(page.get_by_text("Refunds look too high.")).to_be_visible()
    assert await paused(night) == ["refund"]
    await page.get_by_role("button", name="Resume refund").click()
    await page.get_by_label("Why can it go on?").fill("they are what they should be")
    await page.get_by_label("Type “Refund”").fill("Refund")
    await page.get_by_role("dialog").get_by_role("button", name="Resume refund").click()
    await expect(page.get_by_text("Nothing is paused")).to_be_visible()
    assert await paused(night) == []


async def paused(night: Night) -> list[str]:
    headers = {"Authorization": f"Bearer {night.desk.lead}"}
    answer = await night.client.get("/v1/brakes", headers=headers)
    return [one["ref"] for one in answer.json()["brakes"]]


async def test_an_agent_is_told_that_brakes_are_for_leads(console: Console) -> None:
    page = await console.agent()
    await page.goto("/desk/brakes")
    await expect(page.get_by_text("is for leads to see and to change")).to_be_visible()
    await expect(page.get_by_role("button", name="Pause something")).to_have_count(0)


async def test_search_is_reached_and_walked_by_keys_alone(console: Console, case: str) -> None:
    page = await console.agent()
    await page.goto("/desk/shift")
    await expect(page.get_by_role("heading", name="My shift")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type(ORDER)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="1 order")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{console.address}/desk/cases/{case}")


async def test_a_search_without_result_says_what_is_found_at_all(console: Console) -> None:
    page = await console.agent(size=NARROW)
    await page.goto("/desk/search")
    await page.get_by_role("searchbox").fill("no-such-order")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Nothing here is called “no-such-order”")).to_be_visible()


@pytest.mark.usefixtures("case")
async def test_every_number_of_the_board_leads_to_a_list(console: Console, night: Night) -> None:
    page = await console.lead()
    await page.goto("/desk/board")
    now = page.get_by_role("list", name="Now")
    await expect(now.get_by_role("link")).to_have_count(6)
    for link in await now.get_by_role("link").all():
        assert (await link.get_attribute("href") or "").startswith("/desk?"), await link.inner_text()
    table = page.get_by_role("table", name="Cases that came in and were solved")
    await page.get_by_text("The same as a table").first.click()
    await expect(table.get_by_role("row")).to_have_count(13)
    # Nobody of this evening has been with people for so long: the list behind the number is as empty as the number says.
    await page.get_by_role("link", name="over 1 day").click()
    await expect(page.get_by_text("No case fits these filters")).to_be_visible()
    await page.go_back()
    # Whoever came before has perhaps been there for longer by now.
    order = await night.shop.order(LIVE, [ticket()], ref=f"NEW-{uuid4().hex[:8].upper()}")
    assert (await customer_asks(night, "other", order, "Can I bring my own headphones?"))["status"] == "with_people"
    await page.get_by_role("link", name="under 5 min").click()
    await expect(page.get_by_role("listbox").get_by_role("option").first).to_be_visible()


@pytest.mark.usefixtures("case")
async def test_the_second_persons_page_shows_what_waits_and_asks_for_a_reason(console: Console, night: Night) -> None:
    page = await console.lead()
    await page.goto("/desk/second-person")
    await page.get_by_role("button", name="Look at it").first.click()
    yes = page.get_by_role("button", name="Yes, send back").first
    await yes.click()
    await expect(page.get_by_text("Write a few words first")).to_be_visible()
    assert await night.pool.fetchval("SELECT count(*) FROM approval") == 0
    await page.get_by_label("Your reason").fill("the show was cancelled")
    await yes.click()
    await expect(page.get_by_text("1 person has agreed, 1 more has to.")).to_be_visible()
    assert await night.pool.fetchval("SELECT count(*) FROM approval") == 1


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_a_refused_link_leaves_nothing_of_its_code_behind(console: Console, size: tuple[int, int]) -> None:
    page = await console.person(None, size=size)
    await page.goto("/desk/sign-in#code=mgl_made_up")
    await expect(page.get_by_text("This link signs nobody in.")).to_be_visible()
    assert page.url == f"{console.address}/desk/sign-in"
    assert "mgl_made_up" not in await kept(page)


async def test_a_link_that_did_not_arrive_can_be_tried_again(console: Console) -> None:
    page = await console.person(None)
    await page.route("**/v1/desk/sessions", lambda route: route.abort())
    await page.goto("/desk/sign-in#code=mgl_made_up")
    await expect(page.get_by_text("The service was not reached")).to_be_visible()
    assert "mgl_made_up" not in await kept(page)
    await page.unroute("**/v1/desk/sessions")
    await page.get_by_role("button", name="Try the link again").click()
    await expect(page.get_by_text("This link signs nobody in.")).to_be_visible()


async def test_the_way_to_the_identity_provider_leaves_the_console(console: Console) -> None:
    page = await console.person(None)
    said = {"platform": "demo", "name": "Northern Lights Live", "accent": "#0b6e5f", "ways": ["oidc", "link", "token"]}
    await page.route("**/v1/desk/sign-in*", lambda route: route.fulfill(json=said))
    await page.route("**/desk/oidc/start*", lambda route: route.fulfill(content_type="text/html", body="<h1>The provider asks</h1>"))
    await page.goto("/desk/sign-in")
    await page.get_by_role("link", name="Sign in with your work account").click()
    await expect(page.get_by_role("heading", name="The provider asks")).to_be_visible()


async def kept(page: Page) -> str:
    """All that the browser keeps of the page, and its address."""
    found: str = await page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"
    )
    return found


@pytest.mark.usefixtures("case")
async def test_one_tap_is_kept_and_a_second_one_is_thanked(console: Console, night: Night) -> None:
    ended = await night.pool.fetchrow(
        "SELECT platform_id, id FROM cases WHERE platform_id = $1 AND state = 'resolved' LIMIT 1", night.desk.platform_id
    )
    assert ended is not None
    await night.pool.execute(
        "UPDATE show SET starts_at = starts_at - interval '1 day', ends_at = ends_at - interval '1 day'"
        " WHERE id = (SELECT show_id FROM cases WHERE id = $1)",
        ended["id"],
    )
    satisfactions: Satisfactions = await night.app.http.dependencies["satisfactions"]()
    token = satisfactions.token(ended["platform_id"], ended["id"])
    page = await console.person(None, size=NARROW)
    await page.goto(f"/feedback#{token}")
    await page.get_by_role("button", name="5: Very well").click()
    await expect(page.get_by_role("heading", name="Thank you. Your answer has reached us.")).to_be_visible()
    assert await night.pool.fetchval("SELECT score FROM satisfaction WHERE case_id = $1", ended["id"]) == 5
    await page.reload()
    await page.get_by_role("button", name="1: Badly").click()
    await expect(page.get_by_role("heading", name="You have told us already.")).to_be_visible()
    assert await night.pool.fetchval("SELECT score FROM satisfaction WHERE case_id = $1", ended["id"]) == 5


async def test_a_made_up_link_for_the_tap_says_what_to_do(console: Console) -> None:
    page = await console.person(None)
    await page.goto("/feedback#mgf_made_up")
    await page.get_by_role("button", name="3: Partly").click()
    await expect(page.get_by_role("heading", name="This link is not open any more.")).to_be_visible()
