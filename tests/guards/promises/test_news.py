"""What processors tell: twice, in any order, late, of refunds that are not ours; applied once, and never against what is known."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from service.ports import Event
from service.store.inbox import InboxStore
from tests.guards.ground import PRICE, SILENT, Ground, Order

FAILED = {"failure": "expired_or_canceled_card"}


async def _unknown(ground: Ground) -> tuple[Order, UUID]:
    """Sent, and nobody answered."""
    order, operation = await ground.refund()
    ground.first.answers = [SILENT]
    await ground.advance(operation)
    return order, operation


async def test_news_that_come_twice_are_applied_once(ground: Ground) -> None:
    order, operation = await _unknown(ground)
    assert [await ground.news(order, operation, "SUCCEEDED") for _ in range(3)] == ["applied", "known", "known"]
    assert await ground.payment(order) == (0, PRICE, 0)
    assert await ground.facts(order, "refund_done") == 1


async def test_an_acceptance_that_comes_after_the_end_changes_nothing(ground: Ground) -> None:
    order, operation = await _unknown(ground)
    assert await ground.news(order, operation, "SUCCEEDED") == "applied"
    assert await ground.news(order, operation, "ACCEPTED") == "known"
    assert (await ground.operation(operation))["state"] == "DONE"
    assert await ground.payment(order) == (0, PRICE, 0)


async def test_a_success_that_comes_after_the_failure_changes_nothing(ground: Ground) -> None:
    """A late failure is the later news, in whichever order they arrive; the customer has been asked for another way."""
    order, operation = await _unknown(ground)
    assert await ground.news(order, operation, "FAILED", **FAILED) == "applied"
    assert await ground.news(order, operation, "SUCCEEDED") == "known"
    assert (await ground.operation(operation))["state"] == "CHOICE_NEEDED"
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_a_success_after_the_failure_of_the_same_refund_is_a_disagreement_for_people_once(ground: Ground) -> None:
    """One of the two words is old or wrong. Until people know which, nothing is paid another way without being read again."""
    order, operation = await _unknown(ground)
    assert await ground.news(order, operation, "FAILED", **FAILED) == "applied"
    assert [await ground.news(order, operation, "SUCCEEDED") for _ in range(3)] == ["known"] * 3
    assert await ground.facts(order, "books_disagree") == 1
    said = await ground.row("SELECT data FROM order_fact WHERE order_id = $1 AND kind = 'books_disagree'", order.id)
    told = {"operation": str(operation), "field": "state", "said": "SUCCEEDED", "kept": "FAILED", "provider_ref": "re_1"}
    assert said["data"] == told
    assert await ground.value("SELECT count(*) FROM cases WHERE order_id = $1 AND owner = 'queue' AND skill = 'payments'", order.id) == 1


async def test_the_failure_of_what_had_succeeded_is_no_disagreement_when_the_success_is_told_again(ground: Ground) -> None:
    order, operation = await _unknown(ground)
    for state in ("SUCCEEDED", "FAILED"):
        assert await ground.news(order, operation, state, **(FAILED if state == "FAILED" else {})) == "applied"
    assert await ground.news(order, operation, "SUCCEEDED") == "known"
    assert await ground.facts(order, "books_disagree") == 0


async def test_a_failure_that_comes_after_the_success_is_owed_again(ground: Ground) -> None:
    order, operation = await _unknown(ground)
    assert await ground.news(order, operation, "SUCCEEDED") == "applied"
    assert await ground.news(order, operation, "FAILED", **FAILED) == "applied"
    assert (await ground.operation(operation))["state"] == "CHOICE_NEEDED"
    assert await ground.payment(order) == (PRICE, 0, 0)


@pytest.mark.parametrize("said", [{"amount": PRICE - 1}, {"currency": "USD"}], ids=str)
async def test_another_amount_than_ours_is_not_our_refund(ground: Ground, said: dict[str, Any]) -> None:
    order, operation = await _unknown(ground)
    assert await ground.news(order, operation, "SUCCEEDED", **said) == "mismatch"
    assert (await ground.operation(operation))["state"] == "SENT"
    assert await ground.facts(order, "books_disagree") == 1


async def test_a_second_refund_under_our_name_is_money_that_left_twice(ground: Ground) -> None:
    order, operation = await _unknown(ground)
    assert await ground.news(order, operation, "SUCCEEDED", "re_1") == "applied"
    assert await ground.news(order, operation, "SUCCEEDED", "re_2") == "elsewhere"
    assert await ground.payment(order) == (0, PRICE, PRICE)
    assert await ground.facts(order, "excess") >= 1


async def test_money_that_came_after_a_person_had_given_it_up_is_counted(ground: Ground) -> None:
    order, operation = await _unknown(ground)
    await ground.pool.execute("UPDATE attempt SET state = 'NEEDS_REVIEW' WHERE operation_id = $1", operation)
    await ground.pool.execute("UPDATE operation SET state = 'NEEDS_REVIEW' WHERE id = $1", operation)
    await ground.value("SELECT operation_judge($1, $2, 'Ana', false, NULL)", ground.platform, operation)
    assert await ground.payment(order) == (0, 0, 0)
    assert await ground.news(order, operation, "SUCCEEDED") == "elsewhere"
    assert await ground.payment(order) == (0, 0, PRICE)


async def test_a_worker_that_was_sending_when_the_news_came_stores_nothing_over_it(ground: Ground) -> None:
    order, operation = await ground.refund()
    epoch = await ground.lease(operation)
    begun = await ground.begin(operation, epoch)
    assert await ground.news(order, operation, "ACCEPTED") == "applied"
    step = {"result": "ANSWERED", "attempt_state": "REJECTED", "state": "REFUSED", "failure": "not_found"}
    assert (await ground.record(operation, epoch, begun, **step))["status"] == "lost"
    assert await ground.payment(order) == (PRICE, 0, 0)


async def test_a_refund_made_by_others_is_counted_once_whoever_tells_of_it(ground: Ground) -> None:
    order = await ground.order()
    document: dict[str, Any] = {"rail": "first", "payment_ref": order.refs[0], "provider_ref": "re_dashboard", "state": "SUCCEEDED"}
    document |= {"amount": 900, "currency": "EUR", "source": "first"}
    assert [(await ground.store.refund_news(document))["status"] for _ in range(2)] == ["elsewhere", "known"]
    assert await ground.payment(order) == (0, 0, 900)


async def test_a_reference_that_two_payments_share_is_nobodys_and_people_hear_of_it_once(ground: Ground) -> None:
    """Whichever of them was meant, the other would count as paid back."""
    first, second = await ground.order(), await ground.order()
    await ground.pool.execute("UPDATE payment SET provider_ref = $2 WHERE order_id = $1", second.id, first.refs[0])
    document: dict[str, Any] = {"rail": "first", "payment_ref": first.refs[0], "provider_ref": "re_whose", "state": "SUCCEEDED"}
    document |= {"amount": 900, "currency": "EUR", "source": "first"}
    assert [(await ground.store.refund_news(document))["status"] for _ in range(2)] == ["unknown_payment"] * 2
    assert [await ground.payment(order) for order in (first, second)] == [(0, 0, 0)] * 2
    alerts = await ground.pool.fetch(
        "SELECT DISTINCT c.id, t.data, c.owner, c.skill FROM timeline t JOIN cases c ON c.platform_id = t.platform_id AND c.id = t.case_id"
        " WHERE t.platform_id = $1 AND t.kind = 'payment_ambiguous'",
        ground.platform,
    )
    assert [(one["data"], one["owner"], one["skill"]) for one in alerts] == [({"ref": first.refs[0]}, "queue", "operations")]


async def test_our_own_refund_is_known_though_two_payments_share_a_reference(ground: Ground) -> None:
    order, operation = await _unknown(ground)
    other = await ground.order()
    await ground.pool.execute("UPDATE payment SET provider_ref = $2 WHERE order_id = $1", other.id, order.refs[0])
    assert await ground.news(order, operation, "SUCCEEDED") == "applied"
    assert [await ground.payment(one) for one in (order, other)] == [(0, PRICE, 0), (0, 0, 0)]


async def test_a_notification_is_kept_once(ground: Ground) -> None:
    store, rail = InboxStore(ground.pool), uuid4().hex
    event = Event(id="evt_1", kind="refund.updated", happened_at=None, about={"object": "re_1"})
    assert [await store.keep(rail, [event]) for _ in range(2)] == [1, 0]
    assert len(await store.claim([rail], 10, 60.0)) == 1
