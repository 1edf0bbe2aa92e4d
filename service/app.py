"""Puts the application together, of what `vendors.py` opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib import metadata
from typing import Final

import httpx
import msgspec
from litestar import Litestar

from policies import GUARDS_FILE, RAILS_FILE, Packs, bundled_folder, load_guards, load_packs, load_rails
from service.access import Access, KeyRing
from service.api import brakes as brake_routes
from service.api import cases as case_routes
from service.api import customer_identity, desk
from service.api import platform as platform_routes
from service.api.access import AccessRoutes
from service.api.auth import Authenticator
from service.api.brakes import BrakeRoutes
from service.api.cases import CaseRoutes
from service.api.customer_identity import CustomerIdentity
from service.api.desk import DeskRoutes
from service.api.frame import Parts, build_app
from service.api.money import MoneyRoutes
from service.api.platform import PlatformFeed
from service.api.rails import RailRoutes
from service.api.requests import ClientAddress
from service.api.webhooks import WebhookRoutes
from service.api.wellknown import WellKnown
from service.books import Books
from service.brakes import Brakes
from service.cases import Cases
from service.choices import Choices, FollowUps
from service.code_letters import CodeLetters
from service.crew import Crew
from service.identity import Identity
from service.inbox import Inbox
from service.jobs import Jobs
from service.keys import Keys, SigningKeys
from service.letters.render import Letters
from service.loop import Loop
from service.operations import CALL_SECONDS_MAX, Operations
from service.orders import Orders
from service.plan import Rules
from service.platform_checks import start_mistakes
from service.platforms import Platforms, PlatformSettings
from service.ports import RefundRail
from service.post import Post
from service.proofs import Verifier
from service.queue import Queue
from service.rail_status import Rails
from service.rails import Gate
from service.resolution import Resolution
from service.rollback import Rollback
from service.sealing import Vault
from service.settings import Settings
from service.settings_reading import SettingsError
from service.shows import Shows
from service.store import policies
from service.store.brakes import BrakeStore
from service.store.desk import DeskStore
from service.store.flow import FlowStore
from service.store.hints import Hints
from service.store.identity import IdentityStore
from service.store.inbox import InboxStore
from service.store.keys import KeyStore, PlatformStore, SigningKeyStore
from service.store.orders import OrderStore
from service.store.pool import Pool, open_pool
from service.store.rails import RailStore
from service.store.readiness import DatabaseReadiness
from service.store.rollback import RollbackStore
from service.store.shows import ShowStore
from service.tokens import Sealer, Unsealable
from service.vendors import Vendors, key_sets_over
from service.watch import Watch

# What a stop waits for work under way: a call's deadline and the commit after it.
STOP_SECONDS_MAX: Final = CALL_SECONDS_MAX + 3.0


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """One process of Makegood: everything it does over HTTP, and everything it does by itself."""

    http: Litestar
    pool: Pool
    loop: Loop
    jobs: Jobs
    hints: Hints
    crew: Crew
    watch: Watch
    gate: Gate
    operations: Operations
    resolution: Resolution

    async def work(self, stop: asyncio.Event) -> None:
        """The claim loop, the jobs and the hints of other processes, until told to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.loop.run(stop))
            group.create_task(self.jobs.run(stop))
            group.create_task(self.gate.run(stop))
            group.create_task(self.hints.listen(self.watch.changed, stop))

    async def finish(self) -> None:
        """Ends streams and waits for what is under way, so that nothing is left unknown."""
        self.watch.close()
        await self.crew.close(STOP_SECONDS_MAX)


def rules_of(settings: Settings, kinds: Mapping[str, str], rails: Mapping[str, RefundRail]) -> Rules:
    """The packs and guards of this installation. Raises PackError, GuardsError, RailsError."""
    folder = settings.policies or bundled_folder()
    packs: Packs = load_packs(folder, settings.languages)

    def text(name: str) -> str:
        return (folder / name if (folder / name).exists() else bundled_folder() / name).read_text(encoding="utf-8")

    def step(rail: str, currency: str) -> int:
        return rails[rail].step(currency) if rail in rails else 1

    return Rules(packs=packs, guards=load_guards(text(GUARDS_FILE)), backups=load_rails(text(RAILS_FILE)), rails=kinds, step=step)


