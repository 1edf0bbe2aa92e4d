"""Whose pages may call from a browser (CORS): the service's own and, where customers call, those of the platform that the request names.

Litestar's own CORS has one list for the whole application, made at its start; ours differs with the platform and changes while it runs.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
from litestar.datastructures import MutableScopeHeaders
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from service.api import auth, problems
from service.api.desk_cookie import Connection, DeskCookie
from service.callers import Caller
from service.platforms import Platform, is_origin

# Open to anyone, and called by the widget before its customer is anybody. All that customers call besides says so itself.
_BEFORE_A_TOKEN: Final = frozenset({"/v1/sessions", "/v1/help", "/v1/help/live"})

# What the widget sends, and what it has to read, beyond what browsers always allow (Fetch, sections 2.2.2 and 3.2.6).
_SENT: Final = "Authorization, Content-Type, Idempotency-Key, Prefer, Makegood-Platform, Last-Event-ID"
_READ: Final = "Location, Retry-After, X-Request-Id"
# A page that lost its place among a platform's origins is refused by the request itself, whatever a browser remembers of asking.
_REMEMBERED_SECONDS: Final = 600

# Keys of platforms and agents belong to servers: no page of another origin reads what they are answered.
_KEY: Final = "bearer mgk_"

_SEEN: Final = "makegood_origin"
_REFUSED: Final = "Pages of this origin may not call here: it is not among `origins` of the platform that the request names."


class PlatformOrigins(Protocol):
    async def by_slug(self, slug: str) -> Platform | None:
        """As it is now, or was two seconds ago."""

    async def origins(self) -> frozenset[str]:
        """Of all platforms together."""


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer's headers say. `origin`: whose page may read it; `platform`: by whose word; `methods`: a browser asked first."""

    origin: str | None = None
    platform: str | None = None
    methods: str = ""


class Origins:
    """`cookie` knows under which address people reach the service. Without platforms no other page may call."""

    def __init__(self, platforms: PlatformOrigins | None = None, cookie: DeskCookie | None = None) -> None:
        self._platforms = platforms
        self._cookie = cookie

    async def check(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Before anything is done or read. Raises Problem 403 `origin_not_allowed` for a customer's request from somebody else's page."""
        if connection.scope.get("method") == "OPTIONS":
            await self._preflight(connection)
        elif _customers_call(handler, connection.scope):
            connection.scope["state"][_SEEN] = _Seen()
            origin = connection.headers.get("origin")
            if origin is not None and not self._is_own(connection, origin) and not _is_of_a_server(connection):
                connection.scope["state"][_SEEN] = await self._allowed(connection, origin)

    def hold_to(self, connection: Connection, caller: Caller) -> None:
        """A page of one platform does not act for a customer of another. Raises Problem 403."""
        seen = connection.scope["state"].get(_SEEN)
        if isinstance(seen, _Seen) and seen.platform is not None and seen.platform != caller.platform:
            connection.scope["state"][_SEEN] = _Seen()
            raise problems.not_allowed("origin_not_allowed", _REFUSED)

    async def _allowed(self, connection: Connection, origin: str) -> _Seen:
        slug = connection.headers.get(auth.PLATFORM_HEADER.lower(), "")
        named = await self._platforms.by_slug(slug) if self._platforms is not None else None
        if named is None or not is_origin(origin) or origin not in named.settings.origins:
            raise problems.not_allowed("origin_not_allowed", _REFUSED)
        return _Seen(origin=origin, platform=named.slug)

    async def _preflight(self, connection: Connection) -> None:
        """A browser asks whether its page may ask. It names no platform: pages of any may, and the request itself is looked at again."""
        asked, origin = connection.headers.get("access-control-request-method"), connection.headers.get("origin")
        if asked is None or origin is None:
            return
        methods = _methods_of_customers(connection.scope)
        if methods:
            known = asked in methods and origin in await self._all()
            connection.scope["state"][_SEEN] = _Seen(origin=origin, methods=", ".join(methods)) if known else _Seen()

    async def _all(self) -> frozenset[str]:
        return await self._platforms.origins() if self._platforms is not None else frozenset()

    def _is_own(self, connection: Connection, origin: str) -> bool:
        """By the browser's own word, which no page can put there, or by the address that we are known under."""
        if connection.headers.get("sec-fetch-site") == "same-origin":
            return True
        return self._cookie is not None and self._cookie.is_ours(connection, origin)


async def add_headers(message: Message, scope: Scope) -> None:
    """To answers and problems alike, so that a page can read why it was refused."""
    seen = scope["state"].get(_SEEN)
    if message["type"] != "http.response.start" or not isinstance(seen, _Seen):
        return
    answer = MutableScopeHeaders.from_message(message)
    if "origin" not in answer.get("vary", "").lower():
        answer["Vary"] = ", ".join(filter(None, (answer.get("vary", ""), "Origin")))
    if seen.origin is None:
        return
    answer["Access-Control-Allow-Origin"] = seen.origin
    if seen.methods:
        answer["Access-Control-Allow-Methods"] = seen.methods
        answer["Access-Control-Allow-Headers"] = _SENT
        answer["Access-Control-Max-Age"] = str(_REMEMBERED_SECONDS)
    else:
        answer["Access-Control-Expose-Headers"] = _READ


def _customers_call(handler: BaseRouteHandler, scope: Scope) -> bool:
    access = auth.declared_access(handler)
    return access is not None and ("customer" in access.callers or scope.get("path_template") in _BEFORE_A_TOKEN)


def _methods_of_customers(scope: Scope) -> list[str]:
    """Of the route that is asked about, those which customers use."""
    template = scope.get("path_template")
    routes = (one for one in scope["litestar_app"].routes if isinstance(one, HTTPRoute) and one.path_format == template)
    found = ((method, handler) for route in routes for method, (handler, _) in route.route_handler_map.items())
    return sorted(method for method, handler in found if method != "OPTIONS" and _customers_call(handler, scope))


def _is_of_a_server(connection: Connection) -> bool:
    return connection.headers.get("authorization", "").lower().startswith(_KEY)
