"""Each state of the widget, in light and in dark: axe finds nothing, nothing is wider than the screen, what one taps is large."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.promises.house import until
from tests.widget_ui.states import CASE, EVENTS, HELP, OPEN, STATES, USUAL, State, comes_to, writes
from tests.widget_ui.stub import case_events, open_stub

AXE: Final = Path(__file__).parents[2] / "service" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
# WCAG 2.2 AA, and what axe knows as good practice.
_TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_RUN: Final = """async (tags) => {
  const found = await axe.run('makegood-help', { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] });
  const where = (node) => `${node.target.join(' ')} ${node.failureSummary}`;
  return found.violations.map((one) => `${one.id} (${one.impact}): ${one.nodes.map(where).join(' | ')}`);
}"""
# Only colours differ between light and dark.
_COLOURS: Final = """async () => {
  const found = await axe.run('makegood-help', { runOnly: { type: 'rule', values: ['color-contrast'] }, resultTypes: ['violations'] });
  return found.violations.flatMap((one) => one.nodes.map((node) => node.target.join(' ') + node.failureSummary));
}"""
_MEASURE: Final = """() => {
  const root = document.querySelector('makegood-help').shadowRoot;
  const body = root.querySelector('.body');
  const seen = [...root.querySelectorAll('button, input, textarea, summary, a.b')].filter((one) => one.checkVisibility());
  const size = (one) => one.getBoundingClientRect();
  return {
    beyond: Math.max(0, body.scrollWidth - body.clientWidth, document.documentElement.scrollWidth - innerWidth),
    small: seen.filter((one) => size(one).height < 44 || size(one).width < 44).map((one) => one.textContent || one.name),
  };
}"""
SMALLEST: Final[ViewportSize] = {"width": 320, "height": 568}
NARROW: Final[ViewportSize] = {"width": 390, "height": 844}
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


class Look:
    """Looks at one page, each time it has come to something else; what was wrong, by where."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.found: dict[str, Any] = {}

    async def at(self, name: str, heading: str) -> None:
        page = self._page
        await expect(page.get_by_role("dialog").get_by_role("heading", name=heading, level=2)).to_be_visible()
        if violations := await page.evaluate(_RUN, list(_TAGS)):
            self.found[f"{name}, light"] = violations
        await page.emulate_media(color_scheme="dark")
        if violations := await page.evaluate(_COLOURS):
            self.found[f"{name}, dark"] = violations
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size(SMALLEST)
        self.found |= {f"{name}, {key}": value for key, value in (await page.evaluate(_MEASURE)).items() if value}
        await page.set_viewport_size(NARROW)


def named(name: str) -> State:
    return next(one for one in STATES if one.name == name)


async def taps(page: Page, name: str) -> None:
    await page.get_by_role("dialog").get_by_role("button", name=name).first.click()


async def test_axe_finds_nothing_on_the_way_to_a_problem(browser: Browser) -> None:
    """Each page is loaded once and led through what it can show: loading is what takes time."""
    async with open_stub(browser, USUAL, script=AXE.read_text()) as (page, _):
        look = Look(page)
        await comes_to(page, named("home"))
        await look.at("home", "How can we help?")
        await taps(page, "Something else")
        await look.at("topics", "What is it about?")
        await taps(page, "The stream")
        await look.at("problems", "The stream")
        await taps(page, "Back")
        await taps(page, "Money")
        await taps(page, "Money back")
        await look.at("which", "Which order is it about?")
        await taps(page, "Talk to a person")
        await taps(page, "Send")
        await expect(page.get_by_label("In your words")).to_be_focused()
        await look.at("tell", "What happened?")
    assert look.found == {}


async def test_axe_finds_nothing_on_the_way_to_a_code(browser: Browser) -> None:
    answers = {**USUAL, **named("code-wrong").answers}
    async with open_stub(browser, answers, signed_in=False, script=AXE.read_text()) as (page, _):
        look = Look(page)
        await comes_to(page, named("who"))
        await look.at("who", "Who are you?")
        await page.clock.install()
        await writes(page, "E-mail address", "mira@example.org")
        await taps(page, "Send me a code")
        await writes(page, "Six digits", "000000")
        await taps(page, "Confirm the code")
        await expect(page.get_by_label("Six digits")).to_have_attribute("aria-invalid", "true")
        await page.clock.fast_forward(61_000)
        await look.at("code", "Enter the code")
        await taps(page, "I cannot read that mailbox")
        await look.at("purchase", "Tell us about the purchase")
    assert look.found == {}


@pytest.mark.parametrize("name", ["home-notice", "home-empty", "moved", "where-account", "where-strong"])
async def test_axe_finds_nothing_on_what_is_rare(browser: Browser, name: str) -> None:
    state = named(name)
    async with open_stub(browser, {**USUAL, **state.answers}, signed_in=state.signed_in, script=AXE.read_text()) as (page, _):
        look = Look(page)
        await comes_to(page, state)
        await look.at(name, state.heading)
    assert look.found == {}


