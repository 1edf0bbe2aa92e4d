"""Takes orders in: checks a document, gives each part the id it gets when it is new, and lets one SQL function write it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from service.addresses import folded
from service.feed import FeeFeed, OrderFeed, PaymentFeed, PersonFeed, PositionFeed
from service.feed_rules import FeedInvalid, Mistake, check_order
from service.model import Json, WireId, new_id, wire
from service.store.orders import Obstacle, OrderStore, Written

SameVersion = Literal["refuse", "replace"]
"""What to do with another body under a version that we have: a platform made a mistake, an import may have a better mapping by now."""


class FeedConflict(Exception):  # noqa: N818 - says what happened
    """The document is right by itself, but not after what we know: `same_version` or `currency_changed`."""

    def __init__(self, code: Literal["same_version", "currency_changed"], *, version: int) -> None:
        super().__init__(code)
        self.code = code
        self.version = version


class PassState(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    issuer: Literal["platform", "makegood"]
    status: Literal["valid", "pending", "void"]
    replaces: str | None
    checked_in_at: datetime | None


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    """A position or a fee. `awarded`: what was ever promised back for it."""

    id: str
    ref: str
    kind: Literal["stream", "venue", "merchandise", "other", "fee"]
    name: str
    price: int
    tax: int
    discount: int
    canceled: bool
    refundable: bool
    awarded: int
    shows: tuple[str, ...]
    passes: tuple[PassState, ...]
    """oldest first; at most one is valid"""


class PaymentState(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    ref: str
    rail: str | None
    status: Literal["pending", "confirmed", "failed", "cancelled"]
    amount: int
    captured: int
    reserved: int
    """refunds of ours under way"""
    refunded: int
    """refunds of ours that were made"""
    refunded_elsewhere: int
    dispute: Literal["none", "open", "won", "lost"]
    paid_at: datetime | None


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """An order as we have it: what the platform said, and what we did. Without names and addresses."""

    id: str
    ref: str
    version: int
    status: Literal["paid", "pending", "expired", "cancelled"]
    currency: str
    total: int
    locale: str
    placed_at: datetime
    cancelled_at: datetime | None
    lines: tuple[LineState, ...]
    payments: tuple[PaymentState, ...]


class Orders:
    def __init__(self, store: OrderStore) -> None:
        self._store = store

    async def put(self, platform_id: UUID, ref: str, feed: OrderFeed, *, source: str, same_version: SameVersion = "refuse") -> Written:
        """Takes the document in, unless a newer one or the same is here. `source` is what the timeline shows, such as `key:shop`.

        Raises FeedInvalid when it contradicts itself, names a show nobody knows, a rail or a charge that is not this platform's, or another
        line's barcode; FeedConflict when it carries a version that we have with another body, or changes the currency.
        """
        check_order(feed)
        written = await self._store.put(order_document(platform_id, ref, feed, source=source, same_version=same_version))
        if written.result == "obstacles":
            raise FeedInvalid([_mistake(feed, obstacle) for obstacle in written.obstacles])
        raise_for_conflict(written)
        return written

    async def get(self, platform_id: UUID, ref: str) -> OrderState | None:
        found = await self._store.get(platform_id, ref)
        return None if found is None else msgspec.convert(_wired(found), OrderState)


def raise_for_conflict(written: Written) -> None:
    if written.result == "conflict":
        raise FeedConflict("same_version", version=written.version)
    if written.result == "currency":
        raise FeedConflict("currency_changed", version=written.version)


def order_document(platform_id: UUID, ref: str, feed: OrderFeed, *, source: str, same_version: SameVersion) -> Json:
    """What the SQL function `order_put` reads."""
    return {
        "platform": platform_id,
        "id": new_id(),
        "ref": ref,
        "version": feed.version,
        "same_version": same_version,
        "source": source,
        "hash": hashlib.sha256(msgspec.json.encode(feed, order="deterministic")).hexdigest(),
        "status": feed.status,
        "currency": feed.currency,
        "total": feed.total,
        "locale": feed.locale,
        "placed_at": feed.placed_at,
        "cancelled_at": feed.cancelled_at,
        "buyer": {"id": new_id(), **_person(feed.buyer), "customer_ref": feed.buyer.customer_ref},
        "lines": [*(_position(feed, position) for position in feed.positions), *(_fee(fee) for fee in feed.fees)],
        "payments": [_payment(feed, payment) for payment in feed.payments],
    }


def _position(feed: OrderFeed, position: PositionFeed) -> Json:
    held = position.holder is not None and not _is_buyer(position.holder, feed)
    admission = position.admission
    return {
        "id": new_id(),
        "type": "position",
        "ref": position.ref,
        "kind": position.kind,
        "name": position.name,
        "price": position.price,
        "tax": position.tax,
        "discount": position.discount,
        "canceled": position.canceled,
        "refundable": True,
        "shows": position.shows,
        "holder": {"id": new_id(), **_person(position.holder)} if held and position.holder is not None else None,
        "pass": None
        if admission is None
        else {
            "id": new_id(),
            "issuer": admission.issuer,
            "barcode": admission.barcode,
            "status": admission.status,
            "checked_in_at": admission.checked_in_at,
            **({"delivery": admission.delivery} if admission.delivery else {}),
        },
    }


def _fee(fee: FeeFeed) -> Json:
    return {
        "id": new_id(),
        "type": "fee",
        "ref": fee.ref,
        "kind": "fee",
        "name": fee.name,
        "price": fee.amount,
        "tax": fee.tax,
        "discount": 0,
        "canceled": fee.canceled,
        "refundable": fee.refundable,
        "shows": (),
        "holder": None,
        "pass": None,
    }


def _payment(feed: OrderFeed, payment: PaymentFeed) -> Json:
    return {
        "id": new_id(),
        "ref": payment.ref,
        "rail": payment.rail,
        "provider_ref": payment.provider_ref,
        "status": payment.status,
        "amount": payment.amount,
        "currency": feed.currency,
        "captured": payment.captured,
        "dispute": payment.dispute,
        "disputed": payment.disputed_amount,
        "method": payment.method,
        "paid_at": payment.paid_at,
        "created_at": payment.created_at,
        "refunds_elsewhere": [msgspec.structs.asdict(refund) for refund in payment.refunds_elsewhere],
    }


def _person(person: Any) -> Json:
    return {"name": person.name, "email": person.email, "phone": person.phone}


def _is_buyer(holder: PersonFeed, feed: OrderFeed) -> bool:
    """The same address is the same person; two names without an address to tell them apart are two people, unless they are one name."""
    if holder.email is not None and feed.buyer.email is not None:
        return folded(holder.email) == folded(feed.buyer.email)
    return holder.email is None and holder.phone in (None, feed.buyer.phone) and holder.name is not None and holder.name == feed.buyer.name


def _mistake(feed: OrderFeed, obstacle: Obstacle) -> Mistake:
    if obstacle.what in {"rail_not_allowed", "charge_of_other"}:
        payment = next(nth for nth, payment in enumerate(feed.payments) if payment.ref == obstacle.position)
        if obstacle.what == "charge_of_other":  # whose it is, is nobody's business
            return Mistake(field=f"/payments/{payment}/provider_ref", message="is not a charge of this platform on this rail")
        return Mistake(field=f"/payments/{payment}/rail", message=f"{obstacle.ref} is not one of this platform's rails")
    index = next(nth for nth, position in enumerate(feed.positions) if position.ref == obstacle.position)
    if obstacle.what == "unknown_show":
        show = feed.positions[index].shows.index(obstacle.ref)
        return Mistake(field=f"/positions/{index}/shows/{show}", message="is not a show that we know")
    return Mistake(field=f"/positions/{index}/pass/barcode", message="is the barcode of another position")


def _wired(found: Any) -> Any:
    """Ids as they stand on the wire."""
    return {
        **found,
        "id": wire(WireId.ORDER, UUID(found["id"])),
        "lines": [_wired_line(line) for line in found["lines"]],
        "payments": [{**payment, "id": wire(WireId.PAYMENT, UUID(payment["id"]))} for payment in found["payments"]],
    }


def _wired_line(line: Any) -> Any:
    passes = [
        {
            **one,
            "id": wire(WireId.PASS, UUID(one["id"])),
            "replaces": wire(WireId.PASS, UUID(one["replaces"])) if one["replaces"] else None,
        }
        for one in line["passes"]
    ]
    return {**line, "id": wire(WireId.POSITION, UUID(line["id"])), "passes": passes}
