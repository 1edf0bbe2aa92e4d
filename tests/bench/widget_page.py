"""The widget in a real browser on a phone's 3G: its size, how soon its launcher stands, and how soon a tap on it shows what is wrong."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
from playwright.async_api import Browser, Route, async_playwright, expect

from tests.bench.ground import HOST, SLUG, Ground, Server, line, serving
from tests.console.browser import ARGUMENTS, HOW, executable
from tests.widget_ui.stub import NARROW, OPEN_SHADOWS

ORDERS: Final = 1
BUILT: Final = Path(__file__).parents[2] / "service" / "ui" / "dist" / "widget"
BYTES_MAX: Final = 15_000
USABLE_SECONDS_MAX: Final = 3.0
# What browsers' own tools call a fast 3G: 1.6 Mbit/s down, 750 kbit/s up, 562 ms from a request to the first byte of its answer.
THREE_G: Final = {"offline": False, "latency": 562.5, "downloadThroughput": 1_600_000 / 8 * 0.9, "uploadThroughput": 750_000 / 8 * 0.9}
_VISITS: Final = 5
_PATIENCE_MS: Final = 60_000


async def measure(at: Ground) -> AsyncIterator[str]:
    """Each visit with an empty cache, as of somebody who has never been here; one customer with one order."""
    path = executable()
    if path is None:
        yield line("widget_usable_3g", None, "s", skipped=HOW)
        return
    yield _size()
    async with serving(at) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        visits = [await _visit(browser, server, at.token(1)) for _ in range(_VISITS)]
        await browser.close()
    for name, taken in (("widget_usable_3g", [one for one, _ in visits]), ("widget_from_tap_to_orders_3g", [two for _, two in visits])):
        took = median(taken)
        holds = took <= USABLE_SECONDS_MAX
        yield line(name, round(took, 2), "s", limit=USABLE_SECONDS_MAX, holds=holds, slowest=round(max(taken), 2), visits=_VISITS)


def _size() -> str:
    """The largest first view of all languages: the script and its first texts."""
    manifest: dict[str, Any] = msgspec.json.decode((BUILT / "manifest.json").read_bytes())
    script = _packed(manifest["file"])
    texts = {language: _packed(name) for language, name in manifest["languages"].items()}
    most = script + max(texts.values())
    return line("widget_first_view", most, "bytes", limit=BYTES_MAX, holds=most <= BYTES_MAX, script=script, texts=texts)


def _packed(name: str) -> int:
    return len(gzip.compress((BUILT / name).read_bytes(), 9, mtime=0))


async def _visit(browser: Browser, server: Server, token: str) -> tuple[float, float]:
    """Seconds from the page's start to a launcher that can be tapped, and from the tap to the customer's order."""
    context = await browser.new_context(base_url=f"http://{HOST}:{server.port}", viewport={"width": NARROW[0], "height": NARROW[1]})
    context.set_default_timeout(_PATIENCE_MS)
    await context.add_init_script(OPEN_SHADOWS)
    script = f'<script src="/widget/v1.js" data-platform="{SLUG}" data-show="live" data-token="{token}" async></script>'

    async def host(route: Route) -> None:
        page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Show</title>{script}<body><h1>Show</h1></body></html>'
        await route.fulfill(body=page, content_type="text/html")

    await context.route("**/a-show", host)
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.emulateNetworkConditions", THREE_G)
    await page.goto("/a-show", wait_until="commit")
    launcher = page.get_by_role("button", name="Help")
    await expect(launcher).to_be_visible(timeout=_PATIENCE_MS)
    usable: float = await page.evaluate("performance.now()")
    await launcher.click()
    await expect(page.get_by_text("Order B1")).to_be_visible(timeout=_PATIENCE_MS)
    shown: float = await page.evaluate("performance.now()")
    await context.close()
    return usable / 1000, (shown - usable) / 1000