async def test_axe_finds_nothing_in_whatever_becomes_of_a_case(browser: Browser) -> None:
    """One page, told of one thing after the other by its stream."""
    states = [one for one in STATES if one.case is not None]
    async with open_stub(
        browser, {**USUAL, "POST /v1/cases": (202, OPEN), EVENTS: None, f"GET /v1/cases/{CASE}": OPEN}, script=AXE.read_text()
    ) as (page, stub):
        look = Look(page)
        await comes_to(page, named("working"))
        for version, state in enumerate(states, start=10):
            stub.answers[EVENTS] = case_events({**(state.case or {}), "version": version, "ended_at": None})
            await look.at(state.name, state.heading)
    assert len(states) > 8
    assert look.found == {}


async def test_axe_does_find_a_button_without_a_name(browser: Browser) -> None:
    async with open_stub(browser, USUAL, script=AXE.read_text()) as (page, _):
        await comes_to(page, STATES[0])
        await page.evaluate(
            "document.querySelector('makegood-help').shadowRoot.querySelector('.body').append(document.createElement('button'))"
        )
        assert [one for one in await page.evaluate(_RUN, list(_TAGS)) if one.startswith("button-name")]


@pytest.mark.parametrize("theme", THEMES)
async def test_in_arabic_it_reads_from_the_right(browser: Browser, theme: Literal["light", "dark"]) -> None:
    async with open_stub(browser, USUAL, lang="ar", script=AXE.read_text()) as (page, _):
        await page.emulate_media(color_scheme=theme)
        launcher = page.get_by_role("button", name="مساعدة")
        assert ((await launcher.bounding_box()) or {"x": 999})["x"] < 100
        await launcher.click()
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_role("heading", name="كيف يمكننا المساعدة؟")).to_be_visible()
        assert (
            await page.evaluate("getComputedStyle(document.querySelector('makegood-help').shadowRoot.querySelector('.body')).direction")
            == "rtl"
        )
        await expect(dialog.get_by_text("6.94")).to_be_visible()
        assert await page.evaluate(_RUN, list(_TAGS)) == []
        close = (await dialog.get_by_role("button", name="إغلاق").bounding_box()) or {"x": 999}
        assert close["x"] < 100


async def test_on_a_wide_screen_the_page_beside_it_stays_alive(browser: Browser) -> None:
    async with open_stub(browser, USUAL, size=(1280, 800), script=AXE.read_text()) as (page, _):
        await comes_to(page, STATES[0])
        assert await page.evaluate(_RUN, list(_TAGS)) == []
        box = (await page.get_by_role("dialog").bounding_box()) or {"width": 0}
        assert box["width"] == 400
        await page.get_by_role("button", name="Play").click()
        await expect(page.get_by_role("dialog")).to_be_visible()


async def test_a_platform_s_colour_is_its_accent_and_a_page_may_set_another(browser: Browser) -> None:
    hue = """() => {
      const paper = document.createElement('canvas').getContext('2d');
      paper.fillStyle = getComputedStyle(document.querySelector('makegood-help').shadowRoot.querySelector('.launcher')).backgroundColor;
      paper.fillRect(0, 0, 1, 1);
      const [red, green, blue] = paper.getImageData(0, 0, 1, 1).data;
      return red > green && red > blue ? 'red' : green > red ? 'green' : 'other';
    }"""
    async with open_stub(browser, {**USUAL, "GET /v1/help": {**HELP, "accent": "#0b6e5f"}}) as (page, _):
        await expect(page.locator("makegood-help .launcher")).to_be_visible()
        # The launcher is there before the platform has told its colour.
        await until(lambda: page.evaluate(hue), lambda found: found == "green")
        await page.evaluate("document.querySelector('makegood-help').style.setProperty('--makegood-accent', '#b00020')")
        assert await page.evaluate(hue) == "red"


async def test_it_comes_in_and_goes_out_by_keyboard_alone(browser: Browser) -> None:
    async with open_stub(browser, USUAL) as (page, stub):
        play = page.get_by_role("button", name="Play")
        # It comes when its texts have: a tabulator pressed before goes past its place.
        await expect(page.locator("makegood-help .launcher")).to_be_visible()
        await play.focus()
        await page.keyboard.press("Tab")
        await expect(page.locator("makegood-help .launcher")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="How can we help?")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="The stream was down")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="€6.94 sent back")).to_be_focused()
        await expect(page.get_by_role("status")).to_have_text("Done")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.locator("makegood-help .launcher")).to_be_focused()
        assert await page.evaluate("window.heard") == ["open", "resolved", "close"]
        # Opened by the page's own button, it goes back there.
        await play.focus()
        await page.evaluate("document.querySelector('makegood-help').open()")
        await expect(page.get_by_role("heading", name="How can we help?")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(play).to_be_focused()
        assert len(stub.posts("/v1/cases")) == 1
