"""Refunds in bulk wait for customers, go out once each whatever happens to the process, and keep nobody else from being taken up."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_memory import MemorySandboxRail
from service.assembly import assemble_money, open_core
from service.crew import PLACES
from service.loop import CLAIM_MOST, PLACES_FOR_REQUESTS, Loop
from service.model import Money
from service.ports import RefundRequest, RefundSeen
from service.settings import load
from service.store.flow import FlowStore
from service.store.pool import Pool
from service.vendors import Vendors
from tests.bench.ground import RAIL, Ground
from tests.bulk import fill
from tests.bulk.run import GROWTH_MB_MAX, STEPS_MB_MAX, Point, growth_mb, steps_mb
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import FULL, SUMS

OPERATIONS: Final = 10_000 if FULL else 400
CUSTOMERS: Final = 60
# The crash comes in the middle.
ANSWERED_BEFORE_THE_CRASH: Final = 150
DUE_EVERYWHERE: Final = 100_000


class WatchedRail(MemorySandboxRail):
    """Notes who was paid, in which order, and how many calls there were at once. Its answers can be held back for ever."""

    def __init__(self) -> None:
        super().__init__(RAIL)
        self.paid: list[str] = []
        self.calls: list[str] = []
        self.at_once = 0
        self.at_once_max = 0
        self.answers_left = 10**9

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        self.calls.append(request.payment_ref)
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            seen = await super().refund(request, key=key)
            await asyncio.sleep(0)
            self.answers_left -= 1
            if self.answers_left < 0:
                await asyncio.Event().wait()  # carried out, and the answer never comes
            return seen
        finally:
            self.at_once -= 1

    def refunds_of(self, payment_ref: str) -> int:
        return len(self._refunds[payment_ref])


class _Nobody:
    async def tell_waiting(self, most: int) -> int:
        del most
        return 0

    def wake(self) -> None:
        """Nothing was told."""


@asynccontextmanager
async def process(at: Ground, rail: WatchedRail) -> AsyncIterator[Loop]:
    """One process's claim loop, with a crew of its own. Its clock stands still as the database's does: leases end where a test says so."""
    vendors = Vendors(rails={RAIL: rail}, kinds={RAIL: "sandbox"}, mailer=SandboxMailer(sender="bulk@localhost.example"), issuers={})
    async with open_core(at.settings, vendors) as core:
        money = assemble_money(core, vendors, monotonic=lambda: 0.0)
        loop = Loop(core.flow, money.resolution, money.operations, _Nobody(), inbox=_Nobody(), crew=core.crew, watch=core.watch)
        try:
            yield loop
        finally:
            # What is under way ends before its database goes, as in any process that is told to stop.
            await core.crew.close(PATIENCE_SECONDS)


@pytest_asyncio.fixture(loop_scope="session")
async def at(still_pool: Pool, fresh_database_url: str, tmp_path: Path) -> Ground:
    """A platform and its show, on a database of its own."""
    settings = load(
        {
            "MAKEGOOD_DATABASE_URL": fresh_database_url,
            "MAKEGOOD_SANDBOX_DATABASE_URL": fresh_database_url,
            "MAKEGOOD_SECRET": secrets.token_hex(32),
            f"MAKEGOOD_RAIL_{RAIL.upper()}_KIND": "sandbox",
        }
    )
    made = Ground(settings, still_pool, fresh_database_url, tmp_path)
    await made.furnish()
    return made


async def given_bulk(at: Ground, rail: WatchedRail, count: int) -> range:
    await at.seed(count)
    numbers = at.take(count)
    await fill.refunds(at, numbers, priority=fill.BULK)
    charge(rail, numbers)
    return numbers


def charge(rail: WatchedRail, numbers: range) -> None:
    for number in numbers:
        rail.load_charge(f"ch_B{number}", Money(minor=fill.PRICE, currency="EUR"))


async def left(at: Ground) -> int:
    found: int = await at.pool.fetchval("SELECT count(*) FROM operation WHERE due_at <= (SELECT app_now())")
    return found


async def run_until_done(at: Ground, loop: Loop) -> None:
    async with asyncio.timeout(10 * PATIENCE_SECONDS if FULL else PATIENCE_SECONDS):
        while await left(at):
            await loop.once()


async def broken(at: Ground) -> list[str]:
    return [name for name, query in SUMS.items() if await at.pool.fetchval(f"SELECT EXISTS ({query})")]


async def test_customers_go_before_all_that_is_due_in_bulk_and_no_more_is_taken_up_than_there_are_places(at: Ground) -> None:
    rail = WatchedRail()
    bulk = await given_bulk(at, rail, OPERATIONS)
    await at.seed(CUSTOMERS)
    theirs = at.take(CUSTOMERS)
    charge(rail, theirs)
    await fill.refunds(at, theirs, priority=fill.INTERACTIVE)
    async with process(at, rail) as loop:
        await run_until_done(at, loop)
    places = PLACES - PLACES_FOR_REQUESTS
    last_customer = max(rail.calls.index(f"ch_B{number}") for number in theirs)
    assert last_customer < CUSTOMERS + places
    assert rail.at_once_max <= places <= CLAIM_MOST
    assert sorted(rail.calls) == sorted(f"ch_B{number}" for number in (*bulk, *theirs))
    assert await at.pool.fetchval("SELECT count(*) FROM cases WHERE state = 'resolved'") == OPERATIONS + CUSTOMERS
    assert await broken(at) == []


async def test_a_process_that_dies_in_the_middle_of_bulk_leaves_it_to_the_next_and_nothing_is_paid_twice_or_lost(at: Ground) -> None:
    rail = WatchedRail()
    bulk = await given_bulk(at, rail, OPERATIONS)
    rail.answers_left = ANSWERED_BEFORE_THE_CRASH
    async with process(at, rail) as dying:
        while rail.answers_left >= 0:
            if not await dying.once():
                await asyncio.sleep(0)  # every place is taken: those who are in them go on
        under_way = [task for task in asyncio.all_tasks() if "Crew._run" in repr(task)]
        for task in under_way:
            task.cancel()
        for task in under_way:
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert under_way
    assert 0 < await at.pool.fetchval("SELECT count(*) FROM operation WHERE state = 'DONE'") < OPERATIONS
    await at.pool.execute("UPDATE app_clock SET ahead = ahead + interval '16 seconds'")
    rail.answers_left = 10**9
    async with process(at, rail) as next_one:
        await run_until_done(at, next_one)
    assert {rail.refunds_of(f"ch_B{number}") for number in bulk} == {1}
    assert await at.pool.fetchval("SELECT count(*) FROM operation WHERE state = 'DONE'") == OPERATIONS
    assert await broken(at) == []


async def test_a_customers_case_is_taken_up_at_once_though_more_refunds_are_due_than_there_are_places(at: Ground) -> None:
    rail = WatchedRail()
    bulk = await given_bulk(at, rail, 3 * PLACES)
    # All that waits for bulk is looked at now and then; here all of it is due for that, and was so before the customer came.
    await at.pool.execute("UPDATE cases SET due_at = app_now() - interval '1 minute'")
    await at.seed(1)
    (number,) = at.take(1)
    charge(rail, range(number, number + 1))
    await fill.refunds(at, range(number, number + 1), priority=fill.INTERACTIVE)
    case = await at.pool.fetchval(
        """UPDATE cases SET owner = 'process', due_at = app_now() WHERE order_id = (SELECT id FROM orders WHERE ref = $1) RETURNING id""",
        f"B{number}",
    )
    async with process(at, rail) as loop:
        await loop.once()
    assert len(rail.calls) < len(bulk)
    assert await at.pool.fetchval("SELECT lease_epoch FROM cases WHERE id = $1", case) == 1


async def test_a_case_whose_bulk_has_ended_without_waking_it_is_found_by_the_look(at: Ground) -> None:
    await given_bulk(at, WatchedRail(), 2)
    first, second = [row["id"] for row in await at.pool.fetch("UPDATE cases SET due_at = app_now() RETURNING id")]
    await at.pool.execute("UPDATE operation SET state = 'DONE', due_at = NULL, ended_at = now() WHERE case_id = $1", first)
    assert [one.id for one in await FlowStore(at.pool).claim_cases(10, 15.0)] == [first]
    ahead: datetime = await at.pool.fetchval("SELECT due_at - interval '5 minutes' FROM cases WHERE id = $1", second)
    assert ahead > await at.pool.fetchval("SELECT app_now()")


_ALL_DUE: Final = """
    INSERT INTO operation (platform_id, id, case_id, order_id, action, state, priority, due_at, created_at)
    SELECT ('00000000-0000-0000-0000-0000000000' || to_char(n % 10, 'fm00'))::uuid, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
        'goodwill_credit', 'READY', CASE WHEN n % 2000 = 0 THEN 0 WHEN n % 1000 = 0 THEN 1 ELSE 2 END,
        now() - n * interval '1 millisecond', now()
    FROM generate_series(1, $1::int) AS n
