"""`python -m tests.bench [--only PART ...]`: one JSON object a line; what has a limit says whether it holds. Exit 0 either way."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog

from service.store import embedded
from tests.bench import console, desk, edge, events, messages, other, sql, webhooks, widget_help, widget_page, widgets
from tests.bench.ground import Ground, ground, line
from tests.bench.other import Sizes
from tests.bench.throughput import ACTIONS, CLIENTS, action

PARTS: Final = (
    "decisions",
    "messages",
    "actions",
    "webhooks",
    "events",
    "edge",
    "sql",
    "codes",
    "recovery",
    "crowd",
    "console",
    "desk",
    "widgets",
    "help",
    "widget",
)
RATIO_MIN: Final = 0.4
MESSAGES_MAX: Final = 6


async def _run(folder: Path, only: Sequence[str], sizes: Sizes) -> None:
    with embedded.running(folder / "pg") as server:
        async with _ground(
            server.dsn,
            folder,
            "bench",
            sizes.orders if set(only) - {"webhooks", "events", "edge", "sql", "console", "desk", "widgets", "help", "widget"} else 1,
        ) as at:
            if "decisions" in only:
                _print(*await other.decisions(at))
            if "messages" in only:
                count = await messages.measure(at)
                _print(line("messages_before_the_first_call", count, "messages", limit=MESSAGES_MAX, holds=count <= MESSAGES_MAX))
            if "actions" in only:
                await _actions(at, sizes)
            if "codes" in only:
                _print(await other.codes(at))
            if "recovery" in only:
                _print(await other.recovery(at))
            if "crowd" in only:
                _print(await other.crowd(at))
        await _apart(server.dsn, folder, only, sizes)
        if "sql" in only:
            await _limit(server.dsn, folder, sizes)


async def _apart(dsn: str, folder: Path, only: Sequence[str], sizes: Sizes) -> None:
    """What has a database of its own, with so many orders and settings."""
    parts: Mapping[str, tuple[int, Mapping[str, str], Callable[[Ground], AsyncIterator[str]]]] = {
        "webhooks": (3 * sizes.run, {}, lambda at: webhooks.measure(at, sizes.run)),
        "events": (events.ORDERS, events.SETTINGS, events.measure),
        "edge": (edge.LIVE, {}, edge.measure),
        "console": (console.ORDERS, {}, console.measure),
        "desk": (1, {}, desk.measure),
        "widgets": (widgets.WIDGETS, {}, widgets.measure),
        "help": (widget_help.ORDERS, {}, widget_help.measure),
        "widget": (widget_page.ORDERS, {}, widget_page.measure),
    }
    for name, (orders, more, measure) in parts.items():
        if name in only:
            async with _ground(dsn, folder, name, orders, more=more) as at:
                async for told in measure(at):
                    _print(told)


async def _actions(at: Ground, sizes: Sizes) -> None:
    for name in ACTIONS:
        for latency_ms in (0, 50):
            told, _ = await action(at, name, processes=1, latency_ms=latency_ms, count=sizes.run)
            _print(told)
            if name != "refund":
                break  # no rail is asked


async def _limit(dsn: str, folder: Path, sizes: Sizes) -> None:
    """pgbench and two API processes by turns on one database, so that both meet the same rows and the same weather."""
    async with _ground(dsn, folder, "limit", sql.ORDERS + 2 * sizes.run) as at:
        told, done = await action(at, "refund", processes=2, latency_ms=0, count=sizes.run)
        _print(told)
        found = await sql.measure(at)
        _print(
            line(
                "refund_sql_by_pgbench",
                round(found.per_second),
                "refunds/s",
                clients=sql.CLIENTS,
                failed=found.failed,
                database_cpu_ms=round(found.database_cpu_ms, 2),
            )
        )
        ratio = done.per_second / found.per_second
        peer = "case_open_and_decide and operation_record by pgbench"
        _print(line("refunds_to_pgbench", round(ratio, 2), "ratio", limit=RATIO_MIN, holds=ratio >= RATIO_MIN, peer=peer, clients=CLIENTS))


@asynccontextmanager
async def _ground(
    dsn: str, folder: Path, name: str, orders: int, *, more: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Ground]:
    async with ground(dsn, folder, name, more=more) as at:
        await at.seed(orders)
        yield at


def _print(*lines: str) -> None:
    for one in lines:
        print(one, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Throughput and latency as JSON lines.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--run", type=int, default=Sizes().run, help="customers of one run")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    # Short: a socket's path holds about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="mg-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_run(Path(folder), chosen.only, Sizes(run=chosen.run)))


if __name__ == "__main__":
    main()
