"""The public keys of platforms, by address: fetched when needed, kept for a while, and never fetched more often than is polite."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from service.ports import Unavailable
from service.ports_tokens import JwksSource

# A key that the platform withdraws is refused by us this much later at most, while its address answers.
_FRESH_SECONDS: Final = 600.0
# An unknown `kid` costs its sender nothing to invent; this is what it can cost the platform's server.
_REFETCH_SECONDS: Final = 60.0
# Without any keys nobody of that platform can prove anything, so we ask again sooner.
_FIRST_FETCH_SECONDS: Final = 5.0
# A platform whose key server is down keeps working with the keys it had, but not for so long that withdrawing one means nothing.
_STALE_SECONDS_MAX: Final = 24 * 3600.0
# One address a platform; far more than one installation serves.
_ADDRESSES_MAX: Final = 1000
# RFC 7517 gives no limit; platforms publish two or three. Each costs about 50 µs to read.
_KEYS_MAX: Final = 50
# RFC 7518, section 3.3: "A key of size 2048 bits or larger MUST be used".
_RSA_BITS_MIN: Final = 2048

# The one algorithm that we take with each kind of key (RFC 7518, sections 3.3 and 3.4; RFC 8037, section 3.1).
_ALGORITHMS: Final[Mapping[tuple[str, str | None], str]] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _Kept:
    """What is known of one address."""

    def __init__(self) -> None:
        self.keys: Mapping[str | None, jwt.PyJWK] | None = None
        self.fetched_at = 0.0
        self.asked_at: float | None = None
        self.flight: asyncio.Task[None] | None = None


class KeySets:
    """Finds verification keys by address and `kid`. For one event loop; `monotonic` counts seconds."""

    def __init__(self, source: JwksSource, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._kept: dict[str, _Kept] = {}

    async def find(self, url: str, kid: str | None) -> jwt.PyJWK | None:
        """The key of that name (without a name: the only key there is), or None. Raises Unavailable when no usable key set is known."""
        kept = self._kept_for(url)
        key = self._known(kept, kid, _FRESH_SECONDS)
        if key is not None:
            return key
        if kept.flight is None and self._may_ask(kept):
            kept.asked_at = self._monotonic()
            kept.flight = asyncio.create_task(self._refresh(url, kept))
        if kept.flight is not None:
            # Shielded: who asked first may go away, the others still want the answer.
            await asyncio.shield(kept.flight)
        if kept.keys is None or self._age(kept) > _STALE_SECONDS_MAX:
            raise Unavailable("the platform's key set cannot be read", retry_after_seconds=_FIRST_FETCH_SECONDS)
        return self._known(kept, kid, _STALE_SECONDS_MAX)

    async def _refresh(self, url: str, kept: _Kept) -> None:
        try:
            kept.keys = read_keys(await self._source.fetch(url))
            kept.fetched_at = self._monotonic()
        except Unavailable:
            pass  # The keys we have keep working; `find` says so when there are none.
        finally:
            kept.flight = None

    def _kept_for(self, url: str) -> _Kept:
        kept = self._kept.get(url)
        if kept is None:
            if len(self._kept) >= _ADDRESSES_MAX:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[url] = _Kept()
        return kept

    def _known(self, kept: _Kept, kid: str | None, age_seconds_max: float) -> jwt.PyJWK | None:
        return kept.keys.get(kid) if kept.keys is not None and self._age(kept) <= age_seconds_max else None

    def _age(self, kept: _Kept) -> float:
        return self._monotonic() - kept.fetched_at

    def _may_ask(self, kept: _Kept) -> bool:
        pause = _FIRST_FETCH_SECONDS if kept.keys is None else _REFETCH_SECONDS
        return kept.asked_at is None or self._monotonic() - kept.asked_at >= pause


def read_keys(body: bytes) -> Mapping[str | None, jwt.PyJWK]:
    """The keys of a set that we can verify with, by `kid`; a set of one key also answers to no `kid`.

    Keys that we cannot use (another kind, too short, for encryption, private or symmetric) are left out, as RFC 7517, section 5, asks;
    of two with one name the first counts. Raises Unavailable when the bytes are no key set.
    """
    try:
        entries = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable("the platform's key set is no JSON Web Key Set") from None
    usable = [(entry.get("kid"), key) for entry in entries[:_KEYS_MAX] if (key := _read_key(entry)) is not None]
    keys: dict[str | None, jwt.PyJWK] = {kid: key for kid, key in reversed(usable) if isinstance(kid, str)}
    if len(usable) == 1:
        keys[None] = usable[0][1]
    return keys


def _read_key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    kind, curve = entry.get("kty"), entry.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return None
    algorithm = _ALGORITHMS.get((kind, curve))
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        key = jwt.PyJWK(entry, algorithm=algorithm)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < _RSA_BITS_MIN:
        return None
    return key
