"""No row can point across platforms: the live catalogue is read, key by key and reference by reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import pytest

from service.store.pool import Pool
from tests.identity.world import Shop

# Tables that hold nothing of one platform, each with the reason.
WITHOUT_PLATFORM: Final[Mapping[str, str]] = {
    "platform": "the platforms themselves: its id is what others call platform_id",
    "app_clock": "one clock for the installation",
    "policy_text": "texts by their hash; which of them decide for whom stands with the platform",
    "signing_key": "the installation's keys; a token's audience says whose it is",
    "installation_change": "what was changed about the installation itself",
    "webhook_inbox": "what processors told of a rail, which platforms may share; whose it is shows when the payment is looked up",
    "rail_state": "one pace and one breaker for a processor's account, whoever uses it",
    "question_bucket": "how often a client made us ask a processor; nothing of anybody's is in it",
    "widget_file": "the help widget as releases built it, the same for every platform's pages",
    "schema_migration": "which tables this database has",
    "schema_functions": "which functions this database has",
}
# PgQueuer's own tables: jobs carry the platform in their payload, which our entry points read.
PGQUEUER: Final = "pgqueuer"

# Unique without the platform, on purpose.
UNIQUE_EVERYWHERE: Final[Mapping[tuple[str, str], str]] = {
    ("api_key", "hash"): "a token is found before it is known whose it is; two are never the same",
    ("api_key", "old_hash"): "the same",
    ("session", "hash"): "the same",
    ("desk_session", "hash"): "the same",
    ("sign_in_once", "hash"): "a link's code, or a state that comes back from an identity provider: found before it is known whose it is",
    ("charge_owner", "rail,provider_ref"): "a rail is the installation's: of all platforms one owns a charge there, which this key says",
    ("attempt", "key"): "an account at a processor is shared, and so are the keys under which it knows requests",
}

_TABLES: Final = """
SELECT c.relname AS name,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'platform_id' AND NOT a.attisdropped) AS has
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
"""
_UNIQUE: Final = """
SELECT t.relname AS name, array_agg(coalesce(a.attname, '(expression)') ORDER BY k.n) AS columns
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
WHERE n.nspname = 'public' AND i.indisunique GROUP BY t.relname, i.indexrelid
"""
_REFERENCES: Final = """
SELECT o.conname AS name, t.relname AS source, f.relname AS target,
       array_agg(a.attname ORDER BY k.n) AS columns, array_agg(b.attname ORDER BY k.n) AS others
FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid JOIN pg_class f ON f.oid = o.confrelid
CROSS JOIN LATERAL unnest(o.conkey, o.confkey) WITH ORDINALITY AS k (here, there, n)
JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.here
JOIN pg_attribute b ON b.attrelid = o.confrelid AND b.attnum = k.there
WHERE o.contype = 'f' GROUP BY o.oid, o.conname, t.relname, f.relname
"""
_NULLABLE: Final = """
SELECT c.relname AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attname = 'platform_id' AND NOT a.attnotnull
"""


async def tables(pool: Pool) -> Mapping[str, bool]:
    """Name -> whether it has a platform_id; those of PgQueuer left out."""
    return {row["name"]: row["has"] for row in await pool.fetch(_TABLES) if not row["name"].startswith(PGQUEUER)}


async def test_every_table_has_a_platform_or_a_reason(pool: Pool) -> None:
    found = await tables(pool)
    assert {name for name, has in found.items() if not has} == set(WITHOUT_PLATFORM)
    assert all(WITHOUT_PLATFORM.values())
    assert sum(found.values()) >= 40
    assert await pool.fetch(_NULLABLE) == []


async def test_every_key_begins_with_its_platform(pool: Pool) -> None:
    of_platforms = {name for name, has in (await tables(pool)).items() if has}
    loose = [
        (row["name"], ",".join(row["columns"]))
        for row in await pool.fetch(_UNIQUE)
        if row["name"] in of_platforms and "platform_id" not in row["columns"]
    ]
    assert sorted(loose) == sorted(UNIQUE_EVERYWHERE)


async def test_every_reference_carries_the_platform_to_the_platform(pool: Pool) -> None:
    references = await pool.fetch(_REFERENCES)
    of_platforms = {name for name, has in (await tables(pool)).items() if has}
    assert len(references) >= 60
    crossing = [row["name"] for row in references if not _stays(row, of_platforms)]
    assert crossing == []


def _stays(row: Any, of_platforms: set[str]) -> bool:
    """The platform_id of this row is compared with that of the other: nothing else keeps a reference at home."""
    pairs = dict(zip(row["columns"], row["others"], strict=True))
    if row["target"] == "platform":
        return pairs == {"platform_id": "id"}
    return row["source"] in of_platforms and row["target"] in of_platforms and pairs.get("platform_id") == "platform_id"


async def test_every_reference_to_a_thing_is_a_foreign_key(pool: Pool) -> None:
    """A column that is called like another table's id, and is no foreign key, could point anywhere."""
    columns = await pool.fetch(
        """
        SELECT c.relname AS name, a.attname AS "column" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attnum > 0
          AND NOT a.attisdropped AND a.atttypid = 'uuid'::regtype AND a.attname <> 'platform_id'
        """
    )
    bound = {(row["source"], column) for row in await pool.fetch(_REFERENCES) for column in row["columns"]}
    own = {(row["name"], row["columns"][-1]) for row in await pool.fetch(_UNIQUE) if len(row["columns"]) <= 2}
    free = {(row["name"], row["column"]) for row in columns} - bound - own
    assert {pair for pair in free if not pair[0].startswith(PGQUEUER)} <= set(FREE), sorted(free - set(FREE))


