"""Finds orders and cases by the names that people have for them, and notes who looked for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.store.pool import Pool

By = Literal["case", "operation", "reference", "email"]

# Nobody reads more; who needs to say more precisely whom they mean sees that there are more.
ORDERS_MAX: Final = 50
CASES_MAX: Final = 100

# By which name -> the orders of that name. Each is exact.
_ORDERS: Final[Mapping[By, str]] = {
    "case": "SELECT c.order_id AS id FROM cases AS c WHERE c.platform_id = $1 AND c.id = $2::uuid",
    "operation": "SELECT x.order_id AS id FROM operation AS x WHERE x.platform_id = $1 AND x.id = $2::uuid",
    "reference": """
        SELECT o.id FROM orders AS o WHERE o.platform_id = $1 AND o.ref = $2
        UNION
        SELECT p.order_id AS id FROM payment AS p WHERE p.platform_id = $1 AND p.provider_ref = $2
        UNION
        SELECT x.order_id FROM attempt AS a JOIN operation AS x ON x.platform_id = a.platform_id AND x.id = a.operation_id
        WHERE a.platform_id = $1 AND a.provider_ref = $2
    """,
    "email": """
        SELECT o.id FROM person AS b JOIN orders AS o ON o.platform_id = b.platform_id AND o.buyer_id = b.id
        WHERE b.platform_id = $1 AND lower(b.email) = lower($2) AND address_folded(b.email) = address_folded($2)
        UNION
        SELECT l.order_id FROM person AS h JOIN line AS l ON l.platform_id = h.platform_id AND l.holder_id = h.id
        WHERE h.platform_id = $1 AND lower(h.email) = lower($2) AND address_folded(h.email) = address_folded($2)
    """,
}
# Cases that have no order yet: the one that was named, and those whose customer named the order and is not proven.
_CASES: Final[Mapping[By, str]] = {
    "case": "c.id = $2::uuid",
    "operation": "false",
    "reference": "(c.order_id IS NULL AND c.state = 'open' AND c.claimed_order = $2)",
    "email": "false",
}

# People paste what they have at hand: a token, a number, an address. So what was looked for is kept only where it is the name of something
# of the platform, and an address never; of what a customer only claimed, the case is kept and not their words.
_SEARCH: Final = """
WITH found AS MATERIALIZED (
    SELECT o.* FROM orders AS o WHERE o.platform_id = $1 AND o.id IN ({orders}) ORDER BY o.placed_at DESC, o.id LIMIT $3
), seen AS MATERIALIZED (
    SELECT c.* FROM cases AS c WHERE c.platform_id = $1 AND (c.order_id IN (SELECT id FROM found) OR {cases})
    ORDER BY c.created_at DESC, c.id LIMIT $4
), kind AS (
    SELECT CASE WHEN $6::text <> 'reference' THEN $6::text WHEN EXISTS (SELECT FROM found WHERE ref = $7::text) THEN 'order'
            WHEN EXISTS (SELECT FROM found) THEN 'payment' WHEN EXISTS (SELECT FROM seen) THEN 'claimed' ELSE 'unknown' END AS by,
        EXISTS (SELECT FROM found) OR EXISTS (SELECT FROM seen) AS is_found
), noted AS (
    INSERT INTO audit (platform_id, at, actor, what, data)
    SELECT $1, (SELECT app_now()), $5, 'searched', jsonb_strip_nulls(jsonb_build_object('by', kind.by, 'found', kind.is_found,
        'for', CASE WHEN kind.is_found AND kind.by NOT IN ('email', 'claimed') THEN $7::text END,
        'orders', (SELECT coalesce(jsonb_agg(id), '[]') FROM found), 'cases', (SELECT count(*) FROM seen)))
    FROM kind
    RETURNING id
)
SELECT jsonb_build_object(
    'cases', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'id', c.id, 'problem', c.problem, 'order', o.ref, 'show', s.ref, 'show_name', coalesce(s.name, '{{}}'), 'locale', c.locale,
        'state', CASE WHEN c.state <> 'open' THEN c.state WHEN c.owner = 'queue' THEN 'waiting' WHEN c.owner = 'agent' THEN 'taken'
            WHEN c.owner = 'timer' AND c.wait_for = 'customer' AND c.queued_at IS NOT NULL THEN 'waits_for_customer'
            WHEN c.owner = 'timer' AND c.wait_for = 'referral' THEN 'referred' WHEN c.owner = 'timer' AND c.wait_for = 'hold' THEN 'hold' ELSE 'open' END,
        'skill', c.skill, 'agent', a.name, 'agent_id', a.id, 'created_at', c.created_at, 'queued_at', c.queued_at, 'ended_at', c.ended_at,
        'money_at_stake', coalesce((SELECT sum(x.amount) FROM operation AS x WHERE x.platform_id = $1 AND x.case_id = c.id AND x.state = 'HELD'), 0)::bigint,
        'currency', o.currency, 'version', c.version) ORDER BY c.created_at DESC, c.id), '[]')
        FROM seen AS c LEFT JOIN show AS s ON s.platform_id = $1 AND s.id = c.show_id LEFT JOIN orders AS o ON o.platform_id = $1 AND o.id = c.order_id
        LEFT JOIN agent AS a ON a.platform_id = $1 AND a.id = coalesce(c.agent_id, CASE WHEN c.owner = 'timer' THEN c.for_agent END)),
    'orders', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'ref', o.ref, 'status', o.status, 'total', o.total, 'currency', o.currency, 'placed_at', o.placed_at,
        'shows', (SELECT coalesce(jsonb_agg(s.ref ORDER BY s.starts_at, s.ref), '[]') FROM show AS s WHERE s.platform_id = $1 AND s.id IN (
            SELECT t.show_id FROM line AS l JOIN line_show AS t ON t.platform_id = l.platform_id AND t.line_id = l.id
            WHERE l.platform_id = $1 AND l.order_id = o.id)),
        'cases', (SELECT coalesce(jsonb_agg(c.id ORDER BY c.created_at DESC), '[]') FROM seen AS c WHERE c.platform_id = $1 AND c.order_id = o.id))
        ORDER BY o.placed_at DESC, o.id), '[]') FROM found AS o)
)::text FROM noted
"""


class CaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: of a case at the desk as its queue says it, else as the case itself: open, resolved, denied, joined, closed."""

    id: UUID
    problem: str
    order: str | None
    show: str | None
    show_name: Mapping[str, str]
    locale: str
    state: str
    skill: str | None
    agent: str | None
    agent_id: UUID | None
    created_at: datetime
    queued_at: datetime | None
    ended_at: datetime | None
    money_at_stake: int
    currency: str | None
    version: int


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    status: str
    total: int
    currency: str
    placed_at: datetime
    shows: Sequence[str]
    cases: Sequence[UUID]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    cases: Sequence[CaseRecord]
    orders: Sequence[OrderRecord]


_FOUND: Final = msgspec.json.Decoder(Found)


async def search(pool: Pool, platform: UUID, by: By, name: str | UUID, *, actor: str) -> Found:
    """The newest first. Who looked is kept, with the kind of name and what it found; the name itself where it is one, an address never."""
    statement = _SEARCH.format(orders=_ORDERS[by], cases=_CASES[by])
    kept = None if by == "email" else str(name)
    answer = await pool.fetchval(statement, platform, name, ORDERS_MAX, CASES_MAX, actor, by, kept)
    return _FOUND.decode(answer)
