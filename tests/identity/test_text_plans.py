"""Who asks is found by an index, however many people there are: each look of a widget asks for its orders."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from service.callers import Caller, TextProof
from service.model import IdentityLevel, new_id
from service.store import view as view_store
from service.store.identity import IdentityStore
from service.store.pool import Pool, open_pool
from tests.identity.proofs import MIRA, PHONE
from tests.identity.world import Shop

PEOPLE = 20_000


async def _sells_many(pool: Pool, shop: Shop) -> None:
    await pool.execute(
        "INSERT INTO person (platform_id, id, name, email, phone)"
        f" SELECT $1, gen_random_uuid(), 'x', 'p' || n || '@example.org', '+44770' || n FROM generate_series(1, {PEOPLE}) n",
        shop.id,
    )
    await pool.execute(
        "INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, placed_at, body_hash)"
        " SELECT $1, gen_random_uuid(), 'R' || p.email, 1, 'paid', 'EUR', 1, p.id, now(), '' FROM person p WHERE p.platform_id = $1",
        shop.id,
    )
    await pool.execute("ANALYZE person")
    await pool.execute("ANALYZE orders")


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_nobody_reads_all_people_to_find_who_asks(still_pool: Pool, fresh_database_url: str, mode: str) -> None:
    shop = await Shop.opens(still_pool)
    await _sells_many(still_pool, shop)
    caller = Caller(
        kind="customer",
        platform_id=shop.id,
        platform=shop.slug,
        id=new_id(),
        name="customer",
        level=IdentityLevel.VERIFIED,
        email="p77@example.org",
        text=TextProof(email=MIRA, phone=PHONE, beside_mail=False),
    )
    asked: list[tuple[str, tuple[Any, ...]]] = []
    async with await open_pool(fresh_database_url, size=1) as pool:
        async with pool.acquire() as connection:
            connection.add_query_logger(lambda record: asked.append((record.query, record.args)))
        assert await view_store.orders_open_to(pool, caller, None) == ["Rp77@example.org"]
        found = await IdentityStore(pool).open_orders(shop.id, proofs=caller.proofs, customer_ref=None, only_pass=None, order_ref=None)
        assert [one.ref for one in found] == ["Rp77@example.org"]
    plans = []
    plain = await asyncpg.connect(fresh_database_url)
    try:
        await plain.execute(f"SET plan_cache_mode = {mode}")
        for query, values in asked:
            if "FROM" in query:
                plans.append("\n".join([row[0] for row in await plain.fetch(f"EXPLAIN {query}", *values)]))
    finally:
        await plain.close()
    assert len(plans) == 2
    assert [line for plan in plans for line in plan.splitlines() if "Seq Scan on person" in line or "Seq Scan on orders" in line] == []
