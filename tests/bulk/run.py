"""The run: bulk is due, workers take it up, one is killed and started again, and customers come meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any, Final

import msgspec
import structlog

from tests.bench.client import Answer, Connection, connect
from tests.bench.ground import RAIL, Ground, environment_of, ground, serving
from tests.bench.throughput import is_resolved
from tests.bulk import counting, fill

log: Final = structlog.get_logger()

# Until imports are done, pools are full and caches are warm.
WARM_UP_SECONDS: Final = 10.0
# What the memory of a worker may grow by in the last two thirds of its life, in the middle of ten parts of it: what grows with the refunds
# grows in all of them (it was 2 MB for each ten thousand once), what comes once is in one or two.
GROWTH_MB_MAX: Final = 1.0
GROWTH_REFUNDS: Final = 10_000
PARTS: Final = 10
# And at most by that, however it came: the first letter brings the names of a language and its templates with it (6 MB), twenty letters
# at once as much again.
STEPS_MB_MAX: Final = 16.0
# Seconds, one sample each: then the first third is a minute, which imports, pools and statements may take on a busy machine.
LIFE_SAMPLES_MIN: Final = 180
# Points of a life's curve that are shown.
CURVE_POINTS: Final = 20
# Orders of one statement, which reads nothing and is over within seconds.
SEEDED_AT_ONCE: Final = 5_000
# How often the log tells how far it is.
TOLD_EVERY: Final = 5_000
# What customers do beside: one every so often, so that they are a load and not the load.
_CUSTOMER_EVERY_SECONDS: Final = 0.5
_WAITING: Final = "SELECT count(*)::int FROM operation WHERE platform_id = $1 AND priority = 2 AND due_at IS NOT NULL"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    operations: int
    workers: int
    pace: float
    seconds_max: float


class Point(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A worker's memory when so many refunds had ended, by all workers."""

    ended: int
    rss_mb: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    operations: int
    left: int
    per_second: float
    rss_curve: Sequence[Sequence[Point]]
    """of each worker's lives"""
    rss_growth_mb: float
    """for each ten thousand refunds, in the life that grew most"""
    rss_steps_mb: float
    """the most that one life grew by in its last two thirds, all steps together"""
    rss_judged: int
    """lives that were long enough"""
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
        # The one above the pace is the boundary's: a second that begins with a slot may end just behind another (service.rails).
        paced = not self.pace or self.pace_max_per_second <= self.pace + 1
        wrong = self.left or self.doubles or self.lost or self.broken_sums or self.interactive_wrong
        return self.rss_is_flat and paced and not wrong


class Worker:
    """`makegood worker`, which may be killed and started again; its memory, each second."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._log = TemporaryFile()  # noqa: SIM115 - open for as long as the worker may write
        self.lives: list[list[Point]] = []

    def start(self) -> None:
        command = [sys.executable, "-m", "service", "worker"]
        self._process = subprocess.Popen(command, env=self._environment, cwd=self._folder, stdout=self._log, stderr=self._log)
        self._started_at = perf_counter()
        self.lives.append([])

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=60)

    def sample(self, ended: int) -> None:
        """Raises RuntimeError when it has died by itself."""
        assert self._process is not None
        if self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(self._log.read().decode(errors="replace")[-2000:])
        if perf_counter() - self._started_at > WARM_UP_SECONDS:
            self.lives[-1].append(Point(ended=ended, rss_mb=round(_rss_mb(self._process.pid), 1)))


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
        for first in range(0, wanted_orders, SEEDED_AT_ONCE):
            await at.seed(min(SEEDED_AT_ONCE, wanted_orders - first))
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
    told = 0
    while (left := await at.pool.fetchval(_WAITING, at.platform)) and perf_counter() - started < wanted.seconds_max:
        halfway = left < wanted.operations / 2 or perf_counter() - started > wanted.seconds_max / 2
        if halfway and not is_killed:
            workers[0].end(signal.SIGKILL)
            workers[0].start()
            is_killed = True
        for one in workers:
            one.sample(wanted.operations - left)
        if (ended := wanted.operations - left) >= told + TOLD_EVERY:
            told = ended - ended % TOLD_EVERY
            log.info("bulk_goes_on", ended=ended, rss_mb=[one.lives[-1][-1].rss_mb for one in workers if one.lives[-1]])
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
    lives = [life for one in workers for life in one.lives if life]
    cuts = quantiles(customers.seconds, n=100) if len(customers.seconds) > 1 else [0.0] * 99
    return Report(
        operations=wanted.operations,
        left=found.left,
        per_second=round(per_second, 1),
        rss_curve=[life[:: max(1, len(life) // CURVE_POINTS)] for life in lives],
        rss_growth_mb=round(max(map(growth_mb, lives), default=0.0), 1),
        rss_steps_mb=round(max(map(steps_mb, lives), default=0.0), 1),
        rss_judged=sum(len(life) >= LIFE_SAMPLES_MIN for life in lives),
        rss_is_flat=all(growth_mb(life) <= GROWTH_MB_MAX and steps_mb(life) <= STEPS_MB_MAX for life in lives),
        doubles=found.doubles,
        lost=found.lost,
        broken_sums=found.broken_sums,
        pace=wanted.pace,
        pace_max_per_second=found.most_in_a_second,
        kills=sum(len(one.lives) - 1 for one in workers),
        interactive=len(customers.seconds),
        interactive_wrong=customers.wrong,
        interactive_p50_ms=round(cuts[49] * 1000, 1),
        interactive_p99_ms=round(cuts[98] * 1000, 1),
        bulk_waiting_at_the_last_customer=customers.bulk_waiting,
        workers=wanted.workers,
        claim_ms=claim_ms,
    )


def growth_mb(life: Sequence[Point]) -> float:
    """For each ten thousand refunds, in the middle of the parts. Zero for a life too short to tell."""
    later = _later(life)
    cuts = [later[place * (len(later) - 1) // PARTS] for place in range(PARTS + 1)] if later else []
    slopes = [(end.rss_mb - begin.rss_mb) / (end.ended - begin.ended) for begin, end in pairwise(cuts) if end.ended > begin.ended]
    return median(slopes) * GROWTH_REFUNDS if slopes else 0.0


def steps_mb(life: Sequence[Point]) -> float:
    """From where the first third ends to the most afterwards. Zero for a life too short to tell."""
    later = _later(life)
    return max(point.rss_mb for point in later) - later[0].rss_mb if later else 0.0


def _later(life: Sequence[Point]) -> Sequence[Point]:
    return life[len(life) // 3 :] if len(life) >= LIFE_SAMPLES_MIN else ()


@asynccontextmanager
async def _ground(server_dsn: str, folder: Path, wanted: Wanted) -> AsyncIterator[Ground]:
    more: dict[str, Any] = {f"MAKEGOOD_RAIL_{RAIL.upper()}_PACE": str(wanted.pace)} if wanted.pace else {}
    async with ground(server_dsn, folder, "bulk", more=more) as at:
        yield at


def _rss_mb(pid: int) -> float:
    found = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(found[0]) / 1024 if found else 0.0
