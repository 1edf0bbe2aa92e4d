"""Access tokens: minted from their rows, checked against them, exchanged for a video service's own; and the keys that sign them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.model import WireId, new_id, wire
from service.playback import Edges, Playback
from service.revocations import Revocations
from service.signing import KEYS_SECONDS, SigningKeys
from service.store import access as store
from service.store.pool import Pool
from service.tokens import AccessClaims, BadToken, PublicKeys, SigningKey, mint, read

Reason = Literal["", "invalid", "expired", "revoked", "suspended", "unknown", "other_show"]

# A token under a key that nobody here knows has the keys read again, but no more often than this: anybody can make one up.
_UNKNOWN_KEY_SECONDS: Final = 1.0


class MintedToken(msgspec.Struct, frozen=True, kw_only=True):
    """Ours, which can be revoked; and what the platform's video service takes in its place, where it has one."""

    token: str
    expires_at: datetime
    playback: Playback | None = None


class Refused(Exception):  # noqa: N818 - reads as the refusal it is
    """The token opens nothing."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class NoPlayback(Exception):  # noqa: N818 - says what is missing
    """The platform's edge takes our own tokens, or the show has no `playback_id`, or the signing key of the video service does not sign."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a token opens the stream now, and why not."""

    allowed: bool
    reason: Reason = ""
    pass_id: str | None = None
    show: str | None = None
    expires_at: datetime | None = None


class KeyRing:
    """The signing keys as one process holds them: opened once, read again every few seconds, so that a new one is soon known."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._current: SigningKey | None = None
        self._public: PublicKeys = {}
        self._stale_at = 0.0
        self._read_at = 0.0

    async def current(self) -> SigningKey:
        await self._refresh()
        assert self._current is not None  # noqa: S101 - _refresh raises LookupError before
        return self._current

    async def public(self) -> PublicKeys:
        await self._refresh()
        return self._public

    async def public_again(self) -> PublicKeys:
        """The same for a token under a key that is not among them: another process may just have made it."""
        if asyncio.get_running_loop().time() >= self._read_at + _UNKNOWN_KEY_SECONDS:
            self._stale_at = 0.0
        return await self.public()

    async def _refresh(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._stale_at:
            ring = await self._keys.ring()
            self._current, self._public = ring.current, ring.public
            self._read_at, self._stale_at = now, now + KEYS_SECONDS


class Access:
    def __init__(self, pool: Pool, keys: KeyRing, issuer: str, *, edges: Edges, revocations: Revocations) -> None:
        self._pool = pool
        self._keys = keys
        self._issuer = issuer
        self._edges = edges
        self.revocations = revocations

    async def token(self, platform: UUID, jti: UUID) -> MintedToken | None:
        """The token of an active row; the same row gives the same token while the key is the same."""
        row = await store.token(self._pool, platform, jti)
        if row is None or row.state != "active":
            return None
        return await self._minted(platform, row)

    async def issue(self, caller: Caller, pass_id: UUID, show_ref: str) -> MintedToken | None:
        """A first token for a valid pass, or the one it has; None when there is no such pass for that show."""
        row = await store.issue(self._pool, caller.platform_id, pass_id, show_ref, new_id())
        return None if row is None else await self._minted(caller.platform_id, row)

    async def _minted(self, platform: UUID, row: store.TokenRow) -> MintedToken:
        token = mint(await self._keys.current(), self._claims(row))
        return MintedToken(token=token, expires_at=row.expires_at, playback=await self._playback(platform, row))

    async def _playback(self, platform: UUID, row: store.TokenRow) -> Playback | None:
        if row.playback_id is None:
            return None
        return await self._edges.playback(platform, row.playback_id, now=await store.now(self._pool), until=row.expires_at)

    async def exchange(self, caller: Caller, token: str, show_ref: str | None) -> Playback:
        """The video service's token for whoever holds one of ours that still opens. Raises Refused, NoPlayback."""
        checked, row = await self._checked(caller, token, show_ref)
        if row is None or not checked.allowed:
            raise Refused(checked.reason)
        playback = await self._playback(caller.platform_id, row)
        if playback is None:
            raise NoPlayback
        return playback

    async def check(self, caller: Caller, token: str, show_ref: str | None) -> Checked:
        """What an edge asks: the signature, the times, and that the row still admits."""
        return (await self._checked(caller, token, show_ref))[0]

    async def _checked(self, caller: Caller, token: str, show_ref: str | None) -> tuple[Checked, store.TokenRow | None]:
        now = await store.now(self._pool)
        try:
            try:
                claims = read(token, await self._keys.public(), audience=caller.platform, now=now)
            except BadToken as bad:
                if bad.reason != "unknown_key":
                    raise
                claims = read(token, await self._keys.public_again(), audience=caller.platform, now=now)
        except BadToken as bad:
            return Checked(allowed=False, reason="expired" if bad.reason == "expired" else "invalid"), None
        row = await store.token(self._pool, caller.platform_id, claims.token_id)
        if row is None:
            return Checked(allowed=False, reason="unknown"), None
        if show_ref is not None and row.show != show_ref:
            return Checked(allowed=False, reason="other_show"), None
        reason: Reason = ""
        if row.state == "revoked" or row.pass_status != "valid":  # noqa: S105 - the status of a ticket
            reason = "revoked"
        elif row.state == "suspended":
            reason = "suspended"
        checked = Checked(
            allowed=not reason, reason=reason, pass_id=wire(WireId.PASS, row.pass_id), show=row.show, expires_at=row.expires_at
        )
        return checked, row

    def _claims(self, row: store.TokenRow) -> AccessClaims:
        return AccessClaims(
            issuer=self._issuer,
            audience=row.platform,
            pass_id=row.pass_id,
            token_id=row.jti,
            show=row.show,
            issued_at=row.issued_at,
            not_before=row.issued_at,
            expires_at=row.expires_at,
        )
