"""Platforms with refunds that are due, written straight into the tables: what these tests look at is beside the flow."""

from __future__ import annotations

from uuid import UUID, uuid4

import msgspec

from service.model import new_id
from service.store.pool import Connection, Pool


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    slug: str


async def platform(pool: Pool | Connection, settings: object = None) -> Seeded:
    made = Seeded(id=new_id(), slug=f"test-{uuid4().hex[:12]}")
    await pool.execute(
        "INSERT INTO platform (id, slug, settings) VALUES ($1, $2, $3::text::jsonb)",
        made.id,
        made.slug,
        msgspec.json.encode(settings or {}).decode(),
    )
    return made


async def refund(
    pool: Pool | Connection,
    of: Seeded,
    *,
    rail: str = "main",
    show: str = "nll26",
    state: str = "READY",
    accepted: bool = False,
    age: int = 60,
) -> UUID:
    """One refund on a case about the show, kept for half a minute, decided `age` seconds ago."""
    operation: UUID = await pool.fetchval(
        """
        WITH shows AS (
            INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status)
            VALUES ($1, $2, $7, 1, '{}', 'UTC', now(), now() + interval '1 hour', 'scheduled')
            ON CONFLICT (platform_id, ref) DO UPDATE SET version = show.version RETURNING id
        ), buyer AS (
            INSERT INTO person (platform_id, id) VALUES ($1, $3) RETURNING id
        ), ordered AS (
            INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, placed_at, body_hash)
            SELECT $1, id, id::text, 1, 'paid', 'EUR', 2500, id, now(), '' FROM buyer RETURNING id
        ), paid AS (
            INSERT INTO payment (platform_id, id, order_id, ref, rail, provider_ref, status, amount, currency, captured, created_at)
            SELECT $1, $4, id, 'P1', $6, 'ch_1', 'confirmed', 2500, 'EUR', 2500, now() FROM ordered RETURNING id
        ), opened AS (
            INSERT INTO cases (platform_id, id, state, problem, show_id, order_id, requester, identity, channel, locale, owner,
                due_at, created_at)
            SELECT $1, $5, 'open', 'show_cancelled', shows.id, ordered.id, 'buyer', 'verified', 'api', 'en', 'operation', now(), now()
            FROM shows, ordered RETURNING id, order_id
        )
        INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, payment_id, amount, currency, due_at,
            created_at, accepted_at)
        SELECT $1, $5, opened.id, order_id, 'refund', $8, $6, paid.id, 2500, 'EUR', app_now() + interval '30 seconds',
               app_now() - make_interval(secs => $10), CASE WHEN $9 THEN now() END
        FROM opened, paid RETURNING id
        """,
        of.id,
        new_id(),
        new_id(),
        new_id(),
        new_id(),
        rail,
        show,
        state,
        accepted,
        float(age),
    )
    return operation
