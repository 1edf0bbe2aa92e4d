"""Refunds at Stripe: one request, our key, no retries of its own; reads may be repeated."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import httpx
import msgspec
import stripe
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from integrations.payments_stripe_amounts import from_stripe, step, to_stripe
from integrations.payments_stripe_errors import failure_of
from integrations.payments_stripe_http import QuietHttpx
from service.ports import Declined, Movement, OutcomeUnknown, PaymentSeen, RefundRequest, RefundSeen, Traits, Unavailable

# A call is over well before the fifteen seconds of its lease are.
_CALL_SECONDS_MAX: Final = 10.0
# Connecting is a few round trips; whoever needs longer would not have answered in ten seconds either, and nothing was sent yet.
_CONNECT_SECONDS_MAX: Final = 3.0
# Stripe may forget a v1 key 24 hours after its first use; an hour less allows for clocks that differ and for a last try.
_KEY_LIFETIME_SECONDS: Final = 23 * 3600
# Three reads fit into one call deadline; what is still away then is read at the next look at the operation.
_READS_MAX: Final = 3
# A Retry-After beyond this would eat the call's deadline: it is passed on, and the wait becomes a row in the database.
_WAIT_SECONDS_MAX: Final = 2.0
# 100 is the most that Stripe puts on a page; ten pages hold more refunds than any one payment of ours can have.
_PAGE_SIZE: Final = 100
_PAGES_MAX: Final = 10
# Of an audit: a hundred thousand refunds, more than the largest night; an audit asks for a day at a time.
_AUDIT_PAGES_MAX: Final = 1000

type_state = Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED"]
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


class _Refund(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    amount: int
    currency: str
    status: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None
    pending_reason: str | None = None
    created: int | None = None
    payment_intent: str | None = None
    charge: str | None = None

    @property
    def payment_ref(self) -> str:
        """The payment intent; for charges made without one, the charge."""
        return self.payment_intent or self.charge or ""


class _Refunds(msgspec.Struct, frozen=True, kw_only=True):
    data: list[_Refund]
    has_more: bool


class _Charge(msgspec.Struct, frozen=True, kw_only=True):
    amount_captured: int
    amount_refunded: int
    currency: str
    disputed: bool


class _Intent(msgspec.Struct, frozen=True, kw_only=True):
    amount_received: int
    currency: str
    latest_charge: _Charge | None = None


class StripeRail:
    """One Stripe account, or with `stripe_account` one connected to it.

    `base_url` points at another server that speaks Stripe's API (tests); `sleep` is how reads wait between tries.
    """

    def __init__(
        self,
        name: str,
        api_key: str,
        *,
        base_url: str | None = None,
        stripe_account: str | None = None,
        call_seconds_max: float = _CALL_SECONDS_MAX,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.traits = Traits(
            pays="back", reads=True, key_lifetime_seconds=_KEY_LIFETIME_SECONDS, calls_per_second=25.0, accepted_seconds_max=35 * 86_400
        )
        self._call_seconds_max = call_seconds_max
        self._sleep = sleep
        self._http = QuietHttpx(httpx.Timeout(call_seconds_max, connect=min(_CONNECT_SECONDS_MAX, call_seconds_max)))
        self._client = stripe.StripeClient(
            api_key,
            stripe_account=stripe_account,
            base_addresses={"api": base_url} if base_url else {},
            # of several tries one would see the last error only, and that may be milder than an earlier one
            max_network_retries=0,
            http_client=self._http,
        )
        self._kind_of_key = "live key" if "_live_" in api_key else "test key"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    def step(self, currency: str) -> int:
        return step(currency)

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Send the refund once, under our key."""
        params: dict[str, Any] = {
            **_target(request.payment_ref),
            "amount": to_stripe(request.amount),
            "reason": request.reason,
            "metadata": {"operation_id": str(request.operation_id), "attempt_id": str(request.attempt_id)},
        }
        try:
            async with asyncio.timeout(self._call_seconds_max):
                answer = await self._client.v1.refunds.create_async(params, {"idempotency_key": key})  # type: ignore[arg-type]
            return _refund_seen(_body(answer, _Refund))
        except TimeoutError as error:
            raise OutcomeUnknown("no answer in time") from error
        except stripe.StripeError as error:
            raise failure_of(error) from error
        except ValueError as error:  # it was carried out, and told in a way we cannot read
            raise OutcomeUnknown("the answer cannot be read") from error

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """The refund whose metadata names this attempt. Lists, unlike searches, show what has been written at once."""
        try:
            refunds = await self._read(lambda: self._refunds(request.payment_ref))
        except Declined as error:
            if error.code == "not_found":
                return None
            raise Unavailable(str(error), configuration=True) from error
        return next((seen for seen in refunds if seen.attempt_id == request.attempt_id), None)

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """The charge and its refunds. `disputed` stays true after a dispute was won, as Stripe tells it: such a payment is for people."""
        del currency  # Stripe tells it
        return await self._read(lambda: self._payment(payment_ref))

    async def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Every refund of the account made from `since` and before `until`, newest first.

        `payment_ref` is the payment intent where there is one: a payment that we know by its charge is found by the refund's own
        reference or by `attempt_id`. Raises Unavailable, also for a time with more refunds than an audit reads.
        """
        after: dict[str, str] = {}
        for _ in range(_AUDIT_PAGES_MAX):
            created = {"gte": math.floor(since.timestamp()), "lt": math.ceil(until.timestamp())}
            page = await self._read(partial(self._page, {"created": created, "limit": _PAGE_SIZE, **after}))
            for refund in page.data:
                yield Movement(payment_ref=refund.payment_ref, refund=_refund_seen(refund))
            if not page.has_more or not page.data:
                return
            after = {"starting_after": page.data[-1].id}
        raise Unavailable(f"more than {_AUDIT_PAGES_MAX * _PAGE_SIZE} refunds in that time")

    async def check(self) -> str:
        """List one refund: what it needs, a restricted key for refunds has."""
        await self._read(lambda: self._client.v1.refunds.list_async({"limit": 1}))
        return f"stripe: answers, {self._kind_of_key}"

    async def _payment(self, payment_ref: str) -> PaymentSeen:
        intent = await self._intent(payment_ref)
        charge = intent.latest_charge
        return PaymentSeen(
            payment_ref=payment_ref,
            captured=from_stripe(intent.amount_received, intent.currency),
            refunded_minor=from_stripe(charge.amount_refunded, intent.currency).minor if charge else 0,
            disputed=bool(charge and charge.disputed),
            refunds=tuple(await self._refunds(payment_ref)),
        )

    async def _intent(self, payment_ref: str) -> _Intent:
        if payment_ref.startswith("pi_"):
            answer = await self._client.v1.payment_intents.retrieve_async(payment_ref, {"expand": ["latest_charge"]})
            return _body(answer, _Intent)
        charge = _body(await self._client.v1.charges.retrieve_async(payment_ref), _Charge)
        return _Intent(amount_received=charge.amount_captured, currency=charge.currency, latest_charge=charge)

    async def _refunds(self, payment_ref: str) -> list[RefundSeen]:
        """All refunds of a payment, newest first. Raises Unavailable when there are more pages than we would ever read."""
        seen: list[_Refund] = []
        for _ in range(_PAGES_MAX):
            params: dict[str, Any] = {**_target(payment_ref), "limit": _PAGE_SIZE}
            if seen:
                params["starting_after"] = seen[-1].id
            page = await self._page(params)
            seen += page.data
            if not page.has_more:
                return [_refund_seen(refund) for refund in seen]
        raise Unavailable(f"more than {_PAGES_MAX * _PAGE_SIZE} refunds on one payment")

    async def _page(self, params: dict[str, Any]) -> _Refunds:
        return _body(await self._client.v1.refunds.list_async(params), _Refunds)  # type: ignore[arg-type]

    async def _read(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Read, up to three times within the call's deadline. Raises Declined, Unavailable."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(_worth_another_read),
            wait=_wait_seconds,
            stop=stop_after_attempt(_READS_MAX),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._call_seconds_max):
                return await retrying(_as_read, call)
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error


async def _as_read(call: Callable[[], Awaitable[_T]]) -> _T:
    """A read changes nothing, so an unknown outcome is none. Raises Declined, Unavailable."""
    try:
        return await call()
    except stripe.StripeError as error:
        failure = failure_of(error)
        raise Unavailable(str(failure)) if isinstance(failure, OutcomeUnknown) else failure from error
    except ValueError as error:
        raise Unavailable("the answer cannot be read") from error


def _worth_another_read(error: BaseException) -> bool:
    if not isinstance(error, Unavailable) or error.configuration:
        return False
    return error.retry_after_seconds is None or error.retry_after_seconds <= _WAIT_SECONDS_MAX


# A quarter of a second, then a half, with jitter so that many readers do not come back at once.
_BACKOFF: Final = wait_exponential_jitter(multiplier=0.25, max=_WAIT_SECONDS_MAX, jitter=0.25)


def _wait_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, Unavailable) else None
    return _BACKOFF(state) if asked is None else asked


def _target(payment_ref: str) -> dict[str, str]:
    return {"payment_intent" if payment_ref.startswith("pi_") else "charge": payment_ref}


def _body(answer: stripe.StripeObject, kind: type[_T]) -> _T:
    """The answer as the fields we need. Raises ValueError (msgspec.ValidationError is one) when they are not there."""
    return msgspec.convert(answer.to_dict(), kind)


def _refund_seen(refund: _Refund) -> RefundSeen:
    state = _STATES.get(refund.status, "ACCEPTED")
    reason = refund.failure_reason or "unknown"
    ours = refund.metadata or {}
    return RefundSeen(
        provider_ref=refund.id,
        state=state,
        amount=from_stripe(refund.amount, refund.currency),
        attempt_id=_uuid(ours.get("attempt_id", "")),
        operation_id=_uuid(ours.get("operation_id", "")),
        failure=(reason if reason in _REASONS else "unknown") if state == "FAILED" else "",
        waiting=_waiting(refund) if state == "ACCEPTED" else "",
        at=None if refund.created is None else datetime.fromtimestamp(refund.created, UTC),
    )


def _waiting(refund: _Refund) -> Literal["", "insufficient_funds", "customer"]:
    """Stripe, "The Refund object": what a pending one waits for; `requires_action` is always the customer's."""
    if refund.status == "requires_action":
        return "customer"
    return "insufficient_funds" if refund.pending_reason == "insufficient_funds" else ""


def _uuid(text: str) -> UUID | None:
    """Ours, or None: refunds that others made carry whatever they like."""
    try:
        return UUID(text)
    except ValueError:
        return None
