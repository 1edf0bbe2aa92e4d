"""Whatever a processor does to a refund: what is stored, what becomes of the case, what the customer reads, and what both ledgers say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import pytest_asyncio

from integrations.sandbox_books import Fault, Script
from integrations.sandbox_database import open_sandbox
from service.demo.world import Bought, bearer
from service.model import WireId, wire
from tests.promises.house import House, all_holds, broken_sums, stream, uuid_of

PRICE: Final = 2500
SHARE: Final = 694  # 25 of 90 minutes of 25.00
DAY: Final = timedelta(days=1)


@pytest_asyncio.fixture(loop_scope="session")
async def order(house: House, ref: str) -> AsyncIterator[Bought]:
    """An order that an outage, now over, has touched. What a promise scripted is forgotten after it."""
    now = datetime.now(UTC)
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    yield await house.shop.order(show, [stream(PRICE)])
    await house.books.clear()
    await house.pool.execute("DELETE FROM brake")


async def _script(house: House, order: Bought, fault: Fault, *, times: int | None = 1, **more: Any) -> None:
    await house.books.script(Script(fault=fault, times=times, payment_ref=order.payments[0], **more))


def _refund(case: Any) -> Any:
    (operation,) = [one for one in case["operations"] if one["action"] == "refund"]
    return operation


async def _paid_once(house: House, order: Bought, case: Any) -> None:
    """The end of every fault that passes: one refund, told as sent, and all counters where they belong."""
    assert case["status"] == "resolved"
    assert (_refund(case)["status"], _refund(case)["amount"]) == ("sent", SHARE)
    payment, line = await house.payment(order), await house.books.line(order.payments[0])
    assert (payment["reserved"], payment["refunded"]) == (0, SHARE)
    assert (line.refunds, line.refunded_minor) == (1, SHARE)
    assert await house.line_awarded(order) == SHARE
    await all_holds(house)


async def _nothing_paid(house: House, order: Bought) -> None:
    """The end of every refund that failed for good: everything it had taken is given back."""
    payment, line = await house.payment(order), await house.books.line(order.payments[0])
    assert (payment["reserved"], payment["refunded"], line.refunded_minor) == (0, 0, 0)
    assert await house.line_awarded(order) == 0
    assert await house.value("SELECT coalesce(sum(awarded), 0) FROM harm WHERE order_id = $1", payment["order_id"]) == 0
    await all_holds(house)


async def _between_calls(house: House, case: Any, ahead: timedelta) -> None:
    """Time goes by while no call of the case is under way: the lease of one would be over before its answer is stored."""
    passes = """
        UPDATE app_clock SET ahead = ahead + $2 WHERE NOT EXISTS (SELECT FROM try t JOIN attempt a ON a.id = t.attempt_id
            JOIN operation o ON o.id = a.operation_id WHERE o.case_id = $1 AND t.result IS NULL) RETURNING true"""
    await house.until(lambda: house.value(passes, uuid_of(case["id"]), ahead), bool)


async def _with_people(house: House, case: Any) -> Any:
    return await house.until_case(case["id"], lambda found: found["status"] == "with_people")


# ---------------------------------------------------------------------------------------------------------- what passes by itself


async def test_a_refund_that_never_left_is_sent_again_under_the_same_key(house: House, order: Bought) -> None:
    await _script(house, order, Fault.UNREACHABLE, times=None)
    case = await house.report("stream_outage", order, wait=0)
    assert (case["status"], _refund(case)["status"]) == ("working", "working")
    await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["tries"][:2] == ["NOT_SENT"] * 2)
    await house.books.clear()
    await _between_calls(house, case, timedelta(minutes=2))
    case = await house.until_case(case["id"], lambda found: found["status"] != "working")
    (operation,) = await house.operations(case["id"])
    (attempt,) = operation["attempts"]
    assert (operation["state"], attempt["state"]) == ("DONE", "SUCCEEDED")
    assert (set(attempt["tries"][:-1]), attempt["tries"][-1]) == ({"NOT_SENT"}, "ANSWERED")
    await _paid_once(house, order, case)


async def test_while_the_processor_cannot_be_reached_the_money_is_reserved_and_nothing_is_claimed(house: House, order: Bought) -> None:
    await _script(house, order, Fault.UNREACHABLE, times=None)
    case = await house.report("stream_outage", order, wait=0)
    operation = await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["tries"][0] == "NOT_SENT")
    assert (operation["state"], operation["attempts"][0]["state"], operation["accepted_at"]) == ("SENT", "PREPARED", None)
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (SHARE, 0)
    seen = await house.case(case["id"])
    assert (seen["status"], _refund(seen)["status"]) == ("working", "working")
    assert await broken_sums(house) == {}
    await house.books.clear()
    await house.pass_time(timedelta(minutes=2))
    await _paid_once(house, order, await house.until_case(case["id"], lambda found: found["status"] != "working"))


@pytest.mark.parametrize("fault", [Fault.NO_ANSWER, Fault.LOST_ANSWER])
async def test_a_refund_without_an_answer_is_asked_for_again_and_paid_once(house: House, order: Bought, fault: Fault) -> None:
    await _script(house, order, fault)
    case = await house.report("stream_outage", order)
    (operation,) = await house.operations(case["id"])
    (attempt,) = operation["attempts"]
    # Unknown once, or more often where this machine stood still for as long as a call waits.
    assert (attempt["state"], set(attempt["tries"][:-1]), attempt["tries"][-1]) == ("SUCCEEDED", {"UNKNOWN"}, "ANSWERED")
    await _paid_once(house, order, case)


async def test_what_nobody_answered_is_unknown_and_neither_paid_nor_given_back(house: House, order: Bought) -> None:
    await _script(house, order, Fault.NO_ANSWER, times=None)
    case = await house.report("stream_outage", order, wait=0)
    operation = await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["state"] == "UNKNOWN")
    assert operation["state"] == "SENT"
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (SHARE, 0)
    assert _refund(await house.case(case["id"]))["status"] == "working"
    await house.books.clear()
    await house.pass_time(timedelta(minutes=2))
    await _paid_once(house, order, await house.until_case(case["id"], lambda found: found["status"] != "working"))


async def test_a_request_that_arrives_after_its_repeat_pays_nothing_more(house: House, order: Bought) -> None:
    await _script(house, order, Fault.IN_FLIGHT)
    case = await house.report("stream_outage", order)
    assert await house.books.deliver() == 1
    await _paid_once(house, order, case)


async def test_a_request_that_arrives_before_its_repeat_is_found_and_not_repeated(house: House, order: Bought) -> None:
    await _script(house, order, Fault.IN_FLIGHT)
    await _script(house, order, Fault.NO_ANSWER, times=None)
    case = await house.report("stream_outage", order, wait=0)
    await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["state"] == "UNKNOWN")
    assert await house.books.deliver() == 1
    await house.books.clear()
    await house.pass_time(timedelta(minutes=2))
    await _paid_once(house, order, await house.until_case(case["id"], lambda found: found["status"] != "working"))


async def test_a_rail_that_asks_for_patience_gets_it(house: House, order: Bought) -> None:
    await _script(house, order, Fault.RATE_LIMITED, retry_after_seconds=1800)
    case = await house.report("stream_outage", order, wait=0)
    operation = await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["tries"] == ["ANSWERED"])
    assert (operation["state"], operation["attempts"][0]["state"]) == ("SENT", "PREPARED")
    now = await house.value("SELECT app_now()")
    assert timedelta(minutes=29) < operation["due_at"] - now <= timedelta(minutes=30)
    assert await house.value("SELECT count(*) FROM brake") == 0
    await house.pass_time(timedelta(minutes=31))
    # Who looked before the gate had heard of it was put off for a minute more.
    assert house.app is not None
    await house.app.gate.refresh()
    await _between_calls(house, case, timedelta(minutes=2))
    case = await house.until_case(case["id"], lambda found: found["status"] != "working")
    (operation,) = await house.operations(case["id"])
    assert [one["tries"] for one in operation["attempts"]] == [["ANSWERED", "ANSWERED"]]
    await _paid_once(house, order, case)


async def test_a_processor_out_of_reach_for_longer_than_a_key_lives_still_pays_once(house: House, order: Bought) -> None:
    await _script(house, order, Fault.UNREACHABLE, times=None)
    case = await house.report("stream_outage", order, wait=0)
    await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["tries"][0] == "NOT_SENT")
    await house.pass_time(DAY)
    await house.books.script_instead(Script(fault=Fault.NO_ANSWER, payment_ref=order.payments[0]))
    await house.pass_time(timedelta(minutes=2))
    await house.until_operation(case["id"], lambda one: "UNKNOWN" in one["attempts"][0]["tries"])
    await house.pass_time(timedelta(minutes=2))
    # The key was first used after that day: its window starts there, so that nobody has to look.
    await _paid_once(house, order, await house.until_case(case["id"], lambda found: found["status"] != "working"))


# ------------------------------------------------------------------------------------------------------------------ a refused key


async def test_a_refused_key_stops_the_rail_calls_people_and_pays_when_it_is_mended(house: House, order: Bought) -> None:
    await _script(house, order, Fault.UNAUTHORISED)
    case = await house.report("stream_outage", order, wait=0)
    await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["tries"] == ["ANSWERED"])
    brake = await house.rows("SELECT scope, ref FROM brake")
    assert brake == [{"scope": "rail", "ref": "sandbox"}]
    queue = await house.get("/v1/queue?skill=operations", token=house.desk.lead)
    stopped = await house.rows("SELECT DISTINCT case_id FROM timeline WHERE kind = 'rail_stopped'")
    # (A balance that was too low is theirs to know, too.)
    assert len({one["id"] for one in queue["cases"]} & {wire(WireId.CASE, row["case_id"]) for row in stopped}) == 1
    # However often it is due, nothing is sent while the rail is stopped.
    for _ in range(2):
        await house.pass_time(timedelta(minutes=2))
        due = await house.value("SELECT app_now()")
        await house.until_operation(case["id"], lambda one, due=due: one["due_at"] > due)  # type: ignore[misc]
    (operation,) = await house.operations(case["id"])
    assert [one["tries"] for one in operation["attempts"]] == [["ANSWERED"]]
    answer = await house.client.delete("/v1/brakes/rail/sandbox", headers=bearer(house.desk.lead))
    assert answer.status_code == 204, answer.text
    await house.pass_time(timedelta(minutes=2))
    await _paid_once(house, order, await house.until_case(case["id"], lambda found: found["status"] != "working"))


# --------------------------------------------------------------------------------------------------------------- what was refused


async def test_a_refund_that_is_refused_as_wrong_gives_everything_back_and_goes_to_people(house: House, order: Bought) -> None:
    await _script(house, order, Fault.DECLINED, detail="bug")
    case = await _with_people(house, await house.report("stream_outage", order))
    assert _refund(case)["status"] == "could_not"
    (operation,) = await house.operations(case["id"])
    assert (operation["state"], operation["attempts"][0]["state"], operation["attempts"][0]["failure"]) == ("REFUSED", "REJECTED", "bug")
    assert (await house.case_row(case["id"]))["skill"] == "payments"
    await _nothing_paid(house, order)


async def test_a_refund_that_people_took_back_at_the_processor_gives_everything_back(house: House, order: Bought) -> None:
    await _script(house, order, Fault.FAILED, detail="merchant_request")
    case = await _with_people(house, await house.report("stream_outage", order))
    assert _refund(case)["status"] == "could_not"
    await _nothing_paid(house, order)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.FAILED, "expired_or_canceled_card"),
        (Fault.FAILED, "lost_or_stolen_card"),
        (Fault.FAILED, "unknown"),
        (Fault.DECLINED, "declined"),
    ],
)
async def test_money_that_cannot_go_back_stays_owed_and_people_find_a_way_where_nothing_else_is_allowed(
    house: House, order: Bought, fault: Fault, reason: str
) -> None:
    await _script(house, order, fault, detail=reason)
    case = await _with_people(house, await house.report("stream_outage", order))
    (operation,) = await house.operations(case["id"])
    assert (operation["state"], operation["attempts"][0]["failure"]) == ("CHOICE_NEEDED", reason)
    assert (await house.case_row(case["id"]))["skill"] == "payments"
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (SHARE, 0)
    await all_holds(house)
    assert (
        await house.post(f"/v1/operations/op_{operation['id'].hex}/refuse", {"reason": "paid in cash"}, token=house.desk.lead)
    ).status_code == 204
    await _nothing_paid(house, order)


async def test_a_balance_that_is_too_low_calls_people_and_the_same_rail_pays_when_it_is_topped_up(house: House, order: Bought) -> None:
    await _script(house, order, Fault.FAILED, detail="insufficient_funds")
    case = await house.report("stream_outage", order, wait=0)
    operation = await house.until_operation(case["id"], lambda one: bool(one["attempts"]) and one["attempts"][0]["state"] == "FAILED")
    assert (operation["state"], operation["attempts"][0]["failure"]) == ("READY", "insufficient_funds")
    told = "SELECT count(*) FROM timeline WHERE kind = 'balance_low' AND data->>'ref' = 'sandbox'"
    await house.until(lambda: house.value(told), lambda count: count == 1)
    assert (await house.payment(order))["reserved"] == SHARE
    await house.pass_time(timedelta(minutes=61))
    case = await house.until_case(case["id"], lambda found: found["status"] == "resolved")
    assert [one["state"] for one in (await house.operations(case["id"]))[0]["attempts"]] == ["FAILED", "SUCCEEDED"]
    await _paid_once(house, order, case)


async def test_a_dispute_that_only_the_processor_knows_holds_the_refund_for_people(house: House, order: Bought) -> None:
    await house.books.open_dispute(order.payments[0])
    case = await _with_people(house, await house.report("stream_outage", order))
    assert _refund(case)["status"] == "held"
    (operation,) = await house.operations(case["id"])
    assert (operation["state"], operation["holds"], operation["attempts"][0]["state"]) == ("HELD", ["dispute"], "REJECTED")
    assert (await house.payment(order))["reserved"] == SHARE
    await all_holds(house)


async def test_a_refund_that_was_made_elsewhere_is_looked_at_before_anything_more_is_sent(house: House, order: Bought) -> None:
    await _script(house, order, Fault.DECLINED, detail="already_refunded")
    case = await _with_people(house, await house.report("stream_outage", order))
    assert _refund(case)["status"] == "held"
    (operation,) = await house.operations(case["id"])
    assert (operation["state"], operation["attempts"][0]["state"]) == ("NEEDS_REVIEW", "NEEDS_REVIEW")
    await house.pass_time(timedelta(hours=2))
    later = await house.until_operation(case["id"], lambda one: one["due_at"] > operation["due_at"])
    assert [one["tries"] for one in later["attempts"]] == [["ANSWERED"]]
    assert (await house.books.line(order.payments[0])).refunds == 0
    await all_holds(house)


async def _read_again(house: House) -> None:
    """The pass of each minute; where that has begun at this very moment, it reads what is due, and this one finds nothing."""
    assert house.app is not None
    await house.app.refunds.read_again()


async def _reference_there(house: House, order: Bought) -> str:
    """What the processor itself calls the only refund of the order's payment."""
    url = house.settings.sandbox_database_url
    assert url is not None
    async with await open_sandbox(url.reveal(), connections_max=1) as pool:
        found: str = await pool.fetchval("SELECT ref FROM sandbox.refund WHERE payment_ref = $1", order.payments[0])
    return found


