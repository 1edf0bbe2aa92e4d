"""Checks Makegood's access tokens at a stream's edge, without asking anybody while a viewer waits. One file; needs `cryptography` and `httpx`.

    async with httpx.AsyncClient(base_url="https://help.example", headers={"Authorization": f"Bearer {KEY}"}) as http:
        edge = Edge(http, issuer="https://help.example", audience="northern-lights", when_stale="refuse")
        async with edge:                      # reads the keys and every revocation there is, then keeps both up
            claims = await edge.admit(token, show="nll26")     # raises Refused

A token is admitted when it is signed by a key of the installation's key set, is for this audience and from this issuer, its times are right, and
the list of revocations does not name it. That list is read with a long poll, so that a token replaced at Makegood is refused here within a
second. When it could not be read for `stale_seconds`, nobody knows what was revoked since, and `when_stale` decides:

* `"refuse"`: nobody is admitted. For edges where a stolen pass costs more than an interruption.
* `"admit"`: whoever is not known to be revoked goes on watching. For shows where an interruption costs more. Signature and times still count.

Before keys and list were read for the first time nobody is admitted either way.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Any, Final, Literal
from uuid import UUID

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Reason = Literal[
    "malformed", "unknown_key", "bad_signature", "wrong_issuer", "wrong_audience", "expired", "not_yet_valid", "other_show", "revoked", "suspended",
    "stale",
]  # fmt: skip

# A token is 450 to 700 characters; longer texts are not looked at.
TOKEN_LENGTH_MAX: Final = 2000
# Two machines under NTP differ by far less; it only keeps a token from being refused in the second it was made. Expiry has no such margin.
NOT_BEFORE_LEEWAY_SECONDS: Final = 5
# The clock of RFC 7519's NumericDate ends for us with the year 9999.
_TIME_MAX: Final = 253_402_300_799

# A withdrawn key is refused here after this time; a new one is asked for as soon as a token names it,
KEYS_SECONDS: Final = 300.0
# but no more often than this: anybody can invent a `kid`.
UNKNOWN_KEY_SECONDS: Final = 10.0
_KEYS_MAX: Final = 50

# Proxies commonly cut a silent request after 30 s.
POLL_SECONDS: Final = 20
_ANSWER_SECONDS_MAX: Final = 10.0
_PAGE: Final = 1000
# After a failure: quickly at first, for it may be a restart.
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
# Tokens that are revoked and have not run out. A full set is treated as stale: better that than to forget one silently.
HELD_MAX: Final = 2_000_000
_BODY_BYTES_MAX: Final = 1_000_000

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_PASS: Final = re.compile(r"pass_[0-9a-f]{32}", re.ASCII)
_HEADER_NAMES: Final = frozenset({"alg", "kid", "typ"})


class Refused(Exception):
    """The token opens nothing. `reason` is safe to log and to count; the token is not in it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Claims:
    """What an admitted token says. Times are Unix seconds."""

    pass_id: str
    token_id: UUID
    show: str
    expires_at: int


def read_token(token: str, keys: Mapping[str, Ed25519PublicKey], *, issuer: str, audience: str, now: float) -> Claims:
    """What the token says, when it is whole, signed by one of the keys, meant for us and not run out. Raises Refused.

    The algorithm is EdDSA because the keys are; the header's `alg` is only compared with that (RFC 8725, section 3.1), and a header with anything
    but `alg`, `kid` and `typ` is none of Makegood's: so keys that a token brings along, and extensions, are refused unread.
    """
    if len(token) > TOKEN_LENGTH_MAX or not _COMPACT.fullmatch(token):
        raise Refused("malformed")
    signed, _, signature = token.rpartition(".")
    header_segment, _, payload_segment = signed.partition(".")
    header = _json(header_segment)
    kid = header.get("kid")
    if header.get("alg") != "EdDSA" or not isinstance(kid, str) or header.get("typ", "JWT") != "JWT" or not header.keys() <= _HEADER_NAMES:
        raise Refused("malformed")
    key = keys.get(kid)
    if key is None:
        raise Refused("unknown_key")
    try:
        key.verify(_bytes(signature), signed.encode("ascii"))
    except InvalidSignature:
        raise Refused("bad_signature") from None
    return _claims(_json(payload_segment), issuer=issuer, audience=audience, now=now)


