"""The fields of Stripe's objects that we read, and what they mean in our words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar
from uuid import UUID

import msgspec
import stripe

from integrations.payments_stripe_amounts import from_stripe
from service.ports import DisputeNews, Movement, RefundSeen

type_state = Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED"]
type_dispute = Literal["open", "won", "lost"]
_T = TypeVar("_T")

# Stripe, "The Refund object", status. Anything new is ACCEPTED: they took it, and nothing proves yet that it arrived.
_STATES: Final[Mapping[str | None, type_state]] = {
    "pending": "ACCEPTED",
    "requires_action": "ACCEPTED",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "canceled": "CANCELED",
}
# The same page, failure_reason; a reason that is not among these is `unknown`.
_REASONS: Final = frozenset(
    {
        "lost_or_stolen_card",
        "expired_or_canceled_card",
        "charge_for_pending_refund_disputed",
        "insufficient_funds",
        "declined",
        "merchant_request",
    }
)
# Stripe, "The Dispute object", status. An inquiry (`warning_…`) holds the money too, also while the charge could still be refunded
# (`is_charge_refundable`): whoever refunds and is then disputed has paid twice. `prevented` was settled before it became a dispute, by
# giving the money back or by not; that, and anything new, is for people.
_DISPUTES: Final[Mapping[str, type_dispute]] = {"won": "won", "warning_closed": "won", "lost": "lost"}


class ChargeOf(msgspec.Struct, frozen=True, kw_only=True):
    """The charge of a refund, when it was asked for (`expand`)."""

    id: str
    captured: bool = True


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    amount: int
    currency: str
    status: str | None = None
    failure_reason: str | None = None
    pending_reason: str | None = None
    metadata: dict[str, str] | None = None
    created: int | None = None
    payment_intent: str | None = None
    charge: str | ChargeOf | None = None

    @property
    def released(self) -> bool:
        """It let go of what a card held; no money had moved. Known only when the charge was asked for."""
        return isinstance(self.charge, ChargeOf) and not self.charge.captured

    @property
    def names(self) -> tuple[str, ...]:
        return names(self.payment_intent, self.charge.id if isinstance(self.charge, ChargeOf) else self.charge)

    def seen(self) -> RefundSeen:
        """Raises ValueError for an amount that is no whole number of our minor units."""
        state = _STATES.get(self.status, "ACCEPTED")
        reason = self.failure_reason or "unknown"
        ours = self.metadata or {}
        return RefundSeen(
            provider_ref=self.id,
            state=state,
            amount=from_stripe(self.amount, self.currency),
            attempt_id=_uuid(ours.get("attempt_id", "")),
            operation_id=_uuid(ours.get("operation_id", "")),
            failure=(reason if reason in _REASONS else "unknown") if state == "FAILED" else "",
            waiting=self._waiting() if state == "ACCEPTED" else "",
            at=None if self.created is None else datetime.fromtimestamp(self.created, UTC),
        )

    def movement(self) -> Movement:
        ref, *other = self.names or ("",)
        return Movement(payment_ref=ref, also_known_as=other[0] if other else "", refund=self.seen())

    def _waiting(self) -> Literal["", "insufficient_funds", "customer"]:
        """Stripe, "The Refund object", pending_reason; `requires_action` is always the customer's."""
        if self.status == "requires_action":
            return "customer"
        return "insufficient_funds" if self.pending_reason == "insufficient_funds" else ""


class Refunds(msgspec.Struct, frozen=True, kw_only=True):
    data: list[Refund]
    has_more: bool


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    amount_captured: int
    amount_refunded: int
    currency: str
    disputed: bool
    amount: int = 0
    captured: bool = True
    status: str = ""
    payment_intent: str | None = None

    @property
    def held(self) -> int:
        """What the card holds and nobody captured; a release of it is told as a refund."""
        return 0 if self.captured or self.status != "succeeded" else max(0, self.amount - self.amount_refunded)


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    amount_received: int
    currency: str
    latest_charge: Charge | None = None
    status: str = ""
    amount_capturable: int = 0

    @property
    def held(self) -> int:
        """The same."""
        return self.amount_capturable if self.status == "requires_capture" else 0


class IntentState(msgspec.Struct, frozen=True, kw_only=True):
    status: str


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    amount: int
    currency: str
    status: str
    charge: str | None = None
    payment_intent: str | None = None

    def news(self) -> tuple[DisputeNews, ...]:
        amount, state = from_stripe(self.amount, self.currency), _DISPUTES.get(self.status, "open")
        return tuple(
            DisputeNews(payment_ref=name, dispute_ref=self.id, state=state, amount=amount)
            for name in names(self.payment_intent, self.charge)
        )


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """Radar's early fraud warning. `actionable`: neither disputed nor wholly refunded yet."""

    id: str
    actionable: bool
    charge: str | None = None
    payment_intent: str | None = None


def names(payment_intent: str | None, charge: str | None) -> tuple[str, ...]:
    """What the payment may be called in our books: platforms feed the one or the other."""
    return tuple(name for name in (payment_intent, charge) if name)


def body(answer: stripe.StripeObject, kind: type[_T]) -> _T:
    """The answer as the fields we need. Raises ValueError (msgspec.ValidationError is one) when they are not there."""
    return msgspec.convert(answer.to_dict(), kind)


def _uuid(text: str) -> UUID | None:
    """Ours, or None: refunds that others made carry whatever they like."""
    try:
        return UUID(text)
    except ValueError:
        return None