async def test_a_key_past_its_window_is_never_used_again(house: House, order: Bought) -> None:
    await _script(house, order, Fault.LOST_ANSWER)
    await _script(house, order, Fault.NO_ANSWER, times=None, call="any")
    case = await house.report("stream_outage", order, wait=0)
    await house.until_operation(case["id"], lambda one: one["attempts"] != [] and one["attempts"][0]["state"] == "UNKNOWN")
    await house.pass_time(DAY)
    await house.books.forget_keys()
    case = await _with_people(house, case)
    assert _refund(case)["status"] == "held"
    tried = (await house.operations(case["id"]))[0]["attempts"][0]["tries"]
    await house.books.clear()
    (operation,) = await house.operations(case["id"])
    await house.pass_time(timedelta(hours=2))
    later = await house.until_operation(case["id"], lambda one: one["due_at"] > operation["due_at"])
    assert (later["state"], later["attempts"][0]["state"]) == ("NEEDS_REVIEW", "NEEDS_REVIEW")
    assert later["attempts"][0]["tries"] == tried
    assert (await house.books.line(order.payments[0])).refunds == 1
    assert await broken_sums(house) == {}
    # The lead finds it in the processor's dashboard, and the books agree again.
    (refund,) = await house.rows("SELECT id FROM operation WHERE id = $1", operation["id"])
    body = {"moved": True, "reference": "re_found_by_hand"}
    answer = await house.post(f"/v1/operations/op_{refund['id'].hex}/judge", body, token=house.desk.lead)
    assert answer.status_code in {200, 204}, answer.text
    await all_holds(house)
    # It is looked at as long as any other: the bank may still return the money.
    assert await house.books.fail_late(await _reference_there(house, order), "lost_or_stolen_card")
    await house.pass_time(DAY)
    await _read_again(house)
    operation = await house.until_operation(case["id"], lambda one: one["state"] == "CHOICE_NEEDED")
    assert operation["attempts"][0]["state"] == "FAILED"
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (SHARE, 0)
    await all_holds(house)


