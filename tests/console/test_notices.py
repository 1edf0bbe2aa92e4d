"""A lead tells every widget of a show what is known, says how it goes on, and ends it; nothing goes before it was seen as it will read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from service.demo.night import Night
from service.demo.world import bearer
from tests.console.axe import AXE, violations
from tests.console.people import NARROW, Console

SHOW = "told"


@pytest_asyncio.fixture(loop_scope="session")
async def show(night: Night) -> AsyncIterator[str]:
    await night.shop.show(SHOW, starts_in=-timedelta(minutes=10))
    yield SHOW
    await night.client.delete(f"/v1/shows/{SHOW}/notice", headers=bearer(night.desk.lead))


async def said(night: Night) -> Any:
    """What widgets of the show say."""
    answer = await night.client.get("/v1/notices", headers=bearer(night.desk.lead))
    found = [one for one in answer.json()["notices"] if one["show"] == SHOW and not one["over"]]
    return found[0] if found else None


def said_now(page: Page) -> Locator:
    """What the page tells is said: not what a dialog shows of it, nor what was said before."""
    return page.get_by_role("region", name="Said now")


async def clean(page: Page) -> None:
    assert await violations(page) == []


async def test_a_lead_says_it_sees_it_and_only_then_it_goes_says_more_and_ends_it(console: Console, night: Night, show: str) -> None:
    page = await console.lead()
    await page.add_init_script(path=AXE)
    await page.goto("/desk/notices")
    await page.get_by_role("button", name="Say something").click()
    look = page.get_by_role("button", name="See how it reads")
    await expect(look).to_have_attribute("aria-disabled", "true")
    await page.get_by_label("Which show?").fill(show)
    await page.get_by_label("In English").fill("We know the picture is gone.")
    await page.get_by_label("Why?").fill("an encoder is down")
    await clean(page)
    await look.click()
    await expect(page.get_by_text("Nothing is written in German")).to_be_visible()
    assert await said(night) is None
    await clean(page)
    await page.get_by_role("button", name="Change the words").click()
    await page.get_by_label("In German").fill("Wir wissen, dass das Bild weg ist.")
    await look.click()
    await page.get_by_role("button", name=f"Tell every widget of {show}").click()
    await expect(said_now(page).get_by_text("Wir wissen, dass das Bild weg ist.")).to_be_visible()
    now = await said(night)
    assert now["text"] == {"en": "We know the picture is gone.", "de": "Wir wissen, dass das Bild weg ist."}
    assert now["reason"] == "an encoder is down"

    await page.get_by_role("button", name=f"Say how it goes on at {show}").click()
    await page.get_by_label("In English").fill("It is a cable. <b>Ten minutes.</b>")
    await page.get_by_label("Why?").fill("found it")
    await look.click()
    await page.get_by_role("button", name=f"Tell every widget of {show}").click()
    await expect(said_now(page).get_by_text("It is a cable. <b>Ten minutes.</b>")).to_be_visible()

    await page.get_by_role("button", name=f"End it at {show}").click()
    await clean(page)
    await page.get_by_label("Why is it over?").fill("it plays")
    await page.get_by_role("dialog").get_by_role("button", name=f"End it at {show}").click()
    await expect(page.get_by_role("button", name=f"End it at {show}")).to_have_count(0)
    assert await said(night) is None


async def test_it_is_said_by_keys_alone_on_a_narrow_screen(console: Console, night: Night, show: str) -> None:
    page = await console.lead()
    await page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    await page.goto("/desk/notices")
    await page.get_by_role("button", name="Say something").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Which show?")).to_be_focused()
    for words in (show, "We know.", "Wir wissen es.", "an encoder is down"):
        await page.keyboard.type(words)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    send = page.get_by_role("button", name=f"Tell every widget of {show}")
    await expect(send).to_be_visible()
    await send.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert (await said(night))["text"] == {"en": "We know.", "de": "Wir wissen es."}


async def test_a_show_that_nobody_knows_is_said_in_words_and_what_was_typed_stays(console: Console, night: Night) -> None:
    page = await console.lead()
    await page.goto("/desk/notices")
    await page.get_by_role("button", name="Say something").click()
    await page.get_by_label("Which show?").fill("tolt")
    await page.get_by_label("In English").fill("We know.")
    await page.get_by_label("Why?").fill("an encoder is down")
    await page.get_by_role("button", name="See how it reads").click()
    await page.get_by_role("button", name="Tell every widget of tolt").click()
    await expect(page.get_by_role("dialog").get_by_text("There is no such show")).to_be_visible()
    await page.get_by_role("button", name="Change the words").click()
    await expect(page.get_by_label("In English")).to_have_value("We know.")
    assert await said(night) is None


async def test_an_agent_reads_what_is_said_and_is_told_who_changes_it(console: Console, night: Night, show: str) -> None:
    text = {"text": {"en": "We know the picture is gone."}, "reason": "an encoder is down"}
    (await night.client.put(f"/v1/shows/{show}/notice", json=text, headers=bearer(night.desk.lead))).raise_for_status()
    page = await console.agent()
    await page.goto("/desk/notices")
    await expect(said_now(page).get_by_text("We know the picture is gone.")).to_be_visible()
    await expect(page.get_by_text("is for leads to change")).to_be_visible()
    await expect(page.get_by_role("button", name="Say something")).to_have_count(0)
    await expect(page.get_by_role("button", name=f"End it at {show}")).to_have_count(0)
