"""What the model drives: one platform on a real database, its flow as the application wires it, and processors that are the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID, uuid4

import msgspec

from integrations.sandbox_mail import SandboxMailer
from policies import GUARDS_FILE, RAILS_FILE, bundled_folder, load_guards, load_packs, load_rails
from service.brakes import Brakes
from service.callers import Caller
from service.choices import Choices, FollowUps
from service.contacts import Contact
from service.feed import IncidentFeed, OrderFeed, ShowFeed
from service.model import Channel, IdentityLevel, Problem, new_id
from service.operations import Operations
from service.orders import Orders
from service.plan import Rules
from service.ports import Mail
from service.refunds import Refunds
from service.resolution import Resolution
from service.rulebook import Rulebook
from service.shows import Shows
from service.store.brakes import BrakeStore
from service.store.desk import DeskStore
from service.store.flow import FlowStore
from service.store.inbox import InboxStore
from service.store.keys import Change
from service.store.orders import OrderStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.store.shows import ShowStore
from tests.model.processors import CURRENCY, Charge, Line, Notice, Processor
from tests.model.workers import DrawnGate, SteppedPool
from tests.promises.house import SUMS
from tests.systems import no_systems

# A rail that pays back and can be read, one that can not; and the same of those that pay out.
KINDS: Final[Mapping[str, str]] = {"card": "sandbox", "bank": "sandbox", "payout": "sandbox_payout", "wallet": "paypal_payout"}
BACK: Final = ("card", "bank")
_READS: Final = frozenset({"card", "payout"})
# Soon enough that a customer may leave a rail within the outages that are drawn.
_FAILOVER_SECONDS: Final = 120
# Above it a person approves that a rail is left while it is out of reach; below, nobody does, so that both ways are tried.
_AUTO_MAX: Final = 3_000
_MANUAL: Final = "manual"
# Everything that one example writes. What stays: the platform, its people and its shows.
_FORGET: Final = """
SET LOCAL session_replication_role = replica;
DO $$ DECLARE t text; BEGIN
    FOREACH t IN ARRAY ARRAY[{tables}] LOOP EXECUTE format('DELETE FROM %I', t); END LOOP;
END $$;
"""
# Time goes on where a step says so and nowhere else: standing still is drawn like the rest, and a batch is the same whenever it is played.
_NEW_TIME: Final = "UPDATE app_clock SET ahead = interval '0', stopped_at = $1"
_KEPT: Final = frozenset(
    {"app_clock", "policy_text", "platform", "agent", "show", "incident", "api_key", "signing_key", "schema_migration", "schema_functions"}
)

_QUOTE: Final = "'"
_BROKEN: Final = "SELECT name FROM (VALUES {rows}) AS sums (name, broken) WHERE broken"
_SUMS: Final = _BROKEN.format(rows=",\n".join(f"('{name.replace(_QUOTE, _QUOTE * 2)}', EXISTS ({query}))" for name, query in SUMS.items()))


_REFUNDS: Final = """
SELECT o.id, o.case_id AS case, o.state, o.rail, o.amount, o.holds, o.due_at, p.provider_ref AS payment_ref, c.owner, c.state AS case_state,
    c.due_at AS case_due_at, o.state = 'CHOICE_NEEDED' OR (o.state = 'SENT' AND o.choice_offered_at IS NOT NULL) AS choosing,
    o.approvals_needed <= (SELECT count(*) FROM approval a WHERE a.operation_id = o.id) AS approved
