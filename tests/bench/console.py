"""The console in a real browser: how soon its first view stands, and how smoothly 1,000 rows scroll while the queue changes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from statistics import median
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from service.keys import Keys
from service.store.keys import Change, KeyStore
from tests.bench.client import Answer, Ask, connections, each
from tests.bench.ground import HOST, Ground, Server, line, serving
from tests.console.browser import ARGUMENTS, HOW, executable

ROWS: Final = 1000
# As full as the demo's queue is (service/demo/evening.py).
FEW: Final = 40
# One for each row, and for those that come while somebody scrolls.
ORDERS: Final = ROWS + 400
FIRST_VIEW_SECONDS_MAX: Final = 1.0
# Two frames of a screen of 60 Hz (33.3), which the browser's clock rounds: what is shorter is seen as smooth.
FRAME_MS_MAX: Final = 34.0
_VISITS: Final = 5
_FRAMES: Final = 300
_CLIENTS: Final = 8
# Between customers who come while somebody scrolls: a desk of some hundred agents on a bad night.
_NEXT_SECONDS: Final = 0.1
_PATIENCE_MS: Final = 60_000

# When the first row stood in the page, by the page's own clock, which begins with the visit.
_WATCH: Final = """
window.firstRow = new Promise((found) => {
  const look = () => (document.querySelector('[role=option]') ? found(performance.now()) : requestAnimationFrame(look));
  requestAnimationFrame(look);
});
"""
# From frame to frame, while the list moves by a row each: down, and up again at its end.
_SCROLL: Final = """async (frames) => {
  const list = document.querySelector('[role=listbox]');
  const taken = [];
  let by = 36;
  let last = await new Promise(requestAnimationFrame);
  while (taken.length < frames) {
    list.scrollTop += by;
    if (list.scrollTop <= 0 || list.scrollTop + list.clientHeight >= list.scrollHeight) by = -by;
    const now = await new Promise(requestAnimationFrame);
    taken.push(now - last);
    last = now;
  }
  return taken;
}"""


# What came over the wire for the page and what it loads; answers of the API are not counted.
_LOADED: Final = """() => performance.getEntriesByType('resource').filter((one) => one.name.includes('/desk/'))
  .concat(performance.getEntriesByType('navigation')).reduce((sum, one) => sum + one.transferSize, 0)"""


async def measure(at: Ground) -> AsyncIterator[str]:
    """The first view with as many cases as the demo has, then the list of 1,000, at rest and while it changes."""
    path = executable()
    if path is None:
        yield line("console_first_view", None, "s", skipped=HOW)
        return
    async with serving(at) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        await _wait_for_people(at, server, FEW)
        token = await _agent(at)
        yield await _first_view(browser, server, token)
        await _wait_for_people(at, server, ROWS - FEW)
        async with await _person(browser, server, token) as person:
            page = await person.new_page()
            await page.goto("/desk")
            await expect(page.get_by_role("option").first).to_have_attribute("aria-setsize", str(ROWS), timeout=_PATIENCE_MS)
            yield _frames("console_1000_rows_at_rest", await page.evaluate(_SCROLL, _FRAMES))
            yield await _while_it_changes(at, server, page)
        await browser.close()


async def _first_view(browser: Browser, server: Server, token: str) -> str:
    """Each visit with an empty cache, as on the first day."""
    seconds, bytes_loaded = [], 0
    for _ in range(_VISITS):
        async with await _person(browser, server, token) as person:
            await person.add_init_script(_WATCH)
            page = await person.new_page()
            await page.goto("/desk")
            seconds.append(await page.evaluate("window.firstRow") / 1000)
            bytes_loaded = await page.evaluate(_LOADED)
    took = median(seconds)
    return line(
        "console_first_view",
        round(took, 2),
        "s",
        limit=FIRST_VIEW_SECONDS_MAX,
        holds=took <= FIRST_VIEW_SECONDS_MAX,
        slowest=round(max(seconds), 2),
        visits=_VISITS,
        cases=FEW,
        bytes=bytes_loaded,
    )


async def _while_it_changes(at: Ground, server: Server, page: Page) -> str:
    """Customers keep coming until the scrolling ends."""
    came = itertools.count()

    async def crowd() -> None:
        while True:
            await _wait_for_people(at, server, 1)
            next(came)
            await asyncio.sleep(_NEXT_SECONDS)

    coming = asyncio.create_task(crowd())
    frames = await page.evaluate(_SCROLL, _FRAMES)
    coming.cancel()
    with suppress(asyncio.CancelledError):
        await coming
    return _frames("console_1000_rows", frames, came=next(came))


def _frames(name: str, frames: list[float], **more: Any) -> str:
    ordered = sorted(frames)
    p95 = ordered[int(len(ordered) * 0.95) - 1]
    return line(
        name,
        round(p95, 1),
        "ms",
        limit=FRAME_MS_MAX,
        holds=p95 <= FRAME_MS_MAX,
        median=round(median(ordered), 1),
        longest=round(ordered[-1], 1),
        frames=len(ordered),
        **more,
    )


async def _wait_for_people(at: Ground, server: Server, count: int) -> None:
    """So many customers more whose cases only people can end."""
    wrong: list[str] = []

    def heard(_: Ask, answer: Answer | Exception) -> None:
        if isinstance(answer, Exception) or answer.status != 201:
            wrong.append(repr(answer))

    async with connections(server.port, min(_CLIENTS, count)) as opened:
        await each(opened, at.asks("other", count, wait=0), heard)
    if wrong:
        raise RuntimeError(wrong[0])


async def _agent(at: Ground) -> str:
    keys, change = Keys(KeyStore(at.pool)), Change(actor="bench", why="looks at the queue")
    made = await keys.make_agent_key(at.platform, name="Mira", role="agent", skills=("support",), scopes=(), days=1, change=change)
    return made.token


async def _person(browser: Browser, server: Server, token: str) -> BrowserContext:
    address = f"http://{HOST}:{server.port}"
    context = await browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    headers = {"Makegood-Desk": "1", "Sec-Fetch-Site": "same-origin", "Origin": address}
    answer = await context.request.post("/v1/desk/sessions", data={"token": token}, headers=headers)
    if not answer.ok:
        raise RuntimeError(await answer.text())
    return context
