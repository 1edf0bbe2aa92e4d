"""The gate before each call to a processor: one breaker and one pace a rail, shared by all processes through PostgreSQL.

While all is well and no pace is set it costs nothing: each process remembers every rail's state, read once a second and at once after
its own reports. Only failures, recoveries, probes and blocks of slots write.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import msgspec
import structlog

from service.store.rails import Limits, RailSeen, RailStore

log: Final = structlog.get_logger()

# Five failures in a row are no accident where one call in a hundred fails, and few enough that a dead processor costs seconds; within a
# minute, so that a quiet rail's failures of a whole day do not add up. Five seconds is a processor's restart; five minutes is the longest
# that a recovered one stays unused.
LIMITS: Final = Limits(failures=5, within_seconds=60.0, open_seconds_first=5.0, open_seconds_last=300.0)
# A call's deadline and the commit after it (operations.LEASE_SECONDS): a prober that has not reported by then is dead.
PROBE_SECONDS: Final = 15.0
# While somebody probes, an answer is a moment away.
PROBE_LOOK_SECONDS: Final = 1.0

# What one statement takes of the pace at most: the row is not hot, and a process that dies gives up no more than this.
BLOCK_SECONDS: Final = 0.2
# Interactive calls may take slots this far ahead, bulk none: so they go first, and what bulk has taken delays them by a block at most.
AHEAD_SECONDS: Final = 1.0
# How long a call waits here to be given a slot. Interactive: then up to AHEAD_SECONDS for the slot itself, two seconds in all. A lease of
# 15 s leaves four for this.
PATIENCE_SECONDS: Final[Mapping[bool, float]] = {True: 1.0, False: 2.0}

# What a 429 without Retry-After asks for.
RETRY_AFTER_SECONDS: Final = 1.0
# Processors ask for seconds to minutes; more is a mistake of theirs, and people can stop a rail for longer.
RETRY_AFTER_SECONDS_MAX: Final = 3600.0
# An open case is looked at every minute at the latest.
WAIT_SECONDS_MAX: Final = 60.0

EVERY_SECONDS: Final = 1.0
# A word of ours, or a processor's code; more would be prose.
_WORD_LENGTH_MAX: Final = 100

Outcome = Literal["reached", "failed", "limited", "refused_key", "unused"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a call may go. `refused`: the breaker is open, which is a try that was not sent; `wait`: not now, which is no try at all."""

    kind: Literal["go", "refused", "wait"]
    probe: bool = False
    """of `go`: hand it to report(); everybody else waits for what comes of it"""
    seconds: float = 0.0
    """of `refused` and `wait`: when to come again"""


GO: Final = Entry(kind="go")


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What this process remembers of a rail, in its own monotonic clock."""

    learnt_at: float
    failures: int = 0
    open_until: float | None = None
    probe_until: float = -math.inf
    held_until: float = -math.inf


class _Lane:
    """The calls of one kind that wait for slots of one rail: one asks for all, in the order of coming."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.slots: deque[float] = deque()
        self.later = -math.inf
        """when the last of those who were sent away comes again"""


