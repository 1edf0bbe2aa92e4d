"""Every second: queued cases get their place; clocks, and questions to other teams, whose time has come warn and escalate."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from service.rounds import rounds
from service.routing import BATCH_MOST, Router
from service.store.routing import LookedAt, RoutingStore
from service.watch import Watch

log: Final = structlog.get_logger()

EVERY_SECONDS: Final = 1.0
# Each in a statement and a transaction of its own of some 0.1 s: so many cases stay locked at once.
CLOCKS_MOST: Final = 50
# People ask other teams a few times an hour; so many at a time bring even a forgotten day's back within seconds.
REFERRALS_MOST: Final = 50
# What a wave leaves over has its turn after the other's: places never keep clocks waiting, nor clocks places.
_BATCHES_OF_CLOCKS_MOST: Final = 10
_BATCHES_OF_PLACES_MOST: Final = 3


class DeskLoop:
    """One a process; several processes share the work, since each passes over what another is at."""

    def __init__(self, store: RoutingStore, router: Router, watch: Watch) -> None:
        self._store = store
        self._router = router
        self._watch = watch

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until told to stop. A failure (the database is away) is logged, and the next second tries again."""
        await rounds(self.once, stop, every_seconds=EVERY_SECONDS, failed="desk_upkeep_failed")

    async def once(self) -> bool:
        """One round; True when more may be due at once."""
        late = await self._clocks()
        late = await self._referrals() or late
        for _ in range(_BATCHES_OF_PLACES_MOST):
            if await self._router.run() < BATCH_MOST:
                return late
        return True

    async def _clocks(self) -> bool:
        found: list[LookedAt] = []
        for _ in range(_BATCHES_OF_CLOCKS_MOST):
            some = await self._store.look_at_clocks(CLOCKS_MOST)
            found += some
            if len(some) < CLOCKS_MOST:
                break
        self._watch.tell(*{one.case_id for one in found})
        return len(found) >= _BATCHES_OF_CLOCKS_MOST * CLOCKS_MOST

    async def _referrals(self) -> bool:
        cases = await self._store.look_at_referrals(REFERRALS_MOST)
        self._watch.tell(*set(cases))
        return len(cases) >= REFERRALS_MOST