def _claims(payload: Mapping[str, Any], *, issuer: str, audience: str, now: float) -> Claims:
    pass_id, show = payload.get("sub"), payload.get("show")
    times = [payload.get(name) for name in ("iat", "nbf", "exp")]
    # bool is an int to Python, and to no one else
    if not all(type(one) is int and 0 <= one <= _TIME_MAX for one in times) or not isinstance(show, str):
        raise Refused("malformed")
    if not isinstance(pass_id, str) or not _PASS.fullmatch(pass_id):
        raise Refused("malformed")
    token_id = _uuid(payload.get("jti"))
    if payload.get("iss") != issuer:
        raise Refused("wrong_issuer")
    if payload.get("aud") != audience:
        raise Refused("wrong_audience")
    not_before, expires_at = payload["nbf"], payload["exp"]
    if now >= expires_at:
        raise Refused("expired")
    if now + NOT_BEFORE_LEEWAY_SECONDS < not_before:
        raise Refused("not_yet_valid")
    return Claims(pass_id=pass_id, token_id=token_id, show=show, expires_at=expires_at)


# An answer that did not come, is no JSON, has another shape, or is nested too deeply to be read: none of them may end the reading.
_UNREADABLE: Final = (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class Edge:
    """Keeps the installation's keys and the platform's revocations, and admits by them. For one event loop.

    `http` reaches the installation and bears a platform's key with the scope `access:check`. `issuer` is the installation's public address,
    `audience` the platform's short name. `clock` counts Unix seconds, `monotonic` seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        issuer: str,
        audience: str,
        when_stale: Literal["refuse", "admit"],
        stale_seconds: float = 60.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if when_stale not in {"refuse", "admit"}:
            raise ValueError("when_stale is 'refuse' or 'admit': choose")
        self._http = http
        self._issuer = issuer
        self._audience = audience
        self._when_stale = when_stale
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._keys: Mapping[str, Ed25519PublicKey] | None = None
        self._keys_asked_at = -math.inf
        self._refetch: asyncio.Lock = asyncio.Lock()
        self._held: dict[UUID, tuple[Reason, float]] = {}
        self._cursor = 0
        self._complete = False
        self._read_at = -math.inf
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Edge:
        """Starts reading, and waits a little for it: where the installation is away, the edge starts and admits nobody until it is back."""
        self._task = asyncio.create_task(self._keep_up())
        ends_at = self._monotonic() + _ANSWER_SECONDS_MAX
        while not (self._complete and self._keys is not None) and self._monotonic() < ends_at and not self._task.done():
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def fresh(self) -> bool:
        """What is revoked is known, as of a moment ago."""
        full = len(self._held) >= HELD_MAX
        return self._complete and not full and self._monotonic() - self._read_at <= self._stale_seconds

    async def admit(self, token: str, *, show: str | None = None) -> Claims:
        """What the token says, when it opens the stream now: of that show, where one is named. Raises Refused."""
        try:
            return self.check(token, show=show)
        except Refused as refused:
            if refused.reason != "unknown_key" or self._monotonic() - self._keys_asked_at < UNKNOWN_KEY_SECONDS:
                raise
        await self._read_keys()
        return self.check(token, show=show)

    def check(self, token: str, *, show: str | None = None) -> Claims:
        """The same by what is known here, without ever asking. Raises Refused."""
        if self._keys is None or not self._complete:
            raise Refused("stale")
        claims = read_token(token, self._keys, issuer=self._issuer, audience=self._audience, now=self._clock())
        held = self._held.get(claims.token_id)
        if held is not None:
            raise Refused(held[0])
        if show is not None and claims.show != show:
            raise Refused("other_show")
        if self._when_stale == "refuse" and not self.fresh:
            raise Refused("stale")
        return claims

    # ------------------------------------------------------------------------------------------------------ keeping up

    async def _keep_up(self) -> None:
        failures = 0
        while True:
            try:
                if self._keys is None or self._monotonic() - self._keys_asked_at > KEYS_SECONDS:
                    await self._read_keys()
                await self._read_revocations()
                failures = 0
            except _UNREADABLE:
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    async def _read_keys(self) -> None:
        """Keys that cannot be read now leave those that are known as they are. One request at a time."""
        async with self._refetch:
            if self._keys is not None and self._monotonic() - self._keys_asked_at < UNKNOWN_KEY_SECONDS:
                return
            self._keys_asked_at = self._monotonic()
            try:
                answer = await self._http.get("/.well-known/jwks.json", timeout=_ANSWER_SECONDS_MAX)
                answer.raise_for_status()
                self._keys = _key_set(answer.content)
            except _UNREADABLE:
                if self._keys is None:
                    raise

    async def _read_revocations(self) -> None:
        """One page. The first reading, from 0, brings every revocation that still matters; then each request waits for the next."""
        wait = POLL_SECONDS if self._complete else 0
        asked_at = self._monotonic()
        answer = await self._http.get(
            "/v1/access/revocations",
            params={"since": self._cursor, "limit": _PAGE, "wait_seconds": wait},
            timeout=wait + _ANSWER_SECONDS_MAX,
        )
        if answer.status_code == httpx.codes.GONE:  # another installation, or a restored backup: everything anew
            self._cursor, self._complete = 0, False
            return
        answer.raise_for_status()
        if len(answer.content) > _BODY_BYTES_MAX:
            raise ValueError("a page of revocations is too long")
        before = self._cursor
        self._take(json.loads(answer.content))
        self._read_at = self._monotonic()
        self._forget()
        if self._cursor == before and self._read_at - asked_at < _PAUSES[0]:  # answered at once with nothing: it has too many who wait
            await asyncio.sleep(_PAUSES[0])

    def _take(self, page: Mapping[str, Any]) -> None:
        for one in page["revocations"]:
            token_id, state = UUID(one["jti"]), one["state"]
            if state == "active":
                self._held.pop(token_id, None)
            elif len(self._held) < HELD_MAX:
                reason: Reason = "suspended" if state == "suspended" else "revoked"  # a state we do not know opens nothing
                self._held[token_id] = (reason, datetime.fromisoformat(one["expires_at"]).timestamp())
        self._cursor = int(page["next"])
        if not page["more"]:
            self._complete = True

    def _forget(self) -> None:
        """Of what has run out, a few at each reading, oldest first: those tokens are refused by their own time."""
        now = self._clock()
        for token_id in [token_id for token_id, (_, ends) in islice(self._held.items(), _PAGE) if ends < now]:
            del self._held[token_id]


def _key_set(body: bytes) -> Mapping[str, Ed25519PublicKey]:
    """The Ed25519 keys of a key set by `kid` (RFC 8037); others are passed over. Raises ValueError when there is none."""
    keys = {}
    for entry in json.loads(body)["keys"][:_KEYS_MAX] if len(body) <= _BODY_BYTES_MAX else ():
        if isinstance(entry, dict) and entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519" and isinstance(entry.get("kid"), str):
            with contextlib.suppress(Refused, ValueError, TypeError, KeyError):
                keys[entry["kid"]] = Ed25519PublicKey.from_public_bytes(_bytes(entry["x"]))
    if not keys:
        raise ValueError("the key set has no key that we can use")
    return keys


def _uuid(text: object) -> UUID:
    """In its one usual spelling, so that a list of them cannot be stepped round."""
    try:
        found = UUID(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if found is None or str(found) != text:
        raise Refused("malformed")
    return found


def _bytes(segment: str) -> bytes:
    """The bytes of a base64url segment in its one canonical spelling (RFC 4648, section 3.5)."""
    raw = segment.encode("ascii")
    try:
        data = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        raise Refused("malformed") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != raw:
        raise Refused("malformed")
    return data


def _json(segment: str) -> dict[str, Any]:
    """An object, strictly: no name twice, no NaN, no Infinity (RFC 8725, section 2.4; RFC 8259, section 6)."""
    try:
        found = json.loads(_bytes(segment).decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("malformed") from None
    if not isinstance(found, dict):
        raise Refused("malformed")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)
