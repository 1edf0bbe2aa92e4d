"""Statements of the figures and of satisfaction: each one call of a function in `functions/figures.sql`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from service.store.pool import Pool


class FigureStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def now(self) -> datetime:
        at: datetime = await self._pool.fetchval("SELECT app_now()  -- every platform: one clock")
        return at

    async def show(self, platform: UUID, ref: str) -> UUID | None:
        found: UUID | None = await self._pool.fetchval("SELECT id FROM show WHERE platform_id = $1 AND ref = $2", platform, ref)
        return found

    async def figures(
        self, platform: UUID, *, show: UUID | None, begin: datetime, end: datetime, seconds_assumed: float, measured_min: int
    ) -> Mapping[str, Any]:
        told: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT figures($1, $2, $3, $4, $5, $6)  -- $1 is platform_id", platform, show, begin, end, seconds_assumed, measured_min
        )
        return told

    async def board(self, platform: UUID, *, ages: Sequence[int], minutes: int, seen_seconds: float) -> Mapping[str, Any]:
        told: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT board($1, $2, $3, $4)  -- $1 is platform_id", platform, ages, minutes, seen_seconds
        )
        return told

    async def shift(self, platform: UUID, agent: UUID, actor: str, zone: str) -> Mapping[str, Any]:
        told: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT shift_of($1, $2, $3, $4)  -- $1 is platform_id", platform, agent, actor, zone
        )
        return told

    async def score(self, platform: UUID, case: UUID, asked: str, score: int) -> str:
        """`scored`, `same`, `scored_before` or `not_yet`."""
        status: str = await self._pool.fetchval(
            "SELECT satisfaction_put($1, $2, $3, $4)  -- $1 is platform_id", platform, case, asked, score
        )
        return status

    async def ask_after_shows(self, most: int, *, after_seconds: float, late_seconds: float) -> int:
        """Enqueues a letter for each case whose show has been over for so long, at most so many; how many."""
        asked: int = await self._pool.fetchval(
            "SELECT ask_after_shows($1, $2, $3)  -- every platform: the pass is the installation's own", most, after_seconds, late_seconds
        )
        return asked
