"""The sandbox tells what happens to its charges and refunds, twice and out of order, and our books end where its own do."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest_asyncio

from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought
from service.model import Money
from tests.promises.house import House, broken_sums, stream
from tests.webhooks.stub import POSTING_SECRET
from tests.webhooks.test_disputes import PRICE, SHARE, decide, passes, proposed, refund_of

_ORDER_OF_POSTS: Final = random.Random(20)  # noqa: S311 - a shuffle that is the same each time


@pytest_asyncio.fixture(loop_scope="session")
async def order(posting_house: House, request: Any) -> Bought:
    """An order that an outage, now over, has touched."""
    now, show = datetime.now(UTC), f"s{abs(hash(request.node.name)):x}"
    await posting_house.shop.show(show, starts_in=timedelta(minutes=-60))
    await posting_house.shop.incident(show, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    return await posting_house.shop.order(show, [stream(PRICE)])


async def post_all(house: House) -> None:
    """Everything that the sandbox has ever told arrives, twice, shuffled, and is applied."""
    posts = [*await house.books.notifications(POSTING_SECRET, datetime.now(UTC))] * 2
    _ORDER_OF_POSTS.shuffle(posts)
    for post in posts:
        answer = await house.client.post("/webhooks/sandbox/sandbox", content=post.body, headers=dict(post.headers))
        assert answer.status_code == 200, answer.text
    await house.books.delivered(*{post.id for post in posts})
    await settled(house)


async def settled(house: House) -> None:
    async def waiting() -> Any:
        return await house.value("SELECT count(*) FROM webhook_inbox WHERE outcome IS NULL")

    await house.until(waiting, lambda found: found == 0)


async def test_an_accepted_refund_is_done_when_the_sandbox_says_so_and_asks_again_when_it_comes_back(
    posting_house: House, order: Bought
) -> None:
    house = posting_house
    await house.books.script(Script(fault=Fault.ACCEPTED, payment_ref=order.payments[0]))
    case = await house.report("stream_outage", order)
    found = await refund_of(house, case)
    assert (found["state"], found["attempts"][0]["state"]) == ("SENT", "ACCEPTED")
    reference = found["attempts"][0]["provider_ref"]
    assert await house.books.settle(reference)
    await post_all(house)
    assert (await refund_of(house, case))["state"] == "DONE"
    assert (await house.payment(order))["refunded"] == SHARE
    assert await house.books.fail_late(reference, "expired_or_canceled_card")
    await post_all(house)
    assert (await refund_of(house, case))["state"] == "CHOICE_NEEDED"
    assert ((await house.payment(order))["refunded"], (await house.payment(order))["reserved"]) == (0, SHARE)
    assert (await house.case(case["id"]))["state"] == "open"
    assert await broken_sums(house) == {}


async def test_a_refund_in_the_dashboard_is_counted_and_never_paid_twice(posting_house: House, order: Bought) -> None:
    house = posting_house
    assert await house.books.refund_elsewhere(order.payments[0], Money(minor=PRICE - 100, currency="EUR"))
    await post_all(house)
    assert (await house.payment(order))["refunded_elsewhere"] == PRICE - 100
    await house.report("stream_outage", order)
    assert (await house.books.line(order.payments[0])).refunded_minor <= PRICE
    assert await broken_sums(house) == {}


async def test_a_dispute_that_is_opened_and_lost_ends_in_our_books_as_in_the_sandboxes(posting_house: House, order: Bought) -> None:
    house = posting_house
    await house.books.open_dispute(order.payments[0])
    await house.books.lose_dispute(order.payments[0])
    await post_all(house)
    payment = await house.payment(order)
    assert (payment["dispute"], payment["refunded_elsewhere"]) == ("lost", PRICE)
    assert await passes(house, order) == {"void"}
    assert await broken_sums(house) == {}


async def test_a_warning_is_paid_back_once_when_a_person_says_yes(posting_house: House, order: Bought) -> None:
    house = posting_house
    await house.books.warn(order.payments[0])
    await post_all(house)
    (proposal,) = await proposed(house, order)
    assert (await decide(house, f"op_{proposal['id'].hex}", "approve", house.desk.lead)).status_code == 200
    await house.until(lambda: house.payment(order), lambda found: found["refunded"] == PRICE)
    await post_all(house)
    assert (await house.books.line(order.payments[0])).refunds == 1
    assert (await house.payment(order))["refunded"] == PRICE
    assert await broken_sums(house) == {}


async def test_what_was_never_delivered_is_caught_up_with(posting_house: House, order: Bought) -> None:
    house = posting_house
    await post_all(house)
    await house.books.open_dispute(order.payments[0])
    assert house.app is not None
    await house.app.jobs.catch_up()
    await house.until(lambda: house.payment(order), lambda found: found["dispute"] == "open")
