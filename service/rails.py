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

from service.rounds import rounds
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
# How late a call may come for its slot, which is nobody's afterwards. A busy process is late by tens of milliseconds; one that was stopped
# for longer would send all that it had taken at once, beside what the others send in their own time.
LATE_SECONDS: Final = 0.05
# The quickest of so many answers tells how far away the database is; fewer may all have been slow because this process was.
_ANSWERS_KEPT: Final = 8
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


class _Slot(msgspec.Struct, frozen=True, kw_only=True):
    """When one call may go, in this process's monotonic clock: not before, and not afterwards."""

    at: float
    until: float


class _Lane:
    """The calls of one kind that wait for slots of one rail: one asks for all, in the order of coming."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.slots: deque[_Slot] = deque()
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
        self._answered_in: deque[float] = deque(maxlen=_ANSWERS_KEPT)

    async def run(self, stop: asyncio.Event) -> None:
        """Reads all rails every second until told to stop. A failure (the database is away) is logged, and the next second tries again."""
        await rounds(self.refresh, stop, every_seconds=EVERY_SECONDS, failed="rails_not_read")

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
            return await self._paced(rail, pace, interactive=interactive) if pace else GO
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

    async def _paced(self, rail: str, pace: float, *, interactive: bool) -> Entry:
        lane = self._lanes.setdefault((rail, interactive), _Lane())
        gives_up_at = self._monotonic() + PATIENCE_SECONDS[interactive]
        ahead = AHEAD_SECONDS if interactive else 0.0
        while True:  # until it has waited for as long as it may
            lane.waiting += 1
            try:
                async with lane.turn:
                    slot = await self._slot(rail, lane, pace, gives_up_at, ahead=ahead)
            finally:
                lane.waiting -= 1
            if isinstance(slot, Entry):
                return slot
            if (early := slot.at - self._monotonic()) > 0:
                await self._sleep(early)
            # What was learnt while it waited counts: its slot is given up.
            if shut := self._shut(rail):
                return shut
            if self._monotonic() < slot.until:
                return GO
            if self._monotonic() >= gives_up_at:
                return self._later(lane, pace, 0.0)

    async def _slot(self, rail: str, lane: _Lane, pace: float, gives_up_at: float, *, ahead: float) -> _Slot | Entry:
        """The next slot of this lane; an Entry for a call that has to come again."""
        while True:  # until `gives_up_at`
            # What waiters took and did not use in its time is nobody's.
            while lane.slots and lane.slots[0].until <= self._monotonic():
                lane.slots.popleft()
            if lane.slots:
                return lane.slots.popleft()
            if shut := self._shut(rail):
                return shut
            if self._monotonic() >= gives_up_at:
                return self._later(lane, pace, 0.0)
            free_in = await self._take(rail, lane, pace, ahead=ahead)
            if free_in > 0 and self._monotonic() + free_in > gives_up_at:
                return self._later(lane, pace, free_in)
            if free_in > 0:
                await self._sleep(free_in)

    async def _take(self, rail: str, lane: _Lane, pace: float, *, ahead: float) -> float:
        """Takes a block of slots for who waits; none: in how many seconds it is worth asking again.

        The database gave them at some moment between question and answer. So a slot begins as if that had been at the answer, and ends as
        if it had been at the question: never outside its own time, even if this process was stopped in between.
        """
        late = self._late()
        interval = interval_of(pace, late)
        count = min(lane.waiting, max(1, math.ceil(BLOCK_SECONDS / interval)))
        asked = self._monotonic()
        seen = await self._store.slots(rail, count, interval_seconds=interval, ahead_seconds=ahead)
        answered = self._monotonic()
        self._answered_in.append(answered - asked)
        self._learn(seen)
        places = [seen.slots_in + place * interval for place in range(seen.granted)]
        lane.slots.extend(_Slot(at=answered + place, until=asked + place + late) for place in places)
        return 0.0 if seen.granted else seen.slots_in

    def _late(self) -> float:
        """Twice the way to the database at least: with less, no slot would be left of a block that had come from far away."""
        is_known = len(self._answered_in) == _ANSWERS_KEPT
        return max(LATE_SECONDS, 2 * min(self._answered_in) if is_known else 0.0)

    def _later(self, lane: _Lane, pace: float, seconds: float) -> Entry:
        """Who is sent away comes again one after the other, so that nobody comes for nothing."""
        now = self._monotonic()
        interval = interval_of(pace, self._late())
        lane.later = min(max(lane.later + interval, now + max(seconds, interval)), now + WAIT_SECONDS_MAX)
        return Entry(kind="wait", seconds=lane.later - now)


def interval_of(pace: float, late_seconds: float) -> float:
    """Seconds from slot to slot, so that no second has more calls than the pace and one, though each may be so late for its slot.

    The calls of any second have slots that lie within 1 + late seconds; of those there are (1 + late) / interval at most, rounded up. The
    one above the pace is that of the boundary: a second that begins with a slot may end just behind another.
    """
    return max(1.0 / pace, (1.0 + late_seconds) / (pace + 1.0))
