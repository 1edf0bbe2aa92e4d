"""Workers that are stopped between any two steps: each statement and each call to a processor is a place to freeze, crash or go on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

from service.rails import Entry, Outcome
from service.store.pool import Connection, Pool
from tests.patience import PATIENCE_SECONDS

_CURRENT: Final[ContextVar[Worker | None]] = ContextVar("current_worker", default=None)


async def step(place: str) -> None:
    """A place where the worker that comes here may be kept, for ever if it crashed. Who is no worker passes."""
    worker = _CURRENT.get()
    if worker is not None:
        await worker.comes_to(place)


class Worker:
    """One process at one piece of work. It moves only inside `run`, so that all of them together go one drawn way."""

    def __init__(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        self.name = name
        self.place = "start"
        self._fuel = 0.0
        self._dead = False
        self._ended = False
        self._halted = asyncio.Event()
        self._go = asyncio.Event()
        self._task = asyncio.create_task(self._work(work))

    async def _work(self, work: Coroutine[Any, Any, object]) -> None:
        _CURRENT.set(self)
        try:
            await self.comes_to("start")
            await work
        finally:
            work.close()
            self._ended = True
            self._halted.set()

    @property
    def is_done(self) -> bool:
        return self._task.done()

    async def comes_to(self, place: str) -> None:
        if self._dead:
            raise asyncio.CancelledError
        self.place = place
        while self._fuel <= 0:
            self._go.clear()
            self._halted.set()
            await self._go.wait()
            if self._dead:
                raise asyncio.CancelledError
        self._fuel -= 1

    async def run(self, steps: float = math.inf) -> None:
        """Lets it pass so many places. What it raises is the caller's."""
        if self.is_done:
            return
        self._halted.clear()
        self._fuel = steps
        self._go.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._halted.wait()
        if self._ended:
            await self._task

    async def crash(self) -> None:
        """The process is gone: nothing of it runs any more, clean-up included."""
        self._dead = True
        self._task.cancel()
        await asyncio.wait({self._task})


class SteppedPool:
    """A pool whose statements are places: before one takes effect, and after it did and before its answer is used."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        await step("before a statement")
        found = await self._pool.fetchval(sql, *arguments)
        await step("after a statement")
        return found

    async def fetchrow(self, sql: str, *arguments: object) -> Any:
        await step("before a statement")
        found = await self._pool.fetchrow(sql, *arguments)
        await step("after a statement")
        return found

    async def fetch(self, sql: str, *arguments: object) -> Any:
        await step("before a statement")
        found = await self._pool.fetch(sql, *arguments)
        await step("after a statement")
        return found

    async def execute(self, sql: str, *arguments: object) -> Any:
        await step("before a statement")
        found = await self._pool.execute(sql, *arguments)
        await step("after a statement")
        return found

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A transaction is one place: nobody stops while holding locks, since its database would then let go of them."""
        await step("before a transaction")
        async with self._pool.acquire() as connection:
            yield connection
        await step("after a transaction")


class DrawnGate:
    """A gate that is open or shut as rules say, rail by rail."""

    def __init__(self) -> None:
        self.shut: dict[str, Entry] = {}

    async def enter(self, rail: str, *, interactive: bool) -> Entry:
        del interactive
        await step("gate")
        return self.shut.get(rail, Entry(kind="go"))

    async def report(
        self, rail: str, outcome: Outcome, *, probe: bool, retry_after_seconds: float | None = None, word: str = "no_answer"
    ) -> None:
        del rail, outcome, probe, retry_after_seconds, word
        await step("report")
