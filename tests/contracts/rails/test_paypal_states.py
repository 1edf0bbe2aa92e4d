"""Every state of a batch and of its item, told in our words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from integrations.payouts_paypal import PayPalPayoutRail
from service.model import Money
from service.ports import Declined, RefundSeen, Unavailable
from tests.peers.loopback import Fault, Reply, json
from tests.peers.paypal_stub import CLIENT_ID, CLIENT_SECRET, PayPalStub, StubBatch

ITEM = {"sender_item_id": UUID(int=2).hex, "receiver": "jane@example.org", "amount": {"currency": "EUR", "value": "6.94"}}


@pytest.fixture
async def stub() -> AsyncIterator[PayPalStub]:
    async with PayPalStub().serving() as stub:
        stub.batches["B1"] = StubBatch(id="B1", sender_batch_id="key-1", item=dict(ITEM))
        yield stub


async def _read(stub: PayPalStub, batch: str = "B1") -> RefundSeen:
    rail = PayPalPayoutRail("paypal", CLIENT_ID, CLIENT_SECRET, base_url=stub.base_url)
    try:
        return await rail.read_batch(batch)
    finally:
        await rail.close()


@pytest.mark.parametrize(
    ("batch", "item", "reason", "state", "failure", "waiting"),
    [
        ("PENDING", "PENDING", "", "ACCEPTED", "", ""),
        ("PROCESSING", "PENDING", "", "ACCEPTED", "", ""),
        ("SUCCESS", "PENDING", "", "ACCEPTED", "", ""),
        ("SUCCESS", "PENDING", "PENDING_RECIPIENT_NON_HOLDING_CURRENCY_PAYMENT_PREFERENCE", "ACCEPTED", "", "customer"),
        ("SUCCESS", "ONHOLD", "", "ACCEPTED", "", ""),
        ("SUCCESS", "ON_HOLD", "", "ACCEPTED", "", ""),
        ("SUCCESS", "UNCLAIMED", "", "ACCEPTED", "", "customer"),
        ("SUCCESS", "UNCLAIMED", "RECEIVER_UNREGISTERED", "ACCEPTED", "", "customer"),
        ("SUCCESS", "A_WORD_OF_THE_FUTURE", "", "ACCEPTED", "", ""),
        ("A_WORD_OF_THE_FUTURE", "", "", "ACCEPTED", "", ""),
        ("SUCCESS", "SUCCESS", "", "SUCCEEDED", "", ""),
        ("DENIED", "SUCCESS", "", "SUCCEEDED", "", ""),
        ("SUCCESS", "RETURNED", "", "FAILED", "unclaimed", ""),
        ("SUCCESS", "RETURNED", "RECEIVER_UNREGISTERED", "FAILED", "unclaimed", ""),
        ("SUCCESS", "RETURNED", "RECEIVER_ACCOUNT_LOCKED", "FAILED", "declined", ""),
        ("SUCCESS", "FAILED", "", "FAILED", "unknown", ""),
        ("SUCCESS", "FAILED", "A_REASON_OF_THE_FUTURE", "FAILED", "unknown", ""),
        ("SUCCESS", "FAILED", "USER_FUNDING_SOURCE_INELIGIBLE", "FAILED", "insufficient_funds", ""),
        ("SUCCESS", "FAILED", "SELF_PAY_NOT_ALLOWED", "FAILED", "declined", ""),
        ("DENIED", "FAILED", "INSUFFICIENT_FUNDS", "FAILED", "insufficient_funds", ""),
        ("DENIED", "FAILED", "RECEIVER_ACCOUNT_INVALID", "FAILED", "declined", ""),
        ("DENIED", "PENDING", "", "FAILED", "unknown", ""),
        ("SUCCESS", "DENIED", "", "FAILED", "declined", ""),
        ("SUCCESS", "BLOCKED", "", "FAILED", "declined", ""),
        ("SUCCESS", "REFUNDED", "", "FAILED", "declined", ""),
        ("SUCCESS", "REVERSED", "", "FAILED", "merchant_request", ""),
        ("SUCCESS", "CANCELED", "", "CANCELED", "", ""),
        ("CANCELED", "PENDING", "", "CANCELED", "", ""),
    ],
)
async def test_each_state_is_told_in_our_words(  # noqa: PLR0917 - columns of the table
    stub: PayPalStub, batch: str, item: str, reason: str, state: str, failure: str, waiting: str
) -> None:
    stub.end("B1", item, batch_status=batch, reason=reason)

    assert await _read(stub) == RefundSeen(
        provider_ref="B1",
        state=state,  # type: ignore[arg-type]
        amount=Money(minor=694, currency="EUR"),
        attempt_id=UUID(int=2),
        failure=failure,
        waiting=waiting,  # type: ignore[arg-type]
        at=datetime(2026, 5, 1, 20, tzinfo=UTC),
    )


def _told(**item: Any) -> dict[str, Any]:
    return {"batch_header": {"payout_batch_id": "B1", "batch_status": "SUCCESS"}, "items": [{"payout_item": ITEM} | item]}


async def test_reasons_are_read_from_a_list_too_and_from_the_batch(stub: PayPalStub) -> None:
    in_a_list = _told(transaction_status="FAILED", errors=[{"name": "INSUFFICIENT_FUNDS"}])
    of_the_batch = _told(transaction_status="FAILED", errors=[])
    of_the_batch["batch_header"]["errors"] = {"name": "INSUFFICIENT_FUNDS"}
    for told in (in_a_list, of_the_batch):
        stub.fail(Fault(method="GET", path="/v1/payments/payouts/B1", instead=json(200, told)))

        assert (await _read(stub)).failure == "insufficient_funds"


async def test_a_pay_out_that_somebody_else_made_is_nobodys_attempt(stub: PayPalStub) -> None:
    stub.batches["B1"].item["sender_item_id"] = "payment:2811"

    assert (await _read(stub)).attempt_id is None


@pytest.mark.parametrize("batch", ["B2", "../oauth2/token", "", "B1/../B1", "B" * 31])
async def test_a_batch_that_is_not_there_is_not_found(stub: PayPalStub, batch: str) -> None:
    with pytest.raises(Declined) as unread:
        await _read(stub, batch)

    assert unread.value.code == "not_found"


async def test_a_batch_of_several_is_not_one_of_ours(stub: PayPalStub) -> None:
    told = _told()
    stub.fail(Fault(method="GET", path="/v1/payments", instead=json(200, told | {"items": told["items"] * 2})))

    with pytest.raises(Declined) as unread:
        await _read(stub)

    assert unread.value.code == "unsupported"


@pytest.mark.parametrize(
    "reply",
    [
        json(200, {"batch_header": {"payout_batch_id": "B1"}}),
        json(200, {"batch_header": {"payout_batch_id": "B7"}, "items": _told()["items"]}),
        json(200, _told(payout_item=ITEM | {"amount": {"currency": "EUR", "value": "6,94"}})),
        json(200, _told(payout_item=ITEM | {"amount": {"currency": "EUR", "value": "6.945"}})),
        Reply(status=200, body=b"<html>"),
        Reply(status=404, body=b"<html>"),
        json(500, {"name": "INTERNAL_ERROR"}),
        json(400, {"name": "VALIDATION_ERROR"}),
    ],
    ids=lambda reply: f"{reply.status} {msgspec.json.encode(reply.body.decode()).decode()[:60]}",
)
async def test_what_cannot_be_read_is_not_guessed(stub: PayPalStub, reply: Reply) -> None:
    stub.fail(Fault(method="GET", path="/v1/payments", instead=reply))

    with pytest.raises(Unavailable) as unread:
        await _read(stub)

    assert "jane" not in str(unread.value)


async def test_a_missing_permission_to_read_is_a_matter_of_configuration(stub: PayPalStub) -> None:
    stub.fail(Fault(method="GET", path="/v1/payments", instead=json(403, {"name": "NOT_AUTHORIZED"})))

    with pytest.raises(Unavailable) as unread:
        await _read(stub)

    assert unread.value.configuration
