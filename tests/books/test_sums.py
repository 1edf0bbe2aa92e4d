"""Tax in parts of a price adds up to the last unit, and books that do not agree are noticed."""

from __future__ import annotations

from fractions import Fraction
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.books_sums import accounts, balanced, half_even, tax_of_parts, tax_shares
from service.store.books import BalanceRow, LineRow, PartRow, PaymentRow

PARTS = st.lists(st.integers(1, 10**7), min_size=1, max_size=12)


@given(numerator=st.integers(0, 10**15), denominator=st.integers(1, 10**9))
def test_half_even_is_what_the_fraction_rounds_to(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(parts=PARTS, percent=st.integers(0, 60))
def test_parts_of_a_whole_price_have_all_of_its_tax(parts: list[int], percent: int) -> None:
    price = sum(parts)
    tax = price * percent // (100 + percent)
    assert sum(tax_shares(parts, price=price, tax=tax)) == tax


@given(parts=PARTS, more=st.integers(0, 10**7), percent=st.integers(0, 60))
def test_a_share_is_off_by_a_unit_at_most_and_stays_when_another_follows(parts: list[int], more: int, percent: int) -> None:
    price = sum(parts) + more
    tax = price * percent // (100 + percent)
    shares = tax_shares(parts, price=price, tax=tax)
    assert all(abs(share - Fraction(part * tax, price)) <= 1 for part, share in zip(parts, shares, strict=True))
    assert tax_shares([*parts, *([more] if more else [])], price=price, tax=tax)[: len(parts)] == shares


def test_what_was_free_or_untaxed_has_no_tax() -> None:
    assert tax_shares([5, 5], price=0, tax=0) == (0, 0)
    assert tax_shares([5, 5], price=10, tax=0) == (0, 0)


def test_each_line_has_its_own_rate() -> None:
    stream, fee, operation = uuid4(), uuid4(), uuid4()
    lines = [_line(stream, "position", 2500, 399), _line(fee, "fee", 250, 16)]
    harms = [uuid4(), uuid4(), uuid4()]
    parts = [
        PartRow(operation=operation, harm=harms[0], line=stream, amount=694),
        PartRow(operation=operation, harm=harms[1], line=fee, amount=250),
        PartRow(operation=operation, harm=harms[2], line=None, amount=2750),
    ]
    assert tax_of_parts(lines, parts) == {(operation, harms[0]): 111, (operation, harms[1]): 16}


PAYMENT = PaymentRow(
    id=UUID(int=1),
    ref="P1",
    rail="main",
    provider_ref="ch_1",
    status="confirmed",
    captured=2500,
    reserved=300,
    refunded=694,
    refunded_elsewhere=100,
    dispute="none",
    method="",
    paid_at=None,
)
ROWS = {"sales": -1094, "owed_to_customer": 100, "in_transit:main": 200, "paid_out:main": 600, "paid_out:other": 94, "paid_elsewhere": 100}


def _balances(**changes: int) -> list[BalanceRow]:
    rows = ROWS | {name.replace("__", ":"): amount for name, amount in changes.items()}
    return [BalanceRow(payment=PAYMENT.id, account=name, amount=amount) for name, amount in rows.items()]


def test_all_that_came_in_is_on_some_account() -> None:
    standing = accounts(PAYMENT, [*_balances(), BalanceRow(payment=UUID(int=2), account="sales", amount=7)])
    assert standing["sales"] == 1406
    assert sum(standing.values()) == PAYMENT.captured
    assert balanced(PAYMENT, standing)


@pytest.mark.parametrize("field", ["reserved", "refunded", "refunded_elsewhere"])
def test_a_counter_that_says_something_else_than_the_rows_is_noticed(field: str) -> None:
    other = msgspec.structs.replace(PAYMENT, **{field: getattr(PAYMENT, field) + 1})
    assert not balanced(other, accounts(other, _balances()))


@pytest.mark.parametrize("account", ["sales", "owed_to_customer", "in_transit__main", "paid_out__other", "paid_elsewhere"])
def test_a_row_too_many_or_too_few_is_noticed(account: str) -> None:
    name = account.replace("__", ":")
    assert not balanced(PAYMENT, accounts(PAYMENT, _balances(**{account: ROWS[name] + 1})))


def test_an_account_below_zero_is_noticed_unless_others_gave_back_more_than_came_in() -> None:
    assert not balanced(PAYMENT, accounts(PAYMENT, _balances(owed_to_customer=-50, in_transit__main=350)))
    excess = msgspec.structs.replace(PAYMENT, reserved=0, refunded=0, refunded_elsewhere=2600)
    rows = [
        BalanceRow(payment=excess.id, account="sales", amount=-2600),
        BalanceRow(payment=excess.id, account="paid_elsewhere", amount=2600),
    ]
    assert balanced(excess, accounts(excess, rows))


def _line(id_: UUID, type_: str, price: int, tax: int) -> LineRow:
    return LineRow(id=id_, ref="1", type=type_, kind="stream", name="", price=price, tax=tax, discount=0, canceled=False, awarded=0)
