"""The fault proxy does what it says: what it loses was made, what it turns away was not, and the same seed gives the same troubles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from integrations.payments_stripe import StripeRail
from service.ports import OutcomeUnknown, RefundSeen, Unavailable
from tests.chaos.proxy import READS, REFUNDS, FaultProxy, Trouble, draw, drawn
from tests.contracts.rails.benches import TEST_KEY, StripeBench, request_for
from tests.loops import let_pass
from tests.patience import PATIENCE_SECONDS
from tests.peers import stateful_mock

ALWAYS: Final = 10_000
# What the peer has made when the caller has heard of the trouble.
EXECUTED: Final = {
    Trouble.LOST: 1,
    Trouble.HALF: 1,
    Trouble.SILENT: 1,
    Trouble.ERROR: 1,
    Trouble.GARBAGE: 1,
    Trouble.NEVER: 0,
    Trouble.STUMBLE: 0,
    Trouble.BUSY: 0,
}


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    with stateful_mock.running() as base_url:
        yield base_url


async def _until_given_up(_: float) -> None:
    """The caller's whole patience passes, and no answer comes."""
    let_pass(PATIENCE_SECONDS)
    await asyncio.Event().wait()


@asynccontextmanager
async def _through(peer: str, trouble: Trouble) -> AsyncIterator[tuple[FaultProxy, StripeRail]]:
    async with FaultProxy(
        peer, seed=1, names={}, refunds={trouble: ALWAYS}, late_seconds_max=0.0, holds=_until_given_up
    ).serving() as proxy:
        rail = StripeRail("stripe", TEST_KEY, base_url=proxy.base_url, call_seconds_max=PATIENCE_SECONDS)
        try:
            yield proxy, rail
        finally:
            await rail.close()


async def _made(bench: StripeBench, payment: str) -> tuple[RefundSeen, ...]:
    return (await bench.rail.payment(payment, "EUR")).refunds


@pytest.mark.parametrize("trouble", list(EXECUTED))
async def test_what_a_trouble_leaves_behind_is_as_it_says_and_the_same_key_makes_it_one_refund(
    peer: str, trouble: Trouble, request: pytest.FixtureRequest
) -> None:
    bench = StripeBench(request.node.nodeid, peer)
    payment = await bench.charge(5000)
    refund, key = request_for(bench, payment, 1500), str(bench.new_id())
    async with _through(peer, trouble) as (proxy, rail):
        with pytest.raises(Unavailable if trouble is Trouble.BUSY else OutcomeUnknown):
            await rail.refund(refund, key=key)
        assert len(await _made(bench, payment)) == EXECUTED[trouble]
        assert proxy.met == {trouble: 1}
        await proxy.calm()
        if trouble is Trouble.ERROR:
            # Stripe keeps a 500 for the key: only reading tells.
            with pytest.raises(OutcomeUnknown):
                await rail.refund(refund, key=key)
            assert proxy.met[Trouble.REPLAYED] == 1
            assert await rail.find(refund) is not None
        else:
            await rail.refund(refund, key=key)
    assert [one.attempt_id for one in await _made(bench, payment)] == [refund.attempt_id]
    await bench.close()


async def test_what_is_late_arrives_after_the_caller_has_given_up(peer: str, request: pytest.FixtureRequest) -> None:
    bench = StripeBench(request.node.nodeid, peer)
    payment = await bench.charge(5000)
    async with _through(peer, Trouble.LATE) as (proxy, rail):
        with pytest.raises(OutcomeUnknown):
            await rail.refund(request_for(bench, payment, 1500), key=str(bench.new_id()))
        await proxy.calm()
    assert len(await _made(bench, payment)) == 1
    await bench.close()


def test_the_same_seed_gives_the_same_troubles_and_another_seed_others() -> None:
    def met(seed: int) -> list[Trouble | None]:
        return [drawn(REFUNDS, draw(seed, f"C{number:05d}", True, sighting)) for number in range(200) for sighting in (1, 2)]

    assert met(7) == met(7)
    assert met(7) != met(8)
    assert set(met(7)) >= {None, Trouble.LOST, Trouble.LATE, Trouble.ERROR}


@pytest.mark.parametrize("chances", [REFUNDS, READS])
def test_the_chances_leave_room_for_what_goes_well(chances: dict[Trouble, int]) -> None:
    assert 0 < sum(chances.values()) < ALWAYS // 2
