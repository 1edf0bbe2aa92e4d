"""What processors tell us, as fast as it comes: with refunds under way that it is about, and by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

import msgspec

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import Charge, SandboxBooks
from integrations.sandbox_posts import SignedPost, Told, signed_post
from service.model import Money
from tests.bench.client import Answer, Ask, Connection, connections, each
from tests.bench.ground import RAIL, Ground, Server, line, serving
from tests.bench.throughput import ACTIONS, CLIENTS, Run, run, told

_PATH: Final = f"/webhooks/sandbox/{RAIL}"
# As many as a processor posts at once to one endpoint.
_POSTERS: Final = 8
_INTAKE_CLIENTS: Final = 32
_REPEATS: Final = 10
# The same event comes again after others, as it does when a processor repeats what was not answered in time.
_STRIDE: Final = 7
_SETTLE_SECONDS_MAX: Final = 60.0
# Ids of notifications that the sandbox has not given out itself.
_FIRST_ID_OF_OURS: Final = 1_000_000_000

_UNAPPLIED: Final = "SELECT count(*) FROM webhook_inbox WHERE outcome IS NULL"
_PAID_TWICE: Final = """
SELECT count(*)::int FROM (SELECT FROM book WHERE debit LIKE 'in\\_transit:%' AND credit LIKE 'paid\\_out:%' GROUP BY operation_id
    HAVING count(*) > 1) AS twice
