"""One order with one refund, written by the flow's own functions, and processors in memory whose ledgers say what was really paid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeVar
from uuid import UUID, uuid4

import msgspec

from integrations.sandbox_mail import SandboxMailer
from service.model import Money
from service.operations import LEASE_SECONDS, Operations
from service.ports import Declined, Mail, Movement, OutcomeUnknown, PaymentSeen, RefundRequest, RefundSeen, Traits, Unavailable
from service.rails import GO, Entry, Outcome
from service.refunds import Refunds
from service.store.flow import FlowStore
from service.store.pool import Connection, Pool
from tests.keys import fresh_key

PRICE: Final = 2500
# What the customer may wait for another way; what a processor may take. Both short of a key's day.
OFFER_AFTER_SECONDS: Final = 3600.0
ACCEPTED_SECONDS_MAX: Final = 7200.0
KEY_SECONDS: Final = 86_400

LOST: Final = "lost"
"""paid, and the answer never came"""
SILENT: Final = "silent"
"""not paid, and no answer came"""
_T = TypeVar("_T")
Answer = Exception | Literal["lost", "silent", "pays"] | RefundSeen


class Ledger:
    """A processor that keeps keys for ever and does as it is told; everything else it pays."""

    def __init__(self, name: str, *, pays: Literal["back", "out"] = "back", reads: bool = True) -> None:
        self.name = name
        self.traits = Traits(pays=pays, reads=reads, key_lifetime_seconds=KEY_SECONDS, calls_per_second=None, accepted_seconds_max=7200.0)
        self.answers: list[Answer] = []
        self.sent: list[str] = []
        self.paid: dict[str, RefundSeen] = {}
        self.others_minor = 0
        self.disputed = False
        self.finds = True
        """false: what it has made is not listed yet"""
        self.listed_as: RefundSeen | None = None
        """what it says of a refund that it did not pay"""
        self.unreadable = False
        self.hears: asyncio.Event | None = None
        """set: a call has come in, and waits for `goes_on`"""
        self.goes_on = asyncio.Event()

    @property
    def total(self) -> int:
        return sum(seen.amount.minor for seen in self.paid.values())

    def arrives_late(self, attempt: UUID) -> None:
        """What it had refused, or nobody has heard of since, is paid all the same."""
        self.paid[f"late {attempt}"] = RefundSeen(
            provider_ref="re_late", state="SUCCEEDED", amount=Money(minor=PRICE, currency="EUR"), attempt_id=attempt
        )

    def step(self, currency: str) -> int:
        return 1 if currency == "EUR" else 0

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        self.sent.append(key)
        answer = self.answers.pop(0) if self.answers else "pays"
        if self.hears is not None:
            self.hears.set()
            await self.goes_on.wait()
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, RefundSeen):
            return answer
        if answer != SILENT and key not in self.paid:
            self.paid[key] = seen_of(request, f"re_{uuid4().hex[:8]}")
        if answer in {LOST, SILENT}:
            raise OutcomeUnknown("no answer")
        return self.paid[key]

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        if not self.traits.reads or not self.finds:
            return None
        return next((seen for seen in self.paid.values() if seen.attempt_id == request.attempt_id), self.listed_as)

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        if not self.traits.reads:
            raise Declined("unsupported")
        if self.unreadable:
            raise Unavailable("no answer")
        return PaymentSeen(
            payment_ref=payment_ref,
            captured=Money(minor=PRICE, currency=currency),
            refunded_minor=self.total + self.others_minor,
            disputed=self.disputed,
            refunds=tuple(self.paid.values()),
        )

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        raise Declined("unsupported", f"{since} {until}")

    async def check(self) -> str:
        return self.name


def seen_of(request: RefundRequest, ref: str, state: Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED"] = "SUCCEEDED") -> RefundSeen:
    return RefundSeen(provider_ref=ref, state=state, amount=request.amount, attempt_id=request.attempt_id)


def failed(reason: str, ref: str = "re_failed") -> RefundSeen:
    return RefundSeen(provider_ref=ref, state="FAILED", failure=reason, amount=Money(minor=PRICE, currency="EUR"))


class _Brakes:
    async def stop_rail(self, platform: UUID, rail: str, reason: str) -> None:
        """Alerts are no matter here."""

    async def alert(self, platform: UUID, kind: str, rail: str) -> None:
        """Nor these."""


class _Letters:
    async def pass_letter(self, platform: UUID, operation: UUID) -> Mail | None:
        raise NotImplementedError((platform, operation))


class _OpenGate:
    async def enter(self, rail: str, *, interactive: bool) -> Entry:  # noqa: ARG002 - the same for all
        return GO

    async def report(
        self, rail: str, outcome: Outcome, *, probe: bool, retry_after_seconds: float | None = None, word: str = "no_answer"
    ) -> None:
        """Nobody counts."""


class _Policy:
    def offer_after_seconds(self, rail: str) -> float | None:  # noqa: ARG002 - the same for all
        return OFFER_AFTER_SECONDS

    def accepted_seconds_max(self, rail: str) -> float:  # noqa: ARG002 - the same for all
        return ACCEPTED_SECONDS_MAX


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One position of 25.00 with its pass, one case, and as many payments as were asked for."""

    id: UUID
    case: UUID
    line: UUID
    passes: UUID
    payments: tuple[UUID, ...]
    refs: tuple[str, ...]


