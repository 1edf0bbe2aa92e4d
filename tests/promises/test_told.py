"""A platform is told everything that happens, in order, in the transaction in which it happens, and can read it from any point on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest

from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought, Item
from service.event_feed import EventFeed
from service.events import TYPES, EventType, example_of, render
from service.model import WireId, wire
from service.store.outbox import OutboxStore
from tests.promises.house import House, stream

SHARE: Final = 694
_PAGE: Final = 500


async def _told(house: House, order: Bought) -> list[dict[str, Any]]:
    """What the platform was told of one order, read page by page over HTTP."""
    return [one for one in await _read_from(house, 0) if one["data"].get("order") == order.ref]


async def _read_from(house: House, after: int) -> list[dict[str, Any]]:
    """Everything from there on. A fact is placed once no older transaction of the whole server runs, those of other tests included."""
    await house.until(lambda: _unplaced(house), lambda left: left == 0)
    found: list[dict[str, Any]] = []
    while True:
        page = await house.get(f"/v1/events?after={after}&limit={_PAGE}")
        if not page["events"]:
            return found
        found += page["events"]
        after = page["next_after"]


async def _unplaced(house: House) -> int:
    await OutboxStore(house.pool).place(10_000)
    left: int = await house.value("SELECT count(*) FROM outbox WHERE position IS NULL")
    return left


async def _types(house: House, order: Bought) -> list[str]:
    return [one["type"] for one in await _told(house, order) if one["type"] != "order.changed"]


async def _bought(house: House, ref: str, *items: Item) -> Bought:
    """An order for a show whose stream was down for 25 of 90 minutes."""
    now = datetime.now(UTC)
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    return await house.shop.order(show, list(items) or [stream(2500)])


async def _token_of(house: House, order: Bought) -> None:
    pass_id = await house.value(
        "SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.platform_id = $1 AND o.ref = $2",
        house.desk.platform_id,
        order.ref,
    )
    answer = await house.post("/v1/access/tokens", {"pass_id": wire(WireId.PASS, pass_id), "show": order.show})
    assert answer.status_code == 200, answer.text


async def test_a_refund_is_told_from_its_promise_to_its_end_with_what_a_credit_note_needs(house: House, ref: str) -> None:
    order = await _bought(house, ref, stream(2500), Item(kind="merchandise", name="T-shirt", price=3000))
    await house.books.script(Script(fault=Fault.ACCEPTED, payment_ref=order.payments[0]))
    case = await house.report("stream_outage", order)
    (operation,) = await house.operations(case["id"])
    assert await house.books.settle(operation["attempts"][0]["provider_ref"])
    await house.pass_time(timedelta(minutes=11))
    await house.until_operation(case["id"], lambda one: one["state"] == "DONE")

    told = await _told(house, order)
    refunds = [one for one in told if one["type"].startswith("refund.")]
    assert [one["type"] for one in refunds] == ["refund.created", "refund.sent", "refund.succeeded"]
    for one in refunds:
        data = one["data"]
        assert (data["case"], data["amount"], data["currency"], data["reason"]) == (case["id"], SHARE, "EUR", "incident")
        assert data["refund"] == wire(WireId.OPERATION, operation["id"])
        assert (data["payment"]["ref"], data["payment"]["provider_ref"]) == ("P1", order.payments[0])
        assert [(line["type"], line["ref"], line["amount"]) for line in data["lines"]] == [("position", "1", SHARE)]
    assert refunds[-1]["data"]["provider_ref"] == operation["attempts"][0]["provider_ref"]
    assert [one["type"] for one in told if one["type"].startswith("case.")] == ["case.opened", "case.resolved"]


async def test_the_tax_in_the_parts_of_a_line_adds_up_to_the_tax_of_the_line(house: House, ref: str) -> None:
    order = await _bought(house, ref)
    tax = await house.value(
        "UPDATE line SET tax = 399 FROM orders o WHERE o.id = line.order_id AND o.ref = $1 RETURNING line.tax", order.ref
    )
    await house.report("stream_outage", order)
    await house.shop.show(order.show, starts_in=timedelta(minutes=-60), status="cancelled")
    await house.report("show_cancelled", order)
    parts = [one["data"]["lines"][0] for one in await _told(house, order) if one["type"] == "refund.succeeded"]
    assert [line["amount"] for line in parts] == [SHARE, 2500 - SHARE]
    assert sum(line["tax"] for line in parts) == tax == 399
    assert parts[0]["tax"] == round(SHARE * 399 / 2500)


async def test_a_refund_in_full_is_told_with_the_end_of_its_pass_and_its_token(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=20))
    order = await house.shop.order(show, [stream(2500)])
    await _token_of(house, order)
    await house.shop.show(show, starts_in=timedelta(days=20), status="cancelled")
    await house.report("show_cancelled", order)
    types = await _types(house, order)
    assert set(types) == {
        "access.issued",
        "case.opened",
        "refund.created",
        "access.suspended",
        "refund.succeeded",
        "access.revoked",
        "pass.voided",
        "case.resolved",
    }
    assert types.index("refund.created") < types.index("access.suspended") < types.index("access.revoked")
    assert types[-1] == "case.resolved"


async def test_a_replaced_pass_is_told_with_the_barcode_that_the_gate_needs(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=20))
    order = await house.shop.order(show, [Item(kind="venue", name="Seat", price=2500)])
    case = await house.report("pass_leaked", order)
    assert case["status"] == "resolved", case
    (replaced,) = [one for one in await _told(house, order) if one["type"] == "pass.replaced"]
    rows = await house.rows(
        "SELECT p.id, p.status, p.barcode FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1 ORDER BY p.created_at", order.ref
    )
    old, new = rows
    assert (old["status"], new["status"]) == ("void", "valid")
    assert (replaced["data"]["barcode"], replaced["data"]["replaces"]) == (new["barcode"], wire(WireId.PASS, old["id"]))
    assert replaced["data"]["pass"] == wire(WireId.PASS, new["id"])


async def test_a_dispute_and_its_end_are_told(house: House, ref: str) -> None:
    order = await _bought(house, ref)
    payment = (await house.payment(order))["id"]
    order_id = (await house.payment(order))["order_id"]
    for state in ("open", "lost"):
        said = {"ref": f"dp_{ref}", "state": state, "amount": 2500, "currency": "EUR", "at": datetime.now(UTC).isoformat()}
        await house.pool.execute("SELECT dispute_take($1, $2, $3, $4)", house.desk.platform_id, order_id, payment, said)
    told = [one for one in await _told(house, order) if one["type"].startswith("dispute.")]
    assert [one["type"] for one in told] == ["dispute.opened", "dispute.lost"]
    assert {one["data"]["payment"]["ref"] for one in told} == {"P1"}


async def test_what_waits_and_what_people_have_is_told(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-30))
    await house.shop.incident(show, "out1", datetime.now(UTC) - timedelta(minutes=10))
    order = await house.shop.order(show, [stream(2500)])
    case = await house.report("stream_outage", order)
    answer = await house.post(f"/v1/cases/{case['id']}/person", {"channel": "api"})
    assert answer.status_code in {200, 201}, answer.text
    told = [one for one in await _told(house, order) if one["type"].startswith("case.")]
    assert [one["type"] for one in told] == ["case.opened", "case.waiting", "case.handed_over"]
    assert (told[1]["data"]["wait_for"], told[1]["data"]["wait_ref"]) == ("incident_end", "out1")
    assert told[2]["data"]["skill"]


async def test_what_did_not_happen_is_not_told(house: House, ref: str) -> None:
    order = await _bought(house, ref)
    order_id = (await house.payment(order))["order_id"]
    async with house.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT order_fact_add($1, $2, 'excess', 'test', now(), '{}')", house.desk.platform_id, order_id)
        await transaction.rollback()
    assert "order.disagrees" not in await _types(house, order)


async def test_the_feed_skips_no_fact_whose_transaction_ends_late(house: House, ref: str) -> None:
    first, second = await _bought(house, ref), await _bought(house, f"{ref}b")
    ids = [(await house.payment(one))["order_id"] for one in (first, second)]
    tell = "SELECT order_fact_add($1, $2, 'excess', 'test', now(), '{}')"
    assert house.app is not None
    async with house.pool.acquire() as slow:
        late = slow.transaction()
        await late.start()
        await slow.execute(tell, house.desk.platform_id, ids[0])
        await house.pool.execute(tell, house.desk.platform_id, ids[1])  # a later fact, committed before the earlier one
        feed = EventFeed(OutboxStore(house.pool), house.app.watch)
        seen = await feed.after(house.desk.platform_id, 0, most=_PAGE)
        reached = seen[-1].position if seen else 0
        await late.commit()
    told = await _read_from(house, reached)
    assert {one["data"]["order"] for one in told if one["type"] == "order.disagrees"} >= {first.ref}
    everything = await _read_from(house, 0)
    assert {one["data"]["order"] for one in everything if one["type"] == "order.disagrees"} >= {first.ref, second.ref}
    assert [one["position"] for one in everything] == list(range(1, len(everything) + 1))


async def test_many_writers_at_once_leave_no_gap_and_no_double(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    orders = [await house.shop.order(show, [stream(2500)]) for _ in range(4)]
    ids = [(await house.payment(one))["order_id"] for one in orders]
    tell = "SELECT order_fact_add($1, $2, 'excess', 'test', now(), jsonb_build_object('n', $3::int))"

    async def writes(order_id: object) -> None:
        for n in range(25):
            await house.pool.execute(tell, house.desk.platform_id, order_id, n)

    async def reads() -> None:
        for _ in range(20):
            await house.get("/v1/events?after=0&limit=1")

    await asyncio.gather(*(writes(one) for one in ids), reads(), reads())
    everything = await _read_from(house, 0)
    assert [one["position"] for one in everything] == list(range(1, len(everything) + 1))
    assert len({one["id"] for one in everything}) == len(everything)
    for order in orders:
        told = [
            one["data"]["about"]["n"] for one in everything if one["data"].get("order") == order.ref and one["type"] == "order.disagrees"
        ]
        assert told == list(range(25))


async def test_who_waits_reads_the_first_fact_when_it_comes(house: House, ref: str) -> None:
    order = await _bought(house, ref)
    head = (await _read_from(house, 0))[-1]["position"]

    async def first() -> Any:
        """No page is without events before its wait is over: then whoever waits asks again, as after one of what others still do."""
        clock, after = asyncio.get_running_loop().time, head
        while True:
            began = clock()
            page = await house.get(f"/v1/events?after={after}&wait_seconds=20")
            for one in page["events"]:
                if one["data"].get("order") == order.ref:
                    return one
            assert page["events"] or clock() - began >= 20
            after = page["next_after"]

    waiting = asyncio.create_task(first())
    await house.report("stream_outage", order)
    assert (await waiting)["type"] == "case.opened"


async def test_types_narrow_and_an_unknown_one_is_named(house: House, ref: str) -> None:
    order = await _bought(house, ref)
    await house.report("stream_outage", order)
    await _read_from(house, 0)
    page = await house.get("/v1/events?types=refund.created&types=case.resolved&limit=500")
    assert {one["type"] for one in page["events"]} == {"refund.created", "case.resolved"}
    answer = await house.client.get("/v1/events?types=refund.invented", headers={"Authorization": f"Bearer {house.desk.platform}"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "types")


async def test_what_is_forgotten_is_said_to_be_gone(house: House, ref: str) -> None:
    await house.report("stream_outage", await _bought(house, ref))
    assert await _read_from(house, 0)
    before = await house.value("SELECT forgotten FROM outbox_head WHERE platform_id = $1", house.desk.platform_id)
    try:
        await house.pool.execute("UPDATE outbox_head SET forgotten = 1 WHERE platform_id = $1", house.desk.platform_id)
        answer = await house.client.get("/v1/events?after=0", headers={"Authorization": f"Bearer {house.desk.platform}"})
        assert (answer.status_code, answer.json()["type"]) == (410, "urn:makegood:problem:events_forgotten")
    finally:
        await house.pool.execute("UPDATE outbox_head SET forgotten = $2 WHERE platform_id = $1", house.desk.platform_id, before)


# What the functions call facts of an order, and what each is to the platform; None: it is told otherwise.
_FACTS: Final = {
    "refund_accepted": "refund.sent",
    "refund_done": "refund.succeeded",
    "refund_failed": "refund.failed",
    "refund_refused": "refund.failed",
    "refund_returned": "refund.returned",
    "refund_held": "refund.held",
    "refund_released": "refund.released",
    "refund_unknown": "refund.delayed",
    "refund_not_sent": "refund.delayed",
    "refund_needs_review": "refund.delayed",
    "refund_waits_for_funds": "refund.delayed",
    "refund_choice_needed": "refund.choice_needed",
    "refund_choice_offered": "refund.choice_needed",
    "refund_choice_made": None,
    "refund_seen_elsewhere": "refund.seen_elsewhere",
    "resend_pass_done": "pass.sent",
    "replace_pass_not_sent": "pass.delayed",
    "void_pass_refused": "pass.delayed",
    "replace_pass_done": None,
    "reissue_access_done": None,
    "dispute_opened": "dispute.opened",
    "fraud_warning": "dispute.warned",
    "excess": "order.disagrees",
    "books_disagree": "order.disagrees",
    "pass_disagrees": "order.disagrees",
    "position_canceled": "order.changed",
    "payment_captured": "order.changed",
}


@pytest.mark.parametrize("kind", _FACTS)
async def test_every_kind_of_fact_is_an_event_that_the_contract_knows(house: House, ref: str, kind: str) -> None:
    order = await _bought(house, ref)
    case = await house.report("stream_outage", order)
    (operation,) = await house.operations(case["id"])
    payment = await house.payment(order)
    pass_id = await house.value("SELECT id FROM pass WHERE order_id = $1", payment["order_id"])
    about = {"payment_id": str(payment["id"]), "ref": "P1"}
    if kind.startswith("refund_") and kind != "refund_seen_elsewhere":
        about = {"operation": str(operation["id"])}
    elif "pass" in kind and kind != "pass_disagrees":
        about = {"pass": str(pass_id), "operation": str(operation["id"])}
    elif kind == "refund_seen_elsewhere":
        about |= {"ref": f"re_{uuid4().hex}", "amount": 5, "state": "done"}  # type: ignore[dict-item]
    before = await _told(house, order)
    await house.pool.execute(
        "SELECT order_fact_add($1, $2, $3, 'test', now(), $4)", house.desk.platform_id, payment["order_id"], kind, about
    )
    news = [one for one in (await _told(house, order))[len(before) :] if not one["type"].startswith("case.")]
    assert [one["type"] for one in news] == ([] if _FACTS[kind] is None else [_FACTS[kind]])


@pytest.mark.parametrize(("name", "kind"), TYPES.items())
def test_every_type_is_documented_by_an_example_that_fits_its_schema(name: str, kind: EventType) -> None:
    told = msgspec.json.decode(msgspec.json.encode(example_of(name)))
    assert told["type"] == name
    assert kind.meaning.endswith(".")
    assert msgspec.json.decode(msgspec.json.encode(msgspec.convert(told["data"], kind.data))) == told["data"]


async def test_events_hold_no_name_and_no_address(house: House, ref: str) -> None:
    order = await _bought(house, ref)
    await house.report("stream_outage", order, message="I am Mira Example, mira@example.org, 0170 1234567")
    rows = await OutboxStore(house.pool).page(house.desk.platform_id, after=0, most=10_000)
    told = msgspec.json.encode([render(row) for row in rows]).decode()
    person = await house.rows("SELECT name, email, phone FROM person WHERE platform_id = $1", house.desk.platform_id)
    words = {value for row in person for value in row.values() if value} | {"Mira Example", "mira@example.org", "0170 1234567"}
    assert not [word for word in words if word in told]
