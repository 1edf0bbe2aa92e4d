"""Customers who report an outage while it runs wait, are never queued, and are each paid their own share when it ends."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from service.demo.world import Bought, Item
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import FULL, House, all_holds, figures, stream, until

CASES: Final = 5000 if FULL else 60
# Prices differ, so that a share paid to the wrong order shows.
PRICES: Final = (1000, 1999, 2500, 4700, 12345)
SHIRT: Final = Item(kind="merchandise", name="T-shirt", price=3000)


async def _now(house: House) -> datetime:
    """As the installation has it: tests before this one may have let time pass."""
    ahead: timedelta = await house.value("SELECT ahead FROM app_clock")
    return datetime.now(UTC) + ahead


async def _live(house: House, ref: str, *, since: timedelta = timedelta(minutes=60)) -> str:
    return await house.shop.show(ref, starts_in=await _now(house) - datetime.now(UTC) - since)


async def _counts(house: House, show: str) -> Counter[tuple[str, str | None]]:
    rows = await house.rows(
        "SELECT c.state, c.owner, count(*) AS n FROM cases c JOIN show s ON s.id = c.show_id WHERE s.ref = $1 GROUP BY 1, 2", show
    )
    return Counter({(row["state"], row["owner"]): row["n"] for row in rows})


async def test_everybody_who_waited_out_the_outage_is_paid_their_share(house: House, ref: str) -> None:
    now = await _now(house)
    show = await _live(house, ref)
    await house.shop.incident(show, "out1", now - timedelta(minutes=40))
    places = asyncio.Semaphore(32)

    async def buys_and_reports(number: int) -> tuple[Bought, Any]:
        async with places:
            price = PRICES[number % len(PRICES)]
            order = await house.shop.order(show, [stream(price), SHIRT] if number % 2 else [stream(price)])
            return order, await house.report("stream_outage", order)

    began = time.monotonic()
    reported = await asyncio.gather(*(buys_and_reports(number) for number in range(CASES)))
    opened = time.monotonic() - began
    assert Counter(case["status"] for _, case in reported) == {"waiting": CASES}
    assert await _counts(house, show) == {("open", "timer"): CASES}
    assert {line.refunds for line in await house.books.ledger() if line.payment_ref in {o.payments[0] for o, _ in reported}} == {0}

    began = time.monotonic()
    await house.shop.incident(show, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    queued: list[int] = []

    async def look() -> Counter[tuple[str, str | None]]:
        counts = await _counts(house, show)
        queued.append(counts["open", "queue"] + counts["open", "agent"])
        return counts

    await until(look, lambda counts: counts == {("resolved", None): CASES}, seconds_max=5 * PATIENCE_SECONDS)
    settled = time.monotonic() - began
    assert max(queued) == 0
    ledger = {line.payment_ref: line for line in await house.books.ledger()}
    for number, (order, _) in enumerate(reported):
        line = ledger[order.payments[0]]
        assert (line.refunds, line.refunded_minor) == (1, PRICES[number % len(PRICES)] * 25 // 90)
    await all_holds(house)
    figures(f"{CASES} orders and cases in {opened:.1f} s, none queued; the outage ended: all paid {settled:.1f} s later, {CASES} refunds")


async def test_who_reports_before_anybody_knows_of_the_outage_waits_for_it_too(house: House, ref: str) -> None:
    show = await _live(house, ref)
    order = await house.shop.order(show, [stream()])
    case = await house.report("stream_outage", order)
    assert (case["status"], case["wait"]["waiting_for"]) == ("waiting", "incident_end")
    # The operators find it, minutes later; it goes on for longer than the first patience was meant for.
    began = await _now(house) - timedelta(minutes=30)
    await house.shop.incident(show, "out1", began)
    await house.until_case(case["id"], lambda found: [one["rule"] for one in found["answers"]] == ["refund/outage-running"])
    await house.pass_time(timedelta(minutes=30))
    look = await house.value("SELECT app_now()")
    assert (await house.case(case["id"]))["status"] == "waiting"
    assert (await house.case_row(case["id"]))["due_at"] > look
    await house.shop.incident(show, "out1", began, began + timedelta(minutes=25))
    case = await house.until_case(case["id"], lambda found: found["status"] not in {"waiting", "working"})
    assert case["status"] == "resolved"
    assert (await house.books.line(order.payments[0])).refunded_minor == 694
    await all_holds(house)


async def test_who_reports_an_outage_that_nobody_else_sees_reaches_a_person_after_ten_minutes(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=await _now(house) - datetime.now(UTC) + timedelta(minutes=30), minutes=600)
    order = await house.shop.order(show, [stream()])
    await house.pass_time(timedelta(hours=2))
    case = await house.report("stream_outage", order)
    assert case["status"] == "waiting"
    await house.pass_time(timedelta(minutes=11))
    case = await house.until_case(case["id"], lambda found: found["status"] not in {"waiting", "working"})
    assert case["status"] == "with_people"


async def test_an_outage_whose_end_is_announced_is_paid_when_that_time_has_come(house: House, ref: str) -> None:
    now = await _now(house)
    show = await _live(house, ref, since=timedelta(minutes=30))
    await house.shop.incident(show, "out1", now - timedelta(minutes=20), now + timedelta(minutes=10))
    order = await house.shop.order(show, [stream()])
    case = await house.report("stream_outage", order)
    assert case["status"] == "waiting"
    await house.pass_time(timedelta(minutes=11))
    case = await house.until_case(case["id"], lambda found: found["status"] not in {"waiting", "working"})
    assert (case["status"], (await house.books.line(order.payments[0])).refunded_minor) == ("resolved", 2500 * 30 // 90)
    await all_holds(house)


async def test_a_case_that_begins_to_wait_while_the_outage_ends_is_not_left_behind(house: House, ref: str) -> None:
    """Both at once, again and again: whoever is second sees the other."""
    show = await _live(house, ref)
    now = await _now(house)
    orders = [await house.shop.order(show, [stream()]) for _ in range(12)]
    for number, order in enumerate(orders):
        name = f"out{number}"
        since = now - timedelta(minutes=40)
        await house.shop.incident(show, name, since)
        case, _ = await asyncio.gather(
            house.report("stream_outage", order, incident=name), house.shop.incident(show, name, since, now - timedelta(minutes=15))
        )
        await house.until_case(case["id"], lambda found: found["status"] == "resolved")
    assert {(await house.books.line(order.payments[0])).refunded_minor for order in orders} == {694}
