"""The 420 real orders: all in, with states and money right, compared with a plain reading of the JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from service.store.pool import Pool
from tests.orders.loading import EXPONENTS, SHOWS, everything_of, load_pretix, new_platform, orders_of, raw_event, raw_orders, shows_of

STATES = {"p": "paid", "n": "pending", "e": "expired", "c": "cancelled"}
COUNTED = ("created", "transit", "done")


@pytest.fixture(scope="module")
async def platform(pool: Pool) -> UUID:
    platform = await new_platform(pool)
    counts = await load_pretix(pool, platform)
    assert counts == {"created": 420}
    return platform


def minor(text: str, currency: str) -> int:
    whole, _, decimals = text.partition(".")
    digits = EXPONENTS[currency]
    assert set(decimals[digits:]) <= {"0"}
    return int(whole + decimals[:digits].ljust(digits, "0"))


def refunded(order: dict[str, Any], local_id: int) -> Decimal:
    return sum((Decimal(one["amount"]) for one in order["refunds"] if one["payment"] == local_id and one["state"] in COUNTED), Decimal(0))


def sums(order: dict[str, Any]) -> dict[str, Decimal]:
    """What one order adds to the totals of its show and state, straight from the JSON."""
    paid = [one for one in order["payments"] if one["state"] == "confirmed"]
    return {
        "total": Decimal(order["total"]),
        "prices": sum((Decimal(one["price"]) for one in order["positions"]), Decimal(0)),
        "standing": sum((Decimal(one["price"]) for one in order["positions"] if not one["canceled"]), Decimal(0)),
        "taxes": sum((Decimal(one["tax_value"]) for one in [*order["positions"], *order["fees"]]), Decimal(0)),
        "fees": sum((Decimal(one["value"]) for one in order["fees"]), Decimal(0)),
        "captured": sum((Decimal(one["amount"]) for one in paid), Decimal(0)),
        "elsewhere": sum((refunded(order, one["local_id"]) for one in order["payments"]), Decimal(0)),
    }


LINES = """
SELECT o.status, sum(l.price) FILTER (WHERE l.type = 'position') AS prices,
    sum(l.price) FILTER (WHERE l.type = 'position' AND NOT l.canceled) AS standing,
    sum(l.tax) AS taxes, coalesce(sum(l.price) FILTER (WHERE l.type = 'fee'), 0) AS fees
