"""Whatever differs between two books is found, called by its name, and nothing else is."""

from __future__ import annotations

from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audit import Difference, Kind, OurMovement, compare
from service.model import Money
from service.ports import Movement, RefundSeen

STATES = st.sampled_from(["ACCEPTED", "SUCCEEDED", "FAILED"])


@st.composite
def agreeing(draw: st.DrawFn) -> tuple[OurMovement, Movement]:
    """One attempt, and the same in their list."""
    ours = our(
        draw(STATES), draw(st.integers(1, 10**9)), ref=f"re_{draw(st.uuids())}", attempt=draw(st.uuids()), operation=draw(st.uuids())
    )
    return ours, echo(ours)


BOOKS = st.lists(agreeing(), max_size=8)


def our(
    state: str = "SUCCEEDED", minor: int = 500, *, ref: str | None = "re_1", attempt: UUID | None = None, operation: UUID | None = None
) -> OurMovement:
    return OurMovement(
        platform="demo",
        order="O1",
        payment="P1",
        payment_ref="ch_1",
        operation=operation or uuid4(),
        attempt=attempt or uuid4(),
        provider_ref=ref,
        state=state,
        amount=Money(minor=minor, currency="EUR"),
        sent_at=None,
    )


def echo(ours: OurMovement, **changes: object) -> Movement:
    seen = RefundSeen(
        provider_ref=ours.provider_ref or "re_new",
        state=ours.state,  # type: ignore[arg-type]  # one of the three that a test draws
        amount=ours.amount,
        attempt_id=ours.attempt,
        operation_id=ours.operation,
    )
    return Movement(payment_ref=ours.payment_ref, refund=msgspec.structs.replace(seen, **changes))


def kinds(found: object) -> list[Kind]:
    assert isinstance(found, list)
    return [one.kind for one in found]


@given(BOOKS, st.booleans())
def test_books_that_agree_differ_in_nothing(books: list[tuple[OurMovement, Movement]], forgets_us: bool) -> None:  # noqa: FBT001 - drawn
    theirs = [movement for _, movement in books]
    if forgets_us:  # a processor that does not keep our ids is met by its own reference
        theirs = [
            msgspec.structs.replace(one, refund=msgspec.structs.replace(one.refund, attempt_id=None, operation_id=None)) for one in theirs
        ]
    assert compare([ours for ours, _ in books], theirs) == []


@given(BOOKS, agreeing(), st.randoms(use_true_random=False))
def test_neither_order_nor_a_page_read_twice_changes_anything(
    books: list[tuple[OurMovement, Movement]], more: tuple[OurMovement, Movement], random: object
) -> None:
    lost = our(ref="re_lost")
    ours = [one for one, _ in books] + [lost]
    theirs = [movement for _, movement in books] + [more[1], echo(more[0])]
    first = compare(ours, theirs)
    random.shuffle(ours)  # type: ignore[attr-defined]
    random.shuffle(theirs)  # type: ignore[attr-defined]
    assert compare(ours, theirs + theirs) == first


@given(BOOKS, agreeing())
def test_what_they_alone_paid_is_found_and_what_failed_there_is_none_of_ours(
    books: list[tuple[OurMovement, Movement]], extra: tuple[OurMovement, Movement]
) -> None:
    found = compare([ours for ours, _ in books], [movement for _, movement in [*books, extra]])
    paid = extra[1].refund.state != "FAILED"
    assert found == ([Difference(kind="only_theirs", theirs=extra[1])] if paid else [])


@given(BOOKS, agreeing())
def test_what_we_alone_say_was_paid_is_found(books: list[tuple[OurMovement, Movement]], extra: tuple[OurMovement, Movement]) -> None:
    found = compare([ours for ours, _ in [*books, extra]], [movement for _, movement in books])
    paid = extra[0].state != "FAILED"
    assert found == ([Difference(kind="only_ours", ours=extra[0])] if paid else [])


