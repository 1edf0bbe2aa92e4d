"""Statements of the desk: claims, messages, approvals, actions, and the bundle that a case is handed over with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from service.callers import Caller
from service.store.pool import Pool


class OperationToApprove(msgspec.Struct, frozen=True, kw_only=True):
    case: UUID
    order: UUID
    show: UUID | None
    amount: int | None
    currency: str | None
    needed: int
    given: int
    case_owner: str | None
    case_agent: UUID | None


class CaseToAct(msgspec.Struct, frozen=True, kw_only=True):
    order: UUID | None
    show: UUID | None


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What a case is handed over with, so that nobody asks the customer twice."""

    decisions: Sequence[Mapping[str, Any]]
    """newest first: outcome, guards, and per subject rule, words and facts"""
    tried: Sequence[Mapping[str, Any]]
    """each sending: operation, rail, result, when"""
    order: Mapping[str, Any] | None
    """what was bought and paid; no personal data"""
    history: Sequence[Mapping[str, Any]]
    """other cases of the same order"""


_BUNDLE: Final = msgspec.json.Decoder(Bundle)


class DeskStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, caller: Caller, case: UUID | None, seconds: float) -> UUID | None:
        found: UUID | None = await self._pool.fetchval(
            "SELECT case_take($1, $2, $3, $4, (SELECT skills FROM agent WHERE platform_id = $1 AND id = $2), $5)",
            caller.platform_id,
            caller.agent_id,
            caller.name,
            case,
            seconds,
        )
        return found

    async def note(self, caller: Caller, case: UUID, message: UUID, body: str, seconds: float) -> None:
        await self._pool.execute(
            "SELECT message_add($1, $2, $3, 'note', $4, $5, $6)  -- $1 is platform_id",
            caller.platform_id,
            case,
            message,
            caller.name,
            body,
            seconds,
        )

    async def reply(self, caller: Caller, case: UUID, message: UUID, body: str, seconds: float) -> None:
        """The words and the mail that carries them, in one transaction."""
        await self._pool.execute(
            "SELECT reply_add($1, $2, $3, $4, $5, $6)  -- $1 is platform_id", caller.platform_id, case, message, caller.name, body, seconds
        )

    async def leave(self, caller: Caller, case: UUID, kind: str, following: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
        left: bool = await self._pool.fetchval(
            "SELECT case_leave($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb)  -- $1 is platform_id",
            caller.platform_id,
            case,
            caller.agent_id,
            caller.name,
            kind,
            following,
            data,
        )
        return left

    async def case(self, platform: UUID, case: UUID) -> CaseToAct | None:
        row = await self._pool.fetchrow(
            'SELECT order_id AS "order", show_id AS show FROM cases WHERE platform_id = $1 AND id = $2', platform, case
        )
        return None if row is None else CaseToAct(**dict(row))

    async def has_open_operations(self, platform: UUID, case: UUID) -> bool:
        found: bool = await self._pool.fetchval(
            """
            SELECT EXISTS (SELECT FROM operation WHERE platform_id = $1 AND case_id = $2 AND ended_at IS NULL AND accepted_at IS NULL
                AND action <> 'void_pass')
            """,
            platform,
            case,
        )
        return found

    async def operation(self, platform: UUID, operation: UUID) -> OperationToApprove | None:
        row = await self._pool.fetchrow(
            """
            SELECT o.case_id AS case, o.order_id AS "order", c.show_id AS show, o.amount, o.currency, o.approvals_needed AS needed,
                (SELECT count(*) FROM approval a WHERE a.platform_id = $1 AND a.operation_id = o.id)::int AS given,
                c.owner AS case_owner, c.agent_id AS case_agent
            FROM operation o JOIN cases c ON c.platform_id = $1 AND c.id = o.case_id WHERE o.platform_id = $1 AND o.id = $2
            """,
            platform,
            operation,
        )
        return None if row is None else OperationToApprove(**dict(row))

    async def approve(
        self, caller: Caller, operation: UUID, reason: str, needed: int, caps: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT operation_approve($1, $2, $3, $4, $5, $6, $7::jsonb)  -- $1 is platform_id",
            caller.platform_id,
            operation,
            caller.agent_id,
            caller.name,
            reason,
            needed,
            caps,
        )
        return answer

    async def refuse(self, caller: Caller, operation: UUID, reason: str) -> bool:
        done: bool = await self._pool.fetchval(
            "SELECT operation_refuse($1, $2, $3, $4)  -- $1 is platform_id", caller.platform_id, operation, caller.name, reason
        )
        return done

    async def settle(self, caller: Caller, operation: UUID, reference: str, sent_on: date | None) -> str:
        answer: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT operation_settle($1, $2, $3, $4, $5)  -- $1 is platform_id",
            caller.platform_id,
            operation,
            caller.name,
            reference,
            sent_on,
        )
        return str(answer["status"])

    async def judge(self, caller: Caller, operation: UUID, *, moved: bool, reference: str | None) -> str:
        answer: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT operation_judge($1, $2, $3, $4, $5)  -- $1 is platform_id", caller.platform_id, operation, caller.name, moved, reference
        )
        return str(answer["status"])

    async def act(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """{status: stored|already_paid|not_yours|disputed, operations}."""
        try:
            answer: Mapping[str, Any] = await self._pool.fetchval("SELECT case_act($1::jsonb)  -- platform_id is in the document", document)
        except asyncpg.PostgresError as error:
            if error.sqlstate == "MG001":
                return {"status": "disputed", "operations": []}
            raise
        return answer


async def bundle(pool: Pool, caller: Caller, case: UUID) -> Bundle | None:
    """The bundle of a case, and a line in the audit that this caller looked at it; None: no such case."""
    text = await pool.fetchval(
        """
        WITH c AS MATERIALIZED (SELECT * FROM cases WHERE platform_id = $1 AND id = $2), seen AS (
            INSERT INTO audit (platform_id, at, actor, what, data)
            SELECT $1, (SELECT app_now()), $3, 'case_viewed', jsonb_build_object('case', c.id) FROM c RETURNING id)
        SELECT jsonb_build_object(
            'decisions', coalesce((SELECT jsonb_agg(jsonb_build_object('id', d.id, 'outcome', d.outcome, 'guards', d.guards, 'verdicts', d.verdicts,
                'at', d.created_at) ORDER BY d.created_at DESC) FROM decision d WHERE d.platform_id = $1 AND d.case_id = c.id), '[]'),
            'tried', coalesce((SELECT jsonb_agg(jsonb_build_object('operation', o.id, 'action', o.action, 'rail', a.rail, 'attempt_state', a.state,
                'provider_ref', a.provider_ref, 'failure', a.failure, 'result', t.result, 'detail', t.detail, 'at', t.started_at) ORDER BY t.started_at)
                FROM operation o JOIN attempt a ON a.platform_id = $1 AND a.operation_id = o.id JOIN try t ON t.platform_id = $1 AND t.attempt_id = a.id
                WHERE o.platform_id = $1 AND o.case_id = c.id), '[]'),
            'order', (SELECT jsonb_build_object('ref', x.ref, 'status', x.status, 'currency', x.currency, 'total', x.total, 'placed_at', x.placed_at,
                'positions', (SELECT jsonb_agg(jsonb_build_object('ref', l.ref, 'type', l.type, 'kind', l.kind, 'name', l.name, 'price', l.price,
                    'awarded', l.awarded, 'canceled', l.canceled) ORDER BY l.id) FROM line l WHERE l.platform_id = $1 AND l.order_id = x.id),
                'payments', (SELECT jsonb_agg(jsonb_build_object('ref', p.ref, 'rail', p.rail, 'status', p.status, 'captured', p.captured,
                    'refunded', p.refunded, 'reserved', p.reserved, 'refunded_elsewhere', p.refunded_elsewhere, 'dispute', p.dispute,
                    'method', p.method) ORDER BY p.created_at) FROM payment p WHERE p.platform_id = $1 AND p.order_id = x.id))
                FROM orders x WHERE x.platform_id = $1 AND x.id = c.order_id),
            'history', coalesce((SELECT jsonb_agg(jsonb_build_object('case', h.id, 'problem', h.problem, 'state', h.state, 'at', h.created_at)
                ORDER BY h.created_at DESC) FROM cases h WHERE h.platform_id = $1 AND h.order_id = c.order_id AND h.id <> c.id), '[]')
        )::text FROM c, seen
        """,
        caller.platform_id,
        case,
        caller.name,
    )
    return None if text is None else _BUNDLE.decode(text)
