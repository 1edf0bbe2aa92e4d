"""What is being typed is kept as long as it is, and no longer: whatever of it is still on its way."""

from __future__ import annotations

import asyncio
import json

import pytest_asyncio
from playwright.async_api import Request, Route, expect

from service.demo.night import Night
from service.demo.stage import set_shows
from tests.console.people import Console, takes
from tests.console.test_stories import a_question, begins, button, kept_draft, opens
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import until


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def shows(night: Night) -> None:
    await set_shows(night)


def told(draft: Request) -> str:
    return str(json.loads(draft.post_data or "{}").get("body"))


async def test_what_was_sent_does_not_come_back_as_a_draft_that_was_still_on_its_way(console: Console, night: Night) -> None:
    case = await a_question(night)
    page = await console.agent()
    await opens(page, case, "Something else")
    await takes(page)
    held, is_sent = asyncio.Event(), asyncio.Event()
    arrived: list[str] = []

    async def late(route: Route) -> None:
        if told(route.request) == "Yes, bring them":
            held.set()
            await is_sent.wait()
        await route.fallback()

    def finished(request: Request) -> None:
        if request.method == "PUT" and request.url.endswith("/draft"):
            arrived.append(told(request))

    page.on("requestfinished", finished)
    await page.route("**/draft", late)
    await begins(page, "Yes, bring them")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await held.wait()
    await button(page, "Send to the customer").click()
    await expect(page.get_by_role("textbox", name="Reply to the customer")).to_have_value("")
    is_sent.set()
    await until(lambda: asyncio.sleep(0, set(arrived)), lambda found: found >= {"Yes, bring them", ""})
    assert await kept_draft(night, case) is None
