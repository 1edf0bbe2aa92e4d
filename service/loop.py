"""The claim loop: every second, what is due is taken up. That one habit is retry, bulk, resume after a crash and sweep."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from service.crew import Crew
from service.operations import LEASE_SECONDS, Operations
from service.resolution import Resolution
from service.rounds import rounds
from service.store.flow import ClaimedCase, ClaimedOperation, FlowStore
from service.watch import Watch

log: Final = structlog.get_logger()

EVERY_SECONDS: Final = 1.0
# A second of work at the pace of one process; the rest is due again at once.
CLAIM_MOST: Final = 64
# A quarter of the places is for cases first: behind a hundred thousand refunds that are due, those of customers would wait for the last.
PART_OF_CASES: Final = 4
# Places left to requests: a customer who waits goes before what is due in bulk.
PLACES_FOR_REQUESTS: Final = 16


class TellsWaiting(Protocol):
    async def tell_waiting(self, most: int) -> int:
        """Sends off what customers who are not watching have to be told; how many."""


class AppliesNews(Protocol):
    def wake(self) -> None:
        """Starts applying what processors told us, where some is due; returns at once."""


class Loop:
    """One a process."""

    def __init__(
        self,
        store: FlowStore,
        resolution: Resolution,
        operations: Operations,
        teller: TellsWaiting,
        *,
        inbox: AppliesNews,
        crew: Crew,
        watch: Watch,
    ) -> None:
        self._store = store
        self._resolution = resolution
        self._operations = operations
        self._teller = teller
        self._inbox = inbox
        self._crew = crew
        self._watch = watch

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until told to stop. A failure (the database is away) is logged, and the next second tries again."""
        await rounds(self.once, stop, every_seconds=EVERY_SECONDS, failed="claim_failed")

    async def once(self) -> bool:
        """One round; True when there was as much to do as there were places, so that more may be due."""
        most = min(CLAIM_MOST, self._crew.free - PLACES_FOR_REQUESTS)
        if most <= 0:
            return False
        since = self._operations.clock()
        cases = [*await self._store.claim_cases(max(1, most // PART_OF_CASES), LEASE_SECONDS)]
        operations = await self._store.claim_operations(most - len(cases), LEASE_SECONDS) if most > len(cases) else ()
        if len(cases) >= most // PART_OF_CASES and len(cases) + len(operations) < most:
            cases += await self._store.claim_cases(most - len(cases) - len(operations), LEASE_SECONDS)
        tasks = [self._crew.start(self._advance(one, since)) for one in operations if self._crew.reserve()]
        tasks += [self._crew.start(self._resolve(one)) for one in cases if self._crew.reserve()]
        self._inbox.wake()
        told = await self._teller.tell_waiting(CLAIM_MOST)
        if tasks:
            # One slow call holds up nobody else: the next round fills the places that are free by then.
            await asyncio.wait(tasks, timeout=EVERY_SECONDS)
        return len(operations) + len(cases) >= most or told >= CLAIM_MOST

    async def _advance(self, one: ClaimedOperation, since: float) -> None:
        await self._operations.advance(one.platform, one.id, one.epoch, since=since, rail=one.rail, state=one.state, priority=one.priority)
        self._watch.tell(one.case)

    async def _resolve(self, one: ClaimedCase) -> None:
        await self._resolution.resolve(one.platform, one.id, one.epoch)
        self._watch.tell(one.id)
