"""The sandbox processor: a rail that keeps its own ledger, commits before it answers, and fails as it is told to."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Final, Literal

import asyncpg

from integrations.sandbox_books import Fault, SandboxPool
from integrations.sandbox_database import open_sandbox
from integrations.sandbox_posts import NOTIFICATION_COLUMNS, Told
from service.model import Money
from service.ports import Declined, Movement, OutcomeUnknown, PaymentSeen, RefundRequest, RefundSeen, Traits, Unavailable

__all__ = ["SandboxRail", "open_sandbox"]

# The same ten seconds that every rail has: a call is over well before the fifteen seconds of its lease are.
_CALL_SECONDS_MAX: Final = 10.0
# A free connection is a matter of milliseconds; after three seconds there is none, and nothing was sent.
_CONNECT_SECONDS_MAX: Final = 3.0
# As at the processor it stands for: 24 hours, less an hour for clocks that differ.
_KEY_LIFETIME_SECONDS: Final = 23 * 3600
# As at the processor it stands for; a hundred thousand refunds are more than the largest night.
_PAGE_SIZE: Final = 100
_PAGES_MAX: Final = 1000

_REFUND: Final = "SELECT * FROM sandbox.refund_once($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_CANCEL: Final = "SELECT * FROM sandbox.cancel_once($1, $2)"
_TAKE: Final = """
    SELECT t.fault, t.detail, t.retry_after_seconds, (SELECT p.latency_ms FROM sandbox.pace p WHERE p.account = $1)
    FROM sandbox.take($1, $2, 'read', true) t
"""
_REFUND_COLUMNS: Final = "ref, state, amount, currency, operation_id, attempt_id, failure, waiting, made_at"
_FIND: Final = f"SELECT {_REFUND_COLUMNS} FROM sandbox.refund WHERE account = $1 AND payment_ref = $2 AND attempt_id = $3"
_REFUNDS: Final = f"SELECT {_REFUND_COLUMNS} FROM sandbox.refund WHERE account = $1 AND payment_ref = $2 ORDER BY made_at"
# By the reference too: many may have been made in the same moment.
_LISTED: Final = f"""
    SELECT payment_ref, {_REFUND_COLUMNS} FROM sandbox.refund
    WHERE account = $1 AND made_at >= $2 AND made_at < $3 AND (made_at, ref) > ($4, $5)
    ORDER BY made_at, ref LIMIT {_PAGE_SIZE}
"""
_ONE: Final = f"SELECT payment_ref, {_REFUND_COLUMNS} FROM sandbox.refund WHERE account = $1 AND ref = $2"
_UNDELIVERED: Final = f"""
    SELECT {NOTIFICATION_COLUMNS} FROM sandbox.notification
    WHERE account = $1 AND NOT delivered AND made_at >= $2 AND id > $3 ORDER BY id LIMIT {_PAGE_SIZE}
