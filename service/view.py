"""What one statement reads of an order, its show and its history: everything that a decision or a screen needs, without personal data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    kind: str
    starts_at: datetime
    ends_at: datetime | None
    scope: Mapping[str, Any]


class ShowView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    name: Mapping[str, str]
    zone: str
    starts_at: datetime
    ends_at: datetime
    status: str
    settings: Mapping[str, Any]
    incidents: tuple[Incident, ...]

    @property
    def minutes(self) -> int:
        """Elapsed minutes, as a clock that knows no summer time counts them."""
        return int((self.ends_at - self.starts_at).total_seconds() // 60)


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    type: str
    kind: str
    name: str
    price: int
    tax: int
    awarded: int
    canceled: bool
    refundable: bool
    mine: bool
    """the caller's proven address is its holder's"""
    has_address: bool
    shows: tuple[UUID, ...]


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    rail: str | None
    status: str
    amount: int
    captured: int
    reserved: int
    refunded: int
    elsewhere: int
    dispute: str
    method: str
    paid_at: datetime | None
    created_at: datetime

    @property
    def left(self) -> int:
        return max(0, self.captured - self.refunded - self.reserved - self.elsewhere)


class PassView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    line: UUID
    issuer: str
    status: str
    checked_in_at: datetime | None
    replacements: int
    resends_24h: int
    reissues_24h: int
    suspended: bool


class HarmView(msgspec.Struct, frozen=True, kw_only=True):
    line: UUID | None
    payment: UUID | None
    cause: str
    awarded: int


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    status: str
    currency: str
    total: int
    customer_ref: str | None
    buyer: UUID
    buyer_is_caller: bool
    buyer_has_address: bool
    locale: str
    placed_at: datetime
    cancelled_at: datetime | None
    lines: tuple[LineView, ...]
    payments: tuple[PaymentView, ...]
    passes: tuple[PassView, ...]
    harms: tuple[HarmView, ...]
    refunds_90d: int
    cases_24h: int


class View(msgspec.Struct, frozen=True, kw_only=True):
    now: datetime
    """the database's clock"""
    platform: Mapping[str, Any]
    """the platform's settings"""
    show: ShowView | None
    order: OrderView | None