class Gate:
    """Stands before each call: `entry = await enter(...)`, the call, `await report(...)`. One a process.

    `paces`: calls a second by rail, over all processes; None, 0 or absent: no pace. `refresh()` once before the first call.
    """

    def __init__(
        self,
        store: RailStore,
        *,
        paces: Mapping[str, float | None],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._paces = paces
        self._monotonic = monotonic
        self._sleep = sleep
        self._known: dict[str, _Known] = {}
        self._lanes: dict[tuple[str, bool], _Lane] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Reads all rails every second until told to stop. A failure (the database is away) is logged, and the next second tries again."""
        while not stop.is_set():
            try:
                await self.refresh()
            except Exception:
                log.exception("rails_not_read")
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Learns what other processes have reported."""
        began = self._monotonic()
        for seen in await self._store.all():
            known = self._known.get(seen.rail)
            # What this process has reported meanwhile is newer than what this reading saw.
            if known is None or known.learnt_at <= began:
                self._learn(seen)

    async def enter(self, rail: str, *, interactive: bool) -> Entry:
        """Whether a call may go to this rail now; may wait here for its slot, two seconds at most.

        Whoever is told to go has to report() what came of it, `unused` when nothing was sent.
        """
        shut = self._shut(rail)
        if shut is None:
            pace = self._paces.get(rail)
            return await self._paced(rail, 1.0 / pace, interactive=interactive) if pace else GO
        if shut.seconds > 0:
            return shut
        seen = await self._store.probe(rail, PROBE_SECONDS)
        self._learn(seen)
        if seen.changed:
            log.info("rail_probed", rail=rail)
            return Entry(kind="go", probe=True)
        # Another has the place, or has already closed it: then it is open to everybody, this one the next time.
        return self._shut(rail) or Entry(kind="wait", seconds=0.0)

    async def report(
        self, rail: str, outcome: Outcome, *, probe: bool, retry_after_seconds: float | None = None, word: str = "no_answer"
    ) -> None:
        """What came of a call that was let in.

        `reached`: any definite answer, also a decline. `failed`: never sent, unknown, 5xx; `word` says which. `limited` (429) holds every
        process back for as long as was asked. `refused_key` (401, 403) is for people. `unused`: nothing was sent.
        """
        known = self._known.get(rail)
        if outcome == "reached":
            if probe or (known is not None and known.failures > 0 and known.open_until is None):
                self._learn(await self._store.reached(rail, probe=probe), tell="rail_closed")
        elif outcome == "failed":
            self._learn(await self._store.failed(rail, word[:_WORD_LENGTH_MAX], LIMITS, probe=probe), tell="rail_opened")
        elif outcome == "limited":
            asked = RETRY_AFTER_SECONDS if retry_after_seconds is None else retry_after_seconds
            wait = min(max(asked, 0.0), RETRY_AFTER_SECONDS_MAX)
            self._learn(await self._store.let_go(rail, wait, probe=probe))
        elif probe:
            self._learn(await self._store.let_go(rail, None, probe=True))

    # -------------------------------------------------------------------------------------------------- what is known here

    def _learn(self, seen: RailSeen, *, tell: str = "") -> None:
        now = self._monotonic()
        self._known[seen.rail] = _Known(
            learnt_at=now,
            failures=seen.failures,
            open_until=None if seen.open_left is None else now + seen.open_left,
            probe_until=-math.inf if seen.probe_left is None else now + seen.probe_left,
            held_until=-math.inf if seen.held_left is None else now + seen.held_left,
        )
        if tell and seen.changed:
            log.warning(tell, rail=seen.rail, seconds=seen.open_left)

    def _shut(self, rail: str) -> Entry | None:
        """What keeps calls back as far as is known here. None: nothing. A refusal of no seconds: one may probe."""
        known = self._known.get(rail)
        if known is None:
            return None
        now = self._monotonic()
        if known.held_until > now:
            return Entry(kind="wait", seconds=min(known.held_until - now, WAIT_SECONDS_MAX))
        if known.open_until is None:
            return None
        if known.open_until > now:
            return Entry(kind="refused", seconds=known.open_until - now)
        return Entry(kind="refused", seconds=PROBE_LOOK_SECONDS if known.probe_until > now else 0.0)

    # --------------------------------------------------------------------------------------------------------------- pace

    async def _paced(self, rail: str, interval: float, *, interactive: bool) -> Entry:
        lane = self._lanes.setdefault((rail, interactive), _Lane())
        gives_up_at = self._monotonic() + PATIENCE_SECONDS[interactive]
        lane.waiting += 1
        try:
            async with lane.turn:
                slot = await self._slot(rail, lane, interval, gives_up_at, ahead=AHEAD_SECONDS if interactive else 0.0)
        finally:
            lane.waiting -= 1
        if isinstance(slot, Entry):
            return slot
        if slot > self._monotonic():
            await self._sleep(slot - self._monotonic())
        # What was learnt while it waited counts: its slot is given up.
        return self._shut(rail) or GO

    async def _slot(self, rail: str, lane: _Lane, interval: float, gives_up_at: float, *, ahead: float) -> float | Entry:
        """When the next call of this lane may go; an Entry for one that has to come again."""
        # A slot that is used late would stand beside the next: it is given up. What is left is what waiters took and did not use.
        while lane.slots and lane.slots[0] <= self._monotonic() - interval:
            lane.slots.popleft()
        while not lane.slots:
            if shut := self._shut(rail):
                return shut
            if self._monotonic() >= gives_up_at:
                return self._later(lane, interval, 0.0)
            count = min(lane.waiting, max(1, math.ceil(BLOCK_SECONDS / interval)))
            seen = await self._store.slots(rail, count, interval_seconds=interval, ahead_seconds=ahead)
            self._learn(seen)
            now = self._monotonic()
            if seen.granted:
                lane.slots.extend(now + seen.slots_in + place * interval for place in range(seen.granted))
            elif now + seen.slots_in > gives_up_at:
                return self._later(lane, interval, seen.slots_in)
            elif seen.slots_in > 0:
                await self._sleep(seen.slots_in)
        return lane.slots.popleft()

    def _later(self, lane: _Lane, interval: float, seconds: float) -> Entry:
        """Who is sent away comes again one after the other, so that nobody comes for nothing."""
        now = self._monotonic()
        lane.later = min(max(lane.later + interval, now + max(seconds, interval)), now + WAIT_SECONDS_MAX)
        return Entry(kind="wait", seconds=lane.later - now)
