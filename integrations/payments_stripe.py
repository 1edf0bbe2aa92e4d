"""Refunds at Stripe: one request, our key, no retries of its own; reads may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import httpx
import stripe

from integrations.payments_stripe_amounts import from_stripe, step, to_stripe
from integrations.payments_stripe_errors import failure_of
from integrations.payments_stripe_http import QuietHttpx
from integrations.payments_stripe_reads import StripeReads, target
from integrations.payments_stripe_wire import IntentState, Refund, body
from service.ports import Declined, Movement, OutcomeUnknown, PaymentSeen, RefundRequest, RefundSeen, Traits, Unavailable

# A call is over well before the fifteen seconds of its lease are.
_CALL_SECONDS_MAX: Final = 10.0
# Connecting is a few round trips; whoever needs longer would not have answered in ten seconds either, and nothing was sent yet.
_CONNECT_SECONDS_MAX: Final = 3.0
# Stripe may forget a v1 key 24 hours after its first use; an hour less allows for clocks that differ and for a last try.
_KEY_LIFETIME_SECONDS: Final = 23 * 3600
# Stripe, "Rate limits": 25 a second on each endpoint.
_CALLS_PER_SECOND: Final = 25.0
# Stripe, "Refunds": money of a failed refund comes back within 30 days; five more for whoever tells it late.
_ACCEPTED_SECONDS_MAX: Final = 35 * 86_400


class StripeRail:
    """One Stripe account, or with `stripe_account` one connected to it.

    `stripe_account` is sent as the header `Stripe-Account` and makes every call one of the connected account: for direct charges.
    For destination charges, and others whose money was transferred on, leave it out and set `reverse_transfer`: without it the
    platform pays the refund alone and the connected account keeps the transfer. `refund_application_fee` gives the platform's fee
    back, in proportion; without it the connected account bears the fee. Both are for every refund of the rail, and part of
    the body that a key stands for: a rail whose flags are changed while refunds are under way has those refused with
    `idempotency_misuse`, and people look, so give changed flags a rail of their own name.

    `base_url` points at another server that speaks Stripe's API (tests); `sleep` is how reads wait between tries.
    """

    def __init__(
        self,
        name: str,
        api_key: str,
        *,
        base_url: str | None = None,
        stripe_account: str | None = None,
        reverse_transfer: bool = False,
        refund_application_fee: bool = False,
        call_seconds_max: float = _CALL_SECONDS_MAX,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.traits = Traits(
            pays="back",
            reads=True,
            key_lifetime_seconds=_KEY_LIFETIME_SECONDS,
            calls_per_second=_CALLS_PER_SECOND,
            accepted_seconds_max=_ACCEPTED_SECONDS_MAX,
        )
        self.live = "_live_" in api_key
        self.stripe_account = stripe_account
        self._flags = {
            flag: True
            for flag, wanted in (("reverse_transfer", reverse_transfer), ("refund_application_fee", refund_application_fee))
            if wanted
        }
        self._call_seconds_max = call_seconds_max
        self._http = QuietHttpx(httpx.Timeout(call_seconds_max, connect=min(_CONNECT_SECONDS_MAX, call_seconds_max)))
        self._client = stripe.StripeClient(
            api_key,
            stripe_account=stripe_account,
            base_addresses={"api": base_url} if base_url else {},
            # of several tries one would see the last error only, and that may be milder than an earlier one
            max_network_retries=0,
            http_client=self._http,
        )
        self.reads = StripeReads(self._client, call_seconds_max=call_seconds_max, sleep=sleep)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    def step(self, currency: str) -> int:
        return step(currency)

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Send the refund once, under our key."""
        params: dict[str, Any] = {
            **target(request.payment_ref),
            "amount": to_stripe(request.amount),
            "reason": request.reason,
            "metadata": {"operation_id": str(request.operation_id), "attempt_id": str(request.attempt_id)},
            **self._flags,
        }
        answer = await self._post(self._client.v1.refunds.create_async(params, {"idempotency_key": key}))  # type: ignore[arg-type]
        try:
            return body(answer, Refund).seen()
        except ValueError as error:  # it was carried out, and told in a way we cannot read
            raise OutcomeUnknown("the answer cannot be read") from error

    async def cancel(self, payment_ref: str, *, key: str) -> None:
        """Lets go of what the card holds. One that was cancelled before, by us or by others, is cancelled.

        Raises Declined("unsupported") for a payment that was captured or is being processed, and for a charge without an intent:
        only a refund would release that, and it would pay everything back if it were captured in the meantime.
        """
        try:
            async with asyncio.timeout(self._call_seconds_max):
                await self._cancel(await self._intent_of(payment_ref), key)
        except TimeoutError as error:
            raise OutcomeUnknown("no answer in time") from error

    async def _cancel(self, intent_ref: str, key: str) -> None:
        try:
            answer = await self._post(self._client.v1.payment_intents.cancel_async(intent_ref, {}, {"idempotency_key": key}))
        except Declined as refused:
            # the same refusal comes for one that is cancelled already and for one that was captured
            if refused.code != "unsupported" or await self.reads.intent_status(intent_ref) != "canceled":
                raise
            return
        try:
            status = body(answer, IntentState).status
        except ValueError as error:
            raise OutcomeUnknown("the answer cannot be read") from error
        if status != "canceled":
            raise OutcomeUnknown(status)

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """The refund whose metadata names this attempt."""
        try:
            async with self._one_call():
                refunds = await self._refunds(request.payment_ref)
        except Declined as error:
            if error.code == "not_found":
                return None
            raise Unavailable(str(error), configuration=True) from error
        return next((seen for seen in refunds if seen.attempt_id == request.attempt_id), None)

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """The charge and its refunds. `disputed` stays true after a dispute was won, as Stripe tells it: such a payment is for people."""
        del currency  # Stripe tells it
        try:
            async with self._one_call():
                intent = await self.reads.intent(payment_ref)
                charge = intent.latest_charge
                # letting go of what was held is told as a refund of money that never moved
                refunds = await self._refunds(payment_ref) if charge is None or charge.captured else ()
            return PaymentSeen(
                payment_ref=payment_ref,
                captured=from_stripe(intent.amount_received, intent.currency),
                refunded_minor=from_stripe(charge.amount_refunded, intent.currency).minor if charge and charge.captured else 0,
                disputed=bool(charge and charge.disputed),
                refunds=tuple(refunds),
                authorised_minor=from_stripe(intent.held, intent.currency).minor,
            )
        except ValueError as error:
            raise Unavailable("the answer cannot be read") from error

    async def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Every refund of the account made from `since` and before `until`, newest first.

        `payment_ref` is the payment intent and `also_known_as` the charge; for charges made without an intent, `payment_ref` is
        the charge. What was only held and is let go of is no refund, though Stripe lists it as one. Raises Unavailable, also for a
        time with more refunds than an audit reads.
        """
        async for refund in self.reads.refunds_made(since, until):
            if refund.released:
                continue
            try:
                movement = refund.movement()
            except ValueError as error:
                raise Unavailable("the answer cannot be read") from error
            yield movement

    async def check(self) -> str:
        """List one refund: what it needs, a restricted key for refunds has."""
        await self.reads.any_refunds()
        return f"stripe: answers, {'live' if self.live else 'test'} key"

    async def _refunds(self, payment_ref: str) -> list[RefundSeen]:
        try:
            return [refund.seen() for refund in await self.reads.refunds(payment_ref)]
        except ValueError as error:
            raise Unavailable("the answer cannot be read") from error

    async def _intent_of(self, payment_ref: str) -> str:
        if payment_ref.startswith("pi_"):
            return payment_ref
        charge = await self.reads.charge(payment_ref)
        if not charge.payment_intent:
            raise Declined("unsupported", "a charge without a payment intent")
        return charge.payment_intent

    @asynccontextmanager
    async def _one_call(self) -> AsyncIterator[None]:
        """Several reads within the deadline of one call, for they are made under one lease. Raises Unavailable."""
        try:
            async with asyncio.timeout(self._call_seconds_max):
                yield
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error

    async def _post(self, sending: Awaitable[stripe.StripeObject]) -> stripe.StripeObject:
        """Once. Raises Declined, Unavailable, OutcomeUnknown."""
        try:
            async with asyncio.timeout(self._call_seconds_max):
                return await sending
        except TimeoutError as error:
            raise OutcomeUnknown("no answer in time") from error
        except stripe.StripeError as error:
            raise failure_of(error) from error
        except ValueError as error:
            raise OutcomeUnknown("the answer cannot be read") from error
