"""Reads at Stripe: repeated a little, patient when told to be, and never mistaken for proof."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from integrations.payments_stripe import StripeRail
from service.model import Money
from service.ports import Declined, RefundSeen, Unavailable
from tests.contracts.rails.benches import TEST_KEY
from tests.contracts.rails.error_benches import REQUEST
from tests.contracts.rails.faults import Answer, FaultServer, Trick, error


class Naps:
    """Instead of sleeping, remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def _refund(number: int = 1, **fields: Any) -> dict[str, Any]:
    metadata = {"attempt_id": str(REQUEST.attempt_id), "operation_id": str(REQUEST.operation_id)}
    return {
        "id": f"re_{number}",
        "object": "refund",
        "amount": 700,
        "currency": "eur",
        "status": "succeeded",
        "created": 1_800_000_000,
        "metadata": metadata,
    } | fields


def _json(body: Any) -> Answer:
    return Answer(status=200, body=msgspec.json.encode(body))


def _page(*refunds: dict[str, Any], has_more: bool = False) -> Answer:
    return _json({"object": "list", "url": "/v1/refunds", "has_more": has_more, "data": list(refunds)})


async def _find(server: FaultServer, naps: Naps) -> RefundSeen | None:
    rail = StripeRail("stripe", TEST_KEY, base_url=server.base_url, sleep=naps)
    try:
        return await rail.find(REQUEST)
    finally:
        await rail.close()


async def test_a_read_is_tried_again_when_the_first_went_wrong() -> None:
    naps = Naps()
    async with FaultServer(Trick.RESET, error(500, type="api_error"), _page(_refund())).serving() as server:
        found = await _find(server, naps)

    assert found is not None
    assert (found.provider_ref, len(naps.seconds)) == ("re_1", 2)


async def test_a_read_gives_up_after_three_tries() -> None:
    naps = Naps()
    async with FaultServer(*[error(500, type="api_error")] * 3).serving() as server:
        with pytest.raises(Unavailable):
            await _find(server, naps)

    assert len(server.keys) == 3


async def test_a_read_waits_as_long_as_it_was_asked_to() -> None:
    naps = Naps()
    limited = error(429, headers={"Retry-After": "2"}, type="invalid_request_error", code="rate_limit")
    async with FaultServer(limited, _page(_refund())).serving() as server:
        assert await _find(server, naps)

    assert naps.seconds == [2]


async def test_a_wait_too_long_for_one_call_is_handed_on() -> None:
    naps = Naps()
    async with FaultServer(error(429, headers={"Retry-After": "60"}, type="invalid_request_error", code="rate_limit")).serving() as server:
        with pytest.raises(Unavailable) as limited:
            await _find(server, naps)

    assert (limited.value.retry_after_seconds, naps.seconds) == (60, [])


async def test_a_missing_permission_is_not_asked_for_twice() -> None:
    async with FaultServer(error(403, type="invalid_request_error")).serving() as server:
        with pytest.raises(Unavailable) as refused:
            await _find(server, Naps())

    assert refused.value.configuration
    assert len(server.keys) == 1


async def test_our_refund_is_found_on_a_later_page_among_those_of_others() -> None:
    others = [_refund(number, metadata={"attempt_id": "not-ours"}) for number in range(3)]
    async with FaultServer(_page(*others, has_more=True), _page(_refund(9, metadata=None), _refund(10))).serving() as server:
        found = await _find(server, Naps())

    assert found is not None
    assert found.provider_ref == "re_10"


