"""The feed of what a platform is told, for those who pull: in order, from any position on, nothing skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from service.events import PlatformEvent, render
from service.store.outbox import OutboxStore
from service.watch import Watch

# As many as a page of a few hundred kilobytes holds.
PAGE_MAX: Final = 500
# Facts that are read as soon as they are committed need not wait for the process whose turn it is to place them.
_PLACED_MAX: Final = 2_000
# How often a caller who waits is looked for: a fact is read within this of its commit.
_LOOK_SECONDS: Final = 0.25


class EventsForgotten(Exception):  # noqa: N818 - says what happened
    """The position is older than what is kept; `oldest` is the first that can be read after."""

    def __init__(self, oldest: int) -> None:
        super().__init__(oldest)
        self.oldest = oldest


class EventFeed:
    def __init__(self, store: OutboxStore, watch: Watch) -> None:
        self._store = store
        self._watch = watch

    async def after(
        self, platform: UUID, position: int, *, most: int, types: Sequence[str] | None = None, wait_seconds: float = 0.0
    ) -> Sequence[PlatformEvent]:
        """At most so many after that position, waiting at most so long for the first. Raises EventsForgotten."""
        ends_at = asyncio.get_running_loop().time() + wait_seconds
        while True:
            await self._store.place(_PLACED_MAX)
            head = await self._store.head(platform)
            if position < head.forgotten:
                raise EventsForgotten(head.forgotten)
            rows = await self._store.page(platform, after=position, most=most, types=types)
            left = ends_at - asyncio.get_running_loop().time()
            if rows or left <= 0 or self._watch.closing:
                return [render(row) for row in rows]
            await asyncio.sleep(min(_LOOK_SECONDS, left))