@given(BOOKS, agreeing(), st.integers(1, 100))
def test_another_amount_or_currency_is_found(
    books: list[tuple[OurMovement, Movement]], one: tuple[OurMovement, Movement], more: int
) -> None:
    ours = [mine for mine, _ in [*books, one]]
    rest = [movement for _, movement in books]
    amount = echo(one[0], amount=Money(minor=one[0].amount.minor + more, currency="EUR"))
    assert compare(ours, [*rest, amount]) == [Difference(kind="amount", ours=one[0], theirs=amount)]
    currency = echo(one[0], amount=Money(minor=one[0].amount.minor, currency="SEK"))
    assert compare(ours, [*rest, currency]) == [Difference(kind="currency", ours=one[0], theirs=currency)]


@pytest.mark.parametrize(
    ("mine", "their", "differs"),
    [
        ("SUCCEEDED", "FAILED", True),
        ("SUCCEEDED", "CANCELED", True),
        ("SUCCEEDED", "ACCEPTED", False),
        ("ACCEPTED", "SUCCEEDED", True),
        ("ACCEPTED", "FAILED", True),
        ("UNKNOWN", "SUCCEEDED", True),
        ("UNKNOWN", "FAILED", True),
        ("PREPARED", "ACCEPTED", True),
        ("NEEDS_REVIEW", "SUCCEEDED", True),
        ("FAILED", "FAILED", False),
        ("FAILED", "CANCELED", False),
        ("FAILED", "SUCCEEDED", True),
        ("REJECTED", "SUCCEEDED", True),
        ("CLOSED_NOT_SENT", "ACCEPTED", True),
        ("CLOSED_NOT_SENT", "FAILED", False),
    ],
)
def test_states_differ_where_money_went_or_did_not(mine: str, their: str, differs: bool) -> None:  # noqa: FBT001 - a table
    ours = our(mine)
    assert kinds(compare([ours], [echo(ours, state=their)])) == (["state"] if differs else [])


@given(BOOKS, agreeing(), st.booleans(), st.booleans())
def test_a_second_payment_of_one_operation_is_found_however_it_came_about(
    books: list[tuple[OurMovement, Movement]],
    one: tuple[OurMovement, Movement],
    known: bool,  # noqa: FBT001 - drawn
    same_attempt: bool,  # noqa: FBT001 - drawn
) -> None:
    mine = msgspec.structs.replace(one[0], state="SUCCEEDED", provider_ref=one[0].provider_ref if known else None)
    first = echo(mine, provider_ref="re_a" if not known else mine.provider_ref)
    second = echo(mine, provider_ref="re_zz", attempt_id=mine.attempt if same_attempt else uuid4())
    found = compare([ours for ours, _ in books] + [mine], [movement for _, movement in books] + [second, first])
    assert [(one.kind, one.theirs) for one in found] == [("twice", second)]


def test_a_second_payment_is_found_on_a_day_of_its_own() -> None:
    mine = our(ref="re_1")
    assert kinds(compare([mine], [echo(mine, provider_ref="re_2")])) == ["twice"]


def test_a_second_attempt_after_a_dead_one_is_no_second_payment() -> None:
    operation = uuid4()
    dead, live = our("FAILED", ref="re_1", operation=operation), our(ref="re_2", operation=operation)
    assert compare([dead, live], [echo(dead), echo(live)]) == []


@pytest.mark.parametrize("kind", ["only_theirs", "only_ours", "amount", "currency", "state", "twice"])
def test_each_difference_says_what_to_do_in_a_sentence(kind: Kind) -> None:
    mine = our()
    for one in (Difference(kind=kind, ours=mine, theirs=echo(mine)), Difference(kind=kind, ours=mine, theirs=echo(mine, state="FAILED"))):
        assert one.to_do.endswith(".")
    assert Difference(kind=kind).provable == (kind in {"only_theirs", "state"})


def test_what_carries_our_ids_is_told_apart_from_what_others_did() -> None:
    mine = our()
    ours_lost = Difference(kind="only_theirs", theirs=echo(mine))
    others = Difference(kind="only_theirs", theirs=echo(mine, attempt_id=None, operation_id=None))
    assert ours_lost.is_ours
    assert not others.is_ours
    assert ours_lost.to_do != others.to_do
