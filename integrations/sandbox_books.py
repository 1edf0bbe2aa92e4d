"""The sandbox processor seen from its own side: what it charged, what it paid back, and how it is told to misbehave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias

import asyncpg
import msgspec

from integrations.sandbox_posts import NOTIFICATION_COLUMNS, SignedPost, Told, signed_post
from service.model import Money

SandboxPool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
SandboxConnection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class Fault(StrEnum):
    """What happens to a call. Together they are every row of a processor's error table."""

    UNREACHABLE = "unreachable"
    """never left this machine"""
    NO_ANSWER = "no_answer"
    """it left, was never carried out, and nobody said so"""
    LOST_ANSWER = "lost_answer"
    """carried out and committed; the answer never came"""
    IN_FLIGHT = "in_flight"
    """the caller gives up; the request arrives when `deliver` is called"""
    RATE_LIMITED = "rate_limited"
    UNAUTHORISED = "unauthorised"
    DECLINED = "declined"
    """refused with the word in `detail`"""
    ACCEPTED = "accepted"
    """taken, but pending until `settle` or `fail_late`; what it waits for in `detail`: `insufficient_funds`, `customer` or nothing"""
    FAILED = "failed"
    """refused by the bank, with the reason in `detail`"""
    BROKEN_FOR_GOOD = "broken_for_good"
    """a server error that the same key gets for ever; with `carried_out` in `detail`, it was carried out all the same"""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A fault for the next `times` calls (None: until `clear`), of one payment or, without one, of the whole rail."""

    fault: Fault
    times: int | None = 1
    payment_ref: str = ""
    call: Literal["refund", "read", "cancel", "any"] = "refund"
    detail: str = ""
    retry_after_seconds: float | None = None


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A payment to be known to the sandbox, with what was refunded on it before."""

    payment_ref: str
    amount: Money
    refunded_minor: int = 0
    disputed: bool = False
    authorised_minor: int = 0
    """held on the card; then the amount, which is what was captured, is nothing"""


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One payment in the sandbox's books; sums of the refund rows themselves, in ISO minor units."""

    payment_ref: str
    currency: str
    captured_minor: int
    """nothing, where the rail pays out"""
    loaded_minor: int
    """refunded by others, before or in between"""
    refunded_minor: int
    """refunded through the rail and not failed or cancelled"""
    refunds: int
    """how many refunds that was"""
    dead: int
    """refunds that failed or were cancelled"""


_NOTIFICATIONS = f"""
    SELECT {NOTIFICATION_COLUMNS} FROM sandbox.notification WHERE account = $1 AND id > $2 ORDER BY id LIMIT 1000
"""
_OF_OTHERS = "r.reason IN ('loaded', 'elsewhere')"
_LEDGER = f"""
    SELECT payment_ref, coalesce(min(c.currency), min(r.currency)) AS currency, coalesce(min(c.captured), 0) AS captured_minor,
           coalesce(sum(r.amount) FILTER (WHERE {_OF_OTHERS}), 0)::bigint AS loaded_minor,
           coalesce(sum(r.amount) FILTER (WHERE NOT {_OF_OTHERS} AND r.state IN ('ACCEPTED', 'SUCCEEDED')), 0)::bigint AS refunded_minor,
           count(*) FILTER (WHERE NOT {_OF_OTHERS} AND r.state IN ('ACCEPTED', 'SUCCEEDED')) AS refunds,
           count(*) FILTER (WHERE r.state IN ('FAILED', 'CANCELED')) AS dead
    FROM (SELECT * FROM sandbox.charge WHERE account = $1) c
    FULL JOIN (SELECT * FROM sandbox.refund WHERE account = $1) r USING (payment_ref)
    WHERE $2::text IS NULL OR payment_ref = $2
    GROUP BY payment_ref ORDER BY payment_ref
"""


