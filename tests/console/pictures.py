"""`python -m tests.console.pictures [FOLDER]`: a picture of each page of the console, in light and in dark; `--narrow`: on a phone too."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from PIL import Image
from playwright.async_api import Page, async_playwright, expect

from service.demo.evening import open_evening
from service.demo.ground import hold_ground
from service.demo.night import Night, open_night
from service.demo.stage import PLATFORM
from tests.console.browser import ARGUMENTS, HOW, executable
from tests.console.pages import PLACES, Place, busy_night, settled
from tests.console.people import NARROW, WIDE, Console, open_console

OUT: Final = Path(__file__).parents[2] / "docs" / "pictures"
# What a page of the README may cost its reader.
_BYTES_MAX: Final = 200_000
_QUALITIES: Final = (85, 70, 50)

# By how long before now: the same for a case each time it is asked.
_BACK: Final = "make_interval(secs => ('x' || substr(md5(id::text), 1, 4))::bit(16)::int % 3300)"
_SPREAD_CASES: Final = f"""
UPDATE cases SET created_at = created_at - {_BACK}, ended_at = ended_at - {_BACK} * 0.8,
    queued_at = queued_at - CASE state WHEN 'open' THEN {_BACK} * 0.3 ELSE interval '0' END
"""
_SPREAD_OPERATIONS: Final = f"UPDATE operation SET created_at = created_at - {_BACK}"


async def _take(folder: Path, only: Sequence[str], sizes: Mapping[str, tuple[int, int]]) -> None:
    path = executable()
    if path is None:
        raise SystemExit(HOW)
    with tempfile.TemporaryDirectory(prefix="mg-", ignore_cleanup_errors=True) as data, hold_ground(Path(data)) as ground:
        settings = await ground.prepare()
        async with open_night(settings, platform=PLATFORM) as night, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
            case = await busy_night(night, 90)
            await _becomes_an_hour(night)
            async with open_console(browser, night.address, night.desk, night.pool) as console:
                for place in PLACES:
                    if not only or place.name in only:
                        await _each(console, place, case, folder, sizes)
            await browser.close()


async def _becomes_an_hour(night: Night) -> None:
    """The desk sees to some of it, and all of it happened within the last hour instead of the last minute."""
    async with open_evening(night) as evening:
        for turn in range(60):
            await evening.works(turn)
    await night.pool.execute(_SPREAD_CASES)
    await night.pool.execute(_SPREAD_OPERATIONS)


async def _at_work(page: Page) -> None:
    """The case in hand, with what its first suggestion would do."""
    await page.get_by_role("button", name="Take", exact=True).click()
    await page.get_by_role("button", name=re.compile("Send back €45.00, the second")).click()
    reason = page.get_by_role("textbox", name="Why, in your words")
    await reason.fill("The refund by hand was for the T-shirt")
    await expect(page.get_by_text("Mira took the case")).to_be_visible()


async def _each(console: Console, place: Place, case: str, folder: Path, sizes: Mapping[str, tuple[int, int]]) -> None:
    token = console.desk.agent if place.name == "case" else console.desk.lead if place.who == "lead" else None
    page = await console.person(token)
    await page.goto(place.path.format(case=case))
    await settled(page, place)
    if place.name == "case":
        await _at_work(page)
    for name, (width, height) in sizes.items():
        await page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme=theme)
            await settled(page, place)
            target = folder / f"{place.name}-{theme}{name}.webp"
            target.write_bytes(await _picture(page))
            print(f"{target.name}: {target.stat().st_size // 1000} kB")


async def _picture(page: Page) -> bytes:
    """As good as it can be within the bound."""
    taken = Image.open(io.BytesIO(await page.screenshot(animations="disabled"))).convert("RGB")
    for quality in _QUALITIES:
        out = io.BytesIO()
        taken.save(out, "WEBP", quality=quality, method=6)
        if out.tell() <= _BYTES_MAX:
            break
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.console.pictures", description="Pictures of each page of the console.")
    parser.add_argument("folder", nargs="?", type=Path, default=OUT)
    parser.add_argument("--only", nargs="+", default=(), choices=[one.name for one in PLACES])
    parser.add_argument("--narrow", action="store_true")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    asyncio.run(_take(chosen.folder, chosen.only, {"": WIDE, "-narrow": NARROW} if chosen.narrow else {"": WIDE}))


if __name__ == "__main__":
    main()
