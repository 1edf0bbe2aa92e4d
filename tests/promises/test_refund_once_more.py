"""The list of saleor/apps #2446 as promises: the same refund processed again pays nothing more, another one of the same amount is paid."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought, bearer
from tests.promises.house import House, all_holds, stream

SHARE: Final = 694  # 25 of 90 minutes of 25.00
AT_ONCE: Final = 20


@pytest_asyncio.fixture(loop_scope="session")
async def order(house: House, ref: str) -> Bought:
    """An order that an outage, now over, has touched."""
    return await house.shop.order(await _after_an_outage(house, ref), [stream()])


async def _after_an_outage(house: House, ref: str) -> str:
    now = datetime.now(UTC)
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", now - timedelta(minutes=40), now - timedelta(minutes=15))
    return show


async def _settled(house: House, case: Any) -> Any:
    return await house.until_case(case["id"], lambda found: found["status"] != "working")


async def _paid(house: House, order: Bought, *, times: int) -> None:
    """The sandbox's own books say so, and ours agree, once nothing of the order is under way: an agent's may be, after the answer."""
    under_way = "SELECT count(*) FROM operation x JOIN orders o ON o.id = x.order_id WHERE o.ref = $1 AND x.ended_at IS NULL"
    await house.until(lambda: house.value(under_way, order.ref), lambda left: left == 0)
    line = await house.books.line(order.payments[0])
    assert (line.refunds, line.refunded_minor) == (times, times * SHARE)
    payment = await house.payment(order)
    assert (payment["reserved"], payment["refunded"]) == (0, times * SHARE)
    await all_holds(house)


# ------------------------------------------------------------------------------------------------ the same request once more


async def test_the_same_request_processed_again_and_again_is_one_case_and_one_refund(house: House, order: Bought) -> None:
    cases = [await house.report("stream_outage", order, key=f"once-{order.ref}") for _ in range(5)]
    assert len({case["id"] for case in cases}) == 1
    assert (await _settled(house, cases[0]))["status"] == "resolved"
    await _paid(house, order, times=1)


async def test_the_same_request_processed_many_times_at_once_is_one_case_and_one_refund(house: House, order: Bought) -> None:
    asked = (house.report("stream_outage", order, key=f"once-{order.ref}") for _ in range(AT_ONCE))
    cases = await asyncio.gather(*asked)
    assert len({case["id"] for case in cases}) == 1
    assert (await _settled(house, cases[0]))["status"] == "resolved"
    await _paid(house, order, times=1)


async def test_an_agent_who_gives_what_is_being_given_at_the_same_moment_gives_nothing_more(house: House, order: Bought) -> None:
    """Another caller, another route, another case: it is the harm that is paid once, not the request."""
    talk = await house.report("other", order)
    await house.post("/v1/queue/take", {"case": talk["id"]}, token=house.desk.agent)
    action = {"action": "refund", "cause": "incident", "incident": "out1", "position": "1", "amount": SHARE}
    acts = (house.act(talk["id"], action, "for the outage") for _ in range(4))
    answers = await asyncio.gather(house.report("stream_outage", order), *acts)
    statuses = [one.status_code for one in answers if isinstance(one, httpx.Response)]
    assert set(statuses) <= {200, 409}
    await _settled(house, next(one for one in answers if not isinstance(one, httpx.Response)))
    await _paid(house, order, times=1)


# -------------------------------------------------------------------------------------------- once more after a lost answer


@pytest.mark.parametrize("lost", [1, 3])
async def test_a_retry_after_the_processors_answer_was_lost_pays_nothing_more(house: House, order: Bought, lost: int) -> None:
    await house.books.script(Script(fault=Fault.LOST_ANSWER, times=lost, payment_ref=order.payments[0]))
    case = await house.report("stream_outage", order, key=f"lost-{order.ref}", wait=0)
    again = await asyncio.gather(*(house.report("stream_outage", order, key=f"lost-{order.ref}") for _ in range(3)))
    assert {one["id"] for one in again} == {case["id"]}
    assert (await _settled(house, case))["status"] == "resolved"
    await _paid(house, order, times=1)


async def test_a_retry_after_our_own_answer_was_lost_pays_nothing_more(house: House, order: Bought) -> None:
    """The client hangs up while the processor is at it, and asks again: with its key, and then as if it had never asked."""
    await house.books.set_latency(300)
    body = {"problem": "stream_outage", "order": order.ref, "show": order.show, "channel": "api"}
    headers = bearer(house.desk.platform, f"gone-{order.ref}")
    asked = asyncio.ensure_future(house.client.post("/v1/cases", json=body, headers=headers))
    await house.until(lambda: house.books.line(order.payments[0]), lambda line: line.refunds == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await house.books.set_latency(0)
    again = await house.report("stream_outage", order, key=f"gone-{order.ref}")
    anew = await house.report("stream_outage", order)
    assert {(await _settled(house, one))["status"] for one in (again, anew)} == {"resolved"}
    await _paid(house, order, times=1)


# ------------------------------------------------------------------------------------ the same amount for something else


async def _for_two_shows(house: House, ref: str) -> tuple[Bought, tuple[str, str]]:
    """One payment for two streams of the same price, each of which was down for as long."""
    shows = (await _after_an_outage(house, f"{ref}-a"), await _after_an_outage(house, f"{ref}-b"))
    positions = [
        {
            "ref": str(number),
            "kind": "stream",
            "name": "Stream pass",
            "price": 2500,
            "shows": [show],
            "pass": {"issuer": "makegood", "barcode": f"{ref}-{number}", "status": "valid"},
        }
        for number, show in enumerate(shows, 1)
    ]
    return await house.shop.order(shows[0], [stream(), stream()], positions=positions), shows


async def test_two_different_refunds_of_the_same_amount_on_one_payment_are_both_paid(house: House, ref: str) -> None:
    order, shows = await _for_two_shows(house, ref)
    for show in shows:
        case = await house.report("stream_outage", order, show=show)
        assert (await _settled(house, case))["status"] == "resolved"
    await _paid(house, order, times=2)


async def test_two_different_refunds_of_the_same_amount_that_are_under_way_together_are_both_paid(house: House, ref: str) -> None:
    """The second is asked for while the first is still open: it is about another show, and no repeat of the first."""
    order, shows = await _for_two_shows(house, ref)
    await house.books.script(Script(fault=Fault.NO_ANSWER, times=None, payment_ref=order.payments[0]))
    cases = [await house.report("stream_outage", order, show=show, wait=0) for show in shows]
    await house.books.clear()
    await house.pass_time(timedelta(minutes=2))
    for case in cases:
        assert (await _settled(house, case))["status"] == "resolved"
    await _paid(house, order, times=2)
