"""A rail that was taken out of the settings while refunds were on it: people hear of it once, and nobody guesses that it never paid."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.model import Money
from service.ports import RefundSeen
from tests.guards.ground import PRICE, SILENT, Ground, Order, failed

HOURS = timedelta(hours=2)
ACCEPTED = RefundSeen(provider_ref="re_1", state="ACCEPTED", amount=Money(minor=PRICE, currency="EUR"))


async def _told(ground: Ground, order: Order) -> tuple[int, int]:
    """How often people were called, and how many cases wait for them."""
    waiting: int = await ground.value("SELECT count(*) FROM cases WHERE order_id = $1 AND owner = 'queue' AND skill = 'payments'", order.id)
    return await ground.facts(order, "refund_rail_gone"), waiting


async def test_a_refund_that_a_gone_rail_had_accepted_is_for_people_until_the_rail_is_back(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [ACCEPTED]
    await ground.advance(operation)
    ground.has(ground.second)
    for _ in range(2):
        await ground.advance(operation)
        await ground.pass_time(HOURS)
    assert await _told(ground, order) == (1, 1)
    assert await ground.attempts(operation) == [("first", "ACCEPTED")]
    assert await ground.payment(order) == (PRICE, 0, 0)
    ground.has(ground.first, ground.second)
    ground.first.listed_as = RefundSeen(provider_ref="re_1", state="SUCCEEDED", amount=ACCEPTED.amount)
    await ground.advance(operation)
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_another_rail_does_not_take_over_from_one_that_is_gone_and_cannot_be_read(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    assert await ground.choose(operation) == "chosen"
    ground.has(ground.second)
    for _ in range(2):
        await ground.advance(operation)
        await ground.pass_time(HOURS)
    assert ground.second.sent == []
    assert await _told(ground, order) == (1, 1)
    ground.has(ground.first, ground.second)
    ground.first.listed_as = failed("expired_or_canceled_card")
    await ground.advance(operation)
    assert (ground.first.total, ground.second.total) == (0, PRICE)


@pytest.mark.parametrize("sent", [True, False])
async def test_what_a_gone_rail_was_to_pay_is_for_people_and_keeps_what_it_reserved(ground: Ground, *, sent: bool) -> None:
    order, operation = await ground.refund()
    if sent:
        ground.first.answers = [SILENT]
        await ground.advance(operation)
    ground.has(ground.second)
    await ground.advance(operation)
    assert (await ground.operation(operation))["state"] == "NEEDS_REVIEW"
    assert await ground.payment(order) == (PRICE, 0, 0)
    assert ground.second.sent == []
    assert (await _told(ground, order))[1] == 1
