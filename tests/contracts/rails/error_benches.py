"""The four processors that are reached over HTTP, each as a thing to send one money request to and to read an error from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
import stripe

from integrations import credit_platform_errors as credit
from integrations import payments_adyen_errors as adyen
from integrations import payments_stripe_errors as stripes
from integrations import payouts_paypal_errors as paypal
from integrations.credit_platform import PlatformGiftCards
from integrations.http_errors import Row, Trouble, row_of
from integrations.payments_adyen import AdyenRail
from integrations.payments_stripe import StripeRail
from integrations.payouts_paypal import PayPalPayoutRail
from service.model import Money
from service.ports import Declined, OutcomeUnknown, RefundRequest, Unavailable
from tests.contracts.rails.benches import TEST_KEY
from tests.contracts.rails.faults import PATIENT_SECONDS, Answer, FaultServer, Trick
from tests.contracts.rails.faults import error as stripe_error
from tests.peers.adyen_stub import API_KEY, MERCHANT_ACCOUNT

KEY: Final = "key-1"
REQUEST: Final = RefundRequest(
    operation_id=UUID(int=1),
    attempt_id=UUID(int=2),
    payment_ref="ch_any",
    amount=Money(minor=700, currency="EUR"),
    reason="requested_by_customer",
    destination="jane@example.org",
)
TOKEN: Final = Answer(status=200, body=b'{"access_token": "t", "expires_in": 32400}')
# Prose as it comes with errors, and which must not come out of an adapter.
_PROSE: Final = "jane@example.org has GIFT-4711-0815"
# Rows that every table has; what they mean is tested once, over all of them.
SHARED: Final = frozenset(
    {
        "never connected",
        "no answer",
        "server error",
        "not their words",
        "no refusal",
        "the same key is being worked on",
        "too many requests",
        "not allowed",
        "a request it cannot read",
    }
)


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    table: tuple[Row[Any], ...]
    said: Callable[[int, Mapping[str, str]], Answer]
    """an error object in the vendor's own words, with a code that means nothing to us, prose, and these headers"""
    send: Callable[[str, float], Awaitable[object]]
    """one money request under our key to the server at that address, with so many seconds for the call"""
    trouble: Callable[[Answer, BaseException], Trouble]
    """what the adapter knew of an answer that led to this failure"""
    lost: Callable[[BaseException], Trouble]
    """what it knows when its HTTP client raised"""
    replies: Callable[[Answer | Trick], tuple[Answer | Trick, ...]] = lambda reply: (reply,)
    """what the server says in turn so that the request ends in this reply"""
    key: str = KEY
    """what the header Idempotency-Key says"""

    def row(self, reply: Answer, failure: BaseException) -> str:
        """The name of the row that decided."""
        return row_of(self.table, self.trouble(reply, failure)).name


async def failure_from(vendor: Vendor, reply: Answer | Trick) -> Exception:
    """What a money request raises that is answered so. It was sent no more often than planned, under our key, and quotes nobody."""
    replies = vendor.replies(reply)
    async with FaultServer(*replies).serving() as server:
        with pytest.raises((Declined, Unavailable, OutcomeUnknown)) as failed:
            await vendor.send(server.base_url, PATIENT_SECONDS)
    assert server.keys == ["" if one is TOKEN else vendor.key for one in replies]
    assert not re.search("jane|GIFT", str(failed.value))
    return failed.value


def meaning(failure: BaseException) -> str:
    """Which of the failures it is, in a word."""
    match failure:
        case OutcomeUnknown():
            return "unknown"
        case Declined():
            return f"declined: {failure.code}"
        case Unavailable(never_sent=True, configuration=False):
            return "never sent"
        case Unavailable(never_sent=False, configuration=True):
            return "configuration"
        case Unavailable(never_sent=False, configuration=False):
            return "not now"
    raise AssertionError(failure)


def each(own: Mapping[str, tuple[str, Iterable[Answer]]]) -> list[Any]:
    """Row, meaning and answer, one by one, of what stands by the name of its row."""
    return [
        pytest.param(row, means, reply, id=f"{row} {number}")
        for row, (means, replies) in own.items()
        for number, reply in enumerate(replies)
    ]


# ------------------------------------------------------------------------------------------------ the four


