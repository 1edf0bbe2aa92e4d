"""Takes signed tokens apart in their one spelling (compact JWS, RFC 7515, section 7.1): what can be read in two ways is not read at all."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final

import msgspec

# Three non-empty base64url segments (RFC 7515, section 7.1). Python's own decoder skips characters outside the alphabet.
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of a token's three parts, none of them believed yet, and what its signature is over."""

    header: bytes
    payload: bytes
    signature: bytes
    signed: bytes


def take_apart(token: str) -> Segments:
    """Raises ValueError for any other spelling than the canonical one, and where a name stands twice in header or payload."""
    if not _COMPACT.fullmatch(token):
        raise ValueError("no compact token")
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    parts = Segments(header=_bytes(header), payload=_bytes(payload), signature=_bytes(signature), signed=signed.encode("ascii"))
    for part in (parts.header, parts.payload):
        _read_once(part)
    return parts


def segment(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _bytes(text: str) -> bytes:
    """The bytes of a base64url segment in its one canonical spelling: the spare bits at its end are zero (RFC 4648, section 3.5)."""
    raw = text.encode("ascii")
    try:
        data = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        raise ValueError("no base64url") from None
    if segment(data) != raw:
        raise ValueError("not the canonical spelling")
    return data


def _read_once(part: bytes) -> None:
    """Of two claims with one name one reader takes the first and another the last (RFC 7519, section 4; RFC 8725, section 2.4)."""
    try:
        json.loads(part.decode("utf-8"), object_pairs_hook=_no_name_twice, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_name_twice(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice")


def _no_constant(name: str) -> None:
    """NaN and Infinity are no JSON (RFC 8259, section 6), whatever Python makes of them."""
    raise ValueError(name)
