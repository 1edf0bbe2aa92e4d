"""`python -m tests.widget_ui.pictures [FOLDER]`: each state of the widget at 390 px, in light and in dark; `--wide`: on a desk."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from PIL import Image
from playwright.async_api import async_playwright

from tests.console.browser import ARGUMENTS, HOW, executable
from tests.widget_ui.states import STATES, USUAL, comes_to
from tests.widget_ui.stub import NARROW, open_stub

OUT: Final = Path(__file__).parents[2] / "docs" / "pictures" / "widget"
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


async def _take(folder: Path, only: Sequence[str], size: tuple[int, int]) -> None:
    path = executable()
    if path is None:
        raise SystemExit(HOW)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for state in STATES:
            if only and state.name not in only:
                continue
            answers: dict[str, Any] = {**USUAL, **state.answers}
            async with open_stub(browser, answers, signed_in=state.signed_in, size=size) as (page, _):
                await comes_to(page, state)
                for theme in THEMES:
                    await page.emulate_media(color_scheme=theme)
                    target = folder / f"{state.name}-{theme}.webp"
                    taken = Image.open(io.BytesIO(await page.screenshot(animations="disabled"))).convert("RGB")
                    taken.save(target, "WEBP", quality=85, method=6)
                    print(f"{target.name}: {target.stat().st_size // 1000} kB")
        await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.widget_ui.pictures", description="Pictures of each state of the widget.")
    parser.add_argument("folder", nargs="?", type=Path, default=OUT)
    parser.add_argument("--only", nargs="+", default=(), choices=[one.name for one in STATES])
    parser.add_argument("--wide", action="store_true")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take(chosen.folder, chosen.only, (1280, 800) if chosen.wide else NARROW))


if __name__ == "__main__":
    main()