"""


async def test_a_claim_reads_what_it_takes_and_no_more_though_everything_is_due_on_every_platform(fresh_pool: Pool) -> None:
    async with fresh_pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SET LOCAL session_replication_role = replica")  # the rows that these point to are beside the point
        await connection.execute(_ALL_DUE, DUE_EVERYWHERE, timeout=PATIENCE_SECONDS)
        await connection.execute("ANALYZE operation")
        body = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'operations_claim'")
        query = re.sub(r"\bp_lease_seconds\b", "15", re.sub(r"\bp_most\b", "64", body))
        for _ in range(3):  # the last finds the first ones behind the entries that the others left
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF) {query}"))
            assert "Index Scan using operation_due on operation" in plan, plan
            assert "Seq Scan on operation" not in plan, plan
            assert sum(int(found) for found in re.findall(r"Rows Removed by Filter: (\d+)", plan)) == 0, plan
            read = [int(float(rows) * int(loops)) for rows, loops in re.findall(r"operation_due.*actual rows=([\d.]+) loops=(\d+)", plan)]
            assert 0 < sum(read) <= 64, plan
        rows = await connection.fetch("SELECT priority FROM operations_claim(48, 15)")
        await transaction.rollback()
    assert len(rows) == 48


def test_memory_that_grows_with_the_refunds_is_told_from_steps_to_a_plateau() -> None:
    def life(*megabytes: float) -> list[Point]:
        return [Point(ended=80 * place, rss_mb=one) for place, one in enumerate(megabytes)]

    warm_up = [50.0 + place for place in range(60)]
    steps = life(*warm_up, *[110.0] * 100, *[116.0] * 50, *[121.0] * 50)
    assert growth_mb(steps) == 0.0
    assert 5.0 < steps_mb(steps) < STEPS_MB_MAX
    leak = life(*[100.0 + 80 * place * 2 / 10_000 for place in range(300)])
    assert growth_mb(leak) == pytest.approx(2.0)
    assert growth_mb(leak) > GROWTH_MB_MAX
    assert growth_mb(life(*warm_up)) == steps_mb(life(*warm_up)) == 0.0
