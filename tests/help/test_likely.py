"""What is offered before anybody asks is what is paid when they say yes, to the cent; and a look leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from service.demo.world import Bought, Item
from tests.help.test_start import orders_of
from tests.promises.house import House, all_holds, stream
from tests.promises.test_attacks import Stranger, held_by, somebody

# Everything that a case could leave behind.
KEPT: Final = (
    "cases",
    "contact",
    "message",
    "timeline",
    "decision",
    "operation",
    "operation_part",
    "harm",
    "attempt",
    "idempotency",
    "cap_use",
    "book",
    "outbox",
    "case_subject",
    "order_fact",
)


async def buyer_of(house: House, order: Bought) -> Stranger:
    return await (await somebody(house)).proves(order.email)


async def outage(house: House, ref: str, *, over: bool = True) -> str:
    """A show of 90 minutes that was down for 25 of them; or is down since 25 minutes."""
    now = datetime.now(UTC).replace(microsecond=0)
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-120) if over else timedelta(minutes=-60))
    since = now - timedelta(minutes=80 if over else 25)
    await house.shop.incident(show, "down-1", since, since + timedelta(minutes=25) if over else None)
    return show


async def likely_of(one: Stranger, **more: str) -> list[Any]:
    found = await orders_of(one, **more)
    return [likely for entry in found["orders"] for likely in entry["likely"]]


async def preview(one: Stranger, problem: str, order: Bought, **more: Any) -> Any:
    answer = await one.asks("/v1/help/preview", {"problem": problem, "order": order.ref, "show": order.show, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


# A letter about a case before leaves in the background, and says so there.
_BESIDES: Final = {"timeline": "WHERE kind NOT IN ('customer_told', 'mail_refused')"}


async def left(house: House) -> Mapping[str, int]:
    return {table: await house.value(f"SELECT count(*) FROM {table} {_BESIDES.get(table, '')}") for table in KEPT}


async def test_an_outage_is_offered_previewed_and_paid_alike_and_then_no_more(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream(), Item(kind="merchandise", name="T-shirt", price=2000)])
    one = await buyer_of(house, order)
    before = await left(house)
    (likely,) = await likely_of(one, locale="de")
    assert (likely["problem"], likely["incident"], likely["outcome"]) == ("stream_outage", "down-1", "approve")
    assert (likely["amount"], likely["currency"], likely["to"]) == (694, "EUR", "Visa ·· 4242")
    assert likely["actions"] == ["refund"]
    assert likely["held"] is False
    assert "gestört" in likely["because"]
    assert datetime.fromisoformat(likely["until"]) - datetime.fromisoformat(likely["from"]) == timedelta(minutes=25)
    assert await preview(one, "stream_outage", order, locale="de") == likely
    assert await left(house) == before
    offered = {"amount": 694, "currency": "EUR", "to": "Visa ·· 4242"}
    case = await one.reports("stream_outage", order=order.ref, show=order.show, offered=offered)
    assert [operation["amount"] for operation in case["operations"]] == [694]
    assert await likely_of(one) == []
    again = await preview(one, "stream_outage", order)
    assert (again["actions"], again["amount"]) == ([], None)
    await all_holds(house)


async def test_a_running_outage_says_wait_and_once_it_is_open_nothing_more(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref, over=False), [stream()])
    one = await buyer_of(house, order)
    (likely,) = await likely_of(one)
    assert (likely["problem"], likely["outcome"], likely["amount"], likely["until"]) == ("stream_outage", "wait", None, None)
    await one.reports("stream_outage", order=order.ref, show=order.show)
    assert await likely_of(one) == []


async def test_a_second_charge_is_offered_with_where_it_goes(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=3))
    order = await house.shop.order(show, [stream()], charges=2)
    one = await buyer_of(house, order)
    (likely,) = await likely_of(one)
    assert (likely["problem"], likely["outcome"], likely["amount"], likely["to"]) == ("charged_twice", "approve", 2500, "Visa ·· 4242")
    case = await one.reports("charged_twice", order=order.ref, show=show)
    said = [answer["because"] for answer in case["answers"]]
    assert "The first charge paid for your order, so it stays." in said
    assert len(said) == 2


async def test_a_cancelled_show_gives_everything_back_and_nothing_twice(house: House, ref: str) -> None:
    show = await outage(house, ref)
    order = await house.shop.order(show, [stream()])
    one = await buyer_of(house, order)
    await one.reports("stream_outage", order=order.ref, show=show)
    await house.shop.show(ref, starts_in=timedelta(minutes=-120), status="cancelled")
    (likely,) = await likely_of(one)
    # Less what the outage gave back before.
    assert (likely["problem"], likely["amount"]) == ("show_cancelled", 2500 - 694)


async def test_what_needs_a_person_says_so_before_the_yes(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=3), status="cancelled", modes={"refund": "suggest"})
    order = await house.shop.order(show, [stream()])
    one = await buyer_of(house, order)
    (likely,) = await likely_of(one)
    assert (likely["outcome"], likely["amount"], likely["held"]) == ("approve", 2500, True)
    case = await one.reports("show_cancelled", order=order.ref, show=show, offered={"amount": 2500, "currency": "EUR"})
    assert case["status"] == "with_people"


async def test_what_a_cap_holds_back_is_said_to_be_held(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=3), status="cancelled", caps={"per_show_and_hour": {"EUR": 100}})
    order = await house.shop.order(show, [stream()])
    (likely,) = await likely_of(await buyer_of(house, order))
    assert (likely["outcome"], likely["amount"], likely["held"]) == ("approve", 2500, True)


async def test_a_dead_link_and_a_letter_that_did_not_arrive_are_seen(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-10))
    order = await house.shop.order(show, [stream()])
    one = await buyer_of(house, order)
    assert await likely_of(one) == []
    case = await one.reports("link_dead", order=order.ref, show=show)
    assert case["status"] == "resolved"
    assert await likely_of(one) == []
    await house.pool.execute(
        "UPDATE access_token SET state = 'revoked' WHERE pass_id IN"
        " (SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1)",
        order.ref,
    )
    (likely,) = await likely_of(one)
    assert (likely["problem"], likely["outcome"], likely["actions"]) == ("link_dead", "approve", ["reissue_access"])


@pytest.mark.parametrize("problem", ["stream_outage", "pass_missing", "charged_twice", "other"])
async def test_an_order_of_another_reads_like_none(house: House, ref: str, problem: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()], charges=2)
    mine = await house.shop.order(await house.shop.show(f"{ref}x", starts_in=timedelta(days=3)), [stream()])
    stranger = await buyer_of(house, mine)
    nowhere = Bought(ref=uuid4().hex[:8], email="", show=order.show, payments=())
    for one in (stranger, await somebody(house)):
        assert await preview(one, problem, order) == await preview(one, problem, nowhere)


async def test_a_holder_who_asks_for_money_hears_no_price(house: House, ref: str) -> None:
    email = f"holder-{uuid4().hex[:8]}@example.org"
    order = await house.shop.order(await outage(house, ref), [held_by(email, 1234)])
    holder = await (await somebody(house)).proves(email)
    for problem in ("stream_outage", "wants_refund", "charged_twice"):
        found = await preview(holder, problem, order)
        assert (found["outcome"], found["amount"], found["to"]) == ("deny", None, None)
    assert await likely_of(holder) == []


async def test_a_ticket_of_another_order_is_refused(house: House, ref: str) -> None:
    show = await outage(house, ref)
    order, other = await house.shop.order(show, [stream()]), await house.shop.order(show, [stream()])
    one, two = await buyer_of(house, order), await buyer_of(house, other)
    (theirs,) = [item["pass_id"] for entry in (await orders_of(two))["orders"] for item in entry["items"]]
    answer = await one.asks("/v1/help/preview", {"problem": "pass_missing", "order": order.ref, "show": show, "passes": [theirs]})
    assert answer.status_code in {400, 404, 422}, answer.text
    nobody = await somebody(house)
    assert await preview(nobody, "pass_missing", order, passes=[theirs]) == await preview(nobody, "pass_missing", order)


@pytest.mark.parametrize(
    "offered",
    [
        {"amount": 695, "currency": "EUR"},
        {"amount": 694, "currency": "USD"},
        {"amount": 694, "currency": "EUR", "to": "Visa ·· 1881"},
    ],
)
async def test_a_yes_to_something_else_does_nothing_and_says_what_it_would_be_now(house: House, ref: str, offered: Any) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    one = await buyer_of(house, order)
    before = await left(house)
    body = {"problem": "stream_outage", "channel": "widget", "order": order.ref, "show": order.show, "offered": offered}
    answer = await one.asks("/v1/cases", body)
    assert answer.status_code == 409, answer.text
    assert answer.json()["type"] == "urn:makegood:problem:offer_moved"
    assert (answer.json()["likely"]["amount"], answer.json()["likely"]["to"]) == (694, "Visa ·· 4242")
    assert await left(house) == before


async def test_a_yes_to_what_is_no_longer_due_does_nothing(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    one = await buyer_of(house, order)
    await one.reports("stream_outage", order=order.ref, show=order.show)
    before = await left(house)
    body = {"problem": "stream_outage", "channel": "widget", "order": order.ref, "show": order.show}
    answer = await one.asks("/v1/cases", {**body, "offered": {"amount": 694, "currency": "EUR"}})
    assert answer.status_code == 409
    assert answer.json()["likely"]["actions"] == []
    assert await left(house) == before
    await all_holds(house)


async def test_a_yes_by_somebody_who_has_proven_nothing_opens_nothing(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    body = {"problem": "stream_outage", "channel": "widget", "show": order.show, "offered": {"amount": 1, "currency": "EUR"}}
    one = await somebody(house)
    known, unknown = await one.asks("/v1/cases", {**body, "order": order.ref}), await one.asks("/v1/cases", {**body, "order": "NONE"})
    assert known.status_code == unknown.status_code == 409
    assert known.json()["likely"] == unknown.json()["likely"]


async def test_a_ticket_whose_letter_came_back_is_sent_again_by_one_tap(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=3))
    admission = {"issuer": "makegood", "barcode": uuid4().hex, "status": "valid", "delivery": "bounced"}
    position = {"ref": "1", "kind": "stream", "name": "Stream pass", "price": 2500, "shows": [show], "pass": admission}
    order = await house.shop.order(show, [stream()], positions=[position])
    one = await buyer_of(house, order)
    (likely,) = await likely_of(one)
    assert (likely["problem"], likely["outcome"], likely["actions"]) == ("pass_missing", "approve", ["resend_pass"])
    case = await one.reports("pass_missing", order=order.ref, show=show)
    await house.until_case(case["id"], lambda shown: shown["status"] == "resolved")
    # Ours has arrived; what the platform said of its own is old.
    assert await likely_of(one) == []


async def test_twenty_orders_are_looked_at_and_no_more(house: House, ref: str) -> None:
    show = await outage(house, ref)
    email = f"many-{uuid4().hex[:8]}@example.org"
    orders = [await house.shop.order(show, [stream()], email=email, age=timedelta(days=30 - number)) for number in range(22)]
    found = await orders_of(await buyer_of(house, orders[0]))
    assert [entry["order"] for entry in found["orders"]] == [one.ref for one in reversed(orders)][:20]
    assert [len(entry["likely"]) for entry in found["orders"]] == [1] * 20


async def test_looking_again_and_again_is_bounded_for_each_customer(house: House) -> None:
    one = await somebody(house)
    before = await house.value("SELECT count(*) FROM rate WHERE bucket LIKE 'look-customer:%'")
    await orders_of(one)
    assert await house.value("SELECT count(*) FROM rate WHERE bucket LIKE 'look-customer:%'") == before + 1
    for _ in range(2):  # an hour of the clock may begin in between, and with it another count
        await house.pool.execute("UPDATE rate SET used = 100000 WHERE bucket LIKE 'look-customer:%'")
        answer = await one.asks("/v1/help/preview", {"problem": "other"})
        if answer.status_code == 429:
            break
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)
    # Somebody else behind the same address is not kept waiting.
    await orders_of(await somebody(house))
