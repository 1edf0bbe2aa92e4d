"""A brake keeps back what is new in every process, and lets go at once; a rail that refuses our key stops itself and calls people once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from integrations.sandbox_memory import MemorySandboxRail
from service.brakes import Brakes, Scope, UnknownBrake
from service.model import Money, Problem
from service.ports import RefundRequest, RefundSeen, Unavailable
from service.store.brakes import BrakeStore
from tests.post.world import World


class WrongKey(MemorySandboxRail):
    """A processor that refuses our key, or whatever else it is told to."""

    def __init__(self, name: str, failure: Exception | None) -> None:
        super().__init__(name)
        self.failure = failure

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        if self.failure is not None:
            raise self.failure
        return await super().refund(request, key=key)


async def cancelled(world: World) -> tuple[str, str]:
    show = await world.show("off", starts_in=timedelta(days=2), status="cancelled")
    return show, await world.order(show)


async def state(world: World, case: UUID) -> str:
    found: str = await world.value("SELECT state FROM operation WHERE case_id = $1 AND action = 'refund'", case)
    return found


@pytest.mark.parametrize(("scope", "ref"), [("all", "-"), ("action", "refund"), ("rail", "sandbox"), ("show", "off")])
async def test_what_is_paused_waits_and_goes_at_once_when_resumed(world: World, scope: Scope, ref: str) -> None:
    show, order = await cancelled(world)
    await world.brakes.pause(world.lead(), scope, ref, "too much money")
    case = await world.case(Problem.SHOW_CANCELLED, show, order)
    await world.settle()
    assert await state(world, case) == "READY"
    assert await world.value("SELECT count(*) FROM attempt") == 0
    await world.brakes.resume(world.lead(), scope, ref, "it was right")
    await world.settle()
    assert await state(world, case) == "DONE"
    assert await world.value("SELECT state FROM cases WHERE id = $1", case) == "resolved"


async def test_another_process_heeds_a_brake_from_its_commit_on(world: World) -> None:
    show, order = await cancelled(world)
    await Brakes(BrakeStore(world.pool), rails=("sandbox",)).pause(world.lead(), "action", "refund", "too much money")
    case = await world.case(Problem.SHOW_CANCELLED, show, order)
    assert await state(world, case) == "READY"


async def test_a_brake_on_something_else_holds_nothing_back(world: World) -> None:
    show, order = await cancelled(world)
    await world.show("another")
    for scope, ref in (("action", "replace_pass"), ("rail", "mail"), ("show", "another")):
        await world.brakes.pause(world.lead(), scope, ref, "a test")  # type: ignore[arg-type]  # one tuple of literals is a tuple of str
    assert await state(world, await world.case(Problem.SHOW_CANCELLED, show, order)) == "DONE"


async def test_what_may_have_been_sent_is_looked_for_under_a_brake_and_not_sent_again(world: World) -> None:
    """A refund whose answer was lost may have happened: it is found if it did, and nothing more leaves while money is stopped."""
    show, order = await cancelled(world)
    rail = WrongKey("sandbox", TimeoutError())
    rail.load_charge(f"ch_{order}_1", await charge(world))
    world.resolution, world.operations = world.flows(rail)
    case = await world.case(Problem.SHOW_CANCELLED, show, order)
    await world.brakes.pause(world.lead(), "all", "-", "a test")
    rail.failure = None
    await world.pool.execute("UPDATE operation SET due_at = now() WHERE case_id = $1", case)
    await world.settle()
    assert await state(world, case) == "SENT"
    assert (await rail.payment(f"ch_{order}_1", "EUR")).refunded_minor == 0
    await world.brakes.resume(world.lead(), "all", "-", "")
    await world.settle()
    assert await state(world, case) == "DONE"


async def test_resuming_leaves_alone_what_another_process_is_at(world: World) -> None:
    show, order = await cancelled(world)
    await world.brakes.pause(world.lead(), "all", "-", "a test")
    case = await world.case(Problem.SHOW_CANCELLED, show, order)
    await world.pool.execute("UPDATE operation SET lease_until = now() + interval '15 seconds', due_at = now() + interval '15 seconds'")
    due = await world.value("SELECT due_at FROM operation WHERE case_id = $1", case)
    await world.brakes.resume(world.lead(), "all", "-", "")
    assert await world.value("SELECT due_at FROM operation WHERE case_id = $1", case) == due


async def test_who_paused_and_resumed_is_kept_with_the_reason(world: World) -> None:
    await world.brakes.pause(world.lead(), "all", "-", "too much money")
    (brake,) = await world.brakes.list(world.id)
    assert (brake.scope, brake.ref, brake.reason, brake.actor) == ("all", "-", "too much money", "agent:Jonas")
    await world.brakes.resume(world.shop(), "all", "-", "it was right")
    await world.brakes.resume(world.shop(), "all", "-", "once more")
    assert await world.brakes.list(world.id) == []
    rows = await world.pool.fetch("SELECT actor, what, why FROM audit WHERE what IN ('paused', 'resumed') ORDER BY id")
    assert [tuple(row) for row in rows] == [("agent:Jonas", "paused", "too much money"), ("key:shop", "resumed", "it was right")]


@pytest.mark.parametrize(("scope", "ref"), [("all", "refund"), ("action", "refunds"), ("rail", "strpie"), ("show", "nowhere")])
async def test_a_brake_that_would_hold_nothing_is_refused(world: World, scope: Scope, ref: str) -> None:
    with pytest.raises(UnknownBrake):
        await world.brakes.pause(world.lead(), scope, ref, "a test")
    assert await world.brakes.list(world.id) == []


async def test_a_brake_of_one_platform_is_none_of_another(world: World) -> None:
    other = await World.opens(world.pool, world.dsn)
    await other.brakes.pause(other.lead(), "all", "-", "a test")
    show, order = await cancelled(world)
    assert await state(world, await world.case(Problem.SHOW_CANCELLED, show, order)) == "DONE"


async def test_a_refused_key_stops_its_rail_and_calls_people_once(world: World) -> None:
    show, order = await cancelled(world)
    world.resolution, world.operations = world.flows(WrongKey("sandbox", Unavailable("invalid_api_key", configuration=True)))
    case = await world.case(Problem.SHOW_CANCELLED, show, order)
    assert await state(world, case) == "SENT"
    await asyncio.gather(*(world.brakes.stop_rail(world.id, "sandbox", "invalid_api_key") for _ in range(10)))
    rows = await world.pool.fetch("SELECT id, owner, problem, requester, channel, order_id FROM cases WHERE skill = 'operations'")
    (alert,) = rows
    assert tuple(alert)[1:] == ("queue", "other", "nobody", "api", None)
    assert await world.entries(alert["id"], "rail_stopped") == [{"rail": "sandbox", "reason": "invalid_api_key"}]
    (brake,) = await world.brakes.list(world.id)
    assert (brake.scope, brake.ref, brake.actor) == ("rail", "sandbox", "makegood")


@pytest.mark.parametrize("skill", ["operations", "lead"])
async def test_another_reason_is_added_to_the_alert_that_is_open(world: World, skill: str) -> None:
    """Also where its case was given on meanwhile, as a promise that is broken does."""
    await world.brakes.stop_rail(world.id, "sandbox", "invalid_api_key")
    await world.pool.execute("UPDATE cases SET skill = $1", skill)
    await world.brakes.resume(world.lead(), "rail", "sandbox", "mended")
    await world.brakes.stop_rail(world.id, "sandbox", "account_closed")
    assert await world.value("SELECT count(*) FROM cases") == 1
    reasons = [
        row["data"]["reason"] for row in await world.pool.fetch("SELECT data FROM timeline WHERE kind = 'rail_stopped' ORDER BY seq")
    ]
    assert reasons == ["invalid_api_key", "account_closed"]


async def test_each_rail_calls_for_itself_and_a_mended_one_calls_again(world: World) -> None:
    for rail in ("sandbox", "stripe"):
        await world.brakes.stop_rail(world.id, rail, "invalid_api_key")
    assert await world.value("SELECT count(*) FROM cases WHERE skill = 'operations'") == 2
    await world.pool.execute("UPDATE cases SET state = 'resolved', owner = NULL, due_at = NULL, ended_at = now()")
    await world.brakes.stop_rail(world.id, "sandbox", "invalid_api_key")
    assert await world.value("SELECT count(*) FROM cases WHERE skill = 'operations' AND state = 'open'") == 1


async def test_when_the_key_is_mended_the_money_goes(world: World) -> None:
    show, order = await cancelled(world)
    rail = WrongKey("sandbox", Unavailable("invalid_api_key", never_sent=True, configuration=True))
    rail.load_charge(f"ch_{order}_1", await charge(world))
    world.resolution, world.operations = world.flows(rail)
    case = await world.case(Problem.SHOW_CANCELLED, show, order)
    rail.failure = None
    await world.brakes.resume(world.lead(), "rail", "sandbox", "the key is new")
    await world.settle()
    assert await state(world, case) == "DONE"


async def charge(world: World) -> Money:
    return Money(minor=await world.value("SELECT captured FROM payment"), currency="EUR")
