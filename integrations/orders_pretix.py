"""Turns what pretix says of an event and its orders into our feed: states, passes, holders, and money exactly.

Source: pretix's REST API, resources event, item and order; observed with pretix 2026.8. What the mapping does not answer is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from integrations.orders_pretix_mapping import OUTSIDE, EventMapping, EventQuestions, ItemAnswer, ItemQuestion
from integrations.orders_pretix_wire import PretixEvent, PretixFee, PretixItem, PretixOrder, PretixPayment, PretixPosition
from service import feed
from service.model import exponent

_T = TypeVar("_T")

# pretix: n pending, p paid, e expired, c canceled.
_ORDER: Final = {"n": "pending", "p": "paid", "e": "expired", "c": "cancelled"}

# `refunded` is a payment that was captured and went back whole; the refunds say where it went.
_PAYMENT: Final = {
    "confirmed": "confirmed",
    "refunded": "confirmed",
    "pending": "pending",
    "created": "pending",
    "failed": "failed",
    "canceled": "cancelled",
}

# `external` is a refund that was seen at the processor and that nobody has confirmed yet: the money is gone all the same.
_REFUND: Final = {"created": "created", "transit": "transit", "done": "done", "external": "done", "failed": "failed", "canceled": "failed"}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# How we sign the refunds that we write into pretix: our operation, and what the processor calls the refund. People read it too.
_SIGNATURE: Final = re.compile(r"Makegood (op_[0-9a-f]{32})(?: ([!-~]{1,255}))?", re.ASCII)


class NotTranslatable(Exception):  # noqa: N818 - says what the order is
    """An order or event says something that we do not understand, and then nothing of it is taken in. Holds no personal data."""


def questions(event: PretixEvent, items: Sequence[PretixItem], orders: Iterable[PretixOrder]) -> EventQuestions:
    """What a person has to answer before these orders can be taken in."""
    known = list(orders)
    return EventQuestions(
        event=event.slug,
        items=tuple(
            ItemQuestion(id=item.id, name=_title(item), admission=item.admission, price=f"{item.default_price} {event.currency}")
            for item in items
        ),
        providers=frozenset(payment.provider for order in known for payment in order.payments),
        fees=frozenset(fee.fee_type for order in known for fee in order.fees),
    )


class Translator:
    """One event's orders, by its mapping. All amounts leave as integers of the currency's minor unit; one that does not fit is refused."""

    def __init__(self, event: PretixEvent, items: Sequence[PretixItem], mapping: EventMapping) -> None:
        self._event = event
        self._items: Mapping[int, PretixItem] = {item.id: item for item in items}
        self._mapping = mapping

    def show(self) -> feed.ShowFeed:
        """Pretix gives events no version: it is 1, so that whatever the platform says of the show itself comes later."""
        event = self._event
        if event.date_to is None:
            raise NotTranslatable(f"event {event.slug}: date_to: it has no end, so a share of it cannot be computed")
        if event.has_subevents:
            raise NotTranslatable(f"event {event.slug}: has_subevents: a series is several shows, import its dates one by one")
        made = feed.ShowFeed(version=1, name=event.name, zone=event.timezone, starts_at=event.date_from, ends_at=event.date_to)
        return _checked(made, feed.ShowFeed, f"event {event.slug}")

    def order(self, order: PretixOrder) -> feed.OrderFeed:
        """Raises NotTranslatable, naming the order and the field."""
        name = f"order {order.code}"
        status = _word(_ORDER, order.status, f"{name}: status")
        made = feed.OrderFeed(
            version=(order.last_modified - _EPOCH) // datetime.resolution,
            status=status,
            currency=self._event.currency,
            total=self._minor(order.total, f"{name}: total"),
            buyer=_buyer(order),
            placed_at=order.datetime,
            locale=order.locale,
            cancelled_at=order.cancellation_date if status == "cancelled" else None,
            positions=tuple(self._position(order, position) for position in order.positions),
            fees=tuple(self._fee(order, fee) for fee in order.fees),
            payments=self._payments(order),
        )
        return _checked(made, feed.OrderFeed, name)

    def _position(self, order: PretixOrder, position: PretixPosition) -> feed.PositionFeed:
        place = f"order {order.code}: position {position.positionid}"
        answer = self._mapping.items.get(position.item)
        item = self._items.get(position.item)
        if item is None or not isinstance(answer, ItemAnswer):
            raise NotTranslatable(f"{place}: item {position.item} is not in the mapping")
        return feed.PositionFeed(
            ref=str(position.positionid),
            kind=answer.kind,
            name=_title(item),
            shows=answer.shows,
            holder=_holder(position),
            price=self._minor(position.price, f"{place}: price"),
            tax=self._minor(position.tax_value, f"{place}: tax_value"),
            discount=self._minor(_discount(item, position), f"{place}: voucher"),
            canceled=position.canceled,
            admission=_pass(order, position) if item.admission else None,
        )

    def _fee(self, order: PretixOrder, fee: PretixFee) -> feed.FeeFeed:
        place = f"order {order.code}: fee {fee.id}"
        refundable = self._mapping.fees.get(fee.fee_type)
        if refundable is None:
            raise NotTranslatable(f"{place}: fee type {fee.fee_type} is not in the mapping")
        return feed.FeeFeed(
            ref=str(fee.id),
            name=_line(fee.description) or fee.fee_type,
            amount=self._minor(fee.value, f"{place}: value"),
            tax=self._minor(fee.tax_value, f"{place}: tax_value"),
            refundable=refundable,
            canceled=fee.canceled,
        )

    def _payments(self, order: PretixOrder) -> tuple[feed.PaymentFeed, ...]:
        paid = [payment.local_id for payment in order.payments if payment.state in ("confirmed", "refunded")]
        refunds: dict[int, list[feed.RefundFeed]] = {payment.local_id: [] for payment in order.payments}
        for refund in order.refunds:
            place = f"order {order.code}: refund {refund.local_id}"
            of_payment = refund.payment if refund.payment is not None else (paid[0] if len(paid) == 1 else None)
            if of_payment is None or of_payment not in refunds:
                raise NotTranslatable(f"{place}: payment: it does not say which payment it belongs to")
            refunds[of_payment].append(
                feed.RefundFeed(
                    ref=f"R-{refund.local_id}",
                    amount=self._minor(refund.amount, f"{place}: amount"),
                    state=_word(_REFUND, refund.state, f"{place}: state"),
                    provider_ref=_reference(refund.details) or signature_of(refund.comment)[1],
                    created_at=refund.created,
                )
            )
        return tuple(self._payment(order, payment, refunds[payment.local_id]) for payment in order.payments)

    def _payment(self, order: PretixOrder, payment: PretixPayment, refunds: list[feed.RefundFeed]) -> feed.PaymentFeed:
        place = f"order {order.code}: payment {payment.local_id}"
        rail = self._mapping.providers.get(payment.provider)
        if rail is None:
            raise NotTranslatable(f"{place}: provider {payment.provider} is not in the mapping")
        amount = self._minor(payment.amount, f"{place}: amount")
        status = _word(_PAYMENT, payment.state, f"{place}: state")
        missing = amount - sum(refund.amount for refund in refunds if refund.state != "failed")
        if payment.state == "refunded" and missing > 0:
            # The payment says that all of it went back, its refunds do not: believe the payment, so that nothing is paid twice.
            refunds = [*refunds, feed.RefundFeed(ref=f"P-{payment.local_id}-refunded", amount=missing, state="done")]
        return feed.PaymentFeed(
            ref=f"P-{payment.local_id}",
            status=status,
            amount=amount,
            captured=amount if status == "confirmed" else 0,
            created_at=payment.created,
            rail=None if rail == OUTSIDE else rail,
            provider_ref=None if rail == OUTSIDE else _reference(payment.details),
            method=_line(payment.details.get("payment_method")) if isinstance(payment.details, dict) else "",
            paid_at=payment.payment_date,
            refunds_elsewhere=tuple(refunds),
        )

    def _minor(self, amount: Decimal, place: str) -> int:
        scaled = amount.scaleb(exponent(self._event.currency)) if amount.is_finite() else amount
        if not amount.is_finite() or scaled != scaled.to_integral_value():
            raise NotTranslatable(f"{place}: {amount} is not an amount of {self._event.currency}")
        return int(scaled)


def signature(operation: str, provider_ref: str | None) -> str:
    """What a refund of ours is marked with in pretix, so that it is known again."""
    return f"Makegood {operation} {provider_ref}" if provider_ref else f"Makegood {operation}"


def signature_of(comment: str | None) -> tuple[str | None, str | None]:
    """Our operation, and the processor's reference where it was known; nothing of a refund that is not ours."""
    found = _SIGNATURE.fullmatch(comment or "")
    return (found[1], found[2]) if found else (None, None)


