"""The same partial refund asked for by two hundred clients at once: the money moves once, and everybody gets an answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from service.demo.world import Bought
from tests.promises.house import House, all_holds, figures, stream

CLIENTS = 200
SHARE = 694  # 25 of 90 minutes of 25.00


async def _after_an_outage(house: House, ref: str) -> Bought:
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    now = datetime.now(UTC)
    await house.shop.incident(show, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    return await house.shop.order(show, [stream(2500)])


async def _all_ask(house: House, order: Bought, keys: list[str]) -> list[httpx.Response]:
    body = {"problem": "stream_outage", "order": order.ref, "show": order.show, "channel": "widget"}
    return list(await asyncio.gather(*(house.post("/v1/cases", body, key=key) for key in keys)))


async def _settled(house: House, answers: list[httpx.Response]) -> list[Any]:
    ids = sorted({answer.json()["id"] for answer in answers})
    return [await house.until_case(one, lambda case: case["status"] != "working") for one in ids]


async def test_two_hundred_clients_with_one_key_move_the_money_once(house: House, ref: str) -> None:
    order = await _after_an_outage(house, ref)
    answers = await _all_ask(house, order, ["the-same"] * CLIENTS)
    assert set(Counter(answer.status_code for answer in answers)) <= {200, 201, 202}
    cases = await _settled(house, answers)
    assert [case["status"] for case in cases] == ["resolved"]
    line = await house.books.line(order.payments[0])
    assert (line.refunds, line.refunded_minor) == (1, SHARE)
    assert await house.value("SELECT count(*) FROM cases c JOIN orders o ON o.id = c.order_id WHERE o.ref = $1", order.ref) == 1
    await all_holds(house)


async def test_two_hundred_clients_with_keys_of_their_own_move_the_money_once(house: House, ref: str) -> None:
    order = await _after_an_outage(house, ref)
    answers = await _all_ask(house, order, [f"{ref}-{number}" for number in range(CLIENTS)])
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 202}
    cases = await _settled(house, answers)
    assert len(cases) == CLIENTS
    assert {case["status"] for case in cases} <= {"resolved"}
    assert all([one["amount"] for one in case["operations"] if one["action"] == "refund"] == [SHARE] for case in cases)
    line = await house.books.line(order.payments[0])
    assert (line.refunds, line.refunded_minor) == (1, SHARE)
    rows = await house.rows("SELECT c.state, c.joined_to, c.id FROM cases c JOIN orders o ON o.id = c.order_id WHERE o.ref = $1", order.ref)
    assert len(rows) == CLIENTS
    # Whoever came while the first was open joined it; whoever came later was shown what was done.
    assert {row["state"] for row in rows} <= {"joined", "resolved"}
    own = {row["id"] for row in rows if row["state"] == "resolved"}
    assert {row["joined_to"] for row in rows if row["state"] == "joined"} <= own
    contacts = await house.value("SELECT count(*) FROM contact WHERE case_id = ANY ($1)", list(own))
    assert contacts == CLIENTS
    await all_holds(house)
    figures(f"{CLIENTS} clients, keys of their own: answers {dict(statuses)}, {len(own)} cases, {CLIENTS - len(own)} joined, 1 refund")


async def test_everything_goes_on_when_postgresql_has_looked_at_its_tables_anew(house: House, ref: str) -> None:
    """Autovacuum does this by itself: what each connection keeps of tables and functions is then read anew."""
    for number in range(3):
        order = await _after_an_outage(house, f"{ref}-{number}")
        assert (await house.report("stream_outage", order))["status"] == "resolved"
        assert (await house.report("link_dead", order))["status"] in {"resolved", "with_people"}
        await house.pool.execute("ANALYZE")
    await all_holds(house)
