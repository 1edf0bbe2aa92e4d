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

from service.api import problems, requests
from service.callers import Caller

CallerKind = Literal["platform", "agent", "machine", "customer"]

PLATFORM_HEADER: Final = "Makegood-Platform"

_DECLARED: Final = "access"
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
    reason: str = ""
    """why a route is open to anybody"""


def opens_to(*callers: CallerKind, scope: str | None = None) -> Opt:
    """For a route's `opt`: `@post("/v1/cases", opt=opens_to("platform", "customer", scope="cases:write"))`."""
    unknown = set(callers) - set(get_args(CallerKind))
    if not callers or unknown:
        raise ValueError(f"a route is for some of {get_args(CallerKind)}, not for {sorted(unknown)}")
    return {_DECLARED: Access(callers=frozenset(callers), scope=scope)}


def open_to_anyone(reason: str) -> Opt:
    """For a route's `opt`, with the reason: `open_to_anyone("the processor signs the body")`."""
    return {_DECLARED: Access(callers=frozenset(), reason=reason)}


def declared_access(handler: BaseRouteHandler) -> Access | None:
    found = handler.opt.get(_DECLARED)
    return found if isinstance(found, Access) else None


class TokenReader(Protocol):
    """Finds the caller behind a token. None: it opens nothing, whatever the reason."""

    def __call__(self, token: str, /) -> Awaitable[Caller | None]: ...


PlatformTokenReader = Callable[[str, str], Awaitable[Caller | None]]
"""finds the caller behind a platform's own JWT: slug, token"""


class Authenticator:
    """Tells apart the three kinds of bearer token by their looks, and asks the one place that knows each."""

    def __init__(self, *, key: TokenReader, session: TokenReader, platform_token: PlatformTokenReader) -> None:
        self._key = key
        self._session = session
        self._platform_token = platform_token

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


def guard_with(authenticator: Authenticator) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """The one guard of the application. A route that declares nothing is closed to everybody: 500, and a test names it."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=requests.request_id(connection.scope))
        unfit = requests.unfit_parameter(connection.scope)
        if unfit:
            raise problems.invalid(unfit, "has to be UTF-8 text without NUL")
        if connection.scope.get("method") == "OPTIONS":
            return
        access = declared_access(handler)
        if access is None:
            raise RuntimeError("this route declares no callers")
        if access.callers:
            caller = await authenticator.authenticate(
                connection.headers.get("authorization"), connection.headers.get(PLATFORM_HEADER.lower())
            )
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
    if access.scope is not None:
        require_scope(caller, access.scope)


def _listed(kinds: Collection[str]) -> str:
    words = {
        "platform": "the platform's own key",
        "agent": "an agent's key",
        "machine": "a machine agent's key",
        "customer": "a signed-in customer",
    }
    return " or ".join(words[kind] for kind in words if kind in kinds)
