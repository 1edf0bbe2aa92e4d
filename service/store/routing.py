"""Statements of the queue's upkeep: cases whose place routing.yaml has to look at, and clocks and questions whose time has come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.store.pool import Pool


class ToRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A queued case as routing.yaml may look at it. Money is in minor units of the order's currency."""

    platform: UUID
    id: UUID
    fresh: bool
    """its place is only provisional"""
    now: datetime
    placed_at: datetime
    problem: str
    skill: str
    priority: int
    channel: str
    locale: str
    identity: str
    returned: bool
    contacts: int
    starts_at: datetime | None
    ends_at: datetime | None
    scheduled: bool
    """the show takes place"""
    currency: str | None
    at_stake: int
    order_value: int
    customer_value: int
    suggestions: tuple[str, ...]
    rules: tuple[str, ...]
    """of the packs, those that handed it over, as pack/rule"""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a case stands from now on. `route`: what is kept of why."""

    platform: UUID
    id: UUID
    placed_at: datetime
    """as it was read: a case that has moved since is left alone"""
    look_by: datetime
    skill: str | None
    playbook: str
    route: Any


class LookedAt(msgspec.Struct, frozen=True, kw_only=True):
    """A clock that warned or ran out."""

    platform_id: UUID
    case_id: UUID
    kind: str
    breached: bool
    late_seconds: float


_TO_ROUTE: Final = msgspec.json.Decoder(tuple[ToRoute, ...])

# $1 at most so many, $2 looked at longer ago than so many seconds. What nobody has looked at yet comes first.
_READ: Final = """
-- every platform: one pass keeps the queues of all of them
SELECT coalesce(jsonb_agg(jsonb_build_object('platform', c.platform_id, 'id', c.id, 'fresh', c.routed_at IS NULL, 'now', clock.now,
    'placed_at', c.placed_at, 'problem', c.problem, 'skill', c.skill, 'priority', c.priority, 'channel', c.channel, 'locale', c.locale,
    'identity', c.identity, 'returned', c.returned_at IS NOT NULL,
    'contacts', (SELECT count(*) FROM contact t WHERE t.platform_id = c.platform_id AND t.case_id = c.id),
    'starts_at', s.starts_at, 'ends_at', s.ends_at, 'scheduled', coalesce(s.status = 'scheduled', false), 'currency', o.currency,
    'at_stake', coalesce((SELECT sum(amount) FROM operation x WHERE x.platform_id = c.platform_id AND x.case_id = c.id AND x.state = 'HELD'), 0)::bigint,
    'order_value', coalesce(o.total, 0),
    'customer_value', coalesce((SELECT sum(other.total) FROM person p JOIN person q ON q.platform_id = c.platform_id AND q.email IS NOT NULL
            AND lower(q.email) = lower(p.email) AND address_folded(q.email) = address_folded(p.email) JOIN orders other ON other.platform_id = c.platform_id AND other.buyer_id = q.id
        WHERE p.platform_id = c.platform_id AND p.id = o.buyer_id AND other.currency = o.currency), o.total, 0)::bigint,
    'suggestions', coalesce((SELECT jsonb_agg(DISTINCT v) FROM jsonb_path_query(d.verdicts, '$[*].verdict.escalate.suggest[*]') v), '[]'),
    'rules', coalesce((SELECT jsonb_agg(DISTINCT (v->>'pack') || '/' || (v->>'rule')) FROM jsonb_path_query(d.verdicts, '$[*].verdict') v), '[]')
    )), '[]')::text
FROM (SELECT app_now() AS now) AS clock, LATERAL (
    SELECT * FROM cases WHERE owner = 'queue' AND coalesce(routed_at, '-infinity') < clock.now - make_interval(secs => $2)
    ORDER BY coalesce(routed_at, '-infinity') LIMIT $1) c
LEFT JOIN show s ON s.platform_id = c.platform_id AND s.id = c.show_id LEFT JOIN orders o ON o.platform_id = c.platform_id AND o.id = c.order_id
LEFT JOIN decision d ON d.platform_id = c.platform_id AND d.id = c.decision_id
"""

# A place, once given, only ever moves forward. A skill is changed when the case comes, and only to one that somebody has. Rows are locked in one
# order, and those that others are at are left for the next pass.
_WRITE: Final = """
-- every platform: as it was read
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS g(platform uuid, id uuid, placed_at timestamptz, look_by timestamptz, skill text, playbook text,
                                                     route jsonb)
), locked AS MATERIALIZED (
    SELECT c.platform_id, c.id, g.look_by, g.skill, g.playbook, g.route FROM given g JOIN cases c ON c.platform_id = g.platform AND c.id = g.id
    WHERE c.owner = 'queue' AND c.placed_at = g.placed_at ORDER BY c.platform_id, c.id FOR NO KEY UPDATE OF c SKIP LOCKED
)
UPDATE cases SET look_by = CASE WHEN cases.routed_at IS NULL THEN locked.look_by ELSE least(cases.look_by, locked.look_by) END,
    skill = CASE WHEN cases.routed_at IS NULL AND locked.skill IS NOT NULL AND somebody_has(cases.platform_id, locked.skill)
        THEN locked.skill ELSE cases.skill END,
    playbook = locked.playbook, route = locked.route, routed_at = (SELECT app_now())
FROM locked WHERE cases.platform_id = locked.platform_id AND cases.id = locked.id
"""


class RoutingStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def to_route(self, most: int, again_seconds: float) -> Sequence[ToRoute]:
        return _TO_ROUTE.decode(await self._pool.fetchval(_READ, most, again_seconds))

    async def place(self, placed: Sequence[Placed]) -> None:
        await self._pool.execute(_WRITE, placed)

    async def look_at_clocks(self, most: int) -> Sequence[LookedAt]:
        """Warns, escalates, writes it on the timelines; what was done."""
        rows = await self._pool.fetch("SELECT * FROM clocks_look($1)", most)
        return [LookedAt(**dict(row)) for row in rows]

    async def look_at_referrals(self, most: int) -> Sequence[UUID]:
        """Tells people of the questions that nobody has answered in time; the cases that heard of it."""
        rows = await self._pool.fetch("SELECT case_id FROM referrals_look($1)", most)
        return [row["case_id"] for row in rows]
