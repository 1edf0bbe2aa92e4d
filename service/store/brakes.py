"""Brakes and what releasing them sets going: each call is one function (functions/brakes.sql), one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.store.pool import Pool

# Nobody pauses more things than this one by one: above it, they pause everything.
BRAKES_MAX: Final = 1000


class BrakeRow(msgspec.Struct, frozen=True, kw_only=True):
    """`ref` is the action, the rail or the show's reference; empty for `all`."""

    scope: str
    ref: str
    reason: str
    actor: str
    created_at: datetime


class BrakeStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def show(self, platform: UUID, ref: str) -> UUID | None:
        """The id by which a brake on this show is kept."""
        found: UUID | None = await self._pool.fetchval("SELECT id FROM show WHERE platform_id = $1 AND ref = $2", platform, ref)
        return found

    async def put(self, platform: UUID, scope: str, ref: str, *, reason: str, actor: str) -> None:
        await self._pool.execute("SELECT brake_put($1, $2, $3, $4, $5)  -- $1 is platform_id", platform, scope, ref, reason, actor)

    async def release(self, platform: UUID, scope: str, ref: str, *, reason: str, actor: str) -> int | None:
        """How many operations go now; None: nothing was paused there."""
        freed: int | None = await self._pool.fetchval(
            "SELECT brake_release($1, $2, $3, $4, $5)  -- $1 is platform_id", platform, scope, ref, reason, actor
        )
        return freed

    async def list(self, platform: UUID) -> Sequence[BrakeRow]:
        """Oldest first; at most BRAKES_MAX."""
        rows = await self._pool.fetch(
            """
            SELECT b.scope, coalesce(s.ref, b.ref) AS ref, b.reason, b.actor, b.created_at
            FROM brake b LEFT JOIN show s ON b.scope = 'show' AND s.platform_id = b.platform_id AND s.id::text = b.ref
            WHERE b.platform_id = $1 ORDER BY b.created_at, b.scope, b.ref LIMIT $2
            """,
            platform,
            BRAKES_MAX,
        )
        return [BrakeRow(**dict(row)) for row in rows]

    async def stop_rail(self, platform: UUID, rail: str, reason: str, case: UUID) -> UUID:
        """The alert's case: this one, or the one that is open for the rail already."""
        alert: UUID = await self._pool.fetchval("SELECT rail_stop($1, $2, $3, $4)  -- $1 is platform_id", platform, rail, reason, case)
        return alert
