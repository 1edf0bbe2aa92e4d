"""The console's cookie: how it is set, and why a request that carries it was made by our own page and by nobody else's."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from service.api import problems
from service.desk_sessions import SESSION_SECONDS
from service.model import WireId, unwire

HEADER: Final = "Makegood-Desk"
# Whose page it is: a browser has one cookie for all its tabs, and somebody else may have signed in in another.
AGENT_HEADER: Final = "Makegood-Agent"
# What a page does by itself, while nobody touches it, does not keep a session alive.
BACKGROUND: Final = "background"
_VALUES: Final = ("1", BACKGROUND)
NAME: Final = "makegood_desk"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORGED: Final = "A request with the console's cookie comes from the console itself."

Connection = ASGIConnection[Any, Any, Any, Any]

Origin = tuple[str, str, int]
"""scheme, host and port (RFC 6454, section 4)"""
_PORTS: Final = {"http": 80, "https": 443}


class DeskCookie(msgspec.Struct, frozen=True, kw_only=True):
    """`name` begins with `__Host-` on https: then no neighbour under the same domain can set it (RFC 6265bis, section 4.1.3.2)."""

    name: str
    secure: bool
    origin: Origin | None
    any_host: bool
    """nobody said under which address people reach us: then it is the one that each request was sent to"""

    @classmethod
    def of(cls, public_url: str, *, any_host: bool) -> DeskCookie:
        origin = _origin(public_url)
        secure = origin is not None and origin[0] == "https"
        return cls(name=f"__Host-{NAME}" if secure else NAME, secure=secure, origin=origin, any_host=any_host)

    @property
    def state_name(self) -> str:
        """Of the cookie that ties a sign-in elsewhere to the browser it began in."""
        return self.name.replace("_desk", "_sign_in")

    def state_given(self, state: str, seconds: float) -> Cookie:
        """Lax: it comes along when the provider sends the browser back."""
        return Cookie(key=self.state_name, value=state, path="/", max_age=round(seconds), secure=self.secure, httponly=True, samesite="lax")

    def of_request(self, connection: Connection) -> str | None:
        return connection.cookies.get(self.name)

    def given(self, token: str) -> Cookie:
        return self._cookie(token, round(SESSION_SECONDS))

    def taken(self) -> Cookie:
        return self._cookie("", 0)

    def _cookie(self, value: str, seconds: int) -> Cookie:
        return Cookie(key=self.name, value=value, path="/", max_age=seconds, secure=self.secure, httponly=True, samesite="strict")

    def check(self, connection: Connection) -> None:
        """Raises Problem 403 for what another page could have sent.

        SameSite=Strict keeps the cookie from other sites, but not from neighbours of the same site: so a request that changes
        something needs a header that no form can set, and the browser's word that it comes from here; and none may say otherwise.
        """
        headers, safe = connection.headers, connection.scope.get("method") in _SAFE
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        fits = site in ("same-origin", *(("none",) if safe else ()), None) and (origin is None or self.is_ours(connection, origin))
        said = safe or (headers.get(HEADER.lower()) in _VALUES and not (site is None and origin is None))
        if not (fits and said):
            raise problems.not_allowed("not_from_the_console", _FORGED)

    def is_ours(self, connection: Connection, origin: str) -> bool:
        """The address that we are known under: scheme, host and port. Which host a request names is the sender's to invent, so it
        counts only where no address was set; such an installation is reached without TLS.
        """
        said = _origin(origin)
        if said is None:
            return False
        return said == self.origin or (self.any_host and said == _origin(f"http://{connection.headers.get('host', '')}"))


def _origin(address: str) -> Origin | None:
    """None: it names no host, as `null` does not, or more than an origin may."""
    try:
        parts = urlsplit(address.lower())
        port = parts.port
    except ValueError:
        return None
    usual = _PORTS.get(parts.scheme)
    if usual is None or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or usual


def check_person(connection: Connection, agent: UUID) -> None:
    """Raises Problem 409 for the page of somebody else than who is signed in now: words and a yes go out under one's own name or not."""
    said = connection.headers.get(AGENT_HEADER.lower())
    if said is not None and unwire(WireId.AGENT, said) != agent:
        raise problems.conflict(
            "another_person", "Somebody else is signed in", "Another person has signed in in this browser since: load it again."
        )


def renews(connection: Connection) -> bool:
    """Whether it was somebody's doing, as far as the page says."""
    return connection.headers.get(HEADER.lower()) != BACKGROUND
