"""Pages of others with the widget on them: a small server for each origin, and a browser that says what the widget did to its host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Request

from tests.patience import PATIENCE_MS

HOST: Final = "127.0.0.1"
NONCE: Final = "bm9uY2Utb2YtdGhlLWhvc3Q"

# Before anything of the page: what the browser forbids, how the widget asks for its shadow, and that shadow opened for the test to look
# into, which a host's page can do as well.
LISTEN: Final = """
window.forbidden = []; window.shadows = [];
document.addEventListener('securitypolicyviolation', (e) => window.forbidden.push(`${e.effectiveDirective}: ${e.blockedURI} ${e.sample}`));
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (options) {
  window.shadows.push(options.mode);
  return attach.call(this, { ...options, mode: 'open' });
};
"""
# The first script of each host's page: what is there before the widget.
NAMES: Final = "window.names = new Set(Reflect.ownKeys(window)); window.names.add('names');"
LEFT: Final = "Reflect.ownKeys(window).map((one) => names.has(one) ? '' : String(one)).filter((one) => one && !one.includes('playwright'))"
# All that the host's own elements look like, and where they are.
LOOKS: Final = """Object.fromEntries([...document.querySelectorAll('html, body, [data-host]')].map((one, at) => {
  const style = getComputedStyle(one), { x, y, width, height } = one.getBoundingClientRect();
  return [`${at} ${one.tagName}`, [[x, y, width, height].join(), ...[...style].map((name) => `${name}: ${style.getPropertyValue(name)}`)]];
}))"""
# And what the widget looks like itself.
INSIDE: Final = """[...document.querySelector('makegood-help').shadowRoot.querySelectorAll('.root *')].map((one) => {
  const style = getComputedStyle(one), { right, bottom, width, height } = one.getBoundingClientRect();
  const names = [...style].filter((name) => !name.startsWith('--'));
  return [[right, bottom, width, height].join(), ...names.map((name) => `${name}: ${style.getPropertyValue(name)}`)];
}).concat([['opacity', 'filter', 'transform', 'visibility'].map((name) => getComputedStyle(help)[name])])"""
DIRECTION: Final = "getComputedStyle(document.querySelector('makegood-help').shadowRoot.querySelector('[part=body]')).direction"
# What stays on the device is the widget's, and says so.
KEPT: Final = "[...Object.keys(localStorage), ...Object.keys(sessionStorage)].filter((one) => !one.startsWith('makegood:'))"
HTML: Final = 'lang="en"'
# Of the host's own choosing, so that it is there before the platform's.
THEME: Final = "makegood-help { --makegood-accent: #0b6e5f; }"
NATIVE: Final = """[fetch, Element.prototype.append, EventTarget.prototype.addEventListener, history.pushState, JSON.parse]
  .filter((one) => !Function.prototype.toString.call(one).includes('[native code]')).length"""


class Pages:
    """The pages of one origin. `token`: what its `/makegood-token` gives to whoever asks; None: nobody is signed in."""

    def __init__(self) -> None:
        self.origin = ""
        self.token: str | None = None
        self._pages: dict[str, tuple[Mapping[str, str], bytes]] = {}

    def put(self, path: str, page: str, headers: Mapping[str, str] | None = None) -> str:
        """Its address."""
        self._pages[path] = ({"Content-Type": "text/html; charset=utf-8", **(headers or {})}, page.encode())
        return f"{self.origin}{path}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Pages]:
        server = await asyncio.start_server(self._answer, HOST, 0)
        self.origin = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        path = urlsplit(request.split(" ")[1]).path
        status, headers, body = 200, *self._pages.get(path, ({"Content-Type": "text/plain"}, b""))
        if path == "/makegood-token":
            status, headers, body = 200, {"Content-Type": "application/json"}, json.dumps({"token": self.token}).encode()
        elif path not in self._pages:
            status = 404
        said = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join(said).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()


class Seen:
    """What happened on a page: requests by origin, errors of scripts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[Request] = []
        self.wrong: list[str] = []
        page.on("request", lambda one: self.requests.append(one))  # noqa: PLW0108 - Playwright marks what it is given
        page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def origins(self) -> set[str]:
        asked = (urlsplit(one.url) for one in self.requests if not one.url.startswith(("data:", "blob:", "chrome")))
        return {f"{one.scheme}://{one.netloc}" for one in asked}

    def to(self, path: str) -> list[Request]:
        return [one for one in self.requests if urlsplit(one.url).path == path]

    def tokens(self) -> set[str]:
        """What was shown to anybody as a bearer token."""
        return {one.headers["authorization"].removeprefix("Bearer ") for one in self.requests if "authorization" in one.headers}


@asynccontextmanager
async def looking(browser: Browser, *, size: tuple[int, int] = (1280, 800), script: str = "", **more: Any) -> AsyncIterator[Seen]:
    context = await browser.new_context(
        **{
            "locale": "en-GB",
            "timezone_id": "Europe/Berlin",
            "viewport": {"width": size[0], "height": size[1]},
            "reduced_motion": "reduce",
            **more,
        }
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(LISTEN + script)
    try:
        yield Seen(await context.new_page())
    finally:
        await context.close()


def host_page(
    service: str, *, show: str, style: str = "", html: str = HTML, head: str = "", body: str = "", with_widget: bool = True
) -> str:
    """A page of a shop's: its own words and fields, a counter of keys that it hears, and the line that embeds the widget."""
    line = f'<script nonce="{NONCE}" src="{service}/widget/v1.js" async></script>' if with_widget else ""
    element = f'<makegood-help platform="demo" show="{show}"></makegood-help>' if with_widget else ""
    return f"""<!doctype html><html {html}><head><meta charset="utf-8"><title>A show</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script nonce="{NONCE}">{NAMES}{head}</script><style nonce="{NONCE}">{THEME}{style}</style></head>
<body><header data-host class="bar">The shop</header>
<main data-host><h1 data-host>A show</h1><p data-host>Words <a data-host href="#x">here</a></p>
<form data-host><label data-host>Seats <input data-host id="seats"></label></form><button data-host id="play">Play</button>
<table data-host><tr data-host><td data-host>1</td></tr></table></main>{body}
{element}<script nonce="{NONCE}">
const help = document.querySelector("makegood-help");
if (help) help.getToken = async () => (await (await fetch("/makegood-token")).json()).token;
window.keys = [];
document.addEventListener("keydown", (event) => window.keys.push(event.key));
for (const one of ["help", "keys"]) window.names.add(one);
</script>{line}</body></html>"""
