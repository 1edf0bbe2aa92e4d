"""Every row of Stripe's error table, produced by a server and told as one of our three failures."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
import stripe

from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_errors import ERROR_TABLE, failure_of, row_of, trouble_of
from service.model import Money
from service.ports import Declined, OutcomeUnknown, RefundRequest, Unavailable
from tests.contracts.rails.benches import TEST_KEY
from tests.contracts.rails.faults import Answer, FaultServer, Trick, closed_port, error

REQUEST = RefundRequest(
    operation_id=UUID(int=1),
    attempt_id=UUID(int=2),
    payment_ref="ch_any",
    amount=Money(minor=700, currency="EUR"),
    reason="requested_by_customer",
)
# Long enough for a server on the same machine, short enough to wait for.
_HASTY_SECONDS = 0.3

# What the server does, and the row that decides.
UNKNOWN: dict[str, tuple[Answer | Trick, str]] = {
    "silence": (Trick.SILENCE, ""),
    "an answer that never ends": (Trick.DRIP, ""),
    "a reset": (Trick.RESET, "no answer"),
    "a goodbye without an answer": (Trick.GOODBYE, "no answer"),
    "half an answer": (Trick.HALF, "no answer"),
    "500": (error(500, type="api_error", message="An unknown error occurred"), "server error"),
    "503 with Stripe's words": (error(503, type="api_error"), "server error"),
    "502 of a proxy": (Answer(status=502, body=b"<html>Bad gateway</html>"), "server error"),
    "424": (error(424, type="api_error"), "a dependency of Stripe's failed"),
    "404 of a proxy": (Answer(status=404, body=b"not here"), "not Stripe's words"),
    "403 of a proxy": (Answer(status=403, body=b"<html>Forbidden</html>"), "not Stripe's words"),
    "429 of a proxy": (Answer(status=429, body=b"slow down"), "not Stripe's words"),
    "409": (error(409, type="invalid_request_error", code="idempotency_key_in_use"), "the same key is being worked on"),
    "the same code with another status": (error(400, code="idempotency_key_in_use"), "the same key is being worked on"),
    "200 that is no JSON": (Answer(status=200, body=b"<html>fine</html>"), "not Stripe's words"),
    "200 without the refund": (Answer(status=200, body=b'{"object": "refund"}'), ""),
}
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
# Row -> our word and what the server said, for refusals that no code of Stripe's names.
REFUSED = {
    "more than is left": ("amount_too_large", error(400, type="invalid_request_error", param="amount")),
    "key of another request": ("idempotency_misuse", error(400, type="idempotency_error")),
    "declined": ("declined", error(402, type="card_error", code="card_declined")),
    "a request it cannot read": ("bug", error(400, type="invalid_request_error", code="parameter_unknown", param="colour")),
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


async def _failure(server: FaultServer) -> tuple[Exception, str]:
    """What a refund raises, and the row that decided; it was sent exactly once, under our key."""
    rail = StripeRail("stripe", TEST_KEY, base_url=server.base_url, call_seconds_max=_HASTY_SECONDS)
    try:
        with pytest.raises((Declined, Unavailable, OutcomeUnknown)) as failed:
            await rail.refund(REQUEST, key="key-1")
    finally:
        await rail.close()
    assert server.keys == ["key-1"]
    cause = failed.value.__cause__
    return failed.value, row_of(trouble_of(cause)).name if isinstance(cause, stripe.StripeError) else ""


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_may_have_happened_is_unknown_and_was_sent_once(name: str) -> None:
    told, row = UNKNOWN[name]
    async with FaultServer(told).serving() as server:
        failure, decided = await _failure(server)

    assert isinstance(failure, OutcomeUnknown)
    assert decided == row


@pytest.mark.parametrize("code", DECLINED)
async def test_each_code_is_told_in_our_word_and_was_sent_once(code: str) -> None:
    word, status, fields = DECLINED[code]
    async with FaultServer(error(status, type="invalid_request_error", code=code, **fields)).serving() as server:
        failure, decided = await _failure(server)

    assert isinstance(failure, Declined)
    assert (failure.code, failure.detail, decided) == (word, code, code)


@pytest.mark.parametrize("row", REFUSED)
async def test_a_refusal_without_a_code_of_its_own_is_told_in_our_word(row: str) -> None:
    word, answer = REFUSED[row]
    async with FaultServer(answer).serving() as server:
        failure, decided = await _failure(server)

    assert isinstance(failure, Declined)
    assert (failure.code, decided) == (word, row)


@pytest.mark.parametrize("status", [400, 429])
@pytest.mark.parametrize("code", ["rate_limit", "lock_timeout", "payment_intent_rate_limit_exceeded"])
async def test_too_many_requests_means_nothing_happened_and_when_to_come_back(code: str, status: int) -> None:
    async with FaultServer(error(status, headers={"Retry-After": "7"}, type="invalid_request_error", code=code)).serving() as server:
        failure, decided = await _failure(server)

    assert isinstance(failure, Unavailable)
    assert (failure.retry_after_seconds, failure.never_sent, failure.configuration) == (7, False, False)
    assert decided == "too many requests"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_or_a_missing_permission_is_a_matter_of_configuration(status: int) -> None:
    async with FaultServer(error(status, type="invalid_request_error")).serving() as server:
        failure, decided = await _failure(server)

    assert isinstance(failure, Unavailable)
    assert (failure.configuration, failure.never_sent, decided) == (True, False, "not allowed")


@pytest.mark.parametrize("code", CONFIGURATION)
async def test_what_no_refund_of_the_account_will_get_past_is_a_matter_of_configuration(code: str) -> None:
    async with FaultServer(error(400, type="invalid_request_error", code=code)).serving() as server:
        failure, decided = await _failure(server)

    assert isinstance(failure, Unavailable)
    assert (failure.configuration, failure.never_sent, decided) == (True, False, code)


async def test_a_refused_connection_never_left_this_machine() -> None:
    rail = StripeRail("stripe", TEST_KEY, base_url=f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(Unavailable) as failed:
        await rail.refund(REQUEST, key="key-1")

    assert failed.value.never_sent
    await rail.close()


@pytest.mark.parametrize(
    ("cause", "never_sent"),
    [
        (httpx.ConnectError("no"), True),
        (httpx.ConnectTimeout("no"), True),
        (httpx.PoolTimeout("no"), True),
        (httpx.ReadTimeout("no"), False),
        (httpx.ReadError("no"), False),
        (httpx.WriteTimeout("no"), False),
        (httpx.WriteError("no"), False),
        (httpx.CloseError("no"), False),
        (httpx.RemoteProtocolError("no"), False),
        (httpx.ProxyError("no"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_failed_before_there_was_a_connection_counts_as_never_sent(cause: Exception, never_sent: bool) -> None:  # noqa: FBT001 - a parameter of the table
    lost = stripe.APIConnectionError("lost")  # type: ignore[no-untyped-call]
    lost.__cause__ = cause

    failure = failure_of(lost)

    assert isinstance(failure, Unavailable if never_sent else OutcomeUnknown)
    assert getattr(failure, "never_sent", False) is never_sent


def test_every_row_is_met_by_a_test_of_this_file() -> None:
    met = {row for _, row in UNKNOWN.values() if row} | DECLINED.keys() | REFUSED.keys() | set(CONFIGURATION)

    assert {row.name for row in ERROR_TABLE} == met | {"never connected", "too many requests", "not allowed"}


def test_every_row_has_a_name_of_its_own_and_says_where_it_comes_from() -> None:
    assert len({row.name for row in ERROR_TABLE}) == len(ERROR_TABLE)
    assert all(row.source for row in ERROR_TABLE)


def test_no_failure_repeats_what_stripe_wrote_in_prose() -> None:
    body = {"error": {"message": "No such charge for jane@example.org", "type": "invalid_request_error"}}
    failure = failure_of(stripe.InvalidRequestError("m", None, http_status=400, json_body=body))  # type: ignore[no-untyped-call]

    assert "jane" not in str(failure)
    assert trouble_of(stripe.APIConnectionError("x")).status is None  # type: ignore[no-untyped-call]
