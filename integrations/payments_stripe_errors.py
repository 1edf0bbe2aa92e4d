"""What each error of Stripe's means for money: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import stripe

from integrations import http_errors as shared
from integrations.http_errors import Failure, Row, declined, misconfigured, on_code


class Trouble(shared.Trouble, frozen=True, kw_only=True):
    """One failed call. Stripe's messages may quote the request, so only codes and names are kept.

    `code` is read from the body: the SDK fills its own `code` only for invalid requests and declined cards
    (`_APIRequestor.specific_v1_api_error`), and a 409 or 429 would look as if it had none.
    """

    type: str = ""
    param: str = ""

    @property
    def word(self) -> str:
        return self.code or self.type


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

# The first row that applies decides.
ERROR_TABLE: Final[tuple[Row[Trouble], ...]] = (
    shared.NEVER_CONNECTED,
    shared.NO_ANSWER,
    shared.server_error("Stripe, 'Advanced error handling': the result of a 500 is indeterminate"),
    Row(
        name="a dependency of Stripe's failed",
        applies=lambda t: t.status == 424,
        failure=shared.unknown,
        source="Stripe, 'Errors', 424: a party behind Stripe failed, and it is not said how far it had come",
    ),
    shared.not_their_words("Stripe's OpenAPI, api_errors: `type` is required, so something in between answered"),
    shared.NO_REFUSAL,
    shared.key_in_use(
        "Stripe, 'Error codes', idempotency_key_in_use: an earlier request with the key is still running", "idempotency_key_in_use"
    ),
    shared.too_many_requests(
        "Stripe, 'Advanced error handling': limiters run before the request is; lock_timeout is one of them",
        "rate_limit",
        "lock_timeout",
        "payment_intent_rate_limit_exceeded",
    ),
    shared.not_allowed("Stripe, 'Errors': key missing, wrong or without the permission"),
    Row(
        name="key of another request",
        applies=lambda t: t.type == "idempotency_error",
        failure=declined("idempotency_misuse"),
        source="Stripe, 'Idempotent requests': the parameters are not those of the first request",
    ),
    *(on_code(code, misconfigured, f"Stripe, 'Error codes', {code}") for code in _CONFIGURATION),
    *(on_code(code, declined(word), f"Stripe, 'Error codes', {code}") for code, word in _DECLINED.items()),
    Row(
        name="more than is left",
        applies=lambda t: t.status == 400 and not t.code and t.param == "amount",
        failure=declined("amount_too_large"),
        source="stripe-stateful-mock and reports of users: an over-refund names the parameter and has no code",
    ),
    Row(
        name="declined",
        applies=lambda t: t.status == 402,
        failure=declined("declined"),
        source="Stripe, 'Errors': the parameters were valid and the request failed",
    ),
    shared.unreadable("Stripe, 'Errors': any other 4xx was validated and not carried out"),
)


def failure_of(error: stripe.StripeError) -> Failure:
    """What it means for a request that may move money; see `http_errors.failure_by`."""
    return shared.failure_by(ERROR_TABLE, trouble_of(error))


def trouble_of(error: stripe.StripeError) -> Trouble:
    """What is known about a failed call."""
    body = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    said = body if isinstance(body, dict) else {}
    return Trouble(
        cause=error.__cause__,
        status=error.http_status,
        theirs=bool(said.get("type")),
        type=str(said.get("type") or ""),
        code=str(said.get("code") or ""),
        param=str(said.get("param") or ""),
        retry_after_seconds=shared.retry_after(error.headers or {}),
    )
