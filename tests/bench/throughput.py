"""Resolutions a second of each action: closed loop, 64 clients in this process, the API in others, all on one machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import quantiles
from time import perf_counter
from typing import Any, Final

import msgspec

from tests.bench import cpu
from tests.bench.client import Answer, Ask, connections, each
from tests.bench.ground import Ground, Server, line, serving

CLIENTS: Final = 64
# The action and the problem that leads to it.
ACTIONS: Final = {"refund": "stream_outage", "reissue_access": "link_dead", "resend_pass": "pass_missing"}
LIMITS: Final = {"refund": 500, "reissue_access": 700, "resend_pass": 700}
# A run ends with its orders, or after so long: a slow action must not hold up the rest.
RUN_SECONDS_MAX: Final = 8.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    wrong: int
    """answers that were not as they should be: 201, with what was asked for done"""
    first_wrong: str
    api_cpu_ms: float
    """of the API processes, for each answer"""
    database_cpu_ms: float


def is_resolved(answer: Answer) -> bool:
    return answer.status == 201 and b'"status":"resolved"' in answer.body


async def run(server: Server, asks: Sequence[Ask], *, clients: int = CLIENTS, is_right: Callable[[Answer], bool] = is_resolved) -> Run:
    """Sends them in this order, until all are sent or the time is over; each that was sent is answered."""
    seconds: list[float] = []
    wrong: list[str] = []
    started = perf_counter()

    def bounded() -> Any:
        for ask in asks:
            if perf_counter() - started > RUN_SECONDS_MAX:
                return
            yield ask

    def heard(_: Ask, answer: Answer | Exception) -> None:
        if isinstance(answer, Exception):
            wrong.append(repr(answer))
            return
        seconds.append(answer.seconds)
        if not is_right(answer):
            wrong.append(f"{answer.status} {answer.body[:200].decode(errors='replace')}")

    async with connections(server.port, clients) as opened:
        api = [one.pid for one in server.processes]
        api_before, database_before = cpu.seconds_of(api), cpu.seconds_of(cpu.family(server.postmaster))
        started = perf_counter()
        await each(opened, bounded(), heard)
        elapsed = perf_counter() - started
        api_seconds, database_seconds = cpu.seconds_of(api) - api_before, cpu.seconds_of(cpu.family(server.postmaster)) - database_before
    cuts = quantiles(seconds, n=100)
    return Run(
        per_second=(len(seconds) - len(wrong)) / elapsed,
        p50_ms=cuts[49] * 1000,
        p99_ms=cuts[98] * 1000,
        answered=len(seconds),
        wrong=len(wrong),
        first_wrong=wrong[0] if wrong else "",
        api_cpu_ms=1000 * api_seconds / len(seconds),
        database_cpu_ms=1000 * database_seconds / len(seconds),
    )


async def action(at: Ground, name: str, *, processes: int, latency_ms: int, count: int, ledger: str = "memory") -> tuple[str, Run]:
    """One line and its run; the first tenth warms up and is not counted."""
    async with serving(at, processes=processes, ledger=ledger, latency_ms=latency_ms) as server:
        await run(server, at.asks(ACTIONS[name], count // 10))
        await at.pool.execute("ANALYZE")
        done = await run(server, at.asks(ACTIONS[name], count))
    return told(name, done, processes=processes, latency_ms=latency_ms, ledger=ledger), done


def told(name: str, done: Run, *, processes: int, latency_ms: int, ledger: str) -> str:
    more: dict[str, Any] = {
        "p50_ms": round(done.p50_ms, 1),
        "p99_ms": round(done.p99_ms, 1),
        "clients": CLIENTS,
        "processes": processes,
        "answered": done.answered,
        "api_cpu_ms": round(done.api_cpu_ms, 2),
        "database_cpu_ms": round(done.database_cpu_ms, 2),
    }
    if name == "refund":
        more |= {"rail": f"sandbox, {'ledger in memory' if ledger == 'memory' else 'ledger in PostgreSQL'}, {latency_ms} ms"}
    if processes == 1 and latency_ms == 0 and ledger == "memory":
        more |= {"limit": LIMITS[name], "holds": done.per_second >= LIMITS[name]}
    if done.wrong:
        more |= {"wrong": done.wrong, "first_wrong": done.first_wrong}
    return line(f"{name}_per_second", round(done.per_second), "resolutions/s", **more)
