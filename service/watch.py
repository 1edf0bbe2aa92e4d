"""Lets requests and streams wait for a case to change: by hint in this process, by NOTIFY from others, and by looking every 2 s."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import structlog

log: Final = structlog.get_logger()

# NOTIFY is only a hint, and can be lost with its connection: nobody waits longer than this without looking.
LOOK_SECONDS: Final = 2.0


class Watch:
    """One a process. `tell()` is called after a commit; whoever listens is woken."""

    def __init__(self, send: Callable[[Collection[UUID]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[UUID, set[asyncio.Event]] = {}
        self._of_all: set[asyncio.Event] = set()
        self._unsent: set[UUID] = set()
        self._sending: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def close(self) -> None:
        """Ends every wait, so that streams end themselves and a shutdown ends."""
        self._closing.set()
        for events in (*self._waiting.values(), self._of_all):
            for event in events:
                event.set()

    def tell(self, *cases: UUID) -> None:
        """Wakes who waits for one of the cases: here at once, in other processes a moment later, with whatever changes until then."""
        for case in cases:
            self.changed(case)
        self._unsent.update(cases)
        if self._unsent and self._sending is None:
            self._sending = asyncio.create_task(self._send_all())

    async def told(self) -> None:
        """Returns when nothing is left to be sent to other processes, or when they look by themselves."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=LOOK_SECONDS)

    async def _send_all(self) -> None:
        try:
            while self._unsent:
                cases, self._unsent = self._unsent, set()
                try:
                    await self._send(cases)
                except Exception:
                    # What was to be told is stored: a hint that is lost makes others look later, and nothing fail.
                    log.exception("hints_not_sent")
        finally:
            self._sending = None

    def changed(self, case: UUID) -> None:
        """Wakes who waits for the case in this process, and who waits for any."""
        for event in (*self._waiting.get(case, ()), *self._of_all):
            event.set()

    @contextmanager
    def listening(self, case: UUID) -> Iterator[Heard]:
        """Hears every change from here on: look at the case after this, never before, or a change in between is missed."""
        with self.heard(case) as event:
            yield Heard(event)

    @contextmanager
    def heard(self, case: UUID) -> Iterator[asyncio.Event]:
        """The same as an event, which is set at each change and at shutdown."""
        event = asyncio.Event()
        self._waiting.setdefault(case, set()).add(event)
        if self.closing:
            event.set()
        try:
            yield event
        finally:
            others = self._waiting[case]
            others.discard(event)
            if not others:
                del self._waiting[case]

    @contextmanager
    def listening_to_all(self) -> Iterator[Heard]:
        """Hears every change of any case from here on."""
        event = asyncio.Event()
        self._of_all.add(event)
        if self.closing:
            event.set()
        try:
            yield Heard(event)
        finally:
            self._of_all.discard(event)

    async def pause(self, seconds: float) -> None:
        """Returns after so long, or at shutdown."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

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

    async def wait(self, seconds_max: float, look_seconds: float | None = None) -> bool:
        """Returns at a change, also one that came before the wait, at shutdown (true), or when it is time to look (false): every two
        seconds, unless somebody else looks for this one.
        """
        try:
            async with asyncio.timeout(min(seconds_max, LOOK_SECONDS if look_seconds is None else look_seconds)):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
