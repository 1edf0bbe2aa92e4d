"""The keys that sign access tokens: rows of the installation itself, hence without a platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from service.store.keys import Change
from service.store.pool import Pool

# Two processes at once: the unique index lets one win, the other waits for it and writes nothing.
_FIRST: Final = """
INSERT INTO signing_key (kid, sealed_private, public_jwk, state, created_at, since) VALUES ($1, $2, $3, 'current', (SELECT app_now()), (SELECT app_now()))
ON CONFLICT (state) WHERE state = 'current' DO NOTHING
"""

_ALL: Final = "SELECT kid, sealed_private, public_jwk, state, created_at, since, ready_at, gone_at FROM signing_key ORDER BY state, since, kid LIMIT $1"

# At most a handful: current, next, and old ones whose tokens have not all run out.
_KEYS_MAX: Final = 50


class SigningKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    kid: str
    sealed_private: bytes
    public_jwk: Mapping[str, str]
    state: str
    created_at: datetime
    since: datetime
    """in this state"""
    ready_at: datetime | None
    """a `next` signs from then on"""
    gone_at: datetime | None
    """an `old` is kept until then at least"""


class NewSigningKey(msgspec.Struct, frozen=True, kw_only=True):
    kid: str
    sealed_private: bytes
    public_jwk: Mapping[str, str]


class SigningKeyStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_first(self, kid: str, sealed_private: bytes, public_jwk: Mapping[str, str]) -> None:
        """Nothing happens when there is a current key already."""
        await self._pool.execute(_FIRST, kid, sealed_private, dict(public_jwk))

    async def all(self) -> Sequence[SigningKeyRow]:
        rows = await self._pool.fetch(_ALL, _KEYS_MAX)
        return [SigningKeyRow(**dict(row)) for row in rows]

    async def add_next(self, key: NewSigningKey, lead_seconds: float, change: Change) -> bool:
        """Published from now on, to sign after that long. False: there is a next key already."""
        added: bool = await self._pool.fetchval(
            "SELECT signing_next($1, $2, $3, $4, $5, $6)",
            key.kid,
            key.sealed_private,
            dict(key.public_jwk),
            lead_seconds,
            change.actor,
            change.why,
        )
        return added

    async def is_due(self, days: int) -> bool:
        """The current key has signed for so long, and none is to follow it."""
        due: bool = await self._pool.fetchval(
            """
            SELECT EXISTS (SELECT FROM signing_key WHERE state = 'current' AND since < (SELECT app_now()) - make_interval(days => $1))
               AND NOT EXISTS (SELECT FROM signing_key WHERE state = 'next')
            """,
            days,
        )
        return due

    async def advance(self, late_seconds: float) -> Sequence[str]:
        """Takes each key as far as it may go, and names what was done. Safe in every process at once, and to be killed in."""
        steps: Sequence[str] = await self._pool.fetchval("SELECT signing_advance($1)", late_seconds)
        return steps

    async def withdraw(self, key: NewSigningKey, change: Change) -> None:
        """Lets this key sign now; every other is gone, and with it every token that it signed."""
        await self._pool.execute(
            "SELECT signing_withdraw($1, $2, $3, $4, $5)", key.kid, key.sealed_private, dict(key.public_jwk), change.actor, change.why
        )
