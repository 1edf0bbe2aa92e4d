"""What the figures are computed from is kept whatever path a case takes: its first end, its return, who had it and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.callers import Caller
from service.store.pool import Pool
from tests.desk.referring import Desk
from tests.post.world import World


@pytest.fixture
async def desk(fresh_pool: Pool, fresh_database_url: str) -> Desk:
    return await Desk.opens(await World.opens(fresh_pool, fresh_database_url))


async def end(desk: Desk, case: object, by: Caller) -> bool:
    done: str = await desk.world.value(
        "SELECT case_end($1, $2, $3, $4, 'resolved', 'it is done')", desk.world.id, case, by.agent_id, by.name
    )
    return done == "ended"


async def test_a_case_that_the_rules_end_is_no_persons(desk: Desk) -> None:
    order = await desk.order()
    case = await desk.decided(order)
    await desk.world.settle()
    row = await desk.case(case)
    assert (row["ended_first_as"], row["ended_first_by_people"], row["by_people"], row["returned_at"]) == ("resolved", False, False, None)
    assert row["ended_first_at"] == row["ended_at"]
    assert await desk.world.value("SELECT count(*) FROM handling") == 0


async def test_the_first_end_and_the_first_return_stay_what_they_were(desk: Desk) -> None:
    order = await desk.order()
    case = await desk.decided(order)
    await desk.world.settle()
    first = (await desk.case(case))["ended_first_at"]
    await desk.world.value("SELECT case_reopen($1, $2, app_now())", desk.world.id, case)
    returned = (await desk.case(case))["returned_at"]
    assert returned > first
    await desk.world.pool.execute("UPDATE cases SET owner = 'queue', skill = 'core' WHERE id = $1", case)
    await desk.take(case)
    await end(desk, case, desk.mira)
    await desk.pass_time(timedelta(days=1))
    await desk.world.value("SELECT case_reopen($1, $2, app_now())", desk.world.id, case)
    row = await desk.case(case)
    # The rules had ended it: that a person ended it the second time changes nothing of the first.
    assert (row["ended_first_at"], row["returned_at"]) == (first, returned)
    assert (row["by_people"], row["ended_first_by_people"]) == (True, False)


@pytest.mark.parametrize(("who", "people"), [("mira", True), ("bot", False)])
async def test_a_person_is_a_part_of_it_and_a_program_is_none(desk: Desk, *, who: str, people: bool) -> None:
    agent: Caller = getattr(desk, who)
    case = await desk.taken(await desk.order(), by=agent)
    assert await end(desk, case, agent)
    row = await desk.case(case)
    assert (row["by_people"], row["ended_first_by_people"]) == (people, people)
    handled = await desk.world.pool.fetch(
        "SELECT agent_id, ended_at IS NOT NULL AS over, ended_case FROM handling WHERE case_id = $1", case
    )
    assert [tuple(one.values()) for one in handled] == [(agent.agent_id, True, True)]


async def test_a_persons_yes_is_a_part_in_it(desk: Desk) -> None:
    order = await desk.order(48000)
    case = await desk.decided(order)
    assert (await desk.case(case))["by_people"] is False
    (operation,) = await desk.operations(order)
    await desk.approve(operation["id"])
    assert (await desk.case(case))["by_people"] is True


async def test_every_stretch_ends_however_the_case_leaves_the_agent(desk: Desk) -> None:
    case = await desk.taken(await desk.order())
    # Put aside for another team, and back.
    referral = await desk.ask(case)
    await desk.answer(referral.id, "need_more")
    # The agent's browser dies: the lease ends.
    await desk.pass_time(timedelta(hours=2))
    await desk.world.settle()
    assert await desk.owner(case) == "queue"
    await desk.take(case, desk.noa)
    rows = await desk.world.pool.fetch("SELECT agent_id, ended_at, ended_case FROM handling WHERE case_id = $1 ORDER BY began_at", case)
    assert [row["agent_id"] for row in rows] == [desk.mira.agent_id, desk.mira.agent_id, desk.noa.agent_id]
    assert [(row["ended_at"] is not None, row["ended_case"]) for row in rows] == [(True, False), (True, False), (False, False)]
