"""Tells edges which access tokens stopped or started again: after a cursor, none skipped, at once or as soon as there is something."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from service.store import access as store
from service.store.access import TokenChange
from service.store.pool import Pool
from service.watch import Watch

PAGE_MAX: Final = 1000
# An edge is to refuse within a second; a look costs PostgreSQL about a tenth of a millisecond when nothing changed.
LOOK_SECONDS: Final = 0.25
# At four looks a second each; more edges than this at one process are answered at once, and ask again.
_WAITING_MAX: Final = 100


class CursorUnknown(Exception):  # noqa: N818 - says what happened
    """The cursor is ahead of everything that ever was: of another installation, or from before a restored backup."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """One page. `next` is the cursor for what follows."""

    changes: tuple[TokenChange, ...]
    next: int
    more: bool
    """there is a next page already"""

    @property
    def tag(self) -> str:
        """The same for the same content, whichever process says it."""
        return sha256(msgspec.json.encode(self)).hexdigest()[:32]


class Revocations:
    def __init__(self, pool: Pool, watch: Watch) -> None:
        self._pool = pool
        self._watch = watch
        self._waiting = 0

    async def after(self, platform: UUID, since: int, *, most: int, wait_seconds: float, known: Sequence[str] = ()) -> Changes:
        """What changed after `since`. Waits, at most so long, while that is nothing, or only what the caller knows by its tag.

        Raises CursorUnknown.
        """
        ends_at = asyncio.get_running_loop().time() + wait_seconds
        page = await self._page(platform, since, most)
        if not page.changes and since > await store.head(self._pool, platform):
            raise CursorUnknown
        if self._waiting >= _WAITING_MAX:
            return page
        self._waiting += 1
        try:
            while (not page.changes or page.tag in known) and not self._watch.closing:
                left = ends_at - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                await asyncio.sleep(min(LOOK_SECONDS, left))
                page = await self._page(platform, since, most)
        finally:
            self._waiting -= 1
        return page

    async def _page(self, platform: UUID, since: int, most: int) -> Changes:
        found = tuple(await store.changes(self._pool, platform, since=since, most=most))
        return Changes(changes=found, next=found[-1].position if found else since, more=len(found) == most)