"""
_KEPT: Final = "SELECT count(*)::int FROM webhook_inbox WHERE event_id = ANY($1) AND outcome = 'applied'"
_OUTCOMES: Final = "SELECT coalesce(outcome, 'waiting') AS outcome, count(*)::int AS count FROM webhook_inbox GROUP BY 1"


async def measure(at: Ground, count: int) -> AsyncIterator[str]:
    """Refunds without and with their webhooks on the same ledger, then the intake alone: one line each."""
    async with _books(at) as books, serving(at, ledger="database") as server:
        await _refunds(at, server, books, count // 10)
        await at.pool.execute("ANALYZE")
        quiet = await _refunds(at, server, books, count)
        yield told("refund", quiet, processes=1, latency_ms=0, ledger="database")
        await books.subscribe()
        yield await _with_webhooks(at, server, books, count, quiet)
        yield await _intake(at, server, books, count)


async def _refunds(at: Ground, server: Server, books: SandboxBooks, count: int) -> Run:
    asks = at.asks(ACTIONS["refund"], count)
    await books.load_charges(Charge(payment_ref=f"ch_B{one.tag}", amount=Money(minor=2500, currency="EUR")) for one in asks)
    return await run(server, asks)


class Poster:
    """Posts whatever the sandbox has to tell, as soon as it has, over connections of its own."""

    def __init__(self, at: Ground, books: SandboxBooks, opened: Sequence[Connection]) -> None:
        self._secret = _secret(at)
        self._books = books
        self._opened = opened
        self.posted: set[int] = set()
        self.refused = 0

    async def post_until(self, stop: asyncio.Event) -> None:
        after = 0
        while not stop.is_set():
            found = await self._books.notifications(self._secret, datetime.now(UTC), after=after)
            after = max((one.id for one in found), default=after)
            await self._post(found)
            await asyncio.sleep(0.02)

    async def post_rest(self) -> None:
        """Numbers are given out before they are committed: whoever reads on from the highest has missed some."""
        after = 0
        while found := await self._books.notifications(self._secret, datetime.now(UTC), after=after):
            after = found[-1].id
            await self._post([one for one in found if one.id not in self.posted])

    async def _post(self, found: Sequence[SignedPost]) -> None:
        def heard(ask: Ask, answer: Answer | Exception) -> None:
            if isinstance(answer, Answer) and answer.status == 200:
                self.posted.add(ask.tag)
            else:
                self.refused += 1

        await each(self._opened, (_ask(one) for one in found), heard)


async def _with_webhooks(at: Ground, server: Server, books: SandboxBooks, count: int, quiet: Run) -> str:
    stop = asyncio.Event()
    async with connections(server.port, _POSTERS) as opened:
        poster = Poster(at, books, opened)
        posting = asyncio.create_task(poster.post_until(stop))
        started = perf_counter()
        done = await _refunds(at, server, books, count)
        stop.set()
        await posting
        during = len(poster.posted)
        await poster.post_rest()
        await _applied(at)
        seconds = perf_counter() - started
    paid_twice = sum(one.refunds > 1 for one in await books.ledger())
    applied_twice: int = await at.pool.fetchval(_PAID_TWICE)
    waiting: int = await at.pool.fetchval(_UNAPPLIED)
    more: dict[str, Any] = {
        "p50_ms": round(done.p50_ms, 1),
        "p99_ms": round(done.p99_ms, 1),
        "clients": CLIENTS,
        "answered": done.answered,
        "wrong": done.wrong,
        "api_cpu_ms": round(done.api_cpu_ms, 2),
        "database_cpu_ms": round(done.database_cpu_ms, 2),
        "webhooks": len(poster.posted),
        "while_refunds_ran": during,
        "refused": poster.refused,
        "outcomes": {row["outcome"]: row["count"] for row in await at.pool.fetch(_OUTCOMES)},
        "all_applied_s": round(seconds, 1),
        "refunded_twice": paid_twice,
        "applied_twice": applied_twice,
        "holds": not (done.wrong or poster.refused or paid_twice or applied_twice or waiting),
        "peer": "the same without webhooks",
        "ratio": round(done.per_second / quiet.per_second, 2),
    }
    return line("refunds_per_second_with_webhooks", round(done.per_second), "resolutions/s", **more)


async def _intake(at: Ground, server: Server, books: SandboxBooks, count: int) -> str:
    """Signed posts, each told once; then a tenth of as many, each ten times over, shuffled by their number."""
    secret = _secret(at)
    samples = await books.notifications(secret, datetime.now(UTC))
    bodies = [msgspec.json.decode(one.body, type=Told) for one in samples]

    def posts(first: int, many: int) -> list[Ask]:
        now = datetime.now(UTC)
        renumbered = (msgspec.structs.replace(bodies[n % len(bodies)], id=first + n) for n in range(many))
        return [_ask(signed_post(one, secret, now)) for one in renumbered]

    once = posts(_FIRST_ID_OF_OURS, count)
    distinct = await _post_all(server, once)
    await _applied(at)
    few = posts(_FIRST_ID_OF_OURS + count, count // _REPEATS)
    often = [few[n * _STRIDE % len(few)] for n in range(count)]
    repeated = await _post_all(server, often)
    await _applied(at)
    expected = {f"sandbox_{one.tag}" for one in (*once[: distinct.answered], *often[: repeated.answered])}
    kept: int = await at.pool.fetchval(_KEPT, sorted(expected))
    return line(
        "webhook_intake_per_second",
        round(distinct.per_second),
        "posts/s",
        p50_ms=round(distinct.p50_ms, 1),
        p99_ms=round(distinct.p99_ms, 1),
        clients=_INTAKE_CLIENTS,
        processes=1,
        refused=distinct.wrong + repeated.wrong,
        same_event_ten_times_per_second=round(repeated.per_second),
        kept=kept,
        expected=len(expected),
        holds=kept == len(expected) and distinct.wrong + repeated.wrong == 0,
        api_cpu_ms=round(distinct.api_cpu_ms, 2),
        database_cpu_ms=round(distinct.database_cpu_ms, 2),
    )


async def _post_all(server: Server, asks: Sequence[Ask]) -> Run:
    """What is applied meanwhile costs the same processes: it counts, as it does in an installation."""
    return await run(server, asks, clients=_INTAKE_CLIENTS, is_right=lambda answer: answer.status == 200)


async def _applied(at: Ground) -> None:
    give_up = time.monotonic() + _SETTLE_SECONDS_MAX
    while time.monotonic() < give_up and await at.pool.fetchval(_UNAPPLIED):
        await asyncio.sleep(0.05)


def _ask(one: SignedPost) -> Ask:
    headers = {name: value for name, value in one.headers.items() if name != "content-type"}
    return Ask(path=_PATH, body=one.body, headers=headers, tag=one.id)


def _secret(at: Ground) -> str:
    return at.settings.rails[0].webhook_secrets[0].reveal()


@asynccontextmanager
async def _books(at: Ground) -> AsyncIterator[SandboxBooks]:
    assert at.settings.sandbox_database_url is not None
    async with await open_sandbox(at.settings.sandbox_database_url.reveal()) as pool:
        yield SandboxBooks(RAIL, pool)
