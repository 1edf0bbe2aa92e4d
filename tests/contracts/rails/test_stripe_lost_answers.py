"""The answer is lost after the refund was made: the same key heals it, at a peer that really remembers."""

from __future__ import annotations

import pytest

from integrations.payments_stripe import StripeRail
from service.ports import OutcomeUnknown
from tests.contracts.rails.benches import TEST_KEY, StripeBench, request_for
from tests.contracts.rails.faults import LostAnswers
from tests.patience import PATIENCE_SECONDS


async def test_a_partial_refund_whose_answer_was_lost_twice_is_made_once(stripe_peer: str, request: pytest.FixtureRequest) -> None:
    bench = StripeBench(request.node.nodeid, stripe_peer)
    payment = await bench.charge(5000)
    refund, key = request_for(bench, payment, 1500), str(bench.new_id())

    async with LostAnswers(stripe_peer).serving() as proxy:
        rail = StripeRail("stripe", TEST_KEY, base_url=proxy.base_url, call_seconds_max=PATIENCE_SECONDS)
        proxy.lose = 2
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await rail.refund(refund, key=key)
        found = await rail.find(refund)
        answered = await rail.refund(refund, key=key)
        await rail.close()

    assert answered == found
    seen = await bench.rail.payment(payment, "EUR")
    assert (seen.refunded_minor, [refund.provider_ref for refund in seen.refunds]) == (1500, [answered.provider_ref])
    await bench.close()


async def test_another_key_after_a_lost_answer_would_pay_twice(stripe_peer: str, request: pytest.FixtureRequest) -> None:
    """Why an unknown outcome is only ever retried with its own key."""
    bench = StripeBench(request.node.nodeid, stripe_peer)
    payment = await bench.charge(5000)

    async with LostAnswers(stripe_peer).serving() as proxy:
        rail = StripeRail("stripe", TEST_KEY, base_url=proxy.base_url, call_seconds_max=PATIENCE_SECONDS)
        proxy.lose = 1
        refund = request_for(bench, payment, 1500)
        with pytest.raises(OutcomeUnknown):
            await rail.refund(refund, key=str(bench.new_id()))
        await rail.refund(refund, key=str(bench.new_id()))
        await rail.close()

    assert (await bench.rail.payment(payment, "EUR")).refunded_minor == 3000
    await bench.close()
