"""How each rail is doing, shared by all processes: each call is one function (functions/gate.sql), one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

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


class RailStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def all(self) -> Sequence[RailSeen]:
        rows = await self._pool.fetch("SELECT rail_seen(r, (SELECT app_now())) AS seen FROM rail_state AS r LIMIT $1", RAILS_MAX)
        return [msgspec.convert(row["seen"], RailSeen) for row in rows]

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
