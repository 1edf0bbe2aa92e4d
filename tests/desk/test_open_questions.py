"""Nothing waits for an answer that nobody will give: a case outlives its questions, and deadlines are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import pytest

from service.store.pool import Pool
from service.store.routing import RoutingStore
from tests.desk.referring import Desk, customer_writes, ends
from tests.post.world import World
from tests.promises.house import SUMS

_SUM = "nothing is held by a referral that nobody will answer"


@pytest.fixture
async def desk(fresh_pool: Pool, fresh_database_url: str) -> Desk:
    return await Desk.opens(await World.opens(fresh_pool, fresh_database_url))


async def broken(desk: Desk) -> list[str]:
    return [name for name, query in SUMS.items() if await desk.world.value(f"SELECT EXISTS ({query})")]


async def ended_as_before(desk: Desk, case: UUID) -> None:
    """As earlier releases could leave it: ended, with its question open."""
    await desk.world.pool.execute(
        "UPDATE cases SET state = 'resolved', owner = NULL, agent_id = NULL, due_at = NULL, wait_for = NULL, wait_ref = NULL,"
        " wait_until = NULL, ended_at = app_now() WHERE id = $1",
        case,
    )
    await desk.world.pool.execute("UPDATE case_subject SET open = false WHERE case_id = $1", case)


async def looks(desk: Desk) -> int:
    """One pass of the desk's loop over deadlines of other teams."""
    return len(await RoutingStore(desk.world.pool).look_at_referrals(50))


# ------------------------------------------------------------------------------------------------- a case outlives its questions


@pytest.mark.parametrize("holds", [True, False])
async def test_a_case_does_not_end_while_another_team_is_asked(desk: Desk, *, holds: bool) -> None:
    case = await desk.taken(await desk.order())
    referral = await desk.ask(case, holds=holds)
    await customer_writes(desk, case)
    assert await ends(desk, case, desk.mira) == "referral_open"
    row = await desk.case(case)
    assert (row["state"], row["agent_id"]) == ("open", desk.mira.agent_id)
    await desk.referrals.withdraw(desk.mira, referral.id, "the buyer called")
    assert await ends(desk, case, desk.mira) == "ended"


async def test_a_case_does_not_end_while_another_team_has_asked_back_and_holds(desk: Desk) -> None:
    case = await desk.taken(await desk.order())
    referral = await desk.ask(case)
    await desk.answer(referral.id, "need_more", words="which card?")
    assert await ends(desk, case, desk.mira) == "referral_open"
    await desk.answer(referral.id, "cleared")
    assert await ends(desk, case, desk.mira) == "ended"


async def test_what_asked_back_and_holds_nothing_keeps_no_case_open(desk: Desk) -> None:
    case = await desk.taken(await desk.order())
    referral = await desk.ask(case, holds=False)
    await desk.answer(referral.id, "need_more", words="which card?")
    assert await ends(desk, case, desk.mira) == "ended"


@pytest.mark.parametrize("where", ["agent", "operation"])
async def test_money_that_arrives_ends_no_case_that_another_team_judges(desk: Desk, where: Literal["agent", "operation"]) -> None:
    order = await desk.order(48000)
    case = await desk.decided(order)
    await desk.take(case)
    (operation,) = await desk.operations(order)
    referral = await desk.ask(case, holds=False)
    await customer_writes(desk, case)
    assert await desk.approve(operation["id"], desk.noa) == "approved"
    assert await desk.approve(operation["id"], desk.jonas) == "released"
    if where == "operation":
        await desk.world.pool.execute("UPDATE cases SET owner = 'operation', agent_id = NULL WHERE id = $1", case)
    await desk.world.settle()
    assert await desk.paid(order) == 48000
    row = await desk.case(case)
    assert (row["state"], row["owner"]) == ("open", {"agent": "agent", "operation": "timer"}[where])
    await desk.answer(referral.id, "cleared")
    assert (await desk.case(case))["owner"] == "agent"
    assert await ends(desk, case, desk.mira) == "ended"
    assert await broken(desk) == []


# ----------------------------------------------------------------------------------------------------------- deadlines are kept


