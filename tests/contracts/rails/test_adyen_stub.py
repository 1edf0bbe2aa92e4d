"""Adyen's adapter keeps the contract of a rail against the stub of our own, which proves nothing about Adyen itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from integrations.payments_adyen import AdyenRail, ours, reference_of
from service.ports import Declined, OutcomeUnknown, Unavailable
from tests.contracts.rails.adyen_bench import AdyenBench
from tests.contracts.rails.benches import request_for
from tests.contracts.rails.contract import (
    PaysBackContract,
    PaysBackUnderConcurrency,
    RailContract,
    RailUnderConcurrency,
    UnreadableContract,
)
from tests.peers.adyen_stub import API_KEY, MERCHANT_ACCOUNT, AdyenStub, Fault


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[AdyenBench]:
    async with AdyenStub().serving() as stub:
        bench = AdyenBench(request.node.nodeid, stub)
        yield bench
        await bench.rail.close()


class TestAdyenAgainstTheStub(RailContract, PaysBackContract, UnreadableContract, RailUnderConcurrency, PaysBackUnderConcurrency):
    pass


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.PASSING, Fault.PASSING_AND_DONE, Fault.NO_STORE_OF_KEYS])
async def test_what_may_have_happened_is_healed_by_the_same_key(bench: AdyenBench, fault: Fault) -> None:
    payment = await bench.charge(5000)
    request, key = request_for(bench, payment, 1500), str(bench.new_id())
    bench.stub.faults = [fault, fault]

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await bench.rail.refund(request, key=key)
    refund = await bench.rail.refund(request, key=key)

    assert await bench.paid(payment) == 1500
    assert [sent[1] for sent in bench.stub.requests] == [key] * 3
    assert (await bench.ending(refund)).attempt_id == request.attempt_id


async def test_another_key_after_a_lost_answer_would_pay_twice(bench: AdyenBench) -> None:
    """Why an unknown outcome is only ever retried with its own key."""
    payment = await bench.charge(5000)
    request = request_for(bench, payment, 1500)
    bench.stub.faults = [Fault.LOSE_ANSWER]

    with pytest.raises(OutcomeUnknown):
        await bench.rail.refund(request, key=str(bench.new_id()))
    await bench.rail.refund(request, key=str(bench.new_id()))

    assert await bench.paid(payment) == 3000


async def test_too_many_requests_mean_that_nothing_happened_and_when_to_come_back(bench: AdyenBench) -> None:
    payment = await bench.charge(5000)
    bench.stub.faults = [Fault.TOO_MANY]

    with pytest.raises(Unavailable) as limited:
        await bench.rail.refund(request_for(bench, payment, 1500), key=str(bench.new_id()))

    assert limited.value.retry_after_seconds == 3
    assert await bench.paid(payment) == 0


@pytest.mark.parametrize(("api_key", "account"), [("wrong", MERCHANT_ACCOUNT), (API_KEY, "SomebodyElse")])
async def test_a_wrong_key_or_account_is_a_matter_of_configuration(bench: AdyenBench, api_key: str, account: str) -> None:
    payment = await bench.charge(5000)
    rail = AdyenRail("adyen", api_key, merchant_account=account, base_url=bench.stub.base_url)

    with pytest.raises(Unavailable) as refused:
        await rail.refund(request_for(bench, payment, 700), key=str(bench.new_id()))
    with pytest.raises(Unavailable) as unchecked:
        await rail.check()

    assert refused.value.configuration
    assert unchecked.value.configuration
    await rail.close()


async def test_a_hold_is_cancelled_once_however_often_it_is_asked(bench: AdyenBench) -> None:
    payment, key = await bench.charge(5000), str(bench.new_id())

    for _ in range(2):
        await bench.rail.cancel(payment, key=key)

    assert bench.stub.payments[payment].cancelled


async def test_a_hold_nobody_knows_cannot_be_cancelled(bench: AdyenBench) -> None:
    with pytest.raises(Declined) as refused:
        await bench.rail.cancel("nobody", key=str(bench.new_id()))

    assert refused.value.code == "not_found"


async def test_a_key_too_long_for_adyen_is_never_sent(bench: AdyenBench) -> None:
    payment = await bench.charge(5000)

    with pytest.raises(Declined) as refused:
        await bench.rail.refund(request_for(bench, payment, 700), key="k" * 65)

    assert (refused.value.code, bench.stub.requests) == ("bug", [])


async def test_no_reference_leads_outside_its_path(bench: AdyenBench) -> None:
    with pytest.raises(Declined):
        await bench.rail.refund(request_for(bench, "../x/y?z", 700), key=str(bench.new_id()))

    assert [path for path, _, _ in bench.stub.requests] == ["payments/..%2Fx%2Fy%3Fz/refunds"]


async def test_a_reference_is_short_enough_and_read_back_into_both_ids(bench: AdyenBench) -> None:
    operation, attempt = bench.new_id(), bench.new_id()

    reference = reference_of(operation, attempt)

    assert len(reference) <= 80
    assert ours(reference) == (operation, attempt)
    assert [ours(other) for other in ("", "M0VLU", reference + "0", "x" + reference)] == [None] * 4


async def test_adyen_has_no_list_and_says_so(bench: AdyenBench) -> None:
    with pytest.raises(Declined) as refused:
        bench.rail.listed(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))

    assert refused.value.code == "unsupported"
