"""The claim loop's query: over hundreds of thousands of operations it reads what is due and nothing else, and gives nothing twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio

from service.store.flow import FlowStore
from service.store.pool import Pool
from tests.promises.house import FULL

OPERATIONS: Final = 200_000 if FULL else 20_000
DUE: Final = 200

_FILL: Final = """
    WITH p AS (INSERT INTO platform (id, slug) VALUES (gen_random_uuid(), 'big') RETURNING id),
    b AS (INSERT INTO person (platform_id, id) SELECT id, gen_random_uuid() FROM p RETURNING platform_id, id),
    o AS (INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, placed_at, body_hash)
          SELECT platform_id, gen_random_uuid(), 'A1', 1, 'paid', 'EUR', 1, id, now(), '' FROM b RETURNING platform_id, id),
    c AS (INSERT INTO cases (platform_id, id, state, problem, order_id, requester, identity, channel, locale, created_at)
          SELECT platform_id, gen_random_uuid(), 'resolved', 'other', id, 'platform', 'verified', 'api', 'en', now() FROM o
          RETURNING platform_id, id, order_id)
    INSERT INTO operation (platform_id, id, case_id, order_id, action, state, priority, due_at, created_at, ended_at)
    SELECT platform_id, gen_random_uuid(), id, order_id, 'goodwill_credit', CASE WHEN n % 2 = 0 THEN 'DONE' ELSE 'SENT' END, n % 3,
        CASE WHEN n % 2 = 0 THEN NULL WHEN n <= $2 THEN now() - interval '1 minute' ELSE now() + interval '1 day' END, now(),
        CASE WHEN n % 2 = 0 THEN now() END
    FROM c, generate_series(1, $1) AS n
"""


@pytest_asyncio.fixture(loop_scope="session")
async def crowded(still_pool: Pool) -> AsyncIterator[Pool]:
    """Half of the operations have ended; of the others a few are due, and the rest tomorrow. No lease of what is claimed runs out."""
    await still_pool.execute(_FILL, OPERATIONS, 2 * DUE)
    await still_pool.execute("ANALYZE operation")
    yield still_pool


async def test_the_claim_reads_the_index_of_what_is_due_and_no_other_row(crowded: Pool) -> None:
    body = await crowded.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'operations_claim'")
    query = re.sub(r"\bp_lease_seconds\b", "15", re.sub(r"\bp_most\b", "64", body))
    async with crowded.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF) {query}"))
        await transaction.rollback()
    assert "Index Scan using operation_due on operation" in plan, plan
    assert "Seq Scan on operation" not in plan, plan
    removed = [int(found) for found in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
    assert sum(removed) < 64, plan


async def test_claimed_at_once_by_many_nothing_is_given_twice(crowded: Pool) -> None:
    store = FlowStore(crowded)
    rounds = await asyncio.gather(*(store.claim_operations(20, 15.0) for _ in range(DUE // 5)))
    claimed = [one.id for some in rounds for one in some]
    assert len(claimed) == len(set(claimed))
    while more := await store.claim_operations(64, 15.0):
        claimed += [one.id for one in more]
    assert len(claimed) == len(set(claimed)) == DUE