FROM orders o JOIN line l ON l.platform_id = o.platform_id AND l.order_id = o.id
WHERE o.platform_id = $1 AND o.ref = ANY ($2) GROUP BY o.status
"""
MONEY = """
SELECT o.status, sum(y.captured) AS captured, sum(y.refunded_elsewhere) AS elsewhere
FROM orders o JOIN payment y ON y.platform_id = o.platform_id AND y.order_id = o.id
WHERE o.platform_id = $1 AND o.ref = ANY ($2) GROUP BY o.status
"""
ORDERS = "SELECT status, count(*) AS number, sum(total) AS total FROM orders WHERE platform_id = $1 AND ref = ANY ($2) GROUP BY status"


@pytest.mark.parametrize("show", SHOWS)
async def test_every_order_is_there_with_its_state_and_exact_money(pool: Pool, platform: UUID, show: str) -> None:
    currency = raw_event(show)["currency"]
    expected: dict[str, Counter[str]] = {}
    for order in raw_orders(show):
        state = expected.setdefault(STATES[order["status"]], Counter())
        state["number"] += 1
        for name, amount in sums(order).items():
            state[name] += minor(str(amount), currency)

    refs = [order["code"] for order in raw_orders(show)]
    found: dict[str, Counter[str]] = {}
    for statement in (ORDERS, LINES, MONEY):
        for row in await pool.fetch(statement, platform, refs):
            found.setdefault(row["status"], Counter()).update({name: int(row[name]) for name in row.keys() if name != "status"})  # noqa: SIM118 - a record iterates over its values

    assert found == expected


async def one(pool: Pool, platform: UUID, show: str, matching: Callable[[dict[str, Any]], bool]) -> tuple[dict[str, Any], Any]:
    raw = next(order for order in raw_orders(show) if matching(order))
    return raw, await orders_of(pool).get(platform, raw["code"])


def confirmed(order: dict[str, Any]) -> list[dict[str, Any]]:
    return [payment for payment in order["payments"] if payment["state"] == "confirmed"]


async def test_an_order_paid_twice_keeps_both_charges(pool: Pool, platform: UUID) -> None:
    _, order = await one(
        pool, platform, "nll26", lambda o: len(confirmed(o)) == 2 and all(payment["amount"] == o["total"] for payment in confirmed(o))
    )
    assert [payment.captured for payment in order.payments if payment.captured] == [order.total, order.total]


async def test_an_order_paid_in_two_parts_adds_up(pool: Pool, platform: UUID) -> None:
    raw, order = await one(pool, platform, "kyoto26", lambda o: len(confirmed(o)) == 2)
    assert sum(payment.captured for payment in order.payments) == order.total == int(Decimal(raw["total"]))
    assert all(0 < payment.captured < order.total for payment in order.payments)


@pytest.mark.parametrize("state", ["done", "created", "transit"])
async def test_a_refund_made_elsewhere_counts_from_the_day_it_was_created(pool: Pool, platform: UUID, state: str) -> None:
    raw, order = await one(pool, platform, "nll26", lambda o: [refund["state"] for refund in o["refunds"]] == [state])
    counted = sum(payment.refunded_elsewhere for payment in order.payments)
    assert counted == minor(raw["refunds"][0]["amount"], "EUR") > 0


async def test_a_refund_that_failed_does_not_count_and_is_remembered(pool: Pool, platform: UUID) -> None:
    raw, order = await one(pool, platform, "gulf26", lambda o: [refund["state"] for refund in o["refunds"]] == ["failed"])
    assert sum(payment.refunded_elsewhere for payment in order.payments) == 0
    kept = await pool.fetch(
        "SELECT state, amount FROM refund_elsewhere WHERE platform_id = $1 AND payment_id = ANY ($2)", platform, ids(order)
    )
    assert [tuple(row) for row in kept] == [("failed", minor(raw["refunds"][0]["amount"], "KWD"))]


def ids(order: Any) -> list[UUID]:
    return [UUID(payment.id.removeprefix("pay_")) for payment in order.payments]


async def test_failed_pending_and_cancelled_payments_captured_nothing(pool: Pool, platform: UUID) -> None:
    rows = await pool.fetch(
        "SELECT status, count(*) AS number, sum(captured) AS sum FROM payment WHERE platform_id = $1 GROUP BY status", platform
    )
    states = Counter(payment["state"] for show in SHOWS for order in raw_orders(show) for payment in order["payments"])
    assert {row["status"]: row["number"] for row in rows} == {
        "confirmed": states["confirmed"],
        "failed": states["failed"],
        "cancelled": states["canceled"],
        "pending": states["pending"] + states["created"],
    }
    assert all(row["sum"] == 0 for row in rows if row["status"] != "confirmed")


async def test_money_that_came_by_transfer_or_cash_has_no_rail(pool: Pool, platform: UUID) -> None:
    rows = await pool.fetch("SELECT rail, count(*) AS number FROM payment WHERE platform_id = $1 GROUP BY rail", platform)
    providers = Counter(payment["provider"] for show in SHOWS for order in raw_orders(show) for payment in order["payments"])
    assert {row["rail"]: row["number"] for row in rows} == {
        "stripe": providers["stripe"],
        None: providers["banktransfer"] + providers["manual"],
    }


async def test_only_tickets_of_orders_that_stand_admit_anybody(pool: Pool, platform: UUID) -> None:
    admits = {11, 12, 14, 15, 16, 18, 19, 20, 21}
    tickets = [
        (order, position) for show in SHOWS for order in raw_orders(show) for position in order["positions"] if position["item"] in admits
    ]
    valid = sum(1 for order, position in tickets if order["status"] == "p" and not position["canceled"])
    rows = await pool.fetch("SELECT status, count(*) AS number FROM pass WHERE platform_id = $1 GROUP BY status", platform)
    assert {row["status"]: row["number"] for row in rows} == {"valid": valid, "void": len(tickets) - valid}


async def test_a_scanned_ticket_is_checked_in_and_a_collected_shirt_is_not_a_ticket(pool: Pool, platform: UUID) -> None:
    scanned = {
        (order["code"], str(position["positionid"])): position["checkins"][0]["datetime"]
        for order in raw_orders("nll26")
        for position in order["positions"]
        if position["checkins"] and position["item"] != 13
    }
    rows = await pool.fetch(
        "SELECT o.ref AS code, l.ref, p.checked_in_at FROM pass p JOIN line l ON l.platform_id = p.platform_id AND l.id = p.line_id "
        "JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id WHERE p.platform_id = $1 AND p.checked_in_at IS NOT NULL",
        platform,
    )
    assert {(row["code"], row["ref"]): row["checked_in_at"] for row in rows} == {
        key: datetime.fromisoformat(time) for key, time in scanned.items()
    }


async def test_a_cancelled_position_stays_with_its_price_and_admits_nobody(pool: Pool, platform: UUID) -> None:
    raw, order = await one(
        pool, platform, "clock26", lambda o: any(position["canceled"] and position["item"] == 20 for position in o["positions"])
    )
    canceled = next(position for position in raw["positions"] if position["canceled"])
    line = next(line for line in order.lines if line.ref == str(canceled["positionid"]))
    assert (line.canceled, line.price, [one.status for one in line.passes]) == (True, minor(canceled["price"], "EUR"), ["void"])


async def test_a_voucher_shows_as_what_it_saved(pool: Pool, platform: UUID) -> None:
    _, order = await one(pool, platform, "kyoto26", lambda o: o["code"] == "EQAST")
    assert [(line.price, line.discount, line.tax) for line in order.lines][:2] == [(7840, 1960, 713), (9800, 0, 891)]


async def test_a_gift_is_held_by_somebody_else_than_the_buyer(pool: Pool, platform: UUID) -> None:
    gifts = sum(
        1
        for show in SHOWS
        for order in raw_orders(show)
        for position in order["positions"]
        if (position["attendee_email"] or position["attendee_name"])
        and position["attendee_email"] != order["email"]
        and not (position["attendee_email"] is None and position["attendee_name"] == own_name(order))
    )
    held = (
        "SELECT count(*) FROM line l JOIN orders o ON o.platform_id = l.platform_id AND o.id = l.order_id "
        "WHERE l.platform_id = $1 AND l.type = 'position' AND l.holder_id <> o.buyer_id"
    )
    assert await pool.fetchval(held, platform) == gifts > 100
    assert await pool.fetchval("SELECT count(*) FROM person WHERE platform_id = $1", platform) == 420 + gifts


def own_name(order: dict[str, Any]) -> str | None:
    return next((position["attendee_name"] for position in order["positions"] if position["attendee_email"] == order["email"]), None)


async def test_a_group_of_six_is_one_order(pool: Pool, platform: UUID) -> None:
    raw, order = await one(pool, platform, "gulf26", lambda o: len(o["positions"]) == 6)
    assert len([line for line in order.lines if line.kind != "fee"]) == 6
    assert {line.ref for line in order.lines if line.kind != "fee"} == {str(position["positionid"]) for position in raw["positions"]}


async def test_fees_are_lines_that_the_mapping_calls_refundable_or_kept(pool: Pool, platform: UUID) -> None:
    rows = await pool.fetch(
        "SELECT refundable, count(*) AS number FROM line WHERE platform_id = $1 AND type = 'fee' GROUP BY refundable", platform
    )
    kinds = Counter(fee["fee_type"] for show in SHOWS for order in raw_orders(show) for fee in order["fees"])
    assert {row["refundable"]: row["number"] for row in rows} == {True: kinds["service"], False: kinds["payment"]}


async def test_a_show_across_the_end_of_summer_time_lasts_as_long_as_it_lasts(pool: Pool, platform: UUID) -> None:
    show = await shows_of(pool).get(platform, "clock26")
    assert show is not None
    assert (show.zone, show.minutes) == ("Europe/Berlin", 240)
    assert (show.starts_at, show.ends_at) == (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), datetime(2026, 10, 25, 2, 30, tzinfo=UTC))


async def test_names_and_addresses_stand_in_person_and_nowhere_else(pool: Pool, platform: UUID) -> None:
    rows = await everything_of(pool, platform)
    text = str({table: found for table, found in rows.items() if table != "person"})
    assert "example.org" not in text
    assert "Lovelace" not in text
    assert "Lovelace" in str(rows["person"])


async def test_importing_again_changes_nothing(pool: Pool) -> None:
    platform = await new_platform(pool)
    await load_pretix(pool, platform)
    before = await everything_of(pool, platform)
    assert await load_pretix(pool, platform) == {"unchanged": 420}
    assert await everything_of(pool, platform) == before