class SandboxBooks:
    """The back office of one sandbox account; `account` is the name of its rail. Any process may hold one."""

    def __init__(self, account: str, pool: SandboxPool) -> None:
        self._account = account
        self._pool = pool

    async def load_charge(self, payment_ref: str, amount: Money, *, refunded_minor: int = 0, disputed: bool = False) -> None:
        """Make a payment known. Loading it again changes nothing."""
        charge = Charge(payment_ref=payment_ref, amount=amount, refunded_minor=refunded_minor, disputed=disputed)
        await self.load_charges([charge])

    async def load_charges(self, charges: Iterable[Charge]) -> None:
        """Make many payments known, all or none."""
        rows = [
            (self._account, c.payment_ref, c.amount.currency, c.amount.minor, c.refunded_minor, c.disputed, c.authorised_minor)
            for c in charges
        ]
        await self._pool.executemany("SELECT sandbox.load($1, $2, $3, $4, $5, $6, $7)", rows)

    async def authorise(self, payment_ref: str, amount: Money) -> None:
        """Make a payment known that is held on the card and not captured. Again: changes nothing."""
        captured = Money(minor=0, currency=amount.currency)
        await self.load_charges([Charge(payment_ref=payment_ref, amount=captured, authorised_minor=amount.minor)])

    async def capture(self, payment_ref: str) -> bool:
        """What was held is taken, by somebody else. False: nothing is held."""
        status = await self._pool.execute(
            """UPDATE sandbox.charge SET captured = authorised, authorised = 0
               WHERE account = $1 AND payment_ref = $2 AND authorised > 0""",
            self._account,
            payment_ref,
        )
        return status == "UPDATE 1"

    async def open_dispute(self, payment_ref: str) -> None:
        """From now on the charge can be refunded no more."""
        await self._dispute(payment_ref, "open")

    async def close_dispute(self, payment_ref: str) -> None:
        """The dispute was won: the charge can be refunded again."""
        await self._dispute(payment_ref, "won")

    async def lose_dispute(self, payment_ref: str) -> None:
        """The bank keeps the money: the charge can be refunded no more."""
        await self._dispute(payment_ref, "lost")

    async def warn(self, payment_ref: str) -> None:
        """The bank believes that the payment is fraud."""
        await self._pool.fetchval("SELECT sandbox.warn($1, $2)", self._account, payment_ref)

    async def refund_elsewhere(self, payment_ref: str, amount: Money) -> str:
        """Somebody refunds the charge without us, as in a processor's own dashboard. Its reference; empty: it was refused."""
        ref: str | None = await self._pool.fetchval(
            """SELECT ref FROM sandbox.execute($1, 'elsewhere:' || gen_random_uuid(), $2, $3, $4, NULL, NULL, 'elsewhere', 'back',
                                               '', '', '', true)""",
            self._account,
            payment_ref,
            amount.minor,
            amount.currency,
        )
        return ref or ""

    async def _dispute(self, payment_ref: str, state: Literal["open", "won", "lost"]) -> None:
        await self._pool.fetchval("SELECT sandbox.dispute($1, $2, $3)", self._account, payment_ref, state)

    # --------------------------------------------------------------------------------------- script

    async def script(self, *entries: Script) -> None:
        """Append to the script. It is in the database, so it holds for every process at its next call."""
        async with self._pool.acquire() as connection:
            await self._append(connection, entries)

    async def _append(self, connection: SandboxConnection, entries: Iterable[Script]) -> None:
        await connection.executemany(
            """INSERT INTO sandbox.script (account, payment_ref, call, fault, detail, retry_after_seconds, times)
               VALUES ($1, $2, $3, $4, $5, $6, $7)""",
            [(self._account, e.payment_ref, e.call, e.fault.value, e.detail, e.retry_after_seconds, e.times) for e in entries],
        )

    async def script_instead(self, *entries: Script) -> None:
        """From now on this script and no other: no call comes in between and finds none."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("DELETE FROM sandbox.script WHERE account = $1", self._account)
            await self._append(connection, entries)

    async def clear(self) -> None:
        """Forget the whole script and the latency."""
        await self._pool.execute("DELETE FROM sandbox.script WHERE account = $1", self._account)
        await self._pool.execute("DELETE FROM sandbox.pace WHERE account = $1", self._account)

    async def clear_payment(self, payment_ref: str) -> None:
        """Forget what the script has for one payment."""
        await self._pool.execute("DELETE FROM sandbox.script WHERE account = $1 AND payment_ref = $2", self._account, payment_ref)

    async def set_latency(self, latency_ms: int) -> None:
        """How long every answer takes, after the work is done and committed."""
        await self._pool.execute(
            """INSERT INTO sandbox.pace VALUES ($1, $2)
               ON CONFLICT (account) DO UPDATE SET latency_ms = EXCLUDED.latency_ms""",
            self._account,
            latency_ms,
        )

    # ------------------------------------------------------------------------------- what comes later

    async def settle(self, provider_ref: str) -> bool:
        """A pending refund arrived. False: there is no such refund, or it is dead."""
        return await self._conclude(provider_ref, "SUCCEEDED", "")

    async def fail_late(self, provider_ref: str, reason: str) -> bool:
        """A refund failed after it was accepted or had even succeeded; the money is back on the charge. False as in `settle`."""
        return await self._conclude(provider_ref, "FAILED", reason)

    async def cancel(self, provider_ref: str) -> bool:
        """A refund was cancelled; the money is back on the charge. False as in `settle`."""
        return await self._conclude(provider_ref, "CANCELED", "")

    async def _conclude(self, provider_ref: str, state: str, failure: str) -> bool:
        done: bool = await self._pool.fetchval("SELECT sandbox.conclude($1, $2, $3, $4)", self._account, provider_ref, state, failure)
        return done

    async def deliver(self) -> int:
        """Requests that were still on their way arrive now; how many."""
        count: int = await self._pool.fetchval("SELECT sandbox.deliver($1)", self._account)
        return count

    async def forget_keys(self) -> None:
        """Every idempotency key is past its window: the same key again makes a new refund, as it would at a real processor."""
        await self._pool.execute("UPDATE sandbox.refund SET key = 'forgotten:' || ref WHERE account = $1", self._account)
        await self._pool.execute("DELETE FROM sandbox.broken WHERE account = $1", self._account)

    # --------------------------------------------------------------------------------- notifications

    async def subscribe(self) -> None:
        """From now on every change is told: see `notifications`."""
        await self._pool.execute("INSERT INTO sandbox.subscription VALUES ($1) ON CONFLICT DO NOTHING", self._account)

    async def notifications(self, secret: str, now: datetime, *, after: int = 0) -> Sequence[SignedPost]:
        """What the account was told after the notification `after`, oldest first, at most a thousand; signed now, ready to be posted.

        In this order or another, once or more often, or never: all of that happens.
        """
        rows = await self._pool.fetch(_NOTIFICATIONS, self._account, after)
        return [signed_post(Told.of(dict(row)), secret, now) for row in rows]

    async def delivered(self, *ids: int) -> None:
        """Somebody took those; the others are missed ones."""
        await self._pool.execute(
            "UPDATE sandbox.notification SET delivered = true WHERE account = $1 AND id = ANY($2::bigint[])", self._account, ids
        )

    # ----------------------------------------------------------------------------------------- books

    async def ledger(self) -> Sequence[LedgerLine]:
        """Every payment of the account, by reference."""
        return [LedgerLine(**row) for row in await self._pool.fetch(_LEDGER, self._account, None)]

    async def line(self, payment_ref: str) -> LedgerLine:
        """One payment. Raises KeyError when it was never loaded."""
        row = await self._pool.fetchrow(_LEDGER, self._account, payment_ref)
        if row is None:
            raise KeyError(payment_ref)
        return LedgerLine(**row)
