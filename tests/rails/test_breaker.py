"""A processor that does not answer is left alone by every process, and one of them alone finds out that it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.rails import LIMITS, PROBE_SECONDS, Outcome
from service.store.rails import RailSeen
from tests.rails.conftest import RAIL, Process, Town


async def fails(process: Process, times: int, *, probe: bool = False) -> None:
    for _ in range(times):
        await process.gate.report(RAIL, "failed", probe=probe, word="unreachable")


async def opened(town: Town) -> tuple[Process, Process]:
    first, second = town.processes()
    await fails(first, LIMITS.failures)
    await second.gate.refresh()
    return first, second


async def test_a_rail_in_peace_costs_no_statement(town: Town) -> None:
    one, _ = town.processes()
    for _ in range(20):
        assert (await one.gate.enter(RAIL, interactive=True)).kind == "go"
        await one.gate.report(RAIL, "reached", probe=False)
    assert one.store.asked == []


async def test_failures_of_all_processes_together_open_it_for_all(town: Town) -> None:
    first, second = town.processes()
    await fails(first, LIMITS.failures - 2)
    await fails(second, 1)
    assert (await second.gate.enter(RAIL, interactive=True)).kind == "go"
    await fails(second, 1)
    entry = await second.gate.enter(RAIL, interactive=True)
    assert entry.kind == "refused"
    assert 0 < entry.seconds <= LIMITS.open_seconds_first
    await first.gate.refresh()
    assert (await first.gate.enter(RAIL, interactive=False)).kind == "refused"


async def test_a_success_in_between_begins_the_count_anew(town: Town) -> None:
    first, second = town.processes()
    await fails(first, LIMITS.failures - 1)
    await second.gate.refresh()
    await second.gate.report(RAIL, "reached", probe=False)
    await fails(first, LIMITS.failures - 1)
    assert (await first.gate.enter(RAIL, interactive=True)).kind == "go"
    await fails(first, 1)
    assert (await first.gate.enter(RAIL, interactive=True)).kind == "refused"


async def test_failures_that_lie_far_apart_do_not_add_up(town: Town) -> None:
    first, _ = town.processes()
    for _ in range(3 * LIMITS.failures):
        await fails(first, 1)
        entry = await first.gate.enter(RAIL, interactive=True)
        assert (entry.kind, entry.probe) == ("go", False)
        await town.clock.move(LIMITS.within_seconds / (LIMITS.failures - 1))


@pytest.mark.parametrize("outcome", ["limited", "refused_key", "unused"])
async def test_neither_a_limit_nor_a_refused_key_counts(town: Town, outcome: Outcome) -> None:
    first, _ = town.processes()
    await fails(first, LIMITS.failures - 1)
    for _ in range(2 * LIMITS.failures):
        await first.gate.report(RAIL, outcome, probe=False, retry_after_seconds=0.0)
    assert (await first.gate.enter(RAIL, interactive=True)).kind == "go"
    await fails(first, 1)  # nor did it end the row of failures
    assert (await first.gate.enter(RAIL, interactive=True)).kind == "refused"


async def test_of_all_calls_of_all_processes_one_alone_probes(town: Town) -> None:
    first, second = await opened(town)
    await town.clock.move(LIMITS.open_seconds_first)
    entries = await asyncio.gather(*(one.gate.enter(RAIL, interactive=True) for one in [first, second] * 10))
    assert [entry.kind for entry in entries].count("go") == 1
    assert [entry.probe for entry in entries if entry.kind == "go"] == [True]
    assert {entry.kind for entry in entries} == {"go", "refused"}


async def test_a_probe_that_is_answered_closes_it_for_all(town: Town) -> None:
    first, second = await opened(town)
    await town.clock.move(LIMITS.open_seconds_first)
    assert (await first.gate.enter(RAIL, interactive=True)).probe
    await first.gate.report(RAIL, "reached", probe=True)
    await second.gate.refresh()
    for one in (first, second):
        entry = await one.gate.enter(RAIL, interactive=True)
        assert (entry.kind, entry.probe) == ("go", False)
    await fails(second, LIMITS.failures - 1)
    assert (await second.gate.enter(RAIL, interactive=True)).kind == "go"


async def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_maximum(town: Town) -> None:
    first, second = await opened(town)
    expected, longest = LIMITS.open_seconds_first, 0.0
    for _ in range(8):
        await town.clock.move(expected)
        assert (await first.gate.enter(RAIL, interactive=True)).probe
        await fails(first, 1, probe=True)
        expected = min(2 * expected, LIMITS.open_seconds_last)
        entry = await first.gate.enter(RAIL, interactive=True)
        assert entry.kind == "refused"
        assert expected - 1 < entry.seconds <= expected
        longest = max(longest, entry.seconds)
        await second.gate.refresh()
        assert (await second.gate.enter(RAIL, interactive=True)).kind == "refused"
    assert LIMITS.open_seconds_last - 1 < longest <= LIMITS.open_seconds_last


async def test_a_prober_that_dies_frees_its_place(town: Town) -> None:
    first, second = await opened(town)
    await town.clock.move(LIMITS.open_seconds_first)
    assert (await first.gate.enter(RAIL, interactive=True)).probe
    await town.clock.move(PROBE_SECONDS / 2)
    assert (await second.gate.enter(RAIL, interactive=True)).kind == "refused"
    await town.clock.move(PROBE_SECONDS / 2)
    assert (await second.gate.enter(RAIL, interactive=True)).probe


async def test_nobody_probes_what_is_closed_or_open_for_longer_or_asked_to_wait_whatever_a_process_remembers(town: Town) -> None:
    first, second = town.processes()
    await fails(first, 1)
    assert not (await second.store.probe(RAIL, PROBE_SECONDS)).changed
    await fails(first, LIMITS.failures - 1)
    assert not (await second.store.probe(RAIL, PROBE_SECONDS)).changed
    await town.clock.move(LIMITS.open_seconds_first)
    assert (await first.gate.enter(RAIL, interactive=True)).probe
    await first.gate.report(RAIL, "limited", probe=True, retry_after_seconds=30.0)
    assert not (await second.store.probe(RAIL, PROBE_SECONDS)).changed
    await town.clock.move(30.0)
    assert (await second.store.probe(RAIL, PROBE_SECONDS)).changed


@pytest.mark.parametrize("outcome", ["refused_key", "unused"])
async def test_a_probe_that_says_nothing_gives_its_place_back_and_leaves_it_open(town: Town, outcome: Outcome) -> None:
    first, second = await opened(town)
    await town.clock.move(LIMITS.open_seconds_first)
    assert (await first.gate.enter(RAIL, interactive=True)).probe
    await first.gate.report(RAIL, outcome, probe=True)
    assert (await second.gate.enter(RAIL, interactive=True)).probe


async def test_answers_to_calls_that_began_before_it_opened_change_nothing(town: Town) -> None:
    first, second = await opened(town)
    before = await town.pool.fetchrow("SELECT open_until, open_seconds FROM rail_state")
    await fails(second, LIMITS.failures)
    await first.store.reached(RAIL, probe=False)
    assert await town.pool.fetchrow("SELECT open_until, open_seconds FROM rail_state") == before


async def test_an_older_reading_does_not_undo_what_was_reported_meanwhile(town: Town) -> None:
    first, _ = town.processes()
    await fails(first, 1)
    read = first.store.all

    async def slow() -> Sequence[RailSeen]:
        seen = await read()
        await fails(first, LIMITS.failures - 1)
        return seen

    first.store.all = slow  # type: ignore[method-assign]
    await first.gate.refresh()
    assert (await first.gate.enter(RAIL, interactive=True)).kind == "refused"


async def test_another_rail_is_not_touched(town: Town) -> None:
    first, _ = await opened(town)
    assert (await first.gate.enter("other", interactive=True)).kind == "go"
