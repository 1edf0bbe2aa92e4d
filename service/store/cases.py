"""Reads cases for whoever may see them: one statement for a case, one for a page of its timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.store.pool import Pool


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    action: str
    state: str
    accepted_at: datetime | None
    ended_at: datetime | None
    amount: int | None
    currency: str | None
    rail: str | None
    reason: str
    method: str | None
    """of the payment, as a customer recognises it"""
    payment_ref: str | None
    pass_id: UUID | None
    mine: bool
    """the pass is the caller's own"""
    holds: tuple[str, ...]
    approvals: int
    approvals_needed: int
    failure: str | None
    result: Mapping[str, Any]
    choosable: bool
    """it may go another way: its customer is asked where"""
    token_active: bool


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    kind: str
    author: str
    body: str
    created_at: datetime


class PassRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str


class ShowRow(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    name: Mapping[str, str]


class CaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A case as it stands; of a joined one, the case it joined, under `id`."""

    id: UUID
    asked_id: UUID
    state: str
    problem: str
    show: ShowRow | None
    order: str | None
    claimed_order: str | None
    opened_by: str | None
    requester: str
    identity: str
    channel: str
    locale: str
    outcome: str | None
    owner: str | None
    agent: str | None
    skill: str | None
    priority: int
    queued_at: datetime | None
    wait_for: str | None
    wait_until: datetime | None
    due_at: datetime | None
    version: int
    created_at: datetime
    ended_at: datetime | None
    verdicts: Sequence[Mapping[str, Any]]
    guards: Sequence[str]
    decision: UUID | None
    operations: tuple[OperationRow, ...]
    messages: tuple[MessageRow, ...]
    passes: tuple[PassRow, ...]
    customer_ref: str | None
    buyer_is_caller: bool
    holder_is_caller: bool


_RECORD: Final = msgspec.json.Decoder(CaseRecord)

# $1 platform, $2 case, $3 the caller's proven address (lower case) or null.
_CASE: Final = """
WITH c AS MATERIALIZED (
    SELECT * FROM cases WHERE platform_id = $1
        AND id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2)
)
SELECT jsonb_build_object(
    'id', c.id, 'asked_id', $2::uuid, 'state', (SELECT state FROM cases WHERE platform_id = $1 AND id = $2), 'problem', c.problem,
    'claimed_order', c.claimed_order, 'opened_by', (SELECT opened_by FROM cases WHERE platform_id = $1 AND id = $2),
    'requester', c.requester, 'identity', c.identity, 'channel', c.channel, 'locale', c.locale, 'outcome', c.outcome, 'owner', c.owner,
    'agent', (SELECT name FROM agent WHERE platform_id = $1 AND id = c.agent_id), 'skill', c.skill, 'priority', c.priority,
    'queued_at', c.queued_at, 'wait_for', c.wait_for, 'wait_until', c.wait_until, 'due_at', c.due_at, 'version', c.version,
    'created_at', c.created_at, 'ended_at', c.ended_at,
    'show', (SELECT jsonb_build_object('ref', ref, 'name', name) FROM show WHERE platform_id = $1 AND id = c.show_id),
    'order', o.ref, 'customer_ref', o.customer_ref,
    'buyer_is_caller', coalesce((SELECT lower(email) = $3::text FROM person WHERE platform_id = $1 AND id = o.buyer_id), false),
    'holder_is_caller', EXISTS (SELECT FROM line JOIN person h ON h.platform_id = $1 AND h.id = line.holder_id
        WHERE line.platform_id = $1 AND line.order_id = o.id AND lower(h.email) = $3),
    'decision', d.id, 'verdicts', coalesce(d.verdicts, '[]'), 'guards', coalesce(d.guards, '[]'),
    'operations', coalesce((SELECT jsonb_agg(jsonb_build_object('id', x.id, 'action', x.action, 'state', x.state, 'accepted_at', x.accepted_at,
        'ended_at', x.ended_at, 'amount', x.amount, 'currency', x.currency, 'rail', x.rail, 'reason', x.reason, 'pass_id', x.pass_id,
        'method', p.method, 'payment_ref', p.ref, 'holds', to_jsonb(x.holds), 'approvals_needed', x.approvals_needed, 'result', x.result,
        'choosable', x.state = 'CHOICE_NEEDED' OR (x.state = 'SENT' AND x.choice_offered_at IS NOT NULL),
        'approvals', (SELECT count(*) FROM approval y WHERE y.platform_id = $1 AND y.operation_id = x.id),
        'mine', coalesce((SELECT lower(h.email) = $3 FROM pass q JOIN line ON line.platform_id = $1 AND line.id = q.line_id
            JOIN person h ON h.platform_id = $1 AND h.id = line.holder_id WHERE q.platform_id = $1 AND q.id = x.pass_id), false),
        'failure', (SELECT failure FROM attempt t WHERE t.platform_id = $1 AND t.operation_id = x.id ORDER BY t.seq DESC LIMIT 1),
        'token_active', x.action = 'reissue_access' AND EXISTS (SELECT FROM access_token t WHERE t.platform_id = $1
            AND t.jti = (x.result->>'jti')::uuid AND t.state = 'active')) ORDER BY x.created_at, x.id)
        FROM operation x LEFT JOIN payment p ON p.platform_id = $1 AND p.id = x.payment_id
        WHERE x.platform_id = $1 AND (x.case_id = c.id OR (c.outcome = 'already_done' AND x.order_id = c.order_id AND x.action IN
            (SELECT jsonb_path_query(d.verdicts, '$[*].verdict.actions[*].action') #>> '{}') AND x.state NOT IN ('REFUSED', 'FAILED')))), '[]'),
    'messages', coalesce((SELECT jsonb_agg(jsonb_build_object('id', m.id, 'kind', m.kind, 'author', m.author, 'body', m.body,
        'created_at', m.created_at) ORDER BY m.created_at, m.id) FROM (SELECT * FROM message WHERE platform_id = $1 AND case_id = c.id
        ORDER BY created_at DESC LIMIT 200) m), '[]'),
    'passes', coalesce((SELECT jsonb_agg(jsonb_build_object('id', q.id, 'name', line.name) ORDER BY q.id)
        FROM pass q JOIN line ON line.platform_id = $1 AND line.id = q.line_id
        WHERE q.platform_id = $1 AND q.order_id = o.id AND q.status = 'valid' AND line.kind = 'stream'), '[]')
)::text
FROM c LEFT JOIN orders o ON o.platform_id = $1 AND o.id = c.order_id LEFT JOIN decision d ON d.platform_id = $1 AND d.id = c.decision_id
"""


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    happened_at: datetime
    source: str
    actor: str
    kind: str
    data: Mapping[str, Any]


class QueuedCase(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    problem: str
    show: str | None
    skill: str
    priority: int
    queued_at: datetime
    owner: str
    agent: str | None
    money_at_stake: int
    currency: str | None
    locale: str


async def read(pool: Pool, platform: UUID, case: UUID, address: str | None) -> CaseRecord | None:
    text = await pool.fetchval(_CASE, platform, case, address)
    return None if text is None else _RECORD.decode(text)


async def target(pool: Pool, platform: UUID, case: UUID) -> UUID:
    """The case itself, or the one it joined: changes are told under that id. A case that is not there is its own."""
    found: UUID | None = await pool.fetchval("SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2", platform, case)
    return found or case


async def settled(pool: Pool, platform: UUID, case: UUID) -> bool:
    """The case is not being worked on by a process or an operation just now."""
    found: bool = await pool.fetchval(
        """
        SELECT state <> 'open' OR owner NOT IN ('process', 'operation') FROM cases
        WHERE platform_id = $1 AND id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2)
        """,
        platform,
        case,
    )
    return found


async def timeline(pool: Pool, platform: UUID, case: UUID, after: int, most: int) -> Sequence[TimelineEntry]:
    """Entries after a seq in the order of writing; of a joined case, those of the case it joined."""
    rows = await pool.fetch(
        """
        SELECT seq, happened_at, source, actor, kind, data FROM timeline
        WHERE platform_id = $1 AND case_id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2) AND seq > $3
        ORDER BY seq LIMIT $4
        """,
        platform,
        case,
        after,
        most,
    )
    return [TimelineEntry(**dict(row)) for row in rows]


async def queue(pool: Pool, platform: UUID, skills: Sequence[str] | None, most: int, offset: int) -> Sequence[QueuedCase]:
    """Queued and claimed cases, the one to take first at the top."""
    rows = await pool.fetch(
        """
        SELECT c.id, c.problem, s.ref AS show, c.skill, c.priority, c.queued_at, c.owner, a.name AS agent, o.currency, c.locale,
            coalesce((SELECT sum(amount) FROM operation x WHERE x.platform_id = $1 AND x.case_id = c.id AND x.state = 'HELD'), 0)::bigint
                AS money_at_stake
        FROM cases c LEFT JOIN show s ON s.platform_id = $1 AND s.id = c.show_id LEFT JOIN orders o ON o.platform_id = $1 AND o.id = c.order_id
            LEFT JOIN agent a ON a.platform_id = $1 AND a.id = c.agent_id
        WHERE c.platform_id = $1 AND c.state = 'open' AND c.owner IN ('queue', 'agent') AND ($2::text[] IS NULL OR c.skill = ANY ($2))
        ORDER BY c.owner = 'agent', c.priority, c.queued_at LIMIT $3 OFFSET $4
        """,
        platform,
        skills,
        most,
        offset,
    )
    return [QueuedCase(**dict(row)) for row in rows]
