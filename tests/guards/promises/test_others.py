"""What others do to a payment while our refund of it waits: nothing goes out on top of what they gave back, however far it had come."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from service.model import Money
from service.ports import RefundSeen, Unavailable
from tests.guards.ground import PRICE, SILENT, Ground, Order, failed

AWAY = Unavailable("connection refused", never_sent=True)
CLOSED = "expired_or_canceled_card"


async def _takes(ground: Ground, order: Order, minor: int = 1) -> None:
    """Somebody has given so much back in the dashboard, and we were told."""
    document = {"rail": "first", "payment_ref": order.refs[0], "provider_ref": f"re_{order.refs[0]}", "state": "SUCCEEDED"}
    told = {"amount": minor, "currency": "EUR", "source": "first"}
    assert (await ground.store.refund_news(document | told))["status"] == "elsewhere"


async def _stands(ground: Ground, operation: UUID, hold: str) -> None:
    row = await ground.operation(operation)
    assert (row["state"], row["holds"], row["approvals_needed"]) == ("HELD", [hold], 1)


async def _out_of_reach_and_chosen(ground: Ground) -> tuple[Order, UUID]:
    """The first rail never got the request, and the customer has chosen another way."""
    order, operation = await ground.refund()
    ground.first.answers = [AWAY, AWAY]
    await ground.advance(operation)
    await ground.pool.execute("UPDATE operation SET choice_offered_at = app_now() WHERE id = $1", operation)
    assert await ground.choose(operation) == "chosen"
    return order, operation


# --------------------------------------------------------------------------------------------- what others gave back


async def test_a_refund_that_has_not_left_does_not_go_on_top_of_what_others_gave_back(ground: Ground) -> None:
    order, operation = await ground.refund()
    await _takes(ground, order)
    await ground.advance(operation)
    assert ground.first.sent == []
    await _stands(ground, operation, "excess")
    assert await ground.approve(operation, ground.agent, 1) == "excess"


async def test_a_rail_that_was_never_reached_is_not_tried_again_on_top_of_what_others_gave_back(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [AWAY]
    await ground.advance(operation)
    await _takes(ground, order)
    await ground.advance(operation)
    assert len(ground.first.sent) == 1
    await _stands(ground, operation, "excess")


async def test_what_may_have_left_is_followed_up_though_others_gave_back(ground: Ground) -> None:
    """To hold it would not undo it: it is looked for under its key, and the excess is a fact for people."""
    order, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    await _takes(ground, order)
    await ground.advance(operation)
    assert len(set(ground.first.sent)) == 1
    assert (await ground.operation(operation))["state"] == "DONE"
    assert await ground.facts(order, "excess") >= 1


async def test_the_other_rail_of_one_out_of_reach_does_not_pay_on_top_of_what_others_gave_back(ground: Ground) -> None:
    order, operation = await _out_of_reach_and_chosen(ground)
    await _takes(ground, order)
    await ground.advance(operation)
    assert ground.second.sent == []
    await _stands(ground, operation, "excess")


async def test_what_is_first_seen_when_the_payment_is_read_keeps_the_other_rail_from_paying(ground: Ground) -> None:
    """The reading itself tells of it, so that the payment is clean by our books, and has no room any more."""
    order, operation = await _out_of_reach_and_chosen(ground)
    seen = RefundSeen(provider_ref="re_dashboard", state="SUCCEEDED", amount=Money(minor=PRICE, currency="EUR"))
    ground.first.paid["dashboard"] = seen
    await ground.advance(operation)
    assert ground.second.sent == []
    assert await ground.payment(order) == (PRICE, 0, PRICE)
    await _stands(ground, operation, "excess")


# --------------------------------------------------------------------------------------------------- sent by hand


async def _settle(ground: Ground, operation: UUID) -> str:
    answer = await ground.value("SELECT operation_settle($1, $2, 'Ana', 'bank 17', current_date)", ground.platform, operation)
    return str(answer["status"])


async def _by_hand(ground: Ground) -> tuple[Order, UUID]:
    """It waits for people who send it outside, and all who have to agree have agreed."""
    order, operation = await ground.refund()
    ground.first.answers = [failed(CLOSED)]
    await ground.advance(operation)
    assert await ground.choose(operation, None, approvals=1) == "held"
    assert await ground.approve(operation, ground.agent, 1) == "approved"
    return order, operation


async def test_money_sent_by_hand_is_not_written_down_on_top_of_what_others_gave_back(ground: Ground) -> None:
    order, operation = await _by_hand(ground)
    await _takes(ground, order)
    assert await _settle(ground, operation) == "excess"
    assert await ground.payment(order) == (PRICE, 0, 1)
    assert await ground.attempts(operation) == [("first", "FAILED")]


async def test_money_is_not_sent_by_hand_while_the_bank_may_be_giving_it_back(ground: Ground) -> None:
    order, operation = await _by_hand(ground)
    await _disputes(ground, order, "open")
    assert await _settle(ground, operation) == "disputed"
    assert await ground.payment(order) == (PRICE, 0, 0)
    assert await ground.attempts(operation) == [("first", "FAILED")]
    await _disputes(ground, order, "won")
    assert await _settle(ground, operation) == "settled"


# ------------------------------------------------------------------------- a dispute that is first heard of as lost


async def _disputes(ground: Ground, order: Order, state: str, minor: int = PRICE) -> None:
    document = {"rail": "first", "payment_ref": order.refs[0], "ref": "dp_1", "state": state, "amount": minor, "currency": "EUR"}
    at: Any = await ground.value("SELECT app_now()")
    answer = await ground.value("SELECT dispute_news($1::jsonb)", document | {"at": at.isoformat()})
    assert answer == {"status": "applied"}


@pytest.mark.parametrize("came", ["ready", "held", "never reached", "asked where"])
async def test_a_dispute_told_as_lost_ends_what_has_not_left(ground: Ground, came: str) -> None:
    order = await ground.order()
    operation = await ground.award(order, hold=["amount"] if came == "held" else [], approvals=int(came == "held"))
    assert operation is not None
    if came in {"never reached", "asked where"}:
        ground.first.answers = [AWAY if came == "never reached" else failed(CLOSED)]
        await ground.advance(operation)
    sent = len(ground.first.sent)
    await _disputes(ground, order, "lost")
    row = await ground.operation(operation)
    assert (row["state"], row["due_at"]) == ("REFUSED", None)
    assert await ground.payment(order) == (0, 0, PRICE)
    assert await ground.facts(order, "excess") == 0
    await ground.operations.take(ground.platform, operation)
    assert len(ground.first.sent) == sent


async def test_a_worker_that_had_taken_it_up_when_the_dispute_was_told_as_lost_sends_nothing(ground: Ground) -> None:
    order, operation = await ground.refund()
    epoch = await ground.lease(operation)
    await _disputes(ground, order, "lost")
    assert (await ground.begin(operation, epoch))["status"] == "lost"


async def test_a_dispute_told_as_lost_leaves_what_may_have_left_to_be_found(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    await _disputes(ground, order, "lost")
    assert (await ground.operation(operation))["state"] == "SENT"
    assert await ground.payment(order) == (PRICE, 0, PRICE)


async def test_a_part_that_was_lost_leaves_the_refund_that_still_has_room(ground: Ground) -> None:
    order, operation = await ground.refund(PRICE - 500)
    await _disputes(ground, order, "lost", 500)
    assert (await ground.operation(operation))["state"] == "READY"
    await ground.advance(operation)
    assert await ground.payment(order) == (0, PRICE - 500, 500)
