"""Processes before one rail: gates on pools of their own, and one clock for them and the database, moved by hand."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence

import pytest

from service.rails import Gate
from service.store.pool import Pool, open_pool
from service.store.rails import RailStore

RAIL = "main"
# Two looks at a clock never see the same.
_TICK_SECONDS = 1e-7


def most_in_any_second(times: Sequence[float]) -> int:
    """Over all windows of one second, wherever they begin."""
    ordered = sorted(times)
    return max(bisect_left(ordered, at + 1.0) - place for place, at in enumerate(ordered))


class Clock:
    """Sleeping moves time, here and in the database, and nobody waits. Nothing else moves it. Who sleep at once sleep beside each other."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Lock()
        self._now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self._now += _TICK_SECONDS
        return self._now

    async def sleep(self, seconds: float) -> None:
        wakes_at = self.monotonic() + seconds
        async with self._turn:
            self.slept.append(seconds)
            if (left := wakes_at - self.monotonic()) > 0:
                await self.move(left)

    async def move(self, seconds: float) -> None:
        self._now += seconds
        await self._pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", seconds)


class CountedStore(RailStore):
    """Counts what it is asked."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.asked: list[str] = []

    def __getattribute__(self, name: str) -> object:
        if name in {"all", "failed", "reached", "let_go", "probe", "slots"}:
            self.asked.append(name)
        return super().__getattribute__(name)


class Process:
    """One gate, as one process has it."""

    def __init__(self, pool: Pool, clock: Clock, pace: float | None) -> None:
        self.store = CountedStore(pool)
        self.gate = Gate(self.store, paces={RAIL: pace}, monotonic=clock.monotonic, sleep=clock.sleep)


class Town:
    """Two processes and a clock."""

    def __init__(self, pool: Pool, other: Pool) -> None:
        self.pool = pool
        self.clock = Clock(pool)
        self._other = other

    def processes(self, pace: float | None = None) -> tuple[Process, Process]:
        return Process(self.pool, self.clock, pace), Process(self._other, self.clock, pace)


@pytest.fixture
async def town(still_pool: Pool, fresh_database_url: str) -> AsyncIterator[Town]:
    async with await open_pool(fresh_database_url, size=10) as other:
        yield Town(still_pool, other)
