"""Caps: what a refund took of them it gives back when it pays nothing, once, and only while the window runs."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import pytest

from service.ports import Declined
from tests.guards.ground import PRICE, Answer, Ground, Order, failed
from tests.promises.house import SUMS

SUMS_OF_CAPS: Final = [sql for name, sql in SUMS.items() if re.search(r"\bcap\b", name)]
DAY: Final = 86_400


def cap(kind: str, ref: str, most: int, *, slots: int = 16, rail: str | None = None, seconds: int = DAY) -> dict[str, object]:
    return {"kind": kind, "ref": ref, "seconds": seconds, "slots": slots, "most": most, "rail": rail}


def day_of(rail: str, most: int, slots: int = 16) -> dict[str, object]:
    return cap("rail_day", rail, most, slots=slots, rail=rail)


async def used(ground: Ground, kind: str = "rail_day", ref: str = "first") -> int:
    found: int = await ground.value(
        "SELECT coalesce(sum(used), 0)::bigint FROM cap_use WHERE platform_id = $1 AND kind = $2 AND ref = $3", ground.platform, kind, ref
    )
    return found


async def holds(ground: Ground) -> None:
    assert len(SUMS_OF_CAPS) == 2
    for sql in SUMS_OF_CAPS:
        assert await ground.pool.fetch(sql) == []


async def awarded(ground: Ground, caps: Sequence[dict[str, object]], amount: int = PRICE, **more: Any) -> tuple[Order, UUID]:
    order = await ground.order()
    operation = await ground.award(order, amount, caps=caps, **more)
    assert operation is not None
    return order, operation


async def state(ground: Ground, operation: UUID) -> str:
    return str((await ground.operation(operation))["state"])


# What a processor may say, so that a refund ends without having paid.
NO: Final[dict[str, tuple[Answer, str]]] = {
    "refused": (Declined("not_found"), "REFUSED"),
    "failed": (failed("merchant_request"), "FAILED"),
}


@pytest.mark.parametrize("slots", [1, 16])
@pytest.mark.parametrize("answer", NO)
async def test_what_a_refund_took_and_does_not_pay_is_free_for_the_next(ground: Ground, answer: str, slots: int) -> None:
    await ground.start_of_a_day()
    caps = [day_of("first", 4000, slots)]
    _, operation = await awarded(ground, caps)
    assert await used(ground) == PRICE
    said, ends = NO[answer]
    ground.first.answers = [said]
    await ground.advance(operation)
    assert (await state(ground, operation), await used(ground)) == (ends, 0)
    _, following = await awarded(ground, caps)
    assert (await state(ground, following), await used(ground)) == ("READY", PRICE)
    await holds(ground)


async def test_each_slot_gets_back_what_was_taken_of_it(ground: Ground) -> None:
    """Sixteen slots of 250: a refund of 25.00 takes of ten, and others have taken of the same."""
    await ground.start_of_a_day()
    caps = [day_of("first", 4000)]
    small = [await awarded(ground, caps, 100) for _ in range(5)]
    _, large = await awarded(ground, caps)
    assert await used(ground) == PRICE + 500
    ground.first.answers = [Declined("not_found")]
    await ground.advance(large)
    assert await used(ground) == 500
    for _, operation in small:
        ground.first.answers = [Declined("not_found")]
        await ground.advance(operation)
    assert await used(ground) == 0
    await holds(ground)


async def test_a_refund_that_came_back_after_it_had_arrived_gives_back_once(ground: Ground) -> None:
    await ground.start_of_a_day()
    caps = [day_of("first", 4000)]
    order, operation = await awarded(ground, caps)
    await ground.advance(operation)
    assert (await state(ground, operation), await used(ground)) == ("DONE", PRICE)
    ref = next(iter(ground.first.paid.values())).provider_ref
    for _ in range(2):
        await ground.news(order, operation, "FAILED", ref, failure="merchant_request")
    assert (await state(ground, operation), await used(ground)) == ("FAILED", 0)
    await holds(ground)


async def test_what_comes_back_and_is_sent_again_counts_once(ground: Ground) -> None:
    """The account was empty: the same refund waits, and keeps its place."""
    await ground.start_of_a_day()
    caps = [day_of("first", 4000)]
    order, operation = await awarded(ground, caps)
    await ground.advance(operation)
    ref = next(iter(ground.first.paid.values())).provider_ref
    await ground.news(order, operation, "FAILED", ref, failure="insufficient_funds")
    assert (await state(ground, operation), await used(ground)) == ("READY", PRICE)
    await holds(ground)


async def test_of_a_window_that_is_over_nothing_is_given_back(ground: Ground) -> None:
    await ground.start_of_a_day()
    _, operation = await awarded(ground, [day_of("first", 4000)])
    await ground.pass_time(timedelta(days=1))
    _, other = await awarded(ground, [day_of("first", 4000)])
    ground.first.answers = [Declined("not_found")]
    await ground.advance(operation)
    rows = await ground.pool.fetch(
        "SELECT sum(used)::bigint AS used FROM cap_use WHERE platform_id = $1 GROUP BY window_start ORDER BY window_start", ground.platform
    )
    assert [row["used"] for row in rows] == [PRICE, PRICE]
    assert await state(ground, other) == "READY"
    await holds(ground)


async def test_what_people_refuse_gives_back_and_what_they_agree_to_takes(ground: Ground) -> None:
    await ground.start_of_a_day()
    caps = [day_of("first", 4000)]
    _, operation = await awarded(ground, caps, hold=["mode"], approvals=1)
    assert await used(ground) == 0
    for _ in range(2):
        await ground.value(
            "SELECT operation_approve($1, $2, $3, 'Ana', 'right', 1, $4::jsonb)", ground.platform, operation, ground.agent, caps
        )
    assert (await state(ground, operation), await used(ground)) == ("READY", PRICE)
    # A dispute holds it again; a person's no then ends it.
    await ground.pool.execute("UPDATE operation SET state = 'HELD', holds = '{dispute}' WHERE id = $1", operation)
    for _ in range(2):
        await ground.value("SELECT operation_refuse($1, $2, 'Ana', 'no')", ground.platform, operation)
    assert (await state(ground, operation), await used(ground)) == ("REFUSED", 0)
    await holds(ground)


async def test_a_yes_to_what_holds_its_place_already_takes_no_second(ground: Ground) -> None:
    await ground.start_of_a_day()
    caps = [day_of("first", 4000)]
    _, operation = await awarded(ground, caps)
    await ground.pool.execute("UPDATE operation SET state = 'HELD', holds = '{dispute}' WHERE id = $1", operation)
    await ground.value("SELECT operation_approve($1, $2, $3, 'Ana', 'right', 1, $4::jsonb)", ground.platform, operation, ground.agent, caps)
    assert (await state(ground, operation), await used(ground)) == ("READY", PRICE)
    await holds(ground)


async def test_a_refund_that_goes_another_way_leaves_its_rails_day_and_is_its_customers_once(ground: Ground) -> None:
    await ground.start_of_a_day()
    caps = [cap("customer_day", "mia", 4000, slots=1), day_of("first", 4000)]
    _, operation = await awarded(ground, caps)
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    assert (await state(ground, operation), await used(ground)) == ("CHOICE_NEEDED", PRICE)
    await ground.choose(operation, caps=[day_of("second", 4000)])
    counted = [await used(ground), await used(ground, ref="second"), await used(ground, "customer_day", "mia")]
    assert (await state(ground, operation), counted) == ("READY", [0, PRICE, PRICE])
    await holds(ground)


async def test_a_cap_that_is_reached_leaves_the_others_as_they_were(ground: Ground) -> None:
    await ground.start_of_a_day()
    _, operation = await awarded(ground, [cap("customer_day", "mia", 4000, slots=1), day_of("first", 1000)])
    assert (await ground.operation(operation))["holds"] == ["cap_rail_day"]
    assert [await used(ground), await used(ground, "customer_day", "mia")] == [0, 0]
    await holds(ground)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_ends_how_at_the_same_moment_caps_hold_what_is_under_way_or_done(ground: Ground, seed: int) -> None:
    """Refunds of some customers by one rail for one show, six at once, each with an end of its own."""
    await ground.start_of_a_day()
    draw = random.Random(seed)  # noqa: S311 - no secret
    show = uuid4().hex
    ways = ["pays", "refused", "failed", "pays and comes back", "is refused by people", "stays"]

    async def one(number: int) -> None:
        way, amount = draw.choice(ways), draw.randrange(1, PRICE)
        caps = [
            cap("customer_day", f"customer {number % 3}", 12_000, slots=1),
            day_of("first", 40_000),
            cap("show_hour", show, 30_000, seconds=3600),
        ]
        order, operation = await awarded(ground, caps, amount)
        if await state(ground, operation) == "HELD" or way == "stays":
            return
        if way == "is refused by people":
            await ground.pool.execute("UPDATE operation SET state = 'HELD' WHERE id = $1", operation)
            await asyncio.gather(
                *(ground.value("SELECT operation_refuse($1, $2, 'Ana', 'no')", ground.platform, operation) for _ in range(2))
            )
            return
        await sends(order, operation, amount, way)

    async def sends(order: Order, operation: UUID, amount: int, way: str) -> None:
        epoch = await ground.lease(operation)
        begun = await ground.begin(operation, epoch)
        step = (
            {"attempt_state": "SUCCEEDED", "state": "DONE"} if way.startswith("pays") else {"attempt_state": "REJECTED", "state": "REFUSED"}
        )
        if way == "failed":
            step = {"attempt_state": "FAILED", "state": "FAILED", "failure": "merchant_request"}
        await ground.record(operation, epoch, begun, result="ANSWERED", provider_ref=f"re_{operation.hex}", **step)
        if way == "pays and comes back":
            back = {"failure": "merchant_request", "amount": amount}
            await asyncio.gather(*(ground.news(order, operation, "FAILED", f"re_{operation.hex}", **back) for _ in range(2)))

    places = asyncio.Semaphore(6)

    async def in_turn(number: int) -> None:
        async with places:
            for _ in range(4):
                try:
                    await one(number)
                    break
                except asyncpg.DeadlockDetectedError:
                    continue  # as the store does

    await asyncio.gather(*(in_turn(number) for number in range(36)))
    await holds(ground)
    living: int = await ground.value(
        "SELECT coalesce(sum(amount), 0)::bigint FROM operation WHERE platform_id = $1 AND state IN ('READY', 'SENT', 'DONE')",
        ground.platform,
    )
    assert living == await used(ground) == await used(ground, "show_hour", show) > 0
    assert {row["state"] for row in await ground.pool.fetch("SELECT state FROM operation WHERE platform_id = $1", ground.platform)} >= {
        "DONE",
        "REFUSED",
        "FAILED",
    }
