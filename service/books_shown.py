"""The money of an order as it is shown: to its buyer in sentences, to the desk and the platform row by row. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from service.books_sums import IN_TRANSIT, accounts, balanced, on, tax_of_parts
from service.books_words import Speech
from service.model import WireId, wire
from service.store.books import AttemptRow, HarmRow, LineRow, MoneyOperationRow, MoneyRecord, MovementRow, PaymentRow

Status = Literal["with_people", "choice_needed", "working", "sent", "arrived", "could_not", "credited", "released"]


class AwardShown(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back for one cause: `sent` and `arrived` have gone, `owed` is still to go; together they are `amount`."""

    cause: str
    """`incident:outage-1`, `show_cancelled`, …"""
    told: str
    """the same in a sentence, in the order's language"""
    amount: int
    tax: int
    """of `amount`; all awards of a line together have exactly its share of the line's tax"""
    sent: int
    arrived: int
    owed: int


class LineMoney(msgspec.Struct, frozen=True, kw_only=True):
    """A position or a fee. `price` is gross, after `discount`, with `tax` in it."""

    ref: str
    kind: Literal["stream", "venue", "merchandise", "other", "fee"]
    name: str
    price: int
    tax: int
    discount: int
    canceled: bool
    awarded: int
    awarded_tax: int
    awards: tuple[AwardShown, ...]


