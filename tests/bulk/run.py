"""The run: bulk is due, workers take it up, one is killed and started again, and customers come meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, Final

import msgspec
import structlog

from service.rails import BLOCK_SECONDS
from tests.bench.client import Answer, Connection, connect
from tests.bench.ground import RAIL, Ground, environment_of, ground, serving
from tests.bench.throughput import is_resolved
from tests.bulk import counting, fill

log: Final = structlog.get_logger()

# Until imports are done, pools are full and caches are warm.
WARM_UP_SECONDS: Final = 10.0
FLAT: Final = 1.2
# What customers do beside: one every so often, so that they are a load and not the load.
_CUSTOMER_EVERY_SECONDS: Final = 0.5
_WAITING: Final = "SELECT count(*)::int FROM operation WHERE platform_id = $1 AND priority = 2 AND due_at IS NOT NULL"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    operations: int
    workers: int
    pace: float
    seconds_max: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    operations: int
    left: int
    per_second: float
    rss_start_mb: float
    rss_max_mb: float
    rss_is_flat: bool
    doubles: int
    lost: int
    broken_sums: Sequence[str]
    pace: float
    pace_max_per_second: int
    kills: int
    interactive: int
    interactive_wrong: int
    interactive_p50_ms: float
    interactive_p99_ms: float
    bulk_waiting_at_the_last_customer: int
    workers: int
    claim_ms: float
    """one claim of 48 while all of it is due"""

    @property
    def is_well(self) -> bool:
        # A process that is stopped for a moment sends its block of slots late, beside those of the others: by so much and no more.
        paced = not self.pace or self.pace_max_per_second <= self.pace * (1 + BLOCK_SECONDS) + 1
        return self.rss_is_flat and paced and not (self.doubles or self.lost or self.broken_sums or self.interactive_wrong)


class Worker:
    """`makegood worker`, which may be killed and started again; its memory, each second."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._log = TemporaryFile()  # noqa: SIM115 - open for as long as the worker may write
        self.samples: list[list[float]] = []

    def start(self) -> None:
        command = [sys.executable, "-m", "service", "worker"]
        self._process = subprocess.Popen(command, env=self._environment, cwd=self._folder, stdout=self._log, stderr=self._log)
        self._started_at = perf_counter()
        self.samples.append([])

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=60)

    def sample(self) -> None:
        """Raises RuntimeError when it has died by itself."""
        assert self._process is not None
        if self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(self._log.read().decode(errors="replace")[-2000:])
        if perf_counter() - self._started_at > WARM_UP_SECONDS:
            self.samples[-1].append(_rss_mb(self._process.pid))


class Customers:
    """One after the other over HTTP, each with a refund of their own."""

    def __init__(self, at: Ground, port: int, numbers: range) -> None:
        self._at = at
        self._port = port
        self._numbers = numbers
        self.seconds: list[float] = []
        self.wrong = 0
        self.bulk_waiting = 0

    async def come(self, stop: asyncio.Event) -> None:
        connection: Connection = await connect(self._port)
        for number in self._numbers:
            if stop.is_set():
                break
            waiting = await self._at.pool.fetchval(_WAITING, self._at.platform)
            answer: Answer = await connection.send(self._at.ask("stream_outage", number))
            self.seconds.append(answer.seconds)
            self.wrong += not is_resolved(answer)
            self.bulk_waiting = waiting
            await asyncio.sleep(_CUSTOMER_EVERY_SECONDS)
        connection.close()


