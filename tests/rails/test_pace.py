"""Never more calls than the pace over all processes, customers who wait before bulk, and a processor's Retry-After obeyed by all."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise

import pytest

from service.rails import AHEAD_SECONDS, BLOCK_SECONDS, LIMITS, RETRY_AFTER_SECONDS_MAX, WAIT_SECONDS_MAX, Gate
from tests.rails.conftest import RAIL, Town, most_in_any_second


@pytest.mark.parametrize("pace", [25.0, 4.0, 0.5])
async def test_two_processes_together_never_exceed_the_pace_by_more_than_one(town: Town, pace: float) -> None:
    processes = town.processes(pace)
    granted: list[float] = []
    for place in range(int(6 * max(pace, 2))):
        entry = await processes[place % 2].gate.enter(RAIL, interactive=place % 3 == 0)
        if entry.kind == "go":
            granted.append(town.clock.monotonic())
        else:
            assert entry.kind == "wait"
            await town.clock.move(entry.seconds)
    assert len(granted) > 2 * pace
    assert most_in_any_second(granted) <= pace + 1


async def test_no_slot_is_given_twice_however_many_ask_at_once(town: Town) -> None:
    pace, interval = 25.0, 0.04
    processes = town.processes(pace)
    # The first slot lies ahead, so that all slots follow it without a gap and the row tells how many there were.
    await processes[0].store.slots(RAIL, 10, interval_seconds=interval, ahead_seconds=0.0)
    first: datetime = await town.pool.fetchval("SELECT next_slot_at FROM rail_state")
    taken = await asyncio.gather(*(one.store.slots(RAIL, 2, interval_seconds=interval, ahead_seconds=60.0) for one in processes * 20))
    after: datetime = await town.pool.fetchval("SELECT next_slot_at FROM rail_state")
    assert [seen.granted for seen in taken] == [2] * 40
    assert (after - first).total_seconds() == pytest.approx(80 * interval, abs=1e-6)


async def test_unused_time_is_not_saved_up(town: Town) -> None:
    one, _ = town.processes(4.0)
    assert (await one.gate.enter(RAIL, interactive=True)).kind == "go"
    await town.clock.move(60)
    granted = []
    for _ in range(12):
        assert (await one.gate.enter(RAIL, interactive=True)).kind == "go"
        granted.append(town.clock.monotonic())
    assert most_in_any_second(granted) <= 5


async def test_interactive_goes_before_bulk_that_came_first(town: Town) -> None:
    bulk, desk = town.processes(10.0)
    # As many customers as may reach ahead: bulk finds nothing free until they are through.
    seen = await desk.store.slots(RAIL, 10, interval_seconds=0.1, ahead_seconds=AHEAD_SECONDS)
    assert seen.granted == 10
    refused = await bulk.store.slots(RAIL, 1, interval_seconds=0.1, ahead_seconds=0.0)
    assert (refused.granted, refused.slots_in > 0.5) == (0, True)
    again = await desk.store.slots(RAIL, 1, interval_seconds=0.1, ahead_seconds=AHEAD_SECONDS)
    assert again.granted == 1
    await town.clock.move(1.2)
    assert (await bulk.store.slots(RAIL, 1, interval_seconds=0.1, ahead_seconds=0.0)).granted == 1


async def test_bulk_that_waits_has_taken_nothing_that_a_customer_could_have(town: Town) -> None:
    bulk, desk = town.processes(10.0)
    await desk.store.slots(RAIL, 9, interval_seconds=0.1, ahead_seconds=AHEAD_SECONDS)
    before: datetime = await town.pool.fetchval("SELECT next_slot_at FROM rail_state")
    while_waiting: list[datetime] = []

    async def looks(seconds: float) -> None:
        while_waiting.append(await town.pool.fetchval("SELECT next_slot_at FROM rail_state"))
        await town.clock.move(seconds)

    gate = Gate(bulk.store, paces={RAIL: 10.0}, monotonic=town.clock.monotonic, sleep=looks)
    assert (await gate.enter(RAIL, interactive=False)).kind == "go"
    assert while_waiting[0] == before


async def test_a_customer_waits_for_no_more_of_bulk_than_one_block(town: Town) -> None:
    bulk, desk = town.processes(25.0)
    taken = await bulk.store.slots(RAIL, 5, interval_seconds=0.04, ahead_seconds=0.0)
    assert taken.granted == 5
    assert (await bulk.store.slots(RAIL, 5, interval_seconds=0.04, ahead_seconds=0.0)).granted == 0
    assert (await desk.gate.enter(RAIL, interactive=True)).kind == "go"
    assert sum(town.clock.slept) <= BLOCK_SECONDS + 1e-3


async def test_nobody_waits_here_for_longer_than_two_seconds(town: Town) -> None:
    one, other = town.processes(1.0)
    # Far more customers than the pace carries; each is either let through soon or told when to come again.
    entries = []
    for place in range(12):
        began = town.clock.monotonic()
        slept = len(town.clock.slept)
        entries.append(await (one, other)[place % 2].gate.enter(RAIL, interactive=place % 2 == 0))
        assert sum(town.clock.slept[slept:]) <= 2.3, (place, began)
    await one.store.slots(RAIL, 30, interval_seconds=1.0, ahead_seconds=60.0)
    for interactive in (True, False):
        entry = await one.gate.enter(RAIL, interactive=interactive)
        assert entry.kind == "wait"
        assert 20 < entry.seconds <= 60


async def test_those_who_are_sent_away_come_again_one_after_the_other(town: Town) -> None:
    one, _ = town.processes(10.0)
    await one.store.slots(RAIL, 100, interval_seconds=0.1, ahead_seconds=60.0)
    waits = [(await one.gate.enter(RAIL, interactive=False)).seconds for _ in range(20)]
    assert all(earlier < later for earlier, later in pairwise(waits))
    assert max(waits) <= WAIT_SECONDS_MAX


@pytest.mark.parametrize("pace", [None, 25.0])
async def test_a_processor_that_asks_to_wait_is_left_alone_by_all(town: Town, pace: float | None) -> None:
    first, second = town.processes(pace)
    assert (await second.gate.enter(RAIL, interactive=True)).kind == "go"
    await first.gate.report(RAIL, "limited", probe=False, retry_after_seconds=7.0)
    await second.gate.refresh()
    for one in (first, second):
        for interactive in (True, False):
            entry = await one.gate.enter(RAIL, interactive=interactive)
            assert entry.kind == "wait"
            assert 6 < entry.seconds <= 7
    await town.clock.move(7.0)
    for one in (first, second):
        assert (await one.gate.enter(RAIL, interactive=True)).kind == "go"


async def test_a_paced_process_hears_of_it_with_its_next_block_at_the_latest(town: Town) -> None:
    first, second = town.processes(25.0)
    await first.gate.report(RAIL, "limited", probe=False, retry_after_seconds=7.0)
    assert (await second.gate.enter(RAIL, interactive=True)).kind == "wait"


async def test_a_shorter_wish_does_not_shorten_a_longer_and_an_absurd_one_is_cut(town: Town) -> None:
    one, _ = town.processes()
    await one.gate.report(RAIL, "limited", probe=False, retry_after_seconds=30.0)
    await one.gate.report(RAIL, "limited", probe=False, retry_after_seconds=1.0)
    assert 29 < (await one.gate.enter(RAIL, interactive=True)).seconds <= 30
    await one.gate.report(RAIL, "limited", probe=False, retry_after_seconds=1e9)
    await town.clock.move(RETRY_AFTER_SECONDS_MAX)
    assert (await one.gate.enter(RAIL, interactive=True)).kind == "go"


async def test_a_breaker_that_opens_while_a_call_waits_for_its_slot_stops_it(town: Town) -> None:
    failing, taking = town.processes(2.0)
    assert (await taking.gate.enter(RAIL, interactive=True)).kind == "go"

    async def opens_meanwhile(seconds: float) -> None:
        await town.clock.move(seconds)
        for _ in range(LIMITS.failures):
            await failing.gate.report(RAIL, "failed", probe=False)
        await late.refresh()

    late = Gate(taking.store, paces={RAIL: 2.0}, monotonic=town.clock.monotonic, sleep=opens_meanwhile)
    assert (await late.enter(RAIL, interactive=True)).kind == "refused"
