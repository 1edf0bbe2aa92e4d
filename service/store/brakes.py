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


# Each platform's brakes with its own operations; a show's operations are those of its cases. What may have been sent is not held back.
_EVERYWHERE: Final = """
SELECT p.slug AS platform, b.scope, coalesce(s.ref, b.ref) AS ref, b.reason, b.actor, b.created_at, (
    SELECT count(*) FROM operation AS o JOIN cases AS c ON c.platform_id = o.platform_id AND c.id = o.case_id
    WHERE o.platform_id = b.platform_id AND o.due_at IS NOT NULL AND o.state IN ('READY', 'SENT') AND o.accepted_at IS NULL
      AND NOT EXISTS (SELECT FROM attempt AS a JOIN try AS t ON t.platform_id = a.platform_id AND t.attempt_id = a.id
                      WHERE a.platform_id = o.platform_id AND a.operation_id = o.id AND t.result IS DISTINCT FROM 'NOT_SENT')
      AND (b.scope = 'all' OR (b.scope = 'action' AND o.action = b.ref) OR (b.scope = 'rail' AND o.rail = b.ref)
           OR (b.scope = 'show' AND c.show_id::text = b.ref))
) AS waiting
FROM brake AS b JOIN platform AS p ON p.id = b.platform_id
LEFT JOIN show AS s ON b.scope = 'show' AND s.platform_id = b.platform_id AND s.id::text = b.ref
ORDER BY p.slug, b.created_at, b.scope, b.ref LIMIT $1
"""


class BrakeRow(msgspec.Struct, frozen=True, kw_only=True):
    """`ref` is the action, the rail or the show's reference; empty for `all`."""

    scope: str
    ref: str
    reason: str
    actor: str
    created_at: datetime


class BrakeEverywhere(BrakeRow, frozen=True, kw_only=True):
    """`waiting`: operations that it holds back, another may hold them too."""

    platform: str
    waiting: int


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

    async def put_all(self, scope: str, ref: str, *, reason: str, actor: str) -> int:
        """The same brake on every platform; how many those are."""
        count: int = await self._pool.fetchval("SELECT brakes_put_all($1, $2, $3, $4)", scope, ref, reason, actor)
        return count

    async def release_all(self, scope: str, ref: str, *, reason: str, actor: str) -> int | None:
        """How many operations go now; None: nothing was paused there on any platform."""
        freed: int | None = await self._pool.fetchval("SELECT brakes_release_all($1, $2, $3, $4)", scope, ref, reason, actor)
        return freed

    async def everywhere(self) -> Sequence[BrakeEverywhere]:
        """All brakes of the installation, by platform, each with what waits for it; at most BRAKES_MAX."""
        rows = await self._pool.fetch(_EVERYWHERE, BRAKES_MAX)
        return [BrakeEverywhere(**dict(row)) for row in rows]

    async def stop_rail(self, platform: UUID, rail: str, reason: str, case: UUID) -> UUID:
        """The alert's case: this one, or the one that is open for the rail already."""
        alert: UUID = await self._pool.fetchval("SELECT rail_stop($1, $2, $3, $4)  -- $1 is platform_id", platform, rail, reason, case)
        return alert

    async def alert(self, platform: UUID, kind: str, rail: str) -> UUID:
        """The alert's case: a new one, or the one that is open for the same already."""
        case: UUID = await self._pool.fetchval("SELECT alert_raise($1, $2, $3::jsonb)  -- $1 is platform_id", platform, kind, {"ref": rail})
        return case
