"""What each error of Stripe's means for money: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import httpx
import msgspec
import stripe

from service.ports import Declined, OutcomeUnknown, Unavailable


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One failed call, as far as it can be told.

    `code` is read from the body: the SDK fills its own `code` only for invalid requests and declined cards
    (`_APIRequestor.specific_v1_api_error`), and a 409 or 429 would look as if it had none.
    """

    cause: BaseException | None
    """what the HTTP client raised, when no answer came"""
    status: int | None
    from_stripe: bool
    """the body is an error object of Stripe's, not of something in between"""
    type: str
    code: str
    param: str
    retry_after_seconds: float | None

    @property
    def detail(self) -> str:
        """Words that hold no personal data: Stripe's messages may quote the request, so they stay out."""
        return self.code or self.type or (f"HTTP {self.status}" if self.status else type(self.cause).__name__)


type_failure = Declined | Unavailable | OutcomeUnknown


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: when it applies, what follows, and who says so."""

    name: str
    applies: Callable[[Trouble], bool]
    failure: Callable[[Trouble], type_failure]
    source: str


# Raised before a byte of the request is written: no socket was found or made.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

# Stripe, "Error codes", as far as a refund or a cancellation may meet them. What is not listed is `declined` for a card's refusal and
# `bug` for a request of ours that it cannot read.
_DECLINED: Final[Mapping[str, str]] = {
    "charge_already_refunded": "already_refunded",
    "charge_disputed": "disputed",
    "refund_disputed_payment": "disputed",
    "amount_too_large": "amount_too_large",
    "resource_missing": "not_found",
    # the account has to be topped up: it is neither the customer's nor the bank's no, and another rail would hide it
    "insufficient_funds": "insufficient_funds",
    "balance_insufficient": "insufficient_funds",
    # the customer's bank account: nothing will ever arrive there
    "account_closed": "declined",
    # why is not told, so nothing follows from it by itself
    "charge_not_refundable": "unsupported",
    "amount_too_small": "unsupported",
    # captured, being processed or cancelled: not in a state for what was asked
    "payment_intent_unexpected_state": "unsupported",
    "charge_already_captured": "unsupported",
    # the hold ran out: nothing was captured, so there is nothing to give back
    "charge_expired_for_capture": "unsupported",
    "capture_charge_authorization_expired": "unsupported",
    # what a refund has to take back from a connected account
    "transfers_not_allowed": "unsupported",
    "application_fees_not_allowed": "unsupported",
}

# The same page: nothing happened, and no refund of the account will work until somebody mends the configuration.
_CONFIGURATION: Final = (
    "account_invalid",
    "api_key_expired",
    "platform_api_key_expired",
    "livemode_mismatch",
    "testmode_charges_only",
    "secret_key_required",
    "platform_account_required",
    "not_allowed_on_standard_account",
    "tls_version_unsupported",
)


def _unknown(trouble: Trouble) -> type_failure:
    return OutcomeUnknown(trouble.detail)


def _declined(word: str) -> Callable[[Trouble], type_failure]:
    return lambda trouble: Declined(word, trouble.detail)


# The first row that applies decides.
ERROR_TABLE: Final[tuple[Row, ...]] = (
    Row(
        name="never connected",
        applies=lambda t: isinstance(t.cause, _NEVER_SENT),
        failure=lambda t: Unavailable(t.detail, never_sent=True),
        source="httpx, 'Exceptions': all three are raised while a connection is being had",
    ),
    Row(
        name="no answer",
        applies=lambda t: t.status is None,
        failure=_unknown,
        source="httpx, 'Exceptions': read, write and protocol errors come after the request may have left",
    ),
    Row(
        name="server error",
        applies=lambda t: t.status is not None and t.status >= 500,
        failure=_unknown,
        source="Stripe, 'Advanced error handling': the result of a 500 is indeterminate",
    ),
    Row(
        name="a dependency of Stripe's failed",
        applies=lambda t: t.status == 424,
        failure=_unknown,
        source="Stripe, 'Errors', 424: a party behind Stripe failed, and it is not said how far it had come",
    ),
    Row(
        name="not Stripe's words",
        applies=lambda t: not t.from_stripe,
        failure=_unknown,
        source="stripe-python, `handle_error_response`: the body is no error object, so something in between answered",
    ),
    Row(
        name="too many requests",
        applies=lambda t: t.status == 429 or t.code in {"rate_limit", "lock_timeout", "payment_intent_rate_limit_exceeded"},
        failure=lambda t: Unavailable(t.detail, retry_after_seconds=t.retry_after_seconds),
        source="Stripe, 'Advanced error handling': limiters run before the request is; lock_timeout is one of them",
    ),
    Row(
        name="not allowed",
        applies=lambda t: t.status in {401, 403},
        failure=lambda t: Unavailable(t.detail, configuration=True),
        source="Stripe, 'Errors': key missing, wrong or without the permission",
    ),
    Row(
        name="the same key is being worked on",
        applies=lambda t: t.status == 409 or t.code == "idempotency_key_in_use",
        failure=_unknown,
        source="Stripe, 'Error codes', idempotency_key_in_use: an earlier request with the key is still running",
    ),
    Row(
        name="key of another request",
        applies=lambda t: t.type == "idempotency_error",
        failure=_declined("idempotency_misuse"),
        source="Stripe, 'Idempotent requests': the parameters are not those of the first request",
    ),
    *(
        Row(
            name=code,
            applies=lambda t, code=code: t.code == code,  # type: ignore[misc]
            failure=lambda t: Unavailable(t.detail, configuration=True),
            source=f"Stripe, 'Error codes', {code}",
        )
        for code in _CONFIGURATION
    ),
    *(
        Row(
            name=code,
            applies=lambda t, code=code: t.code == code,  # type: ignore[misc]
            failure=_declined(word),
            source=f"Stripe, 'Error codes', {code}",
        )
        for code, word in _DECLINED.items()
    ),
    Row(
        name="more than is left",
        applies=lambda t: t.status == 400 and not t.code and t.param == "amount",
        failure=_declined("amount_too_large"),
        source="stripe-stateful-mock and reports of users: an over-refund names the parameter and has no code",
    ),
    Row(
        name="declined",
        applies=lambda t: t.status == 402,
        failure=_declined("declined"),
        source="Stripe, 'Errors': the parameters were valid and the request failed",
    ),
    Row(
        name="a request it cannot read",
        applies=lambda _: True,
        failure=_declined("bug"),
        source="Stripe, 'Errors': any other 4xx was validated and not carried out",
    ),
)


def failure_of(error: stripe.StripeError) -> type_failure:
    """Which of the three failures an error is, for a request that may move money and was sent for the first time.

    After an earlier try with an unknown outcome, none of this proves that *that* try did nothing.
    """
    trouble = trouble_of(error)
    return row_of(trouble).failure(trouble)


def row_of(trouble: Trouble) -> Row:
    """The first row that applies; the last one always does."""
    return next(row for row in ERROR_TABLE if row.applies(trouble))


def trouble_of(error: stripe.StripeError) -> Trouble:
    """What is known about a failed call."""
    body = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    said = body if isinstance(body, dict) else {}
    return Trouble(
        cause=error.__cause__,
        status=error.http_status,
        from_stripe=isinstance(body, dict),
        type=str(said.get("type") or ""),
        code=str(said.get("code") or ""),
        param=str(said.get("param") or ""),
        retry_after_seconds=_seconds(error.headers or {}),
    )


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3). None without one, or for a date, which Stripe does not send."""
    text = headers.get("retry-after") or headers.get("Retry-After") or ""
    return float(text) if text.isdecimal() else None