async def bulk(server_dsn: str, folder: Path, wanted: Wanted) -> Report:
    """Until all is done, or the time is over; then nobody is interrupted, and what is left is told."""
    async with _ground(server_dsn, folder, wanted) as at:
        customers_max = int(wanted.seconds_max / _CUSTOMER_EVERY_SECONDS) + 1
        wanted_orders = wanted.operations + customers_max
        for first in range(0, wanted_orders, fill.AT_ONCE):
            await at.seed(min(fill.AT_ONCE, wanted_orders - first))
        numbers, theirs = at.take(wanted.operations), at.take(customers_max)
        await fill.charges(at, range(numbers.start, theirs.stop))
        await fill.refunds(at, numbers, priority=fill.BULK)
        claim_ms = await _claim_ms(at)
        log.info("bulk_is_due", operations=wanted.operations)
        environment = {**os.environ, **environment_of(at.settings), "MAKEGOOD_LOG_LEVEL": "error"}
        workers = [Worker(environment, folder) for _ in range(wanted.workers)]
        async with serving(at, ledger="database") as server:
            customers, stop = Customers(at, server.port, theirs), asyncio.Event()
            for one in workers:
                one.start()
            coming = asyncio.create_task(customers.come(stop))
            try:
                per_second = await _work(at, workers, wanted)
            finally:
                stop.set()
                await coming
                for one in workers:
                    one.end(signal.SIGTERM)
        log.info("bulk_is_counted", per_second=round(per_second))
        found = await counting.count(at, range(numbers.start, theirs.start + len(customers.seconds)))
        return _report(wanted, workers, customers, found, per_second=per_second, claim_ms=claim_ms)


async def _work(at: Ground, workers: Sequence[Worker], wanted: Wanted) -> float:
    """Samples each second; kills the first worker in the middle. How many ended a second."""
    started = perf_counter()
    is_killed = False
    while (left := await at.pool.fetchval(_WAITING, at.platform)) and perf_counter() - started < wanted.seconds_max:
        halfway = left < wanted.operations / 2 or perf_counter() - started > wanted.seconds_max / 2
        if halfway and not is_killed:
            workers[0].end(signal.SIGKILL)
            workers[0].start()
            is_killed = True
        for one in workers:
            one.sample()
        await asyncio.sleep(1.0)
    return float((wanted.operations - left) / (perf_counter() - started))


async def _claim_ms(at: Ground) -> float:
    """As the loop claims; undone."""
    async with at.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        started = perf_counter()
        await connection.fetch("SELECT * FROM operations_claim(48, 15)")
        took = perf_counter() - started
        await transaction.rollback()
    return round(took * 1000, 1)


def _report(
    wanted: Wanted, workers: Sequence[Worker], customers: Customers, found: counting.Count, *, per_second: float, claim_ms: float
) -> Report:
    lives = [life for one in workers for life in one.samples if life]
    cuts = quantiles(customers.seconds, n=100) if len(customers.seconds) > 1 else [0.0] * 99
    return Report(
        operations=wanted.operations,
        left=found.left,
        per_second=round(per_second, 1),
        rss_start_mb=round(max((life[0] for life in lives), default=0.0), 1),
        rss_max_mb=round(max((max(life) for life in lives), default=0.0), 1),
        rss_is_flat=all(max(life) <= FLAT * life[0] for life in lives),
        doubles=found.doubles,
        lost=found.lost,
        broken_sums=found.broken_sums,
        pace=wanted.pace,
        pace_max_per_second=found.most_in_a_second,
        kills=sum(len(one.samples) - 1 for one in workers),
        interactive=len(customers.seconds),
        interactive_wrong=customers.wrong,
        interactive_p50_ms=round(cuts[49] * 1000, 1),
        interactive_p99_ms=round(cuts[98] * 1000, 1),
        bulk_waiting_at_the_last_customer=customers.bulk_waiting,
        workers=wanted.workers,
        claim_ms=claim_ms,
    )


@asynccontextmanager
async def _ground(server_dsn: str, folder: Path, wanted: Wanted) -> AsyncIterator[Ground]:
    more: dict[str, Any] = {f"MAKEGOOD_RAIL_{RAIL.upper()}_PACE": str(wanted.pace)} if wanted.pace else {}
    async with ground(server_dsn, folder, "bulk", more=more) as at:
        yield at


def _rss_mb(pid: int) -> float:
    found = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(found[0]) / 1024 if found else 0.0
