"""What every request carries whatever it asks for: its id, the address it came from, text that a database can hold."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from litestar import Request
from litestar.types import HTTPScope, Scope, WebSocketScope

# What a proxy or a client may call a request: visible, short, and no quote that would confuse a log.
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:\-]{8,128}")

_KEPT_AS: Final = "makegood_request_id"

# A network is given at least a /64 (RFC 6177), so whoever has one IPv6 address has all of these.
_IPV6_PREFIX_BITS: Final = 64


def request_id(scope: Scope | HTTPScope | WebSocketScope) -> str:
    """The id of this request: the caller's `X-Request-Id` when it is a decent one, else ours. The same text each time it is asked."""
    state = scope["state"]
    kept: str | None = state.get(_KEPT_AS)
    if kept is None:
        sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        kept = sent.decode("ascii") if _REQUEST_ID.fullmatch(sent) else uuid4().hex
        state[_KEPT_AS] = kept
    return kept


class ClientAddress:
    """Where a request came from, as far as our own proxies vouch for it.

    `proxies`: how many of them stand before us. Each appends the address it saw to X-Forwarded-For, so the entry that many places from the
    right was written by our own outermost one; everything left of it is the client's to invent.
    """

    def __init__(self, *, proxies: int) -> None:
        self._proxies = proxies

    def of_request(self, request: Request[Any, Any, Any]) -> str:
        """An address, an IPv6 /64, or `unknown` (a Unix socket, nonsense): good for counting, not for showing."""
        seen = request.client.host if request.client else ""
        if self._proxies:
            named = [part.strip() for line in request.headers.getall("x-forwarded-for", []) for part in line.split(",")]
            seen = named[-self._proxies] if len(named) >= self._proxies else seen
        try:
            address = ipaddress.ip_address(seen)
        except ValueError:
            return "unknown"
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped:
                return str(address.ipv4_mapped)
            return str(ipaddress.ip_network((int(address), _IPV6_PREFIX_BITS), strict=False))
        return str(address)


def unfit_parameter(scope: Scope) -> str | None:
    """The name of a query parameter, or `path`, whose text is not UTF-8 or holds NUL, which PostgreSQL cannot; None when all is well."""
    path = scope["path"]
    if "\x00" in path or not _is_text(scope.get("raw_path", b"").partition(b"?")[0]) or _has_surrogate(path):
        return "path"
    query = scope["query_string"]
    if b"%" not in query and query.isascii():
        return None
    for pair in query.split(b"&"):
        name, _, _ = pair.partition(b"=")
        if not _is_text(pair):
            return unquote_to_bytes(name).decode("ascii", "replace") or "query"
    return None


def _is_text(encoded: bytes) -> bool:
    raw = unquote_to_bytes(encoded)
    if b"\x00" in raw:
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