# ----------------------------------------------------------------------------------------------------------------- what takes time


async def test_an_accepted_refund_is_told_as_sent_and_counted_when_it_arrives(house: House, order: Bought) -> None:
    await _script(house, order, Fault.ACCEPTED)
    case = await house.report("stream_outage", order)
    assert (case["status"], _refund(case)["status"]) == ("resolved", "sent")
    (operation,) = await house.operations(case["id"])
    assert (operation["state"], operation["attempts"][0]["state"]) == ("SENT", "ACCEPTED")
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (SHARE, 0)
    await all_holds(house)
    facts = await house.value("SELECT count(*) FROM order_fact WHERE order_id = $1", payment["order_id"])
    told = await house.value("SELECT count(*) FROM outbox WHERE order_id = $1", payment["order_id"])
    # It is looked at for days, and what is not new is neither written down nor told.
    for _ in range(3):
        before = (await house.operations(case["id"]))[0]["due_at"]
        await house.pass_time(timedelta(minutes=11))
        await house.until_operation(case["id"], lambda one, before=before: one["due_at"] > before + timedelta(minutes=5))  # type: ignore[misc]
    assert await house.value("SELECT count(*) FROM order_fact WHERE order_id = $1", payment["order_id"]) == facts
    assert await house.value("SELECT count(*) FROM outbox WHERE order_id = $1", payment["order_id"]) == told
    assert await house.books.settle(operation["attempts"][0]["provider_ref"])
    await house.pass_time(timedelta(minutes=11))
    await house.until_operation(case["id"], lambda one: one["state"] == "DONE")
    await _paid_once(house, order, await house.case(case["id"]))


