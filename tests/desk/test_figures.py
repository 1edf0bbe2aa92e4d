"""Each figure, on a night small enough that its right answer stands beside it with the reasons."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from service.callers import Caller
from service.figures import Figures, FiguresShown, UnknownShow
from service.figures_words import DEFINITIONS
from service.platforms import Platforms
from service.sealing import Vault
from service.store.answering import AnsweringStore
from service.store.figures import FigureStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.waits import Waits
from tests.desk.night import DOORS, Night, after

_WEEK: Final = timedelta(days=7)


@pytest.fixture
async def night(fresh_pool: Pool) -> Night:
    return await Night.opens(fresh_pool)


def figures_of(night: Night, monotonic: Callable[[], float] | None = None) -> Figures:
    """Nothing is kept, unless the clock given says so."""
    platforms = Platforms(PlatformStore(night.pool), Vault(b"0" * 32, purpose="platform"), monotonic=lambda: 0.0)
    waits = Waits(AnsweringStore(night.pool), platforms, aims={}, monotonic=lambda: 0.0)
    return Figures(FigureStore(night.pool), platforms, waits, monotonic=monotonic or count(0.0, 3_600.0).__next__)


def somebody(night: Night, name: str = "Mira") -> Caller:
    return Caller(
        kind="agent",
        platform_id=night.platform,
        platform="shop",
        id=uuid4(),
        name=f"agent:{name}",
        agent_id=night.agents[name],
        role="agent",
    )


async def told(night: Night, *, show: str | None = None, begin: datetime = DOORS, end: datetime = DOORS + _WEEK) -> FiguresShown:
    return await figures_of(night).of(somebody(night), show=show, begin=begin, end=end)


async def write_down(night: Night) -> dict[str, UUID]:
    """The night. `alone`: no person had a part in it."""
    orders = {name: await night.order() for name in "abcde"}
    rows = {
        # Alone and for good.
        "a": await night.case(order_id=orders["a"], problem="charged_twice"),
        # Alone, and back after 71 hours: opened again.
        "b": await night.case(order_id=orders["b"], problem="link_dead", contacts=2, returned_at=after(minutes=10, hours=71)),
        # Alone: a no. 72 hours later, to the second, the same problem of the same order is a case again.
        "c": await night.case(order_id=orders["c"], problem="wants_refund", state="denied"),
        "c2": await night.case(
            order_id=orders["c"],
            problem="wants_refund",
            created_at=after(minutes=10, hours=72),
            queued_at=after(minutes=10, hours=72),
            acknowledged_at=after(minutes=12, hours=72),
            ended_at=after(hours=73),
            by_people=True,
        ),
        # People; it came back after 73 hours, which is too late to count.
        "d": await night.case(
            order_id=orders["d"],
            queued_at=after(),
            acknowledged_at=after(minutes=1),
            ended_at=after(hours=1),
            by_people=True,
            returned_at=after(hours=74),
            contacts=2,
        ),
        # People: a no; the platform asked over its own channel.
        "e": await night.case(
            order_id=orders["e"], state="denied", queued_at=after(), acknowledged_at=after(minutes=4), by_people=True, channel="api"
        ),
        # Nobody answered what was asked.
        "f": await night.case(state="closed"),
        # Waits for people still.
        "g": await night.case(state="open", owner="queue", skill="core", due_at=after(hours=1), queued_at=after()),
    }
    await night.case(state="joined", joined_to=rows["d"], contacts=0)
    # A bank's warning opened this one, no customer did: it is work, and no contact.
    await night.case(state="open", owner="queue", skill="trust", due_at=after(hours=1), queued_at=after(), opened_by=None, contacts=0)
    await night.only(list(rows.values()))
    await night.had(rows["c2"], "Mira", 300)
    await night.had(rows["d"], "Mira", 100, 200)
    await night.had(rows["e"], "Noa", 600)
    return rows | {f"order_{name}": order for name, order in orders.items()}


async def test_what_came_and_what_has_ended(night: Night) -> None:
    await write_down(night)
    seen = await told(night)
    # a, b, c, c2, d, e, f, g: not the one that joined d, nor the bank's.
    assert seen.cases == 8
    # One each, and one more for b and for d.
    assert seen.contacts == 10
    # All but f, which ended without an answer, and g.
    assert seen.resolved == 6
    # g and the bank's.
    assert seen.backlog == 2


async def test_a_return_within_72_hours_takes_first_contact_resolution_back(night: Night) -> None:
    await write_down(night)
    fcr = (await told(night)).fcr
    # a, b, c and f ended alone. b was opened again, c came again as a new case, f had no answer: one of four.
    assert (fcr.automated.share, fcr.automated.of) == (0.25, 4)
    # c2, d and e were people's; d's return came after 73 hours: three of three.
    assert (fcr.human.share, fcr.human.of) == (1.0, 3)
    # Four of seven.
    assert (fcr.overall.share, fcr.overall.of) == (0.5714, 7)


@pytest.mark.parametrize(
    ("again", "share"),
    [
        ({"problem": "link_dead"}, 0.0),
        ({"problem": "link_dead", "created_at": after(minutes=10, hours=72, seconds=1)}, 1.0),  # too late
        ({"problem": "buffering"}, 1.0),  # another problem
        ({"problem": "link_dead", "opened_by": None}, 1.0),  # not the customer's word
        ({"problem": "link_dead", "created_at": after(minutes=9)}, 1.0),  # before the end: no return
    ],
)
async def test_what_counts_as_the_same_again(night: Night, again: dict[str, Any], share: float) -> None:
    order = await night.order()
    await night.case(order_id=order, problem="link_dead")
    opened: dict[str, Any] = {"created_at": after(hours=5), "state": "open", "owner": "process", "due_at": after()}
    await night.case(order_id=order, **(opened | again))
    assert (await told(night)).fcr.overall.share == share


async def test_a_return_counts_against_who_ended_it_first(night: Night) -> None:
    """The rules ended it, it came back, and a person had it then: that is no failure of people."""
    await night.case(by_people=True, ended_first_by_people=False, returned_at=after(hours=1))
    fcr = (await told(night)).fcr
    assert (fcr.automated.share, fcr.automated.of, fcr.human.of) == (0.0, 1, 0)


async def test_how_long_people_took(night: Night) -> None:
    await write_down(night)
    seen = await told(night)
    # 60, 120 and 240 seconds; nine tenths of the way along them: 120 and eight tenths of 120.
    assert (seen.acknowledge_seconds.median, seen.acknowledge_seconds.p90) == (120, 216)
    # c2 300; d 100 and 200; e 600.
    assert (seen.handle_seconds.median, seen.handle_seconds.p90) == (300, 540)


async def test_a_programs_time_is_no_persons_handle_time(night: Night) -> None:
    case = await night.case(queued_at=after(), acknowledged_at=after(minutes=1))
    await night.had(case, "Bot", 5)
    seen = await told(night)
    assert (seen.handle_seconds.median, seen.fcr.automated.of, seen.hours_saved) == (None, 1, 0.1)


async def test_promises_that_were_kept(night: Night) -> None:
    rows = await write_down(night)
    await night.clock(rows["d"], "acknowledge", met=True)
    await night.clock(rows["e"], "acknowledge", met=False, breached=after(minutes=5))
    # It runs, and ran out already.
    await night.clock(rows["g"], "acknowledge", met=None, breached=after(minutes=5))
    # It runs still: nobody can say yet.
    await night.clock(rows["g"], "resolve", met=None)
    seen = await told(night)
    assert (seen.sla.met, seen.sla.of) == (1, 3)


async def test_what_customers_think(night: Night) -> None:
    rows = await write_down(night)
    await night.row("satisfaction", case_id=rows["a"], asked="resolution", score=5, scored_at=after(hours=1))
    await night.row("satisfaction", case_id=rows["d"], asked="after_show", asked_at=after(days=1), score=2, scored_at=after(days=2))
    await night.row("satisfaction", case_id=rows["e"], asked="after_show", asked_at=after(days=1))
    seen = await told(night)
    # 5 and 2. Asked: a, b, c, c2, d by their pages (e came over the platform's own channel, f had no answer), d and e by letter.
    assert (seen.satisfaction.average, seen.satisfaction.answers, seen.satisfaction.of_asked) == (3.5, 2, 7)


async def test_contacts_that_needed_no_person_and_what_they_saved(night: Night) -> None:
    await write_down(night)
    seen = await told(night)
    # Over: a 1, b 2, c 1, c2 1, d 2, e 1, f 1; without a person: a, b, c and f. g is not over.
    assert (seen.answered_without_person.share, seen.answered_without_person.of) == (0.5556, 9)
    # Four cases. People handled three, too few to measure by: 6 minutes each.
    assert (seen.hours_saved, seen.hours_saved_basis.measured) == (0.4, False)
    for _ in range(2):
        await night.had(await night.case(by_people=True, queued_at=after()), "Noa", 900)
    seen = await told(night)
    # 300, 300, 600, 900, 900: 600 seconds for each of the four.
    assert (seen.hours_saved, seen.hours_saved_basis.measured, seen.hours_saved_basis.seconds_each) == (0.67, True, 600)


async def test_money_counts_when_a_processor_took_it(night: Night) -> None:
    rows = await write_down(night)
    await night.refund(rows["a"], rows["order_a"], 2500, "DONE")
    await night.refund(rows["d"], rows["order_d"], 1000, "SENT", accepted=True)
    await night.refund(rows["e"], rows["order_e"], 700, "HELD", holds=["amount"])
    await night.refund(rows["b"], rows["order_b"], 800, "FAILED")
    await night.refund(rows["b"], rows["order_b"], 900, "SENT")
    await night.refund(rows["c2"], rows["order_c"], 500, "DONE", currency="JPY")
    assert (await told(night)).money_sent == {"EUR": 3500, "JPY": 500}


async def test_of_one_show_and_of_one_time(night: Night) -> None:
    await write_down(night)
    await night.case(show="tomorrow")
    assert ((await told(night)).cases, (await told(night, show="tonight")).cases, (await told(night, show="tomorrow")).cases) == (9, 8, 1)
    # From is in it, to is not: c2 came 72 hours later.
    assert (await told(night, begin=DOORS, end=DOORS)).cases == 0
    assert (await told(night, show="tonight", end=after(hours=72, minutes=10))).cases == 7
    assert (await told(night, show="tonight", begin=after(hours=72, minutes=10))).cases == 1
    with pytest.raises(UnknownShow):
        await told(night, show="never")


async def test_nothing_is_a_share_of_nothing(night: Night) -> None:
    seen = await told(night)
    assert (seen.cases, seen.fcr.overall.share, seen.satisfaction.average, seen.hours_saved) == (0, None, None, 0)
    assert (seen.acknowledge_seconds.median, seen.answered_without_person.share, seen.money_sent) == (None, None, {})


async def test_another_platforms_night_is_not_in_it(night: Night) -> None:
    await write_down(night)
    other = await Night.opens(night.pool)
    assert (await told(other)).cases == 0


async def test_each_figure_says_what_it_means(night: Night) -> None:
    seen = await told(night)
    figures = {name for name in seen.__struct_fields__ if name not in {"show", "begin", "end", "definitions", "hours_saved_basis"}}
    assert figures == set(seen.definitions) == set(DEFINITIONS)


# ------------------------------------------------------------------------------------------------- board and shift, as it is now


async def _now(night: Night) -> datetime:
    return await FigureStore(night.pool).now()


async def test_the_board_as_it_is_now(night: Night) -> None:
    now = await _now(night)
    waiting: dict[str, Any] = {"state": "open", "due_at": now + timedelta(hours=1), "opened_by": "session"}

    def ago(**time: float) -> datetime:
        return now - timedelta(**time)

    young = await night.case(**waiting, owner="queue", skill="core", queued_at=ago(seconds=60), created_at=ago(seconds=60))
    old = await night.case(**waiting, owner="queue", skill="payments", queued_at=ago(hours=2), created_at=ago(hours=2))
    mine = await night.case(
        **waiting, owner="agent", agent_id=night.agents["Mira"], skill="core", queued_at=ago(minutes=10), created_at=ago(minutes=10)
    )
    parked: dict[str, Any] = {"owner": "timer", "wait_for": "customer", "wait_until": now + timedelta(days=1), "skill": "core"}
    await night.case(**waiting, **parked, queued_at=ago(days=3), created_at=ago(days=3))
    # With the rules, not with people.
    await night.case(**waiting, owner="timer", wait_for="incident_end", wait_until=now, created_at=ago(minutes=5))
    await night.case(created_at=ago(days=2), ended_at=ago(minutes=3))
    await night.only([young, old, mine])
    await night.clock(young, "acknowledge", met=None, warned=now)
    await night.clock(old, "acknowledge", met=None, warned=ago(minutes=9), breached=now)
    await night.clock(mine, "resolve", met=None)
    order = await night.order()
    await night.refund(old, order, 100, "SENT", accepted=True, created_at=ago(seconds=1))
    await night.refund(old, order, 100, "HELD", holds=["amount"], created_at=ago(seconds=1))
    await night.refund(old, order, 100, "DONE", created_at=ago(hours=2))
    await night.pool.execute("UPDATE agent SET seen_at = app_now(), available = name = 'Mira' WHERE name <> 'Bot'")
    board = await figures_of(night).board(somebody(night))
    assert board.backlog.cases == 4
    assert {one.up_to_seconds: one.cases for one in board.backlog_by_age} == {300: 1, 900: 1, 3600: 0, 14400: 1, 86400: 0, None: 1}
    assert {one.skill: one.cases for one in board.backlog_by_skill} == {"core": 3, "payments": 1}
    # In the last hour: the young one, the taken one, and the one that the rules have.
    assert (len(board.arrivals), sum(one.cases for one in board.arrivals)) == (60, 3)
    assert sum(one.cases for one in board.resolutions) == 1
    assert {(one.rail, one.state): sum(one.per_minute) for one in board.refunds_per_minute} == {
        ("sandbox", "sent"): 1,
        ("sandbox", "held"): 1,
    }
    assert {len(one.per_minute) for one in board.refunds_per_minute} == {60}
    assert (board.sla_at_risk.cases, board.sla_breached.cases) == (1, 1)
    assert (board.agents.on_shift, board.agents.available, board.agents.holding) == (2, 1, 1)
    queries = [board.backlog.behind, board.sla_breached.behind, board.agents.behind, *(one.behind for one in board.backlog_by_age)]
    assert all("state=" in query for query in queries)


async def test_the_days_first_contact_resolution_is_on_the_board(night: Night) -> None:
    now = await _now(night)
    for returned in (None, now):
        await night.case(created_at=now - timedelta(hours=1), ended_at=now - timedelta(minutes=30), returned_at=returned)
    board = await figures_of(night).board(somebody(night))
    assert (board.fcr_now.automated.share, board.fcr_now.automated.of) == (0.5, 2)


async def test_ones_own_shift_and_nobody_elses(night: Night) -> None:
    now = await _now(night)
    since = (await figures_of(night).shift(somebody(night))).since
    today = max(since, now - timedelta(minutes=50))
    ended = await night.case(by_people=True, created_at=today, ended_at=today)
    others = await night.case(by_people=True, created_at=today, ended_at=today)
    holding: dict[str, Any] = {
        "state": "open",
        "owner": "agent",
        "agent_id": night.agents["Mira"],
        "due_at": now + timedelta(hours=1),
        "skill": "core",
    }
    held = await night.case(**holding, queued_at=today, created_at=today)
    before = await night.case(by_people=True, created_at=since - timedelta(hours=9), ended_at=since - timedelta(hours=8))
    await night.only([ended, others, held, before])
    await night.had(ended, "Mira", 20, 40, begin=today)
    await night.had(others, "Noa", 500, begin=today)
    await night.had(before, "Mira", 999, begin=since - timedelta(hours=9))
    await night.pool.execute("UPDATE handling SET began_at = $2, ended_at = NULL WHERE case_id = $1", held, today)
    for case, author, kind in ((ended, "agent:Mira", "reply"), (ended, "agent:Mira", "note"), (ended, "agent:Noa", "reply")):
        await night.row("message", id=uuid4(), case_id=case, kind=kind, author=author, body="words", created_at=now)
    await night.clock(ended, "resolve", met=True)
    await night.clock(others, "resolve", met=False)
    await night.pool.execute("UPDATE sla_clock SET ended_at = $1", now)
    for case, score in ((ended, 4), (others, 1), (before, 5)):
        await night.row("satisfaction", case_id=case, asked="resolution", score=score, scored_at=now)
    shift = await figures_of(night).shift(somebody(night))
    assert (shift.holding, shift.resolved_today, shift.replies) == (1, 1, 1)
    # 20 and 40 seconds on one case.
    assert shift.median_handle_seconds == 60
    assert (shift.sla.met, shift.sla.of) == (1, 1)
    # Over thirty days: today's 4 and the 5 of the day before.
    assert (shift.satisfaction.average, shift.satisfaction.answers) == (4.5, 2)
