"""Keeps what is costly to read for a moment, so that however many look at once it is read once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """One a process. `seconds`: how old an answer may be, from when its reading began; at most `most` keys are kept."""

    def __init__(self, seconds: float, *, most: int, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._most = most
        self._monotonic = monotonic
        self._kept: dict[K, tuple[float, asyncio.Task[V]]] = {}

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """What is kept or being read just now, else what `read` says. A reading that fails is kept for nobody but those who wait for it."""
        kept = self._kept.get(key)
        if kept is None or self._monotonic() - kept[0] >= self._seconds or _failed(kept[1]):
            if len(self._kept) >= self._most:
                self._kept.clear()
            kept = self._kept[key] = (self._monotonic(), asyncio.ensure_future(_read(read)))
        # Whoever goes away takes the answer from nobody else.
        return await asyncio.shield(kept[1])


async def _read(read: Callable[[], Awaitable[V]]) -> V:
    return await read()


def _failed(task: asyncio.Task[V]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
