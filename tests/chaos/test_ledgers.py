"""The count of a storm sees what must never happen: each kind of double, loss and standstill, and nothing where all is well."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from tests.chaos.customers import Asked
from tests.chaos.ledgers import Case, Operation, Paid, Verdict, World, judge
from tests.chaos.wishes import CLOSED_CARD, Wish, acts, wishes

ORDER: Final = "C00001"
PAYMENT: Final = f"ch_{ORDER}_1"
DUE: Final = 694
OPERATION: Final = UUID(int=1)
CASE: Final = UUID(int=2)
HARM: Final = UUID(int=3)

WISH: Final = Wish(
    ref=ORDER,
    kind="share",
    rail="sandbox",
    prices=(2500,),
    charges=1,
    due=DUE,
    asks=1,
    asks_anew=False,
    faults=(),
    later=None,
    pause_ms=0,
    wait_seconds=0,
    out_faults=(),
)
PAID: Final = Paid(rail="sandbox", payment_ref=PAYMENT, ref="re_1", amount=DUE, is_alive=True, operation=OPERATION, attempt=UUID(int=4))
WELL: Final = World(
    paid=(PAID,),
    captured={PAYMENT: 2500},
    orders={PAYMENT: ORDER},
    operations=(Operation(id=OPERATION, state="DONE", amount=DUE, order=ORDER),),
    cases=(Case(id=CASE, state="resolved", owner=None, order=ORDER),),
    books={PAYMENT: DUE},
    parts=((HARM, DUE, OPERATION, DUE),),
)


def _judged(world: World = WELL, *, wish: Wish = WISH, unanswered: tuple[str, ...] = (), **changed: Any) -> Verdict:
    asked = [Asked(wish=wish, cases=frozenset({f"case_{CASE.hex}"}))]
    return judge(msgspec.structs.replace(world, **changed), asked, unanswered)


def _again(**changed: Any) -> Paid:
    return msgspec.structs.replace(PAID, **{"ref": "re_2", **changed})


def test_a_refund_that_was_paid_once_is_well() -> None:
    assert _judged() == Verdict(doubles=(), lost=(), stuck=(), handed=())


def test_an_operation_that_two_rails_paid_is_a_double() -> None:
    verdict = _judged(paid=(PAID, _again(rail="stripe", payment_ref="ch_x")), captured={PAYMENT: 2500, "ch_x": 2500})
    assert any("paid 2 times" in one for one in verdict.doubles)


def test_a_second_key_on_the_same_rail_is_a_double_and_our_books_are_wrong() -> None:
    verdict = _judged(paid=(PAID, _again()))
    assert any("paid 2 times" in one for one in verdict.doubles)
    assert any("was due 694 and got 1388" in one for one in verdict.doubles)
    assert any("our books say 694" in one for one in verdict.lost)


def test_a_refund_that_failed_at_the_bank_does_not_count_as_paid() -> None:
    assert _judged(paid=(_again(is_alive=False), PAID)).is_well


def test_two_operations_for_one_harm_are_a_double_although_each_paid_once() -> None:
    other = UUID(int=9)
    verdict = _judged(
        paid=(PAID, _again(operation=other)),
        operations=(*WELL.operations, Operation(id=other, state="DONE", amount=DUE, order=ORDER)),
        parts=(*WELL.parts, (HARM, DUE, other, DUE)),
        books={PAYMENT: 2 * DUE},
    )
    assert any(one.startswith("harm") for one in verdict.doubles)
    assert any("was due" in one for one in verdict.doubles)


def test_more_than_was_captured_is_a_double() -> None:
    assert any("gave back 694 of 500" in one for one in _judged(captured={PAYMENT: 500}).doubles)


def test_a_refund_that_we_know_nothing_of_is_lost() -> None:
    verdict = _judged(paid=(PAID, _again(operation=None, amount=1)))
    assert any("no such operation" in one for one in verdict.lost)


def test_money_that_our_books_paid_and_the_processor_did_not_is_lost() -> None:
    verdict = _judged(paid=())
    assert any("they paid back 0, our books say 694" in one for one in verdict.lost)
    assert any("was due 694 and got 0" in one for one in verdict.lost)


def test_a_case_that_was_accepted_and_is_gone_is_lost() -> None:
    assert any("is not there" in one for one in _judged(cases=()).lost)


def test_what_a_bank_refused_is_lost_only_when_nobody_was_told() -> None:
    refused = msgspec.structs.replace(WISH, later="cancel")
    ended: dict[str, Any] = {
        "paid": (_again(is_alive=False),),
        "books": {PAYMENT: 0},
        "operations": (Operation(id=OPERATION, state="FAILED", amount=DUE, order=ORDER),),
    }
    assert _judged(wish=refused, **ended).lost != ()
    with_people = _judged(wish=refused, **ended, cases=(Case(id=CASE, state="open", owner="queue", order=ORDER),))
    assert with_people.is_well
    assert with_people.handed == (ORDER,)
    # Who chose another way has to be paid that way.
    assert _judged(wish=msgspec.structs.replace(WISH, later="fail"), **ended).lost != ()
    # Without a bank's no, people have no business with it.
    assert _judged(**ended, cases=(Case(id=CASE, state="open", owner="queue", order=ORDER),)).lost != ()


def test_what_is_still_under_way_is_stuck() -> None:
    assert _judged(operations=(Operation(id=OPERATION, state="SENT", amount=DUE, order=ORDER),)).stuck != ()
    assert _judged(operations=(Operation(id=OPERATION, state="NEEDS_REVIEW", amount=DUE, order=ORDER),)).stuck != ()
    assert _judged(cases=(Case(id=CASE, state="open", owner="operation", order=ORDER),)).stuck != ()


def test_whoever_was_never_answered_is_stuck() -> None:
    assert any("nobody answered" in one for one in _judged(unanswered=(ORDER,)).stuck)


def test_the_same_seed_asks_for_the_same_and_does_the_same_to_the_processes() -> None:
    assert wishes(7, 300) == wishes(7, 300) != wishes(8, 300)
    assert acts(7, kills=40, members=3) == acts(7, kills=40, members=3) != acts(8, kills=40, members=3)
    assert sum(act.what == "kill" for act in acts(7, kills=40, members=3)) == 40


def test_the_wishes_are_of_every_kind_on_every_rail_and_below_what_people_have_to_agree_to() -> None:
    drawn = wishes(7, 2000)
    assert {(one.kind, one.rail) for one in drawn} == {
        (kind, rail)
        for kind in ("share", "whole", "twice", "remorse", "by_agent", "goodwill", "same_again")
        for rail in ("stripe", "sandbox")
    }
    assert all(0 < one.due < 20_000 for one in drawn)
    assert any(script.detail == CLOSED_CARD for one in drawn for script in one.scripts("ch_x"))
