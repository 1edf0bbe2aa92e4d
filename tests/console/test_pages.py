"""Each page in light and in dark, wide and narrow: axe finds nothing, nothing is wider than the screen, nothing is forbidden."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from service.demo.night import Night
from tests.console.axe import AXE, Theme, violations
from tests.console.pages import PLACES, Place, busy_night, settled
from tests.console.people import NARROW, SMALLEST, WIDE, Console, takes

_TOO_WIDE: Final = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
THEMES: Final[tuple[Theme, ...]] = ("dark", "light")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def case(night: Night) -> str:
    """The escalated double charge among a full evening's cases."""
    return await busy_night(night)


@pytest.mark.parametrize("place", PLACES, ids=lambda one: one.name)
async def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(console: Console, case: str, place: Place) -> None:
    """Each page is loaded once and then looked at in every way: loading is what takes time."""
    page = await console.lead() if place.who == "lead" else await console.person(None)
    await page.add_init_script(path=AXE)
    await page.goto(place.path.format(case=case))
    await settled(page, place)
    assert (await page.title()).removesuffix(" · Makegood") not in {"", "Makegood"}
    found: dict[str, Any] = {}
    for width, height in (WIDE, NARROW, SMALLEST):
        await page.set_viewport_size({"width": width, "height": height})
        await settled(page, place)
        for theme in THEMES:
            if wrong := await violations(page, theme):
                found[f"{theme} at {width}"] = wrong
        if (beyond := await page.evaluate(_TOO_WIDE)) > 0:
            found[f"too wide at {width}"] = beyond
    assert found == {}


async def test_axe_finds_nothing_while_somebody_works(console: Console, case: str) -> None:
    """A case in hand, with what would happen, an answer half written, the dialogs and the help sheet."""
    page = await console.agent()
    await page.add_init_script(path=AXE)
    await page.goto(f"/desk/cases/{case}")
    await takes(page)
    found: dict[str, Any] = {}
    for step, (opens, shown) in _STEPS.items():
        await opens(page)
        await expect(shown(page)).to_be_visible()
        for theme in THEMES:
            if wrong := await violations(page, theme):
                found[f"{step}, {theme}"] = wrong
        if step in _DIALOGS:
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_have_count(0)
    assert found == {}


# What somebody does one after the other, and what is then to be seen.
_STEPS: Final[Mapping[str, tuple[Callable[[Page], Awaitable[None]], Callable[[Page], Locator]]]] = {
    "the case in hand": (
        lambda page: page.get_by_role("tab", name="Money").click(),
        lambda page: page.get_by_role("table", name="Charges"),
    ),
    "the keys": (lambda page: page.keyboard.press("?"), lambda page: page.get_by_role("dialog", name="Keys")),
    "what the customer sees": (lambda page: page.keyboard.press("v"), lambda page: page.get_by_text("This is what the customer reads")),
    "an answer": (lambda page: page.keyboard.press("c"), lambda page: page.get_by_role("textbox", name="Reply to the customer")),
    "texts": (
        lambda page: page.get_by_role("button", name="Texts", exact=True).click(),
        lambda page: page.get_by_role("listbox", name="Texts"),
    ),
    "what would happen": (
        lambda page: page.get_by_role("button", name=re.compile("Send back €45.00, the second")).click(),
        lambda page: page.get_by_role("textbox", name="Why, in your words"),
    ),
    "the end": (
        lambda page: page.get_by_role("button", name="End", exact=True).click(),
        lambda page: page.get_by_role("dialog", name="End the case"),
    ),
}
_DIALOGS: Final = ("the end", "the keys")


async def test_axe_does_find_a_button_without_a_name(console: Console) -> None:
    page = await console.person(None)
    await page.add_init_script(path=AXE)
    await page.goto("/desk/sign-in")
    await page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert [one for one in await violations(page) if one.startswith("button-name")]