"""
_DISPUTE: Final = "SELECT dispute, captured, currency FROM sandbox.charge WHERE account = $1 AND payment_ref = $2 AND dispute <> ''"
_CHARGE: Final = "SELECT currency, captured, refunded, disputed, authorised FROM sandbox.charge WHERE account = $1 AND payment_ref = $2"


class SandboxRail:
    """One account at the sandbox. Its books, charges and script are `SandboxBooks` with the same name.

    `pays="out"`: it knows no charges, pays whatever it is asked to the destination of the request, and keeps of that only the SHA-256.
    `reads=False`: nobody can be asked, as at a processor that only notifies; whoever reads is told "unsupported", or nothing.
    """

    def __init__(
        self,
        name: str,
        pool: SandboxPool,
        *,
        pays: Literal["back", "out"] = "back",
        reads: bool = True,
        call_seconds_max: float = _CALL_SECONDS_MAX,
    ) -> None:
        self.name = name
        self.traits = Traits(
            pays=pays, reads=reads, key_lifetime_seconds=_KEY_LIFETIME_SECONDS, calls_per_second=None, accepted_seconds_max=72 * 3600
        )
        self._pool = pool
        self._call_seconds_max = call_seconds_max

    def step(self, currency: str) -> int:
        del currency
        return 1

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Carry the refund out, or do to it what the script says. One statement, committed when this returns or raises."""
        arguments = (
            self.name,
            key,
            request.payment_ref,
            request.amount.minor,
            request.amount.currency,
            request.operation_id,
            request.attempt_id,
            request.reason,
            self.traits.pays,
            hashlib.sha256(request.destination.encode()).hexdigest() if self.traits.pays == "out" and request.destination else "",
        )
        answer = await self._ask(_REFUND, *arguments)
        return RefundSeen(
            provider_ref=answer["ref"],
            state=answer["state"],
            amount=request.amount,
            attempt_id=request.attempt_id,
            operation_id=request.operation_id,
            failure=answer["failure"],
            waiting=answer["waiting"],
            at=answer["made_at"],
        )

    async def cancel(self, payment_ref: str, *, key: str) -> None:
        """Lets go of what the card holds; once it has, it has for every key. Raises Declined("unsupported") for what was captured."""
        del key  # a charge is cancelled once, whoever asks
        await self._ask(_CANCEL, self.name, payment_ref)

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """The refund of this attempt, if it has arrived; never, where nobody can be asked. Raises Unavailable."""
        if not self.traits.reads:
            return None
        rows = await self._read(request.payment_ref, _FIND, self.name, request.payment_ref, request.attempt_id)
        return _seen(rows[0]) if rows else None

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """The charge and its refunds as the books have them now. Raises Declined("not_found"), Unavailable.

        Declined("unsupported"): nobody can be asked, or it pays out and knows no charges.
        """
        del currency  # the books know it
        if not self.traits.reads or self.traits.pays == "out":
            raise Declined("unsupported", "sandbox")
        rows = await self._read(payment_ref, _CHARGE, self.name, payment_ref)
        if not rows:
            raise Declined("not_found", "sandbox")
        charge = rows[0]
        refunds = await self._read(payment_ref, _REFUNDS, self.name, payment_ref)
        return PaymentSeen(
            payment_ref=payment_ref,
            captured=Money(minor=charge["captured"], currency=charge["currency"]),
            refunded_minor=charge["refunded"],
            disputed=charge["disputed"],
            refunds=tuple(_seen(row) for row in refunds),
            authorised_minor=charge["authorised"],
        )

    async def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """Every refund in the books from `since` and before `until`, oldest first. Raises Declined("unsupported"), Unavailable."""
        if not self.traits.reads:
            raise Declined("unsupported", "sandbox")
        after, ref = since, ""
        for _ in range(_PAGES_MAX):
            rows = await self._read("", _LISTED, self.name, since, until, after, ref)
            for row in rows:
                yield Movement(payment_ref=row["payment_ref"], refund=_seen(row))
            if len(rows) < _PAGE_SIZE:
                return
            after, ref = rows[-1]["made_at"], rows[-1]["ref"]
        raise Unavailable(f"more than {_PAGES_MAX * _PAGE_SIZE} refunds in that time")

    async def check(self) -> str:
        """How many charges the sandbox knows. Raises Unavailable."""
        rows = await self._read("", "SELECT count(*) FROM sandbox.charge WHERE account = $1", self.name)
        return f"sandbox: {rows[0][0]} charges"

    async def movement(self, provider_ref: str) -> Movement | None:
        """One refund as the books have it now. Raises Unavailable."""
        rows = await self._read("", _ONE, self.name, provider_ref)
        return Movement(payment_ref=rows[0]["payment_ref"], refund=_seen(rows[0])) if rows else None

    async def disputed(self, payment_ref: str) -> tuple[str, Money] | None:
        """How the charge's dispute stands now: `open`, `won` or `lost`; None: there is none. Raises Unavailable."""
        rows = await self._read(payment_ref, _DISPUTE, self.name, payment_ref)
        return (rows[0]["dispute"], Money(minor=rows[0]["captured"], currency=rows[0]["currency"])) if rows else None

    async def undelivered(self, since: datetime) -> AsyncIterator[Told]:
        """Notifications made since then that nobody has taken, oldest first. Raises Unavailable."""
        after = 0
        for _ in range(_PAGES_MAX):
            rows = await self._read("", _UNDELIVERED, self.name, since, after)
            for row in rows:
                yield Told.of(dict(row))
            if len(rows) < _PAGE_SIZE:
                return
            after = rows[-1]["id"]
        raise Unavailable(f"more than {_PAGES_MAX * _PAGE_SIZE} notifications")

    async def _ask(self, statement: str, *arguments: object) -> asyncpg.Record:
        """One request, once, and what the script makes of its answer. Raises Declined, Unavailable, OutcomeUnknown."""
        try:
            async with asyncio.timeout(self._call_seconds_max):
                answer = (await self._fetch(statement, *arguments))[0]
                await asyncio.sleep((answer["latency_ms"] or 0) / 1000)
        except TimeoutError as error:
            raise OutcomeUnknown("no answer in time") from error
        if failure := _FAILURES.get(answer["fault"]):
            raise failure(answer)
        if answer["declined"]:
            raise Declined(answer["declined"], "sandbox")
        return answer

    async def _read(self, payment_ref: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            async with asyncio.timeout(self._call_seconds_max):
                taken = (await self._fetch(_TAKE, self.name, payment_ref))[0]
                await asyncio.sleep((taken["latency_ms"] or 0) / 1000)
                if failure := _FAILURES.get(taken["fault"]):
                    raise failure(taken)
                return await self._fetch(statement, *arguments)
        except (TimeoutError, OutcomeUnknown) as error:
            raise Unavailable("the read was not answered") from error

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement. Raises Unavailable when there is no connection to send it on, OutcomeUnknown when that breaks."""
        try:
            connection = await self._pool.acquire(timeout=_CONNECT_SECONDS_MAX)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unavailable(f"the sandbox's database: {error!r}", never_sent=True) from error
        try:
            return await connection.fetch(statement, *arguments)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as error:
            raise OutcomeUnknown(f"the sandbox's database: {error!r}") from error
        finally:
            await self._pool.release(connection)


# What a fault looks like from outside. The others (accepted, failed, declined) are answers.
_FAILURES: Final[Mapping[str, Callable[[asyncpg.Record], Exception]]] = {
    Fault.UNREACHABLE: lambda _: Unavailable("unreachable", never_sent=True),
    Fault.NO_ANSWER: lambda _: OutcomeUnknown("no answer"),
    Fault.LOST_ANSWER: lambda _: OutcomeUnknown("the answer was lost"),
    Fault.IN_FLIGHT: lambda _: OutcomeUnknown("no answer yet"),
    Fault.BROKEN_FOR_GOOD: lambda _: OutcomeUnknown("a server error, for good"),
    Fault.RATE_LIMITED: lambda row: Unavailable("rate limited", retry_after_seconds=row["retry_after_seconds"]),
    Fault.UNAUTHORISED: lambda _: Unavailable("the key is not accepted", configuration=True),
}


def _seen(row: asyncpg.Record) -> RefundSeen:
    return RefundSeen(
        provider_ref=row["ref"],
        state=row["state"],
        amount=Money(minor=row["amount"], currency=row["currency"]),
        attempt_id=row["attempt_id"],
        operation_id=row["operation_id"],
        failure=row["failure"],
        waiting=row["waiting"],
        at=row["made_at"],
    )
