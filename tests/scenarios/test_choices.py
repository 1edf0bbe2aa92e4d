"""Money that cannot go back where it came from: who may say where it goes, and what stands before it goes there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from integrations.sandbox_books import Fault
from service.demo.journal import Journal
from service.demo.night import BACKUP, Night
from service.demo.people import Json
from service.demo.stage import CANCELLED, Stage, open_stage, ticket
from service.demo.world import Bought, bearer
from service.model import Money, WireId, unwire
from service.ports import RefundNews, RefundSeen
from tests.promises.house import until


@pytest.fixture
async def stage(night: Night) -> AsyncIterator[Stage]:
    async with open_stage(night, Journal(lambda _: None)) as opened:
        yield opened


async def _asked_where(stage: Stage, *, price: int = 4500, fault: Fault = Fault.FAILED) -> tuple[Bought, Json]:
    """A cancelled show's order whose card is closed, and its case."""
    order = await stage.sells(CANCELLED, [ticket(price)])
    await stage.processor_does(fault, order.payments[0], detail="expired_or_canceled_card")
    fan = await stage.fan(order)
    return order, await fan.asks("show_cancelled", order, "I want my money back.")


def _refund(case: Json) -> Any:
    (operation,) = [one for one in case["operations"] if one["action"] == "refund"]
    return operation


async def _post(night: Night, path: str, body: Json, token: str) -> Any:
    return await night.client.post(path, json=body, headers=bearer(token, uuid4().hex))


async def _paid(stage: Stage, order: Bought) -> tuple[int, int]:
    """What came from the first rail, and what from the backup."""
    return (await stage.ledger(order.payments[0])).refunded_minor, await stage.paid_by_backup(order.payments[0])


async def _agrees(night: Night, case: Json, *tokens: str) -> list[Any]:
    return [await _agree(night, f"/v1/operations/{_refund(case)['id']}", token) for token in tokens]


async def _agree(night: Night, path: str, token: str) -> Any:
    seen = (await night.client.get(f"{path}/preview", headers=bearer(token))).json()
    body = {"reason": "looked at it", "facts_hash": seen["now"]["facts_hash"]}
    return (await _post(night, f"{path}/approve", body, token)).json()


async def test_the_question_says_why_and_names_the_ways(stage: Stage) -> None:
    order, case = await _asked_where(stage)
    assert case["status"] == "asked"
    assert "closed that card" in case["question"]["prompt"]
    assert [(one["value"], one["needs_address"]) for one in case["question"]["options"]] == [(BACKUP, True), ("manual", False)]
    assert _refund(case)["status"] == "choose"
    assert await _paid(stage, order) == (0, 0)
    mail = await stage.told(order, "closed that card")
    assert "sandbox account" in mail.text


async def test_a_choice_is_made_once_however_often_it_is_sent(stage: Stage) -> None:
    order, case = await _asked_where(stage)
    fan = await stage.fan(order, second_factor=True)
    assert _refund(case)["chosen"] is False
    done = await fan.chooses(case, BACKUP, "mia@example.org")
    assert (done["status"], _refund(done)["status"], _refund(done)["chosen"]) == ("resolved", "sent", True)
    mail = await stage.told(order, "sent back to your sandbox account.")
    assert "Banks take" not in mail.text
    body = {"operation": _refund(case)["id"], "to": BACKUP, "address": "somebody@else.example"}
    with pytest.raises(Exception, match="not_offered"):
        await fan.client.post(f"/v1/cases/{case['id']}/payout", body)
    assert await _paid(stage, order) == (0, 4500)
    await stage.check_books()


