"""Each row of Stripe's own in its error table; the rows of all tables: `test_error_tables.py`."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from integrations.payments_stripe_errors import ERROR_TABLE, failure_of, trouble_of
from tests.contracts.rails.error_benches import SHARED, STRIPE, each, failure_from, meaning
from tests.contracts.rails.faults import Answer, error

# What stands by a code: our word, the status and what else is said.
DECLINED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "charge_already_refunded": ("already_refunded", 400, {}),
    "charge_disputed": ("disputed", 400, {}),
    "refund_disputed_payment": ("disputed", 400, {}),
    "amount_too_large": ("amount_too_large", 400, {"param": "amount"}),
    "resource_missing": ("not_found", 404, {"param": "charge"}),
    "insufficient_funds": ("insufficient_funds", 400, {}),
    "balance_insufficient": ("insufficient_funds", 400, {}),
    "account_closed": ("declined", 400, {}),
    "charge_not_refundable": ("unsupported", 400, {}),
    "amount_too_small": ("unsupported", 400, {"param": "amount"}),
    "payment_intent_unexpected_state": ("unsupported", 400, {}),
    "charge_already_captured": ("unsupported", 400, {}),
    "charge_expired_for_capture": ("unsupported", 400, {}),
    "capture_charge_authorization_expired": ("unsupported", 400, {}),
    "transfers_not_allowed": ("unsupported", 400, {}),
    "application_fees_not_allowed": ("unsupported", 400, {}),
}
CONFIGURATION = (
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
# By the name of the row that decides: what it means, and what the server says.
OWN: dict[str, tuple[str, list[Answer]]] = {
    "a dependency of Stripe's failed": ("unknown", [error(424, type="api_error")]),
    "key of another request": ("declined: idempotency_misuse", [error(400, type="idempotency_error")]),
    "more than is left": ("declined: amount_too_large", [error(400, type="invalid_request_error", param="amount")]),
    "declined": ("declined: declined", [error(402, type="card_error", code="card_declined")]),
    **{code: ("configuration", [error(400, type="invalid_request_error", code=code)]) for code in CONFIGURATION},
    **{
        code: (f"declined: {word}", [error(status, type="invalid_request_error", code=code, **fields)])
        for code, (word, status, fields) in DECLINED.items()
    },
}
_LIMITS = ("rate_limit", "lock_timeout", "payment_intent_rate_limit_exceeded")
# Shared rows that Stripe has words of its own for.
IN_ITS_WORDS: dict[str, tuple[str, list[Answer]]] = {
    "server error": ("unknown", [error(500, type="api_error", message="An unknown error occurred")]),
    "not their words": ("unknown", [error(400, code="charge_disputed"), error(403, message="Forbidden")]),
    "the same key is being worked on": (
        "unknown",
        [
            *(error(status, type="invalid_request_error", code="idempotency_key_in_use") for status in (400, 403, 409, 429)),
            error(409, type="invalid_request_error", code="lock_timeout"),
        ],
    ),
    "too many requests": ("not now", [error(status, type="invalid_request_error", code=code) for status in (400, 429) for code in _LIMITS]),
    "a request it cannot read": ("declined: bug", [error(400, type="invalid_request_error", code="parameter_unknown", param="colour")]),
}


@pytest.mark.parametrize(("row", "means", "reply"), each(OWN | IN_ITS_WORDS))
async def test_each_error_means_what_its_row_says_and_was_sent_once(row: str, means: str, reply: Answer) -> None:
    failure = await failure_from(STRIPE, reply)

    assert (STRIPE.row(reply, failure), meaning(failure)) == (row, means)


async def test_the_code_alone_is_repeated_for_whoever_looks_into_it() -> None:
    reply = error(400, type="invalid_request_error", code="charge_disputed", message="jane@example.org disputes it")

    assert str(await failure_from(STRIPE, reply)) == "disputed: charge_disputed"


def test_no_row_is_without_a_test() -> None:
    assert {row.name for row in ERROR_TABLE} == SHARED | OWN.keys()


async def test_a_yes_without_the_refund_is_unknown() -> None:
    assert meaning(await failure_from(STRIPE, Answer(status=200, body=b'{"object": "refund"}'))) == "unknown"


def test_no_failure_repeats_what_stripe_wrote_in_prose() -> None:
    body = {"error": {"message": "No such charge for jane@example.org", "type": "invalid_request_error"}}
    failure = failure_of(stripe.InvalidRequestError("m", None, http_status=400, json_body=body))  # type: ignore[no-untyped-call]

    assert "jane" not in str(failure)
    assert trouble_of(stripe.APIConnectionError("x")).status is None  # type: ignore[no-untyped-call]
