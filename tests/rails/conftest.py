"""Processes before one rail: gates on pools of their own, and one clock for them and the database, moved by hand."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from service.rails import Gate
from service.store.pool import Pool, open_pool
from service.store.rails import RailStore

RAIL = "main"


class Clock:
    """Sleeping moves time, here and in the database, and nobody waits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ahead = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.move(seconds)

    async def move(self, seconds: float) -> None:
        self._ahead += seconds
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
async def town(fresh_database_url: str) -> AsyncIterator[Town]:
    async with await open_pool(fresh_database_url, size=10) as pool, await open_pool(fresh_database_url, size=10) as other:
        yield Town(pool, other)
