"""Calls the flow's units (functions/): each method is one statement and one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from service.store.pool import Pool

# A deadlock or a serialization failure did nothing; three more tries, since each loser meets fewer rivals.
_TRIES_MAX: Final = 4


class FactsMoved(Exception):  # noqa: N818 - says what happened
    """The money moved between reading and deciding; nothing was stored. Read again and decide anew."""


class ClaimedOperation(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    id: UUID
    epoch: int
    action: str
    state: str
    rail: str | None
    case: UUID


class ClaimedCase(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    id: UUID
    epoch: int


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """What resolve() needs to know of a case."""

    id: UUID
    state: str
    problem: str
    show: UUID | None
    order: UUID | None
    claimed_order: str | None
    requester: str
    identity: str
    incident_ref: str | None
    answers: Mapping[str, Any]
    wait_for: str | None
    wait_ref: str | None
    wait_until: datetime | None
    created_at: datetime
    locale: str
    decision: UUID | None
    passes: tuple[UUID, ...]
    failed: bool
    """an operation of the newest decision ended REFUSED or FAILED"""


class FlowStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _call(self, sql: str, *arguments: object) -> Any:
        for tries_left in range(_TRIES_MAX - 1, -1, -1):
            try:
                return await self._pool.fetchval(sql, *arguments)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                if tries_left == 0:
                    raise
            except asyncpg.PostgresError as error:
                if error.sqlstate == "MG001":
                    raise FactsMoved(str(error)) from error
                raise
        raise AssertionError("unreachable")

    # ------------------------------------------------------------------------------------------------ cases

    async def open(self, opening: Mapping[str, Any]) -> Mapping[str, Any]:
        """Opens a case: {status: opened|joined|repeat|mismatch, case, epoch}. The opening names its platform_id."""
        found: Mapping[str, Any] = await self._call("SELECT case_open($1::jsonb)  -- platform_id is in the document", opening)
        return found

    async def open_and_decide(self, opening: Mapping[str, Any], decision: Mapping[str, Any]) -> Mapping[str, Any]:
        """The hot path's first commit. Raises FactsMoved."""
        found: Mapping[str, Any] = await self._call(
            "SELECT case_open_and_decide($1::jsonb, $2::jsonb)  -- platform_id is in both documents", opening, decision
        )
        return found

    async def decide(self, decision: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stores a decision under the case's lease: {status: stored|lost|joined, operations}. Raises FactsMoved."""
        found: Mapping[str, Any] = await self._call("SELECT case_decide($1::jsonb)  -- platform_id is in the document", decision)
        return found

    async def contact(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """A further contact: {case, reopened}."""
        found: Mapping[str, Any] = await self._call("SELECT case_contact($1::jsonb)  -- platform_id is in the document", document)
        return found

    async def lease_case(self, platform: UUID, case: UUID, seconds: float) -> int | None:
        epoch: int | None = await self._call("SELECT case_lease($1, $2, $3)  -- $1 is platform_id", platform, case, seconds)
        return epoch

    async def claim_cases(self, most: int, seconds: float) -> Sequence[ClaimedCase]:
        """Cases that are due, of all platforms, each under a new lease."""
        rows = await self._pool.fetch("SELECT platform_id, id, epoch FROM cases_claim($1, $2)", most, seconds)
        return [ClaimedCase(platform=row["platform_id"], id=row["id"], epoch=row["epoch"]) for row in rows]

    async def case(self, platform: UUID, case: UUID) -> CaseRow | None:
        row = await self._pool.fetchrow(
            """
            SELECT c.id, c.state, c.problem, c.show_id, c.order_id, c.claimed_order, c.requester, c.identity, c.incident_ref, c.answers,
                c.wait_for, c.wait_ref, c.wait_until, c.created_at, c.locale, c.decision_id,
                ARRAY(SELECT pass_id FROM case_subject s WHERE s.platform_id = $1 AND s.case_id = c.id AND pass_id IS NOT NULL) AS passes,
                EXISTS (SELECT FROM operation o WHERE o.platform_id = $1 AND o.case_id = c.id AND o.decision_id = c.decision_id
                    AND o.state IN ('REFUSED', 'FAILED')) AS failed
            FROM cases c WHERE c.platform_id = $1 AND c.id = $2
            """,
            platform,
            case,
        )
        if row is None:
            return None
        return CaseRow(
            id=row["id"],
            state=row["state"],
            problem=row["problem"],
            show=row["show_id"],
            order=row["order_id"],
            claimed_order=row["claimed_order"],
            requester=row["requester"],
            identity=row["identity"],
            incident_ref=row["incident_ref"],
            answers=row["answers"],
            wait_for=row["wait_for"],
            wait_ref=row["wait_ref"],
            wait_until=row["wait_until"],
            created_at=row["created_at"],
            locale=row["locale"],
            decision=row["decision_id"],
            passes=tuple(row["passes"]),
            failed=row["failed"],
        )

    # ------------------------------------------------------------------------------------------- operations

    async def lease_operation(self, platform: UUID, operation: UUID, seconds: float) -> int | None:
        epoch: int | None = await self._call("SELECT operation_lease($1, $2, $3)  -- $1 is platform_id", platform, operation, seconds)
        return epoch

    async def claim_operations(self, most: int, seconds: float) -> Sequence[ClaimedOperation]:
        """Operations that are due, of all platforms, each under a new lease."""
        rows = await self._pool.fetch(
            "SELECT platform_id, id, epoch, action, state, rail, case_id FROM operations_claim($1, $2)", most, seconds
        )
        return [
            ClaimedOperation(
                platform=row["platform_id"],
                id=row["id"],
                epoch=row["epoch"],
                action=row["action"],
                state=row["state"],
                rail=row["rail"],
                case=row["case_id"],
            )
            for row in rows
        ]

    async def begin(
        self, platform: UUID, operation: UUID, epoch: int, attempt: UUID, *, lease_seconds: float, key_seconds: float
    ) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._call(
            "SELECT operation_begin($1, $2, $3, $4, $5, $6)  -- $1 is platform_id",
            platform,
            operation,
            epoch,
            attempt,
            lease_seconds,
            key_seconds,
        )
        return found

    async def record(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """The second commit: {status: stored|lost, case, follow}."""
        found: Mapping[str, Any] = await self._call("SELECT operation_record($1::jsonb)  -- platform_id is in the document", document)
        return found

    async def do_here(self, platform: UUID, operation: UUID, epoch: int, barcode: str, resend: UUID) -> bool:
        """Carries out what our own tables do alone (a reissue, a replacement, a void) unless a brake is on. False: not now."""
        done: bool = await self._call(
            "SELECT operation_here($1, $2, $3, $4, $5)  -- $1 is platform_id", platform, operation, epoch, barcode, resend
        )
        return done

    async def look_after(self, platform: UUID, operation: UUID) -> None:
        """The hourly look at an operation that people have: it makes sure that a queued case exists."""
        await self._call("SELECT operation_look($1, $2)  -- $1 is platform_id", platform, operation)
