"""PayPal's pay-outs keep the contract, against a stub of our own; and what is special about them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from integrations.payouts_paypal import PayPalPayoutRail
from service.ports import Declined, OutcomeUnknown, RefundSeen
from tests.contracts.rails.benches import Ids, request_for
from tests.contracts.rails.contract import RailContract, RailUnderConcurrency
from tests.peers.loopback import Fault, Reply
from tests.peers.paypal_stub import CLIENT_ID, CLIENT_SECRET, PayPalStub

PAYOUTS = "/v1/payments/payouts"


class PayPalBench(Ids):
    destination = "fan@example.org"

    def __init__(self, test: str, stub: PayPalStub) -> None:
        super().__init__(test)
        self.stub = stub
        self.rail = PayPalPayoutRail("paypal", CLIENT_ID, CLIENT_SECRET, base_url=stub.base_url)

    async def charge(self, minor: int, currency: str = "EUR") -> str:
        """Paid elsewhere; here it is no more than a name, and the currency that it is counted in."""
        del minor
        return f"{currency} {self.new_id()}"

    async def disputed_charge(self, minor: int) -> str:
        raise NotImplementedError

    async def paid(self, payment_ref: str) -> int:
        currency = payment_ref[:3]
        return int(self.stub.paid().get(currency, 0) * {"EUR": 100, "JPY": 1}[currency])

    async def ending(self, refund: RefundSeen) -> RefundSeen:
        self.stub.end(refund.provider_ref, "SUCCESS")
        return await self.rail.read_batch(refund.provider_ref)


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[PayPalBench]:
    async with PayPalStub().serving() as stub:
        bench = PayPalBench(request.node.nodeid, stub)
        yield bench
        await bench.rail.close()


class TestPayPal(RailContract, RailUnderConcurrency):
    async def test_an_answer_that_was_lost_is_found_by_sending_again_and_paid_once(self, bench: PayPalBench) -> None:
        request, key = request_for(bench, "EUR", 694), str(bench.new_id())
        bench.stub.fail(Fault(method="POST", path=PAYOUTS))
        with pytest.raises(OutcomeUnknown):
            await bench.rail.refund(request, key=key)

        found = await bench.rail.refund(request, key=key)

        assert (found.state, found.amount, found.attempt_id) == ("ACCEPTED", request.amount, request.attempt_id)
        assert [batch.id for batch in bench.stub.batches.values()] == [found.provider_ref]

    async def test_sent_again_after_the_end_it_tells_the_end(self, bench: PayPalBench) -> None:
        request, key = request_for(bench, "EUR", 694), str(bench.new_id())
        first = await bench.rail.refund(request, key=key)
        bench.stub.end(first.provider_ref, "FAILED", batch_status="DENIED", reason="INSUFFICIENT_FUNDS")

        again = await bench.rail.refund(request, key=key)

        assert (again.provider_ref, again.state, again.failure) == (first.provider_ref, "FAILED", "insufficient_funds")
        assert len(bench.stub.batches) == 1

    async def test_sent_before_and_the_original_cannot_be_read_is_unknown(self, bench: PayPalBench) -> None:
        request, key = request_for(bench, "EUR", 694), str(bench.new_id())
        await bench.rail.refund(request, key=key)
        bench.stub.fail(Fault(method="GET", path=PAYOUTS, instead=Reply(status=503)))

        with pytest.raises(OutcomeUnknown):
            await bench.rail.refund(request, key=key)

    async def test_the_key_of_another_attempt_is_misuse_even_for_the_same_amount(self, bench: PayPalBench) -> None:
        key = str(bench.new_id())
        await bench.rail.refund(request_for(bench, "EUR", 694), key=key)

        with pytest.raises(Declined) as refused:
            await bench.rail.refund(request_for(bench, "EUR", 694), key=key)

        assert refused.value.code == "idempotency_misuse"

    async def test_finding_moves_no_money_and_needs_the_batch(self, bench: PayPalBench) -> None:
        request, other = request_for(bench, "EUR", 694), request_for(bench, "EUR", 694)
        refund = await bench.rail.refund(request, key=str(bench.new_id()))
        posted = bench.stub.count("POST", PAYOUTS)

        assert await bench.rail.find(request) is None
        assert await bench.rail.find(msgspec.structs.replace(request, provider_ref=refund.provider_ref)) == refund
        assert await bench.rail.find(msgspec.structs.replace(other, provider_ref=refund.provider_ref)) is None
        assert await bench.rail.find(msgspec.structs.replace(request, provider_ref="BATCH99")) is None
        assert bench.stub.count("POST", PAYOUTS) == posted

    async def test_what_is_sent_names_the_address_once_and_nothing_else_of_the_customer(self, bench: PayPalBench) -> None:
        request = request_for(bench, "EUR", 694)
        refund = await bench.rail.refund(request, key="key-1")

        sent = bench.stub.batches[refund.provider_ref]

        assert sent.sender_batch_id == "key-1"
        assert sent.item == {
            "recipient_type": "EMAIL",
            "receiver": "fan@example.org",
            "amount": {"currency": "EUR", "value": "6.94"},
            "sender_item_id": request.attempt_id.hex,
            "note": "Refund",
        }

    async def test_a_forint_has_no_fillers_at_paypal(self, bench: PayPalBench) -> None:
        refund = await bench.rail.refund(request_for(bench, "HUF", 120_000, "HUF"), key="key-1")

        assert bench.stub.batches[refund.provider_ref].item["amount"] == {"currency": "HUF", "value": "1200"}
        assert (await bench.rail.read_batch(refund.provider_ref)).amount.minor == 120_000

    async def test_nothing_is_sent_without_an_address_or_in_a_currency_it_does_not_pay(self, bench: PayPalBench) -> None:
        bench.destination = ""
        nowhere = request_for(bench, "EUR", 694)
        bench.destination = "fan@example.org"
        for request, code in ((nowhere, "bug"), (request_for(bench, "ISK", 694, "ISK"), "unsupported")):
            with pytest.raises(Declined) as refused:
                await bench.rail.refund(request, key=str(bench.new_id()))
            assert refused.value.code == code

        assert not bench.stub.asked

    async def test_nobody_is_asked_about_payments_or_lists(self, bench: PayPalBench) -> None:
        with pytest.raises(Declined) as payment:
            await bench.rail.payment("EUR", "EUR")
        with pytest.raises(Declined) as listed:
            bench.rail.listed(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC))

        assert (payment.value.code, listed.value.code) == ("unsupported", "unsupported")
