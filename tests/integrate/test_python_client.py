"""The Python client against the running service: what a platform does all day."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from makegood_client import Makegood, ProblemError, events, types

from service.demo.night import Night
from service.demo.world import STREAM, Bought, Item, bearer
from service.store import cases as store
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import until

_T = TypeVar("_T")


async def asked(night: Night, work: Callable[[Makegood], _T]) -> _T:
    """What the blocking client answers, while the service runs in this loop."""

    def blocking() -> _T:
        with Makegood(night.address, night.desk.platform) as makegood:
            return work(makegood)

    return await asyncio.to_thread(blocking)


async def an_outage_of_25_minutes(night: Night) -> Bought:
    show = await night.shop.show(f"show-{uuid4().hex[:8]}", starts_in=timedelta(hours=-2), minutes=90)
    starts = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    await night.shop.incident(show, "outage", starts + timedelta(minutes=10), starts + timedelta(minutes=35))
    return await night.shop.order(show, [Item(kind=STREAM, name="Stream", price=2500)])


def a_case_of(bought: Bought) -> types.NewCase:
    return {"order": bought.ref, "problem": "stream_outage", "channel": "widget", "show": bought.show}


async def test_a_case_is_opened_once_however_often_it_is_sent(night: Night) -> None:
    bought = await an_outage_of_25_minutes(night)
    cases = [await asked(night, lambda it: it.open_case(a_case_of(bought), idempotency_key=f"one-{bought.ref}")) for _ in range(2)]
    assert {case["id"] for case in cases} == {cases[0]["id"]}
    assert [operation.get("amount") for operation in cases[0]["operations"]] == [694]
    shown = await asked(night, lambda it: it.show_case(cases[0]["id"]))
    assert shown["order"] == bought.ref


async def test_a_case_is_followed_to_its_end(night: Night) -> None:
    bought = await an_outage_of_25_minutes(night)
    case = await asked(night, lambda it: it.open_case(a_case_of(bought), idempotency_key=uuid4().hex))
    told = await asked(night, lambda it: list(it.follow_case(case["id"])))
    entries = [one for one in told if one["event"] == "entry"]
    assert [int(one.get("id", "")) for one in entries] == list(range(1, len(entries) + 1))
    assert json.loads(told[-1]["data"])["id"] == case["id"]
    later = await asked(night, lambda it: list(it.follow_case(case["id"], last_event_id=entries[0].get("id"))))
    # A letter about it may have gone out in between.
    assert [one.get("id") for one in later if one["event"] == "entry"][: len(entries) - 1] == [one.get("id") for one in entries[1:]]


async def test_who_follows_a_case_that_ends_while_they_are_told_hears_the_last_of_it_too(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    body: types.NewCase = {"problem": "abuse", "channel": "api", "message": "They shout."}
    case = await asked(night, lambda it: it.open_case(body, idempotency_key=uuid4().hex))
    await until(lambda: asked(night, lambda it: it.show_case(case["id"])), lambda one: one["status"] == "with_people")
    taken = await night.client.post("/v1/queue/take", json={"case": case["id"]}, headers=bearer(night.desk.lead, uuid4().hex))
    assert taken.status_code == 200, taken.text
    reads = store.timeline

    async def ends_meanwhile(*arguments: Any) -> Any:
        read = await reads(*arguments)
        monkeypatch.setattr(store, "timeline", reads)
        ended = {"outcome": "resolved", "reason": "they were spoken to"}
        answer = await night.client.post(f"/v1/cases/{case['id']}/resolve", json=ended, headers=bearer(night.desk.lead, uuid4().hex))
        assert answer.status_code == 200, answer.text
        return read

    monkeypatch.setattr(store, "timeline", ends_meanwhile)
    told = await asked(night, lambda it: list(it.follow_case(case["id"])))
    assert "resolved_by_person" in [json.loads(one["data"])["kind"] for one in told if one["event"] == "entry"]
    assert json.loads(told[-1]["data"])["status"] == "resolved"


async def test_orders_are_fed_one_by_one_and_by_the_line(night: Night) -> None:
    ref = f"O-{uuid4().hex[:8]}"
    order: types.OrderFeed = {
        "version": 1,
        "status": "pending",
        "currency": "EUR",
        "total": 1000,
        "buyer": {"email": "mira@example.org", "customer_ref": "c-1"},
        "placed_at": "2026-10-01T10:00:00Z",
        "positions": [{"ref": "1", "kind": "merchandise", "name": "T-shirt", "price": 1000}],
    }
    assert (await asked(night, lambda it: it.put_order(ref, order)))["result"] == "created"
    lines = "\n".join(json.dumps({"ref": f"{ref}-{n}", "order": order}) for n in range(3))
    answered = (await asked(night, lambda it: it.put_orders(lines))).splitlines()
    assert [json.loads(line)["result"] for line in answered] == ["created"] * 3
    assert (await asked(night, lambda it: it.get_order(f"{ref}-2")))["total"] == 1000


async def test_events_are_read_to_the_end_and_their_type_says_what_is_in_them(night: Night) -> None:
    bought = await an_outage_of_25_minutes(night)
    case = await asked(night, lambda it: it.open_case(a_case_of(bought), idempotency_key=uuid4().hex))

    def refund_of_this_case(it: Makegood) -> events.RefundSent | events.RefundSucceeded:
        after, give_up = 0, time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:  # each page waits up to a second for more
            page = it.list_events(after=after, wait_seconds=1, types=["refund.sent", "refund.succeeded"])
            for told in page["events"]:
                event = events.as_event(told)
                if (event["type"] == "refund.sent" or event["type"] == "refund.succeeded") and event["data"].get("case") == case["id"]:
                    # The sandbox does at once what others take days for: then it is `succeeded` from the start.
                    return event
            after = page["next_after"]
        raise TimeoutError

    refund = await asked(night, refund_of_this_case)
    assert refund["data"]["amount"] == 694
    assert [(line["ref"], line["amount"]) for line in refund["data"].get("lines", [])] == [("1", 694)]


async def test_a_problem_is_raised_with_the_fields_it_names(night: Night) -> None:
    order: types.OrderFeed = {
        "version": 0,
        "status": "paid",
        "currency": "euro",
        "total": 0,
        "buyer": {},
        "placed_at": "2026-10-01T10:00:00Z",
    }
    with pytest.raises(ProblemError) as refused:
        await asked(night, lambda it: it.put_order("O-1", order))
    assert refused.value.status == 400
    assert refused.value.errors
    with pytest.raises(ProblemError) as missing:
        await asked(night, lambda it: it.show_case("case_" + 32 * "0"))
    assert (missing.value.status, missing.value.type) == (404, "urn:makegood:problem:not_found")


async def test_a_wrong_key_is_refused_and_stands_in_no_message(night: Night) -> None:
    def blocking() -> None:
        with Makegood(night.address, "mgk_wrong_key_of_nobody") as it:
            it.list_rails()

    with pytest.raises(ProblemError) as refused:
        await asyncio.to_thread(blocking)
    assert refused.value.status == 401
    assert "mgk_" not in str(refused.value)
