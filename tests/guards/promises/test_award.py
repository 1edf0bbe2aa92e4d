"""What is owed: no harm twice, no line beyond its price, no payment beyond what was captured, whoever decides at the same moment."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import pytest

from service.ports import Declined
from tests.guards.ground import AWARD, PRICE, Ground

SHARE = 694


def cap(most: int, slots: int) -> dict[str, object]:
    return {"kind": "rail_day", "ref": "first", "seconds": 86_400, "slots": slots, "most": most}


async def test_a_harm_is_paid_once_however_often_it_is_decided(ground: Ground) -> None:
    order = await ground.order()
    assert await ground.award(order, SHARE) is not None
    assert await ground.award(order, SHARE, seen=SHARE, case=await ground.case_of(order)) is None
    assert await ground.payment(order) == (SHARE, 0, 0)


async def test_a_larger_award_for_the_same_harm_adds_only_what_is_missing(ground: Ground) -> None:
    order = await ground.order()
    await ground.award(order, SHARE)
    await ground.award(order, SHARE + 100, seen=SHARE)
    assert await ground.payment(order) == (SHARE + 100, 0, 0)


async def test_several_harms_of_a_line_together_give_no_more_than_its_price(ground: Ground) -> None:
    order = await ground.order(payments=(2 * PRICE,))
    await ground.award(order, 2000)
    await ground.award(order, 1000, cause="incident:2", seen=2000)
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_a_payment_gives_no_more_than_is_left_of_it(ground: Ground) -> None:
    order = await ground.order()
    await ground.pool.execute("UPDATE payment SET refunded_elsewhere = 2000 WHERE order_id = $1", order.id)
    with pytest.raises(asyncpg.PostgresError, match="cannot bear it"):
        await ground.award(order, PRICE)
    assert await ground.payment(order) == (0, 0, 2000)


@pytest.mark.parametrize("gone", ["reserved", "refunded", "refunded_elsewhere"])
async def test_what_is_gone_of_one_payment_is_taken_from_the_next(ground: Ground, gone: str) -> None:
    order = await ground.order(payments=(PRICE, PRICE))
    await ground.pool.execute(f"UPDATE payment SET {gone} = 2000 WHERE id = $1", order.payments[0])
    await ground.award(order, PRICE)
    assert sum(await ground.payment(order)) == PRICE
    assert await ground.payment(order, 1) == (2000, 0, 0)
    assert await ground.value("SELECT sum(amount) FROM operation WHERE payment_id = $1", order.payments[0]) == PRICE - 2000


async def test_two_decisions_at_the_same_moment_pay_a_harm_once(ground: Ground) -> None:
    """The harm was refused before, so that both find it; the payment could bear it twice."""
    order = await ground.order(payments=(2 * PRICE,))
    payment = order.payments[0]
    refused = await ground.award(order, PRICE, payment=payment, cause="duplicate_charge")
    assert refused is not None
    ground.first.answers = [Declined("not_found")]
    await ground.advance(refused)
    arguments = [
        ground.award_arguments(order, PRICE, uuid4(), payment=payment, cause="duplicate_charge", case=await ground.case_of(order))
        for _ in range(2)
    ]
    async with ground.pool.acquire() as one, ground.pool.acquire() as other:
        begun = one.transaction()
        await begun.start()
        assert await one.fetchval(AWARD, *arguments[0]) == 1
        waiting = await ground.starts_to_wait(other, other.fetchval(AWARD, *arguments[1]))
        await begun.commit()
        assert await waiting == 0
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_two_decisions_at_the_same_moment_take_what_is_left_of_a_payment_once(ground: Ground) -> None:
    """They are about different harms, so that nothing but the payment stands between them."""
    order = await ground.order()
    payment = order.payments[0]
    arguments = [
        ground.award_arguments(order, PRICE, uuid4(), payment=payment, cause=cause, case=await ground.case_of(order))
        for cause in ("duplicate_charge", "no_pass")
    ]
    async with ground.pool.acquire() as one, ground.pool.acquire() as other:
        begun = one.transaction()
        await begun.start()
        assert await one.fetchval(AWARD, *arguments[0]) == 1
        waiting = await ground.starts_to_wait(other, other.fetchval(AWARD, *arguments[1]))
        await begun.commit()
        with pytest.raises(asyncpg.PostgresError, match="cannot bear it"):
            await waiting
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_what_was_promised_since_the_facts_were_read_makes_it_decide_again(ground: Ground) -> None:
    order = await ground.order()
    await ground.award(order, SHARE)
    with pytest.raises(asyncpg.PostgresError, match="awarded meanwhile"):
        await ground.award(order, SHARE, cause="incident:2", seen=0)


async def test_nothing_is_promised_while_a_bank_may_be_giving_it_back(ground: Ground) -> None:
    order = await ground.order()
    await ground.pool.execute("UPDATE payment SET dispute = 'open' WHERE order_id = $1", order.id)
    with pytest.raises(asyncpg.PostgresError, match="a dispute was opened"):
        await ground.award(order)
    assert await ground.payment(order) == (0, 0, 0)


# -------------------------------------------------------------------------------------------------------------- caps


@pytest.mark.parametrize("slots", [1, 16])
async def test_a_cap_holds_what_would_pass_it(ground: Ground, slots: int) -> None:
    await ground.start_of_a_day()
    states = []
    for _ in range(2):
        operation = await ground.award(await ground.order(), PRICE, caps=[cap(4000, slots)])
        assert operation is not None
        row = await ground.operation(operation)
        states.append((row["state"], row["holds"]))
    assert states == [("READY", []), ("HELD", ["cap_rail_day"])]
    assert await ground.value("SELECT sum(used) FROM cap_use WHERE platform_id = $1", ground.platform) == PRICE


async def test_an_order_in_small_parts_is_no_smaller(ground: Ground) -> None:
    order = await ground.order()
    limits = {"auto": 1000, "second": 2000}
    held = []
    for number, amount in enumerate((900, 900, 600)):
        operation = await ground.award(order, amount, cause=f"incident:{number}", seen=900 * number, limits=limits)
        assert operation is not None
        row = await ground.operation(operation)
        held.append((row["state"], row["approvals_needed"]))
    assert held == [("READY", 0), ("HELD", 1), ("HELD", 1)]


# ----------------------------------------------------------------------------------------- what came of it, and access


async def test_a_refused_refund_gives_everything_back_and_can_be_decided_anew(ground: Ground) -> None:
    order, operation = await ground.refund()
    ground.first.answers = [Declined("not_found")]
    await ground.advance(operation)
    assert await ground.payment(order) == (0, 0, 0)
    again = await ground.award(order, case=await ground.case_of(order))
    assert again is not None
    await ground.advance(again)
    assert await ground.payment(order) == (0, PRICE, 0)
    assert ground.first.total == PRICE


async def test_a_refund_that_arrived_counts_as_refunded_and_is_reserved_no_more(ground: Ground) -> None:
    order, operation = await ground.refund()
    await ground.advance(operation)
    assert await ground.payment(order) == (0, PRICE, 0)


async def _token(ground: Ground, pass_: UUID) -> None:
    await ground.pool.execute(
        "WITH s AS (INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status)"
        " VALUES ($1, gen_random_uuid(), 's', 1, '{}', 'UTC', app_now(), app_now() + interval '1 hour', 'scheduled') RETURNING id)"
        " INSERT INTO access_token (platform_id, jti, pass_id, show_id, state, issued_at, expires_at)"
        " SELECT $1, gen_random_uuid(), $2, id, 'active', app_now(), app_now() + interval '1 hour' FROM s",
        ground.platform,
        pass_,
    )


async def _access(ground: Ground, pass_: UUID) -> tuple[str, str]:
    row = await ground.row("SELECT t.state, p.status FROM access_token t JOIN pass p ON p.id = t.pass_id WHERE p.id = $1", pass_)
    return row["state"], row["status"]


async def test_what_is_promised_back_in_full_does_not_admit_meanwhile(ground: Ground) -> None:
    order = await ground.order()
    await _token(ground, order.passes)
    await ground.award(order)
    assert await _access(ground, order.passes) == ("suspended", "valid")


async def test_what_the_processor_took_on_in_full_admits_nobody_any_more(ground: Ground) -> None:
    order = await ground.order()
    await _token(ground, order.passes)
    operation = await ground.award(order)
    assert operation is not None
    epoch = await ground.lease(operation)
    begun = await ground.begin(operation, epoch)
    await ground.record(operation, epoch, begun, result="ANSWERED", attempt_state="ACCEPTED", state="SENT", provider_ref="re_1")
    assert await _access(ground, order.passes) == ("revoked", "void")


async def test_a_part_of_the_price_leaves_access_alone(ground: Ground) -> None:
    order = await ground.order()
    await _token(ground, order.passes)
    operation = await ground.award(order, SHARE)
    assert operation is not None
    await ground.advance(operation)
    assert await _access(ground, order.passes) == ("active", "valid")
