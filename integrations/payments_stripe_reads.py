"""What is read at Stripe, by the rail and by its webhook: up to three times, within one call's deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import stripe
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from integrations.payments_stripe_errors import failure_of
from integrations.payments_stripe_wire import Charge, Dispute, Intent, IntentState, Refund, Refunds, Warned, body
from service.ports import OutcomeUnknown, Unavailable

# Three reads fit into one call deadline; what is still away then is read at the next look at the operation.
_READS_MAX: Final = 3
# A Retry-After beyond this would eat the call's deadline: it is passed on, and the wait becomes a row in the database.
_WAIT_SECONDS_MAX: Final = 2.0
# 100 is the most that Stripe puts on a page; ten pages hold more refunds than any one payment of ours can have.
_PAGE_SIZE: Final = 100
_PAGES_MAX: Final = 10
# Of an audit: a hundred thousand refunds, more than the largest night; an audit asks for a day at a time.
_AUDIT_PAGES_MAX: Final = 1000
# Of missed events: ten thousand, as many as the inbox takes up at once.
_EVENT_PAGES_MAX: Final = 100

_T = TypeVar("_T")


class StripeReads:
    """One account. Each raises Declined("not_found") for what Stripe does not know, Unavailable; never OutcomeUnknown."""

    def __init__(self, client: stripe.StripeClient, *, call_seconds_max: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._v1 = client.v1
        self._call_seconds_max = call_seconds_max
        self._sleep = sleep

    async def intent(self, payment_ref: str) -> Intent:
        """A payment with the charge that took the money; for a bare charge, what an intent of it would be."""
        if payment_ref.startswith("pi_"):
            params: Any = {"expand": ["latest_charge"]}
            return await self._read(lambda: self._v1.payment_intents.retrieve_async(payment_ref, params), Intent)
        charge = await self.charge(payment_ref)
        return Intent(
            amount_received=charge.amount_captured,
            currency=charge.currency,
            latest_charge=charge,
            status="requires_capture" if charge.held else "",
            amount_capturable=charge.held,
        )

    async def intent_status(self, intent_ref: str) -> str:
        return (await self._read(lambda: self._v1.payment_intents.retrieve_async(intent_ref), IntentState)).status

    async def charge(self, charge_ref: str) -> Charge:
        return await self._read(lambda: self._v1.charges.retrieve_async(charge_ref), Charge)

    async def refund(self, refund_ref: str) -> Refund:
        """With its charge."""
        params: Any = {"expand": ["charge"]}
        return await self._read(lambda: self._v1.refunds.retrieve_async(refund_ref, params), Refund)

    async def refunds(self, payment_ref: str) -> list[Refund]:
        """All refunds of a payment, newest first. Lists, unlike searches, show what has been written at once.

        Raises Unavailable when there are more pages than we would ever read.
        """
        return [refund async for refund in self._pages(target(payment_ref), _PAGES_MAX)]

    def refunds_made(self, since: datetime, until: datetime) -> AsyncIterator[Refund]:
        """Every refund of the account made from `since` and before `until`, in whole seconds, newest first; with their charges."""
        created = {"gte": math.floor(since.timestamp()), "lt": math.ceil(until.timestamp())}
        return self._pages({"created": created, "expand": ["data.charge"]}, _AUDIT_PAGES_MAX)

    async def any_refunds(self) -> None:
        """The cheapest read that a restricted key for refunds may make."""
        await self._read(lambda: self._v1.refunds.list_async({"limit": 1}), Refunds)

    async def dispute(self, dispute_ref: str) -> Dispute:
        return await self._read(lambda: self._v1.disputes.retrieve_async(dispute_ref), Dispute)

    async def warning(self, warning_ref: str) -> Warned:
        return await self._read(lambda: self._v1.radar.early_fraud_warnings.retrieve_async(warning_ref), Warned)

    async def undelivered(self, types: Sequence[str], since: datetime, kind: type[_T]) -> AsyncIterator[_T]:
        """Events of those types that were not delivered to every endpoint, newest first; Stripe keeps them for 30 days."""
        wanted: dict[str, Any] = {"types": list(types), "delivery_success": False, "created": {"gte": math.floor(since.timestamp())}}
        after: dict[str, str] = {}
        for _ in range(_EVENT_PAGES_MAX):
            params: Any = {**wanted, "limit": _PAGE_SIZE, **after}
            page = await self._read(partial(self._v1.events.list_async, params), dict[str, Any])
            for one in page["data"]:
                yield msgspec.convert(one, kind)
            if not page["has_more"] or not page["data"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}
        raise Unavailable(f"more than {_EVENT_PAGES_MAX * _PAGE_SIZE} undelivered events")

    async def _pages(self, wanted: dict[str, Any], pages_max: int) -> AsyncIterator[Refund]:
        after: dict[str, str] = {}
        for _ in range(pages_max):
            params: Any = {**wanted, "limit": _PAGE_SIZE, **after}
            page = await self._read(partial(self._v1.refunds.list_async, params), Refunds)
            for refund in page.data:
                yield refund
            if not page.has_more or not page.data:
                return
            after = {"starting_after": page.data[-1].id}
        raise Unavailable(f"more than {pages_max * _PAGE_SIZE} refunds")

    async def _read(self, call: Callable[[], Awaitable[stripe.StripeObject]], kind: type[_T]) -> _T:
        retrying = AsyncRetrying(
            retry=retry_if_exception(_worth_another_read),
            wait=_wait_seconds,
            stop=stop_after_attempt(_READS_MAX),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._call_seconds_max):
                return await retrying(_as_read, call, kind)
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error


async def _as_read(call: Callable[[], Awaitable[stripe.StripeObject]], kind: type[_T]) -> _T:
    """A read changes nothing, so an unknown outcome is none. Raises Declined, Unavailable."""
    try:
        return body(await call(), kind)
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


def target(payment_ref: str) -> dict[str, str]:
    """How Stripe wants a payment named."""
    return {"payment_intent" if payment_ref.startswith("pi_") else "charge": payment_ref}
