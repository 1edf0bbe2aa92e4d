"""Statements of answering: what is sent and attached, what is being typed, how long people take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.callers import Caller
from service.store.idempotency import IdempotencyKey, once
from service.store.pool import Connection, Pool

# An agent attaches a screenshot or two; more lie about when a program runs wild.
UNSENT_MAX: Final = 20
# An evening of screenshots: 250 MB of one case at most.
OF_CASE_MAX: Final = 50
# What was attached and not sent on the day it was attached is forgotten.
UNSENT_KEPT_HOURS: Final = 24
# Longer than any holiday after which somebody would still send what they had begun.
DRAFTS_KEPT_DAYS: Final = 30
# One pass of the clean-up holds its row locks for a few milliseconds; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 1_000
# Two of each of the agents that one case ever has.
_DRAFTS_SHOWN_MAX: Final = 50
# A case that others joined: as many as anybody would look through.
_JOINED_MAX: Final = 50

Sent = Literal["sent", "not_yours", "no_attachment"]


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file with its content, and the cases under whose id it may be asked for: its own, and those that joined it."""

    id: UUID
    name: str
    type: str
    content: bytes
    sent: bool
    cases: tuple[UUID, ...]


class DraftRow(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["reply", "note"]
    body: str
    updated_at: datetime
    agent: str
    mine: bool


class Money(msgspec.Struct, frozen=True, kw_only=True):
    amount: int
    currency: str


class CaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a macro may say of a case. No personal data."""

    problem: str
    locale: str
    skill: str | None
    order: str | None
    show: Mapping[str, str] | None
    refunded: tuple[Money, ...]
    """what was sent or is on its way, by currency"""
    reference: str | None
    """of the newest refund at its processor"""


class WaitSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds at the 10th, 50th and 90th percentile; None where there was nothing to count."""

    answered: int
    seen: tuple[float, ...] | None
    waiting: int
    promised: tuple[float, ...] | None
    now: datetime


class AnsweringStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def send(self, caller: Caller, key: IdempotencyKey, document: Mapping[str, Any]) -> Sent | None:
        """A reply or a note with what carries it, in one transaction; once for each key (None: it was sent before). Raises KeyReused."""

        async def add(connection: Connection) -> Sent:
            sent: Sent = await connection.fetchval(
                "SELECT message_send($1::jsonb)  -- platform_id is in the document",
                {"platform": caller.platform_id, "actor": caller.name, "agent": caller.agent_id, **document},
            )
            return sent

        return await once(self._pool, key, document["message"], add, made=lambda sent: sent == "sent")

    async def has(self, caller: Caller, case: UUID) -> bool:
        """Whether this agent has taken the case, or the one that it joined."""
        found: bool = await self._pool.fetchval(
            """
            SELECT EXISTS (SELECT FROM cases WHERE platform_id = $1 AND owner = 'agent' AND agent_id = $3
                AND id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2))
            """,
            caller.platform_id,
            case,
            caller.agent_id,
        )
        return found

    async def attach(self, caller: Caller, case: UUID, attachment: UUID, *, name: str, kind: str, content: bytes) -> bool:
        """False: as many as may wait to be sent do, or the case has as many as it may have."""
        added: str = await self._pool.fetchval(
            "SELECT attachment_add($1, $2, $3, $4, $5, $6, $7, $8, $9)  -- $1 is platform_id",
            caller.platform_id,
            case,
            attachment,
            caller.name,
            name,
            kind,
            content,
            UNSENT_MAX,
            OF_CASE_MAX,
        )
        return added == "added"

    async def attachment(self, platform: UUID, attachment: UUID) -> Attachment | None:
        row = await self._pool.fetchrow(
            """
            SELECT id, name, type, bytes AS content, message_id IS NOT NULL AS sent, ARRAY(SELECT c.id FROM cases c
                WHERE c.platform_id = $1 AND (c.id = a.case_id OR c.joined_to = a.case_id) ORDER BY c.id LIMIT $3) AS cases
            FROM attachment a WHERE platform_id = $1 AND id = $2
            """,
            platform,
            attachment,
            _JOINED_MAX,
        )
        return None if row is None else Attachment(**{**dict(row), "cases": tuple(row["cases"])})

    async def keep_draft(self, caller: Caller, case: UUID, kind: str, body: str) -> None:
        """What this agent is typing; empty: nothing any more."""
        if not body:
            await self._pool.execute(
                """
                DELETE FROM draft WHERE platform_id = $1 AND agent_id = $3 AND kind = $4
                    AND case_id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2)
                """,
                caller.platform_id,
                case,
                caller.agent_id,
                kind,
            )
            return
        await self._pool.execute(
            """
            INSERT INTO draft (platform_id, case_id, agent_id, kind, body, updated_at)
            SELECT $1, coalesce(joined_to, id), $3, $4, $5, (SELECT app_now()) FROM cases WHERE platform_id = $1 AND id = $2
            ON CONFLICT (platform_id, case_id, agent_id, kind) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at
            """,
            caller.platform_id,
            case,
            caller.agent_id,
            kind,
            body,
        )

    async def drafts(self, caller: Caller, case: UUID) -> Sequence[DraftRow]:
        """The caller's own; of others too while the caller has the case. Newest first."""
        rows = await self._pool.fetch(
            """
            SELECT d.kind, d.body, d.updated_at, a.name AS agent, d.agent_id = $3 AS mine
            FROM cases c JOIN draft d ON d.platform_id = $1 AND d.case_id = c.id JOIN agent a ON a.platform_id = $1 AND a.id = d.agent_id
            WHERE c.platform_id = $1 AND c.id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2)
              AND (d.agent_id = $3 OR (c.owner = 'agent' AND c.agent_id = $3))
            ORDER BY d.updated_at DESC LIMIT $4
            """,
            caller.platform_id,
            case,
            caller.agent_id,
            _DRAFTS_SHOWN_MAX,
        )
        return [DraftRow(**dict(row)) for row in rows]

    async def facts(self, platform: UUID, case: UUID) -> CaseFacts | None:
        row = await self._pool.fetchrow(
            """
            SELECT c.problem, c.locale, c.skill, o.ref AS "order",
                (SELECT name FROM show WHERE platform_id = $1 AND id = c.show_id) AS show,
                coalesce((SELECT jsonb_agg(jsonb_build_object('amount', s.amount, 'currency', s.currency)) FROM (
                    SELECT sum(x.amount)::bigint AS amount, x.currency FROM operation x WHERE x.platform_id = $1 AND x.case_id = c.id
                        AND x.action = 'refund' AND (x.accepted_at IS NOT NULL OR x.state = 'DONE') AND x.state NOT IN ('REFUSED', 'FAILED')
                    GROUP BY x.currency) s), '[]') AS refunded,
                (SELECT t.provider_ref FROM operation x JOIN attempt t ON t.platform_id = $1 AND t.operation_id = x.id
                    WHERE x.platform_id = $1 AND x.case_id = c.id AND x.action = 'refund' AND t.provider_ref IS NOT NULL
                      AND x.state NOT IN ('REFUSED', 'FAILED') ORDER BY x.created_at DESC, t.seq DESC LIMIT 1) AS reference
            FROM cases c LEFT JOIN orders o ON o.platform_id = $1 AND o.id = c.order_id
            WHERE c.platform_id = $1 AND c.id = (SELECT coalesce(joined_to, id) FROM cases WHERE platform_id = $1 AND id = $2)
            """,
            platform,
            case,
        )
        return None if row is None else msgspec.convert(dict(row), CaseFacts)

    async def wait_seen(self, platform: UUID, skill: str | None, seconds: float) -> WaitSeen:
        """Of the cases that people looked at within the last so many seconds, and of those that wait."""
        row = await self._pool.fetchrow(
            """
            SELECT wait_seen($1, $2, (SELECT app_now()) - make_interval(secs => $3)) AS seen,
                (SELECT app_now()) AS now  -- $1 is platform_id
            """,
            platform,
            skill,
            seconds,
        )
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return msgspec.convert({**row["seen"], "now": row["now"]}, WaitSeen)

    async def forget_old(self) -> None:
        """Drops files that nobody sent and drafts that nobody touched, of every platform, a bounded number at a time."""
        await self._pool.execute(
            """
            -- every platform: the clean-up is the installation's own
            DELETE FROM attachment a USING (SELECT platform_id, id FROM attachment WHERE message_id IS NULL
                AND created_at < (SELECT app_now()) - make_interval(hours => $1) LIMIT $2 FOR UPDATE SKIP LOCKED) old
            WHERE a.platform_id = old.platform_id AND a.id = old.id
            """,
            UNSENT_KEPT_HOURS,
            _FORGOTTEN_AT_ONCE_MAX,
        )
        await self._pool.execute(
            """
            -- every platform: the clean-up is the installation's own
            DELETE FROM draft d USING (SELECT platform_id, case_id, agent_id, kind FROM draft
                WHERE updated_at < (SELECT app_now()) - make_interval(days => $1) LIMIT $2 FOR UPDATE SKIP LOCKED) old
            WHERE (d.platform_id, d.case_id, d.agent_id, d.kind) = (old.platform_id, old.case_id, old.agent_id, old.kind)
            """,
            DRAFTS_KEPT_DAYS,
            _FORGOTTEN_AT_ONCE_MAX,
        )
