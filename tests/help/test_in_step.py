"""Before a yes the platform's own system is asked what it knows, and a yes to what it knows better does nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec
import pytest

from service.demo.world import Bought
from tests.help.test_likely import left
from tests.promises.house import House, all_holds, settled
from tests.promises.test_in_step import PRICE, Place, open_place

OFFERED: Final = {"amount": PRICE, "currency": "EUR", "to": "Visa ·· 4242"}


@pytest.fixture
async def place(house: House) -> AsyncIterator[Place]:
    async with open_place(house) as opened:
        yield opened


async def preview(place: Place, headers: Mapping[str, str], order: Bought, problem: str = "charged_twice") -> Any:
    body = {"problem": problem, "order": order.ref, "show": order.show}
    answer = await place.house.client.post("/v1/help/preview", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def says_yes(place: Place, headers: Mapping[str, str], order: Bought, **more: Any) -> httpx.Response:
    body = {"problem": "charged_twice", "order": order.ref, "show": order.show, "channel": "widget", **more}
    answer = await place.house.client.post("/v1/cases", json=body, headers={**headers, "Idempotency-Key": uuid4().hex})
    return await settled(answer, partial(place.seen_by, headers))


async def test_an_order_bought_a_minute_ago_is_read_shown_and_paid_as_shown(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    seen = await preview(place, place.customer(order), order)
    assert (seen["outcome"], seen["amount"], seen["to"]) == ("approve", PRICE, OFFERED["to"])
    assert place.asked_for(order) == 1
    answer = await says_yes(place, place.customer(order), order, offered=OFFERED)
    assert answer.status_code in {201, 202}, answer.text
    assert await place.paid_back(order) == [(0, 0), (PRICE, 1)]
    await all_holds(place.house)


async def test_a_yes_to_what_the_platform_has_given_back_meanwhile_does_nothing(place: Place, ref: str) -> None:
    order = await place.known(ref, charges=2)
    customer = place.customer(order)
    assert (await preview(place, customer, order))["amount"] == PRICE
    place.system.changes(
        order.ref,
        lambda one: one["payments"][-1].update(refunds_elsewhere=[{"ref": "R1", "amount": PRICE, "state": "done"}]),
        announced=False,
    )
    answer = await says_yes(place, customer, order, offered=OFFERED)
    assert answer.status_code == 409, answer.text
    assert answer.json()["likely"]["amount"] is None
    assert await place.house.value("SELECT count(*) FROM cases WHERE platform_id = $1", place.desk.platform_id) == 0
    assert await place.paid_back(order) == [(0, 0), (0, 0)]


async def test_while_the_platform_is_away_a_yes_does_nothing_and_says_that_it_waits(place: Place, ref: str) -> None:
    order = await place.known(ref, charges=2)
    customer = place.customer(order)
    await place.system.stop()
    seen = await preview(place, customer, order)
    assert (seen["outcome"], seen["amount"], bool(seen["because"])) == ("wait", None, True)
    before = await left(place.house)
    answer = await says_yes(place, customer, order, offered=OFFERED)
    assert (answer.status_code, answer.json()["likely"]["outcome"]) == (409, "wait")
    assert await left(place.house) == before
    # Without a sum to hold to, the wish is kept and decided when the platform is back.
    assert (await says_yes(place, customer, order)).json()["status"] == "waiting"


async def test_an_order_of_another_is_read_and_reads_like_none(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    gone = await place.known(f"g{ref}")
    place.system.hides(gone.ref)
    stranger = place.customer(msgspec.structs.replace(order, customer_ref="somebody-else"))
    nowhere = msgspec.structs.replace(order, ref="NEVER")
    none = await preview(place, stranger, nowhere)
    assert none["outcome"] == "ask"
    for theirs in (order, gone):
        assert await preview(place, stranger, theirs) == none
    assert (place.asked_for(order), place.asked_for(nowhere)) == (1, 1)


async def test_who_is_not_known_never_has_the_platform_asked(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    assert (await preview(place, await place.anyone(), order))["outcome"] == "ask"
    assert place.asked_for(order) == 0
