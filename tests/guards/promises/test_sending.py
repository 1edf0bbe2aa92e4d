"""Before and after a request leaves: one worker at a time, one key for one attempt, and nothing believed that was not answered."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from service.operations import LEASE_SECONDS
from service.ports import Declined, Unavailable
from tests.guards.ground import LOST, PRICE, SILENT, Ground

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


# ------------------------------------------------------------------------------------------------------------ leases


async def test_a_worker_whose_lease_another_has_taken_sends_nothing(ground: Ground) -> None:
    _, operation = await ground.refund()
    late, current = await ground.lease(operation), await ground.lease(operation)
    assert (await ground.begin(operation, late))["status"] == "lost"
    assert (await ground.begin(operation, current))["status"] == "send"


async def test_a_worker_that_wakes_up_after_another_took_over_changes_nothing(ground: Ground) -> None:
    order, operation = await ground.refund()
    frozen = await ground.lease(operation)
    begun = await ground.begin(operation, frozen)
    current = await ground.lease(operation)
    await ground.begin(operation, current)
    answer = {"result": "ANSWERED", "attempt_state": "REJECTED", "state": "REFUSED", "failure": "not_found"}
    assert (await ground.record(operation, frozen, begun, **answer))["status"] == "lost"
    assert (await ground.operation(operation))["state"] == "SENT"
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_what_has_ended_is_not_ended_once_more(ground: Ground) -> None:
    order, operation = await ground.refund()
    epoch = await ground.lease(operation)
    begun = await ground.begin(operation, epoch)
    good = {"result": "ANSWERED", "attempt_state": "SUCCEEDED", "state": "DONE", "provider_ref": "re_1"}
    bad = {"result": "ANSWERED", "attempt_state": "REJECTED", "state": "REFUSED", "failure": "not_found"}
    assert (await ground.record(operation, epoch, begun, **good))["status"] == "stored"
    assert (await ground.record(operation, epoch, begun, **bad))["status"] == "lost"
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_a_try_that_waits_for_its_turn_is_taken_back_by_its_own_worker_alone(ground: Ground) -> None:
    _, operation = await ground.refund()
    frozen = await ground.lease(operation)
    begun = await ground.begin(operation, frozen)
    current = await ground.lease(operation)
    await ground.store.waits(ground.platform, operation, frozen, begun["attempt"], begun["try"], seconds=1.0)
    assert await ground.tries(operation) == [None]
    assert (await ground.operation(operation))["lease_epoch"] == current
    assert (await ground.operation(operation))["lease_until"] is not None


async def test_nobody_leases_what_somebody_is_at(ground: Ground) -> None:
    _, operation = await ground.refund()
    assert await ground.store.lease_operation(ground.platform, operation, LEASE_SECONDS) is not None
    assert await ground.store.lease_operation(ground.platform, operation, LEASE_SECONDS) is None


async def test_two_workers_that_come_at_the_same_moment_send_one_request(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.hears = asyncio.Event()
    workers = [asyncio.create_task(ground.operations.take(ground.platform, operation)) for _ in range(4)]
    await ground.first.hears.wait()
    ground.first.goes_on.set()
    await asyncio.gather(*workers)
    assert len(ground.first.sent) == 1
    assert (await ground.operation(operation))["state"] == "DONE"


async def test_too_little_left_of_a_lease_to_hear_the_answer_sends_nothing(ground: Ground) -> None:
    """The process stood still between its first commit and the call; by now another may be at it."""
    _, operation = await ground.refund()
    epoch = await ground.lease(operation)
    begun = await ground.begin(operation, epoch)
    ground.seconds += LEASE_SECONDS
    await ground.operations.carry_on(ground.platform, operation, epoch, begun, since=0.0)
    assert ground.first.sent == []
    assert await ground.tries(operation) == []


# -------------------------------------------------------------------------------------------------------------- keys


async def test_a_repeat_after_a_lost_answer_carries_the_same_key(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.finds = False  # only the key is left to protect the money
    ground.first.answers = [LOST, LOST]
    for _ in range(3):
        await ground.advance(operation)
    assert len(ground.first.sent) == 3
    assert len(set(ground.first.sent)) == 1
    assert ground.first.total == PRICE


async def test_another_attempt_has_another_key(ground: Ground) -> None:
    """Under the first one's the processor would repeat the first one's answer for ever."""
    _, operation = await ground.refund()
    ground.first.answers = [Declined("insufficient_funds")]
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "READY"
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "DONE"
    assert len(set(ground.first.sent)) == len(ground.first.sent) == 2


async def test_a_database_put_back_to_before_the_sending_sends_the_same_request_again(ground: Ground) -> None:
    _, operation = await ground.refund()
    asked = []
    for _ in range(2):
        begun = await ground.begin(operation, await ground.lease(operation))
        asked.append((begun["key"], begun["request"]))
        await ground.pool.execute("DELETE FROM try WHERE attempt_id = $1", begun["attempt"])
        await ground.pool.execute("DELETE FROM attempt WHERE id = $1", begun["attempt"])
    assert asked[0] == asked[1]


async def test_a_repeat_is_the_stored_request_whatever_changed_meanwhile(ground: Ground) -> None:
    order, operation = await ground.refund()
    first = await ground.begin(operation, await ground.lease(operation))
    await ground.pool.execute("UPDATE payment SET provider_ref = 'ch_another' WHERE id = $1", order.payments[0])
    again = await ground.begin(operation, await ground.lease(operation))
    assert (again["key"], again["request"]) == (first["key"], first["request"])


# ----------------------------------------------------------------------------------------------- what nobody answered


async def test_a_key_is_not_sent_any_more_when_the_processor_may_have_forgotten_it(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    await ground.pass_time(DAY + HOUR)
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "NEEDS_REVIEW"
    assert len(ground.first.sent) == 1
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_repeats_do_not_make_a_key_hold_longer(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [SILENT] * 4
    for _ in range(3):
        await ground.advance(operation)
        await ground.pass_time(9 * HOUR)
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "NEEDS_REVIEW"
    assert len(ground.first.sent) == 3


async def test_what_a_worker_took_with_it_when_it_died_may_have_happened(ground: Ground) -> None:
    """A day later its key is no longer safe: people look, and nobody sends it as if it were new."""
    _, operation = await ground.refund()
    await ground.begin(operation, await ground.lease(operation))
    await ground.pass_time(DAY + HOUR)
    await ground.advance(operation)
    assert await ground.tries(operation) == ["UNKNOWN"]
    assert (await ground.operation(operation))["state"] == "NEEDS_REVIEW"
    assert ground.first.sent == []


async def test_what_never_left_may_be_sent_a_day_later(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [Unavailable("connection refused", never_sent=True)]
    await ground.advance(operation)
    await ground.pass_time(2 * DAY)
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "DONE"
    assert ground.first.total == PRICE


async def test_a_refusal_after_a_lost_answer_is_for_people_and_gives_nothing_back(ground: Ground) -> None:
    """The earlier try may be why it is refused now."""
    order, operation = await ground.refund()
    ground.first.answers = [SILENT, Declined("amount_too_large")]
    await ground.advance(operation)
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "NEEDS_REVIEW"
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_a_payment_that_the_processor_calls_refunded_is_for_people(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [Declined("already_refunded")]
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "NEEDS_REVIEW"
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_an_answer_that_never_came_is_unknown_and_not_refused(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    assert await ground.tries(operation) == ["UNKNOWN"]
    assert await ground.attempts(operation) == [("first", "UNKNOWN")]


async def test_a_refused_connection_after_a_lost_answer_proves_nothing_about_it(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [SILENT, Unavailable("connection refused", never_sent=True)]
    await ground.advance(operation)
    await ground.advance(operation)
    assert await ground.attempts(operation) == [("first", "UNKNOWN")]


# ------------------------------------------------------------------------------------------------------------ brakes


async def _brake(ground: Ground, scope: str = "all", ref: str = "-") -> None:
    await ground.pool.execute("SELECT brake_put($1, $2, $3, 'look', 'Ana')", ground.platform, scope, ref)


async def _release(ground: Ground) -> None:
    assert await ground.value("SELECT brake_release($1, 'all', '-', '', 'Ana')", ground.platform) is not None


async def test_a_brake_holds_repeats_as_well(ground: Ground) -> None:
    """What nobody answered may be on its way; the same again would still be money that leaves while money is stopped."""
    _, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    await _brake(ground)
    for _ in range(2):
        await ground.advance(operation)
    assert len(ground.first.sent) == 1
    assert (await ground.operation(operation))["state"] == "SENT"
    await _release(ground)
    await ground.advance(operation)
    assert (len(ground.first.sent), len(set(ground.first.sent))) == (2, 1)
    assert ground.first.total == PRICE


async def test_what_arrived_without_an_answer_is_found_under_a_brake(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [LOST]
    await ground.advance(operation)
    await _brake(ground, "rail", "first")
    await ground.advance(operation)
    assert len(ground.first.sent) == 1
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_a_brake_does_not_make_a_key_hold_longer(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    await _brake(ground)
    await ground.pass_time(DAY + HOUR)
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "NEEDS_REVIEW"


@pytest.mark.parametrize(("scope", "ref"), [("all", ""), ("action", "refund"), ("rail", "first")])
async def test_a_brake_lets_nothing_new_out(ground: Ground, scope: str, ref: str) -> None:
    _, operation = await ground.refund()
    await ground.pool.execute(
        "INSERT INTO brake (platform_id, scope, ref, reason, actor, created_at) VALUES ($1, $2, $3, 'look', 'Ana', app_now())",
        ground.platform,
        scope,
        ref,
    )
    await ground.advance(operation)
    assert ground.first.sent == []
    await ground.pool.execute("DELETE FROM brake WHERE platform_id = $1", ground.platform)
    await ground.advance(operation)
    assert ground.first.total == PRICE
