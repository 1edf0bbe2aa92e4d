"""Who is calling, and whether this route is for them: every route declares its callers, one guard holds it to that."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Literal, Protocol, get_args

import msgspec
import structlog
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.api import desk_cookie, problems, requests
from service.callers import Caller

CallerKind = Literal["platform", "agent", "machine", "customer"]

DESK: Final[tuple[CallerKind, ...]] = ("agent", "machine")
"""people at the desk, and the programs beside them"""

PLATFORM_HEADER: Final = "Makegood-Platform"

_DECLARED: Final = "access"
_BY_ITSELF: Final = "by_itself"
_CALLER: Final = "makegood_caller"

# A JWT with a long issuer and a few claims of the platform's own; servers take headers of 8 kB in all.
_TOKEN_LENGTH_MAX: Final = 6000

# RFC 6750, section 2.1: b64token.
_BEARER: Final = re.compile(r"bearer +(?P<token>[A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE | re.ASCII)

_INVALID: Final = 'Bearer realm="makegood", error="invalid_token"'
_MISSING: Final = 'Bearer realm="makegood"'

Opt = dict[str, Any]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What a route declares: which kinds of caller it is for. `scope` narrows keys (a customer has none: their orders narrow them)."""

    callers: frozenset[str]
    scope: str | None = None
    machines: str | None = None
    """the scope that programs need instead, for what people do by their role and programs only when they were given it by name"""
    reason: str = ""
    """why a route is open to anybody"""

    def scope_for(self, kind: str) -> str | None:
        """What a key of this kind of caller has to have."""
        return self.machines if kind == "machine" and self.machines is not None else self.scope


def opens_to(*callers: CallerKind, scope: str | None = None, machines: str | None = None) -> Opt:
    """For a route's `opt`: `@post("/v1/cases", opt=opens_to("platform", "customer", scope="cases:write"))`."""
    unknown = set(callers) - set(get_args(CallerKind))
    if not callers or unknown:
        raise ValueError(f"a route is for some of {get_args(CallerKind)}, not for {sorted(unknown)}")
    return {_DECLARED: Access(callers=frozenset(callers), scope=scope, machines=machines)}


def open_to_anyone(reason: str) -> Opt:
    """For a route's `opt`, with the reason: `open_to_anyone("the processor signs the body")`."""
    return {_DECLARED: Access(callers=frozenset(), reason=reason)}


def asked_by_itself() -> Opt:
    """For the `opt` of a route that a console asks without anybody at it: it does not put off the end of a session."""
    return {_BY_ITSELF: True}


def declared_access(handler: BaseRouteHandler) -> Access | None:
    found = handler.opt.get(_DECLARED)
    return found if isinstance(found, Access) else None


class TokenReader(Protocol):
    """Finds the caller behind a token. None: it opens nothing, whatever the reason."""

    def __call__(self, token: str, /) -> Awaitable[Caller | None]: ...


class SessionReader(Protocol):
    """Finds who is signed in to the console. None: nobody any more."""

    def __call__(self, token: str, /, *, renews: bool) -> Awaitable[Caller | None]: ...


class DeskDoor(msgspec.Struct, frozen=True, kw_only=True):
    """How people at the console are known: by a cookie of ours."""

    cookie: desk_cookie.DeskCookie
    reader: SessionReader


PlatformTokenReader = Callable[[str, str], Awaitable[Caller | None]]
"""finds the caller behind a platform's own JWT: slug, token"""


