"""Statements of previews: what would happen, what somebody was shown, and what a held operation stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.store.pool import Pool

Value = str | int | bool | None
FactKind = Literal["money", "count", "text", "yes_no", "state"]
"""how a value reads: minor units of the order's currency, a number of things, words, true or false, a word of a fixed list"""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an action stands on. No personal data."""

    name: str
    """stable, for programs: `payment.P1.refunded`"""
    label: str
    """the same for people"""
    value: Value
    """money in minor units of the order's currency"""
    kind: FactKind


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a refund: what a decision has already reserved for one cause."""

    operation: UUID
    state: str
    pays: UUID
    """the payment that it leaves"""
    line: UUID | None
    payment: UUID | None
    """of a second charge, or one without a ticket"""
    cause: str
    amount: int


class KeptPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent was shown."""

    case: UUID
    agent: UUID
    action: Mapping[str, Any]
    shown: Mapping[str, Any]
    facts: tuple[Fact, ...]
    facts_hash: str
    expired: bool
    used: bool


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    by: str
    at: datetime
    reason: str
    shown: Mapping[str, Any]
    facts: tuple[Fact, ...]


class HeldOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that people may agree to, with what its decision has reserved."""

    id: UUID
    case: UUID
    order: UUID
    show: UUID | None
    action: str
    state: str
    amount: int | None
    currency: str | None
    rail: str | None
    payment: str | None
    method: str | None
    pass_id: UUID | None
    holds: tuple[str, ...]
    needed: int
    given: int
    case_owner: str | None
    case_agent: UUID | None
    parts: tuple[Part, ...]
    """of every refund of the same decision"""
    proposed: Proposed | None
    """None: the policy did"""
    now: datetime


# One pass of the clean-up holds its row locks for a few milliseconds; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

_HELD: Final = msgspec.json.Decoder(HeldOperation)
_KEPT: Final = msgspec.json.Decoder(KeptPreview)

_OPERATION: Final = """
SELECT jsonb_build_object('id', o.id, 'case', o.case_id, 'order', o.order_id, 'show', c.show_id, 'action', o.action, 'state', o.state, 'amount', o.amount,
    'currency', o.currency, 'rail', o.rail, 'payment', p.ref, 'method', p.method, 'pass_id', o.pass_id, 'holds', to_jsonb(o.holds),
    'needed', o.approvals_needed, 'case_owner', c.owner, 'case_agent', c.agent_id, 'now', (SELECT app_now()),
    'given', (SELECT count(*) FROM approval a WHERE a.platform_id = $1 AND a.operation_id = o.id),
    'parts', (SELECT coalesce(jsonb_agg(jsonb_build_object('operation', x.id, 'state', x.state, 'pays', x.payment_id, 'line', part.line_id,
        'payment', h.payment_id, 'cause', h.cause, 'amount', part.amount) ORDER BY x.id, h.id), '[]')
        FROM operation x JOIN operation_part part ON part.platform_id = $1 AND part.operation_id = x.id
        JOIN harm h ON h.platform_id = $1 AND h.id = part.harm_id
        WHERE x.platform_id = $1 AND x.case_id = o.case_id AND (x.id = o.id OR x.decision_id = o.decision_id)),
    'proposed', (SELECT jsonb_build_object('by', t.actor, 'at', t.happened_at, 'reason', coalesce(t.data->>'reason', ''), 'shown', v.shown,
        'facts', v.facts) FROM preview v JOIN timeline t ON t.platform_id = $1 AND t.case_id = o.case_id AND t.kind = 'acted'
        AND t.data->>'preview' = v.id::text WHERE v.platform_id = $1 AND v.id = o.preview_id))::text
FROM operation o JOIN cases c ON c.platform_id = $1 AND c.id = o.case_id
LEFT JOIN payment p ON p.platform_id = $1 AND p.id = o.payment_id WHERE o.platform_id = $1 AND o.id = $2
"""


class PreviewStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def mark(self, platform: UUID, order: UUID) -> str:
        """What changes whenever a row of the order does that an action may stand on. Read before everything else, compared last."""
        return await self._pool.fetchval("SELECT order_mark($1, $2)  -- $1 is platform_id", platform, order) or ""

    async def would(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """What case_act would do with this document."""
        found: Mapping[str, Any] = await self._pool.fetchval("SELECT case_would($1::jsonb)  -- platform_id is in the document", document)
        return found

    async def operation_would(
        self, caller: Caller, operation: UUID, *, needed: int, caps: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """What operation_approve would answer."""
        found: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT operation_would($1, $2, $3, $4, $5, $6::jsonb)  -- $1 is platform_id",
            caller.platform_id,
            operation,
            caller.agent_id,
            caller.name,
            needed,
            caps,
        )
        return found

    async def keep(
        self,
        caller: Caller,
        preview: UUID,
        case: UUID,
        *,
        action: Mapping[str, Any],
        shown: Mapping[str, Any],
        facts: Sequence[Fact],
        facts_hash: str,
        mark: str,
        expires_at: datetime,
    ) -> None:
        await self._pool.execute(
            """
            INSERT INTO preview (platform_id, id, case_id, agent_id, action, shown, facts, facts_hash, order_mark, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8, $9, (SELECT app_now()), $10)
            """,
            caller.platform_id,
            preview,
            case,
            caller.agent_id,
            action,
            shown,
            facts,
            facts_hash,
            mark,
            expires_at,
        )

    async def kept(self, caller: Caller, preview: UUID) -> KeptPreview | None:
        """The caller's own; None: there is none, or it is somebody else's."""
        text = await self._pool.fetchval(
            """
            SELECT jsonb_build_object('case', case_id, 'agent', agent_id, 'action', action, 'shown', shown, 'facts', facts, 'facts_hash', facts_hash,
                'expired', expires_at <= (SELECT app_now()), 'used', used_at IS NOT NULL)::text
            FROM preview WHERE platform_id = $1 AND id = $2 AND agent_id = $3
            """,
            caller.platform_id,
            preview,
            caller.agent_id,
        )
        return None if text is None else _KEPT.decode(text)

    async def forget_old(self) -> None:
        """Those that nobody confirmed, a day after they ended; a bounded number at a time."""
        await self._pool.execute(
            """
            -- every platform: the clean-up is the installation's own
            DELETE FROM preview WHERE (platform_id, id) IN (SELECT platform_id, id FROM preview
                WHERE used_at IS NULL AND expires_at < (SELECT app_now()) - interval '1 day' LIMIT $1 FOR UPDATE SKIP LOCKED)
            """,
            _FORGOTTEN_AT_ONCE_MAX,
        )

    async def operation(self, platform: UUID, operation: UUID) -> HeldOperation | None:
        text = await self._pool.fetchval(_OPERATION, platform, operation)
        return None if text is None else _HELD.decode(text)
