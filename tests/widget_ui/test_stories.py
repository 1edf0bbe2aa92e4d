"""The widget against the running service: from one's first tap to money back, by a code, with people, and from a letter's link."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import jwt
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from service.demo.night import AUDIENCE, ISSUER, Night
from service.demo.people import signed_in
from service.demo.stage import LIVE, LIVE_SINCE, set_shows, ticket
from service.demo.world import Bought, bearer
from tests.patience import PATIENCE_MS
from tests.widget_ui.stub import NARROW, OPEN_SHADOWS, manifest

WIDE: Final = (1280, 800)
_CODE: Final = re.compile(r"\b\d{6}\b", re.ASCII)


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def shows(night: Night) -> None:
    """One is live, and was down for 25 of its 90 minutes."""
    await set_shows(night)
    began = datetime.now(UTC) - LIVE_SINCE + timedelta(minutes=10)
    await night.shop.incident(LIVE, "outage", began, began + timedelta(minutes=25))


async def order(night: Night, **more: Any) -> Bought:
    ref = uuid4().hex[:8].upper()
    return await night.shop.order(LIVE, [ticket()], ref=ref, customer_ref=f"customer-{ref}", **more)


def token_of(night: Night, bought: Bought) -> str:
    """With the address that the platform has proven: news of a notice is written to no other."""
    said = signed_in(night.signing_secret, subject=bought.customer_ref, issuer=ISSUER, audience=AUDIENCE)
    claims = jwt.decode(said, options={"verify_signature": False})
    return jwt.encode({**claims, "email": bought.email, "email_verified": True}, night.signing_secret, algorithm="HS256")


@asynccontextmanager
async def visit(
    browser: Browser, night: Night, bought: Bought | None, *, lang: str = "en", size: tuple[int, int] = NARROW
) -> AsyncIterator[Page]:
    """A page of the platform with the widget on it; at its end no script has failed."""
    context = await browser.new_context(
        base_url=night.address,
        locale="ar" if lang == "ar" else "en-GB",
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(OPEN_SHADOWS)
    token = "" if bought is None else f'data-token="{token_of(night, bought)}"'
    script = f'<script src="/widget/{manifest()["file"]}" data-platform="{night.desk.slug}" data-show="{LIVE}" {token} async></script>'

    async def page_of_platform(route: Route) -> None:
        body = f'<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>Show</title>{script}<body><h1>Show</h1></body></html>'
        await route.fulfill(body=body, content_type="text/html")

    await context.route("**/a-show", page_of_platform)
    wrong: list[str] = []
    page = await context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    await page.goto("/a-show")
    try:
        yield page
    finally:
        await context.close()
    assert wrong == []


async def taps(page: Page, name: str | re.Pattern[str]) -> None:
    await page.get_by_role("button", name=name).first.click()


def heading(page: Page, name: str | re.Pattern[str]) -> Any:
    return expect(page.get_by_role("heading", name=name))


async def refunded(night: Night, bought: Bought) -> int:
    return sum([(await night.books.line(one)).refunded_minor for one in bought.payments])


async def test_three_taps_from_open_to_money_back(browser: Browser, night: Night) -> None:
    bought = await order(night)
    async with visit(browser, night, bought) as page:
        await taps(page, "Help")
        await taps(page, "The stream was down")
        await taps(page, "Send back €12.50")
        await heading(page, "€12.50 sent back").to_be_visible()
        await expect(page.get_by_text("Visa ·· 4242").first).to_be_visible()
        await page.get_by_text("Proof").click()
        await expect(page.get_by_text(re.compile("^op_[0-9a-f]{32}$"))).to_be_visible()
        await taps(page, "Yes")
        await expect(page.get_by_text("Thank you.").first).to_be_visible()
    assert await refunded(night, bought) == 1250


async def test_in_arabic_at_a_desk_who_was_charged_twice_gets_the_second_back(browser: Browser, night: Night) -> None:
    bought = await order(night, charges=2)
    async with visit(browser, night, bought, lang="ar", size=WIDE) as page:
        await taps(page, "مساعدة")
        await taps(page, "خُصم المبلغ مرتين")
        await taps(page, re.compile("استرداد .*45"))
        await heading(page, re.compile("أُرسل إليك .*45")).to_be_visible()
    assert await refunded(night, bought) == 4500


async def test_a_guest_needs_an_address_and_a_code(browser: Browser, night: Night) -> None:
    """Nothing of the order shows before, and a wrong code keeps everything as it was."""
    bought = await order(night)
    async with visit(browser, night, None) as page:
        await taps(page, "Help")
        await page.get_by_label("E-mail address").fill(bought.email)
        await taps(page, "Send me a code")
        found = _CODE.search((await night.mails.until(bought.email)).text)
        assert found is not None
        wrong = f"{(int(found[0]) + 1) % 1_000_000:06}"
        await page.get_by_label("Six digits").fill(wrong)
        await taps(page, "Confirm the code")
        await expect(page.get_by_text("This code does not work").first).to_be_visible()
        assert bought.ref not in await page.locator("makegood-help").inner_text()
        await page.get_by_label("Six digits").fill(found[0])
        await taps(page, "Confirm the code")
        await expect(page.get_by_text(f"Order {bought.ref}")).to_be_visible()
        await taps(page, "The stream was down")
        await taps(page, "Send back €12.50")
        await heading(page, "€12.50 sent back").to_be_visible()
    assert await refunded(night, bought) == 1250


async def test_a_person_takes_it_answers_and_is_answered(browser: Browser, night: Night) -> None:
    bought = await order(night)
    async with visit(browser, night, bought) as page:
        await taps(page, "Help")
        await taps(page, "Talk to a person")
        await page.get_by_label("In your words").fill("Can I bring my own headphones?")
        await taps(page, "Send")
        await heading(page, "Your request is with our team").to_be_visible()
        case = await page.evaluate("Object.entries(sessionStorage).find(([name]) => name.endsWith(':case'))[1]")
        desk = bearer(night.desk.agent, uuid4().hex)
        taken = await night.client.post("/v1/queue/take", json={"case": case}, headers=desk)
        assert taken.is_success, taken.text
        await heading(page, "Mira has your request").to_be_visible()
        # Loaded anew in the middle, with words half written.
        await page.get_by_label("Your message").fill("They are wired.")
        await page.reload()
        await heading(page, "Mira has your request").to_be_visible()
        await expect(page.get_by_label("Your message")).to_have_value("They are wired.")
        answered = await night.client.post(
            f"/v1/cases/{case}/replies", json={"body": "Please do."}, headers=bearer(night.desk.agent, uuid4().hex)
        )
        assert answered.is_success, answered.text
        await expect(page.get_by_text("Please do.").first).to_be_visible()
        await taps(page, "Send")
        await expect(page.get_by_role("listitem").filter(has_text="They are wired.")).to_be_visible()


async def test_what_the_lead_says_is_on_the_open_widget_at_once(browser: Browser, night: Night) -> None:
    bought = await order(night)
    lead = bearer(night.desk.lead)
    async with visit(browser, night, bought) as page:
        await taps(page, "Help")
        await heading(page, "How can we help?").to_be_visible()
        text = {one: f"We know ({one})" for one in ("en", "de", "fr", "es", "ja", "ar")}
        said = await night.client.put(f"/v1/shows/{LIVE}/notice", json={"text": text, "reason": "the stream"}, headers=lead)
        assert said.is_success, said.text
        await expect(page.get_by_text("We know (en)").first).to_be_visible()
        await taps(page, "E-mail me when this changes")
        await expect(page.get_by_text("We e-mail you when this changes.")).to_be_visible()
        ended = await night.client.delete(f"/v1/shows/{LIVE}/notice", params={"reason": "over"}, headers=lead)
        assert ended.is_success, ended.text
        await expect(page.get_by_text("It is over")).to_be_visible()


async def test_a_letter_s_link_shows_nothing_before_the_app_or_a_code_says_who_it_is(browser: Browser, night: Night) -> None:
    bought = await order(night)
    body = {"problem": "other", "order": bought.ref, "show": LIVE, "channel": "api", "message": "Where are my seats?"}
    opened = await night.client.post("/v1/cases", json=body, headers=bearer(night.desk.platform, uuid4().hex))
    case = opened.json()["id"]
    context = await browser.new_context(base_url=night.address, locale="en-GB", viewport={"width": 390, "height": 844})
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(OPEN_SHADOWS)
    page = await context.new_page()
    await page.goto(f"/help/{night.desk.slug}/{case}")
    await heading(page, "Who are you?").to_be_visible()
    await expect(page.get_by_text("Your request is safe")).to_be_visible()
    # In an app: it asks its host, which answers with a token.
    app = """window.makegoodHost = { postMessage: (text) => {
      if (JSON.parse(text).type === 'token') window.postMessage({ type: 'makegood:token', token: '%s' }, location.origin);
    } };"""
    await page.add_init_script(app % token_of(night, bought))
    await page.reload()
    await heading(page, "Your request is with our team").to_be_visible()
    await expect(page.get_by_role("listitem").filter(has_text="Where are my seats?")).to_be_visible()
    # The same link for somebody else.
    await page.add_init_script(app % token_of(night, await order(night)))
    await page.reload()
    await heading(page, "How can we help?").to_be_visible()
    await expect(page.get_by_text("Where are my seats?")).to_have_count(0)
    await context.close()
