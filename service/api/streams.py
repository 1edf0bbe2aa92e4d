"""How many event streams of customers one process holds: who is too many is told when to come back, and asks in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from service.api import problems

# A process of 2,000 takes a quarter of a gigabyte; streams leave room among the connections (service/serving.py) for whoever only asks.
STREAMS_MAX: Final = 8_000
# About as long as a stream lives: by then others have ended.
_AGAIN_SECONDS: Final = 20

_T = TypeVar("_T")


class Streams:
    """One a process."""

    def __init__(self, most: int = STREAMS_MAX) -> None:
        self._most = most
        self._held = 0

    def check(self) -> None:
        """Before anything is read for one more. Raises Problem 503."""
        if self._held >= self._most:
            raise problems.Problem(status=503, code="unavailable", headers={"Retry-After": str(_AGAIN_SECONDS)})

    async def hold(self, steps: AsyncIterator[_T]) -> AsyncIterator[_T]:
        """The same, counted from its first step to its end."""
        self._held += 1
        try:
            async for step in steps:
                yield step
        finally:
            self._held -= 1