async def _stripe_refund(base_url: str, seconds: float) -> None:
    rail = StripeRail("stripe", TEST_KEY, base_url=base_url, call_seconds_max=seconds)
    try:
        await rail.refund(REQUEST, key=KEY)
    finally:
        await rail.close()


def _stripe_trouble(_: Answer, failure: BaseException) -> Trouble:
    assert isinstance(failure.__cause__, stripe.StripeError)
    return stripes.trouble_of(failure.__cause__)


def _stripe_lost(cause: BaseException) -> Trouble:
    lost = stripe.APIConnectionError("lost")  # type: ignore[no-untyped-call]
    lost.__cause__ = cause
    return stripes.trouble_of(lost)


STRIPE: Final = Vendor(
    name="stripe",
    table=stripes.ERROR_TABLE,
    said=lambda status, headers: stripe_error(
        status, headers=dict(headers), type="invalid_request_error", code="parameter_unknown", message=_PROSE
    ),
    send=_stripe_refund,
    trouble=_stripe_trouble,
    lost=_stripe_lost,
)


def adyen_error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error object as Adyen writes it."""
    body = {"status": status, "errorCode": code, "message": _PROSE, "errorType": "validation"}
    return Answer(status=status, body=msgspec.json.encode(body), headers=dict(headers or {}))


async def _adyen_refund(base_url: str, seconds: float) -> None:
    rail = AdyenRail("adyen", API_KEY, merchant_account=MERCHANT_ACCOUNT, base_url=base_url, call_seconds_max=seconds)
    try:
        await rail.refund(REQUEST, key=KEY)
    finally:
        await rail.close()


ADYEN: Final = Vendor(
    name="adyen",
    table=adyen.ERROR_TABLE,
    said=lambda status, headers: adyen_error(status, "000", headers),
    send=_adyen_refund,
    trouble=lambda reply, _: adyen.trouble_of(reply.status, reply.headers, reply.body),
    lost=lambda cause: adyen.Trouble(cause=cause),
)


def paypal_error(status: int, name: str, *details: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Answer:
    """An error object as PayPal writes it."""
    body = {"name": name, "message": _PROSE, "debug_id": "53d95c3d17ae5", "details": details}
    return Answer(status=status, body=msgspec.json.encode(body), headers=dict(headers or {}))


async def _paypal_payout(base_url: str, seconds: float) -> None:
    rail = PayPalPayoutRail("paypal", "id", "secret", base_url=base_url, call_seconds_max=seconds)
    try:
        await rail.refund(REQUEST, key=KEY)
    finally:
        await rail.close()


def _paypal_replies(reply: Answer | Trick) -> tuple[Answer | Trick, ...]:
    """After a token; a 401 is believed only of a second, fresh one."""
    refused = isinstance(reply, Answer) and reply.status == 401
    return (TOKEN, reply, TOKEN, reply) if refused else (TOKEN, reply)


PAYPAL: Final = Vendor(
    name="paypal",
    table=paypal.ERROR_TABLE,
    said=lambda status, headers: paypal_error(status, "SOMETHING_ELSE", headers=headers),
    send=_paypal_payout,
    trouble=lambda reply, _: paypal.trouble_of(reply.status, reply.headers, reply.body),
    lost=lambda cause: paypal.Trouble(cause=cause),
    replies=_paypal_replies,
    key="",  # the batch itself carries it
)


def credit_error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error object of the contract for gift cards."""
    body = {"code": code, "message": _PROSE}
    return Answer(status=status, body=msgspec.json.encode(body), headers=dict(headers or {}))


async def _credit_issue(base_url: str, seconds: float) -> None:
    cards = PlatformGiftCards(base_url, "secret", call_seconds_max=seconds)
    try:
        await cards.issue("r", Money(minor=700, currency="EUR"), key=KEY, customer="jane@example.org")
    finally:
        await cards.close()


CREDIT: Final = Vendor(
    name="store credit",
    table=credit.ERROR_TABLE,
    said=lambda status, headers: credit_error(status, "jane_is_blocked", headers),
    send=_credit_issue,
    trouble=lambda reply, _: credit.trouble_of(reply.status, reply.headers, reply.body),
    lost=lambda cause: credit.Trouble(cause=cause),
)

VENDORS: Final = (STRIPE, ADYEN, PAYPAL, CREDIT)