async def test_an_accepted_refund_that_fails_later_opens_its_case_again(house: House, order: Bought) -> None:
    await _script(house, order, Fault.ACCEPTED)
    case = await house.report("stream_outage", order)
    assert case["status"] == "resolved"
    (operation,) = await house.operations(case["id"])
    assert await house.books.fail_late(operation["attempts"][0]["provider_ref"], "lost_or_stolen_card")
    await house.pass_time(timedelta(minutes=11))
    later = await house.until_operation(case["id"], lambda one: one["state"] == "CHOICE_NEEDED")
    assert (later["attempts"][0]["state"], later["attempts"][0]["failure"]) == ("FAILED", "lost_or_stolen_card")
    await _with_people(house, case)
    assert (await house.case_row(case["id"]))["skill"] == "payments"
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (SHARE, 0)
    await all_holds(house)


async def test_a_settled_refund_that_the_bank_sends_back_weeks_later_is_noticed_and_owed_again(house: House, order: Bought) -> None:
    case = await house.report("stream_outage", order)
    (operation,) = await house.operations(case["id"])
    assert operation["state"] == "DONE"
    assert await house.books.fail_late(operation["attempts"][0]["provider_ref"], "expired_or_canceled_card")
    await house.pass_time(timedelta(days=20))
    await _read_again(house)
    await _with_people(house, case)
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (SHARE, 0)
    await all_holds(house)
