"""A widget before a service that says what it is told to: for looking at each state, and for what no real service does on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Request, Route

from tests.patience import PATIENCE_MS

BUILT: Final = Path(__file__).parents[2] / "service" / "ui" / "dist" / "widget"
AT: Final = "https://help.example"
NARROW: Final = (390, 844)
# What a strict page of others allows: scripts by nonce, no styles but its own, nothing inline.
POLICY: Final = f"default-src 'none'; script-src 'nonce-n0nce'; connect-src {AT}; img-src blob:; style-src 'self'; base-uri 'none'"

Json = dict[str, Any]
Answers = Mapping[str, Any]
"""`GET /v1/help` -> what is answered; a tuple: status and body; a function of the request; None: nobody answers"""


def manifest() -> Json:
    found: Json = json.loads((BUILT / "manifest.json").read_text())
    return found


def host_page(attributes: str, *, lang: str = "en") -> str:
    """A page of a platform's, with something to come back to."""
    built = manifest()
    return f"""<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>A show</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script nonce="n0nce" src="/widget/{built["file"]}" integrity="{built["integrity"]}" {attributes} async></script></head>
<body><main><h1>A show</h1><button type="button">Play</button></main></body></html>"""


class Stub:
    """What the service answers on one page; `asked` has every request for `/v1/`."""

    def __init__(self, answers: Answers) -> None:
        self.answers: dict[str, Any] = dict(answers)
        self.asked: list[Request] = []
        self.wrong: list[str] = []
        """errors of scripts, and what the page's policy has forbidden"""
        self.attributes = ""
        self.lang = "en"

    async def serve(self, route: Route) -> None:
        request = route.request
        path = urlsplit(request.url).path
        if path.startswith("/widget/"):
            file = BUILT / path.removeprefix("/widget/")
            kind = "text/javascript" if file.suffix == ".js" else "application/json"
            await route.fulfill(body=file.read_bytes(), content_type=kind, headers={"Access-Control-Allow-Origin": "*"})
        elif path.startswith("/v1/"):
            self.asked.append(request)
            await self._answer(route, f"{request.method} {path}")
        else:
            page = host_page(self.attributes, lang=self.lang)
            await route.fulfill(body=page, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def _answer(self, route: Route, name: str) -> None:
        found = self.answers.get(name, (404, {"type": "urn:makegood:problem:not_found", "title": "There is nothing here", "status": 404}))
        if callable(found):
            found = found(route.request)
        if found is None:
            await route.abort()
            return
        status, body = found if isinstance(found, tuple) else (200, found)
        if isinstance(body, str):
            await route.fulfill(status=status, body=body, content_type="text/event-stream")
        else:
            await route.fulfill(status=status, json=body, content_type="application/json" if status < 400 else "application/problem+json")

    def posts(self, path: str) -> list[Request]:
        return [one for one in self.asked if one.method == "POST" and urlsplit(one.url).path == path]


# The widget keeps its inside to itself; a test looks there, as whoever controls the browser can.
OPEN_SHADOWS: Final = """
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (options) { return attach.call(this, { ...options, mode: 'open' }); };
"""
_LISTEN: Final = """
window.forbidden = []; window.heard = [];
document.addEventListener('securitypolicyviolation', (e) => window.forbidden.push(`${e.effectiveDirective}: ${e.blockedURI} ${e.sample}`));
for (const name of ['open', 'close', 'resolved']) addEventListener(`makegood:${name}`, () => window.heard.push(name));
"""


@asynccontextmanager
async def open_stub(
    browser: Browser,
    answers: Answers,
    *,
    signed_in: bool = True,
    lang: str = "en",
    size: tuple[int, int] = NARROW,
    script: str = "",
    has_touch: bool = False,
) -> AsyncIterator[tuple[Page, Stub]]:
    """A page with a launcher on it. At its end no script has failed, and the page's policy has forbidden nothing."""
    stub = Stub(answers)
    stub.lang = lang
    stub.attributes = 'data-platform="northern" data-show="nll26"' + (' data-token="jwt"' if signed_in else "")
    context = await browser.new_context(
        base_url=AT,
        locale={"en": "en-GB", "ar": "ar"}.get(lang, lang),
        timezone_id="Europe/Berlin",
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
        has_touch=has_touch,
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(OPEN_SHADOWS + _LISTEN + script)
    await context.route("**/*", stub.serve)
    page = await context.new_page()
    page.on("pageerror", lambda error: stub.wrong.append(str(error)))
    await page.goto("/")
    try:
        yield page, stub
        stub.wrong += await page.evaluate("window.forbidden")
    finally:
        await context.close()
    assert stub.wrong == [], stub.wrong


def problem(status: int, code: str, *fields: str) -> tuple[int, Json]:
    errors = [{"field": f"/{one}", "message": "is wrong"} for one in fields]
    return status, {"type": f"urn:makegood:problem:{code}", "title": code, "status": status, "errors": errors}


def case_events(*cases: Json) -> str:
    """A stream that tells of each and ends."""
    return "".join(f"event: case\ndata: {json.dumps(one)}\n\n" for one in cases)


Answered = Callable[[Request], Any]
