"""Store credit as a way to be paid out: a card worth the amount, issued once for an attempt. Only ever offered beside money."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from service.model import Money
from service.ports import Declined, Movement, OutcomeUnknown, PaymentSeen, RefundRequest, RefundSeen, Traits

# An issuer remembers keys and references for good (see `GiftCards`); after a month a try without an answer is for people anyway.
_KEY_LIFETIME_SECONDS: Final = 30 * 86_400
# A card is there when the issuer has answered, and never ACCEPTED; the figure only has to be one.
_ACCEPTED_SECONDS_MAX: Final = 86_400.0
# One issuer's own service, of unknown size: a show of 10,000 is done in a quarter of an hour. The installation may say otherwise.
_CALLS_PER_SECOND: Final = 10.0


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card as its issuer tells it, without the code: whoever reads our logs and tables could spend that."""

    id: str
    """names the card to people; knowing it must not be enough to redeem it"""
    reference: str
    amount: Money
    """what it was issued for; what is left on it is not our business"""
    voided: bool = False
    """taken back before it was used: it is worth nothing to the customer"""
    issued_at: datetime | None = None


class GiftCards(Protocol):
    """Who issues cards: the platform's own service, or vouchers of ours that the platform redeems.

    A reference is issued once for ever: the same reference and amount give the same card, whatever the key; another amount is
    refused. The issuer shows or sends the code to its customer; it never comes here.
    """

    async def issue(self, reference: str, amount: Money, *, key: str, customer: str) -> Card:
        """The card of that reference; `customer` as the request names them, empty where it does not.

        Raises Declined (`idempotency_misuse` for another amount), Unavailable, OutcomeUnknown.
        """

    async def find(self, reference: str) -> Card | None:
        """The card of that reference. None proves nothing: it may still be on its way. Raises Unavailable."""

    async def check(self) -> str:
        """One cheap read that proves address and secret; returns who answers. Raises Unavailable."""


class StoreCreditRail:
    """`currencies`: those the issuer's cards have; all when none is named. Amounts are whole ISO minor units."""

    def __init__(self, name: str, *, issuer: GiftCards, currencies: frozenset[str] = frozenset()) -> None:
        self.name = name
        self.traits = Traits(
            pays="out",
            reads=True,
            key_lifetime_seconds=_KEY_LIFETIME_SECONDS,
            calls_per_second=_CALLS_PER_SECOND,
            accepted_seconds_max=_ACCEPTED_SECONDS_MAX,
        )
        self._issuer = issuer
        self._currencies = currencies

    def step(self, currency: str) -> int:
        return 1 if not self._currencies or currency in self._currencies else 0

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Have the card issued. Raises Declined, Unavailable, OutcomeUnknown."""
        if not self.step(request.amount.currency):
            raise Declined("unsupported", f"currency {request.amount.currency}")
        card = await self._issuer.issue(str(request.attempt_id), request.amount, key=key, customer=request.destination)
        if card.reference != str(request.attempt_id):
            raise OutcomeUnknown("the issuer answered with the card of another reference")
        if card.amount != request.amount:
            raise Declined("idempotency_misuse", "the card of this reference has another amount")
        return _seen(card, request.attempt_id)

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """The card of this attempt. Raises Unavailable."""
        card = await self._issuer.find(str(request.attempt_id))
        return _seen(card, request.attempt_id) if card and card.reference == str(request.attempt_id) else None

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """A card stands for itself. Raises Declined("unsupported")."""
        del payment_ref, currency
        raise Declined("unsupported", "the issuer of cards did not take the payment")

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Issuers are not asked for lists. Raises Declined("unsupported"), at once."""
        del since, until
        raise Declined("unsupported", "cards are found by their reference alone")

    async def check(self) -> str:
        return f"store credit: {await self._issuer.check()}"


def _seen(card: Card, attempt_id: UUID) -> RefundSeen:
    return RefundSeen(
        provider_ref=card.id,
        state="CANCELED" if card.voided else "SUCCEEDED",
        amount=card.amount,
        attempt_id=attempt_id,
        at=card.issued_at,
    )
