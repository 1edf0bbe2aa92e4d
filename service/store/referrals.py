"""Statements of referrals: asked, answered, withdrawn, and read with what their evidence is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.callers import Caller
from service.store.idempotency import IdempotencyKey, once
from service.store.pool import Connection, Pool


class ReferralRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    case_id: UUID
    order: str | None
    problem: str
    show: str | None
    team: str
    reason: str
    question: str
    evidence: Sequence[Mapping[str, Any]]
    holds: bool
    holding: bool
    """money and passes of the order wait now"""
    held: Mapping[str, int]
    """what waits for this order's answers, by currency"""
    asked_by: str
    agent_id: UUID | None
    state: str
    answer: Mapping[str, Any] | None
    created_at: datetime
    answer_by: datetime
    answered_at: datetime | None
    overdue: bool


# $1 is platform_id. What a piece of evidence points at is read as it is now; free text only for the desk, where {words} says so.
_SHOWN: Final = """
SELECT r.id, r.case_id, o.ref AS "order", c.problem, s.ref AS show, r.team, r.reason, r.question, r.holds, r.holding, r.asked_by, r.agent_id, r.state,
    r.answer, r.created_at, r.answer_by, r.answered_at, r.state = 'open' AND r.answer_by <= (SELECT app_now()) AS overdue, r.evidence,
    coalesce((SELECT jsonb_object_agg(currency, amount) FROM (SELECT p.currency, sum(p.amount) AS amount FROM operation p WHERE p.platform_id = $1
        AND r.holding AND (p.order_id = r.order_id OR p.case_id = r.case_id) AND p.state = 'HELD' AND 'referral' = ANY (p.holds)
        AND p.amount IS NOT NULL GROUP BY p.currency) AS waits), '{}') AS held
FROM referral r JOIN cases c ON c.platform_id = $1 AND c.id = r.case_id
LEFT JOIN orders o ON o.platform_id = $1 AND o.id = r.order_id LEFT JOIN show s ON s.platform_id = $1 AND s.id = c.show_id
WHERE r.platform_id = $1
"""

_ONE: Final = f"{_SHOWN} AND r.id = $2"
_LISTED: Final = f"""{_SHOWN} AND ($2::text IS NULL OR r.state = $2 OR ($2 = 'open' AND r.holding)) AND ($3::text IS NULL OR r.team = $3) AND ($4::uuid IS NULL OR r.case_id = $4)
ORDER BY r.created_at DESC, r.id LIMIT $5 OFFSET $6"""


class ReferralStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, key: IdempotencyKey, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """{status: opened|repeat|not_yours|already_referred|no_evidence, piece?}. Raises KeyReused."""

        async def ask(connection: Connection) -> Mapping[str, Any]:
            answer: Mapping[str, Any] = await connection.fetchval(
                "SELECT referral_open($1::jsonb)  -- platform_id is in the document", document
            )
            return answer

        answer = await once(self._pool, key, document["id"], ask, made=lambda said: said["status"] == "opened")
        return {"status": "repeat"} if answer is None else answer

    async def made_by(self, key: IdempotencyKey) -> UUID | None:
        """The referral that this key has made."""
        found: UUID | None = await self._pool.fetchval(
            "SELECT resource_id FROM idempotency WHERE platform_id = $1 AND caller = $2 AND method = $3 AND path = $4 AND key = $5",
            key.platform_id,
            key.caller,
            key.method,
            key.path,
            key.key,
        )
        return found

    async def answer(self, document: Mapping[str, Any]) -> str:
        """`answered`, `same`, `own`, `answered_before` or `no_referral`."""
        said: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT referral_answer($1::jsonb)  -- platform_id is in the document", document
        )
        return str(said["status"])

    async def withdraw(self, caller: Caller, referral: UUID, reason: str) -> str:
        """`withdrawn`, `same`, `judged` or `no_referral`."""
        said: Mapping[str, Any] = await self._pool.fetchval(
            "SELECT referral_withdraw($1, $2, $3, $4)  -- $1 is platform_id", caller.platform_id, referral, caller.name, reason
        )
        return str(said["status"])

    async def one(self, platform: UUID, referral: UUID) -> ReferralRow | None:
        row = await self._pool.fetchrow(_ONE, platform, referral)
        return None if row is None else ReferralRow(**dict(row))

    async def listed(
        self, platform: UUID, *, state: str | None, team: str | None, case: UUID | None, most: int, offset: int
    ) -> Sequence[ReferralRow]:
        """The newest first. `open` lists what asked back and holds on as well: it waits for an answer."""
        rows = await self._pool.fetch(_LISTED, platform, state, team, case, most, offset)
        return [ReferralRow(**dict(row)) for row in rows]

    async def judges(self, caller: Caller) -> bool:
        """Whether an agent answers for the teams: a person with the skill `trust`."""
        found: bool = await self._pool.fetchval(
            "SELECT EXISTS (SELECT FROM agent WHERE platform_id = $1 AND id = $2 AND 'trust' = ANY (skills) AND role <> 'machine')",
            caller.platform_id,
            caller.agent_id,
        )
        return found
