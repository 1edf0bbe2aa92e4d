"""One API process to be measured: as `makegood serve`, with a sandbox rail whose ledger and latency the bench chooses."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from integrations.sandbox_memory import MemorySandboxRail
from service import logs, serving
from service.model import Money
from service.ports import Movement, PaymentSeen, RefundRail, RefundRequest, RefundSeen
from service.settings import Settings, load
from service.store.pool import open_pool
from service.vendors import Vendors, open_vendors
from tests.bench.ground import RAIL


class PacedRail:
    """A rail that takes its time before it answers."""

    def __init__(self, rail: RefundRail, latency_ms: int) -> None:
        self.name = rail.name
        self.traits = rail.traits
        self._rail = rail
        self._seconds = latency_ms / 1000

    def step(self, currency: str) -> int:
        return self._rail.step(currency)

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        await asyncio.sleep(self._seconds)
        return await self._rail.refund(request, key=key)

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        return await self._rail.find(request)

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        return await self._rail.payment(payment_ref, currency)

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        return self._rail.listed(since, until)

    async def check(self) -> str:
        return await self._rail.check()


@asynccontextmanager
async def vendors(settings: Settings) -> AsyncIterator[Vendors]:
    latency_ms = int(os.environ.get("BENCH_LATENCY_MS", "0"))
    async with open_vendors(settings) as outside:
        rail: RefundRail = outside.rails[RAIL]
        if os.environ.get("BENCH_LEDGER", "memory") == "memory":
            rail = await memory_rail(settings)
        yield msgspec.structs.replace(outside, rails={RAIL: PacedRail(rail, latency_ms) if latency_ms else rail})


async def memory_rail(settings: Settings) -> MemorySandboxRail:
    """Knows every charge that is in our database now."""
    rail = MemorySandboxRail(RAIL)
    assert settings.database_url is not None
    async with await open_pool(settings.database_url.reveal(), size=1) as pool:
        for row in await pool.fetch("SELECT provider_ref, captured, currency FROM payment WHERE rail = $1", RAIL):
            rail.load_charge(row["provider_ref"], Money(minor=row["captured"], currency=row["currency"]))
    return rail


def say_ready(path: Path) -> None:
    path.touch()


async def main() -> None:
    settings = load(os.environ, needed=("DATABASE_URL", "SECRET"))
    logs.configure(format="json", level="error")
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serving.running(settings, vendors=vendors, listen=(settings.bind_host, settings.bind_port)):
        serving.search_garbage_seldom()
        say_ready(Path(os.environ["BENCH_READY"]))
        await told.wait()


if __name__ == "__main__":
    asyncio.run(main())