def _checked(made: object, kind: type[_T], name: str) -> _T:
    """The struct again, held to the bounds of the wire format (msgspec checks them only when it converts)."""
    try:
        return msgspec.convert(msgspec.to_builtins(made), kind)
    except msgspec.ValidationError as error:
        raise NotTranslatable(f"{name}: {error}") from None


def _title(item: PretixItem) -> str:
    return _line(item.name.get("en") or next(iter(item.name.values()), "")) or f"item {item.id}"


def _word(known: Mapping[str, str], word: str, place: str) -> Any:
    if word not in known:
        raise NotTranslatable(f"{place}: we do not know the word {word!r}")
    return known[word]


def _buyer(order: PretixOrder) -> feed.BuyerFeed:
    """Pretix has a buyer's address and no name; an invoice has one, and so has the position that the buyer holds."""
    own = next((position.attendee_name for position in order.positions if order.email and position.attendee_email == order.email), None)
    name = order.invoice_address.name if order.invoice_address and order.invoice_address.name else own
    return feed.BuyerFeed(
        name=_line(name) or None, email=order.email or None, phone=order.phone or None, customer_ref=order.customer or None
    )


def _holder(position: PretixPosition) -> feed.PersonFeed | None:
    name, email = _line(position.attendee_name) or None, position.attendee_email or None
    return None if name is None and email is None else feed.PersonFeed(name=name, email=email)


def _pass(order: PretixOrder, position: PretixPosition) -> feed.PassFeed:
    """A ticket of an order that is not paid admits nobody, unless the organizer said so; nor does one that is blocked."""
    admits = (order.status == "p" or (order.status == "n" and order.valid_if_pending)) and not position.blocked
    entries = [checkin.datetime for checkin in position.checkins if checkin.type == "entry"]
    return feed.PassFeed(
        barcode=position.secret,
        status="valid" if admits and not position.canceled else "void",
        checked_in_at=min(entries, default=None),
    )


def _discount(item: PretixItem, position: PretixPosition) -> Decimal:
    """What a voucher saved: as pretix accounts for it, else against the price in the shop."""
    if position.voucher_budget_use is not None:
        return position.voucher_budget_use
    if position.voucher is None:
        return Decimal(0)
    price = next((one.price for one in item.variations if one.id == position.variation), item.default_price)
    return max(price - position.price, Decimal(0))


def _reference(details: Any) -> str | None:
    found = details.get("id") if isinstance(details, dict) else None
    return found if isinstance(found, str) and found else None


def _line(text: Any) -> str:
    """People paste line breaks and tabs into names."""
    return " ".join(text.split()) if isinstance(text, str) else ""