@pytest.mark.parametrize("where", ["agent", "queue", "hold", "operation"])
async def test_a_deadline_counts_wherever_its_case_is(desk: Desk, where: str) -> None:
    case = await desk.taken(await desk.order())
    referral = await desk.ask(case, seconds=600)
    await customer_writes(desk, case)
    to: dict[str, str] = {
        "agent": "due_at = app_now() + interval '3 days'",
        "queue": "owner = 'queue', agent_id = NULL",
        "hold": "owner = 'timer', agent_id = NULL, wait_for = 'hold', due_at = app_now() + interval '3 days'",
        "operation": "owner = 'operation', agent_id = NULL, due_at = app_now() + interval '3 days'",
    }
    await desk.world.pool.execute(f"UPDATE cases SET {to[where]} WHERE id = $1", case)
    assert await looks(desk) == 0
    await desk.pass_time(timedelta(minutes=11))
    assert await looks(desk) == 1
    assert await desk.world.entries(case, "referral_overdue") == [{"referral": str(referral.id)}]
    assert await desk.owner(case) in {"queue", "agent"}
    assert await looks(desk) == 0
    await desk.world.settle()
    assert len(await desk.world.entries(case, "referral_overdue")) == 1


async def test_an_overdue_question_of_an_ended_case_comes_to_a_case_of_its_order(desk: Desk) -> None:
    order = await desk.order()
    case = await desk.taken(order)
    referral = await desk.ask(case, seconds=600)
    other = await desk.decided(order)
    await ended_as_before(desk, case)
    assert await desk.owner(other) == "operation"
    assert await broken(desk) == [_SUM]
    await desk.pass_time(timedelta(minutes=11))
    assert await looks(desk) == 1
    assert await desk.world.entries(other, "referral_overdue") == [{"referral": str(referral.id)}]
    assert await desk.owner(other) == "queue"
    assert await broken(desk) == []
    await desk.referrals.withdraw(desk.jonas, referral.id, "nobody knows")
    await desk.world.settle()
    assert await desk.paid(order) == 2500
    assert (await desk.case(other))["state"] == "resolved"


async def test_an_overdue_question_opens_the_only_case_there_is(desk: Desk) -> None:
    case = await desk.taken(await desk.order())
    await desk.ask(case, seconds=600)
    await ended_as_before(desk, case)
    await desk.pass_time(timedelta(minutes=11))
    assert await looks(desk) == 1
    row = await desk.case(case)
    assert (row["state"], row["owner"]) == ("open", "queue")


async def test_what_waits_for_a_question_with_nobody_behind_it_comes_to_people(desk: Desk) -> None:
    order = await desk.order()
    case = await desk.taken(order)
    referral = await desk.ask(case, seconds=86_400)
    other = await desk.decided(order)
    await ended_as_before(desk, case)
    # The hourly look at what is held.
    await desk.pass_time(timedelta(minutes=61))
    await desk.world.settle()
    assert (await desk.owner(other), await desk.states(order)) == ("queue", [("HELD", ["referral"])])
    # What is decided from now on comes to them at once.
    third = await desk.order()
    await desk.world.pool.execute("UPDATE referral SET order_id = (SELECT id FROM orders WHERE ref = $2) WHERE id = $1", referral.id, third)
    assert await desk.owner(await desk.decided(third)) == "queue"


async def test_the_sum_finds_what_nobody_will_answer(desk: Desk) -> None:
    order = await desk.order()
    referral = await desk.ask(await desk.taken(order))
    await desk.decided(order)
    assert await broken(desk) == []
    await desk.world.pool.execute("UPDATE referral SET holding = false WHERE id = $1", referral.id)
    assert await broken(desk) == [_SUM]


# ------------------------------------------------------------------------------------------------------- a question asked back


async def test_a_question_asked_back_is_listed_as_open_while_it_holds_and_is_answered_again(desk: Desk) -> None:
    order = await desk.order()
    await desk.decided(order)
    case = await desk.taken(order)
    held, other = await desk.ask(case), await desk.ask(await desk.taken(await desk.order()), holds=False)
    for one in (held, other):
        await desk.answer(one.id, "need_more", words="which card?")

    async def listed() -> list[Any]:
        found = await desk.referrals.listed(desk.mira, state="open", team=None, case=None, most=50, offset=0)
        return [(one.id, one.state) for one in found]

    assert await listed() == [(held.id, "need_more")]
    # The same again changes nothing; another word does.
    await desk.answer(held.id, "need_more", words="which card?")
    assert len(await desk.world.entries(case, "referral_answered")) == 1
    assert (await desk.answer(held.id, "cleared")).state == "cleared"
    assert await listed() == []
    await desk.world.settle()
    assert await desk.paid(order) == 2500
    assert await broken(desk) == []
