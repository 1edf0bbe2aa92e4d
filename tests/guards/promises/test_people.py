"""What people may do with money that waits for them: two of them where two are needed, and nothing that may have left."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.guards.ground import PRICE, SILENT, Ground, Order, failed


async def _held(ground: Ground, needed: int = 2) -> tuple[Order, UUID]:
    order = await ground.order()
    operation = await ground.award(order, hold=["second_person"], approvals=needed)
    assert operation is not None
    return order, operation


async def _unknown_and_held(ground: Ground, *holds: str) -> tuple[Order, UUID]:
    """A request of it may have arrived, however it came to be held."""
    order, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    await ground.pool.execute("UPDATE operation SET state = 'HELD', holds = $2 WHERE id = $1", operation, list(holds))
    return order, operation


async def test_one_person_is_not_two(ground: Ground) -> None:
    _, operation = await _held(ground)
    assert [await ground.approve(operation, ground.agent) for _ in range(3)] == ["approved", "same_person", "same_person"]
    await ground.advance(operation)
    assert ground.first.sent == []
    assert await ground.approve(operation, await ground.person("Ben")) == "released"
    await ground.advance(operation)
    assert ground.first.total == PRICE


async def test_nobody_agrees_to_money_that_a_bank_may_be_giving_back(ground: Ground) -> None:
    order, operation = await _held(ground, 1)
    await ground.pool.execute("UPDATE payment SET dispute = 'open' WHERE order_id = $1", order.id)
    assert await ground.approve(operation, ground.agent, 1) == "disputed"
    assert (await ground.operation(operation))["state"] == "HELD"


async def test_what_may_have_left_cannot_be_refused(ground: Ground) -> None:
    order, operation = await _unknown_and_held(ground, "dispute")
    assert await ground.value("SELECT operation_refuse($1, $2, 'Ana', 'no')", ground.platform, operation) is False
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_a_no_gives_everything_back_once(ground: Ground) -> None:
    order, operation = await _held(ground)
    answers = [await ground.value("SELECT operation_refuse($1, $2, 'Ana', 'no')", ground.platform, operation) for _ in range(2)]
    assert answers == [True, False]
    assert await ground.payment(order) == (0, 0, 0)


async def _settle(ground: Ground, operation: UUID) -> str:
    answer = await ground.value("SELECT operation_settle($1, $2, 'Ana', 'bank 17', current_date)", ground.platform, operation)
    return str(answer["status"])


async def test_what_may_have_left_is_not_sent_by_hand_as_well(ground: Ground) -> None:
    order, operation = await _unknown_and_held(ground, "outside")
    assert await _settle(ground, operation) == "under_way"
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_money_sent_by_hand_waits_for_the_people_it_needs(ground: Ground) -> None:
    _, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    assert await ground.choose(operation, None, approvals=1) == "held"
    assert await _settle(ground, operation) == "needs_approval"
    assert await ground.approve(operation, ground.agent, 1) == "approved"
    assert await _settle(ground, operation) == "settled"
    assert (await ground.operation(operation))["state"] == "DONE"


@pytest.mark.parametrize("moved", [True, False])
async def test_people_judge_only_what_nobody_could_be_sure_of(ground: Ground, *, moved: bool) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    judged = await ground.value("SELECT operation_judge($1, $2, 'Ana', $3, 're_1')", ground.platform, operation, moved)
    assert judged["status"] == "not_in_review"
    assert await ground.payment(order) == (PRICE, 0, 0)


@pytest.mark.parametrize("moved", [True, False])
async def test_people_judge_what_has_no_attempt_either(ground: Ground, *, moved: bool) -> None:
    """A comparison with the processor's list made it unsure before anything of it was sent."""
    order, operation = await ground.refund()
    await ground.pool.execute("SELECT operation_unsure(o, 'refund_unsure', '{}', app_now()) FROM operation o WHERE id = $1", operation)
    judged = await ground.value(
        "SELECT operation_judge($1, $2, 'Ana', $3, $4)", ground.platform, operation, moved, "re_1" if moved else None
    )
    assert judged["status"] == "settled"
    assert await ground.attempts(operation) == [("first", "SUCCEEDED" if moved else "FAILED")]
    assert await ground.payment(order) == (0, PRICE if moved else 0, 0)
    assert (await ground.operation(operation))["ended_at"] is not None
    await ground.operations.take(ground.platform, operation)
    assert ground.first.sent == []
