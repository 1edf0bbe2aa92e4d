"""Lets requests and streams wait for a case to change: by hint in this process, by NOTIFY from others, and by looking every 2 s."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

# NOTIFY is only a hint, and can be lost with its connection: nobody waits longer than this without looking.
LOOK_SECONDS: Final = 2.0


class Watch:
    """One a process. `tell()` is called after a commit; whoever listens is woken."""

    def __init__(self, send: Callable[[UUID], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[UUID, set[asyncio.Event]] = {}
        self._closing = asyncio.Event()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """Ends every wait, so that streams end themselves and a shutdown ends."""
        self._closing.set()
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def tell(self, case: UUID) -> None:
        """Wakes who waits for the case, here and in other processes."""
        self.changed(case)
        await self._send(case)

    def changed(self, case: UUID) -> None:
        """Wakes who waits for the case in this process."""
        for event in self._waiting.get(case, ()):
            event.set()

    @contextmanager
    def listening(self, case: UUID) -> Iterator[Heard]:
        """Hears every change from here on: look at the case after this, never before, or a change in between is missed."""
        event = asyncio.Event()
        self._waiting.setdefault(case, set()).add(event)
        if self.closing:
            event.set()
        try:
            yield Heard(event)
        finally:
            others = self._waiting[case]
            others.discard(event)
            if not others:
                del self._waiting[case]

    async def until(self, case: UUID, seconds_max: float, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Waits until `holds` answers yes, at most so long; what it last answered."""
        ends_at = asyncio.get_running_loop().time() + seconds_max
        with self.listening(case) as heard:
            while not await holds():
                left = ends_at - asyncio.get_running_loop().time()
                if left <= 0 or self.closing:
                    return False
                await heard.wait(left)
        return True


class Heard:
    """What one listener has heard and not yet looked at."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, seconds_max: float) -> None:
        """Returns at a change, also one that came before the wait, at shutdown, or when it is time to look."""
        try:
            async with asyncio.timeout(min(seconds_max, LOOK_SECONDS)):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()