# Columns that hold an id and are no foreign key, each with the reason.
FREE: Final[Mapping[tuple[str, str], str]] = {
    ("book", "attempt_id"): "the books outlive attempts, and are read by payment and operation",
    ("delivery_log", "event_id"): "what was sent is remembered longer than the event itself",
    ("endpoint_delivery", "key"): "under which a receiver knows a delivery; it is nobody's id",
    ("outbox", "case_id"): "for sorting and telling alone; each fact's transaction would lock the case's row once more",
    ("outbox", "order_id"): "the same",
    ("cases", "decision_id"): "of the newest decision, which is read by its case; a foreign key both ways would order their writing",
    ("operation", "decision_id"): "the same",
    ("one_time_code", "only_pass"): "becomes the session's, which is compared with passes of its own platform",
    ("session", "only_pass"): "compared with passes of the session's platform, never followed",
    ("pass", "replaces"): "compared with passes of the same line, never followed",
    ("recovered_refund", "lost_operation_id"): "there is no such operation any more",
    ("idempotency", "resource_id"): "of whatever the request made; read with the platform of the caller",
}


async def test_the_database_itself_refuses_what_points_across(pool: Pool) -> None:
    """One reference of each kind that matters, tried."""
    ours, theirs = await Shop.opens(pool), await Shop.opens(pool)
    order = await theirs.sells("fan@example.org", holders=("fan@example.org",))
    buyer = await pool.fetchval("SELECT buyer_id FROM orders WHERE id = $1", order.id)
    new_order = """
        INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, placed_at, body_hash)
        VALUES ($1, gen_random_uuid(), 'X', 1, 'paid', 'EUR', 1, $2, now(), '')
    """
    new_payment = """
        INSERT INTO payment (platform_id, id, order_id, ref, status, amount, currency, captured, created_at)
        VALUES ($1, gen_random_uuid(), $2, 'P', 'confirmed', 1, 'EUR', 1, now())
    """
    new_fact = "INSERT INTO order_fact (platform_id, order_id, seq, happened_at, source, kind) VALUES ($1, $2, 1, now(), 't', 't')"
    tries = (
        (new_order, buyer),
        (new_payment, order.id),
        (new_fact, order.id),
        ("UPDATE line SET platform_id = $1 WHERE order_id = $2", order.id),
        ("UPDATE pass SET platform_id = $1 WHERE order_id = $2", order.id),
    )
    for statement, thing in tries:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await pool.execute(statement, ours.id, thing)
