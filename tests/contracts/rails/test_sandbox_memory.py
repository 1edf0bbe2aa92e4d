"""The sandbox without a database keeps the same contract."""

from __future__ import annotations

import pytest

from integrations.sandbox_memory import MemorySandboxRail
from service.model import Money
from tests.contracts.rails.benches import Ids
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
