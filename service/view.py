"""What one statement reads of an order, its show and its history: everything that a decision or a screen needs, without personal data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from service.callers import Proven

Phase = Literal["before", "live", "over"]


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
    version: int
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

    def help_page(self, problem: str, player_error: str | None) -> str:
        """The address of the page for what the player says, else for the problem; empty: none is known."""
        of_error = self.settings.get("known_errors", {}).get(player_error) if player_error else None
        known = of_error or self.settings.get("articles", {}).get(problem) or {}
        return str(known.get("url", ""))


def phase(starts_at: datetime, ends_at: datetime, now: datetime) -> Phase:
    return "before" if now < starts_at else "live" if now < ends_at else "over"


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
    provider_ref: str | None
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
    buyer_proven: Proven | None
    """by what the caller has proved to be its buyer"""
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
    packs: Mapping[str, str] = {}
    """the platform's own, name -> hash"""
    show: ShowView | None
    order: OrderView | None
