"""Stripe's adapter keeps the contract of a rail against stripe-stateful-mock, a process that remembers keys and charges."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import stripe

from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_errors import failure_of
from service.ports import OutcomeUnknown, Unavailable
from tests.contracts.rails.benches import StripeBench, request_for
from tests.contracts.rails.contract import PaysBackContract, PaysBackUnderConcurrency, RailContract, RailUnderConcurrency, ReadableContract


@pytest.fixture
async def bench(stripe_peer: str, request: pytest.FixtureRequest) -> AsyncIterator[StripeBench]:
    bench = StripeBench(request.node.nodeid, stripe_peer)
    yield bench
    await bench.close()


class TestStripeAgainstThePeer(RailContract, PaysBackContract, ReadableContract, RailUnderConcurrency, PaysBackUnderConcurrency):
    pass


async def test_the_peers_own_rate_limit_means_that_nothing_happened(bench: StripeBench) -> None:
    with pytest.raises(stripe.RateLimitError) as limited:
        await bench.charge(5000, source="tok_429")

    assert isinstance(failure_of(limited.value), Unavailable)


async def test_the_peers_own_server_error_leaves_the_outcome_unknown(bench: StripeBench) -> None:
    with pytest.raises(stripe.APIError) as failed:
        await bench.charge(5000, source="tok_500")

    assert isinstance(failure_of(failed.value), OutcomeUnknown)


async def test_a_key_the_peer_does_not_take_is_a_matter_of_configuration(stripe_peer: str, bench: StripeBench) -> None:
    rail = StripeRail("stripe", "pk_not_a_secret_key", base_url=stripe_peer)

    with pytest.raises(Unavailable) as refused:
        await rail.refund(request_for(bench, "ch_any", 700), key=str(bench.new_id()))
    with pytest.raises(Unavailable) as unchecked:
        await rail.check()

    assert refused.value.configuration
    assert unchecked.value.configuration
    await rail.close()