FROM operation o JOIN payment p ON p.id = o.payment_id JOIN cases c ON c.id = o.case_id
WHERE o.action = 'refund' ORDER BY o.created_at, o.id
"""


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """One refund operation as our books have it, with its case."""

    id: UUID
    case: UUID
    state: str
    rail: str | None
    amount: int
    holds: tuple[str, ...]
    due_at: datetime | None
    payment_ref: str
    owner: str | None
    case_state: str
    case_due_at: datetime | None
    choosing: bool
    approved: bool


class NoLetters:
    async def pass_letter(self, platform: UUID, operation: UUID) -> Mail | None:
        raise NotImplementedError((platform, operation))


class Ground:
    """Made once a process; `clear` makes it new for each example."""

    def __init__(self, pool: Pool, platform: UUID, leads: Sequence[UUID], tables: Sequence[str]) -> None:
        self.pool = pool
        self.platform = platform
        self.leads = leads
        self._forget = _FORGET.format(tables=", ".join(f"'{one}'" for one in tables))
        self.ahead = 0.0
        self.began = datetime.now(UTC)
        self.notices: list[Notice] = []
        self.rails = {
            name: Processor(name, pays="back" if name in BACK else "out", reads=name in _READS, clock=self.now, notices=self.notices)
            for name in KINDS
        }
        self.outside: list[Line] = []
        """what people paid by hand"""
        self.gate = DrawnGate()
        stepped = cast("Pool", SteppedPool(pool))
        self.flow = FlowStore(stepped)
        self.brakes = Brakes(BrakeStore(stepped), rails=KINDS)
        self.rules = _rules(self.rails)
        self.refunds = Refunds(
            self.flow,
            rails=self.rails,
            brakes=self.brakes,
            gate=self.gate,
            policy=FollowUps(self.rules.backups, rails=self.rails, kinds=KINDS),
            monotonic=lambda: self.ahead,
        )
        self.operations = Operations(
            self.flow,
            refunds=self.refunds,
            mailer=SandboxMailer(sender="Makegood <help@makegood.example>"),
            issuers={},
            letters=NoLetters(),
            brakes=self.brakes,
            monotonic=lambda: self.ahead,
        )
        self.choices = Choices(self.flow, self.rules)
        self.resolution = Resolution(stepped, self.flow, Rulebook.only(self.rules), self.operations, self.choices, in_step=no_systems())
        self.inbox = InboxStore(stepped)
        self.desk = DeskStore(pool)
        self._sold = 0
        self._paid_out: set[str] = set()
        self._seen_when_sent: dict[UUID, int] = {}

    @classmethod
    async def opens(cls, pool: Pool) -> Ground:
        platform, leads = uuid4(), [new_id(), new_id(), new_id()]
        settings = {
            "name": "Moonlight",
            "languages": ["en"],
            "payouts": {"rails": ["wallet", "payout"], "failover_after_seconds": _FAILOVER_SECONDS},
            "modes": {"refund": "act"},
        }
        assert await PlatformStore(pool).add(platform, f"shop-{platform.hex}", settings, Change(actor="test", why="a test"))
        for number, lead in enumerate(leads):
            await pool.execute(
                "INSERT INTO agent (platform_id, id, name, role) VALUES ($1, $2, $3, 'lead')", platform, lead, f"Lead {number}"
            )
        rows = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ground = cls(pool, platform, leads, [row["tablename"] for row in rows if row["tablename"] not in _KEPT])
        await ground._shows()
        return ground

    async def _shows(self) -> None:
        store, starts = Shows(ShowStore(self.pool)), self.began - timedelta(hours=2)
        for ref, status in (("down", "scheduled"), ("off", "cancelled")):
            document = {
                "version": 1,
                "name": {"en": "Northern Lights"},
                "zone": "Europe/Berlin",
                "starts_at": starts,
                "ends_at": starts + timedelta(minutes=90),
                "status": status,
            }
            await store.put(self.platform, ref, msgspec.convert(document, ShowFeed))
        incident = {"version": 1, "kind": "stream_outage", "from": starts + timedelta(minutes=20), "to": starts + timedelta(minutes=50)}
        await store.put_incident(self.platform, "down", "i1", msgspec.convert(incident, IncidentFeed))

    async def clear(self) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(self._forget)
            self.ahead, self.began = 0.0, datetime.now(UTC)
            await connection.execute(_NEW_TIME, self.began)
        self.notices.clear()
        self.outside.clear()
        self.gate.shut.clear()
        for one in self.rails.values():
            one.clear()
        self._sold = 0
        self._paid_out.clear()

    # ------------------------------------------------------------------------------------------------------------- time

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.ahead)

    async def passes(self, seconds: float) -> None:
        """For the database, for the processors, and for every process: also for those that are frozen."""
        self.ahead += seconds
        await self.pool.execute("UPDATE app_clock SET ahead = make_interval(secs => $1)", self.ahead)

    # ----------------------------------------------------------------------------------------------------------- selling

    async def sells(self, show: str, prices: Sequence[int], payments: Sequence[tuple[str, int]]) -> str:
        """An order of streams, paid by these payments (rail, minor units)."""
        self._sold += 1
        ref = f"O{self._sold}"
        at = self.now() - timedelta(days=3)
        paid = []
        for number, (rail, amount) in enumerate(payments, 1):
            provider_ref = f"ch_{ref}_{number}"
            self.rails[rail].charges[provider_ref] = Charge(captured=amount)
            when = at + timedelta(minutes=number)
            paid.append(
                {
                    "ref": f"P{number}",
                    "rail": rail,
                    "provider_ref": provider_ref,
                    "status": "confirmed",
                    "amount": amount,
                    "captured": amount,
                    "paid_at": when,
                    "created_at": when,
                }
            )
        document = {
            "version": 1,
            "status": "paid",
            "currency": CURRENCY,
            "total": sum(prices),
            "buyer": {"name": "Mira", "email": f"mira-{ref.lower()}@example.org"},
            "locale": "en",
            "placed_at": at,
            "positions": [
                {
                    "ref": str(number),
                    "kind": "stream",
                    "name": f"Seat {number}",
                    "price": price,
                    "shows": [show],
                    "pass": {"barcode": f"{ref}-{number}-barcode", "issuer": "makegood"},
                }
                for number, price in enumerate(prices, 1)
            ],
            "payments": paid,
        }
        await Orders(OrderStore(self.pool)).put(self.platform, ref, msgspec.convert(document, OrderFeed), source="test")
        return ref

    async def complains(self, problem: Problem, show: str, order: str) -> None:
        """What a request does: decide, and carry out what the decision began."""
        contact = Contact(
            problem=problem,
            show=show,
            order=order,
            passes=(),
            incident=None,
            message=None,
            channel=Channel.WIDGET,
            locale="en",
            checked=None,
            key=uuid4().hex,
            body_hash=b"0",
        )
        opened = await self.resolution.open_case(self.shop(), contact, begin=True)
        await self.resolution.carry_on(self.platform, opened.begun, since=opened.since)

    # ----------------------------------------------------------------------------------------------------------- callers

    def shop(self) -> Caller:
        return self._caller("platform", "key:shop")

    def customer(self) -> Caller:
        return msgspec.structs.replace(self._caller("customer", "customer"), level=IdentityLevel.STRONG)

    def lead(self, number: int) -> Caller:
        return msgspec.structs.replace(self._caller("agent", f"agent:Lead {number}"), agent_id=self.leads[number], role="lead")

    def _caller(self, kind: Any, name: str) -> Caller:
        return Caller(kind=kind, platform_id=self.platform, platform="shop", id=uuid4(), name=name)

    # ------------------------------------------------------------------------------------------------------- the truth

    def ours(self) -> list[tuple[str, Line]]:
        """Every refund and pay-out of ours that lives, with its rail."""
        found = [(name, line) for name, rail in self.rails.items() for line in rail.lines if line.operation is not None and line.lives]
        return found + [(_MANUAL, line) for line in self.outside]

    def open_disputes(self) -> Iterator[tuple[Processor, str, str]]:
        """Processor, payment and dispute of each."""
        for rail in self.rails.values():
            for ref, charge in rail.charges.items():
                for dispute, state in charge.disputes.items():
                    if state == "open":
                        yield rail, ref, dispute

    def captured(self) -> Mapping[str, int]:
        return {ref: charge.captured for name in BACK for ref, charge in self.rails[name].charges.items()}

    def check_ledger(self) -> None:
        """No operation is paid twice over all rails, and no payment pays back more than it took."""
        by_operation: dict[UUID, list[str]] = {}
        by_payment: dict[str, int] = {}
        for rail, line in self.ours():
            assert line.operation is not None
            by_operation.setdefault(line.operation, []).append(f"{rail}:{line.ref}")
            by_payment[line.payment_ref] = by_payment.get(line.payment_ref, 0) + line.amount
        twice = {operation: refs for operation, refs in by_operation.items() if len(refs) > 1}
        assert not twice, f"paid twice: {twice}"
        captured = self.captured()
        over = {ref: (paid, captured[ref]) for ref, paid in by_payment.items() if paid > captured[ref]}
        assert not over, f"paid more than was captured: {over}"
        self._check_paid_out(by_payment)

    def _others(self, payment_ref: str) -> int:
        """What others had refunded of it when it was last read."""
        return next(self.rails[name] for name in BACK if payment_ref in self.rails[name].charges).others_refunded(payment_ref)

    def _check_paid_out(self, paid: Mapping[str, int]) -> None:
        """No pay-out goes on top of what others were seen to have refunded: the processor of the payment cannot know of it.

        What was on its way already counts as what was seen when it left.
        """
        for name, rail in self.rails.items():
            if name not in BACK:
                for request, _ in rail.in_flight:
                    self._seen_when_sent.setdefault(request.attempt_id, self._others(request.payment_ref))
        new = [
            line
            for name, rail in self.rails.items()
            if name not in BACK
            for line in rail.lines
            if line.lives and line.ref not in self._paid_out
        ]
        for line in new:
            self._paid_out.add(line.ref)
            now = self._others(line.payment_ref)
            others = now if line.attempt is None else self._seen_when_sent.get(line.attempt, now)
            captured = self.captured()[line.payment_ref]
            assert paid[line.payment_ref] + others <= captured, f"paid out on top of {others} that others refunded: {line}"

    async def known(self) -> Sequence[Refund]:
        """All of this example, oldest first."""
        rows = await self.pool.fetch(_REFUNDS)
        return [Refund(**dict(row)) for row in rows]

    def check_given_up(self, refunds: Sequence[Refund]) -> None:
        """What lives in a ledger is not given up in our books."""
        living = {line.operation for _, line in self.ours()}
        lost = [one for one in refunds if one.id in living and one.state in {"REFUSED", "FAILED"}]
        assert not lost, f"paid, and given up in our books: {lost}"

    async def check_books(self) -> None:
        """All sums hold, and no harm is paid more than was awarded."""
        broken = await self.pool.fetch(_SUMS)
        assert not broken, [row["name"] for row in broken]
        living = [line.operation for _, line in self.ours()]
        harms = await self.pool.fetch(
            """SELECT x.harm_id, sum(x.amount), h.awarded FROM operation_part x JOIN harm h ON h.id = x.harm_id
               WHERE x.operation_id = ANY ($1) GROUP BY x.harm_id, h.awarded HAVING sum(x.amount) > h.awarded""",
            living,
        )
        assert not harms, f"a harm is paid more than awarded: {[dict(row) for row in harms]}"


def _rules(rails: Mapping[str, Processor]) -> Rules:
    folder = bundled_folder()
    text = (folder / RAILS_FILE).read_text(encoding="utf-8").replace("auto_max: { EUR: 0,", f"auto_max: {{ EUR: {_AUTO_MAX},")
    return Rules(
        packs=load_packs(folder, ("en", "de")),
        guards=load_guards((folder / GUARDS_FILE).read_text(encoding="utf-8")),
        backups=load_rails(text),
        rails=KINDS,
        step=lambda rail, currency: rails[rail].step(currency),
    )
