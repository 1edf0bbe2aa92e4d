"""Sums of the books, pure: what tax is in an amount, and whether the rows agree with what the payments say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from service.store.books import BalanceRow, LineRow, PartRow, PaymentRow

SALES, OWED, ELSEWHERE = "sales", "owed_to_customer", "paid_elsewhere"
IN_TRANSIT, PAID_OUT = "in_transit:", "paid_out:"


def half_even(numerator: int, denominator: int) -> int:
    """The quotient of two integers, rounded to the nearest, a half to the even one. Raises ZeroDivisionError."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))


def tax_shares(amounts: Sequence[int], *, price: int, tax: int) -> tuple[int, ...]:
    """The tax in each of several parts of a price, in minor units.

    Each is what the part adds to the rounded tax of all so far. So they add up exactly, all of the price has all of its tax, no share is
    off by more than a unit, and a share once told stays as it is when another part follows.
    """
    if price <= 0 or tax <= 0:
        return (0,) * len(amounts)
    shares, so_far, told = [], 0, 0
    for amount in amounts:
        so_far += amount
        due = half_even(so_far * tax, price)
        shares.append(due - told)
        told = due
    return tuple(shares)


def tax_of_parts(lines: Sequence[LineRow], parts: Sequence[PartRow]) -> Mapping[tuple[UUID, UUID], int]:
    """(operation, harm) -> the tax in that part. A charge that was never owed had no tax: parts without a line have none."""
    found: dict[tuple[UUID, UUID], int] = {}
    for line in lines:
        of_line = [part for part in parts if part.line == line.id]
        shares = tax_shares([part.amount for part in of_line], price=line.price, tax=line.tax)
        found |= {(part.operation, part.harm): share for part, share in zip(of_line, shares, strict=True)}
    return found


def accounts(payment: PaymentRow, balances: Sequence[BalanceRow]) -> Mapping[str, int]:
    """What stands on each account for one payment. All that came in was a sale, until a row says otherwise."""
    found: dict[str, int] = defaultdict(int, {SALES: payment.captured})
    for one in balances:
        if one.payment == payment.id:
            found[one.account] += one.amount
    return {name: amount for name, amount in sorted(found.items()) if amount != 0 or name == SALES}


def on(standing: Mapping[str, int], prefix: str) -> int:
    """The sum over all accounts of that name, or over all rails of it (`in_transit:`)."""
    return sum(amount for name, amount in standing.items() if name == prefix or (prefix.endswith(":") and name.startswith(prefix)))


def balanced(payment: PaymentRow, standing: Mapping[str, int]) -> bool:
    """The rows agree with the payment's counters, no account but `sales` is below zero, and the money that came in is all there.

    `sales` is below zero when others gave back more than came in: that is true, and people have it as a case.
    """
    return (
        on(standing, OWED) + on(standing, IN_TRANSIT) == payment.reserved
        and on(standing, PAID_OUT) == payment.refunded
        and on(standing, ELSEWHERE) == payment.refunded_elsewhere
        and sum(standing.values()) == payment.captured
        and all(amount >= 0 for name, amount in standing.items() if name != SALES)
    )
