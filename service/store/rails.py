"""How each rail is doing, shared by all processes: each change is one function (functions/gate.sql), one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.store.pool import Pool

# A platform has a handful of accounts, an installation some hundreds; more rows than this are of rails long gone.
RAILS_MAX: Final = 1000


class RailSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A rail's row as it was a moment ago; times are seconds from then, negative when past."""

    rail: str
    failures: int = 0
    """in a row"""
    open_left: float | None = None
    """set while the breaker is not closed; past: a probe may go"""
    probe_left: float | None = None
    held_left: float | None = None
    """the processor asked to wait"""
    changed: bool = False
    """this call opened or closed the breaker, or won the probe"""
    granted: int = 0
    """slots"""
    slots_in: float = 0.0
    """until the first slot; where none was granted, until asking again may help"""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When the breaker opens, and for how long."""

    failures: int
    within_seconds: float
    open_seconds_first: float
    open_seconds_last: float


class RailRow(msgspec.Struct, frozen=True, kw_only=True):
    """A rail as one platform has it."""

    rail: str
    opened_at: datetime | None
    """since when the breaker is not closed"""
    may_be_tried: bool
    """it is open no longer, and not closed yet"""
    not_before: datetime | None
    """in the future, or None"""
    last_failure: str
    last_failure_at: datetime | None
    stopped_at: datetime | None
    """by the oldest brake that holds there"""
    stopped_why: str
    operations: int
    oldest_seconds: float


# $2: rails that refund, $3: rails that pay out; which of them are of the platform's concern is service.rail_status's to say.
_OF_PLATFORM: Final = """
WITH clock AS MATERIALIZED (
    SELECT app_now() AS now
), waiting AS MATERIALIZED (
    SELECT rail, count(*) AS operations, min(created_at) AS oldest FROM operation
    WHERE platform_id = $1 AND due_at IS NOT NULL AND state IN ('READY', 'SENT') AND accepted_at IS NULL GROUP BY rail
)
SELECT named.rail, r.opened_at, coalesce(r.open_until <= clock.now, false) AS may_be_tried,
    CASE WHEN r.not_before > clock.now THEN r.not_before END AS not_before, coalesce(r.last_failure, '') AS last_failure, r.last_failure_at,
    b.created_at AS stopped_at, coalesce(b.reason, '') AS stopped_why, coalesce(w.operations, 0) AS operations,
    coalesce(extract(epoch FROM clock.now - w.oldest), 0)::float AS oldest_seconds
FROM (SELECT unnest($2::text[]) AS rail, false AS pays_out UNION ALL SELECT unnest($3::text[]), true) AS named CROSS JOIN clock
LEFT JOIN rail_state AS r ON r.rail = named.rail
LEFT JOIN waiting AS w ON w.rail = named.rail
LEFT JOIN LATERAL (
    SELECT created_at, reason FROM brake WHERE platform_id = $1 AND (scope = 'all' OR (scope = 'rail' AND ref = named.rail))
    ORDER BY created_at LIMIT 1
) AS b ON true
WHERE w.operations > 0 OR CASE WHEN named.pays_out
    THEN (SELECT settings->'payouts'->'rails' FROM platform WHERE id = $1) ? named.rail
    -- every platform: whether a rail is used by others alone, of whom nothing else is told
    ELSE EXISTS (SELECT FROM payment WHERE platform_id = $1 AND rail = named.rail)
        OR NOT EXISTS (SELECT FROM payment WHERE rail = named.rail AND provider_ref IS NOT NULL) END
ORDER BY named.rail
"""


class RailStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def all(self) -> Sequence[RailSeen]:
        rows = await self._pool.fetch("SELECT rail_seen(r, (SELECT app_now())) AS seen FROM rail_state AS r LIMIT $1", RAILS_MAX)
        return [msgspec.convert(row["seen"], RailSeen) for row in rows]

    async def of_platform(self, platform: UUID, refunding: Sequence[str], paying_out: Sequence[str]) -> Sequence[RailRow]:
        """The rails of a platform's concern, by name, in one query."""
        rows = await self._pool.fetch(_OF_PLATFORM, platform, refunding, paying_out)
        return [RailRow(**dict(row)) for row in rows]

    async def failed(self, rail: str, word: str, limits: Limits, *, probe: bool) -> RailSeen:
        return _seen(
            await self._pool.fetchval(
                "SELECT rail_failed($1, $2, $3, $4, $5, $6, $7)",
                rail,
                word,
                probe,
                limits.failures,
                limits.within_seconds,
                limits.open_seconds_first,
                limits.open_seconds_last,
            )
        )

    async def reached(self, rail: str, *, probe: bool) -> RailSeen:
        return _seen(await self._pool.fetchval("SELECT rail_reached($1, $2)", rail, probe))

    async def let_go(self, rail: str, wait_seconds: float | None, *, probe: bool) -> RailSeen:
        """Neither a failure nor a success: everybody waits so long, if at all, and a probe's place is free."""
        return _seen(await self._pool.fetchval("SELECT rail_let_go($1, $2, $3)", rail, wait_seconds, probe))

    async def probe(self, rail: str, lease_seconds: float) -> RailSeen:
        """`changed`: the one probe is ours."""
        return _seen(await self._pool.fetchval("SELECT rail_probe($1, $2)", rail, lease_seconds))

    async def slots(self, rail: str, count: int, *, interval_seconds: float, ahead_seconds: float) -> RailSeen:
        return _seen(await self._pool.fetchval("SELECT rail_slots($1, $2, $3, $4)", rail, interval_seconds, count, ahead_seconds))


def _seen(document: Any) -> RailSeen:
    return msgspec.convert(document, RailSeen)
