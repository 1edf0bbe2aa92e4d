"""Every row of Stripe's error table, produced by a server and told as one of our three failures."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest
import stripe

from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_errors import ERROR_TABLE, failure_of, trouble_of
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

UNKNOWN: dict[str, Answer | Trick] = {
    "silence": Trick.SILENCE,
    "an answer that never ends": Trick.DRIP,
    "a reset": Trick.RESET,
    "a goodbye without an answer": Trick.GOODBYE,
    "half an answer": Trick.HALF,
    "500": error(500, type="api_error", message="An unknown error occurred"),
    "503 with Stripe's words": error(503, type="api_error"),
    "502 of a proxy": Answer(status=502, body=b"<html>Bad gateway</html>"),
    "404 of a proxy": Answer(status=404, body=b"not here"),
    "403 of a proxy": Answer(status=403, body=b"<html>Forbidden</html>"),
    "429 of a proxy": Answer(status=429, body=b"slow down"),
    "409 while the key is being worked on": error(409, type="invalid_request_error", code="idempotency_key_in_use"),
    "200 that is no JSON": Answer(status=200, body=b"<html>fine</html>"),
    "200 without the refund": Answer(status=200, body=b'{"object": "refund"}'),
}
DECLINED = {
    "charge_already_refunded": ("already_refunded", error(400, type="invalid_request_error", code="charge_already_refunded")),
    "charge_disputed": ("disputed", error(400, type="invalid_request_error", code="charge_disputed")),
    "amount_too_large": ("amount_too_large", error(400, type="invalid_request_error", code="amount_too_large", param="amount")),
    "more than is left, without a code": ("amount_too_large", error(400, type="invalid_request_error", param="amount")),
    "resource_missing": ("not_found", error(404, type="invalid_request_error", code="resource_missing", param="charge")),
    "the key of another request": ("idempotency_misuse", error(400, type="idempotency_error")),
    "a card's refusal": ("declined", error(402, type="card_error", code="card_declined")),
    "a parameter it does not know": ("bug", error(400, type="invalid_request_error", code="parameter_unknown", param="colour")),
}


async def _failure(server: FaultServer) -> Exception:
    """What a refund raises; it was sent exactly once, under our key."""
    rail = StripeRail("stripe", TEST_KEY, base_url=server.base_url, call_seconds_max=_HASTY_SECONDS)
    try:
        with pytest.raises((Declined, Unavailable, OutcomeUnknown)) as failed:
            await rail.refund(REQUEST, key="key-1")
    finally:
        await rail.close()
    assert server.keys == ["key-1"]
    return failed.value


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_may_have_happened_is_unknown_and_was_sent_once(name: str) -> None:
    async with FaultServer(UNKNOWN[name]).serving() as server:
        assert isinstance(await _failure(server), OutcomeUnknown)


@pytest.mark.parametrize("name", DECLINED)
async def test_a_refusal_is_told_in_our_word_and_was_sent_once(name: str) -> None:
    word, answer = DECLINED[name]
    async with FaultServer(answer).serving() as server:
        failure = await _failure(server)

    assert isinstance(failure, Declined)
    assert failure.code == word


@pytest.mark.parametrize("code", ["rate_limit", "lock_timeout"])
async def test_too_many_requests_means_nothing_happened_and_when_to_come_back(code: str) -> None:
    async with FaultServer(error(429, headers={"Retry-After": "7"}, type="invalid_request_error", code=code)).serving() as server:
        failure = await _failure(server)

    assert isinstance(failure, Unavailable)
    assert (failure.retry_after_seconds, failure.never_sent, failure.configuration) == (7, False, False)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_or_a_missing_permission_is_a_matter_of_configuration(status: int) -> None:
    async with FaultServer(error(status, type="invalid_request_error")).serving() as server:
        failure = await _failure(server)

    assert isinstance(failure, Unavailable)
    assert failure.configuration


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


def test_every_row_has_a_name_of_its_own_and_says_where_it_comes_from() -> None:
    assert len({row.name for row in ERROR_TABLE}) == len(ERROR_TABLE)
    assert all(row.source for row in ERROR_TABLE)


def test_no_failure_repeats_what_stripe_wrote_in_prose() -> None:
    body = {"error": {"message": "No such charge for jane@example.org", "type": "invalid_request_error"}}
    failure = failure_of(stripe.InvalidRequestError("m", None, http_status=400, json_body=body))  # type: ignore[no-untyped-call]

    assert "jane" not in str(failure)
    assert trouble_of(stripe.APIConnectionError("x")).status is None  # type: ignore[no-untyped-call]
