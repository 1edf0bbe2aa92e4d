"""Access tokens: minted from their rows, checked against them, revoked by them; and the keys that sign them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.keys import SigningKeys
from service.model import WireId, new_id, unwire, wire
from service.store import access as store
from service.store.pool import Pool
from service.tokens import AccessClaims, BadToken, PublicKeys, SigningKey, mint, read

Reason = Literal["", "invalid", "expired", "revoked", "suspended", "unknown", "other_show"]

# A key that another process made is used here within this time.
KEYS_SECONDS: Final = 5.0


class MintedToken(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: datetime


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

    async def current(self) -> SigningKey:
        await self._refresh()
        assert self._current is not None  # noqa: S101 - _refresh raises LookupError before
        return self._current

    async def public(self) -> PublicKeys:
        await self._refresh()
        return self._public

    async def _refresh(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._stale_at:
            self._current, self._public = await self._keys.current(), await self._keys.public()
            self._stale_at = now + KEYS_SECONDS


class Access:
    def __init__(self, pool: Pool, keys: KeyRing, issuer: str) -> None:
        self._pool = pool
        self._keys = keys
        self._issuer = issuer

    async def token(self, platform: UUID, jti: UUID) -> MintedToken | None:
        """The token of an active row; the same row gives the same token while the key is the same."""
        row = await store.token(self._pool, platform, jti)
        if row is None or row.state != "active":
            return None
        return MintedToken(token=mint(await self._keys.current(), self._claims(row)), expires_at=row.expires_at)

    async def issue(self, caller: Caller, pass_id: UUID, show_ref: str) -> MintedToken | None:
        """A first token for a valid pass, or the one it has; None when there is no such pass for that show."""
        row = await store.issue(self._pool, caller.platform_id, pass_id, show_ref, new_id())
        if row is None:
            return None
        return MintedToken(token=mint(await self._keys.current(), self._claims(row)), expires_at=row.expires_at)

    async def check(self, caller: Caller, token: str, show_ref: str | None) -> Checked:
        """What an edge asks: the signature, the times, and that the row still admits."""
        now = await store.now(self._pool)
        try:
            claims = read(token, await self._keys.public(), audience=caller.platform, now=now)
        except BadToken as bad:
            return Checked(allowed=False, reason="expired" if bad.reason == "expired" else "invalid")
        row = await store.token(self._pool, caller.platform_id, claims.token_id)
        if row is None:
            return Checked(allowed=False, reason="unknown")
        if show_ref is not None and row.show != show_ref:
            return Checked(allowed=False, reason="other_show")
        reason: Reason = ""
        if row.state == "revoked" or row.pass_status != "valid":  # noqa: S105 - the status of a ticket
            reason = "revoked"
        elif row.state == "suspended":
            reason = "suspended"
        return Checked(allowed=not reason, reason=reason, pass_id=wire(WireId.PASS, row.pass_id), show=row.show, expires_at=row.expires_at)

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


def pass_of(text: str) -> UUID | None:
    return unwire(WireId.PASS, text)
