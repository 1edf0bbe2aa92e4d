"""One browser, two people: what one has written or was about to say yes to never goes out under the other's name."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, expect

from service.demo.night import Night
from service.demo.stage import LIVE, set_shows, ticket
from service.demo.visit import sign_in_links
from service.model import WireId, unwire
from tests.console.people import Console, agent_token, customer_asks, sign_in, takes
from tests.patience import PATIENCE_SECONDS

NOTE = "Between us: I have asked the hall"


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def shows(night: Night) -> None:
    await set_shows(night)


async def a_question(night: Night) -> str:
    order = await night.shop.order(LIVE, [ticket()], ref=f"P-{uuid4().hex[:8].upper()}")
    return str((await customer_asks(night, "other", order, "Can I bring my own headphones?"))["id"])


async def writing(page: Page, case: str) -> None:
    """Has the case, and has begun a note."""
    await page.goto(f"/desk/cases/{case}")
    await takes(page)
    await page.get_by_role("button", name="Note", exact=True).click()
    await page.get_by_role("textbox", name="Note for the desk").fill(NOTE)


async def signed_out(night: Night, name: str) -> None:
    await night.pool.execute(
        "DELETE FROM desk_session WHERE agent_id = (SELECT id FROM agent WHERE platform_id = $1 AND name = $2)",
        night.desk.platform_id,
        name,
    )


async def said(night: Night, case: str) -> list[tuple[Any, ...]]:
    """Everything that people have written in the case, sent or not."""
    rows = await night.pool.fetch(
        "SELECT author, body FROM message WHERE case_id = $1 AND kind <> 'customer'"
        " UNION ALL SELECT 'draft of ' || a.name, d.body FROM draft AS d JOIN agent AS a ON a.id = d.agent_id WHERE d.case_id = $1",
        unwire(WireId.CASE, case),
    )
    return [tuple(row) for row in rows]


async def until_kept(night: Night, case: str, name: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await said(night, case) != [(f"draft of {name}", NOTE)]:
            await asyncio.sleep(0.05)


async def sends_and_is_asked_who_they_are(page: Page) -> None:
    """The session is over: the note waits until somebody has signed in."""
    await page.get_by_role("button", name="Keep the note", exact=True).click()
    await expect(page.get_by_role("dialog", name="You were signed out")).to_be_visible()


async def is_now_hers(page: Page, to: str, before: str) -> None:
    await expect(page.get_by_text(f"{to} is signed in now. This page was {before}\u2019s", exact=False)).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("way", ["dialog", "other tab"])
async def test_what_waited_to_be_sent_is_not_sent_under_the_name_of_who_signs_in(console: Console, night: Night, way: str) -> None:
    case = await a_question(night)
    names = [f"{name} {uuid4().hex[:6]}" for name in ("Ida", "Noa")]
    ida, noa = [await agent_token(night.pool, night.desk, name) for name in names]
    page = await console.person(ida)
    await writing(page, case)
    await until_kept(night, case, names[0])
    # The stream would say so first, and there would be nothing left to press.
    await page.route("**/v1/desk/live", lambda route: route.abort())
    await signed_out(night, names[0])
    await sends_and_is_asked_who_they_are(page)
    form = page
    if way == "other tab":
        form = await page.context.new_page()
        await form.goto("/desk/sign-in")
    await form.get_by_label("Token").first.fill(noa)
    await form.get_by_role("button", name="Sign in with the token").click()
    await is_now_hers(page, names[1], names[0])
    assert await said(night, case) == [(f"draft of {names[0]}", NOTE)]


async def test_a_tab_that_heard_nothing_sends_nothing_either(console: Console, night: Night) -> None:
    """Somebody signs in without any page's doing: the next request of the tab finds out."""
    case = await a_question(night)
    names = [f"{name} {uuid4().hex[:6]}" for name in ("Ida", "Noa")]
    ida, noa = [await agent_token(night.pool, night.desk, name) for name in names]
    page = await console.person(ida)
    await writing(page, case)
    await until_kept(night, case, names[0])
    await sign_in(page.context, console.address, noa)
    await page.get_by_role("button", name="Keep the note", exact=True).click()
    await is_now_hers(page, names[1], names[0])
    assert await said(night, case) == [(f"draft of {names[0]}", NOTE)]
    # Noa's page goes first: it would find out that Ida is back, and load itself anew while this goes there.
    await page.goto("about:blank")
    await sign_in(page.context, console.address, ida)
    await page.goto(f"/desk/cases/{case}")
    await page.get_by_role("button", name="Note", exact=True).click()
    await expect(page.get_by_role("textbox", name="Note for the desk")).to_have_value(NOTE)


async def test_every_request_of_the_console_says_whose_page_it_is(console: Console, night: Night) -> None:
    case = await a_question(night)
    page = await console.agent()
    asked: list[Request] = []
    page.on("request", lambda one: asked.append(one))  # noqa: PLW0108 - Playwright takes no built-in
    await writing(page, case)
    for path in ("/desk/shift", "/desk/board", "/desk/second-person"):
        await page.goto(path)
        await expect(page.get_by_role("heading").first).to_be_visible()
    mira = await page.evaluate("fetch('/v1/desk/session').then((one) => one.json()).then((one) => one.agent.id)")
    # Who is signed in is asked for whomever it is.
    named = {
        f"{one.method} {one.url}": one.headers.get("makegood-agent")
        for one in asked
        if "/v1/" in one.url and "/v1/desk/session" not in one.url
    }
    assert len(named) > 5
    assert {address: name for address, name in named.items() if name != mira} == {}


async def test_a_link_signs_nobody_out_without_a_question(console: Console, night: Night) -> None:
    (_, link), *_ = await sign_in_links(night)
    page = await console.person(await agent_token(night.pool, night.desk, f"Ida {uuid4().hex[:6]}"))
    await page.goto("/desk")
    await expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    before = await signed_in_as(page)
    await page.goto(link)
    question = page.get_by_role("heading", name=f"You are signed in as {before}. Sign in as somebody else?")
    await expect(question).to_be_visible()
    assert "mgl_" not in page.url
    await page.get_by_role("button", name=f"Stay {before}").click()
    await expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    assert await signed_in_as(page) == before
    # A link is good for two minutes: this one is as new as the first was.
    _, (_, other), *_ = await sign_in_links(night)
    await page.goto(other)
    await expect(question).to_be_visible()
    await page.get_by_role("button", name="Sign in with the link").click()
    await expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    assert await signed_in_as(page) != before


async def signed_in_as(page: Page) -> str:
    return str(await page.evaluate("fetch('/v1/desk/session').then((one) => one.json()).then((one) => one.agent.name)"))
