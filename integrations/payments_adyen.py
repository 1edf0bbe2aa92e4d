"""Refunds at Adyen, by its REST API over httpx: one request, our key, no retries; and it cannot be read back.

Not by its SDK: that is sync only, lets exceptions of `requests` through, and its check of signatures answers None for an unsigned
notification and looks at the first item of a batch alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
import msgspec

from integrations.payments_adyen_amounts import step, to_adyen
from integrations.payments_adyen_errors import Trouble, failure_of, trouble_of
from service.ports import Declined, Movement, OutcomeUnknown, PaymentSeen, RefundRequest, RefundSeen, Traits, Unavailable

# A call is over well before the fifteen seconds of its lease are.
_CALL_SECONDS_MAX: Final = 10.0
# Connecting is a few round trips; whoever needs longer would not have answered in ten seconds either, and nothing was sent yet.
_CONNECT_SECONDS_MAX: Final = 3.0
# Adyen keeps keys for at least 7 days ("API idempotency"; older copies say 31); a day less allows for clocks and a last try.
_KEY_LIFETIME_SECONDS: Final = 6 * 86_400
# Longer keys are refused ("API idempotency").
_KEY_CHARACTERS_MAX: Final = 64
# Adyen names no figure. Below what the strictest known processor takes (Stripe's 25), and still 10,000 tickets in nine minutes.
_CALLS_PER_SECOND: Final = 20.0
# Outcomes come by notification within two days as a rule; Adyen repeats what it could not deliver, so three days mean that one is lost.
_ACCEPTED_SECONDS_MAX: Final = 72 * 3600.0
# One connection for each operation that a process carries out at once (64), and all kept: a new one costs two round trips.
_CONNECTIONS_MAX: Final = 64

_OURS: Final = re.compile(r"mg-([0-9a-f]{32})-([0-9a-f]{32})")

_T = TypeVar("_T")


class _Amount(msgspec.Struct, frozen=True, kw_only=True):
    value: int
    currency: str


class _Refund(msgspec.Struct, frozen=True, kw_only=True):
    pspReference: str  # noqa: N815 - Adyen's word
    paymentPspReference: str  # noqa: N815 - Adyen's word
    reference: str
    status: str
    amount: _Amount


class _Cancel(msgspec.Struct, frozen=True, kw_only=True):
    paymentPspReference: str  # noqa: N815 - Adyen's word
    status: str


class _Methods(msgspec.Struct, frozen=True, kw_only=True):
    paymentMethods: list[msgspec.Raw] = []  # noqa: N815 - Adyen's word


class AdyenRail:
    """One merchant account at Adyen.

    `base_url` names Checkout API and version: `https://checkout-test.adyen.com/v72`, live
    `https://PREFIX-checkout-live.adyenpayments.com/checkout/v72`.
    """

    def __init__(
        self, name: str, api_key: str, *, merchant_account: str, base_url: str, call_seconds_max: float = _CALL_SECONDS_MAX
    ) -> None:
        self.name = name
        self.traits = Traits(
            pays="back",
            reads=False,
            key_lifetime_seconds=_KEY_LIFETIME_SECONDS,
            calls_per_second=_CALLS_PER_SECOND,
            accepted_seconds_max=_ACCEPTED_SECONDS_MAX,
        )
        self._merchant_account = merchant_account
        self._base_url = base_url.rstrip("/")
        self._call_seconds_max = call_seconds_max
        self._http = httpx.AsyncClient(
            headers={"X-API-Key": api_key, "Content-Type": "application/json"},
            timeout=httpx.Timeout(call_seconds_max, connect=min(_CONNECT_SECONDS_MAX, call_seconds_max)),
            limits=httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_CONNECTIONS_MAX),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def step(self, currency: str) -> int:
        return step(currency)

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Send the refund once, under our key. ACCEPTED is all that Adyen says at once; how it ends is told by notification."""
        value = to_adyen(request.amount)
        reference = reference_of(request.operation_id, request.attempt_id)
        body = {
            "merchantAccount": self._merchant_account,
            "amount": {"value": value, "currency": request.amount.currency},
            "reference": reference,
        }
        answer = await self._post(f"payments/{quote(request.payment_ref, safe='')}/refunds", body, _Refund, key=key)
        if answer.status != "received":
            raise OutcomeUnknown("the answer cannot be read")
        said = (answer.paymentPspReference, answer.reference, answer.amount.value, answer.amount.currency)
        if said != (request.payment_ref, reference, value, request.amount.currency):
            # the stored answer to another request: this one was not carried out
            raise Declined("idempotency_misuse", "the answer is another request's")
        return RefundSeen(
            provider_ref=answer.pspReference,
            state="ACCEPTED",
            amount=request.amount,
            attempt_id=request.attempt_id,
            operation_id=request.operation_id,
        )

    async def cancel(self, payment_ref: str, *, key: str) -> None:
        """Ask for the hold to be released. Adyen only says that it took the request; a payment captured meanwhile stays captured."""
        body = {"merchantAccount": self._merchant_account, "reference": f"mg-cancel-{key}"}
        answer = await self._post(f"payments/{quote(payment_ref, safe='')}/cancels", body, _Cancel, key=key)
        if (answer.status, answer.paymentPspReference) != ("received", payment_ref):
            raise OutcomeUnknown("the answer cannot be read")

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """Adyen has no call to look a refund up: the same key again, or its notification, tells."""
        del request
        return None

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """Adyen has no call to read a payment. Raises Declined("unsupported")."""
        del payment_ref, currency
        raise Declined("unsupported", "adyen cannot be read")

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Adyen has no list to ask for: its accounting report is read by `payments_adyen_report`. Raises Declined("unsupported")."""
        del since, until
        raise Declined("unsupported", "adyen has no list; its payment accounting report stands in")

    async def check(self) -> str:
        """Ask which payment methods the account offers: changes nothing, and needs the same key and role that refunds do."""
        try:
            answer = await self._post("paymentMethods", {"merchantAccount": self._merchant_account}, _Methods)
        except (Declined, OutcomeUnknown) as error:  # a read: nothing happened either way
            raise Unavailable(str(error), configuration=isinstance(error, Declined)) from error
        side = "live" if "live" in (urlsplit(self._base_url).hostname or "") else "test"
        return f"adyen: answers, {side}, {len(answer.paymentMethods)} payment methods"

    async def _post(self, path: str, body: dict[str, Any], kind: type[_T], *, key: str | None = None) -> _T:
        """Send once. Raises Declined, Unavailable, OutcomeUnknown."""
        if key is not None and not 0 < len(key) <= _KEY_CHARACTERS_MAX:
            raise Declined("bug", f"a key of {len(key)} characters")
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            async with asyncio.timeout(self._call_seconds_max):
                answer = await self._http.post(f"{self._base_url}/{path}", content=msgspec.json.encode(body), headers=headers)
        except TimeoutError as error:
            raise OutcomeUnknown("no answer in time") from error
        except httpx.TransportError as error:
            raise failure_of(Trouble(cause=error)) from error
        except httpx.HTTPError as error:  # an answer came, and its body cannot be unpacked
            raise OutcomeUnknown("the answer cannot be read") from error
        if not answer.is_success:
            raise failure_of(trouble_of(answer.status_code, answer.headers, answer.content))
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except ValueError as error:  # it was carried out, and told in a way we cannot read
            raise OutcomeUnknown("the answer cannot be read") from error


def reference_of(operation_id: UUID, attempt_id: UUID) -> str:
    """What a refund is called at Adyen: 68 of its 80 characters."""
    return f"mg-{operation_id.hex}-{attempt_id.hex}"


def ours(reference: str) -> tuple[UUID, UUID] | None:
    """Operation and attempt of a reference of ours; None for what others wrote."""
    found = _OURS.fullmatch(reference)
    return (UUID(found[1]), UUID(found[2])) if found else None
