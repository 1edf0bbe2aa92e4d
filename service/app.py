"""Puts the application together, of what `vendors.py` opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Final

import msgspec
from litestar import Litestar

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
from service.api.payout import PayoutRoutes
from service.api.platform import PlatformFeed
from service.api.rails import RailRoutes
from service.api.requests import ClientAddress
from service.api.webhooks import WebhookRoutes
from service.api.wellknown import WellKnown
from service.assembly import Core, MoneyParts, assemble_money, open_core
from service.books import Books
from service.cases import Cases
from service.code_letters import CodeLetters
from service.crew import Crew
from service.identity import Identity
from service.jobs import Jobs
from service.keys import Keys
from service.loop import Loop
from service.operations import Operations
from service.orders import Orders
from service.queue import Queue
from service.rail_status import Rails
from service.rails import Gate
from service.refunds import CALL_SECONDS_MAX, Refunds
from service.resolution import Resolution
from service.settings import Settings
from service.shows import Shows
from service.store.desk import DeskStore
from service.store.hints import Hints
from service.store.identity import IdentityStore
from service.store.keys import KeyStore
from service.store.orders import OrderStore
from service.store.pool import Pool
from service.store.rails import RailStore
from service.store.readiness import DatabaseReadiness
from service.store.shows import ShowStore
from service.vendors import Vendors
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
    refunds: Refunds
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


@asynccontextmanager
async def open_application(settings: Settings, vendors: Vendors) -> AsyncIterator[Application]:
    """Everything of one process, on a migrated database. Raises what the database raises when it is not there."""
    async with open_core(settings, vendors) as core:
        money = assemble_money(core, vendors)
        codes = CodeLetters(
            store=IdentityStore(core.pool), platforms=core.platforms, vault=core.vault, letters=core.letters, mailer=vendors.mailer
        )
        slow = {"read_again": money.refunds.read_again, "rollback": money.rollback.run}
        jobs = Jobs(
            core.pool,
            core.dsn,
            post=core.post,
            mailer=vendors.mailer,
            codes=codes,
            identity=core.identity,
            inbox=money.inbox,
            slow=slow,
        )
        yield Application(
            http=_http(core.pool, _domain(core, money, vendors), core.identity, settings.proxies),
            pool=core.pool,
            loop=Loop(core.flow, money.resolution, money.operations, jobs, inbox=money.inbox, crew=core.crew, watch=core.watch),
            jobs=jobs,
            hints=core.hints,
            crew=core.crew,
            watch=core.watch,
            gate=money.gate,
            refunds=money.refunds,
            operations=money.operations,
            resolution=money.resolution,
        )


def _domain(core: Core, money: MoneyParts, vendors: Vendors) -> Mapping[str, object]:
    """What the routes ask for, by name."""
    pool, crew, watch = core.pool, core.crew, core.watch
    return {
        "cases": Cases(
            pool,
            core.flow,
            money.resolution,
            core.access,
            choices=money.choices,
            identity=core.identity,
            crew=crew,
            watch=watch,
        ),
        "queue": Queue(pool, DeskStore(pool), core.rules, money.operations, money.resolution, crew=crew, watch=watch),
        "orders": Orders(OrderStore(pool)),
        "shows": Shows(ShowStore(pool)),
        "identity": core.identity,
        "platforms": core.platforms,
        "signing_keys": core.signing,
        "access": core.access,
        "brakes": core.brakes,
        # Money paid out is there when the processor says so; of a card's refund it only says that it was sent.
        "books": Books(pool, arrives=[name for name, rail in vendors.rails.items() if rail.traits.pays == "out"]),
        "rails": Rails(RailStore(pool), rails=vendors.rails, kinds=vendors.kinds, paces=vendors.paces),
        "inbox": money.inbox,
    }


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
    PayoutRoutes,
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
