"""Refund and access are one: what is paid back in full admits nobody, what is paid back in part still does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought, Item
from service.model import WireId, wire
from service.ports import Unavailable
from tests.promises.house import House, all_holds, stream

MINUTES: Final = timedelta(minutes=1)


async def _cancelled(house: House, ref: str, **more: Any) -> Bought:
    """An order for a show that is still on; `_calls_off` cancels it."""
    show = await house.shop.show(ref, starts_in=timedelta(days=20))
    return await house.shop.order(show, [stream(2500)], **more)


async def _calls_off(house: House, order: Bought) -> None:
    await house.shop.show(order.show, starts_in=timedelta(days=20), status="cancelled")


async def _pass(house: House, order: Bought, number: int = 1) -> dict[str, Any]:
    rows = await house.rows(
        """
        SELECT p.id, p.status FROM pass p JOIN orders o ON o.id = p.order_id JOIN line l ON l.id = p.line_id
        WHERE o.platform_id = $1 AND o.ref = $2 AND l.ref = $3 ORDER BY p.created_at
        """,
        house.desk.platform_id,
        order.ref,
        str(number),
    )
    return rows[-1]


async def _token(house: House, order: Bought, number: int = 1) -> str:
    wanted = {"pass_id": wire(WireId.PASS, (await _pass(house, order, number))["id"]), "show": order.show}
    answer = await house.post("/v1/access/tokens", wanted)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


async def _opens(house: House, order: Bought, token: str) -> bool:
    answer = await house.post("/v1/access/check", {"token": token, "show": order.show})
    assert answer.status_code == 200, answer.text
    allowed: bool = answer.json()["allowed"]
    return allowed


async def _token_states(house: House, order: Bought) -> list[str]:
    rows = await house.rows(
        "SELECT t.state FROM access_token t JOIN pass p ON p.id = t.pass_id JOIN orders o ON o.id = p.order_id WHERE o.ref = $1 ORDER BY 1",
        order.ref,
    )
    return [row["state"] for row in rows]


async def test_a_full_refund_ends_access_when_it_is_paid(house: House, ref: str) -> None:
    order = await _cancelled(house, ref)
    token = await _token(house, order)
    assert await _opens(house, order, token)
    await _calls_off(house, order)
    assert (await house.report("show_cancelled", order))["status"] == "resolved"
    assert not await _opens(house, order, token)
    assert (await _pass(house, order))["status"] == "void"
    assert await _token_states(house, order) == ["revoked"]
    await all_holds(house)


async def test_a_refund_that_is_accepted_ends_access_at_once(house: House, ref: str) -> None:
    order = await _cancelled(house, ref)
    token = await _token(house, order)
    await _calls_off(house, order)
    await house.books.script(Script(fault=Fault.ACCEPTED, payment_ref=order.payments[0]))
    await house.report("show_cancelled", order)
    assert not await _opens(house, order, token)
    assert (await _pass(house, order))["status"] == "void"


async def test_access_is_suspended_while_the_money_is_on_its_way_and_comes_back_when_it_fails(house: House, ref: str) -> None:
    order = await _cancelled(house, ref)
    token = await _token(house, order)
    await _calls_off(house, order)
    await house.books.script(Script(fault=Fault.UNREACHABLE, times=None, payment_ref=order.payments[0]))
    case = await house.report("show_cancelled", order, wait=0)
    assert await _token_states(house, order) == ["suspended"]
    assert not await _opens(house, order, token)
    wanted = {"pass_id": wire(WireId.PASS, (await _pass(house, order))["id"]), "show": order.show}
    assert (await house.post("/v1/access/tokens", wanted)).status_code == 404
    assert (await _pass(house, order))["status"] == "valid"
    await house.books.script_instead(Script(fault=Fault.FAILED, detail="merchant_request", payment_ref=order.payments[0]))
    await house.pass_time(2 * MINUTES)
    await house.until_case(case["id"], lambda found: found["status"] == "with_people")
    assert await _opens(house, order, token)
    assert (await _pass(house, order))["status"] == "valid"
    await all_holds(house)


@pytest.mark.parametrize("fault", [None, Fault.FAILED])
async def test_a_share_of_the_price_never_touches_access(house: House, ref: str, fault: Fault | None) -> None:
    now = datetime.now(UTC)
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", now - 40 * MINUTES, now - 15 * MINUTES)
    order = await house.shop.order(show, [stream(2500)])
    token = await _token(house, order)
    if fault is not None:
        await house.books.script(Script(fault=fault, payment_ref=order.payments[0]))
    await house.report("stream_outage", order)
    assert await _opens(house, order, token)
    assert await _token_states(house, order) == ["active"]
    assert (await _pass(house, order))["status"] == "valid"


async def test_the_rest_after_a_share_ends_access_too(house: House, ref: str) -> None:
    """Two causes that together reach what was paid: 694 for an outage, 1806 for the show that was called off then."""
    now = datetime.now(UTC)
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", now - 40 * MINUTES, now - 15 * MINUTES)
    order = await house.shop.order(show, [stream(2500)])
    token = await _token(house, order)
    await house.report("stream_outage", order)
    assert await _opens(house, order, token)
    await house.shop.show(show, starts_in=timedelta(minutes=-60), status="cancelled")
    await house.report("show_cancelled", order)
    assert not await _opens(house, order, token)
    assert (await _pass(house, order))["status"] == "void"
    line = await house.books.line(order.payments[0])
    assert (line.refunds, line.refunded_minor) == (2, 2500)
    await all_holds(house)


async def test_a_pass_of_the_platforms_own_is_voided_by_its_issuer_however_often_that_fails(house: House, ref: str) -> None:
    order = await _cancelled(house, ref, issuer="platform")
    token = await _token(house, order)
    await _calls_off(house, order)
    house.issuer.fail_next(Unavailable("away", never_sent=True))
    case = await house.report("show_cancelled", order)
    # The customer does not wait for the issuer, and neither does the token.
    assert case["status"] == "resolved"
    assert not await _opens(house, order, token)
    operations = await house.until(lambda: house.operations(case["id"]), lambda found: len(found) == 2 and found[1]["state"] == "DONE")
    void = operations[1]
    assert (void["action"], void["rail"]) == ("void_pass", "issuer")
    (attempt,) = void["attempts"]
    assert (attempt["tries"][0], attempt["tries"][-1]) == ("NOT_SENT", "ANSWERED")
    assert (await _pass(house, order))["status"] == "void"
    await all_holds(house)


async def test_nobody_gets_a_new_key_to_what_is_being_paid_back(house: House, ref: str) -> None:
    """A dead link reported at the very moment of the refund, again and again: whatever is first, nobody is admitted after it."""
    for number in range(10):
        order = await _cancelled(house, f"{ref}-{number}")
        await _token(house, order)
        await _calls_off(house, order)
        await asyncio.gather(
            house.report("show_cancelled", order),
            *(house.report(problem, order) for problem in ("link_dead", "pass_lost", "wrong_device", "pass_missing")),
        )
        rows = await house.rows(
            "SELECT c.id FROM cases c JOIN orders o ON o.id = c.order_id WHERE o.ref = $1 AND c.state = 'open' AND c.owner <> 'queue'",
            order.ref,
        )
        for row in rows:
            await house.until_case(wire(WireId.CASE, row["id"]), lambda found: found["status"] != "working")
        assert "active" not in await _token_states(house, order)
        valid = await house.value(
            "SELECT count(*) FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1 AND p.status = 'valid'", order.ref
        )
        assert valid == 0
    await all_holds(house)


async def test_a_new_key_that_was_held_back_is_not_made_after_the_money_went_back(house: House, ref: str) -> None:
    order = await _cancelled(house, ref)
    await _token(house, order)
    lead = {"Authorization": f"Bearer {house.desk.lead}"}
    paused = await house.client.put("/v1/brakes/action/reissue_access", json={"reason": "a test of brakes"}, headers=lead)
    assert paused.status_code == 200, paused.text
    case = await house.report("link_dead", order, wait=0)
    assert [one["status"] for one in case["operations"]] == ["working"]
    await _calls_off(house, order)
    assert (await house.report("show_cancelled", order))["status"] == "resolved"
    resumed = await house.client.delete("/v1/brakes/action/reissue_access", headers=lead)
    assert resumed.status_code == 204, resumed.text
    case = await house.until_case(case["id"], lambda found: found["status"] != "working")
    assert [one["status"] for one in case["operations"]] == ["could_not"]
    assert "active" not in await _token_states(house, order)
    await all_holds(house)


async def test_one_of_two_tickets_paid_back_leaves_the_other_open(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=20))
    order = await house.shop.order(show, [stream(2500), Item(kind="stream", name="Second pass", price=1500)], age=timedelta(hours=1))
    tokens = [await _token(house, order, 1), await _token(house, order, 2)]
    first = wire(WireId.PASS, (await _pass(house, order, 1))["id"])
    case = await house.report("wants_refund", order, passes=[first])
    assert case["status"] == "resolved", case
    assert [await _opens(house, order, token) for token in tokens] == [False, True]
    assert (await house.books.line(order.payments[0])).refunded_minor == 2500
    await all_holds(house)


async def test_a_token_that_would_run_out_during_a_show_that_was_put_off_gives_way_to_another(house: House, ref: str) -> None:
    order = await house.shop.order(await house.shop.show(ref, starts_in=timedelta(days=1)), [stream(2500)])
    first = await _token(house, order)
    assert await _token(house, order) == first
    await house.shop.show(ref, starts_in=timedelta(days=20), status="postponed")
    later = await _token(house, order)
    assert later != first
    assert (await _opens(house, order, later), await _opens(house, order, first)) == (True, False)
    assert await _token_states(house, order) == ["active", "revoked"]
