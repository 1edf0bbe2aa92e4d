"""Lets requests and streams wait for a case to change: by hint in this process, by NOTIFY from others, and by looking every 2 s."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

# NOTIFY is only a hint, and can be lost with its connection: nobody waits longer than this without looking.
LOOK_SECONDS: Final = 2.0


class Watch:
    """One a process. `tell()` is called after a commit; `wait()` returns at a change, at shutdown, or when it is time to look."""

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

    async def wait(self, case: UUID, seconds_max: float) -> None:
        if self.closing:
            return
        event = asyncio.Event()
        self._waiting.setdefault(case, set()).add(event)
        try:
            async with asyncio.timeout(min(seconds_max, LOOK_SECONDS)):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            others = self._waiting[case]
            others.discard(event)
            if not others:
                del self._waiting[case]

    async def until(self, case: UUID, seconds_max: float, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Waits until `holds` answers yes, at most so long; what it last answered."""
        ends_at = asyncio.get_running_loop().time() + seconds_max
        while not await holds():
            left = ends_at - asyncio.get_running_loop().time()
            if left <= 0 or self.closing:
                return False
            await self.wait(case, left)
        return True
