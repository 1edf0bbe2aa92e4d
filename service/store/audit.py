"""Statements of audits and of recovering after a restored backup. They are the installation's own: a rail serves all its platforms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from service.audit import OurMovement
from service.model import Json, Money
from service.ports import RefundRequest
from service.store.pool import Pool

# Two writers that met once seldom meet again; a third time is a bug in the order of locks, and should be seen.
_TRIES_MAX: Final = 3

_COLUMNS: Final = """
    SELECT f.slug AS platform, x.ref AS "order", y.ref AS payment, coalesce(y.provider_ref, '') AS payment_ref, o.id AS operation,
        a.id AS attempt, a.provider_ref, a.state, o.amount, o.currency, a.first_sent_at AS sent_at
    FROM attempt a
    JOIN operation o ON o.platform_id = a.platform_id AND o.id = a.operation_id AND o.action = 'refund'
    JOIN payment y ON y.platform_id = o.platform_id AND y.id = o.payment_id
    JOIN orders x ON x.platform_id = o.platform_id AND x.id = o.order_id
    JOIN platform f ON f.id = a.platform_id
"""

# $1 rail, $2 ids of attempts, $3 ids of operations (whatever rail paid them: two may have), $4 references. Each by its own index; an OR would
# read the table.
_NAMED: Final = f"""
    -- every platform: a rail is the installation's
    {_COLUMNS} WHERE a.rail = $1 AND a.key IN (SELECT 'mg-' || replace(one::text, '-', '') FROM unnest($2::uuid[]) one)
    UNION {_COLUMNS} WHERE a.operation_id = ANY ($3::uuid[])
    UNION {_COLUMNS} WHERE a.rail = $1 AND a.provider_ref = ANY ($4::text[])
"""

# $1 rail, $2 since, $3 until, $4 and $5 the last one before, $6 states, $7 most
_SENT: Final = f"""
    -- every platform: a rail is the installation's
    {_COLUMNS} WHERE a.rail = $1 AND a.first_sent_at >= $2 AND a.first_sent_at < $3 AND (a.first_sent_at, a.id) > ($4, $5)
        AND a.state = ANY ($6::text[])
    ORDER BY a.first_sent_at, a.id LIMIT $7
"""

# What was under way when the backup was taken may have begun long before.
_OLDEST_OPEN: Final = """
    -- every platform: a rail is the installation's
    SELECT min(a.first_sent_at) FROM attempt a JOIN operation o ON o.platform_id = a.platform_id AND o.id = a.operation_id
    WHERE a.rail = $1 AND a.state IN ('PREPARED', 'UNKNOWN') AND o.action = 'refund' AND o.state IN ('READY', 'SENT')
"""

_NOTE: Final = """
    -- every platform: a rail is the installation's
    INSERT INTO audit (platform_id, at, actor, what, data) SELECT id, (SELECT app_now()), $1, $2, $3::jsonb FROM platform
"""


class AuditStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def now(self) -> datetime:
        found: datetime = await self._pool.fetchval("SELECT app_now()")
        return found

    async def named(
        self, rail: str, attempts: Sequence[UUID], operations: Sequence[UUID], provider_refs: Sequence[str]
    ) -> Sequence[OurMovement]:
        """Attempts on this rail with one of these ids or references of the processor; and those of these operations on any rail."""
        return [_ours(row) for row in await self._pool.fetch(_NAMED, rail, attempts, operations, provider_refs)]

    async def elsewhere(self, rail: str, provider_refs: Sequence[str]) -> frozenset[str]:
        """Which of these our books have as refunds made by others."""
        rows = await self._pool.fetch(
            """
            -- every platform: a rail is the installation's
            SELECT r.provider_ref FROM refund_elsewhere r JOIN payment y ON y.platform_id = r.platform_id AND y.id = r.payment_id
            WHERE y.rail = $1 AND r.provider_ref = ANY ($2::text[]) AND r.state <> 'failed'
            """,
            rail,
            provider_refs,
        )
        return frozenset(row["provider_ref"] for row in rows)

    async def sent(
        self, rail: str, since: datetime, until: datetime, *, after: OurMovement | None, states: Sequence[str], most: int
    ) -> Sequence[OurMovement]:
        """Attempts in these states that were first sent in that time, oldest first, at most so many, behind `after`."""
        place = (after.sent_at, after.attempt) if after else (since, UUID(int=0))
        return [_ours(row) for row in await self._pool.fetch(_SENT, rail, since, until, *place, states, most)]

    async def request(self, attempt: UUID) -> RefundRequest:
        """What an attempt asked for. Raises msgspec.ValidationError for one that people settled by hand."""
        stored = await self._pool.fetchval(
            "SELECT request FROM attempt WHERE key = $1  -- every platform: the id came from an audit of all", f"mg-{attempt.hex}"
        )
        return msgspec.convert(stored, RefundRequest)

    async def oldest_open(self, rail: str) -> datetime | None:
        """Since when something of this rail has been under way."""
        found: datetime | None = await self._pool.fetchval(_OLDEST_OPEN, rail)
        return found

    async def put_right(self, document: Json) -> str:
        """Puts one line of a processor's list into our books; see refund_recovered in functions/books.sql for the words."""
        for tries_left in range(_TRIES_MAX - 1, -1, -1):
            try:
                found: Any = await self._pool.fetchval(
                    "SELECT refund_recovered($1::jsonb)  -- every platform: a rail is the installation's", document
                )
                return str(found["status"])
            except asyncpg.DeadlockDetectedError:
                if tries_left == 0:
                    raise
        raise AssertionError("unreachable")

    async def unsure(self, rail: str, most: int) -> int:
        """Hands what may have been sent on a rail that keeps no list to people, at most so many; how many."""
        count: int = await self._pool.fetchval("SELECT rail_unsure($1, $2)", rail, most)
        return count

    async def in_review(self, rail: str) -> int:
        count: int = await self._pool.fetchval(
            """
            -- every platform: a rail is the installation's
            SELECT count(*) FROM operation WHERE rail = $1 AND action = 'refund' AND state = 'NEEDS_REVIEW'
            """,
            rail,
        )
        return count

    async def stop(self, actor: str) -> tuple[int, int]:
        """Stops every platform for as long as we recover: how many are stopped, and how many there are."""
        stopped: int = await self._pool.fetchval("SELECT recovery_stops($1)", actor)
        platforms: int = await self._pool.fetchval("SELECT count(*) FROM platform")
        return stopped, platforms

    async def go(self, actor: str) -> int:
        """Takes off what `stop` put on; how many operations go now."""
        freed: int = await self._pool.fetchval("SELECT recovery_goes($1)", actor)
        return freed

    async def note(self, actor: str, what: str, data: Json) -> None:
        """One line in the audit of every platform."""
        await self._pool.execute(_NOTE, actor, what, data)


def _ours(row: asyncpg.Record) -> OurMovement:
    fields = dict(row)
    return OurMovement(amount=Money(minor=fields.pop("amount"), currency=fields.pop("currency")), **fields)
