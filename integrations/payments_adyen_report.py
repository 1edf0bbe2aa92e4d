"""Adyen's payment accounting report, a CSV, read as the refunds that the account made: Adyen has no list that could be asked for."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Final, Literal

import msgspec

from integrations.payments_adyen import ours
from service.model import Money, exponent
from service.ports import Movement, RefundSeen

# A line has some 400 bytes: 160,000 of them, a month with 50,000 sales and their refunds. It is held in memory; for more, ask Adyen for
# shorter spans.
_BYTES_MAX: Final = 64_000_000
_LINES_MAX: Final = 200_000
# Adyen's longest columns hold 80 characters; a field beyond this is a quote that was never closed.
_FIELD_CHARACTERS_MAX: Final = 10_000
# The lifecycle knows some forty record types; a column with more is another one.
_TYPES_MAX: Final = 100
# More digits than any amount of money has, and few enough for Decimal's 28.
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,6})?")
_CODE: Final = re.compile(r"[A-Z]{3}")

type_state = Literal["ACCEPTED", "SUCCEEDED", "FAILED"]

# "Payments lifecycle": record types of refunds. What is none of these is no refund, or not known here: counted, never guessed.
_STATES: Final[Mapping[str, type_state]] = {
    "SentForRefund": "ACCEPTED",
    "Refunded": "SUCCEEDED",
    "RefundedExternally": "SUCCEEDED",
    "RefundFailed": "FAILED",
    "RefundedReversed": "FAILED",
}
# "Payment accounting report", standard columns, and the one of the additional columns without which refunds cannot be told apart.
_MERCHANT: Final = "Merchant Account"
_PAYMENT: Final = "Psp Reference"
_REFUND: Final = "Modification Psp Reference"
_REFERENCE: Final = "Modification Merchant Reference"
_TYPE: Final = "Record Type"
_AT: Final = "Booking Date"
_ZONE: Final = "TimeZone"
_CURRENCY: Final = "Payment Currency"
_AMOUNT: Final = "Captured (PC)"
_COLUMNS: Final = (_MERCHANT, _PAYMENT, _REFUND, _REFERENCE, _TYPE, _AT, _ZONE, _CURRENCY, _AMOUNT)

# Abbreviations of the account's zone, with their hours from UTC. Those that mean several places (IST, CST in China) are not here.
_ZONES: Final[Mapping[str, int]] = {
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "WEST": 1,
    "BST": 1,
    "CET": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
    "BRT": -3,
    "EST": -5,
    "EDT": -4,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "SGT": 8,
    "HKT": 8,
    "JST": 9,
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The refunds of a report, each as it stood at its last booking, in the order of their first; and what was left out."""

    movements: tuple[Movement, ...]
    skipped: Mapping[str, int]
    """lines by record type that are no refund of ours to read, and `other accounts`"""


def read_report(content: bytes, *, merchant_account: str) -> Report:
    """Read the whole report or nothing. Raises ValueError, which names line and column and quotes neither amounts nor references."""
    if len(content) > _BYTES_MAX:
        raise ValueError(f"more than {_BYTES_MAX} bytes")
    skipped: Counter[str] = Counter()
    movements: dict[str, Movement] = {}
    booked: dict[str, datetime] = {}
    for line in _lines(content):
        kind = line.text(_TYPE)
        if line.text(_MERCHANT) != merchant_account:
            skipped["other accounts"] += 1
        elif kind not in _STATES:
            skipped[kind] += 1
        else:
            at, movement = _at(line), _movement(line, _STATES[kind])
            ref = movement.refund.provider_ref
            _same_refund(movements.get(ref, movement), movement, line)
            # of two bookings the later one holds, of two at the same time the one further down
            if at >= booked.get(ref, at):
                movements[ref], booked[ref] = movement, at
        if len(skipped) > _TYPES_MAX:
            raise line.wrong(_TYPE, f"more than {_TYPES_MAX} kinds")
    return Report(movements=tuple(movements.values()), skipped=dict(skipped))


class _Line:
    """One line, which knows where it stands."""

    def __init__(self, number: int, fields: Mapping[str, str]) -> None:
        self.number = number
        self._fields = fields

    def text(self, column: str, *, empty_is_wrong: bool = True) -> str:
        text = self._fields[column].strip()
        if not text and empty_is_wrong:
            raise self.wrong(column, "is empty")
        return text

    def wrong(self, column: str, what: str) -> ValueError:
        return ValueError(f"line {self.number}, column {column}: {what}")


def _lines(content: bytes) -> Iterator[_Line]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {number}: not UTF-8") from None  # its own message would quote the line
    rows = _rows(text)
    number, header = next(rows, (1, []))
    if missing := [column for column in _COLUMNS if column not in header]:
        raise ValueError(f"line {number}, column {missing[0]}: is missing; add it to the report in the Customer Area")
    if twice := [column for column in _COLUMNS if header.count(column) > 1]:
        raise ValueError(f"line {number}, column {twice[0]}: stands there twice")
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(f"line {number}: {len(row)} columns, not {len(header)}")
        yield _Line(number, dict(zip(header, row, strict=True)))


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from None
        if row is None:
            return
        if reader.line_num > _LINES_MAX:
            raise ValueError(f"line {reader.line_num}: more than {_LINES_MAX} lines")
        if any(len(field) > _FIELD_CHARACTERS_MAX for field in row):
            raise ValueError(f"line {reader.line_num}: a field of more than {_FIELD_CHARACTERS_MAX} characters")
        if any(field.strip() for field in row):
            yield reader.line_num, row


def _movement(line: _Line, state: type_state) -> Movement:
    operation_id, attempt_id = ours(line.text(_REFERENCE, empty_is_wrong=False)) or (None, None)
    refund = RefundSeen(
        provider_ref=line.text(_REFUND),
        state=state,
        amount=_amount(line),
        operation_id=operation_id,
        attempt_id=attempt_id,
        # the report gives no reason, and a failed refund may be sent again by Adyen: nothing that would open another way
        failure="merchant_request" if state == "FAILED" else "",
        at=_at(line),
    )
    return Movement(payment_ref=line.text(_PAYMENT), refund=refund)


def _amount(line: _Line) -> Money:
    """Without its sign, which says only into which register it was booked. The report writes whole units with ISO's decimal point."""
    currency, text = line.text(_CURRENCY), line.text(_AMOUNT)
    if not _CODE.fullmatch(currency):
        raise line.wrong(_CURRENCY, "is no currency")
    if not _NUMBER.fullmatch(text):
        raise line.wrong(_AMOUNT, "is no amount")
    minor = abs(Decimal(text)).scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        raise line.wrong(_AMOUNT, f"is no whole number of minor units of {currency}")
    return Money(minor=int(minor), currency=currency)


def _at(line: _Line) -> datetime:
    zone = line.text(_ZONE)
    if zone not in _ZONES:
        raise line.wrong(_ZONE, "is not known here; set the account to UTC or CET")
    try:
        at = datetime.strptime(line.text(_AT), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the zone stands in the next column
    except ValueError:
        raise line.wrong(_AT, "is no date and time as 2026-11-22 19:58:55") from None
    return at.replace(tzinfo=timezone(timedelta(hours=_ZONES[zone])))


def _same_refund(earlier: Movement, movement: Movement, line: _Line) -> None:
    """Raises ValueError."""
    if (earlier.payment_ref, earlier.refund.amount) != (movement.payment_ref, movement.refund.amount):
        raise line.wrong(_REFUND, "was booked before with another payment or amount")