@pytest.mark.parametrize(
    ("status", "reasons", "state", "failure", "waiting"),
    [
        ("succeeded", {}, "SUCCEEDED", "", ""),
        ("pending", {}, "ACCEPTED", "", ""),
        ("pending", {"pending_reason": "processing"}, "ACCEPTED", "", ""),
        ("pending", {"pending_reason": "charge_pending"}, "ACCEPTED", "", ""),
        ("pending", {"pending_reason": "insufficient_funds"}, "ACCEPTED", "", "insufficient_funds"),
        ("requires_action", {}, "ACCEPTED", "", "customer"),
        (None, {}, "ACCEPTED", "", ""),
        ("a word of the future", {}, "ACCEPTED", "", ""),
        ("canceled", {}, "CANCELED", "", ""),
        ("failed", {"failure_reason": "lost_or_stolen_card"}, "FAILED", "lost_or_stolen_card", ""),
        ("failed", {"failure_reason": "expired_or_canceled_card"}, "FAILED", "expired_or_canceled_card", ""),
        ("failed", {"failure_reason": "charge_for_pending_refund_disputed"}, "FAILED", "charge_for_pending_refund_disputed", ""),
        ("failed", {"failure_reason": "declined"}, "FAILED", "declined", ""),
        ("failed", {"failure_reason": "merchant_request"}, "FAILED", "merchant_request", ""),
        ("failed", {"failure_reason": "insufficient_funds", "pending_reason": "insufficient_funds"}, "FAILED", "insufficient_funds", ""),
        ("failed", {"failure_reason": "a reason of the future"}, "FAILED", "unknown", ""),
        ("failed", {}, "FAILED", "unknown", ""),
    ],
)
async def test_each_status_of_a_refund_is_told_in_our_words(
    status: str | None, reasons: dict[str, Any], state: str, failure: str, waiting: str
) -> None:
    async with FaultServer(_page(_refund(status=status, **reasons))).serving() as server:
        found = await _find(server, Naps())

    assert found == RefundSeen(
        provider_ref="re_1",
        state=state,  # type: ignore[arg-type]
        amount=Money(minor=700, currency="EUR"),
        attempt_id=UUID(int=2),
        operation_id=UUID(int=1),
        failure=failure,
        waiting=waiting,  # type: ignore[arg-type]
        at=datetime(2027, 1, 15, 8, tzinfo=UTC),
    )


async def test_a_payment_intent_is_read_with_the_charge_that_took_the_money() -> None:
    charge = {"object": "charge", "amount_captured": 5000, "amount_refunded": 700, "currency": "eur", "disputed": True}
    intent = {"id": "pi_1", "object": "payment_intent", "amount_received": 5000, "currency": "eur", "latest_charge": charge}
    async with FaultServer(_json(intent), _page(_refund())).serving() as server:
        rail = StripeRail("stripe", TEST_KEY, base_url=server.base_url)
        seen = await rail.payment("pi_1", "EUR")
        await rail.close()

    assert (seen.captured, seen.refunded_minor, seen.disputed) == (Money(minor=5000, currency="EUR"), 700, True)
    assert [refund.provider_ref for refund in seen.refunds] == ["re_1"]


async def test_a_payment_intent_nobody_paid_has_captured_nothing() -> None:
    intent = {"id": "pi_1", "object": "payment_intent", "amount_received": 0, "currency": "eur", "latest_charge": None}
    async with FaultServer(_json(intent), _page()).serving() as server:
        rail = StripeRail("stripe", TEST_KEY, base_url=server.base_url)
        seen = await rail.payment("pi_1", "EUR")
        await rail.close()

    assert (seen.captured.minor, seen.refunded_minor, seen.disputed) == (0, 0, False)


async def test_a_payment_stripe_does_not_know_is_not_found_and_not_asked_for_again() -> None:
    async with FaultServer(error(404, type="invalid_request_error", code="resource_missing")).serving() as server:
        rail = StripeRail("stripe", TEST_KEY, base_url=server.base_url)
        with pytest.raises(Declined) as unknown:
            await rail.payment("pi_1", "EUR")
        await rail.close()

    assert unknown.value.code == "not_found"
    assert len(server.keys) == 1


async def test_an_amount_that_is_no_whole_number_of_ours_is_not_read_at_all() -> None:
    intent = {"id": "pi_1", "object": "payment_intent", "amount_received": 550, "currency": "isk", "latest_charge": None}
    async with FaultServer(*[_json(intent)] * 3).serving() as server:
        rail = StripeRail("stripe", TEST_KEY, base_url=server.base_url, sleep=Naps())
        with pytest.raises(Unavailable):
            await rail.payment("pi_1", "ISK")
        await rail.close()
