"""The sandbox's rules without its database, for benches: what is left of a refund's time is then our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from service.model import Money, new_id
from service.ports import Declined, Movement, PaymentSeen, RefundRequest, RefundSeen, Traits

# As for the sandbox with a ledger.
_KEY_LIFETIME_SECONDS: Final = 23 * 3600


class MemorySandboxRail:
    """One account, in this process alone, gone with it; no script of faults. Nothing awaits, so each call is whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.traits = Traits(
            pays="back", reads=True, key_lifetime_seconds=_KEY_LIFETIME_SECONDS, calls_per_second=None, accepted_seconds_max=72 * 3600
        )
        self._charges: dict[str, Money] = {}
        self._disputed: set[str] = set()
        self._refunds: dict[str, list[RefundSeen]] = {}
        self._by_key: dict[str, tuple[RefundRequest, RefundSeen]] = {}

    def load_charge(self, payment_ref: str, amount: Money) -> None:
        """Make a payment known."""
        self._charges[payment_ref] = amount
        self._refunds[payment_ref] = []

    def open_dispute(self, payment_ref: str) -> None:
        """From now on the charge can be refunded no more."""
        self._disputed.add(payment_ref)

    def step(self, currency: str) -> int:
        del currency
        return 1

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Raises Declined."""
        earlier = self._by_key.get(key)
        if earlier is not None:
            if earlier[0] != request:
                raise Declined("idempotency_misuse", "sandbox")
            return earlier[1]
        if word := self._refusal(request):
            raise Declined(word, "sandbox")
        seen = RefundSeen(
            provider_ref=f"re_memory_{new_id().hex}",
            state="SUCCEEDED",
            amount=request.amount,
            attempt_id=request.attempt_id,
            operation_id=request.operation_id,
            at=datetime.now(UTC),
        )
        self._by_key[key] = (request, seen)
        self._refunds[request.payment_ref].append(seen)
        return seen

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """The refund of this attempt."""
        refunds = self._refunds.get(request.payment_ref, [])
        return next((seen for seen in refunds if seen.attempt_id == request.attempt_id), None)

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """Raises Declined("not_found")."""
        del currency  # the charge knows it
        if payment_ref not in self._charges:
            raise Declined("not_found", "sandbox")
        return PaymentSeen(
            payment_ref=payment_ref,
            captured=self._charges[payment_ref],
            refunded_minor=self._refunded(payment_ref),
            disputed=payment_ref in self._disputed,
            refunds=tuple(self._refunds[payment_ref]),
        )

    async def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Every refund in memory from `since` and before `until`, payment by payment."""
        for payment_ref, refunds in self._refunds.items():
            for seen in refunds:
                if seen.at is not None and since <= seen.at < until:
                    yield Movement(payment_ref=payment_ref, refund=seen)

    async def check(self) -> str:
        """How many charges it knows."""
        return f"sandbox: {len(self._charges)} charges, in memory"

    def _refusal(self, request: RefundRequest) -> str:
        charge = self._charges.get(request.payment_ref)
        if charge is None:
            return "not_found"
        if request.amount.minor <= 0 or request.amount.currency != charge.currency:
            return "bug"
        if request.payment_ref in self._disputed:
            return "disputed"
        left = charge.minor - self._refunded(request.payment_ref)
        if left <= 0:
            return "already_refunded"
        return "amount_too_large" if request.amount.minor > left else ""

    def _refunded(self, payment_ref: str) -> int:
        return sum(seen.amount.minor for seen in self._refunds[payment_ref])
