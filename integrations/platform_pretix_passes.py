"""Passes that pretix makes: a new secret for a position, which kills the old one at the gate at once, and positions that admit nobody."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from integrations.orders_pretix_wire import PretixOrder, PretixPosition
from integrations.platform_pretix_api import PretixApi, decoded
from service.ports import Declined, NewPass

# pretix asks for this prefix of blocks that are set over its API.
_BLOCK: Final = "api:makegood"

# Each look after the first is because another change of the order came between; a group of ten given back at once is done by the third try.
_LOOKS_MAX: Final = 4


class _Secret(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    secret: str


class PretixPasses:
    """`PassIssuer`. `refundable`: which types of fees go back with the order, as the mapping says; the others are kept."""

    def __init__(self, api: PretixApi, *, refundable: Mapping[str, bool]) -> None:
        self._api = api
        self._refundable = refundable

    async def replace(self, *, order_ref: str, position_ref: str, key: str) -> NewPass:
        """`regenerate_secrets` of one position. A key is remembered for a day by pretix; after that, one more new secret is made."""
        order = await self._api.order(order_ref)
        position = _position(order, position_ref)
        if position.canceled or order.status == "c":
            raise Declined("declined", "the position is cancelled at pretix")
        answer = await self._api.post(order.event, f"orderpositions/{position.id}/regenerate_secrets/", {}, key=key)
        made: _Secret = decoded(answer, _Secret)
        return NewPass(barcode=made.secret, issuer_ref=f"{order.event}/{made.id}")

    async def void(self, *, order_ref: str, position_ref: str, key: str) -> None:
        """The position is cancelled, and with the last one the order, of which pretix then keeps the fees that do not go back.

        A position that others go with, such as a T-shirt, is blocked instead: cancelled, it would take them along.
        """
        for look in range(_LOOKS_MAX):
            order = await self._api.order(order_ref)
            position = _position(order, position_ref)
            if position.canceled or position.blocked or order.status == "c":
                return
            try:
                await self._end(order, position, key=f"{key}:{look}")
            except Declined as refusal:
                # Somebody changed the order since we looked: another position of it was the last but one, say.
                if refusal.code != "declined" or look + 1 == _LOOKS_MAX:
                    raise
            else:
                return

    async def _end(self, order: PretixOrder, position: PretixPosition, *, key: str) -> None:
        standing = [one for one in order.positions if not one.canceled]
        if any(one.addon_to == position.id for one in standing):
            await self._api.post(order.event, f"orderpositions/{position.id}/add_block/", {"name": _BLOCK}, key=key)
        elif len(standing) > 1:
            await self._api.delete(order.event, f"orderpositions/{position.id}/", key=key)
        else:
            kept = sum((fee.value for fee in order.fees if not fee.canceled and not self._refundable.get(fee.fee_type)), Decimal(0))
            body = {"send_email": False} | ({"cancellation_fee": str(kept)} if kept > 0 and order.status == "p" else {})
            await self._api.post(order.event, f"orders/{order.code}/mark_canceled/", body, key=key)


def _position(order: PretixOrder, ref: str) -> PretixPosition:
    found = next((one for one in order.positions if str(one.positionid) == ref), None)
    if found is None:
        raise Declined("not_found", "pretix's order has no such position")
    return found
