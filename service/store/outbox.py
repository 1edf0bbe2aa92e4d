"""What platforms are told, as rows: placed in their feed, read by position, forgotten when nobody needs them any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.store.pool import Pool

_PAGE: Final = """
SELECT e.position, e.event_id, e.type, e.order_id, o.ref AS order_ref, e.case_id, e.created_at, e.data
FROM outbox AS e LEFT JOIN orders AS o ON o.platform_id = $1 AND o.id = e.order_id
WHERE e.platform_id = $1 AND e.position > $2 AND ($3::text[] IS NULL OR e.type = ANY ($3))
ORDER BY e.position LIMIT $4
"""
_HEAD: Final = "SELECT position, forgotten FROM outbox_head WHERE platform_id = $1"


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that a platform is told; `data` as it was when it happened, with plain ids."""

    position: int
    event_id: UUID
    type: str
    order_id: UUID | None
    order_ref: str | None
    case_id: UUID | None
    created_at: datetime
    data: Mapping[str, Any]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where a platform's feed goes, and up to where it was forgotten."""

    position: int = 0
    forgotten: int = 0


class OutboxStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def place(self, most: int) -> int:
        """Gives at most so many facts their places; how many. Safe in every process at once: one does it."""
        placed: int = await self._pool.fetchval("SELECT outbox_place($1)  -- every platform: one sequencer serves all", most)
        return placed

    async def page(self, platform: UUID, *, after: int, most: int, types: Sequence[str] | None = None) -> Sequence[OutboxRow]:
        """What was told after that position, in order; only of these types when there are any. No row is ever skipped."""
        rows = await self._pool.fetch(_PAGE, platform, after, None if types is None else list(types), most)
        return [OutboxRow(**dict(row)) for row in rows]

    async def head(self, platform: UUID) -> Head:
        row = await self._pool.fetchrow(_HEAD, platform)
        return Head() if row is None else Head(position=row["position"], forgotten=row["forgotten"])
