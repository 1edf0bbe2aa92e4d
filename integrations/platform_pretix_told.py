"""Writes into pretix what happened here: our refunds beside its payments, and a link to the order for whoever got a new ticket.

pretix is never asked to move money: its refunds of ours are of the provider `manual`, which is a note and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from integrations.orders_pretix import signature, signature_of
from integrations.orders_pretix_wire import PretixOrder, PretixRefund
from integrations.platform_pretix_api import PretixApi, decoded
from service.model import exponent
from service.ports import Declined, EventTold

# pretix keeps amounts of every currency with two decimals.
_DECIMALS: Final = 2
# Of pretix's refunds, those that stand for money that is gone or on its way.
_STANDING: Final = frozenset({"created", "transit", "done"})


class _Payment(msgspec.Struct, frozen=True, kw_only=True):
    ref: str


class _Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Of a `refund.*` event, what we write."""

    refund: str
    payment: _Payment
    amount: int
    currency: str
    order: str | None = None
    provider_ref: str | None = None


class PretixTold:
    """`Told`. Every event may come again: what pretix has already is looked for before anything is written."""

    def __init__(self, api: PretixApi, *, resend_link: bool) -> None:
        self._api = api
        self._resend_link = resend_link

    async def told(self, event: EventTold) -> None:
        """Raises Declined for what pretix cannot take in, Unavailable, OutcomeUnknown."""
        if event.type in {"refund.sent", "refund.succeeded", "refund.failed"}:
            await self._refund(event)
        elif event.type == "pass.replaced" and self._resend_link and event.data.get("issuer") == "platform":
            await self._link(event)

    async def _refund(self, event: EventTold) -> None:
        told = msgspec.convert(event.data, _Refund)
        if told.order is None:
            return
        order = await self._api.order(told.order)
        ours = [one for one in order.refunds if signature_of(one.comment)[0] == told.refund]
        standing = next((one for one in ours if one.state in _STANDING), None)
        if event.type == "refund.failed":
            await self._undo(order, standing, event)
            return
        if standing is None:
            if any(signature_of(one.comment)[1] == told.provider_ref for one in ours):
                return  # told again, after it came to nothing
            standing = await self._create(order, told)
        if event.type == "refund.succeeded" and standing.state != "done":
            await self._move(order, standing, "done", event)

    async def _create(self, order: PretixOrder, told: _Refund) -> PretixRefund:
        local = told.payment.ref.removeprefix("P-")
        if not local.isdecimal():
            raise Declined("unsupported", "the payment is not one of pretix's")
        body: Mapping[str, Any] = {
            "state": "transit",
            "source": "admin",
            "amount": str(_decimal(told)),
            "payment": int(local),
            "provider": "manual",
            "comment": signature(told.refund, told.provider_ref),
            "mark_canceled": False,
            "mark_pending": False,
        }
        # One key for all that may tell of the same sending, so that two of us who looked at once write one.
        key = f"{told.refund}:{told.provider_ref or ''}"
        made: PretixRefund = decoded(await self._api.post(order.event, f"orders/{order.code}/refunds/", body, key=key), PretixRefund)
        return made

    async def _undo(self, order: PretixOrder, standing: PretixRefund | None, event: EventTold) -> None:
        if standing is None:
            return
        if standing.state == "done":
            # pretix has no way back from there; people have the case of a refund that failed, and correct it.
            raise Declined("unsupported", "pretix has this refund as done, which its API cannot undo")
        await self._move(order, standing, "cancel", event)

    async def _move(self, order: PretixOrder, refund: PretixRefund, to: Literal["done", "cancel"], event: EventTold) -> None:
        await self._api.post(order.event, f"orders/{order.code}/refunds/{refund.local_id}/{to}/", {}, key=f"{event.id}:{to}")

    async def _link(self, event: EventTold) -> None:
        ref = event.data.get("order")
        if not isinstance(ref, str):
            return
        order = await self._api.order(ref)
        if order.email:
            await self._api.post(order.event, f"orders/{order.code}/resend_link/", {}, key=event.id)


def _decimal(told: _Refund) -> Decimal:
    """Raises Declined for an amount that pretix would round, since then its books were not ours."""
    amount = Decimal(told.amount).scaleb(-exponent(told.currency))
    if amount != round(amount, _DECIMALS):
        raise Declined("unsupported", "pretix keeps no amount of more than two decimals")
    return amount
