"""The sandbox without a database keeps the same contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from integrations.sandbox_memory import MemorySandboxRail
from service.model import Money
from tests.contracts.rails.benches import Ids, request_for
from tests.contracts.rails.contract import PaysBackContract, PaysBackUnderConcurrency, RailContract, RailUnderConcurrency, ReadableContract


class MemoryBench(Ids):
    def __init__(self, test: str) -> None:
        super().__init__(test)
        self.rail = MemorySandboxRail("memory")

    async def charge(self, minor: int, currency: str = "EUR") -> str:
        payment_ref = f"ch_{self.new_id().hex}"
        self.rail.load_charge(payment_ref, Money(minor=minor, currency=currency))
        return payment_ref

    async def disputed_charge(self, minor: int) -> str:
        payment_ref = await self.charge(minor)
        self.rail.open_dispute(payment_ref)
        return payment_ref

    async def paid(self, payment_ref: str) -> int:
        """Its ledger is the rail itself: there is nothing else to count by."""
        return (await self.rail.payment(payment_ref, "EUR")).refunded_minor


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> MemoryBench:
    return MemoryBench(request.node.nodeid)


class TestMemorySandbox(RailContract, PaysBackContract, ReadableContract, RailUnderConcurrency, PaysBackUnderConcurrency):
    pass


async def test_its_list_tells_every_refund_of_its_time(bench: MemoryBench) -> None:
    payment = await bench.charge(5000)
    refunds = [await bench.rail.refund(request_for(bench, payment, 700), key=str(bench.new_id())) for _ in range(3)]
    now = datetime.now(UTC)

    assert [one.refund async for one in bench.rail.listed(now - timedelta(days=1), now + timedelta(days=1))] == refunds
    assert [one async for one in bench.rail.listed(now + timedelta(days=1), now + timedelta(days=2))] == []