async def test_the_address_is_kept_with_people_and_nowhere_else(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    address = f"{uuid4().hex}@example.org"
    await (await stage.fan(order, second_factor=True)).chooses(case, BACKUP, address)
    tables = await night.pool.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    found = [
        row["table_name"]
        for row in tables
        if await night.pool.fetchval(f'SELECT EXISTS (SELECT FROM "{row["table_name"]}" t WHERE t::text LIKE $1)', f"%{address}%")
    ]
    assert found == ["person"]
    assert await _paid(stage, order) == (0, 4500)


async def test_what_an_agent_passes_on_waits_for_a_second_person(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    body = {"operation": _refund(case)["id"], "to": BACKUP, "address": "mia@example.org", "checked": "called the number on file"}
    answer = await _post(night, f"/v1/cases/{case['id']}/payout", body, night.desk.agent)
    assert (answer.status_code, _refund(answer.json())["status"]) == (200, "held")
    assert (await _agrees(night, case, night.desk.agent))[0]["type"].endswith(":same_person")
    assert await _paid(stage, order) == (0, 0)
    assert (await _agrees(night, case, night.desk.lead))[0]["status"] == "released"
    await until(lambda: _paid(stage, order), lambda paid: paid == (0, 4500))
    await stage.check_books()


async def test_a_large_pay_out_waits_for_people_though_its_customer_is_proven(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage, price=15000)
    case = await (await stage.fan(order, second_factor=True)).chooses(case, BACKUP, "mia@example.org")
    assert (case["status"], _refund(await stage.seen(case))["holds"]) == ("with_people", ["payout"])
    assert await _paid(stage, order) == (0, 0)
    await _agrees(night, case, night.desk.lead)
    await until(lambda: _paid(stage, order), lambda paid: paid == (0, 15000))
    await stage.check_books()


async def test_money_sent_by_hand_is_written_down_with_reference_and_day(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    fan = await stage.fan(order, second_factor=True)
    case = await fan.client.outcome(f"/v1/cases/{case['id']}/payout", {"operation": _refund(case)["id"], "to": "manual"})
    assert case["status"] == "with_people"
    path = f"/v1/operations/{_refund(case)['id']}/settle"
    settlement = {"reference": "SEPA 4711", "sent_on": "2026-11-20"}
    assert (await _post(night, path, settlement, night.desk.agent)).json()["type"].endswith(":needs_approval")
    await _agrees(night, case, night.desk.lead)
    assert (await _post(night, path, settlement, night.desk.agent)).status_code == 204
    assert (await _post(night, path, settlement, night.desk.agent)).status_code == 409
    kept = await night.pool.fetchrow(
        "SELECT a.provider_ref, a.request, o.state FROM attempt a JOIN operation o ON o.id = a.operation_id"
        " WHERE o.id = $1 AND a.rail = 'manual'",
        unwire(WireId.OPERATION, _refund(case)["id"]),
    )
    assert kept is not None
    assert (kept["provider_ref"], kept["request"]["sent_on"], kept["state"]) == ("SEPA 4711", "2026-11-20", "DONE")
    assert await _paid(stage, order) == (0, 0)
    payment = (await stage.order(order))["payments"][0]
    assert payment["refunded"] == 4500


@pytest.mark.parametrize("to", ["elsewhere", "sandbox"])
async def test_a_way_that_was_not_offered_is_closed(stage: Stage, to: str) -> None:
    order, case = await _asked_where(stage)
    with pytest.raises(Exception, match="not_offered"):
        await (await stage.fan(order, second_factor=True)).chooses(case, to, "mia@example.org")
    assert await _paid(stage, order) == (0, 0)


async def test_nothing_goes_out_while_the_bank_disputes_the_payment(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    await night.pool.execute("UPDATE payment SET dispute = 'open' WHERE provider_ref = $1", order.payments[0])
    with pytest.raises(Exception, match="disputed"):
        await (await stage.fan(order, second_factor=True)).chooses(case, BACKUP, "mia@example.org")
    assert await _paid(stage, order) == (0, 0)


async def _refunded_in_the_dashboard(night: Night, order: Bought) -> None:
    seen = RefundSeen(provider_ref=f"re_{uuid4().hex}", state="SUCCEEDED", amount=Money(minor=4500, currency="EUR"))
    news = RefundNews(payment_ref=order.payments[0], refund=seen)
    assert await night.app.refunds.heard("sandbox", news, source="test") == "elsewhere"


async def test_what_was_refunded_in_the_dashboard_is_not_paid_out_on_top(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    await _refunded_in_the_dashboard(night, order)
    with pytest.raises(Exception, match="excess"):
        await (await stage.fan(order, second_factor=True)).chooses(case, BACKUP, "mia@example.org")
    assert (await until(lambda: stage.seen(case), lambda found: found["status"] != "asked"))["status"] == "with_people"
    assert await _paid(stage, order) == (0, 0)


async def test_what_was_refunded_while_people_thought_about_a_pay_out_is_not_paid_on_top(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    body = {"operation": _refund(case)["id"], "to": BACKUP, "address": "mia@example.org", "checked": "called the number on file"}
    case = (await _post(night, f"/v1/cases/{case['id']}/payout", body, night.desk.agent)).json()
    await _refunded_in_the_dashboard(night, order)
    assert (await _agrees(night, case, night.desk.lead))[0]["type"].endswith(":excess")
    assert await _paid(stage, order) == (0, 0)
    path = f"/v1/operations/{_refund(case)['id']}/refuse"
    assert (await _post(night, path, {"reason": "refunded by hand"}, night.desk.lead)).status_code == 204
    assert (await stage.order(order))["payments"][0]["refunded"] == 0


async def test_a_refund_that_a_lead_had_given_up_and_that_came_all_the_same_is_counted_for_people(stage: Stage, night: Night) -> None:
    """The lead looked too early: the processor had not made it yet."""
    order = await stage.sells(CANCELLED, [ticket()])
    await stage.processor_does(Fault.DECLINED, order.payments[0], detail="already_refunded")
    fan = await stage.fan(order)
    case = await fan.asks("show_cancelled", order, "I want my money back.")
    path = f"/v1/operations/{_refund(case)['id']}/judge"
    assert (await _post(night, path, {"moved": False}, night.desk.lead)).status_code == 204
    attempt = await night.pool.fetchval("SELECT id FROM attempt WHERE operation_id = $1", unwire(WireId.OPERATION, _refund(case)["id"]))
    seen = RefundSeen(provider_ref=f"re_{uuid4().hex}", state="SUCCEEDED", amount=Money(minor=4500, currency="EUR"), attempt_id=attempt)
    news = RefundNews(payment_ref=order.payments[0], refund=seen)
    assert await night.app.refunds.heard("sandbox", news, source="test") == "elsewhere"
    payment = await night.pool.fetchrow("SELECT refunded, refunded_elsewhere FROM payment WHERE provider_ref = $1", order.payments[0])
    assert payment is not None
    assert (payment["refunded"], payment["refunded_elsewhere"]) == (0, 4500)


async def test_a_first_rail_that_paid_after_all_is_believed_and_the_choice_is_void(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    await night.pool.execute(
        "UPDATE attempt SET state = 'REJECTED', failure = 'declined' WHERE operation_id = $1",
        unwire(WireId.OPERATION, _refund(case)["id"]),
    )
    await _sandbox_says_it_succeeded(night, order)
    fan = await stage.fan(order, second_factor=True)
    await fan.chooses(case, BACKUP, "mia@example.org")
    await until(lambda: stage.seen(case), lambda found: found["status"] == "resolved")
    assert await _paid(stage, order) == (4500, 0)
    await stage.check_books()


async def _sandbox_says_it_succeeded(night: Night, order: Bought) -> None:
    """What no processor should do: what it had called dead was paid."""
    async with _ledger(night) as execute:
        await execute("UPDATE sandbox.refund SET state = 'SUCCEEDED', failure = '' WHERE payment_ref = $1", order.payments[0])
        await execute("UPDATE sandbox.charge SET refunded = captured WHERE payment_ref = $1", order.payments[0])


@asynccontextmanager
async def _ledger(night: Night) -> AsyncIterator[Callable[..., Any]]:
    pool = night.books._pool  # noqa: SLF001 - the ledger itself is made to say what it never would
    yield pool.execute


async def test_who_does_not_answer_is_called_by_people(stage: Stage, night: Night) -> None:
    order, case = await _asked_where(stage)
    await night.pool.execute("UPDATE app_clock SET ahead = ahead + $1", timedelta(days=15))
    try:
        found = await until(lambda: stage.seen(case), lambda found: found["status"] == "with_people")
        assert found["desk"]["skill"] == "payments"
        assert await _paid(stage, order) == (0, 0)
    finally:
        await night.pool.execute("UPDATE app_clock SET ahead = ahead - $1", timedelta(days=15))


async def test_a_platform_that_allows_no_pay_outs_has_people_find_a_way(stage: Stage, night: Night) -> None:
    before = await night.pool.fetchval("SELECT settings FROM platform WHERE id = $1", night.desk.platform_id)
    without = {name: value for name, value in before.items() if name != "payouts"}
    await night.pool.execute("UPDATE platform SET settings = $2 WHERE id = $1", night.desk.platform_id, without)
    try:
        order, case = await _asked_where(stage)
        assert (await until(lambda: stage.seen(case), lambda found: found["status"] != "working"))["status"] == "with_people"
        body = {"operation": _refund(case)["id"], "to": "manual", "checked": "called back"}
        answer = await _post(night, f"/v1/cases/{case['id']}/payout", body, night.desk.agent)
        assert _refund(answer.json())["status"] == "held"
        assert await _paid(stage, order) == (0, 0)
    finally:
        await night.pool.execute("UPDATE platform SET settings = $2 WHERE id = $1", night.desk.platform_id, before)


@pytest.mark.parametrize("fault", [Fault.UNAUTHORISED, Fault.RATE_LIMITED, Fault.NO_ANSWER])
async def test_only_what_never_left_lets_another_rail_be_chosen(stage: Stage, night: Night, fault: Fault) -> None:
    """A refused key, a limit, and above all an answer that never came: none of them is a proof, however long it lasts."""
    order = await stage.sells(CANCELLED, [ticket()])
    await stage.processor_does(fault, order.payments[0], times=None)
    fan = await stage.fan(order, second_factor=True)
    case = await fan.asks("show_cancelled", order, "I want my money back.", wait_seconds=0)
    try:
        tries = "SELECT count(*) FROM try t JOIN attempt a ON a.id = t.attempt_id WHERE a.operation_id = $1 AND t.result IS NOT NULL"
        operation = unwire(WireId.OPERATION, _refund(case)["id"])
        for _ in range(4):
            before = await night.pool.fetchval(tries, operation)
            await night.pool.execute("UPDATE app_clock SET ahead = ahead + interval '2 minutes'")
            await night.client.delete("/v1/brakes/rail/sandbox", headers=bearer(night.desk.lead))
            await until(lambda: night.pool.fetchval(tries, operation), lambda count, before=before: count > before)  # type: ignore[misc]
        assert await night.pool.fetchval("SELECT choice_offered_at FROM operation WHERE id = $1", operation) is None
        body = {"operation": _refund(case)["id"], "to": BACKUP, "address": "mia@example.org"}
        with pytest.raises(Exception, match="not_offered"):  # at once: while the rail is not well, nothing is worth waiting for
            await fan.client.post(f"/v1/cases/{case['id']}/payout", body, wait_seconds=0)
    finally:
        await stage.processor_is_well()
        await night.client.delete("/v1/brakes/rail/sandbox", headers=bearer(night.desk.lead))
    await night.pool.execute("UPDATE app_clock SET ahead = ahead + interval '2 minutes'")
    await until(lambda: stage.seen(case), lambda found: found["status"] == "resolved")
    assert await _paid(stage, order) == (4500, 0)
    await stage.check_books()
