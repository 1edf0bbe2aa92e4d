"""What the tests of letters share: a platform with a show and orders, fed as a platform feeds, cases decided by the bundled policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from integrations.sandbox_issuer import SandboxIssuer
from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_memory import MemorySandboxRail
from policies import GUARDS_FILE, RAILS_FILE, bundled_folder, load_guards, load_packs, load_rails
from service.access import Access, KeyRing
from service.brakes import Brakes
from service.callers import Caller
from service.choices import Choices, FollowUps
from service.code_letters import CodeLetters
from service.contacts import Contact
from service.crew import Crew
from service.feed import IncidentFeed, OrderFeed, ShowFeed
from service.identity import Identity
from service.inbox import Inbox
from service.jobs import Jobs
from service.letters.render import Letters
from service.model import Channel, IdentityLevel, Money, Problem
from service.operations import LEASE_SECONDS, Operations
from service.orders import Orders
from service.plan import Rules
from service.platforms import Platforms
from service.playback import Edges
from service.ports import Mail, Mailer, RefundNews, RefundRail, Unavailable
from service.post import Post
from service.proofs import Verifier
from service.rails import Gate
from service.refunds import Refunds
from service.resolution import Resolution
from service.revocations import Revocations
from service.rulebook import Rulebook
from service.satisfaction import Satisfactions
from service.sealing import Vault
from service.shows import Shows
from service.signing import SigningKeys
from service.store.brakes import BrakeStore
from service.store.figures import FigureStore
from service.store.flow import FlowStore
from service.store.identity import IdentityStore
from service.store.inbox import InboxStore
from service.store.keys import Change
from service.store.orders import OrderStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.store.rails import RailStore
from service.store.shows import ShowStore
from service.store.signing import SigningKeyStore
from service.texts import LANGUAGES
from service.tokens import Sealer
from service.watch import Watch
from tests.systems import no_systems

SECRET: Final = b"an installation secret of the tests, 32 bytes and more"
PUBLIC_URL: Final = "https://help.example"


async def _no_hint(_: object) -> None:
    return None


def _still() -> float:
    """No lease runs out between taking it and sending, however long this process stands still."""
    return 0.0


class NoKeys:
    async def fetch(self, url: str) -> bytes:
        raise Unavailable(url)


class Deaf:
    async def heard(self, rail: str, news: RefundNews, *, source: str) -> str:
        raise NotImplementedError((rail, news, source))


class Office:
    """The parts that write and send letters, over one database; a test may have several, as an installation has several processes."""

    def __init__(self, pool: Pool, dsn: str, mailer: Mailer) -> None:
        platforms = Platforms(PlatformStore(pool), Vault(SECRET, purpose="platform"), monotonic=lambda: 0.0, kept_seconds=0.0)
        vault, letters, store = Vault(SECRET, purpose="identity"), Letters(), IdentityStore(pool)
        identity = Identity(
            store=store, platforms=platforms, verifier=Verifier(NoKeys(), lambda: 0.0), vault=vault, clock=lambda: datetime.now(UTC)
        )
        self.signing = SigningKeys(SigningKeyStore(pool), Sealer(SECRET))
        edges, revocations = Edges(platforms, {}), Revocations(pool, Watch(_no_hint))
        access = Access(pool, KeyRing(self.signing), PUBLIC_URL, edges=edges, revocations=revocations)
        satisfactions = Satisfactions(FigureStore(pool), Vault(SECRET, purpose="satisfaction"), clock=lambda: datetime.now(UTC))
        self.post = Post(pool, platforms=platforms, letters=letters, access=access, satisfactions=satisfactions, public_url=PUBLIC_URL)
        codes = CodeLetters(store=store, platforms=platforms, vault=vault, letters=letters, mailer=mailer, in_step=no_systems())
        inbox = Inbox(InboxStore(pool), Deaf(), notifications={}, kinds={}, crew=Crew(), clock=lambda: datetime.now(UTC), vault=vault)
        self.jobs = Jobs(pool, dsn, post=self.post, mailer=mailer, codes=codes, identity=identity, inbox=inbox, slow={})


@cache
def bundled_rules() -> Rules:
    """Read once for all tests of a process: nothing changes them, and reading them takes longer than most of what they decide."""
    guards = load_guards((bundled_folder() / GUARDS_FILE).read_text(encoding="utf-8"))
    backups = load_rails((bundled_folder() / RAILS_FILE).read_text(encoding="utf-8"))
    return Rules(packs=load_packs(bundled_folder(), LANGUAGES), guards=guards, backups=backups, rails={"sandbox": "sandbox"})


class World:
    """One platform and everything that happens to its customers."""

    def __init__(self, pool: Pool, dsn: str, platform: UUID, slug: str, now: datetime) -> None:
        """`now`: from when shows, incidents and orders are reckoned: this test's, for the run may have begun hours ago."""
        self.pool = pool
        self.now = now
        self.dsn = dsn
        self.id = platform
        self.slug = slug
        self.mailer = SandboxMailer(sender="Makegood <help@makegood.example>")
        self.office = Office(pool, dsn, self.mailer)
        self.post = self.office.post
        self.flow = FlowStore(pool)
        self.rail = MemorySandboxRail("sandbox")
        self.brakes = Brakes(BrakeStore(pool), rails=("sandbox",))
        self.resolution, self.operations = self.flows(self.rail)

    def flows(self, rail: RefundRail) -> tuple[Resolution, Operations]:
        rules = bundled_rules()
        self.packs = rules.packs
        refunds = Refunds(
            self.flow,
            rails={"sandbox": rail},
            brakes=self.brakes,
            gate=Gate(RailStore(self.pool), paces={}),
            policy=FollowUps(rules.backups, rails={"sandbox": rail}, kinds=rules.rails),
            monotonic=_still,
        )
        operations = Operations(
            self.flow,
            refunds=refunds,
            mailer=self.mailer,
            issuers={"sandbox": SandboxIssuer()},
            letters=self.post,
            brakes=self.brakes,
            monotonic=_still,
        )
        return Resolution(
            self.pool,
            self.flow,
            Rulebook.only(rules),
            operations,
            Choices(self.flow, rules),
            in_step=no_systems(),
        ), operations

    @classmethod
    async def opens(cls, pool: Pool, dsn: str, **settings: Any) -> World:
        platform, slug = uuid4(), f"shop-{uuid4().hex}"
        document = {
            "name": "Moonlight",
            "languages": LANGUAGES,
            "contacts": {"support": "help@moonlight.example", "email": "help@moonlight.example"},
            "sender": "tickets@moonlight.example",
            **settings,
        }
        assert await PlatformStore(pool).add(platform, slug, document, Change(actor="test", why="a test"))
        now: datetime = await pool.fetchval("SELECT app_now()")
        world = cls(pool, dsn, platform, slug, now.replace(microsecond=0))
        await world.office.signing.ensure()
        return world

    # ------------------------------------------------------------------------------------------------ what is sold

    async def show(self, ref: str, *, starts_in: timedelta = timedelta(hours=-1), **more: Any) -> str:
        starts = self.now + starts_in
        document = {"version": 1, "name": {"en": "Northern Lights"}, "zone": "Europe/Berlin", "starts_at": starts} | more
        await Shows(ShowStore(self.pool)).put(
            self.id, ref, msgspec.convert({"ends_at": starts + timedelta(minutes=90)} | document, ShowFeed)
        )
        return ref

    async def incident(self, show: str, *, version: int, until: datetime | None) -> None:
        document = {"version": version, "kind": "stream_outage", "from": self.now - timedelta(minutes=50), "to": until}
        await Shows(ShowStore(self.pool)).put_incident(self.id, show, "down", msgspec.convert(document, IncidentFeed))

    async def order(self, show: str, *, positions: Sequence[dict[str, Any]] = ({},), charges: int = 1, locale: str = "en") -> str:
        """A paid order of Mira's: 25.00 EUR a position, streams unless they say otherwise."""
        ref = uuid4().hex[:8].upper()
        lines = [_position(ref, number, show, one) for number, one in enumerate(positions, 1)]
        total = sum(one["price"] for one in lines)
        payments = [_payment(f"ch_{ref}_{number}", number, total, self.now) for number in range(1, charges + 1)]
        for one in payments:
            self.rail.load_charge(one["provider_ref"], Money(minor=total, currency="EUR"))
        document = {
            "version": 1,
            "status": "paid",
            "currency": "EUR",
            "total": total,
            "buyer": {"name": "Mira", "email": f"mira-{ref.lower()}@example.org"},
            "locale": locale,
            "placed_at": self.now - timedelta(days=10),
            "positions": lines,
            "payments": payments,
        }
        await Orders(OrderStore(self.pool)).put(self.id, ref, msgspec.convert(document, OrderFeed), source="test")
        return ref

    # ---------------------------------------------------------------------------------------------- what goes wrong

    async def case(self, problem: Problem, show: str, order: str, *, caller: Caller | None = None, **more: Any) -> UUID:
        """What an interactive request does: decide, and carry out."""
        contact = {
            "problem": problem,
            "show": show,
            "order": order,
            "passes": (),
            "incident": None,
            "message": None,
            "channel": Channel.WIDGET,
            "locale": "en",
            "checked": None,
            "key": uuid4().hex,
            "body_hash": b"0",
        } | more
        opened = await self.resolution.open_case(caller or self.shop(), Contact(**contact), begin=True)
        assert opened.status == "opened"
        await self.resolution.carry_on(self.id, opened.begun, since=opened.since)
        return opened.case

    async def settle(self) -> None:
        """What the claim loop does, until nothing is due."""
        for _ in range(20):
            since = self.operations.clock()
            operations = await self.flow.claim_operations(50, LEASE_SECONDS)
            cases = await self.flow.claim_cases(50, LEASE_SECONDS)
            if not operations and not cases:
                return
            for operation in operations:
                await self.operations.advance(
                    operation.platform, operation.id, operation.epoch, since=since, rail=operation.rail, state=operation.state
                )
            for case in cases:
                await self.resolution.resolve(case.platform, case.id, case.epoch)
        raise AssertionError("something is due again and again")

    def shop(self) -> Caller:
        return Caller(kind="platform", platform_id=self.id, platform=self.slug, id=uuid4(), name="key:shop")

    def customer(self, email: str) -> Caller:
        return Caller(
            kind="customer",
            platform_id=self.id,
            platform=self.slug,
            id=uuid4(),
            name="customer",
            level=IdentityLevel.VERIFIED,
            email=email,
        )

    def lead(self) -> Caller:
        return Caller(kind="agent", platform_id=self.id, platform=self.slug, id=uuid4(), name="agent:Jonas", role="lead")

    # ------------------------------------------------------------------------------------------------ what is seen

    async def letter(self, case: UUID) -> Mail | None:
        version = await self.value("SELECT version FROM cases WHERE id = $1", case)
        found = await self.post.case_letter(self.id, case, version)
        return None if found is None else found.mail

    async def value(self, sql: str, *arguments: object) -> Any:
        return await self.pool.fetchval(sql, *arguments)

    async def entries(self, case: UUID, kind: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT data FROM timeline WHERE case_id = $1 AND kind = $2 ORDER BY seq", case, kind)
        return [row["data"] for row in rows]

    def mails_to(self, address: str) -> list[str]:
        """Subject and text of each, oldest first."""
        return [said(mail) for mail in self.mailer.mails if mail.to == address]


def said(mail: Mail | None) -> str:
    """Subject and plain text on one line, so that a test need not know where lines break."""
    assert mail is not None
    return " ".join(f"{mail.subject} {mail.text}".replace("\u00a0", " ").split())


def _position(ref: str, number: int, show: str, more: dict[str, Any]) -> dict[str, Any]:
    kind = more.get("kind", "stream")
    admission = None if kind == "merchandise" else {"barcode": f"{ref}-{number}-barcode", "issuer": "makegood"}
    return {
        "ref": str(number),
        "kind": kind,
        "name": f"Seat {number}",
        "price": 2500,
        "shows": [] if kind == "merchandise" else [show],
        "pass": admission,
    } | more


def _payment(provider_ref: str, number: int, total: int, now: datetime) -> dict[str, Any]:
    at = now - timedelta(days=10) + timedelta(minutes=number)
    return {
        "ref": f"P{number}",
        "rail": "sandbox",
        "provider_ref": provider_ref,
        "status": "confirmed",
        "amount": total,
        "captured": total,
        "method": "Visa ·· 4242",
        "paid_at": at,
        "created_at": at,
    }
