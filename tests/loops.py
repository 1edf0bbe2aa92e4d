"""The event loop of the tests: its clock stands still when the process does, and a test may let time pass that nobody sits out.

A limit of a call measures whom we ask. Where the other side runs in the same process, as stubs and applications under test do, a
process that is kept from its processor for some seconds would find every limit over before it has read what had come in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from selectors import BaseSelector
from typing import Any, Final
from weakref import WeakKeyDictionary

# No callback takes longer, and no selector wakes up later by more: whatever does has stood still.
_STILL_SECONDS: Final = 0.1


class _Clock:
    """Goes on while the loop waits, and not while it is kept from going on."""

    def __init__(self, real: Callable[[], float], select: Callable[[float | None], Any]) -> None:
        self._real = real
        self._select = select
        self._looked_at = real()
        self.ahead = 0.0

    def time(self) -> float:
        now = self._real()
        self.ahead -= max(0.0, now - self._looked_at - _STILL_SECONDS)
        self._looked_at = now
        return now + self.ahead

    def select(self, timeout: float | None = None) -> Any:
        self.time()
        events = self._select(timeout)
        took = self._real() - self._looked_at
        if timeout is not None and took > max(timeout, 0.0) + _STILL_SECONDS:
            # What has come may have come at once: it is heard before any limit is over.
            self.ahead -= took if events else took - max(timeout, 0.0)
        self._looked_at += took
        return events


_CLOCKS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Clock]] = WeakKeyDictionary()


def stand_still_with(loop: asyncio.AbstractEventLoop) -> None:
    """From now on the loop's clock is ours."""
    selector: BaseSelector = loop._selector  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no other place for it
    clock = _CLOCKS[loop] = _Clock(loop.time, selector.select)
    vars(loop)["time"] = clock.time
    vars(selector)["select"] = clock.select


def let_pass(seconds: float) -> None:
    """So much time has passed on the running loop: what ends by then ends now."""
    _CLOCKS[asyncio.get_running_loop()].ahead += seconds