class Ground:
    """A platform with two rails: `first` took the payments, `second` pays out."""

    def __init__(self, pool: Pool, platform: UUID, agent: UUID) -> None:
        self.pool = pool
        self.platform = platform
        self.agent = agent
        self.store = FlowStore(pool)
        self.first = Ledger("first")
        self.second = Ledger("second", pays="out")
        self.seconds = 0.0
        """this process's own clock"""
        self.has(self.first, self.second)

    def has(self, *rails: Ledger) -> None:
        """The rails that the installation's settings name from now on."""
        brakes = _Brakes()
        self.refunds = Refunds(
            self.store,
            rails={rail.name: rail for rail in rails},
            brakes=brakes,
            gate=_OpenGate(),
            policy=_Policy(),
            monotonic=lambda: self.seconds,
        )
        self.operations = Operations(
            self.store,
            refunds=self.refunds,
            mailer=SandboxMailer(sender="Makegood <help@makegood.example>"),
            issuers={},
            letters=_Letters(),
            brakes=brakes,
            monotonic=lambda: self.seconds,
        )

    @classmethod
    async def opens(cls, pool: Pool) -> Ground:
        platform, agent = uuid4(), uuid4()
        settings = {"payouts": {"rails": ["second"]}}
        await pool.execute("INSERT INTO platform (id, slug, settings) VALUES ($1, $2, $3::jsonb)", platform, platform.hex, settings)
        await pool.execute("INSERT INTO agent (platform_id, id, name, role, skills) VALUES ($1, $2, 'Ana', 'lead', '{}')", platform, agent)
        return cls(pool, platform, agent)

    async def order(self, *, payments: Sequence[int] = (PRICE,), price: int = PRICE) -> Order:
        """Captured as told, by the rail `first`."""
        made = Order(
            id=uuid4(),
            case=uuid4(),
            line=uuid4(),
            passes=uuid4(),
            payments=tuple(uuid4() for _ in payments),
            refs=tuple(f"ch_{uuid4().hex[:10]}" for _ in payments),
        )
        await self.pool.execute(_ORDER, self.platform, made.id, made.case, made.line, made.passes, price, made.id.hex)
        for number, captured in enumerate(payments):
            await self.pool.execute(_PAYMENT, self.platform, made.payments[number], made.id, f"P{number}", made.refs[number], captured)
        return made

    async def case_of(self, order: Order) -> UUID:
        """One more open case about the order."""
        case = uuid4()
        await self.pool.execute(_CASE, self.platform, case, order.id)
        return case

    async def award(self, order: Order, amount: int = PRICE, **more: Any) -> UUID | None:
        """What a decision does: the refund, READY or HELD; None where there is nothing left to give. Raises asyncpg.RaiseError (MG001)."""
        operation = uuid4()
        async with self.pool.acquire() as connection:
            made: int = await connection.fetchval(AWARD, *self.award_arguments(order, amount, operation, **more))
        return operation if made else None

    def award_arguments(
        self,
        order: Order,
        amount: int,
        operation: UUID,
        *,
        cause: str = "incident:1",
        seen: int = 0,
        case: UUID | None = None,
        caps: Sequence[Mapping[str, Any]] = (),
        payment: UUID | None = None,
        hold: Sequence[str] = (),
        approvals: int = 0,
        limits: Mapping[str, int] | None = None,
    ) -> tuple[object, ...]:
        about = {"line": order.line, "seen": seen} if payment is None else {"payment": payment}
        refund = {"harm": uuid4(), "cause": cause, "award": amount} | about
        ids = [operation, *(uuid4() for _ in order.payments)]
        holds = list(hold), approvals, list(caps), limits or {}
        return self.platform, case or order.case, order.id, uuid4(), [refund], list(order.payments), ids, *holds

    async def refund(self, amount: int = PRICE) -> tuple[Order, UUID]:
        """An order and its refund, ready to be sent."""
        order = await self.order()
        operation = await self.award(order, amount)
        assert operation is not None
        return order, operation

    # ------------------------------------------------------------------------------------------------- what happens

    async def advance(self, operation: UUID) -> None:
        """A worker takes it up as soon as the last one's lease is over."""
        await self.pool.execute("UPDATE operation SET lease_until = NULL WHERE platform_id = $1 AND id = $2", self.platform, operation)
        await self.operations.take(self.platform, operation)

    async def lease(self, operation: UUID) -> int:
        """A worker's lease, whoever held the last one."""
        await self.pool.execute("UPDATE operation SET lease_until = NULL WHERE platform_id = $1 AND id = $2", self.platform, operation)
        epoch = await self.store.lease_operation(self.platform, operation, LEASE_SECONDS)
        assert epoch is not None
        return epoch

    async def begin(self, operation: UUID, epoch: int) -> Mapping[str, Any]:
        return await self.store.begin(
            self.platform, operation, epoch, lease_seconds=LEASE_SECONDS, key_seconds=self.operations.key_seconds()
        )

    async def record(self, operation: UUID, epoch: int, begun: Mapping[str, Any], **step: Any) -> Mapping[str, Any]:
        document = {"platform": self.platform, "operation": operation, "epoch": epoch, "attempt": begun["attempt"], "try": begun["try"]}
        return await self.store.record(document | step)

    async def choose(self, operation: UUID, rail: str | None = "second", **more: Any) -> str:
        document: dict[str, Any] = {"platform": self.platform, "operation": operation, "rail": rail, "actor": "customer"}
        document |= {"holds": [], "approvals": 0}
        answer = await self.store.choose(fresh_key(self.platform), document | more)
        assert answer is not None
        return str(answer["status"])

    async def news(self, order: Order, operation: UUID, state: str, ref: str = "re_1", **more: Any) -> str:
        """What the first rail's notification says of our refund."""
        document = {
            "rail": "first",
            "payment_ref": order.refs[0],
            "provider_ref": ref,
            "attempt": await self.value("SELECT id FROM attempt WHERE operation_id = $1 ORDER BY seq LIMIT 1", operation),
            "state": state,
            "amount": PRICE,
            "currency": "EUR",
            "source": "first",
        }
        return str((await self.store.refund_news(document | more))["status"])

    async def approve(self, operation: UUID, agent: UUID, needed: int = 2) -> str:
        answer = await self.value(
            "SELECT operation_approve($1, $2, $3, 'Ana', 'it is right', $4, '[]')", self.platform, operation, agent, needed
        )
        return str(answer["status"])

    async def person(self, name: str) -> UUID:
        agent = uuid4()
        await self.pool.execute("INSERT INTO agent (platform_id, id, name, role) VALUES ($1, $2, $3, 'agent')", self.platform, agent, name)
        return agent

    async def pass_time(self, ahead: timedelta) -> None:
        await self.pool.execute("UPDATE app_clock SET ahead = ahead + $1", ahead)

    async def start_of_a_day(self) -> None:
        """So that no promise is looked at over midnight, nor over an hour."""
        to_morning = "date_trunc('day', app_now()) + interval '1 day 1 minute' - app_now()"
        await self.pool.execute(f"UPDATE app_clock SET ahead = ahead + ({to_morning})")

    async def starts_to_wait(self, connection: Connection, statement: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Runs it until it waits for a row that another connection has locked, or has ended."""
        process = connection.get_server_pid()
        running = asyncio.create_task(statement)
        while not running.done() and not await self.value("SELECT cardinality(pg_blocking_pids($1)) > 0", process):
            await asyncio.sleep(0.01)
        return running

    # ---------------------------------------------------------------------------------------------------- what is seen

    async def value(self, sql: str, *arguments: object) -> Any:
        return await self.pool.fetchval(sql, *arguments)

    async def row(self, sql: str, *arguments: object) -> dict[str, Any]:
        found = await self.pool.fetchrow(sql, *arguments)
        assert found is not None
        return dict(found)

    async def operation(self, operation: UUID) -> dict[str, Any]:
        return await self.row("SELECT * FROM operation WHERE platform_id = $1 AND id = $2", self.platform, operation)

    async def payment(self, order: Order, number: int = 0) -> tuple[int, int, int]:
        """Reserved, refunded, refunded elsewhere."""
        row = await self.row(
            "SELECT reserved, refunded, refunded_elsewhere FROM payment WHERE platform_id = $1 AND id = $2",
            self.platform,
            order.payments[number],
        )
        return row["reserved"], row["refunded"], row["refunded_elsewhere"]

    async def attempt_of(self, operation: UUID) -> UUID:
        """The newest."""
        found: UUID = await self.value("SELECT id FROM attempt WHERE operation_id = $1 ORDER BY seq DESC LIMIT 1", operation)
        return found

    async def attempts(self, operation: UUID) -> list[tuple[str, str]]:
        """Rail and state of each, oldest first."""
        rows = await self.pool.fetch("SELECT rail, state FROM attempt WHERE operation_id = $1 ORDER BY seq", operation)
        return [(row["rail"], row["state"]) for row in rows]

    async def tries(self, operation: UUID) -> list[str | None]:
        rows = await self.pool.fetch(
            "SELECT result FROM try JOIN attempt a ON a.id = attempt_id WHERE a.operation_id = $1 ORDER BY a.seq, try.seq", operation
        )
        return [row["result"] for row in rows]

    async def facts(self, order: Order, kind: str) -> int:
        found: int = await self.value("SELECT count(*) FROM order_fact WHERE order_id = $1 AND kind = $2", order.id, kind)
        return found


AWARD: Final = "SELECT refunds_award($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10::jsonb, $11::jsonb, 1, app_now())"

_ORDER: Final = """
    WITH buyer AS (INSERT INTO person (platform_id, id) VALUES ($1, $2) RETURNING id),
    ordered AS (
        INSERT INTO orders (platform_id, id, ref, version, status, currency, total, buyer_id, placed_at, body_hash)
        SELECT $1, $2, $7, 1, 'paid', 'EUR', $6, id, app_now(), '' FROM buyer RETURNING id),
    sold AS (
        INSERT INTO line (platform_id, id, order_id, ref, type, kind, name, price)
        SELECT $1, $4, id, '1', 'position', 'stream', 'Stream pass', $6 FROM ordered RETURNING id),
    admits AS (
        INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, created_at)
        SELECT $1, $5, $2, id, 'makegood', 'valid', $7, app_now() FROM sold RETURNING id)
    INSERT INTO cases (platform_id, id, state, problem, order_id, requester, identity, channel, locale, owner, due_at, created_at)
    SELECT $1, $3, 'open', 'stream_outage', id, 'buyer', 'verified', 'api', 'en', 'operation', app_now(), app_now() FROM ordered
"""
_PAYMENT: Final = """
    INSERT INTO payment (platform_id, id, order_id, ref, rail, provider_ref, status, amount, currency, captured, created_at)
    VALUES ($1, $2, $3, $4, 'first', $5, 'confirmed', $6, 'EUR', $6, app_now())
"""
_CASE: Final = """
    INSERT INTO cases (platform_id, id, state, problem, order_id, requester, identity, channel, locale, owner, due_at, created_at)
    VALUES ($1, $2, 'open', 'other', $3, 'buyer', 'verified', 'api', 'en', 'operation', app_now(), app_now())
"""
