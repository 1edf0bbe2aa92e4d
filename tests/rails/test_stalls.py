"""A process that stalls, wherever and for however long, sends nothing beside what the others send in their own time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from itertools import count, pairwise
from random import Random
from typing import Final

import pytest

from service.rails import BLOCK_SECONDS, LATE_SECONDS, Entry, Gate
from service.store.rails import RailSeen, RailStore
from tests.rails.conftest import RAIL, most_in_any_second

# A change of turns goes through a few rounds of the event loop for each who waits; more than all of them need.
_ROUNDS_TO_REST: Final = 40
CALLERS: Final = 8
CALL_SECONDS: Final = 0.05
SECONDS: Final = 12.0


class World:
    """One clock, which moves only when nobody has anything left to do, and the row that all processes take their slots from."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.next_slot_at = 0.0
        self.asked = 0
        self.went: list[float] = []
        self._number = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    async def until(self, at: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (at, next(self._number), woken))
        await woken

    async def pass_by(self, seconds: float) -> None:
        ends_at = self.now + seconds
        while True:
            for _ in range(_ROUNDS_TO_REST):
                await asyncio.sleep(0)
            if not self._sleepers or self._sleepers[0][0] > ends_at:
                break
            at, _, woken = heapq.heappop(self._sleepers)
            self.now = max(self.now, at)
            if not woken.done():
                woken.set_result(None)

    def grant(self, count: int, interval: float, ahead: float) -> RailSeen:
        """What the function rail_slots does."""
        start = max(self.next_slot_at, self.now)
        if start - self.now > ahead:
            return RailSeen(rail=RAIL, slots_in=start - self.now - ahead)
        self.next_slot_at = start + count * interval
        return RailSeen(rail=RAIL, granted=count, slots_in=start - self.now)


class Process(RailStore):
    """One process with its gate, so far from the database, which is stopped now and then: nothing of it goes on until it wakes up."""

    def __init__(self, world: World, pace: float, *, away_seconds: float, stops: Sequence[tuple[float, float]]) -> None:
        self._world = world
        self._away_seconds = away_seconds
        self._stops = stops
        self.gate = Gate(self, paces={RAIL: pace}, monotonic=lambda: world.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        at = self._world.now + seconds
        for begins_at, ends_at in self._stops:
            at = ends_at if begins_at <= at < ends_at else at
        await self._world.until(at)

    async def slots(self, rail: str, count: int, *, interval_seconds: float, ahead_seconds: float) -> RailSeen:
        del rail  # there is one
        self._world.asked += 1
        await self._world.until(self._world.now + self._away_seconds)
        seen = self._world.grant(count, interval_seconds, ahead_seconds)
        await self.sleep(self._away_seconds)
        return seen

    async def calls(self, *, interactive: bool) -> None:
        """One after the other, for ever."""
        while True:
            entry = await self.gate.enter(RAIL, interactive=interactive)
            if entry.kind == "go":
                self._world.went.append(self._world.now)
            await self.sleep(CALL_SECONDS if entry.kind == "go" else entry.seconds)


@pytest.fixture
def world() -> World:
    return World()


def drawn_stops(random: Random) -> Sequence[tuple[float, float]]:
    """Hiccups and long stops, with times of peace between them."""
    stops, at = [], 1000.0
    while at < 1000.0 + SECONDS:
        begins_at = at + random.uniform(0.05, 1.5)
        at = begins_at + random.choice((0.03, 0.06, 0.15, 0.3, 1.0, 4.0))
        stops.append((begins_at, at))
    return stops


async def together(world: World, one: Process, calls: int) -> Sequence[Entry]:
    """What so many customers are told who come at once."""

    async def call() -> Entry:
        entry = await one.gate.enter(RAIL, interactive=True)
        world.went.append(world.now)
        return entry

    tasks = [asyncio.create_task(call()) for _ in range(calls)]
    await world.pass_by(5.0)
    return await asyncio.gather(*tasks)


async def work(world: World, processes: Sequence[Process]) -> None:
    tasks = [asyncio.create_task(one.calls(interactive=place % 4 == 0)) for one in processes for place in range(CALLERS)]
    await world.pass_by(SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pace", [4.0, 25.0, 60.0])
async def test_processes_that_stall_never_exceed_the_pace_by_more_than_one_together(world: World, pace: float, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - draws a test's world, nothing secret
    await work(world, [Process(world, pace, away_seconds=0.002, stops=drawn_stops(random)) for _ in range(3)])
    assert most_in_any_second(world.went) <= pace + 1
    assert len(world.went) > SECONDS * pace / 4


async def test_slots_that_were_slept_through_are_dropped_and_others_taken(world: World) -> None:
    one = Process(world, 25.0, away_seconds=0.001, stops=[(1000.02, 1000.6)])
    entries = await together(world, one, 5)
    assert [entry.kind for entry in entries] == ["go"] * 5
    assert world.went[0] < 1000.02
    assert world.went[1] >= 1000.6
    assert min(later - earlier for earlier, later in pairwise(world.went)) > 0.039


async def test_slots_whose_news_came_late_are_dropped_and_others_taken(world: World) -> None:
    one = Process(world, 25.0, away_seconds=0.01, stops=[(1000.015, 1000.6)])
    entries = await together(world, one, 5)
    assert [entry.kind for entry in entries] == ["go"] * 5
    assert world.went[0] > 1000.61
    assert world.asked == 2


async def test_a_process_far_from_the_database_keeps_the_pace_and_is_not_kept_out(world: World) -> None:
    await work(world, [Process(world, 25.0, away_seconds=LATE_SECONDS, stops=()) for _ in range(2)])
    assert most_in_any_second(world.went) <= 26
    assert len(world.went) > SECONDS * 25 / 2


async def test_who_waits_together_asks_once_for_a_block(world: World) -> None:
    one = Process(world, 25.0, away_seconds=0.001, stops=())
    entries = await together(world, one, 20)
    assert [entry.kind for entry in entries] == ["go"] * 20
    block = int(25 * BLOCK_SECONDS)
    assert world.asked <= 20 // block + 2
