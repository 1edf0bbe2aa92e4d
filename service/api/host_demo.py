"""The demo's show page as its platform would serve it, and the few requests it makes: mounted by `makegood demo` alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, runtime_checkable

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from service.api import problems
from service.api.auth import open_to_anyone
from service.api.console import BUILT, ConsoleFiles, File, answer_file
from service.api.frame import More

Switch = Literal["stream_down", "link_dead", "charged_twice", "card_closed", "notice"]
Language = Literal["en", "de", "fr", "es", "ja", "ar"]
Stands = Literal["off", "on", "made_good"]
"""`made_good`: it was on, and Makegood has put it right for this visitor"""

# 16 random bytes and more, as the page draws them: whoever knows it is that visitor.
Visitor = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22,64}$(?!\n)")]
Token = Annotated[str, Meta(max_length=4000)]

# Where the page's one line for the widget goes: exactly what `makegood widget embed` prints.
PLACE_OF_WIDGET: Final = b"<!-- widget -->"
# Nothing inline and nobody else's: what a careful platform would set. Only this origin's /demo/both shows it in a frame.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_PAGE_HEADERS: Final[Mapping[str, str]] = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
_RIGHT_TO_LEFT: Final = frozenset({"ar"})
_ASSETS_KEPT: Final[Mapping[str, str]] = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_OPEN: Final = open_to_anyone("the demo's own page; a visitor is known by what their page has drawn")
_NOT_BUILT: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Makegood demo</title></head>
<body><h1>The demo's pages have not been built here</h1><p>Run <code>make setup</code>, which builds them, and load this page again.</p>
</body></html>
"""


class Bought(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor has, as the page shows it. Amounts in minor units."""

    order: str
    name: str
    email: str
    phone: str
    item: str
    price: int
    currency: str
    card: str
    starts_at: datetime
    ends_at: datetime


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """When the stream was down, as the platform has told it; `until` is None while it is."""

    since: datetime
    until: datetime | None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands for one visitor now. `link`: what the stream's edge says of the link that the player was given."""

    link: Literal["open", "dead"]
    token: str
    """the newest link's, as the platform has it"""
    switches: Mapping[Switch, Stands]
    mails: int
    case: str | None
    """the latest"""
    outage: Outage | None = None
    """of this show; None: there was none"""


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor who has come."""

    platform: str
    show: str
    bought: Bought
    state: State


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What came for the visitor; texts have no subject."""

    kind: Literal["mail", "text"]
    to: str
    subject: str
    text: str


class Someone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    visitor: Visitor


class StateAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`token`: the link that the player plays with; left out: the one that the platform has."""

    visitor: Visitor
    token: Token | None = None


class Switched(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    visitor: Visitor
    name: Switch
    on: bool


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    """the platform's word on who this is, for some minutes"""


class Letters(msgspec.Struct, frozen=True, kw_only=True):
    letters: tuple[Letter, ...]


class DeskLink(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    """signs in to the console once, as an agent of the demo"""


class NotHere(Exception):  # noqa: N818 - says what is so
    """The visitor has not come, or was forgotten since: their page enters anew."""


@runtime_checkable
class HostDemo(Protocol):
    """The platform's own back end. What takes a visitor raises NotHere; only `come` takes a new one."""

    def embed(self) -> str:
        """The one line that brings the widget."""

    async def come(self, visitor: str) -> Entered:
        """With an order of their own, made when they come for the first time."""

    async def sign_in(self, visitor: str) -> str: ...

    async def switch(self, visitor: str, name: Switch, *, on: bool) -> State: ...

    async def state(self, visitor: str, token: str | None = None) -> State: ...

    async def mailbox(self, visitor: str) -> tuple[Letter, ...]:
        """Newest first."""

    async def desk_link(self) -> str: ...


def _gone(_: NotHere) -> problems.Problem:
    return problems.not_found("visitor")


class HostDemoRoutes(Controller):
    """Not part of the contract: a platform's page, which calls it."""

    path = "/demo"
    include_in_schema = False
    opt = _OPEN
    exception_handlers = problems.handlers({NotHere: _gone})

    @get(["/", "/both"])
    async def host_page(
        self,
        request: Request[Any, Any, Any],
        host_demo: NamedDependency[HostDemo],
        host_files: NamedDependency[ConsoleFiles],
        lang: FromQuery[Language] = "en",
    ) -> Response[bytes]:
        name = "both.html" if request.scope["path"].rstrip("/").endswith("/both") else "index.html"
        file = host_files.find(name)
        if file is None:
            return Response(_NOT_BUILT, status_code=404, media_type="text/html", headers=_PAGE_HEADERS)
        direction = ' dir="rtl"' if lang in _RIGHT_TO_LEFT else ""
        whole = file.body.replace(PLACE_OF_WIDGET, host_demo.embed().encode())
        if name == "index.html":
            whole = whole.replace(b'<html lang="en">', f'<html lang="{lang}"{direction}>'.encode())
        return answer_file(request, File(body=whole, packed=None, media_type="text/html"), _PAGE_HEADERS)

    @get("/assets/{name:str}")
    async def host_asset(
        self, name: FromPath[str], request: Request[Any, Any, Any], host_files: NamedDependency[ConsoleFiles]
    ) -> Response[bytes]:
        file = host_files.find(name, below="assets") if Path(name).suffix in {".js", ".css", ".svg"} else None
        if file is None:
            return Response(b"There is no such file.\n", status_code=404, media_type="text/plain")
        return answer_file(request, file, _ASSETS_KEPT)

    @post("/api/visitor", status_code=200)
    async def enter(self, data: JSONBody[Someone], host_demo: NamedDependency[HostDemo]) -> Entered:
        return await host_demo.come(data.visitor)

    @post("/api/token", status_code=200)
    async def sign_in(self, data: JSONBody[Someone], host_demo: NamedDependency[HostDemo]) -> SignedIn:
        """What the page's `getToken` gives the widget."""
        return SignedIn(token=await host_demo.sign_in(data.visitor))

    @post("/api/switch", status_code=200)
    async def turn(self, data: JSONBody[Switched], host_demo: NamedDependency[HostDemo]) -> State:
        return await host_demo.switch(data.visitor, data.name, on=data.on)

    @post("/api/state", status_code=200)
    async def stands(self, data: JSONBody[StateAsked], host_demo: NamedDependency[HostDemo]) -> State:
        return await host_demo.state(data.visitor, data.token)

    @post("/api/mailbox", status_code=200)
    async def letters(self, data: JSONBody[Someone], host_demo: NamedDependency[HostDemo]) -> Letters:
        return Letters(letters=await host_demo.mailbox(data.visitor))

    @post("/api/desk", status_code=200)
    async def desk(self, data: JSONBody[Someone], host_demo: NamedDependency[HostDemo]) -> DeskLink:
        """For the console beside the page."""
        await host_demo.state(data.visitor)
        return DeskLink(address=await host_demo.desk_link())


def mounted(host: HostDemo, folder: Path = BUILT) -> More:
    """Everything that the demo serves beside an installation's routes; with it the console may stand in a frame of this origin."""
    return More(
        controllers=(HostDemoRoutes,),
        domain={"host_demo": host, "host_files": ConsoleFiles(folder / "demo"), "console_files": ConsoleFiles(folder, framing="self")},
    )
