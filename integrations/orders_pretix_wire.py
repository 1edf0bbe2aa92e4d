"""What we read of pretix's REST API: the fields that we use, and no others.

Source: https://docs.pretix.eu/dev/api/resources/ (events, items, orders), observed with pretix 2026.8.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec


class PretixEvent(msgspec.Struct, frozen=True, kw_only=True):
    slug: str
    name: dict[str, str]
    currency: str
    timezone: str
    date_from: dt.datetime
    date_to: dt.datetime | None = None
    has_subevents: bool = False


class PretixVariation(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    price: Decimal


class PretixItem(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: dict[str, str]
    default_price: Decimal
    admission: bool
    variations: tuple[PretixVariation, ...] = ()


class Checkin(msgspec.Struct, frozen=True, kw_only=True):
    datetime: dt.datetime
    type: str = "entry"


class PretixPosition(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    positionid: int
    """counts from 1 in its order"""
    item: int
    price: Decimal
    tax_value: Decimal
    secret: str
    variation: int | None = None
    attendee_name: str | None = None
    attendee_email: str | None = None
    voucher: int | None = None
    voucher_budget_use: Decimal | None = None
    checkins: tuple[Checkin, ...] = ()
    canceled: bool = False
    addon_to: int | None = None
    """the id of the position that it goes with, and is cancelled with"""
    blocked: tuple[str, ...] | None = None
    """who keeps the ticket from admitting anybody"""


class PretixFee(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    fee_type: str
    value: Decimal
    tax_value: Decimal
    description: str = ""
    canceled: bool = False


class PretixPayment(msgspec.Struct, frozen=True, kw_only=True):
    local_id: int
    state: str
    amount: Decimal
    created: dt.datetime
    provider: str
    payment_date: dt.datetime | None = None
    details: Any = None


class PretixRefund(msgspec.Struct, frozen=True, kw_only=True):
    local_id: int
    state: str
    amount: Decimal
    created: dt.datetime
    payment: int | None = None
    comment: str | None = None
    details: Any = None


class InvoiceAddress(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None = None


class PretixOrder(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    event: str
    status: str
    datetime: dt.datetime
    last_modified: dt.datetime
    total: Decimal
    locale: str
    positions: tuple[PretixPosition, ...]
    fees: tuple[PretixFee, ...]
    payments: tuple[PretixPayment, ...]
    refunds: tuple[PretixRefund, ...]
    email: str | None = None
    phone: str | None = None
    customer: str | None = None
    testmode: bool = False
    valid_if_pending: bool = False
    cancellation_date: dt.datetime | None = None
    invoice_address: InvoiceAddress | None = None
