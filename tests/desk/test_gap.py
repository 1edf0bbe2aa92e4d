"""Between the last look and the lock somebody else gets in: nothing is done that was not seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import pytest

from service.model import WireId, unwire
from service.previews import PreviewMoved
from tests.desk.acting import PRICE, AtDesk, at_desk, code_of, person, refund
from tests.desk.gap import Gap
from tests.promises.house import House, all_holds

EMAIL: Final = "spends@example.org"


async def _another_award(at: AtDesk) -> None:
    seen = await at.preview(refund(1000, "goodwill"))
    assert (await at.confirm(seen["id"])).status_code == 200


async def _the_same(at: AtDesk) -> None:
    seen = await at.preview(refund(2000))
    await at.confirm(seen["id"])


async def _the_customers_day_is_spent(at: AtDesk) -> None:
    """On other orders: of this one no row has changed."""
    for _ in range(4):
        one = await at_desk(at.house, prices=(25000,), email=at.document["buyer"]["email"])
        assert (await one.confirm((await one.preview(refund(25000)))["id"])).status_code == 200


_MOVES: Final[Mapping[str, Callable[[AtDesk], Awaitable[object]]]] = {
    "a refund elsewhere": lambda at: at.refunded_elsewhere(100),
    "a dispute": lambda at: at.disputed(),
    "another award on the same ticket": _another_award,
    "the same for the same cause": _the_same,
    "a brake": lambda at: at.brake(on=True),
    "the customer's most for a day": _the_customers_day_is_spent,
    "a position that was taken off": lambda at: at.feed(positions=at.document["positions"][1:], total=PRICE),
}


@pytest.mark.parametrize("move", sorted(_MOVES))
async def test_what_moves_between_the_look_and_the_lock_stops_it(house: House, move: str) -> None:
    at = await at_desk(house, prices=(PRICE, PRICE), email=f"{move.replace(' ', '.')}@example.org".replace("'", ""))
    seen = await at.preview(refund(2000))
    moved: list[bool] = []

    async def once() -> None:
        if not moved:
            moved.append(True)
            await _MOVES[move](at)

    gap = Gap(house, once)
    try:
        with pytest.raises(PreviewMoved) as refused:
            await gap.confirm(at, seen["id"])
    finally:
        await at.brake(on=False)
    assert gap.store.acts == 1
    assert refused.value.now.facts_hash != seen["facts_hash"]
    made = await house.rows("SELECT id FROM operation WHERE preview_id = $1", unwire(WireId.PREVIEW, seen["id"]))
    assert made == []
    await all_holds(house)


async def test_what_moves_no_fact_is_done_at_the_next_look(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund(2000))
    fed: list[bool] = []

    async def once() -> None:
        if not fed:
            fed.append(True)
            await at.feed(locale="de")

    gap = Gap(house, once)
    assert await gap.confirm(at, seen["id"]) == "stored"
    assert gap.store.acts == 2
    assert [one["amount"] for one in await at.operations()] == [2000]


async def test_an_order_that_never_stands_still_is_shown_anew(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund(2000))
    gap = Gap(house, lambda: at.feed(locale="de"))
    with pytest.raises(PreviewMoved):
        await gap.confirm(at, seen["id"])
    assert gap.store.acts == 3
    assert await at.operations() == []


@pytest.mark.parametrize("move", ["a refund elsewhere", "somebody else's yes"])
async def test_what_moves_between_the_look_and_a_yes_stops_the_yes(house: House, move: str) -> None:
    at = await at_desk(house, prices=(48000,))
    assert (await at.confirm((await at.preview(refund(48000)))["id"])).status_code == 200
    (held,) = (await house.case(at.case))["operations"]
    lead = await person(house, "lead")
    shown: Mapping[str, Any] = (await at.shown(held["id"], token=lead))["now"]

    async def moves() -> None:
        if move == "a refund elsewhere":
            await at.refunded_elsewhere(100)
        else:
            await house.agree(held["id"], "me too", token=house.desk.lead)

    gap = Gap(house, moves)
    with pytest.raises(PreviewMoved):
        await gap.approve(lead, held["id"], shown["facts_hash"])
    given = await house.value(
        "SELECT count(*) FROM approval a JOIN operation x ON x.id = a.operation_id WHERE x.case_id = $1",
        (await house.case_row(at.case))["id"],
    )
    assert given == (1 if move == "a refund elsewhere" else 2)
    assert gap.store.acts == 1
    assert code_of(await at.approve(held["id"], shown["facts_hash"], token=lead)) == "facts_moved"
    await all_holds(house)