class DeskPayment(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk and the platform see of a payment besides."""

    rail: str | None
    provider_ref: str | None
    accounts: Mapping[str, int]
    """what stands on each account of the books: `sales`, `owed_to_customer`, `in_transit:<rail>`, `paid_out:<rail>`, `paid_elsewhere`"""
    balanced: bool
    """the accounts sum up to what was captured, and agree with the payment's own counters"""


class PaymentMoney(msgspec.Struct, frozen=True, kw_only=True):
    """One charge. `refunded` has settled, `on_its_way` was accepted, `promised` is still to be sent, `refunded_elsewhere` others gave
    back.
    """

    ref: str
    method: str
    """as the customer knows it: `Visa ·· 4242`"""
    status: Literal["pending", "confirmed", "failed", "cancelled"]
    captured: int
    refunded: int
    on_its_way: int
    promised: int
    refunded_elsewhere: int
    dispute: Literal["none", "open", "won", "lost"]
    awards: tuple[AwardShown, ...]
    """of a charge that was one too many; it belongs to no line, and has no tax"""
    paid_at: datetime | None
    desk: DeskPayment | None = None


class AttemptMoney(msgspec.Struct, frozen=True, kw_only=True):
    rail: str
    state: Status
    failure: str | None = None
    sent_at: datetime | None = None
    key: str | None = None
    """for the desk and the platform: the key it was sent under"""
    provider_ref: str | None = None
    """for the desk and the platform: the processor's own reference"""


class OperationMoney(msgspec.Struct, frozen=True, kw_only=True):
    """One movement. `arrived` is only said with proof: `sent` is all that is known of a refund to a card."""

    id: str
    action: Literal["refund", "goodwill_credit", "cancel_payment"]
    state: Status
    told: str
    amount: int
    tax: int
    fees: int
    """of `amount`, what is given back of fees"""
    payment: str | None
    case: str | None
    """for the desk and the platform"""
    created_at: datetime
    attempts: tuple[AttemptMoney, ...]


class MovementShown(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the books; none is ever changed."""

    id: int
    at: datetime
    debit: str
    credit: str
    amount: int
    payment: str
    operation: str | None


class OrderMoney(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one order, in minor units of its currency."""

    order: str
    currency: str
    total: int
    lines: tuple[LineMoney, ...]
    payments: tuple[PaymentMoney, ...]
    operations: tuple[OperationMoney, ...]
    balanced: bool | None = None
    """for the desk and the platform: the books of every payment agree with what came in"""
    movements: tuple[MovementShown, ...] = ()
    """for the desk and the platform; the newest of very many"""


def show(record: MoneyRecord, *, to_desk: bool, arrives: Collection[str]) -> OrderMoney:
    """The record as its buyer, or (`to_desk`) the desk and the platform read it. `arrives`: rails whose success proves arrival."""
    return _Teller(record, to_desk=to_desk, arrives=arrives).order()


def status_of(row: MoneyOperationRow, arrives: Collection[str]) -> Status:
    """What became of an operation, in a word. What was accepted was sent; it arrived only where the rail's success proves it."""
    if row.state == "DONE":
        ended: Mapping[str, Status] = {"goodwill_credit": "credited", "cancel_payment": "released"}
        paid_by = [one.rail for one in row.attempts if one.state == "SUCCEEDED"]
        return ended.get(row.action) or ("arrived" if paid_by and paid_by[-1] in arrives else "sent")
    return _STATUS.get(row.state) or ("sent" if row.accepted_at is not None else "working")


_STATUS: Final[Mapping[str, Status]] = {
    "REFUSED": "could_not",
    "FAILED": "could_not",
    "HELD": "with_people",
    "NEEDS_REVIEW": "with_people",
    "CHOICE_NEEDED": "choice_needed",
}
_ATTEMPT_STATUS: Final[Mapping[str, Status]] = {
    "PREPARED": "working",
    "UNKNOWN": "working",
    "NEEDS_REVIEW": "with_people",
    "ACCEPTED": "sent",
}


class _Teller:
    """What all parts of one answer need to know."""

    def __init__(self, record: MoneyRecord, *, to_desk: bool, arrives: Collection[str]) -> None:
        self._record = record
        self._to_desk = to_desk
        self._arrives = arrives
        self._speech = Speech(record.locale, record.languages, record.currency)
        self._tax = tax_of_parts(record.lines, record.parts)
        self._states = {one.id: status_of(one, arrives) for one in record.operations}
        self._payments = {one.id: one for one in record.payments}
        self._standing = {one.id: accounts(one, record.balances) for one in record.payments}

    def order(self) -> OrderMoney:
        record, to_desk = self._record, self._to_desk
        return OrderMoney(
            order=record.ref,
            currency=record.currency,
            total=record.total,
            lines=tuple(self._line(one) for one in record.lines),
            payments=tuple(self._payment(one) for one in record.payments),
            operations=tuple(self._operation(one) for one in record.operations),
            balanced=all(balanced(one, self._standing[one.id]) for one in record.payments) if to_desk else None,
            movements=tuple(self._movement(one) for one in record.movements) if to_desk else (),
        )

    def _line(self, row: LineRow) -> LineMoney:
        awards = [self._award(one, row.price) for one in self._record.harms if one.line == row.id]
        return LineMoney(
            ref=row.ref,
            kind=row.kind,  # type: ignore[arg-type]  # the column's CHECK names the same five
            name=row.name,
            price=row.price,
            tax=row.tax,
            discount=row.discount,
            canceled=row.canceled,
            awarded=row.awarded,
            awarded_tax=sum(one.tax for one in awards),
            awards=tuple(awards),
        )

    def _award(self, harm: HarmRow, price: int) -> AwardShown:
        mine = [part for part in self._record.parts if part.harm == harm.id]
        gone: dict[Status, int] = {"sent": 0, "arrived": 0}
        owed = 0
        for part in mine:
            state = self._states[part.operation]
            if state in gone:
                gone[state] += part.amount
            else:
                owed += part.amount
        minutes = (harm.minutes, harm.minutes_of) if harm.minutes is not None and harm.minutes_of is not None else None
        return AwardShown(
            cause=harm.cause,
            told=self._speech.award(harm.cause, price=price, sent=gone["sent"], arrived=gone["arrived"], owed=owed, minutes=minutes),
            amount=harm.awarded,
            tax=sum(self._tax.get((part.operation, part.harm), 0) for part in mine),
            sent=gone["sent"],
            arrived=gone["arrived"],
            owed=owed,
        )

    def _payment(self, row: PaymentRow) -> PaymentMoney:
        standing = self._standing[row.id]
        on_its_way = on(standing, IN_TRANSIT)
        desk = DeskPayment(rail=row.rail, provider_ref=row.provider_ref, accounts=standing, balanced=balanced(row, standing))
        return PaymentMoney(
            ref=row.ref,
            method=row.method,
            status=row.status,  # type: ignore[arg-type]  # the column's CHECK names the same four
            captured=row.captured,
            refunded=row.refunded,
            on_its_way=on_its_way,
            promised=row.reserved - on_its_way,
            refunded_elsewhere=row.refunded_elsewhere,
            dispute=row.dispute,  # type: ignore[arg-type]  # likewise
            awards=tuple(self._award(one, row.captured) for one in self._record.harms if one.payment == row.id),
            paid_at=row.paid_at,
            desk=desk if self._to_desk else None,
        )

    def _operation(self, row: MoneyOperationRow) -> OperationMoney:
        mine = [part for part in self._record.parts if part.operation == row.id]
        fees = {one.id for one in self._record.lines if one.type == "fee"}
        payment = self._payments.get(row.payment) if row.payment else None
        # The method is the payment's own: what another rail paid out went where the customer chose.
        chosen = payment is not None and row.rail is not None and row.rail != payment.rail
        state = self._states[row.id]
        return OperationMoney(
            id=wire(WireId.OPERATION, row.id),
            action=row.action,  # type: ignore[arg-type]  # the statement reads these three alone
            state=state,
            told=self._speech.state(state, row.amount, to=payment.method if payment else "", chosen=chosen),
            amount=row.amount,
            tax=sum(self._tax.get((part.operation, part.harm), 0) for part in mine),
            fees=sum(part.amount for part in mine if part.line in fees),
            payment=payment.ref if payment else None,
            case=wire(WireId.CASE, row.case) if self._to_desk else None,
            created_at=row.created_at,
            attempts=tuple(self._attempt(one) for one in row.attempts),
        )

    def _attempt(self, row: AttemptRow) -> AttemptMoney:
        done: Status = "arrived" if row.rail in self._arrives else "sent"
        return AttemptMoney(
            rail=row.rail,
            state=done if row.state == "SUCCEEDED" else _ATTEMPT_STATUS.get(row.state, "could_not"),
            failure=row.failure if self._to_desk else None,
            sent_at=row.first_sent_at,
            key=row.key if self._to_desk else None,
            provider_ref=row.provider_ref if self._to_desk else None,
        )

    def _movement(self, row: MovementRow) -> MovementShown:
        return MovementShown(
            id=row.id,
            at=row.at,
            debit=row.debit,
            credit=row.credit,
            amount=row.amount,
            payment=self._payments[row.payment].ref,
            operation=wire(WireId.OPERATION, row.operation) if row.operation else None,
        )
