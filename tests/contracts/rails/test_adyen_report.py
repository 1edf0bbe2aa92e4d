"""Adyen's accounting report: exact amounts, the last word on each refund, and a broken file refused with the place that is broken.

The files are written here, by the columns that Adyen's page names; none came from Adyen.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations import payments_adyen_report
from integrations.payments_adyen import reference_of
from integrations.payments_adyen_report import Report, read_report
from service.model import Money, exponent
from service.ports import Movement, RefundSeen
from tests.peers.adyen_stub import MERCHANT_ACCOUNT

COLUMNS = (
    "Company Account",
    "Merchant Account",
    "Psp Reference",
    "Merchant Reference",
    "Payment Method",
    "Booking Date",
    "TimeZone",
    "Main Currency",
    "Main Amount",
    "Record Type",
    "Payment Currency",
    "Received (PC)",
    "Authorised (PC)",
    "Captured (PC)",
    "Modification Psp Reference",
    "Modification Merchant Reference",
)
OPERATION, ATTEMPT = UUID(int=1), UUID(int=2)


def row(kind: str = "Refunded", **fields: str) -> dict[str, str]:
    """A line of the report; `fields` by the first words of their columns: amount, currency, at, zone, refund, payment, reference."""
    names = {
        "amount": "Captured (PC)",
        "currency": "Payment Currency",
        "at": "Booking Date",
        "zone": "TimeZone",
        "refund": "Modification Psp Reference",
        "payment": "Psp Reference",
        "reference": "Modification Merchant Reference",
        "account": "Merchant Account",
    }
    usual = {
        "amount": "-7.00",
        "currency": "EUR",
        "at": "2026-11-20 10:00:00",
        "zone": "UTC",
        "refund": "REFUND1",
        "payment": "PAYMENT1",
        "reference": reference_of(OPERATION, ATTEMPT),
        "account": MERCHANT_ACCOUNT,
    }
    return {"Record Type": kind, "Company Account": "Northern"} | {names[name]: value for name, value in (usual | fields).items()}


def report(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def read(*rows: dict[str, str]) -> Report:
    return read_report(report(*rows), merchant_account=MERCHANT_ACCOUNT)


def movement(**fields: Any) -> Movement:
    refund: dict[str, Any] = {
        "provider_ref": "REFUND1",
        "state": "SUCCEEDED",
        "amount": Money(minor=700, currency="EUR"),
        "operation_id": OPERATION,
        "attempt_id": ATTEMPT,
        "at": datetime(2026, 11, 20, 10, 0, tzinfo=UTC),
    }
    return Movement(payment_ref="PAYMENT1", refund=RefundSeen(**(refund | fields)))


# --------------------------------------------------------------------------------------------------- what it says


def test_a_refund_is_read_with_its_payment_both_ids_amount_and_time() -> None:
    assert read(row()) == Report(movements=(movement(),), skipped={})


def test_a_refund_of_somebody_elses_carries_no_attempt() -> None:
    assert read(row(reference="by hand")).movements == (movement(operation_id=None, attempt_id=None),)


@pytest.mark.parametrize(
    ("kind", "state", "failure"),
    [
        ("SentForRefund", "ACCEPTED", ""),
        ("Refunded", "SUCCEEDED", ""),
        ("RefundedExternally", "SUCCEEDED", ""),
        ("RefundFailed", "FAILED", "merchant_request"),
        ("RefundedReversed", "FAILED", "merchant_request"),
    ],
)
def test_each_record_type_of_a_refund_is_told_in_our_words(kind: str, state: str, failure: str) -> None:
    assert read(row(kind)).movements == (movement(state=state, failure=failure),)


def test_the_last_booking_of_a_refund_holds_wherever_it_stands() -> None:
    sent, arrived, back = (
        row(kind, at=f"2026-11-{day} 10:00:00") for kind, day in (("SentForRefund", 20), ("Refunded", 21), ("RefundedReversed", 25))
    )
    for rows in ((sent, arrived, back), (back, arrived, sent), (arrived, back, sent)):
        (seen,) = read(*rows).movements
        assert (seen.refund.state, seen.refund.at) == ("FAILED", datetime(2026, 11, 25, 10, 0, tzinfo=UTC))


def test_of_two_bookings_at_the_same_time_the_one_further_down_holds() -> None:
    assert [seen.refund.state for seen in read(row("SentForRefund"), row("Refunded")).movements] == ["SUCCEEDED"]


def test_what_is_no_refund_or_of_another_account_is_left_out_and_counted() -> None:
    told = read(row("Authorised"), row("SentForSettle"), row("SentForSettle"), row(), row("Of the future"), row(account="SomebodyElse"))

    assert told.movements == (movement(),)
    assert told.skipped == {"Authorised": 1, "SentForSettle": 2, "Of the future": 1, "other accounts": 1}


def test_a_line_that_is_no_refund_may_be_empty_elsewhere() -> None:
    assert read({"Record Type": "Fee", "Merchant Account": MERCHANT_ACCOUNT}).skipped == {"Fee": 1}


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 10), ("CET", 9), ("CEST", 8), ("PDT", 17), ("JST", 1)])
def test_times_are_told_in_utc(zone: str, hour: int) -> None:
    (seen,) = read(row(zone=zone)).movements

    assert seen.refund.at == datetime(2026, 11, 20, hour, 0, tzinfo=UTC)


@given(st.integers(0, 10**12), st.sampled_from(("EUR", "JPY", "ISK", "CLP", "IDR", "KWD")), st.sampled_from(("", "-")))
def test_amounts_are_exact_in_every_currency(minor: int, currency: str, sign: str) -> None:
    written = sign + str(Decimal(minor).scaleb(-exponent(currency)).quantize(Decimal(1).scaleb(-exponent(currency))))

    (seen,) = read(row(amount=written, currency=currency)).movements

    assert seen.refund.amount == Money(minor=minor, currency=currency)


def test_zeros_behind_a_currency_without_decimals_change_nothing() -> None:
    (seen,) = read(row(amount="5120.00", currency="JPY")).movements

    assert seen.refund.amount == Money(minor=5120, currency="JPY")


def test_further_columns_any_order_a_byte_order_mark_and_empty_lines_change_nothing() -> None:
    shuffled = report(row(), columns=("Something New", *reversed(COLUMNS)))

    told = read_report(
        b"\xef\xbb\xbf" + shuffled + b"\r\n,,,\r\n\r\n".replace(b",,,", b"," * len(COLUMNS)), merchant_account=MERCHANT_ACCOUNT
    )

    assert told.movements == (movement(),)


# ------------------------------------------------------------------------------------------------- what is broken


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"amount": ""}, "line 3, column Captured (PC): is empty"),
        ({"amount": "7,00"}, "line 3, column Captured (PC): is no amount"),
        ({"amount": "NaN"}, "line 3, column Captured (PC): is no amount"),
        ({"amount": "1e9"}, "line 3, column Captured (PC): is no amount"),
        ({"amount": "9" * 40}, "line 3, column Captured (PC): is no amount"),
        ({"amount": "\N{ARABIC-INDIC DIGIT SEVEN}"}, "line 3, column Captured (PC): is no amount"),
        ({"amount": "7.001"}, "line 3, column Captured (PC): is no whole number of minor units of EUR"),
        ({"currency": "eur"}, "line 3, column Payment Currency: is no currency"),
        ({"currency": ""}, "line 3, column Payment Currency: is empty"),
        ({"at": "20-11-2026"}, "line 3, column Booking Date: is no date and time as 2026-11-22 19:58:55"),
        ({"zone": "XYZ"}, "line 3, column TimeZone: is not known here; set the account to UTC or CET"),
        ({"refund": ""}, "line 3, column Modification Psp Reference: is empty"),
        ({"refund": "REFUND1"}, "line 3, column Modification Psp Reference: was booked before with another payment or amount"),
        ({"payment": " "}, "line 3, column Psp Reference: is empty"),
        ({"account": ""}, "line 3, column Merchant Account: is empty"),
    ],
)
def test_a_broken_line_refuses_the_file_and_is_named(fields: dict[str, str], place: str) -> None:
    with pytest.raises(ValueError) as broken:  # noqa: PT011 - the whole message is compared below
        read(row(), row(**({"refund": "REFUND2", "amount": "8.00"} | fields)))

    assert str(broken.value) == place


@pytest.mark.parametrize("column", payments_adyen_report._COLUMNS)  # noqa: SLF001 - every column that is read, so that none is forgotten here
def test_a_column_that_is_missing_or_there_twice_is_named(column: str) -> None:
    without = tuple(each for each in COLUMNS if each != column)
    for columns, what in ((without, "is missing"), ((*COLUMNS, column), "stands there twice")):
        with pytest.raises(ValueError, match="line 1") as broken:
            read_report(report(row(), columns=columns), merchant_account=MERCHANT_ACCOUNT)
        assert f"column {column}: {what}" in str(broken.value)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "line 1, column"),
        (report(row()) + b"one,two\r\n", "line 3: 2 columns"),
        (report(row()) + b'"never closed,', "line 3"),
        (report(row()) + b"\xff\xfe", "line 3: not UTF-8"),
        (report(row()) + b"," * 15 + b"x" * 10_001 + b"\r\n", "line 3: a field of more than"),
        (b"PK\x03\x04 a spreadsheet", "line 1, column"),
    ],
    ids=["empty", "short", "quote", "bytes", "long", "spreadsheet"],
)
def test_what_is_no_report_is_refused_with_its_line(content: bytes, place: str) -> None:
    with pytest.raises(ValueError) as broken:  # noqa: PT011 - the place is compared below
        read_report(content, merchant_account=MERCHANT_ACCOUNT)

    assert str(broken.value).startswith(place)


@pytest.mark.parametrize(("limit", "most"), [("_BYTES_MAX", 500), ("_LINES_MAX", 3), ("_TYPES_MAX", 2)])
def test_a_report_beyond_its_limits_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    monkeypatch.setattr(payments_adyen_report, limit, most)

    with pytest.raises(ValueError, match=f"more than {most} "):
        read(row("A"), row("B"), row("C"))


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(str.encode)
    | st.lists(st.text(max_size=9), max_size=16).map(",".join).map(str.encode)
)
def test_whatever_follows_is_read_or_refused_and_never_crashes(tail: bytes) -> None:
    try:
        told = read_report(report(row()) + tail, merchant_account=MERCHANT_ACCOUNT)
    except ValueError as broken:
        place = str(broken)
    else:
        place = "line "
        assert movement() in told.movements
    assert place.startswith("line ")