class Authenticator:
    """Tells apart the three kinds of bearer token by their looks, and asks the one place that knows each; or takes the console's cookie."""

    def __init__(
        self, *, key: TokenReader, session: TokenReader, platform_token: PlatformTokenReader, desk: DeskDoor | None = None
    ) -> None:
        self._key = key
        self._session = session
        self._platform_token = platform_token
        self._desk = desk

    async def at_the_desk(self, connection: desk_cookie.Connection, *, by_itself: bool) -> Caller | None:
        """Who is signed in, where the request brings no token. None: it brings no cookie either. Raises Problem 401, 403, 409."""
        token = self._desk.cookie.of_request(connection) if self._desk is not None else None
        if self._desk is None or token is None or "authorization" in connection.headers:
            return None
        self._desk.cookie.check(connection)
        caller = await self._desk.reader(token, renews=not by_itself and desk_cookie.renews(connection))
        if caller is None or caller.agent_id is None:
            raise problems.not_authenticated("You are signed out: sign in again.", challenge=_MISSING)
        desk_cookie.check_person(connection, caller.agent_id)
        return caller

    async def authenticate(self, authorization: str | None, platform: str | None) -> Caller:
        """The caller. Raises Problem 401, or 400 when a platform's JWT comes without the header that says whose it is.

        All that is wrong with a token reads the same: what exactly is for the platform's log, not for whoever tries tokens.
        """
        if authorization is None:
            raise problems.not_authenticated("Send a bearer token in the header Authorization.", challenge=_MISSING)
        bearer = _BEARER.fullmatch(authorization.strip()) if len(authorization) <= _TOKEN_LENGTH_MAX else None
        caller = await self._behind(bearer["token"], platform) if bearer else None
        if caller is None:
            raise problems.not_authenticated("This token is unknown, has run out or was taken back.", challenge=_INVALID)
        return caller

    async def _behind(self, token: str, platform: str | None) -> Caller | None:
        if token.startswith("mgk_"):
            return await self._key(token)
        if token.startswith("mgs_"):
            return await self._session(token)
        if token.count(".") != 2:
            return None
        if not platform:
            raise problems.invalid(PLATFORM_HEADER, "says which platform signed the token, and is missing")
        return await self._platform_token(platform, token)


class Pages(Protocol):
    """Which pages may call from a browser."""

    async def check(self, connection: desk_cookie.Connection, handler: BaseRouteHandler, /) -> None:
        """Raises Problem 403 for a page that may not."""

    def hold_to(self, connection: desk_cookie.Connection, caller: Caller, /) -> None:
        """The same once the caller is known."""


def guard_with(
    authenticator: Authenticator, pages: Pages
) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """The one guard of the application. A route that declares nothing is closed to everybody: 500, and a test names it."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=requests.request_id(connection.scope))
        await pages.check(connection, handler)
        unfit = requests.unfit_parameter(connection.scope)
        if unfit:
            raise problems.invalid(unfit, "has to be UTF-8 text without NUL")
        if connection.scope.get("method") == "OPTIONS":
            return
        access = declared_access(handler)
        if access is None:
            raise RuntimeError("this route declares no callers")
        if access.callers:
            signed_in = await authenticator.at_the_desk(connection, by_itself=bool(handler.opt.get(_BY_ITSELF)))
            caller = signed_in or await authenticator.authenticate(
                connection.headers.get("authorization"), connection.headers.get(PLATFORM_HEADER.lower())
            )
            pages.hold_to(connection, caller)
            _admit(caller, access)
            connection.scope["state"][_CALLER] = caller

    return guard


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """The dependency `caller`. A route that is open to anyone has none: a mistake in our code, hence a crash."""
    caller = request.scope["state"].get(_CALLER)
    if not isinstance(caller, Caller):
        raise TypeError("a route that is open to anyone asks for its caller")
    return caller


def require_scope(caller: Caller, scope: str) -> None:
    """For what only some requests of a route need. Raises Problem 403."""
    if caller.kind != "customer" and scope not in caller.scopes:
        raise problems.not_allowed("scope_missing", f"This key lacks the scope {scope}.")


def _admit(caller: Caller, access: Access) -> None:
    if caller.kind not in access.callers:
        raise problems.not_allowed("caller_not_allowed", f"This is for {_listed(access.callers)}.")
    if (scope := access.scope_for(caller.kind)) is not None:
        require_scope(caller, scope)


def _listed(kinds: Collection[str]) -> str:
    words = {
        "platform": "the platform's own key",
        "agent": "an agent's key",
        "machine": "a machine agent's key",
        "customer": "a signed-in customer",
    }
    return " or ".join(words[kind] for kind in words if kind in kinds)
