"""Calls the flow's units (functions/): each method is one statement and one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from service.store.idempotency import IdempotencyKey, once
from service.store.pool import Connection, Pool

# A deadlock or a serialization failure did nothing; three more tries, since each loser meets fewer rivals.
_TRIES_MAX: Final = 4


class FactsMoved(Exception):  # noqa: N818 - says what happened
    """The money moved between reading and deciding; nothing was stored. Read again and decide anew."""


class OfferMoved(Exception):  # noqa: N818 - says what happened
    """What a customer said yes to is not what would be done now; nothing was stored."""


class ClaimedOperation(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    id: UUID
    epoch: int
    action: str
    state: str
    rail: str | None
    case: UUID
    priority: int
    """0 interactive, 1 background, 2 bulk"""


class Choosing(msgspec.Struct, frozen=True, kw_only=True):
    """A refund that may go another way."""

    operation: UUID
    reason: str
    """what the first rail proved, or `unreachable`"""
    amount: int
    currency: str


class AttemptToRead(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    id: UUID
    rail: str
    state: str
    request: Mapping[str, Any]
    provider_ref: str


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
    player_error: str | None
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
    choosing: bool
    """a refund of it waits to be sent another way"""


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
                if error.sqlstate == "MG007":
                    raise OfferMoved(str(error)) from error
                raise
        raise AssertionError("unreachable")

    # ------------------------------------------------------------------------------------------------ cases

    async def open(self, opening: Mapping[str, Any]) -> Mapping[str, Any]:
        """Opens a case: {status: opened|joined|repeat|mismatch, case, epoch}. The opening names its platform_id."""
        found: Mapping[str, Any] = await self._call("SELECT case_open($1::jsonb)  -- platform_id is in the document", opening)
        return found

    async def open_and_decide(self, opening: Mapping[str, Any], decision: Mapping[str, Any]) -> Mapping[str, Any]:
        """The hot path's first commit. Raises FactsMoved; OfferMoved where the decision holds what was `offered`."""
        found: Mapping[str, Any] = await self._call(
            "SELECT case_open_and_decide($1::jsonb, $2::jsonb)  -- platform_id is in both documents", opening, decision
        )
        return found

    async def would(self, looks: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """What open_and_decide would bring, for each {open, decide}: {status: opened|joined|moved, would, to}. Nothing is stored."""
        found: Sequence[Mapping[str, Any]] = await self._call("SELECT cases_would($1::jsonb)  -- platform_id is in the documents", looks)
        return found

    async def answer_would(self, decision: Mapping[str, Any]) -> Mapping[str, Any]:
        """What decide would bring on a case that waits for its customer: {status: stored|lost|joined|moved, would, to}. Nothing is stored."""
        found: Mapping[str, Any] = await self._call("SELECT answer_would($1::jsonb)  -- platform_id is in the document", decision)
        return found

    async def decide(self, decision: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stores a decision under the case's lease: {status: stored|lost|joined, operations}. Raises FactsMoved."""
        found: Mapping[str, Any] = await self._call("SELECT case_decide($1::jsonb)  -- platform_id is in the document", decision)
        return found

    async def contact(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """A further contact: {status: said|repeat|mismatch, case, reopened}."""
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
                c.player->>'error' AS player_error, c.wait_for, c.wait_ref, c.wait_until, c.created_at, c.locale, c.decision_id,
                ARRAY(SELECT pass_id FROM case_subject s WHERE s.platform_id = $1 AND s.case_id = c.id AND pass_id IS NOT NULL) AS passes,
                EXISTS (SELECT FROM operation o WHERE o.platform_id = $1 AND o.case_id = c.id AND o.decision_id = c.decision_id
                    AND o.state IN ('REFUSED', 'FAILED')) AS failed,
                EXISTS (SELECT FROM operation o WHERE o.platform_id = $1 AND o.case_id = c.id
                    AND (o.state = 'CHOICE_NEEDED' OR (o.state = 'SENT' AND o.choice_offered_at IS NOT NULL))) AS choosing
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
            player_error=row["player_error"],
            answers=row["answers"],
            wait_for=row["wait_for"],
            wait_ref=row["wait_ref"],
            wait_until=row["wait_until"],
            created_at=row["created_at"],
            locale=row["locale"],
            decision=row["decision_id"],
            passes=tuple(row["passes"]),
            failed=row["failed"],
            choosing=row["choosing"],
        )

    # ------------------------------------------------------------------------------------------- operations

    async def lease_operation(self, platform: UUID, operation: UUID, seconds: float) -> int | None:
        epoch: int | None = await self._call("SELECT operation_lease($1, $2, $3)  -- $1 is platform_id", platform, operation, seconds)
        return epoch

    async def claim_operations(self, most: int, seconds: float) -> Sequence[ClaimedOperation]:
        """Operations that are due, of all platforms, each under a new lease."""
        rows = await self._pool.fetch(
            "SELECT platform_id, id, epoch, action, state, rail, case_id, priority FROM operations_claim($1, $2)", most, seconds
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
                priority=row["priority"],
            )
            for row in rows
        ]

    async def begin(
        self, platform: UUID, operation: UUID, epoch: int, *, lease_seconds: float, key_seconds: Mapping[str, float]
    ) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._call(
            "SELECT operation_begin($1, $2, $3, $4, $5::jsonb)  -- $1 is platform_id",
            platform,
            operation,
            epoch,
            lease_seconds,
            key_seconds,
        )
        return found

    async def waits(self, platform: UUID, operation: UUID, epoch: int, attempt: UUID, try_: int, *, seconds: float) -> None:
        """A sending that has to wait for its turn was no try."""
        await self._call(
            "SELECT operation_waits($1, $2, $3, $4, $5, $6)  -- $1 is platform_id", platform, operation, epoch, attempt, try_, seconds
        )

    async def order_was_read(self, platform: UUID, ref: str) -> None:
        """Keeps that the order was read at its platform now."""
        await self._pool.execute("UPDATE orders SET read_at = app_now() WHERE platform_id = $1 AND ref = $2", platform, ref)

    async def order_unread(self, platform: UUID, operation: UUID, epoch: int, *, seconds: float) -> None:
        """The order could not be read: the operation is looked at again then."""
        await self._call("SELECT operation_waits($1, $2, $3, NULL, 0, $4)  -- $1 is platform_id", platform, operation, epoch, seconds)

    async def order_unclear(self, platform: UUID, operation: UUID, epoch: int, hold: str) -> None:
        """People look at the order first."""
        await self._call("SELECT operation_order_unclear($1, $2, $3, $4)  -- $1 is platform_id", platform, operation, epoch, hold)

    async def destination(self, platform: UUID, person: UUID) -> str | None:
        """The address that a customer chose; None: it was erased."""
        found: str | None = await self._pool.fetchval("SELECT email FROM person WHERE platform_id = $1 AND id = $2", platform, person)
        return found

    async def payment_was_read(self, platform: UUID, operation: UUID, *, refunded_minor: int, disputed: bool) -> bool:
        """Keeps what the processor said of the operation's payment; whether nothing there is anybody else's."""
        clean: bool | None = await self._call(
            "SELECT payment_was_read($1, (SELECT payment_id FROM operation WHERE platform_id = $1 AND id = $2), $3, $4)",
            platform,
            operation,
            refunded_minor,
            disputed,
        )
        return bool(clean)

    async def proved(self, platform: UUID, operation: UUID, epoch: int) -> None:
        """The dead first attempt was read again, and is as dead as we believed."""
        await self._call("SELECT operation_proved($1, $2, $3)  -- $1 is platform_id", platform, operation, epoch)

    async def calls_people(self, platform: UUID, operation: UUID, attempt: UUID, kind: str) -> None:
        """Calls people to an operation that is still followed up, once an attempt."""
        await self._call("SELECT operation_calls_people($1, $2, $3, $4)  -- $1 is platform_id", platform, operation, attempt, kind)

    async def attempts_to_read(self, most: int) -> Sequence[AttemptToRead]:
        """Attempts whose slow look is due, of all platforms; each is due again later."""
        rows = await self._pool.fetch("SELECT platform_id, id, rail, state, request, provider_ref FROM attempts_to_read($1)", most)
        return [
            AttemptToRead(
                platform=row["platform_id"],
                id=row["id"],
                rail=row["rail"],
                state=row["state"],
                request=row["request"],
                provider_ref=row["provider_ref"],
            )
            for row in rows
        ]

    async def attempt_was_read(self, platform: UUID, attempt: UUID) -> None:
        await self._call("SELECT attempt_was_read($1, $2)  -- $1 is platform_id", platform, attempt)

    async def refund_news(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """A refund as its processor tells it: {status: applied|known|elsewhere|mismatch|unknown_payment, platform, case}."""
        found: Mapping[str, Any] = await self._call(
            "SELECT refund_news($1::jsonb)  -- every platform: a rail is the installation's", document
        )
        return found

    async def now(self) -> datetime:
        """The installation's one clock."""
        found: datetime = await self._pool.fetchval("SELECT app_now()")
        return found

    # ---------------------------------------------------------------------------------------------- choices

    async def choosing(self, platform: UUID, case: UUID) -> Sequence[Choosing]:
        """The refunds of a case that may go another way, with the reason."""
        rows = await self._pool.fetch(
            """
            SELECT o.id, o.amount, o.currency, CASE WHEN o.state = 'SENT' THEN 'unreachable' ELSE coalesce((
                SELECT a.failure FROM attempt a WHERE a.platform_id = $1 AND a.operation_id = o.id AND a.failure IS NOT NULL
                ORDER BY a.seq DESC LIMIT 1), 'unknown') END AS reason
            FROM operation o WHERE o.platform_id = $1 AND o.case_id = $2
              AND (o.state = 'CHOICE_NEEDED' OR (o.state = 'SENT' AND o.choice_offered_at IS NOT NULL)) ORDER BY o.id
            """,
            platform,
            case,
        )
        return [Choosing(operation=row["id"], reason=row["reason"], amount=row["amount"], currency=row["currency"]) for row in rows]

    async def ask_destination(
        self, platform: UUID, case: UUID, epoch: int, offers: Sequence[Mapping[str, str]], wait_seconds: float
    ) -> bool:
        """Asks the customer of a leased case. False: nothing to ask any more."""
        asked: bool = await self._call(
            "SELECT case_ask_destination($1, $2, $3, $4::jsonb, $5)  -- $1 is platform_id",
            platform,
            case,
            epoch,
            list(offers),
            wait_seconds,
        )
        return asked

    async def platform_settings(self, platform: UUID) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._pool.fetchval("SELECT settings FROM platform WHERE id = $1  -- $1 is platform_id", platform)
        return found

    async def choice_to_people(self, platform: UUID, case: UUID, epoch: int) -> None:
        await self._call("SELECT case_choice_to_people($1, $2, $3)  -- $1 is platform_id", platform, case, epoch)

    async def choose(self, key: IdempotencyKey, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The way that was chosen: {status: chosen|held|not_offered|disputed|excess|under_way, case}; None: this key has chosen before.

        Raises KeyReused.
        """

        async def choose(connection: Connection) -> Mapping[str, Any]:
            found: Mapping[str, Any] = await connection.fetchval(
                "SELECT operation_choose($1::jsonb)  -- platform_id is in the document", document
            )
            return found

        return await once(self._pool, key, document["operation"], choose, made=lambda answer: answer["status"] in {"chosen", "held"})

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
