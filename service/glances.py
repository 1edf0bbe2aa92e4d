"""One look for all the streams of cases in a process: which of them have news. However many are open, it is one short statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import structlog

from service.store.cases import Mark
from service.watch import LOOK_SECONDS, Heard, Watch

log: Final = structlog.get_logger()

# What one statement looks up by its keys in some ten milliseconds.
_AT_ONCE_MAX: Final = 2_000

Key = tuple[UUID, UUID]
"""platform, case"""


class Follower(Heard):
    """One stream: what it has seen of its case, and how it is woken."""

    def __init__(self, event: asyncio.Event, key: Key) -> None:
        super().__init__(event)
        self._event = event
        self.key = key
        self._seq = 0
        self._state = ""

    def saw(self, seq: int, state: str) -> None:
        """Up to which entry it has seen, and the state that the case was in. A hint, or a glance that differs, wakes it."""
        self._seq, self._state = seq, state

    def look(self, mark: Mark) -> None:
        if mark.seq > self._seq or mark.state != self._state:
            self._event.set()


class Glances:
    """One a process. `read` answers for at most 2,000 cases at once."""

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Sequence[Mark]]], watch: Watch) -> None:
        self._read = read
        self._watch = watch
        self._followers: dict[Key, set[Follower]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def following(self, platform: UUID, case: UUID) -> Iterator[Follower]:
        """Hears every change of the case from here on: by hint at once, without one within two seconds."""
        key = (platform, case)
        with self._watch.heard(case) as event:
            follower = Follower(event, key)
            self._followers.setdefault(key, set()).add(follower)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run())
            try:
                yield follower
            finally:
                self._leave(follower)

    def _leave(self, follower: Follower) -> None:
        others = self._followers[follower.key]
        others.discard(follower)
        if not others:
            del self._followers[follower.key]
        if not self._followers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while self._followers and not self._watch.closing:
            await self._watch.pause(LOOK_SECONDS)
            try:
                await self.once()
            except Exception as error:  # noqa: BLE001 - a database that is away comes back, and streams look by themselves too
                log.warning("glance_failed", error=type(error).__qualname__)

    async def once(self) -> None:
        """Wakes who follows a case that has news."""
        keys = list(self._followers)
        for first in range(0, len(keys), _AT_ONCE_MAX):
            for mark in await self._read(keys[first : first + _AT_ONCE_MAX]):
                for follower in self._followers.get((mark.platform_id, mark.id), ()):
                    follower.look(mark)
