"""Work that outlives the request that started it: at most so many at once, never cancelled by a client, finished before shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

log: Final = structlog.get_logger()

# More calls at once than this would wait for the same database connections; beyond it the answer is 202 and the claim loop does the work.
PLACES: Final = 64


class Crew:
    """A bounded set of tasks of one process."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._tasks: set[asyncio.Task[None]] = set()
        self._reserved = 0
        self._closing = False

    @property
    def free(self) -> int:
        return 0 if self._closing else self._places - len(self._tasks) - self._reserved

    def reserve(self) -> bool:
        """Holds a place for work that is about to be found out; give it back with start() or release()."""
        if self.free <= 0:
            return False
        self._reserved += 1
        return True

    def release(self) -> None:
        self._reserved -= 1

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts work in a reserved place. What it raises is a bug: it is logged, and the row it left behind is due again."""
        self._reserved -= 1
        task = asyncio.create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self, task: asyncio.Task[None]) -> None:
        """Waits for the work; a caller that is cancelled leaves it running."""
        await asyncio.shield(task)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("work_failed")

    async def close(self, seconds_max: float) -> None:
        """Takes nothing new and waits for what is under way; what does not end in time is left to its lease."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds_max)
