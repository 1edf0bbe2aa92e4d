"""However many leads look at the board, it is read once, and says of when it is."""

from __future__ import annotations

import asyncio

import pytest

from service.kept import Kept
from service.store.pool import Pool
from tests.desk.night import Night, after
from tests.desk.test_figures import figures_of, somebody


@pytest.fixture
async def night(fresh_pool: Pool) -> Night:
    return await Night.opens(fresh_pool)


async def _waits(night: Night) -> None:
    await night.case(state="open", owner="queue", skill="core", due_at=after(hours=1), queued_at=after(), contacts=0)


async def test_twenty_leads_who_look_at_once_see_one_board_and_the_next_look_two_seconds_later_is_new(night: Night) -> None:
    now = [100.0]
    figures = figures_of(night, lambda: now[0])
    await _waits(night)
    boards = await asyncio.gather(*(figures.board(somebody(night)) for _ in range(20)))
    assert len({id(one) for one in boards}) == 1
    await _waits(night)
    now[0] += 1.9
    assert await figures.board(somebody(night)) is boards[0], "it says by `at` of when it is"
    now[0] += 0.2
    later = await figures.board(somebody(night))
    assert (boards[0].backlog.cases, later.backlog.cases) == (1, 2)
    assert later.at > boards[0].at
    assert later.fcr_at == boards[0].fcr_at, "the day is kept for longer"
    now[0] += 10
    assert (await figures.board(somebody(night))).fcr_at > later.fcr_at


async def test_what_one_platforms_lead_looks_at_is_no_other_platforms(night: Night) -> None:
    figures = figures_of(night, lambda: 0.0)
    await _waits(night)
    other = await Night.opens(night.pool)
    assert (await figures.board(somebody(night))).backlog.cases == 1
    assert (await figures.board(somebody(other))).backlog.cases == 0


async def test_a_reading_that_failed_is_tried_again() -> None:
    kept: Kept[str, int] = Kept(10.0, most=1, monotonic=lambda: 0.0)

    async def fails() -> int:
        raise OSError

    async def answers() -> int:
        return 7

    with pytest.raises(OSError):  # noqa: PT011 - any
        await kept.get("a", fails)
    assert await kept.get("a", answers) == 7
    assert await kept.get("a", fails) == 7
    with pytest.raises(OSError):  # noqa: PT011 - any
        await kept.get("b", fails)
