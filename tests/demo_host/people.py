"""Who watches the show: a phone or a computer each, watched for errors, for what the page forbids, and for requests to anybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Response, expect

from tests.patience import PATIENCE_MS

Device = Literal["phone", "desktop"]
SIZES: Final[dict[Device, tuple[int, int]]] = {"phone": (390, 844), "desktop": (1280, 900)}
HELP: Final = "makegood-help"

# Told of by the browser itself before any script of the page runs.
_LISTEN: Final = """
window.forbidden = [];
document.addEventListener('securitypolicyviolation', (e) => window.forbidden.push(`${e.effectiveDirective}: ${e.blockedURI} ${e.sample}`));
"""
# The widget keeps its inside to itself; a test looks there, as whoever controls the browser can.
_OPEN_SHADOWS: Final = """
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (options) { return attach.call(this, { ...options, mode: 'open' }); };
"""


class Audience:
    def __init__(self, browser: Browser, address: str) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.address = address
        self.wrong: list[str] = []

    async def viewer(self, device: Device, *, language: str = "en", path: str = "/demo/", axe: Path | None = None, **more: Any) -> Viewer:
        """Somebody new, at the page. `axe`: brought in before the page, so that its policy can stay as it is."""
        width, height = SIZES[device]
        context = await self._browser.new_context(
            base_url=self.address,
            locale="en-GB",
            timezone_id="Europe/Berlin",
            viewport={"width": width, "height": height},
            has_touch=device == "phone",
            is_mobile=device == "phone",
            **{"reduced_motion": "reduce", **more},
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(_LISTEN + _OPEN_SHADOWS)
        page = await context.new_page()
        if axe is not None:
            await page.add_init_script(path=axe)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("response", self._answered)
        page.on("request", self._asked)
        await page.goto(f"{path}?lang={language}")
        return Viewer(page, device)

    async def close(self) -> None:
        for context in self._contexts:
            for page in context.pages:
                self.wrong += [f"{page.url}: {one}" for one in await page.evaluate("window.forbidden")]
            await context.close()

    def _said(self, message: ConsoleMessage) -> None:
        # The browser's own words for an answer of 4xx: what it means is for the page to show, and for tests to look at.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.wrong.append(f"{message.location.get('url')}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} {response.request.method} {response.url}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "blob" and f"{parts.scheme}://{parts.netloc}" != self.address:
            self.wrong.append(f"asked somebody else: {request.url}")


@asynccontextmanager
async def open_audience(browser: Browser, address: str) -> AsyncIterator[Audience]:
    """At its end no page has broken a rule of its own, raised an error, asked anybody else, or made the service fail."""
    audience = Audience(browser, address)
    try:
        yield audience
    finally:
        await audience.close()
    assert audience.wrong == [], "\n".join(audience.wrong)


class Viewer:
    """Presses as they would: with a finger on a phone. `presses` counts those in the widget, from opening it on."""

    def __init__(self, page: Page, device: Device) -> None:
        self.page = page
        self.help = page.locator(HELP)
        self.presses = 0
        self._device = device
        self._part = 0.3

    async def press(self, what: Locator) -> None:
        self.presses += 1
        await self._press(what)

    async def _press(self, what: Locator) -> None:
        if self._device == "desktop":
            await what.click()
            return
        # Taps follow each other faster here than a finger's: on one and the same spot the second would be one of a double tap.
        self._part = 1 - self._part
        await what.wait_for()
        box = await what.bounding_box()
        assert box is not None
        await what.tap(position={"x": box["width"] * self._part, "y": box["height"] / 2})

    async def player_is(self, state: str) -> None:
        await expect(self.page.locator("#player")).to_have_attribute("data-state", state)

    async def switch(self, label: str, stands: Literal["on", "off"] = "on") -> None:
        """As it is pressed in the demo's strip."""
        fold = self.page.locator("details.fold")
        if await fold.get_attribute("open") is None:
            await self._press(fold.locator("summary").first)
        button = self.page.get_by_role("switch", name=label)
        await self._press(button)
        await expect(button).to_have_attribute("data-stands", stands)

    async def visitor(self) -> str:
        found: str = await self.page.evaluate("sessionStorage.getItem('demo.visitor')")
        return found
