"""Statements of claims: who takes, keeps, gives on and parks a case, and who is at the desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.store.pool import Pool

# People at one desk; nobody has more.
_AGENTS_MAX: Final = 1000

TakeStatus = Literal["taken", "nothing_to_take", "at_capacity"]
GiveStatus = Literal["given", "not_yours", "agent_away", "not_a_person"]
ParkStatus = Literal["parked", "not_yours", "unanswered"]
UnparkStatus = Literal["taken", "not_parked", "at_capacity"]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    status: TakeStatus
    case: UUID | None = None


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    role: Literal["agent", "lead", "machine"]
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    capacity: int
    holding: int
    available: bool
    seen_at: datetime | None


class ClockShown(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of time. Seconds are those of the open desk."""

    kind: Literal["acknowledge", "next_answer", "resolve"]
    target_seconds: int
    started_at: datetime
    due_at: datetime | None
    """null while it is paused"""
    left_seconds: float | None
    """until it is due; 0 when that is over; null when it has ended"""
    paused_for: str | None
    """`customer`, `referral`, `outside` (something else has to happen first), `desk_closed`"""
    warned_at: datetime | None
    breached_at: datetime | None
    ended_at: datetime | None
    met: bool | None
    """at its end: in time"""


class GuideRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a guide is made from. `rules`: those of the packs that handed over, as pack/rule."""

    problem: str
    skill: str | None
    locale: str
    playbook: str | None
    rules: tuple[str, ...]
    had: frozenset[str]
    """skills that somebody at the desk has"""
    clocks: tuple[ClockShown, ...]


_GUIDE: Final = msgspec.json.Decoder(GuideRecord)


class ClaimStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, caller: Caller, case: UUID | None, seconds: float) -> Taken:
        answer = await self._pool.fetchval(
            "SELECT case_take($1, $2, $3, $4, $5)  -- $1 is platform_id", caller.platform_id, caller.agent_id, caller.name, case, seconds
        )
        return msgspec.convert(answer, Taken)

    async def keep(self, caller: Caller, case: UUID, seconds: float) -> datetime | None:
        until: datetime | None = await self._pool.fetchval(
            "SELECT case_keep($1, $2, $3, $4)  -- $1 is platform_id", caller.platform_id, case, caller.agent_id, seconds
        )
        return until

    async def give(self, caller: Caller, case: UUID, *, skill: str | None, agent: UUID | None, reason: str) -> GiveStatus:
        status: GiveStatus = await self._pool.fetchval(
            "SELECT case_give($1, $2, $3, $4, $5, $6, $7)  -- $1 is platform_id",
            caller.platform_id,
            case,
            caller.agent_id,
            caller.name,
            skill,
            agent,
            reason,
        )
        return status

    async def park(self, caller: Caller, case: UUID, *, waits_for: str, seconds: float, reason: str) -> ParkStatus:
        parked: ParkStatus = await self._pool.fetchval(
            "SELECT case_park($1, $2, $3, $4, $5, $6, $7)  -- $1 is platform_id",
            caller.platform_id,
            case,
            caller.agent_id,
            caller.name,
            waits_for,
            seconds,
            reason,
        )
        return parked

    async def unpark(self, caller: Caller, case: UUID, seconds: float) -> UnparkStatus:
        status: UnparkStatus = await self._pool.fetchval(
            "SELECT case_unpark($1, $2, $3, $4, $5)  -- $1 is platform_id", caller.platform_id, case, caller.agent_id, caller.name, seconds
        )
        return status

    async def presence(self, platform: UUID, agent: UUID | None = None, name: str | None = None) -> Sequence[Presence]:
        """Everybody who works at the desk, by name; or the one of this id or name."""
        rows = await self._pool.fetch(
            """
            SELECT a.id, a.name, a.role, a.skills, a.languages, a.capacity, a.available, a.seen_at, (SELECT count(*) FROM cases c
                WHERE c.platform_id = $1 AND c.agent_id = a.id AND c.owner = 'agent') AS holding
            FROM agent a WHERE a.platform_id = $1 AND a.disabled_at IS NULL AND ($2::uuid IS NULL OR a.id = $2) AND ($3::text IS NULL OR a.name = $3)
            ORDER BY a.name LIMIT $4
            """,
            platform,
            agent,
            name,
            _AGENTS_MAX,
        )
        return [msgspec.convert(dict(row), Presence) for row in rows]

    async def set_available(self, platform: UUID, agent: UUID, *, available: bool) -> None:
        await self._pool.execute(
            "UPDATE agent SET available = $3, seen_at = (SELECT app_now()) WHERE platform_id = $1 AND id = $2", platform, agent, available
        )

    async def guide(self, platform: UUID, case: UUID) -> GuideRecord | None:
        text: Any = await self._pool.fetchval(_GUIDE_OF, platform, case)
        return None if text is None else _GUIDE.decode(text)


# $1 platform, $2 case
_GUIDE_OF: Final = """
SELECT jsonb_build_object('problem', c.problem, 'skill', c.skill, 'locale', c.locale, 'playbook', c.playbook,
    'rules', coalesce((SELECT jsonb_agg(DISTINCT (v->'verdict'->>'pack') || '/' || (v->'verdict'->>'rule')) FROM decision d,
        jsonb_array_elements(d.verdicts) v WHERE d.platform_id = $1 AND d.id = c.decision_id), '[]'),
    'had', coalesce((SELECT jsonb_agg(DISTINCT had) FROM agent a, unnest(skills_widened(a.skills, a.role)) had
        WHERE a.platform_id = $1 AND a.disabled_at IS NULL), '[]'),
    'clocks', coalesce((SELECT jsonb_agg(jsonb_build_object('kind', k.kind, 'target_seconds', k.target_seconds, 'started_at', k.started_at,
        'due_at', k.due_at, 'left_seconds', CASE WHEN k.ended_at IS NULL THEN coalesce(k.left_seconds, desk_seconds(h, now, k.due_at)) END,
        'paused_for', coalesce(k.paused_for, CASE WHEN k.ended_at IS NULL AND h IS NOT NULL AND desk_add(h, now, 1) > now + interval '2 seconds'
            THEN 'desk_closed' END),
        'warned_at', k.warned_at, 'breached_at', k.breached_at, 'ended_at', k.ended_at, 'met', k.met) ORDER BY k.started_at, k.kind)
        FROM (SELECT * FROM sla_clock WHERE platform_id = $1 AND case_id = c.id ORDER BY started_at DESC LIMIT 50) k), '[]'))::text
FROM cases c, desk_hours($1) AS h, (SELECT app_now() AS now) AS clock WHERE c.platform_id = $1 AND c.id = $2
"""
