"""Money that an answer moves was said before: looked at, agreed to, and paid to the cent; a look leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from service.demo.world import Bought
from tests.help.test_likely import buyer_of, left
from tests.help.test_switch import REFUND, asked_about_a_postponed_show
from tests.promises.house import House, all_holds, stream
from tests.promises.test_attacks import Stranger, somebody


async def look(one: Stranger, case: Mapping[str, Any], value: str = "refund") -> Any:
    return await one.asks(f"/v1/cases/{case['id']}/preview", {"fact": "answer.postponed", "value": value})


async def answers(one: Stranger, case: Mapping[str, Any], **offered: object) -> Any:
    return await one.asks(f"/v1/cases/{case['id']}/answers", {**REFUND, **({"offered": offered} if offered else {})})


async def test_what_an_answer_would_pay_is_said_and_then_paid(house: House, ref: str) -> None:
    one, order, case = await asked_about_a_postponed_show(house, ref)
    before = await left(house)
    likely = (await look(one, case)).json()
    assert (likely["problem"], likely["outcome"], likely["actions"]) == ("show_postponed", "approve", ["refund"])
    assert (likely["amount"], likely["currency"], likely["to"]) == (2500, "EUR", "Visa ·· 4242")
    kept = (await look(one, case, "keep")).json()
    assert (kept["actions"], kept["amount"], kept["to"]) == ([], None, None)
    assert await left(house) == before
    answer = await answers(one, case, amount=2500, currency="EUR", to="Visa ·· 4242")
    assert answer.status_code == 200, answer.text
    assert [operation["amount"] for operation in answer.json()["operations"]] == [2500]
    assert await house.line_awarded(order) == 2500
    await all_holds(house)


@pytest.mark.parametrize(
    "offered",
    [
        {"amount": 2501, "currency": "EUR"},
        {"amount": 2500, "currency": "USD"},
        {"amount": 2500, "currency": "EUR", "to": "Visa ·· 1881"},
    ],
)
async def test_a_yes_to_something_else_stores_no_answer(house: House, ref: str, offered: Any) -> None:
    one, order, case = await asked_about_a_postponed_show(house, ref)
    before = await left(house)
    answer = await answers(one, case, **offered)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:makegood:problem:offer_moved")
    assert (answer.json()["likely"]["amount"], answer.json()["likely"]["to"]) == (2500, "Visa ·· 4242")
    assert await left(house) == before
    assert await house.line_awarded(order) == 0
    assert (await one.sees(f"/v1/cases/{case['id']}"))["question"]["fact"] == "answer.postponed"


async def test_a_yes_to_less_than_is_due_by_now_is_a_yes(house: House, ref: str) -> None:
    one, order, case = await asked_about_a_postponed_show(house, ref)
    assert (await answers(one, case, amount=1, currency="EUR")).status_code == 200
    assert await house.line_awarded(order) == 2500


async def test_a_look_at_an_answer_is_for_who_may_answer(house: House, ref: str) -> None:
    one, _, case = await asked_about_a_postponed_show(house, ref)
    assert (await look(await somebody(house), case)).status_code == 404
    assert (await look(one, case, "something else")).status_code == 400
    await house.pass_time(timedelta(hours=1))
    refused = await look(one, case)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:makegood:problem:not_proven")


async def test_a_look_where_nothing_is_asked_says_so(house: House, ref: str) -> None:
    order: Bought = await house.shop.order(await house.shop.show(ref, starts_in=timedelta(days=9)), [stream()])
    one = await buyer_of(house, order)
    case = await one.reports("other", order=order.ref, show=order.show)
    assert (await look(one, case)).json()["type"] == "urn:makegood:problem:nothing_asked"


async def test_an_answer_sent_twice_with_its_yes_is_one_answer(house: House, ref: str) -> None:
    one, order, case = await asked_about_a_postponed_show(house, ref)
    body = {**REFUND, "offered": {"amount": 2500, "currency": "EUR", "to": "Visa ·· 4242"}}
    for _ in range(2):
        answer = await house.post(f"/v1/cases/{case['id']}/answers", body, token=one.token, key=f"yes-{ref}")
        assert answer.status_code == 200, answer.text
    assert await house.line_awarded(order) == 2500


async def test_a_yes_to_where_money_goes_holds_though_one_of_the_cards_has_no_name(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=3), status="cancelled")
    order = await house.shop.order(show, [stream(2500), stream(2500)], charges=2)
    await house.pool.execute(
        "UPDATE payment SET amount = 2500, captured = 2500, method = CASE WHEN ref = (SELECT min(ref) FROM payment x WHERE"
        " x.order_id = payment.order_id) THEN '' ELSE method END WHERE order_id = (SELECT id FROM orders WHERE ref = $1)",
        order.ref,
    )
    one = await buyer_of(house, order)
    likely = (await one.asks("/v1/help/preview", {"problem": "show_cancelled", "order": order.ref, "show": show})).json()
    assert (likely["amount"], likely["to"]) == (5000, "Visa ·· 4242")
    offered = {"amount": likely["amount"], "currency": likely["currency"], "to": likely["to"]}
    case = await one.asks(
        "/v1/cases", {"problem": "show_cancelled", "channel": "widget", "order": order.ref, "show": show, "offered": offered}
    )
    assert case.status_code in {201, 202}, case.text
