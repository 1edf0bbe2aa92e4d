"""The show page and the page with both sides: plays and stops, keeps nobody out, fits every screen, loads from nobody else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from service.demo.host import SHOW
from tests.demo_host.conftest import Demo
from tests.demo_host.people import HELP, Audience
from tests.demo_host.words import says
from tests.promises.house import until

AXE: Final = Path(__file__).parents[2] / "service" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
# WCAG 2.2 AA, and what axe knows as good practice. What stands in frames has tests of its own.
_RUN: Final = """async () => {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const found = await axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'], iframes: false });
  const where = (node) => `${node.target.join(' ')} ${node.failureSummary}`;
  return found.violations.map((one) => `${one.id} (${one.impact}): ${one.nodes.map(where).join(' | ')}`);
}"""
_TOO_WIDE: Final = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Between two pictures so many frames of the screen go by: at 24 pictures a second some would have changed.
_MOVES: Final = """async () => {
  const canvas = document.getElementById('picture');
  const first = canvas.toDataURL();
  for (let n = 0; n < 12; n += 1) await new Promise((next) => requestAnimationFrame(next));
  return canvas.toDataURL() !== first;
}"""
Look = tuple[int, Literal["light", "dark"]]
_EVEN: Final[tuple[Look, ...]] = ((1280, "light"), (390, "dark"), (320, "light"))
_ODD: Final[tuple[Look, ...]] = ((1280, "dark"), (390, "light"), (320, "dark"))


async def _wrong(page: Page, state: str, looks: tuple[Look, ...]) -> dict[str, Any]:
    """What axe finds, and by how much the page is wider than the screen."""
    found: dict[str, Any] = {}
    for width, theme in looks:
        await page.set_viewport_size({"width": width, "height": 844})
        await page.emulate_media(color_scheme=theme)
        violations, beyond = await page.evaluate(_RUN), await page.evaluate(_TOO_WIDE)
        if violations or beyond > 0:
            found[f"{state}, {theme} at {width}"] = (violations, beyond)
    return found


async def test_axe_finds_nothing_on_the_show_page_and_nothing_is_wider_than_the_screen(demo: Demo, audience: Audience) -> None:
    viewer = await audience.viewer("desktop", axe=AXE)
    await viewer.player_is("playing")
    found = await _wrong(viewer.page, "playing", _EVEN)
    await viewer.page.set_viewport_size({"width": 1280, "height": 844})
    await viewer.switch("Link dead")
    await viewer.player_is("dead")
    visitor = await viewer.visitor()
    await demo.night.client.post("/demo/api/switch", json={"visitor": visitor, "name": "charged_twice", "on": True})
    await viewer.page.get_by_role("button", name="Mailbox").click()
    await expect(viewer.page.get_by_role("region", name="Sandbox mailbox")).to_contain_text("Nothing yet")
    assert {**found, **await _wrong(viewer.page, "link dead, mailbox open", _ODD)} == {}


async def test_axe_finds_nothing_on_the_page_with_both_sides(audience: Audience) -> None:
    viewer = await audience.viewer("desktop", path="/demo/both", axe=AXE)
    await expect(viewer.page.frame_locator("#desk-frame").get_by_text("Mira").first).to_be_visible()
    assert await _wrong(viewer.page, "both", _EVEN) == {}


async def test_the_page_speaks_the_language_that_was_chosen_from_right_to_left_too(audience: Audience) -> None:
    viewer = await audience.viewer("phone", axe=AXE)
    await viewer.player_is("playing")
    await viewer.page.locator("details.fold > summary").tap()
    await viewer.page.get_by_role("combobox", name="Language of the page").select_option("ar")
    await expect(viewer.page.get_by_role("heading", level=1)).to_have_text("أمسية تحت الشفق القطبي")
    await expect(viewer.page.locator("html")).to_have_attribute("dir", "rtl")
    await viewer.player_is("playing")
    await expect(viewer.page.locator(HELP).get_by_role("button", name=says("ar", "launcher")).first).to_be_visible()
    assert await viewer.page.evaluate(_RUN) == []
    assert await viewer.page.evaluate(_TOO_WIDE) <= 0


async def test_the_picture_moves_until_it_is_paused_or_the_stream_stops(demo: Demo, audience: Audience) -> None:
    viewer = await audience.viewer("desktop", reduced_motion="no-preference")
    page = viewer.page
    await viewer.player_is("playing")
    assert await page.evaluate(_MOVES)

    await page.get_by_role("button", name="Pause", exact=True).click()
    await viewer.player_is("paused")
    assert not await page.evaluate(_MOVES)
    await page.get_by_role("button", name="Play", exact=True).click()

    await page.get_by_label("Quality").select_option("360")
    await expect(page.locator("#picture")).to_have_attribute("height", "360")

    visitor = await viewer.visitor()
    try:
        await demo.host.switch(visitor, "stream_down", on=True)
        await viewer.player_is("down")
        assert not await page.evaluate(_MOVES)
        await expect(page.get_by_role("button", name="Play", exact=True)).to_be_disabled()
    finally:
        await demo.host.switch(visitor, "stream_down", on=False)
    await viewer.player_is("playing")
    assert await page.evaluate(_MOVES)


async def test_a_link_that_is_opened_here_plays_and_leaves_the_address(demo: Demo, audience: Audience) -> None:
    viewer = await audience.viewer("desktop")
    await viewer.player_is("playing")
    visitor = await viewer.visitor()
    token = (await demo.host.state(visitor)).token
    await demo.host.switch(visitor, "link_dead", on=True)
    await viewer.player_is("dead")
    await demo.host.switch(visitor, "link_dead", on=False)
    fresh = (await demo.host.state(visitor)).token
    assert fresh != token
    await viewer.page.evaluate("(token) => { location.hash = `t=${token}`; }", fresh)
    # Its player may have heard of the new link already: that it plays does not say that the address was read.
    await until(lambda: viewer.page.evaluate("location.hash"), lambda found: found == "")
    await viewer.player_is("playing")


async def test_another_visitor_begins_with_another_order(audience: Audience) -> None:
    viewer = await audience.viewer("desktop")
    await viewer.player_is("playing")
    first = await viewer.page.locator(".ref").text_content()
    await viewer.page.get_by_role("button", name="Start over").click()
    await viewer.player_is("playing")
    await expect(viewer.page.locator(".ref")).not_to_have_text(first or "")


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "ja", "ar"])
async def test_a_guest_finds_the_address_to_type_in_the_ticket_and_in_the_mailbox(demo: Demo, audience: Audience, language: str) -> None:
    viewer = await audience.viewer("phone", language=language)
    await viewer.player_is("playing")
    await viewer.page.locator("details.fold > summary").tap()
    await viewer.page.get_by_role("button", name="Guest").tap()
    await expect(viewer.page.get_by_role("button", name="Guest")).to_have_attribute("aria-pressed", "true")
    bought = (await demo.host.come(await viewer.visitor())).bought
    await expect(viewer.page.locator("#email")).to_have_text(bought.email)
    # The strip stays open for whoever opened it, though the page has begun anew.
    await viewer.page.get_by_role("button", name="Mailbox").tap()
    mailbox = viewer.page.get_by_role("region", name="Sandbox mailbox")
    await expect(mailbox).to_contain_text(bought.email)
    await expect(mailbox).to_contain_text(bought.phone)
    await expect(mailbox.locator("p")).to_have_attribute("lang", language)


async def test_on_a_phone_the_mailbox_opens_above_the_help_and_the_code_is_read_and_typed(demo: Demo, audience: Audience) -> None:
    viewer = await audience.viewer("phone")
    page = viewer.page
    await viewer.player_is("playing")
    await page.locator("details.fold > summary").tap()
    await page.get_by_role("button", name="Guest").tap()
    await expect(page.get_by_role("button", name="Guest")).to_have_attribute("aria-pressed", "true")
    bought = (await demo.host.come(await viewer.visitor())).bought
    await viewer.help.get_by_role("button", name=says("en", "launcher")).first.tap()
    await viewer.help.get_by_label(says("en", "email")).fill(bought.email)
    await viewer.help.get_by_role("button", name=says("en", "send_code")).tap()
    over = page.locator(".over-help")
    await expect(over).to_contain_text("1 new")

    box = await over.bounding_box()
    assert box is not None
    for name in ("back", "close"):
        button = await viewer.help.get_by_role("button", name=says("en", name), exact=True).bounding_box()
        assert button is not None
        assert button["x"] + button["width"] <= box["x"] or box["x"] + box["width"] <= button["x"], name
    await page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    sheet = page.get_by_role("dialog", name="Sandbox mailbox")
    await sheet.locator("summary").tap()
    code = re.search(r"\b\d{6}\b", await sheet.locator(".letter").inner_text())
    assert code is not None
    await sheet.get_by_role("button", name="Close").tap()
    await expect(sheet).to_be_hidden()
    await viewer.help.get_by_label(says("en", "code_label")).fill(code[0])
    await viewer.help.get_by_role("button", name=says("en", "confirm_code")).tap()
    await expect(viewer.help.get_by_text(bought.order).first).to_be_visible()

    await viewer.help.get_by_role("button", name=says("en", "close"), exact=True).tap()
    await expect(over).to_be_hidden()
    await page.get_by_role("button", name="Mailbox").tap()
    await expect(page.get_by_role("region", name="Sandbox mailbox").locator("summary")).to_be_visible()


async def test_the_page_says_what_of_an_outage_the_demo_has_played(demo: Demo, audience: Audience) -> None:
    viewer = await audience.viewer("desktop", language="de")
    await viewer.player_is("playing")
    visitor = await viewer.visitor()
    line = viewer.page.locator("#outage")
    try:
        await demo.host.switch(visitor, "stream_down", on=True)
        await expect(line).to_contain_text("Die Demo hat den Stream um")
    finally:
        state = await demo.host.switch(visitor, "stream_down", on=False)
    assert state.outage is not None
    assert state.outage.until is not None
    zone = ZoneInfo("Europe/Berlin")
    since, until = (one.astimezone(zone).strftime("%H:%M") for one in (state.outage.since, state.outage.until))
    await expect(line).to_contain_text(f"von {since} bis {until}")
    late = await audience.viewer("phone", language="ar")
    # On a clock of twelve hours.
    await expect(late.page.locator("#outage")).to_contain_text(until[2:])


async def test_both_sides_show_one_customer(demo: Demo, audience: Audience) -> None:
    """What is switched in the strip happens on the phone; what the phone asks for, the desk can open."""
    viewer = await audience.viewer("desktop", path="/demo/both")
    page = viewer.page
    phone, desk = page.frame_locator("#customer-frame"), page.frame_locator("#desk-frame")
    await expect(phone.locator("#player")).to_have_attribute("data-state", "playing")
    await expect(desk.get_by_text("Mira").first).to_be_visible()
    await expect(phone.get_by_role("switch")).to_have_count(0)

    await viewer.switch("Link dead")
    await expect(phone.locator("#player")).to_have_attribute("data-state", "dead")
    await phone.get_by_role("button", name="Get help").click()
    await phone.locator(HELP).get_by_role("button", name=says("en", "l_link_dead")).click()
    await phone.locator(HELP).get_by_role("button", name=says("en", "b_reissue_access")).click()
    await expect(phone.locator("#player")).to_have_attribute("data-state", "playing")

    await page.get_by_role("button", name="Show this customer's case").click()
    order = (await demo.host.come(await viewer.visitor())).bought.order
    await expect(desk.get_by_text(order).first).to_be_visible()


async def test_on_a_narrow_screen_the_sides_are_tabs(audience: Audience) -> None:
    viewer = await audience.viewer("phone", path="/demo/both")
    page = viewer.page
    await expect(page.locator("#customer-frame")).to_be_visible()
    await expect(page.locator("#desk-frame")).to_be_hidden()
    await page.get_by_role("tab", name="Customer").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Desk")).to_be_focused()
    await expect(page.locator("#desk-frame")).to_be_visible()
    await expect(page.locator("#customer-frame")).to_be_hidden()


async def test_the_widget_is_there_by_the_one_line_alone(demo: Demo, audience: Audience) -> None:
    """The page's own script makes no element of it: it only says how a token is had."""
    viewer = await audience.viewer("desktop")
    await viewer.player_is("playing")
    line = viewer.page.locator(f"script[data-platform='{demo.night.desk.slug}'][data-show='{SHOW}']")
    await expect(line).to_have_count(1)
    await expect(viewer.page.locator(HELP)).to_have_count(1)
