"""What the live feed of the desk reads beside the queue, and that an agent's console is open."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from service.store import queue
from service.store.pool import Pool
from service.store.queue import Filters, RowRecord

_SEEN: Final = "UPDATE agent SET seen_at = (SELECT app_now()) WHERE platform_id = $1 AND id = $2"
_NOW: Final = "SELECT app_now()"
_ALL: Final = Filters(shown="all")


async def seen(pool: Pool, platform: UUID, agent: UUID) -> None:
    await pool.execute(_SEEN, platform, agent)


async def now_and_rows(pool: Pool, platform: UUID, most: int) -> tuple[datetime, tuple[RowRecord, ...]]:
    """The time is from before the rows: none of them is older than it says."""
    now: datetime = await pool.fetchval(_NOW)
    return now, tuple(await queue.rows(pool, platform, _ALL, most=most))