@asynccontextmanager
async def open_application(settings: Settings, vendors: Vendors) -> AsyncIterator[Application]:
    """Everything of one process, on a migrated database. Raises what the database raises when it is not there."""
    if settings.database_url is None or settings.secret is None:
        raise ValueError("a database and a secret are needed")
    dsn, secret = settings.database_url.reveal(), settings.secret.reveal().encode()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(dsn, size=settings.pool_size))
        web = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        if missing := await DatabaseReadiness(pool).missing():
            raise SettingsError(list(missing))
        signing = SigningKeys(SigningKeyStore(pool), Sealer(secret))
        await signing.ensure()
        try:
            await signing.current()
        except Unsealable:
            raise SettingsError(
                ["MAKEGOOD_SECRET is not the one that this database was set up with: its signing key does not open"]
            ) from None
        access = Access(pool, KeyRing(signing), settings.public_url)
        hints = Hints(pool, dsn)
        flow, crew, watch = FlowStore(pool), Crew(), Watch(hints.send)
        rules = rules_of(settings, vendors.kinds, vendors.rails)
        await policies.keep(pool, [(one.hash, one.name, one.text) for one in rules.packs.by_name.values()])
        await _check_platforms(PlatformStore(pool), vendors.kinds)
        platforms = Platforms(PlatformStore(pool), Vault(secret, purpose="platform"), monotonic=time.monotonic)
        vault, letters = Vault(secret, purpose="identity"), Letters()
        identity = Identity(
            store=IdentityStore(pool),
            platforms=platforms,
            verifier=Verifier(key_sets_over(web)),
            vault=vault,
            clock=lambda: datetime.now(UTC),
        )
        post = Post(pool, platforms=platforms, letters=letters, access=access, public_url=settings.public_url)
        brakes = Brakes(BrakeStore(pool), rails=vendors.rails)
        codes = CodeLetters(store=IdentityStore(pool), platforms=platforms, vault=vault, letters=letters, mailer=vendors.mailer)
        gate = Gate(RailStore(pool), paces=vendors.paces)
        operations = Operations(
            flow,
            rails=vendors.rails,
            mailer=vendors.mailer,
            issuers=vendors.issuers,
            letters=post,
            brakes=brakes,
            gate=gate,
            policy=FollowUps(rules.backups, rails=vendors.rails, kinds=vendors.kinds),
        )
        choices = Choices(flow, rules)
        resolution = Resolution(pool, flow, rules, operations, choices)
        inbox = Inbox(
            InboxStore(pool),
            operations,
            notifications=vendors.notifications,
            kinds=vendors.kinds,
            crew=crew,
            clock=lambda: datetime.now(UTC),
        )
        undo = Rollback(RollbackStore(pool), rails=vendors.rails, gate=gate, backups=rules.backups, cases=resolution)
        slow = {"read_again": operations.read_again, "rollback": undo.run}
        jobs = Jobs(pool, dsn, post=post, mailer=vendors.mailer, codes=codes, identity=identity, inbox=inbox, slow=slow)
        domain: Mapping[str, object] = {
            "cases": Cases(pool, flow, resolution, access, choices=choices, identity=identity, crew=crew, watch=watch),
            "queue": Queue(pool, DeskStore(pool), rules, operations, resolution, crew=crew, watch=watch),
            "orders": Orders(OrderStore(pool)),
            "shows": Shows(ShowStore(pool)),
            "identity": identity,
            "platforms": platforms,
            "signing_keys": signing,
            "access": access,
            "brakes": brakes,
            # Money paid out is there when the processor says so; of a card's refund it only says that it was sent.
            "books": Books(pool, arrives=[name for name, rail in vendors.rails.items() if rail.traits.pays == "out"]),
            "rails": Rails(RailStore(pool), rails=vendors.rails, kinds=vendors.kinds, paces=vendors.paces),
            "inbox": inbox,
        }
        yield Application(
            http=_http(pool, domain, identity, settings.proxies),
            pool=pool,
            loop=Loop(flow, resolution, operations, jobs, inbox=inbox, crew=crew, watch=watch),
            jobs=jobs,
            hints=hints,
            crew=crew,
            watch=watch,
            gate=gate,
            operations=operations,
            resolution=resolution,
        )


async def _check_platforms(store: PlatformStore, kinds: Mapping[str, str]) -> None:
    """Raises SettingsError: money does not act on a real rail without caps, whoever changed the rails since."""
    mistakes = [
        f"platform {row.slug}: {mistake}"
        for row in await store.all()
        for mistake in start_mistakes(msgspec.convert(row.settings, PlatformSettings), kinds)
    ]
    if mistakes:
        raise SettingsError(mistakes)


VERSION: Final = metadata.version("makegood")
DOMAIN: Final = (
    "cases",
    "queue",
    "orders",
    "shows",
    "identity",
    "platforms",
    "signing_keys",
    "access",
    "brakes",
    "rails",
    "inbox",
    "books",
)
ROUTES: Final = (
    CustomerIdentity,
    CaseRoutes,
    DeskRoutes,
    PlatformFeed,
    MoneyRoutes,
    AccessRoutes,
    BrakeRoutes,
    RailRoutes,
    WebhookRoutes,
    WellKnown,
)
FAILURES: Final = {
    **case_routes.FAILURES,
    **customer_identity.FAILURES,
    **desk.FAILURES,
    **platform_routes.FAILURES,
    **brake_routes.FAILURES,
}


def _http(pool: Pool, domain: Mapping[str, object], identity: Identity, proxies: int) -> Litestar:
    keys = Keys(KeyStore(pool))
    authenticator = Authenticator(
        key=keys.caller_for, session=identity.caller_for_session, platform_token=identity.caller_for_platform_token
    )
    parts = Parts(
        authenticator=authenticator,
        readiness=DatabaseReadiness(pool),
        client_address=ClientAddress(proxies=proxies),
        domain=domain,
        failures=FAILURES,
    )
    return build_app(parts, ROUTES, version=VERSION)


def contract_app() -> Litestar:
    """The routes without anything behind them: what the contract is made from."""

    async def nobody(*_: str) -> None:
        return None

    parts = Parts(
        authenticator=Authenticator(key=nobody, session=nobody, platform_token=nobody),
        readiness=_NeverReady(),
        client_address=ClientAddress(proxies=0),
        domain=dict.fromkeys(DOMAIN, object()),
        failures=FAILURES,
    )
    return build_app(parts, ROUTES, version=VERSION)


class _NeverReady:
    async def missing(self) -> tuple[str, ...]:
        return ("nothing is behind these routes",)
