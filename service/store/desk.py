"""Statements of the desk: claims, approvals, actions, and the bundle that a case is handed over with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from service.callers import Caller
from service.store.idempotency import IdempotencyKey, once
from service.store.pool import Connection, Pool

EndStatus = Literal["ended", "cannot_end", "referral_open"]


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

    async def end(self, caller: Caller, case: UUID, outcome: str, reason: str) -> EndStatus:
        ended: EndStatus = await self._pool.fetchval(
            "SELECT case_end($1, $2, $3, $4, $5, $6)  -- $1 is platform_id",
            caller.platform_id,
            case,
            caller.agent_id,
            caller.name,
            outcome,
            reason,
        )
        return ended

    async def approve(
        self,
        caller: Caller,
        key: IdempotencyKey,
        operation: UUID,
        *,
        reason: str,
        needed: int,
        caps: Sequence[Mapping[str, Any]],
        bound: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | None:
        """`bound`: what this person saw, as operation_approve compares it. None: this key has agreed before. Raises KeyReused."""

        async def agree(connection: Connection) -> Mapping[str, Any]:
            answer: Mapping[str, Any] = await connection.fetchval(
                "SELECT operation_approve($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb)  -- $1 is platform_id",
                caller.platform_id,
                operation,
                caller.agent_id,
                caller.name,
                reason,
                needed,
                caps,
                bound or {},
            )
            return answer

        return await once(self._pool, key, operation, agree, made=lambda answer: answer["status"] in {"approved", "released"})

    async def refuse(self, caller: Caller, operation: UUID, reason: str) -> bool:
        done: bool = await self._pool.fetchval(
            "SELECT operation_refuse($1, $2, $3, $4)  -- $1 is platform_id", caller.platform_id, operation, caller.name, reason
        )
        return done

    async def settle(self, caller: Caller, key: IdempotencyKey, operation: UUID, reference: str, sent_on: date | None) -> str:
        """The status that operation_settle says; `settled` too where this key has settled it before. Raises KeyReused."""

        async def write_down(connection: Connection) -> str:
            answer: Mapping[str, Any] = await connection.fetchval(
                "SELECT operation_settle($1, $2, $3, $4, $5)  -- $1 is platform_id",
                caller.platform_id,
                operation,
                caller.name,
                reference,
                sent_on,
            )
            return str(answer["status"])

        return await once(self._pool, key, operation, write_down, made=lambda status: status == "settled") or "settled"

    async def judge(self, caller: Caller, operation: UUID, *, moved: bool, reference: str | None) -> str:
        answer: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT operation_judge($1, $2, $3, $4, $5)  -- $1 is platform_id", caller.platform_id, operation, caller.name, moved, reference
        )
        return str(answer["status"])

    async def act(self, key: IdempotencyKey, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """{status: stored|repeat|already_paid|not_yours|disputed|moved|preview_used, operations}; `repeat`: this key has acted before.

        Raises KeyReused.
        """

        async def act(connection: Connection) -> Mapping[str, Any]:
            answer: Mapping[str, Any] = await connection.fetchval("SELECT case_act($1::jsonb)  -- platform_id is in the document", document)
            return answer

        try:
            answer = await once(self._pool, key, document["decision"], act, made=lambda answer: answer["status"] == "stored")
        except asyncpg.PostgresError as error:
            # What was seen was seen under the same locks: whatever refuses now has come in between.
            if error.sqlstate in {"MG001", "MG005"}:
                return {"status": "moved", "operations": []}
            raise
        return {"status": "repeat", "operations": []} if answer is None else answer


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
                    'method', p.method) ORDER BY p.created_at) FROM payment p WHERE p.platform_id = $1 AND p.order_id = x.id),
                'passes', (SELECT jsonb_agg(jsonb_build_object('id', 'pass_' || replace(t.id::text, '-', ''), 'position', l.ref, 'status', t.status,
                    'issuer', t.issuer, 'checked_in_at', t.checked_in_at, 'replaces', t.replaces IS NOT NULL) ORDER BY t.created_at, t.id)
                    FROM pass t JOIN line l ON l.platform_id = $1 AND l.id = t.line_id WHERE t.platform_id = $1 AND t.order_id = x.id))
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
