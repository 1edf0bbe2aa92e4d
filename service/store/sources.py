"""Runs the statements of platforms' own systems: how far each was read, which orders it told us of, what it last said of its shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import msgspec

from service.model import Json
from service.store.pool import Pool

_PLATFORMS: Final = """
SELECT id FROM platform WHERE settings->'source' IS NOT NULL ORDER BY id  -- every platform: each process knows all their systems
"""

_FOLLOW: Final = """
INSERT INTO source_cursor AS mine (platform_id, source, due_at) VALUES ($1, $2, (SELECT app_now()))
ON CONFLICT (platform_id) DO UPDATE SET source = excluded.source, cursor = '', due_at = excluded.due_at, lease_until = NULL,
    lease_epoch = mine.lease_epoch + 1
WHERE mine.source <> excluded.source
"""

_CLAIM: Final = """
WITH due AS MATERIALIZED (
    SELECT platform_id FROM source_cursor WHERE due_at <= (SELECT app_now()) AND platform_id = ANY ($1)
      AND (lease_until IS NULL OR lease_until <= (SELECT app_now()))
    ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
UPDATE source_cursor AS c SET lease_epoch = lease_epoch + 1, lease_until = (SELECT app_now()) + make_interval(secs => $3)
FROM due WHERE c.platform_id = due.platform_id
RETURNING c.platform_id AS platform, c.lease_epoch AS epoch, c.cursor
"""

_KEEP: Final = """
UPDATE source_cursor SET cursor = $3, lease_until = (SELECT app_now()) + make_interval(secs => $4) WHERE platform_id = $1 AND lease_epoch = $2
RETURNING true
"""

_READ: Final = """
UPDATE source_cursor SET lease_until = NULL, due_at = (SELECT app_now()) + make_interval(secs => $3), read_at = (SELECT app_now()),
    failing_since = NULL, failure = ''
WHERE platform_id = $1 AND lease_epoch = $2
"""

_FAILED: Final = """
UPDATE source_cursor SET lease_until = NULL, due_at = (SELECT app_now()) + make_interval(secs => $3),
    failing_since = coalesce(failing_since, (SELECT app_now())), failure = $4
WHERE platform_id = $1 AND lease_epoch = $2
RETURNING extract(epoch FROM (SELECT app_now()) - failing_since)::float8
"""

_MAY_HEAR: Final = "SELECT rate_take($1, $2, $3, $4)"

_HEAR: Final = """
INSERT INTO source_news AS mine (platform_id, ref, heard_at, due_at) VALUES ($1, $2, (SELECT app_now()), (SELECT app_now()))
ON CONFLICT (platform_id, ref) DO UPDATE SET heard = mine.heard + 1, heard_at = excluded.heard_at, due_at = excluded.due_at, tries = 0
"""

# Whoever dies with a row leaves it to the next when that time is over. Of each platform a few: the flood of one is not before the others' first.
_TAKE_NEWS: Final = """
WITH due AS MATERIALIZED (
    SELECT of_one.platform_id, of_one.ref FROM unnest($1::uuid[]) AS mine (id) CROSS JOIN LATERAL (
        SELECT platform_id, ref, due_at FROM source_news WHERE platform_id = mine.id AND due_at <= (SELECT app_now())
        ORDER BY due_at LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED) AS of_one
    ORDER BY of_one.due_at LIMIT $2)
UPDATE source_news AS n SET tries = tries + 1, due_at = (SELECT app_now()) + make_interval(secs => $3)
FROM due WHERE n.platform_id = due.platform_id AND n.ref = due.ref
RETURNING n.platform_id AS platform, n.ref, n.heard, n.tries
"""

_DONE: Final = "DELETE FROM source_news WHERE platform_id = $1 AND ref = $2 AND heard = $3"

_LATER: Final = """
UPDATE source_news SET due_at = (SELECT app_now()) + make_interval(secs => $4), failure = $5 WHERE platform_id = $1 AND ref = $2 AND heard = $3
"""

_REFUSED: Final = """
INSERT INTO source_news AS mine (platform_id, ref, heard_at, due_at, tries, failure)
VALUES ($1, $2, (SELECT app_now()), (SELECT app_now()) + make_interval(secs => $3), 1, $4)
ON CONFLICT (platform_id, ref) DO UPDATE SET due_at = excluded.due_at, failure = excluded.failure WHERE mine.platform_id = $1
"""

_SHOW_IS_NEW: Final = """
SELECT NOT EXISTS (SELECT FROM source_show WHERE platform_id = $1 AND ref = $2 AND hash = $3)
"""
_SHOW_TAKEN: Final = """
INSERT INTO source_show (platform_id, ref, hash) VALUES ($1, $2, $3) ON CONFLICT (platform_id, ref) DO UPDATE SET hash = excluded.hash
"""


class ClaimedSource(msgspec.Struct, frozen=True, kw_only=True):
    """A platform's system that is this process's to read until its lease ends."""

    platform: UUID
    epoch: int
    cursor: str


class ClaimedNews(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is this process's to read for a while. `heard` tells what was heard since; `tries` counts this one."""

    platform: UUID
    ref: str
    heard: int
    tries: int


class SourceStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def platforms(self) -> Sequence[UUID]:
        """Those that have a system of their own."""
        return [row["id"] for row in await self._pool.fetch(_PLATFORMS)]

    async def follow(self, platform: UUID, source: str) -> None:
        """Reads this system from now on; from the beginning when it is another than before."""
        await self._pool.execute(_FOLLOW, platform, source)

    async def claim(self, platforms: Collection[UUID], most: int, lease_seconds: float) -> Sequence[ClaimedSource]:
        return [ClaimedSource(**dict(row)) for row in await self._pool.fetch(_CLAIM, list(platforms), most, lease_seconds)]

    async def keep(self, one: ClaimedSource, cursor: str, lease_seconds: float) -> bool:
        """False: somebody else reads it now."""
        return await self._pool.fetchval(_KEEP, one.platform, one.epoch, cursor, lease_seconds) is not None

    async def read(self, one: ClaimedSource, again_seconds: float) -> None:
        await self._pool.execute(_READ, one.platform, one.epoch, again_seconds)

    async def failed(self, one: ClaimedSource, again_seconds: float, why: str) -> float:
        """For how many seconds it has failed by now."""
        seconds: float | None = await self._pool.fetchval(_FAILED, one.platform, one.epoch, again_seconds, why)
        return seconds or 0.0

    async def may_hear(self, platform: UUID, most: int, seconds: int) -> int:
        """0, or the seconds until there may be more."""
        waits: int = await self._pool.fetchval(_MAY_HEAR, platform, ["source-news"], [most], [seconds])
        return waits

    async def hear(self, platform: UUID, ref: str) -> None:
        """There is something new of this order."""
        await self._pool.execute(_HEAR, platform, ref)

    async def news(self, platforms: Collection[UUID], most: int, lease_seconds: float, *, of_one: int) -> Sequence[ClaimedNews]:
        """The oldest of each platform, `of_one` at most of each."""
        return [ClaimedNews(**dict(row)) for row in await self._pool.fetch(_TAKE_NEWS, list(platforms), most, lease_seconds, of_one)]

    async def done(self, one: ClaimedNews) -> None:
        await self._pool.execute(_DONE, one.platform, one.ref, one.heard)

    async def later(self, one: ClaimedNews, seconds: float, why: str) -> None:
        await self._pool.execute(_LATER, one.platform, one.ref, one.heard, seconds, why)

    async def refused(self, platform: UUID, ref: str, seconds: float, why: str) -> None:
        """An order that cannot be taken in, to be tried again then: a mapping may have been completed."""
        await self._pool.execute(_REFUSED, platform, ref, seconds, why)

    async def show_is_new(self, platform: UUID, ref: str, digest: bytes) -> bool:
        """Whether the system says something else of the show than before."""
        said: bool = await self._pool.fetchval(_SHOW_IS_NEW, platform, ref, digest)
        return said

    async def show_taken(self, platform: UUID, ref: str, digest: bytes) -> None:
        await self._pool.execute(_SHOW_TAKEN, platform, ref, digest)

    async def alert(self, platform: UUID, kind: str, data: Json) -> None:
        """One case for the operations' people, while none is open for the same kind and data's `ref`."""
        await self._pool.execute("SELECT alert_raise($1, $2, $3::jsonb)  -- $1 is platform_id", platform, kind, data)
