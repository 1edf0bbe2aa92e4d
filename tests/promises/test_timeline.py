"""The timeline: what happened to a case and its order, from every source, in one order, and never changed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.demo.world import Bought
from service.store import cases as case_store
from service.store.pool import open_pool
from tests.promises.house import House, broken_sums, stream, uuid_of


async def _timeline(house: House, case: str, *, token: str | None = None) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await house.get(f"/v1/cases/{case}/timeline?after={after}&limit=3", token=token)
        entries += page["entries"]
        after = page["next_after"]
    return entries


async def _ordered(house: House, ref: str, **more: Any) -> Bought:
    now = datetime.now(UTC)
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    return await house.shop.order(show, [stream()], **more)


async def test_pages_of_a_timeline_are_whole_and_in_order(house: House, ref: str) -> None:
    order = await _ordered(house, ref)
    case = await house.report("stream_outage", order, message="the picture was gone")
    for number in range(5):
        said = await house.post(f"/v1/cases/{case['id']}/messages", {"message": f"and again {number}"})
        assert said.status_code == 201, said.text
    entries = await _timeline(house, case["id"])
    assert [one["seq"] for one in entries] == list(range(1, len(entries) + 1))
    kinds = [one["kind"] for one in entries]
    for kind in ("order_received", "contact_received", "decided", "operation_ready", "refund_done"):
        assert kinds.count(kind) == 1, kinds
    assert kinds.index("decided") < kinds.index("operation_ready") < kinds.index("refund_done")
    assert kinds.count("said_more") == 5
    assert {"source", "actor", "happened_at"} <= entries[0].keys()


async def test_many_writers_at_once_leave_no_gap_and_no_double(house: House, ref: str) -> None:
    order = await _ordered(house, ref)
    case = await house.report("stream_outage", order)
    taken = await house.post(f"/v1/cases/{case['id']}/person", {})
    assert taken.status_code == 200, taken.text
    writes = [house.post(f"/v1/cases/{case['id']}/messages", {"message": f"words {number}"}) for number in range(20)]
    writes += [house.post(f"/v1/cases/{case['id']}/notes", {"body": f"note {number}"}, token=house.desk.agent) for number in range(20)]
    answers = await asyncio.gather(*writes)
    assert {answer.status_code for answer in answers} == {200, 201}
    entries = await _timeline(house, case["id"], token=house.desk.agent)
    assert [one["seq"] for one in entries] == list(range(1, len(entries) + 1))
    assert sum(one["kind"] == "said_more" for one in entries) == sum(one["kind"] == "noted" for one in entries) == 20
    assert await broken_sums(house) == {}


async def test_what_happens_to_an_order_stands_on_each_of_its_open_cases(house: House, ref: str) -> None:
    order = await _ordered(house, ref)
    first = await house.report("stream_outage", order)
    # Two more about the same order, both with people; then the order's money moves again.
    second, third = [await house.report(problem, order) for problem in ("fraud", "merch_wrong")]
    assert (second["status"], third["status"]) == ("with_people", "with_people")
    for case in (second, third):
        kinds = [one["kind"] for one in await _timeline(house, case["id"])]
        # What was known of the order before the case came is there too.
        assert {"order_received", "refund_done"} <= set(kinds), kinds
    body = await house.value("SELECT version FROM orders WHERE ref = $1", order.ref)
    await house.pool.execute(
        "SELECT order_fact_add($1, (SELECT id FROM orders WHERE ref = $2), 'gate_scanned', 'platform', app_now(), $3)",
        house.desk.platform_id,
        order.ref,
        {"version": body},
    )
    # (Letters leave in the background meanwhile, and stand on the timelines too.)
    told = [[one["kind"] for one in await _timeline(house, case["id"])].count("gate_scanned") for case in (first, second, third)]
    assert told == [0, 1, 1]


async def test_a_joined_case_shows_the_timeline_of_the_case_it_joined(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", datetime.now(UTC) - timedelta(minutes=40))
    order = await house.shop.order(show, [stream()])
    first = await house.report("stream_outage", order)
    second = await house.report("stream_outage", order, message="still gone")
    assert (second["state"], second["joined_to"]) == ("joined", first["id"])

    async def read() -> list[Any]:
        return [await _timeline(house, case["id"]) for case in (first, second, first)]

    # Between two like readings: a letter that leaves in the background stands there too.
    before, joined, _ = await house.until(read, lambda found: found[0] == found[2])
    assert joined == before
    assert "contact_joined" in [one["kind"] for one in await _timeline(house, first["id"])]
    assert await broken_sums(house) == {}


async def test_a_note_of_the_desk_never_leaves_it(house: House, ref: str) -> None:
    order = await _ordered(house, ref)
    case = await house.report("fraud", order)
    note = await house.post(f"/v1/cases/{case['id']}/notes", {"body": "looks odd to me"}, token=house.desk.agent)
    assert note.status_code == 200, note.text
    entries = await house.value("SELECT jsonb_agg(kind) FROM timeline WHERE case_id = $1", uuid_of(case["id"]))
    assert "noted" in entries
    seen = await house.case(case["id"])
    assert [one["kind"] for one in seen["messages"]] == []


async def test_a_page_of_the_timeline_is_one_query(house: House, ref: str) -> None:
    """Counted by PostgreSQL itself, on a connection of its own."""
    order = await _ordered(house, ref)
    case = await house.report("stream_outage", order)
    sent: list[str] = []

    def listen(record: asyncpg.connection.LoggedQuery) -> None:
        sent.append(record.query)

    assert house.settings.database_url is not None
    async with await open_pool(house.settings.database_url.reveal(), size=1) as pool, pool.acquire() as connection:
        connection.add_query_logger(listen)
        await case_store.timeline(connection, house.desk.platform_id, uuid_of(case["id"]), 0, 100)  # type: ignore[arg-type]  # it fetches as a pool does
        await asyncio.sleep(0)
    assert len(sent) == 1


@pytest.mark.parametrize("table", ["timeline", "order_fact", "book"])
async def test_history_is_only_ever_added_to(house: House, ref: str, table: str) -> None:
    """No statement of the application changes or removes what has happened: every row that was there is there unchanged."""
    order = await _ordered(house, ref)
    case = await house.report("stream_outage", order)
    before = await house.rows(f"SELECT to_jsonb(t) AS row FROM {table} t")
    await house.report("stream_outage", order)
    await house.post(f"/v1/cases/{case['id']}/person", {"message": "please"})
    await house.post("/v1/queue/take", {"case": case["id"]}, token=house.desk.agent)
    await house.post(f"/v1/cases/{case['id']}/resolve", {"reason": "all is well"}, token=house.desk.agent)
    after = [row["row"] for row in await house.rows(f"SELECT to_jsonb(t) AS row FROM {table} t")]
    assert all(row["row"] in after for row in before)
