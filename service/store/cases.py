"""Reads cases for whoever may see them: one statement for a case, one for a page of its timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.callers import Proofs, Proven
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
    reference: str | None
    """the processor's own, of what it accepted"""
    result: Mapping[str, Any]
    choosable: bool
    """it may go another way: its customer is asked where"""
    token_active: bool


class AttachmentRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    type: str
    bytes: int


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    kind: str
    author: str
    body: str
    created_at: datetime
    via: tuple[str, ...]
    attachments: tuple[AttachmentRow, ...]


class PassRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str


class ShowRow(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    name: Mapping[str, str]


class ArticleRow(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    title: Mapping[str, str]


class CaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A case as it stands; of a joined one, the case it joined, under `id`."""

    id: UUID
    asked_id: UUID
    state: str
    mark_state: str
    seq: int
    """with `mark_state` the mark of the case under `id`"""
    problem: str
    show: ShowRow | None
    order: str | None
    claimed_order: str | None
    opened_by: str | None
    player: Mapping[str, str] | None
    """what the customer's own player told"""
    now: datetime
    """the database's clock"""
    article: ArticleRow | None
    """the show's help page that the newest decision stands on"""
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
    buyer_proven: Proven | None
    holder_is_caller: bool


_RECORD: Final = msgspec.json.Decoder(CaseRecord)

# $1 platform, $2 case, $3 what the caller has proved.
_CASE: Final = """
WITH c AS MATERIALIZED (
    SELECT * FROM cases WHERE platform_id = $1
        AND id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2)
)
SELECT jsonb_build_object(
    'id', c.id, 'asked_id', $2::uuid, 'state', (SELECT state FROM cases WHERE platform_id = $1 AND id = $2), 'problem', c.problem,
    'mark_state', c.state, 'seq', c.timeline_seq, 'claimed_order', c.claimed_order,
    'opened_by', (SELECT opened_by FROM cases WHERE platform_id = $1 AND id = $2),
    'player', c.player, 'now', (SELECT app_now()),
    'article', CASE WHEN d.verdicts->0->'facts'->>'article.key' <> '' THEN (
        SELECT known.one FROM show, LATERAL (SELECT e.value AS one FROM jsonb_each(show.settings->'known_errors') e
            UNION ALL SELECT e.value FROM jsonb_each(show.settings->'articles') e) known
        WHERE show.platform_id = $1 AND show.id = c.show_id AND known.one->>'url' = d.verdicts->0->'facts'->>'article.key' LIMIT 1) END,
    'requester', c.requester, 'identity', c.identity, 'channel', c.channel, 'locale', c.locale, 'outcome', c.outcome, 'owner', c.owner,
    'agent', (SELECT name FROM agent WHERE platform_id = $1 AND id = c.agent_id), 'skill', c.skill, 'priority', c.priority,
    'queued_at', c.queued_at, 'wait_for', c.wait_for, 'wait_until', c.wait_until, 'due_at', c.due_at, 'version', c.version,
    'created_at', c.created_at, 'ended_at', c.ended_at,
    'show', (SELECT jsonb_build_object('ref', ref, 'name', name) FROM show WHERE platform_id = $1 AND id = c.show_id),
    'order', o.ref, 'customer_ref', o.customer_ref,
    'buyer_proven', (SELECT buyer_proven(email, phone, $3::text[]) FROM person WHERE platform_id = $1 AND id = o.buyer_id),
    'holder_is_caller', EXISTS (SELECT FROM line JOIN person h ON h.platform_id = $1 AND h.id = line.holder_id
        WHERE line.platform_id = $1 AND line.order_id = o.id AND holder_proven(h.email, $3)),
    'decision', d.id, 'verdicts', coalesce(d.verdicts, '[]'), 'guards', coalesce(d.guards, '[]'),
    'operations', coalesce((SELECT jsonb_agg(jsonb_build_object('id', x.id, 'action', x.action, 'state', x.state, 'accepted_at', x.accepted_at,
        'ended_at', x.ended_at, 'amount', x.amount, 'currency', x.currency, 'rail', x.rail, 'reason', x.reason, 'pass_id', x.pass_id,
        'method', p.method, 'payment_ref', p.ref, 'holds', to_jsonb(x.holds), 'approvals_needed', x.approvals_needed, 'result', x.result,
        'choosable', x.state = 'CHOICE_NEEDED' OR (x.state = 'SENT' AND x.choice_offered_at IS NOT NULL),
        'approvals', (SELECT count(*) FROM approval y WHERE y.platform_id = $1 AND y.operation_id = x.id),
        'mine', coalesce((SELECT holder_proven(h.email, $3) FROM pass q JOIN line ON line.platform_id = $1 AND line.id = q.line_id
            JOIN person h ON h.platform_id = $1 AND h.id = line.holder_id WHERE q.platform_id = $1 AND q.id = x.pass_id), false),
        'failure', (SELECT failure FROM attempt t WHERE t.platform_id = $1 AND t.operation_id = x.id ORDER BY t.seq DESC LIMIT 1),
        'reference', (SELECT provider_ref FROM attempt t WHERE t.platform_id = $1 AND t.operation_id = x.id
            AND t.state IN ('ACCEPTED', 'SUCCEEDED') ORDER BY t.seq DESC LIMIT 1),
        'token_active', x.action = 'reissue_access' AND EXISTS (SELECT FROM access_token t WHERE t.platform_id = $1
            AND t.jti = (x.result->>'jti')::uuid AND t.state = 'active')) ORDER BY x.created_at, x.id)
        FROM operation x LEFT JOIN payment p ON p.platform_id = $1 AND p.id = x.payment_id
        WHERE x.platform_id = $1 AND (x.case_id = c.id OR (c.outcome = 'already_done' AND x.order_id = c.order_id AND x.action IN
            (SELECT jsonb_path_query(d.verdicts, '$[*].verdict.actions[*].action') #>> '{}') AND x.state NOT IN ('REFUSED', 'FAILED')))), '[]'),
    'messages', coalesce((SELECT jsonb_agg(jsonb_build_object('id', m.id, 'kind', m.kind, 'author', m.author, 'body', m.body,
        'created_at', m.created_at, 'via', to_jsonb(m.via), 'attachments', coalesce((SELECT jsonb_agg(jsonb_build_object('id', a.id, 'name', a.name,
            'type', a.type, 'bytes', length(a.bytes)) ORDER BY a.id) FROM attachment a WHERE a.platform_id = $1 AND a.message_id = m.id), '[]'))
        ORDER BY m.created_at, m.id) FROM (SELECT * FROM message WHERE platform_id = $1 AND case_id = c.id
        ORDER BY created_at DESC LIMIT 200) m), '[]'),
    'passes', coalesce((SELECT jsonb_agg(jsonb_build_object('id', q.id, 'name', line.name) ORDER BY q.id)
        FROM pass q JOIN line ON line.platform_id = $1 AND line.id = q.line_id
        WHERE q.platform_id = $1 AND q.order_id = o.id AND q.status = 'valid' AND line.kind = 'stream'), '[]')
)::text
FROM c LEFT JOIN orders o ON o.platform_id = $1 AND o.id = c.order_id LEFT JOIN decision d ON d.platform_id = $1 AND d.id = c.decision_id
"""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What tells whether somebody who follows a case has news to read."""

    platform_id: UUID
    id: UUID
    seq: int
    """of the newest entry of its timeline"""
    state: str


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    happened_at: datetime
    source: str
    actor: str
    kind: str
    data: Mapping[str, Any]


async def read(pool: Pool, platform: UUID, case: UUID, proofs: Proofs) -> CaseRecord | None:
    text = await pool.fetchval(_CASE, platform, case, list(proofs))
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


async def marks(pool: Pool, cases: Sequence[tuple[UUID, UUID]]) -> Sequence[Mark]:
    """Of many cases at once, by platform and case: two lists of keys, one look into the index."""
    rows = await pool.fetch(
        """
        SELECT platform_id, id, timeline_seq AS seq, state FROM cases
        JOIN unnest($1::uuid[], $2::uuid[]) AS asked (platform_id, id) USING (platform_id, id)
        """,
        [platform for platform, _ in cases],
        [case for _, case in cases],
    )
    return [Mark(**dict(row)) for row in rows]


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
