"""Reads the desk's queue: one row a case, the one to take first at the top, with the clock that ends next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.store.pool import Pool

State = Literal["waiting", "taken", "hold", "waits_for_customer", "referred"]
Shown = Literal["open", "waiting", "taken", "parked", "all"]
"""which cases a page shows; `open`: those that wait and those that somebody has"""

# owners of cases, by what a page shows
_OWNERS: Final[Mapping[Shown, Sequence[str]]] = {
    "open": ("queue", "agent"),
    "waiting": ("queue",),
    "taken": ("agent",),
    "parked": ("timer",),
    "all": ("queue", "agent", "timer"),
}


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """None: every one. `skills`: any of these words. `agent`: whose cases alone, those that come back to them included."""

    shown: Shown = "open"
    skills: Sequence[str] | None = None
    show: str | None = None
    problem: str | None = None
    agent: UUID | None = None
    sla: Literal["at_risk", "breached"] | None = None
    language: str | None = None
    """of the case, without its country"""
    cases: Sequence[UUID] | None = None
    older_seconds: int | None = None
    """with people for so long at least"""
    younger_seconds: int | None = None
    """with people for less than that"""


class ClockRecord(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["acknowledge", "next_answer", "resolve"]
    due_at: datetime | None
    warned: bool
    breached: bool
    paused_for: str | None


class RowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One case of the desk. `agent`: who has it, or had it when it was parked."""

    id: UUID
    problem: str
    order: str | None
    show: str | None
    show_name: Mapping[str, str]
    skill: str
    priority: int
    state: State
    look_by: datetime
    why: str | None
    queued_at: datetime
    agent: str | None
    agent_id: UUID | None
    money_at_stake: int
    held: int
    currency: str | None
    locale: str
    unanswered_at: datetime | None
    sla: ClockRecord | None
    playbook: str | None
    version: int


_ROWS: Final = msgspec.json.Decoder(tuple[RowRecord, ...])

# $1 platform, then the filters in their order.
_FOUND: Final = """
    FROM cases c WHERE c.platform_id = $1 AND c.state = 'open' AND c.queued_at IS NOT NULL AND c.owner = ANY ($2)
        AND case_is_with_people(c.owner, c.wait_for)
        AND ($3::text[] IS NULL OR coalesce(c.skill, 'core') = ANY ($3))
        AND ($4::text IS NULL OR c.show_id = (SELECT id FROM show WHERE platform_id = $1 AND ref = $4))
        AND ($5::text IS NULL OR c.problem = $5)
        AND ($6::uuid IS NULL OR coalesce(c.agent_id, CASE WHEN c.owner = 'timer' THEN c.for_agent END) = $6)
        AND ($7::text IS NULL OR EXISTS (SELECT FROM sla_clock k WHERE k.platform_id = $1 AND k.case_id = c.id AND k.ended_at IS NULL
            AND CASE $7 WHEN 'breached' THEN k.breached_at IS NOT NULL ELSE k.warned_at IS NOT NULL END))
        AND ($7::text IS DISTINCT FROM 'at_risk' OR NOT EXISTS (SELECT FROM sla_clock k WHERE k.platform_id = $1 AND k.case_id = c.id
            AND k.ended_at IS NULL AND k.breached_at IS NOT NULL))
        AND ($8::text IS NULL OR split_part(c.locale, '-', 1) = $8)
        AND ($9::uuid[] IS NULL OR c.id = ANY ($9))
        AND ($10::int IS NULL OR c.queued_at <= (SELECT app_now()) - make_interval(secs => $10))
        AND ($11::int IS NULL OR c.queued_at > (SELECT app_now()) - make_interval(secs => $11))
"""

_PAGE: Final = f"""
WITH page AS MATERIALIZED (
    SELECT c.* {_FOUND} ORDER BY array_position(ARRAY['queue', 'agent', 'timer'], c.owner), c.look_by, c.id LIMIT $12 OFFSET $13
)
SELECT coalesce(jsonb_agg(jsonb_build_object(
    'id', c.id, 'problem', c.problem, 'order', o.ref, 'show', s.ref, 'show_name', coalesce(s.name, '{{}}'), 'skill', coalesce(c.skill, 'core'), 'priority', c.priority,
    'state', CASE c.owner WHEN 'queue' THEN 'waiting' WHEN 'agent' THEN 'taken' ELSE CASE c.wait_for WHEN 'customer' THEN 'waits_for_customer'
        WHEN 'referral' THEN 'referred' ELSE 'hold' END END,
    'look_by', coalesce(c.look_by, c.queued_at), 'why', c.route->>'rule', 'queued_at', c.queued_at, 'agent', a.name, 'agent_id', a.id,
    'money_at_stake', x.amount, 'held', x.held, 'currency', o.currency, 'locale', c.locale, 'unanswered_at', c.unanswered_at, 'playbook', c.playbook, 'version', c.version,
    'sla', (SELECT jsonb_build_object('kind', k.kind, 'due_at', k.due_at, 'warned', k.warned_at IS NOT NULL, 'breached', k.breached_at IS NOT NULL,
            'paused_for', k.paused_for) FROM sla_clock k WHERE k.platform_id = $1 AND k.case_id = c.id AND k.ended_at IS NULL
        ORDER BY k.due_at NULLS LAST, k.kind LIMIT 1)
    ) ORDER BY array_position(ARRAY['queue', 'agent', 'timer'], c.owner), c.look_by, c.id), '[]')::text
FROM page c LEFT JOIN show s ON s.platform_id = $1 AND s.id = c.show_id LEFT JOIN orders o ON o.platform_id = $1 AND o.id = c.order_id
    CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0)::bigint AS amount, count(*) AS held FROM operation
        WHERE platform_id = $1 AND case_id = c.id AND state = 'HELD') x
    LEFT JOIN agent a ON a.platform_id = $1 AND a.id = coalesce(c.agent_id, CASE WHEN c.owner = 'timer' THEN c.for_agent END)
"""

_TOTAL: Final = f"SELECT count(*) {_FOUND}"


async def rows(pool: Pool, platform: UUID, filters: Filters, *, most: int, offset: int = 0) -> Sequence[RowRecord]:
    """Waiting cases first, the one to take at the top; then those that somebody has; then parked ones."""
    text: str = await pool.fetchval(_PAGE, platform, *_arguments(filters), most, offset)
    return _ROWS.decode(text)


async def total(pool: Pool, platform: UUID, filters: Filters) -> int:
    found: int = await pool.fetchval(_TOTAL, platform, *_arguments(filters))
    return found


def _arguments(filters: Filters) -> tuple[object, ...]:
    return (
        list(_OWNERS[filters.shown]),
        None if filters.skills is None else list(filters.skills),
        filters.show,
        filters.problem,
        filters.agent,
        filters.sla,
        filters.language,
        None if filters.cases is None else list(filters.cases),
        filters.older_seconds,
        filters.younger_seconds,
    )
