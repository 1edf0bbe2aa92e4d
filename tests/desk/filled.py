"""`python -m tests.desk.filled`: how quickly figures, board, shift and the pass after shows answer over a hundred thousand cases."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final
from uuid import uuid4

import msgspec

from service.store import embedded
from service.store.figures import FigureStore
from service.store.pool import Pool, open_pool
from tests import postgres
from tests.desk.night import Night
from tests.desk.test_figures import figures_of, somebody

CASES: Final = 100_000
_ROUNDS: Final = 7

# A busy week: a third by people, five thousand wait; each case with a contact, each ended one with a refund. $1 platform, $2 cases.
_ORDERS: Final = """
INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, placed_at, body_hash)
SELECT $1, md5('o' || n)::uuid, 'o' || n, 1, 'paid', 'EUR', 5000, buyer_id, now(), '0'
FROM (SELECT buyer_id FROM orders WHERE platform_id = $1 LIMIT 1) one, generate_series(1, $2::int / 2) n
"""
_CASES: Final = """
INSERT INTO cases (platform_id, id, state, problem, show_id, order_id, requester, identity, channel, locale, owner, due_at, skill,
    queued_at, look_by, acknowledged_at, ended_at, created_at, opened_by, by_people, ended_first_at, ended_first_as, ended_first_by_people)
SELECT $1, md5('c' || n)::uuid, CASE WHEN waits THEN 'open' ELSE 'resolved' END, (ARRAY['link_dead', 'wants_refund', 'other'])[1 + n % 3],
    $3, md5('o' || (1 + n % ($2::int / 2)))::uuid, 'buyer', 'verified', 'widget', 'en', CASE WHEN waits THEN 'queue' END,
    CASE WHEN waits THEN now() END, CASE WHEN waits THEN 'core' END, CASE WHEN people OR waits THEN at END, at,
    CASE WHEN people THEN at + interval '2 minutes' END, CASE WHEN NOT waits THEN at + interval '9 minutes' END, at, 'session', people,
    CASE WHEN NOT waits THEN at + interval '9 minutes' END, CASE WHEN NOT waits THEN 'resolved' END, people
FROM (SELECT n, n % 20 = 0 AS waits, n % 3 = 0 AS people, now() - interval '7 days' * (n::float / $2::int) AS at
      FROM generate_series(1, $2::int) n) s
"""
_CONTACTS: Final = """
INSERT INTO contact (platform_id, id, case_id, channel, caller, created_at)
SELECT platform_id, gen_random_uuid(), id, 'widget', 'c', created_at FROM cases WHERE platform_id = $1
"""
_HANDLING: Final = """
INSERT INTO handling (platform_id, case_id, agent_id, began_at, ended_at, ended_case)
SELECT platform_id, id, (SELECT id FROM agent WHERE platform_id = $1 AND name = 'Mira'), acknowledged_at, ended_at, true
FROM cases WHERE platform_id = $1 AND by_people AND ended_at IS NOT NULL
"""
_CLOCKS: Final = """
INSERT INTO sla_clock (platform_id, case_id, kind, seq, target_seconds, started_at, due_at, warn_seconds, ended_at, met, warned_at)
SELECT platform_id, id, 'resolve', 1, 3600, queued_at, queued_at, 60, ended_at, CASE WHEN ended_at IS NOT NULL THEN true END, queued_at
FROM cases WHERE platform_id = $1 AND queued_at IS NOT NULL
"""
_REFUNDS: Final = """
INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, payment_id, amount, currency, accepted_at, ended_at,
    created_at)
SELECT platform_id, gen_random_uuid(), id, order_id, 'refund', 'DONE', 'sandbox', gen_random_uuid(), 100, 'EUR', created_at, created_at,
    created_at
FROM cases WHERE platform_id = $1 AND state <> 'open'
"""


async def fill(pool: Pool) -> Night:
    """Without triggers and checks: they are not what is measured."""
    night = await Night.opens(pool)
    await night.order()
    async with pool.acquire() as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(_ORDERS, night.platform, CASES)
        await connection.execute(_CASES, night.platform, CASES, night.shows["tonight"])
        for part in (_CONTACTS, _HANDLING, _CLOCKS, _REFUNDS):
            await connection.execute(part, night.platform)
        await connection.execute("SET session_replication_role = origin")
        await connection.execute("ANALYZE")
    return night


async def measure(night: Night) -> Mapping[str, float]:
    """The median of each in milliseconds."""
    figures, caller, store = figures_of(night), somebody(night), FigureStore(night.pool)
    shared = figures_of(night, time.monotonic)
    week = await store.now() - timedelta(days=8)
    calls: Mapping[str, Callable[[], Awaitable[object]]] = {
        "figures_of_a_day_ms": lambda: figures.of(caller, show=None, begin=None, end=None),
        "figures_of_a_week_ms": lambda: figures.of(caller, show=None, begin=week, end=None),
        "figures_of_a_show_ms": lambda: figures.of(caller, show="tonight", begin=None, end=None),
        "board_ms": lambda: figures.board(caller),
        "board_of_twenty_leads_ms": lambda: asyncio.gather(*(shared.board(caller) for _ in range(20))),
        "shift_ms": lambda: figures.shift(caller),
        "nobody_to_ask_after_shows_ms": lambda: store.ask_after_shows(1_000, after_seconds=86_400, late_seconds=259_200),
    }
    return {name: await _median(call) for name, call in calls.items()}


async def _median(call: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(times), 1)


async def _run(dsn: str) -> Mapping[str, float]:
    ours = await embedded.create_database(dsn, f"filled_{uuid4().hex[:8]}", template=await postgres.migrated_template(dsn))
    try:
        async with await open_pool(ours, size=2) as pool:
            return await measure(await fill(pool))
    finally:
        await embedded.drop_database(dsn, ours.rpartition("/")[2].partition("?")[0])


def main() -> int:
    server = embedded.start(postgres.folder_of_run())
    try:
        told = asyncio.run(_run(server.dsn))
    finally:
        postgres.finish(server)
    sys.stdout.write(msgspec.json.encode({"cases": CASES} | dict(told)).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
