"""What the shapes of the feed cannot say: how its fields must agree. Every mistake of a document is found at once, each with its field."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import msgspec

from service.feed import IncidentFeed, OrderFeed, PaymentFeed, PositionFeed, ShowFeed

# ISO 4217 list one of 2026 (the currencies in use), and those that left it since 2023 and still stand in old orders.
_CURRENCIES: Final = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF CLP CNY
    COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS
    INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR
    MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
    SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYI UYU UYW UZS VED VES VND VUV WST XAF
    XCD XCG XOF XPF YER ZAR ZMW ZWG ZWL
    """.split()  # noqa: SIM905 - reads as the list does
)

# Electronic tickets are younger, and whoever sells further ahead has a typing mistake.
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

# A festival of a fortnight is one show at most; longer is a wrong end.
_SHOW_LENGTH_MAX: Final = timedelta(days=15)


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """`field`: a JSON pointer (RFC 6901) into the document."""

    field: str
    message: str


class FeedInvalid(Exception):  # noqa: N818 - says what the document is
    """The document contradicts itself, or what we know. The text holds fields and refs, never names or addresses."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.field}: {mistake.message}" for mistake in mistakes))
        self.mistakes = tuple(mistakes)


def check_order(feed: OrderFeed) -> None:
    """Raises FeedInvalid."""
    _refuse([*_order_mistakes(feed), *_line_mistakes(feed), *_payments_mistakes(feed), *_odd_times(_order_times(feed))])


def check_show(feed: ShowFeed) -> None:
    """Raises FeedInvalid."""
    _refuse([*_show_mistakes(feed), *_odd_times([("/starts_at", feed.starts_at), ("/ends_at", feed.ends_at)])])


def check_incident(feed: IncidentFeed) -> None:
    """Raises FeedInvalid."""
    mistakes = [*_odd_times([("/from", feed.since), ("/to", feed.until)])]
    if feed.until is not None and feed.until < feed.since:
        mistakes.append(Mistake(field="/to", message="is before the start"))
    _refuse(mistakes)


def _refuse(mistakes: Sequence[Mistake]) -> None:
    if mistakes:
        raise FeedInvalid(mistakes)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _show_mistakes(feed: ShowFeed) -> Iterator[Mistake]:
    if feed.zone not in _zones():
        yield Mistake(field="/zone", message="is not a time zone of the IANA database")
    if feed.ends_at <= feed.starts_at:
        yield Mistake(field="/ends_at", message="is not after the start")
    elif feed.ends_at - feed.starts_at > _SHOW_LENGTH_MAX:
        yield Mistake(field="/ends_at", message=f"is more than {_SHOW_LENGTH_MAX.days} days after the start")
    for kind, caps in (("per_customer_and_day", feed.caps.per_customer_and_day), ("per_show_and_hour", feed.caps.per_show_and_hour)):
        for currency in caps:
            if currency not in _CURRENCIES:
                yield Mistake(field=f"/caps/{kind}/{currency}", message="is not a currency of ISO 4217")


def _order_mistakes(feed: OrderFeed) -> Iterator[Mistake]:
    if feed.currency not in _CURRENCIES:
        yield Mistake(field="/currency", message="is not a currency of ISO 4217")
    if feed.cancelled_at is not None and feed.status != "cancelled":
        yield Mistake(field="/cancelled_at", message=f"is set while the order is {feed.status}")
    amounts = [(position.price, position.canceled) for position in feed.positions] + [(fee.amount, fee.canceled) for fee in feed.fees]
    every = sum(amount for amount, _ in amounts)
    standing = sum(amount for amount, canceled in amounts if not canceled)
    if not standing <= feed.total <= every:
        between = f"{standing}" if standing == every else f"between {standing} and {every}"
        yield Mistake(field="/total", message=f"is {feed.total}, but the lines add up to {between}")


def _line_mistakes(feed: OrderFeed) -> Iterator[Mistake]:
    yield from _repeated("/positions", [position.ref for position in feed.positions], "ref")
    yield from _repeated(
        "/positions", [position.admission.barcode if position.admission else None for position in feed.positions], "pass/barcode"
    )
    yield from _repeated("/fees", [fee.ref for fee in feed.fees], "ref")
    for index, position in enumerate(feed.positions):
        yield from _position_mistakes(f"/positions/{index}", position)
    for index, fee in enumerate(feed.fees):
        if fee.tax > fee.amount:
            yield Mistake(field=f"/fees/{index}/tax", message="is more than the fee")


def _position_mistakes(place: str, position: PositionFeed) -> Iterator[Mistake]:
    if position.tax > position.price:
        yield Mistake(field=f"{place}/tax", message="is more than the price")
    if position.kind in ("stream", "venue") and not position.shows:
        yield Mistake(field=f"{place}/shows", message=f"has to name a show: a {position.kind} position admits to one")
    if position.holder is not None and position.holder == type(position.holder)():
        yield Mistake(field=f"{place}/holder", message="names nobody; leave it out when the buyer holds it")
    yield from _repeated(f"{place}/shows", position.shows)


def _payments_mistakes(feed: OrderFeed) -> Iterator[Mistake]:
    yield from _repeated("/payments", [payment.ref for payment in feed.payments], "ref")
    charges = [(payment.rail, payment.provider_ref) for payment in feed.payments]
    for index, charge in enumerate(charges):
        if None not in charge and charge in charges[:index]:
            yield Mistake(field=f"/payments/{index}/provider_ref", message="is the charge of another payment of this order")
    for index, payment in enumerate(feed.payments):
        yield from _payment_mistakes(f"/payments/{index}", payment, feed.currency)


def _payment_mistakes(place: str, payment: PaymentFeed, currency: str) -> Iterator[Mistake]:
    """More refunded than captured is no mistake of the document: it is a fact that people must see."""
    if payment.currency not in (None, currency):
        yield Mistake(field=f"{place}/currency", message=f"is not the order's currency, {currency}")
    if payment.captured > payment.amount:
        yield Mistake(field=f"{place}/captured", message="is more than the amount")
    if payment.status != "confirmed" and payment.captured:
        yield Mistake(field=f"{place}/captured", message=f"has to be 0 while the payment is {payment.status}")
    if payment.rail is None and payment.provider_ref is not None:
        yield Mistake(field=f"{place}/provider_ref", message="is set for a payment outside every rail")
    if payment.disputed_amount is not None and payment.dispute == "none":
        yield Mistake(field=f"{place}/disputed_amount", message="is set without a dispute")
    yield from _repeated(f"{place}/refunds_elsewhere", [refund.ref for refund in payment.refunds_elsewhere], "ref")


def _repeated(place: str, values: Sequence[str | None], field: str = "") -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value is None:
            continue
        first = seen.setdefault(value, index)
        if first != index:
            yield Mistake(field=f"{place}/{index}/{field}".rstrip("/"), message=f"is the same as at {place}/{first}")


def _order_times(feed: OrderFeed) -> Iterator[tuple[str, datetime | None]]:
    yield "/placed_at", feed.placed_at
    yield "/cancelled_at", feed.cancelled_at
    for index, position in enumerate(feed.positions):
        if position.admission is not None:
            yield f"/positions/{index}/pass/checked_in_at", position.admission.checked_in_at
    for index, payment in enumerate(feed.payments):
        yield f"/payments/{index}/paid_at", payment.paid_at
        yield f"/payments/{index}/created_at", payment.created_at
        for nth, refund in enumerate(payment.refunds_elsewhere):
            yield f"/payments/{index}/refunds_elsewhere/{nth}/created_at", refund.created_at


def _odd_times(times: Iterable[tuple[str, datetime | None]]) -> Iterator[Mistake]:
    for place, time in times:
        if time is not None and not _EARLIEST <= time <= _LATEST:
            yield Mistake(field=place, message=f"is not between {_EARLIEST.year} and {_LATEST.year}")
