"""What every platform's own system keeps: orders read whole, no change lost, tickets made once, troubles told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.ports import ChangedPage, Declined, OutcomeUnknown, Unavailable
from service.sources import System
from tests.contracts.platforms.benches import BENCHES, Bench

NOBODYS = "NEVER"


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with BENCHES[request.param]().serving() as serving:
        yield serving


@pytest.fixture
async def system(bench: Bench) -> AsyncIterator[System]:
    opened = bench.system()
    yield opened
    await opened.close()


async def pages_of(system: System, cursor: str) -> list[ChangedPage]:
    return [page async for page in system.orders.changed(cursor)]


async def cursor_at_end(system: System) -> str:
    return (await pages_of(system, ""))[-1].cursor


def refs_in(pages: list[ChangedPage]) -> set[str]:
    return {one.ref for page in pages for one in page.orders}


# ------------------------------------------------------------------------------------------------------ orders


async def test_an_order_is_read_whole_with_its_show(bench: Bench, system: System) -> None:
    found = await system.orders.fetch(bench.known)
    assert found is not None
    assert (found.ref, found.order.status, len(found.shows)) == (bench.known, "paid", 1)
    assert [one.admission.barcode for one in found.order.positions if one.admission] == [bench.barcode]
    assert found.order.payments[0].captured > 0


@pytest.mark.parametrize("ref", [NOBODYS, "..", "a/../b", "x" * 101, "Ä", "a b", "?limit=1", ""])
async def test_what_nobody_bought_is_no_order(system: System, ref: str) -> None:
    assert await system.orders.fetch(ref) is None


async def test_reading_from_the_beginning_finds_every_order(bench: Bench, system: System) -> None:
    assert refs_in(await pages_of(system, "")) == bench.everything


async def test_no_change_is_lost_between_two_readings_or_during_one(bench: Bench, system: System) -> None:
    seen: set[str] = set()
    changed = sorted(bench.everything)[:3]
    cursor = ""
    async for page in system.orders.changed(""):
        seen |= {one.ref for one in page.orders if one.order.locale == "fr"}
        cursor = page.cursor
        if changed:
            bench.change(changed.pop())
    while changed:
        bench.change(changed.pop())
    seen |= {one.ref for page in await pages_of(system, cursor) for one in page.orders if one.order.locale == "fr"}
    assert seen == set(sorted(bench.everything)[:3])


async def test_a_reading_that_stopped_half_way_goes_on_where_it_was(bench: Bench, system: System) -> None:
    pages = aiter(system.orders.changed(""))
    first = await anext(pages)
    rest = await pages_of(system, first.cursor)
    assert refs_in([first]) | refs_in(rest) == bench.everything


async def test_where_nothing_changed_the_cursor_is_still_good(bench: Bench, system: System) -> None:
    cursor = await cursor_at_end(system)
    again = await pages_of(system, cursor)
    bench.change(bench.known)
    assert bench.known in refs_in(await pages_of(system, again[-1].cursor if again else cursor))


async def test_an_order_that_cannot_be_understood_harms_no_other(bench: Bench, system: System) -> None:
    bench.spoil(bench.known)
    pages = await pages_of(system, "")
    assert {ref for page in pages for ref in page.not_understood} == {bench.known}
    assert refs_in(pages) == bench.everything - {bench.known}
    with pytest.raises(Declined) as caught:
        await system.orders.fetch(bench.known)
    assert caught.value.code == "unsupported"


# ------------------------------------------------------------------------------------------------------ tickets


async def test_a_new_ticket_kills_the_old_one_at_the_gate(bench: Bench, system: System) -> None:
    made = await system.passes.replace(order_ref=bench.known, position_ref="1", key="k1")
    assert made.barcode != bench.barcode
    assert (bench.gate(bench.barcode) != "ok", bench.gate(made.barcode)) == (True, "ok")
    found = await system.orders.fetch(bench.known)
    assert found is not None
    assert [one.admission.barcode for one in found.order.positions if one.admission] == [made.barcode]


async def test_the_same_key_is_the_same_ticket_and_another_key_another(bench: Bench, system: System) -> None:
    first = await system.passes.replace(order_ref=bench.known, position_ref="1", key="k1")
    assert await system.passes.replace(order_ref=bench.known, position_ref="1", key="k1") == first
    other = await system.passes.replace(order_ref=bench.known, position_ref="1", key="k2")
    assert other.barcode != first.barcode


async def test_a_ticket_whose_answer_was_lost_is_found_again_under_its_key(bench: Bench, system: System) -> None:
    bench.lose_answer()
    with pytest.raises(OutcomeUnknown):
        await system.passes.replace(order_ref=bench.known, position_ref="1", key="k1")
    made = await system.passes.replace(order_ref=bench.known, position_ref="1", key="k1")
    assert bench.gate(made.barcode) == "ok"


async def test_a_ticket_is_voided_and_voiding_it_again_changes_nothing(bench: Bench, system: System) -> None:
    for key in ("k1", "k1", "k2"):
        await system.passes.void(order_ref=bench.known, position_ref="1", key=key)
        assert bench.gate(bench.barcode) != "ok"


@pytest.mark.parametrize(("order", "position"), [(NOBODYS, "1"), (None, "99")])
async def test_a_ticket_that_is_not_there_is_declined(bench: Bench, system: System, order: str | None, position: str) -> None:
    for act in (system.passes.replace, system.passes.void):
        with pytest.raises(Declined) as caught:
            await act(order_ref=order or bench.known, position_ref=position, key="k1")
        assert caught.value.code == "not_found"


# ----------------------------------------------------------------------------------------------------- troubles


async def test_a_token_that_is_refused_is_a_matter_of_settings_and_stands_in_no_error(bench: Bench) -> None:
    wrong = bench.system(token="wr0ng-token")
    try:
        for act in (
            wrong.orders.fetch(bench.known),
            pages_of(wrong, ""),
            wrong.passes.replace(order_ref=bench.known, position_ref="1", key="k1"),
        ):
            with pytest.raises(Unavailable) as caught:
                await act
            assert caught.value.configuration
            assert "wr0ng" not in repr(caught.value)
    finally:
        await wrong.close()
    assert bench.gate(bench.barcode) == "ok"


async def test_a_system_that_is_away_was_never_sent_anything(bench: Bench, system: System) -> None:
    await bench.go()
    for act in (system.orders.fetch(bench.known), pages_of(system, "")):
        with pytest.raises(Unavailable) as caught:
            await act
        assert not caught.value.configuration
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await system.passes.void(order_ref=bench.known, position_ref="1", key="k1")


async def test_a_system_that_fails_is_unavailable_to_whoever_reads_and_unknown_to_whoever_does(bench: Bench, system: System) -> None:
    bench.fail()
    for act in (system.orders.fetch(bench.known), pages_of(system, "")):
        with pytest.raises(Unavailable):
            await act
    with pytest.raises((OutcomeUnknown, Unavailable)):
        await system.passes.replace(order_ref=bench.known, position_ref="1", key="k1")
    assert bench.gate(bench.barcode) == "ok"


async def test_what_something_in_between_answers_is_no_order_and_not_none(bench: Bench, system: System) -> None:
    for _ in range(8):
        bench.babble()
    with pytest.raises(Unavailable):
        await system.orders.fetch(bench.known)
