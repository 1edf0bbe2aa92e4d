"""A dispute holds a payment's money, its end decides what becomes of it; a bank's warning is for people; others' refunds count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, Final, Literal

import httpx
import pytest
import pytest_asyncio

from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought, bearer
from service.model import Money, WireId, wire
from service.ports import DisputeNews, Event, News, RefundNews, RefundSeen, Unavailable, WarningNews
from service.store.inbox import InboxStore
from tests.promises.house import House, all_holds, broken_sums, stream, uuid_of
from tests.webhooks.stub import StubWebhook, signed

PRICE: Final = 2500
SHARE: Final = 694  # 25 of 90 minutes of 25.00
START: Final = datetime.now(UTC) - timedelta(hours=2)


@pytest_asyncio.fixture(loop_scope="session")
async def show(house: House, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A show with an outage that is over."""
    now, ref = datetime.now(UTC), f"s{abs(hash(request.node.name)):x}"
    await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(ref, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    yield ref
    await house.books.clear()
    await house.pool.execute("DELETE FROM brake")


def dispute(order: Bought, state: Literal["open", "won", "lost"], *, amount: int = PRICE, ref: str = "dp_1") -> DisputeNews:
    return DisputeNews(payment_ref=order.payments[0], dispute_ref=ref, state=state, amount=Money(minor=amount, currency="EUR"))


def dashboard(order: Bought, amount: int, *, ref: str = "re_1", state: Literal["SUCCEEDED", "FAILED"] = "SUCCEEDED") -> RefundNews:
    seen = RefundSeen(provider_ref=f"{ref}_{order.ref}", state=state, amount=Money(minor=amount, currency="EUR"), at=START)
    return RefundNews(payment_ref=order.payments[0], refund=seen)


async def tell(house: House, stub: StubWebhook, news: News, *, minute: int = 0) -> str | None:
    """The news arrives as a signed notification of that minute; what became of it."""
    event = stub.told(news, at=START + timedelta(minutes=minute))
    assert (await house.client.post("/webhooks/sandbox", **signed(event))).status_code == 200

    async def outcome() -> Any:
        return await house.value("SELECT outcome FROM webhook_inbox WHERE event_id = $1", event.id)

    found: str = await house.until(outcome, lambda found: found is not None)
    return found


async def pause(house: House, show: str) -> None:
    answer = await house.client.put(f"/v1/brakes/show/{show}", json={"reason": "a test"}, headers=bearer(house.desk.lead))
    assert answer.status_code == 200, answer.text


async def resume(house: House, show: str) -> None:
    assert (await house.client.delete(f"/v1/brakes/show/{show}", headers=bearer(house.desk.lead))).status_code == 204


async def unsent(house: House, show: str, **more: Any) -> tuple[Bought, Any]:
    """An order, and a case with a refund that is ready and has not left."""
    await pause(house, show)
    order = await house.shop.order(show, [stream(PRICE)], **more)
    case = await house.report("stream_outage", order, wait=0)
    await house.until_operation(case["id"], lambda found: found["state"] == "READY")
    return order, case


async def refund_of(house: House, case: Any) -> dict[str, Any]:
    (found,) = [one for one in await house.operations(case["id"]) if one["action"] == "refund"]
    return found


async def decide(house: House, operation: str, word: str, token: str) -> httpx.Response:
    if word == "approve":
        return await house.agree(operation, "looked at it", token=token)
    return await house.post(f"/v1/operations/{operation}/{word}", {"reason": "looked at it"}, token=token)


async def facts(house: House, order: Bought) -> list[str]:
    payment = await house.payment(order)
    found = await house.rows("SELECT kind FROM order_fact WHERE order_id = $1 ORDER BY seq", payment["order_id"])
    return [row["kind"] for row in found]


async def passes(house: House, order: Bought) -> set[str]:
    payment = await house.payment(order)
    return {row["status"] for row in await house.rows("SELECT status FROM pass WHERE order_id = $1", payment["order_id"])}


# ------------------------------------------------------------------------------------------------------- open, and won


async def test_a_dispute_holds_what_has_not_left_and_a_won_one_lets_it_go_once(house: House, stub: StubWebhook, show: str) -> None:
    order, case = await unsent(house, show)
    assert await tell(house, stub, dispute(order, "open")) == "applied"
    held, payment = await refund_of(house, case), await house.payment(order)
    assert (held["state"], held["holds"], held["paused_state"]) == ("HELD", ["dispute"], "READY")
    assert (payment["dispute"], payment["disputed"], payment["reserved"]) == ("open", PRICE, SHARE)
    assert (await house.case(case["id"]))["status"] == "with_people"
    refused = await decide(house, case_operation(case), "approve", house.desk.lead)
    assert refused.status_code == 409, refused.text
    await resume(house, show)
    assert await tell(house, stub, dispute(order, "won"), minute=1) == "applied"
    await house.until_case(case["id"], lambda found: found["status"] == "resolved")
    assert (await house.payment(order))["refunded"] == SHARE
    assert (await house.books.line(order.payments[0])).refunds == 1
    assert {"dispute_opened", "refund_held", "refund_released", "dispute_closed"} <= set(await facts(house, order))
    await all_holds(house)


def case_operation(case: Any) -> str:
    (operation,) = case["operations"]
    found: str = operation["id"]
    return found


async def test_what_people_hold_stays_held_when_the_dispute_is_won(house: House, stub: StubWebhook, show: str) -> None:
    await house.shop.show(f"{show}x", starts_in=timedelta(days=20), status="cancelled")
    order = await house.shop.order(f"{show}x", [stream(48_000)])
    case = await house.report("show_cancelled", order)
    before = await refund_of(house, case)
    assert before["state"] == "HELD"
    await tell(house, stub, dispute(order, "open", amount=48_000))
    assert (await refund_of(house, case))["holds"] == [*before["holds"], "dispute"]
    await tell(house, stub, dispute(order, "won", amount=48_000), minute=1)
    after = await refund_of(house, case)
    assert (after["state"], after["holds"]) == ("HELD", before["holds"])
    assert await broken_sums(house) == {}


async def test_what_may_have_left_is_followed_up_and_not_held(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await house.books.script(Script(fault=Fault.LOST_ANSWER, times=1, payment_ref=order.payments[0]))
    # It stays unknown for as long as this takes.
    await house.books.script(Script(fault=Fault.NO_ANSWER, times=None, payment_ref=order.payments[0]))
    await house.books.script(Script(fault=Fault.UNREACHABLE, times=None, payment_ref=order.payments[0], call="read"))
    case = await house.report("stream_outage", order, wait=0)
    await house.until_operation(case["id"], lambda found: found["attempts"] and found["attempts"][0]["tries"][0] == "UNKNOWN")
    await tell(house, stub, dispute(order, "open"))
    assert (await refund_of(house, case))["state"] == "SENT"
    await house.books.clear()
    await house.pass_time(timedelta(minutes=2))
    await house.until_operation(case["id"], lambda found: found["state"] == "DONE")
    assert (await house.books.line(order.payments[0])).refunds == 1
    await all_holds(house)


async def test_a_case_that_waits_for_the_end_of_a_dispute_is_decided_again(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await tell(house, stub, dispute(order, "open"))
    case = await house.report("stream_outage", order)
    assert (case["status"], case["operations"]) == ("with_people", [])
    await house.pool.execute(  # as a pack of the platform's own may decide
        "UPDATE cases SET owner = 'timer', wait_for = 'dispute_closed', due_at = now() + interval '30 days' WHERE id = $1",
        uuid_of(case["id"]),
    )
    await tell(house, stub, dispute(order, "won"), minute=1)
    await house.until_case(case["id"], lambda found: found["status"] == "resolved")
    assert (await house.payment(order))["refunded"] == SHARE
    await all_holds(house)


async def test_what_the_feed_says_of_a_dispute_holds_and_releases_as_well(house: House, show: str) -> None:
    order, case = await unsent(house, show)
    await house.shop.order(show, [stream(PRICE)], ref=order.ref, dispute="open")
    assert (await refund_of(house, case))["state"] == "HELD"
    await house.shop.order(show, [stream(PRICE)], ref=order.ref, dispute="won")
    assert (await refund_of(house, case))["state"] == "READY"
    assert await broken_sums(house) == {}


async def test_a_feed_that_comes_late_opens_no_dispute_that_the_processor_has_ended(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await tell(house, stub, dispute(order, "won"))
    await house.shop.order(show, [stream(PRICE)], ref=order.ref, dispute="open")
    assert (await house.payment(order))["dispute"] == "won"


# ---------------------------------------------------------------------------------------------------------------- lost


@pytest.mark.parametrize("issuer", ["makegood", "platform"])
async def test_a_lost_dispute_counts_refuses_and_voids(house: House, stub: StubWebhook, show: str, issuer: str) -> None:
    order, case = await unsent(house, show, issuer=issuer)
    await tell(house, stub, dispute(order, "open"))
    assert await tell(house, stub, dispute(order, "lost"), minute=1) == "applied"
    await resume(house, show)
    refund, payment = await refund_of(house, case), await house.payment(order)
    assert refund["state"] == "REFUSED"
    assert (payment["dispute"], payment["refunded_elsewhere"], payment["reserved"], payment["refunded"]) == ("lost", PRICE, 0, 0)
    assert await house.line_awarded(order) == 0
    await house.until(lambda: passes(house, order), lambda found: found == {"void"})
    tokens = await house.rows(
        "SELECT t.state FROM access_token t JOIN pass p ON p.id = t.pass_id WHERE p.order_id = $1 AND t.state <> 'revoked'",
        payment["order_id"],
    )
    assert tokens == []
    assert (await house.books.line(order.payments[0])).refunds == 0
    assert "excess" not in await facts(house, order)
    await all_holds(house)


async def test_a_dispute_told_as_lost_without_ever_having_been_open_ends_what_has_not_left(
    house: House, stub: StubWebhook, show: str
) -> None:
    """The bank's first word may be its last: its notification of the opening was lost, or never sent."""
    order, case = await unsent(house, show)
    assert await tell(house, stub, dispute(order, "lost")) == "applied"
    await resume(house, show)
    assert (await refund_of(house, case))["state"] == "REFUSED"
    payment = await house.payment(order)
    assert (payment["refunded_elsewhere"], payment["reserved"], payment["refunded"]) == (PRICE, 0, 0)
    assert await passes(house, order) == {"void"}
    assert (await house.books.line(order.payments[0])).refunds == 0
    assert "excess" not in await facts(house, order)
    await all_holds(house)


async def test_nobody_writes_down_money_sent_by_hand_while_the_bank_disputes_the_payment(
    house: House, stub: StubWebhook, show: str
) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await house.books.script(Script(fault=Fault.DECLINED, times=1, payment_ref=order.payments[0], detail="expired_or_canceled_card"))
    case = await house.report("stream_outage", order, wait=0)
    await house.until_operation(case["id"], lambda found: found["state"] == "CHOICE_NEEDED")
    refund = wire(WireId.OPERATION, (await refund_of(house, case))["id"])
    by_hand = {"operation": refund, "to": "manual", "checked": "called the number on file"}
    assert (await house.post(f"/v1/cases/{case['id']}/payout", by_hand, token=house.desk.agent)).status_code == 200
    await tell(house, stub, dispute(order, "open"))
    sent = {"reference": "SEPA 4711", "sent_on": "2026-11-20"}
    answer = await house.post(f"/v1/operations/{refund}/settle", sent, token=house.desk.agent)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "disputed")
    assert (await house.payment(order))["refunded"] == 0
    await tell(house, stub, dispute(order, "won"), minute=1)
    assert (await house.post(f"/v1/operations/{refund}/settle", sent, token=house.desk.agent)).status_code == 204
    assert (await house.payment(order))["refunded"] == SHARE
    assert await broken_sums(house) == {}


async def test_a_partly_lost_dispute_leaves_the_rest_to_be_given_back(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await tell(house, stub, dispute(order, "lost", amount=1000))
    assert (await house.payment(order))["refunded_elsewhere"] == 1000
    assert await passes(house, order) == {"valid"}
    await house.report("stream_outage", order)
    payment = await house.payment(order)
    assert payment["refunded"] + payment["refunded_elsewhere"] <= PRICE
    assert await broken_sums(house) == {}


async def test_what_was_paid_before_a_lost_dispute_is_an_excess_for_people(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    case = await house.report("stream_outage", order)
    assert case["status"] == "resolved"
    await tell(house, stub, dispute(order, "lost"))
    payment = await house.payment(order)
    assert (payment["refunded"], payment["refunded_elsewhere"]) == (SHARE, PRICE)
    assert "excess" in await facts(house, order)
    queued = await house.rows("SELECT skill FROM cases WHERE order_id = $1 AND owner = 'queue'", payment["order_id"])
    assert queued == [{"skill": "payments"}]
    await all_holds(house)


# --------------------------------------------------------------------------------------------------------- in any order


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ((("open", 0), ("won", 1)), ("won", 0)),
        ((("open", 0), ("lost", 1)), ("lost", PRICE)),
        ((("open", 0), ("won", 1), ("lost", 2)), ("lost", PRICE)),
        ((("open", 0), ("lost", 1), ("won", 2)), ("won", 0)),
    ],
)
async def test_news_of_a_dispute_may_come_twice_and_in_any_order(house: House, stub: StubWebhook, show: str, said: Any, ends: Any) -> None:
    for order_of_news in permutations(said):
        order = await house.shop.order(show, [stream(PRICE)])
        for state, minute in (*order_of_news, *order_of_news):
            assert await tell(house, stub, dispute(order, state), minute=minute) == "applied"
        payment = await house.payment(order)
        assert (payment["dispute"], payment["refunded_elsewhere"]) == ends, order_of_news
    assert await broken_sums(house) == {}


async def test_a_payment_is_disputed_until_the_last_of_its_disputes_has_ended(house: House, stub: StubWebhook, show: str) -> None:
    order, case = await unsent(house, show)
    await tell(house, stub, dispute(order, "open", amount=500, ref="dp_1"))
    await tell(house, stub, dispute(order, "open", amount=600, ref="dp_2"))
    await tell(house, stub, dispute(order, "lost", amount=500, ref="dp_1"), minute=1)
    payment = await house.payment(order)
    assert (payment["dispute"], payment["refunded_elsewhere"], (await refund_of(house, case))["state"]) == ("open", 500, "HELD")
    await tell(house, stub, dispute(order, "won", amount=600, ref="dp_2"), minute=2)
    payment = await house.payment(order)
    assert (payment["dispute"], payment["refunded_elsewhere"], (await refund_of(house, case))["state"]) == ("lost", 500, "REFUSED")
    assert await broken_sums(house) == {}


async def test_news_that_comes_before_its_order_is_applied_when_the_feed_has_brought_it(house: House, stub: StubWebhook, show: str) -> None:
    later = Bought(ref="LATER", email="", show=show, payments=("ch_LATER_1",), buyer="", customer_ref="", barcodes=())
    assert await tell(house, stub, dispute(later, "open")) == "unknown_payment"
    order = await house.shop.order(show, [stream(PRICE)], ref="LATER")
    await house.pool.execute("UPDATE webhook_inbox SET next_try_at = now() WHERE outcome = 'unknown_payment' AND next_try_at IS NOT NULL")
    payment = await house.until(lambda: house.payment(order), lambda found: found["dispute"] == "open")
    assert payment["disputed"] == PRICE


async def test_everything_at_once_leaves_sums_that_hold(house: House, stub: StubWebhook, show: str) -> None:
    orders = [await house.shop.order(show, [stream(PRICE)]) for _ in range(4)]
    news = [
        (one, minute)
        for order in orders
        for one, minute in (
            (dispute(order, "open"), 0),
            (dispute(order, "won"), 1),
            (dashboard(order, 300), 2),
            (WarningNews(payment_ref=order.payments[0], warning_ref="issfr_1"), 3),
        )
    ]
    await asyncio.gather(
        *(tell(house, stub, one, minute=minute) for one, minute in (*news, *reversed(news))),
        *(house.report("stream_outage", order, wait=1) for order in orders),
    )
    for order in orders:
        payment = await house.payment(order)
        assert (payment["dispute"], payment["refunded_elsewhere"]) == ("won", 300)
        told = await facts(house, order)
        assert payment["refunded"] + payment["reserved"] + 300 <= PRICE or "excess" in told
        assert told.count("fraud_warning") == 1
    assert await broken_sums(house) == {}


# --------------------------------------------------------------------------------------------------- refunds of others


async def test_a_refund_made_elsewhere_counts_once_and_leaves_only_the_rest(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    for _ in range(2):
        assert await tell(house, stub, dashboard(order, PRICE - 100)) == "applied"
    assert (await house.payment(order))["refunded_elsewhere"] == PRICE - 100
    case = await house.report("stream_outage", order)
    payment = await house.payment(order)
    assert payment["refunded"] + payment["reserved"] <= 100
    assert case["status"] in {"with_people", "resolved"}
    assert await broken_sums(house) == {}


async def test_a_refund_elsewhere_that_came_to_nothing_counts_no_more(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await tell(house, stub, dashboard(order, PRICE))
    await tell(house, stub, dashboard(order, PRICE, state="FAILED"), minute=1)
    assert (await house.payment(order))["refunded_elsewhere"] == 0
    case = await house.report("stream_outage", order)
    assert case["status"] == "resolved"
    assert await broken_sums(house) == {}


# ------------------------------------------------------------------------------------------------------------ warnings


async def proposed(house: House, order: Bought) -> list[dict[str, Any]]:
    payment = await house.payment(order)
    return await house.rows(
        """
        SELECT c.id AS case_id, c.skill, c.problem, c.owner, c.priority, c.state AS case_state, o.id, o.state, o.amount, o.holds
        FROM operation o JOIN cases c ON c.id = o.case_id WHERE o.order_id = $1 AND o.reason = 'fraud_warning' ORDER BY o.created_at
        """,
        payment["order_id"],
    )


def warning(order: Bought, ref: str = "issfr_1") -> WarningNews:
    return WarningNews(payment_ref=order.payments[0], warning_ref=ref)


async def test_a_warning_goes_to_people_whose_yes_pays_once_and_voids(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    for minute in (0, 1):
        assert await tell(house, stub, warning(order), minute=minute) == "applied"
    (proposal,) = await proposed(house, order)
    assert (proposal["skill"], proposal["problem"], proposal["owner"], proposal["priority"]) == ("trust", "fraud", "queue", 1)
    assert (proposal["state"], proposal["amount"], proposal["holds"]) == ("HELD", PRICE, ["fraud_warning"])
    assert (await house.payment(order))["warning"] == "issfr_1"
    assert await passes(house, order) == {"valid"}
    answer = await decide(house, f"op_{proposal['id'].hex}", "approve", house.desk.lead)
    assert answer.status_code == 200, answer.text
    await house.until(lambda: house.payment(order), lambda found: found["refunded"] == PRICE)
    assert (await house.books.line(order.payments[0])).refunds == 1
    assert await passes(house, order) == {"void"}
    assert (await proposed(house, order))[0]["case_state"] == "resolved"
    await all_holds(house)


async def test_peoples_no_to_a_warning_gives_everything_back(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await tell(house, stub, warning(order))
    (proposal,) = await proposed(house, order)
    assert (await decide(house, f"op_{proposal['id'].hex}", "refuse", house.desk.lead)).status_code == 204
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (0, 0)
    await tell(house, stub, warning(order, "issfr_2"), minute=1)  # another warning is another question
    assert [one["state"] for one in await proposed(house, order)] == ["REFUSED", "HELD"]
    await all_holds(house)


async def test_a_warning_leaves_nothing_for_the_customer_to_take_meanwhile(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await tell(house, stub, warning(order))
    await house.report("stream_outage", order)
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (PRICE, 0)
    assert await broken_sums(house) == {}


async def test_a_dispute_after_a_warning_holds_what_was_proposed_and_ends_it_when_lost(house: House, stub: StubWebhook, show: str) -> None:
    order = await house.shop.order(show, [stream(PRICE)])
    await tell(house, stub, warning(order))
    await tell(house, stub, dispute(order, "open"), minute=1)
    (proposal,) = await proposed(house, order)
    assert proposal["holds"] == ["fraud_warning", "dispute"]
    assert (await decide(house, f"op_{proposal['id'].hex}", "approve", house.desk.lead)).status_code == 409
    await tell(house, stub, dispute(order, "lost"), minute=2)
    assert [one["state"] for one in await proposed(house, order)] == ["REFUSED"]
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded_elsewhere"]) == (0, PRICE)
    assert "excess" not in await facts(house, order)
    await all_holds(house)


async def test_a_warning_of_what_is_disputed_or_gone_proposes_nothing(house: House, stub: StubWebhook, show: str) -> None:
    disputed, gone = [await house.shop.order(show, [stream(PRICE)]) for _ in range(2)]
    await tell(house, stub, dispute(disputed, "open"))
    await tell(house, stub, dashboard(gone, PRICE))
    for order in (disputed, gone):
        await tell(house, stub, warning(order), minute=1)
        assert await proposed(house, order) == []
        assert "fraud_warning" in await facts(house, order)


# -------------------------------------------------------------------------------------------------------------- alerts


async def alerts(house: House, ref: str) -> list[dict[str, Any]]:
    return await house.rows(
        "SELECT c.skill, c.owner, count(*) AS entries FROM cases c JOIN timeline t ON t.case_id = c.id AND t.kind = 'webhook_failed'"
        " WHERE t.data->>'ref' = $1 GROUP BY c.id, c.skill, c.owner",
        ref,
    )


async def test_people_hear_once_of_a_webhook_that_cannot_be_applied(house: House, show: str) -> None:
    await house.shop.order(show, [stream(PRICE)])
    inbox = InboxStore(house.pool)
    for tries in range(3):
        await inbox.alert("sandbox", "webhook_failed", {"ref": "one", "tries": tries})
    assert await alerts(house, "one") == [{"skill": "operations", "owner": "queue", "entries": 3}]
    await house.pool.execute(
        "UPDATE cases SET skill = 'lead' WHERE id IN (SELECT case_id FROM timeline WHERE kind = 'webhook_failed' AND data->>'ref' = 'one')"
    )
    await inbox.alert("sandbox", "webhook_failed", {"ref": "one", "tries": 3})
    assert [one["entries"] for one in await alerts(house, "one")] == [4], "it was given on, and is the same case"
    await inbox.alert("a rail without payments", "webhook_failed", {"ref": "other"})
    assert await alerts(house, "other") == []


async def test_people_hear_at_once_of_a_key_that_the_processor_refuses(house: House, stub: StubWebhook, show: str) -> None:
    await house.shop.order(show, [stream(PRICE)])
    event = stub.told()
    stub.tells[event.id] = Unavailable("401", configuration=True)
    assert (await house.client.post("/webhooks/sandbox", **signed(event))).status_code == 200
    await house.until(lambda: alerts(house, "sandbox"), lambda found: [one["owner"] for one in found] == ["queue"])
    stub.tells[event.id] = ()


async def test_people_hear_of_a_refused_key_also_where_the_first_try_did_not_get_that_far(
    house: House, stub: StubWebhook, show: str
) -> None:
    await house.shop.order(show, [stream(PRICE)])
    event = stub.told()
    stub.tells[event.id] = Unavailable("away")
    assert (await house.client.post("/webhooks/sandbox", **signed(event))).status_code == 200
    await _until_tried(house, event, 1)
    stub.tells[event.id] = Unavailable("401", configuration=True)
    for tries in (2, 3):
        await house.pass_time(timedelta(minutes=1))
        await _until_tried(house, event, tries)
    heard = "SELECT count(*) FROM timeline WHERE kind = 'webhook_failed' AND data->>'event' = $1"
    await house.until(lambda: house.value(heard, event.id), lambda entries: entries > 0)
    stub.tells[event.id] = ()
    await house.pass_time(timedelta(minutes=1))
    await house.until(lambda: _tried(house, event), lambda row: row["outcome"] == "nothing")
    assert await house.value(heard, event.id) == 1


async def _until_tried(house: House, event: Event, times: int) -> None:
    await house.until(lambda: _tried(house, event), lambda row: row["tries"] >= times)


async def _tried(house: House, event: Event) -> dict[str, Any]:
    (row,) = await house.rows("SELECT tries, outcome FROM webhook_inbox WHERE event_id = $1", event.id)
    return row
