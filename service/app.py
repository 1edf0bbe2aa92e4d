"""Puts the application together, of what `vendors.py` opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from typing import Final
from uuid import UUID

import msgspec
from litestar import Litestar

from service.answering import Answering
from service.api.auth import Authenticator, DeskDoor
from service.api.console import ConsoleFiles
from service.api.desk_cookie import DeskCookie
from service.api.frame import NOTHING_MORE, More, Parts, build_app
from service.api.origins import Origins
from service.api.requests import ClientAddress
from service.api.routes import DOMAIN, FAILURES, ROUTES
from service.api.streams import Streams
from service.api.widget import WidgetFiles
from service.assembly import Core, MoneyParts, assemble_money, code_letters, code_texts, open_core
from service.books import Books
from service.case_desk import CaseDesk
from service.cases import Cases
from service.claims import Claims
from service.crew import Crew
from service.desk_live import ROWS_MAX, DeskLive, Reading
from service.desk_loop import DeskLoop
from service.desk_sessions import DeskSessions
from service.event_feed import EventFeed
from service.figures import Figures
from service.guide import Guide
from service.help import Help
from service.jobs import Jobs, SlowPass
from service.key_desk import KeyDesk
from service.keys import Keys
from service.likely import Likelies
from service.loop import Loop
from service.notice_live import NoticeLive
from service.notices import Notices, as_told
from service.oidc import VAULT_PURPOSE as SIGN_IN_PURPOSE
from service.oidc import OidcSignIn
from service.operations import Operations
from service.orders import Orders
from service.outbox import Outbox
from service.pack_desk import PackDesk
from service.policy_desk import PolicyDesk
from service.ports_tokens import IdentityWeb
from service.previews import Previews
from service.queue_rows import QueueRows
from service.rail_status import Rails
from service.rails import Gate
from service.referrals import Referrals
from service.refunds import CALL_SECONDS_MAX, Refunds
from service.resolution import Resolution
from service.routing import Router
from service.sealing import Vault
from service.search import Search
from service.settings import Settings
from service.settings_desk import SettingsDesk
from service.shows import Shows
from service.store import desk_live as desk_live_store
from service.store import policy_desk as policy_store
from service.store.answering import AnsweringStore
from service.store.claims import ClaimStore
from service.store.desk import DeskStore
from service.store.desk_sessions import DeskSessionStore
from service.store.figures import FigureStore
from service.store.help import HelpStore
from service.store.hints import Hints
from service.store.idempotency import IdempotencyStore
from service.store.keys import KeyStore
from service.store.notices import NoticeStore
from service.store.orders import OrderStore
from service.store.outbox import OutboxStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.store.previews import PreviewStore
from service.store.rails import RailStore
from service.store.readiness import DatabaseReadiness
from service.store.referrals import ReferralStore
from service.store.routing import RoutingStore
from service.store.shows import ShowStore
from service.store.widget_files import WidgetFileStore
from service.suggestions import Suggestions
from service.syncing import Syncing
from service.vendors import Vendors, open_identity_web
from service.wants import Wants
from service.watch import Watch

# What a stop waits for work under way: a call's deadline and the commit after it.
STOP_SECONDS_MAX: Final = CALL_SECONDS_MAX + 3.0


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """One process of Makegood: everything it does over HTTP, and everything it does by itself."""

    http: Litestar
    pool: Pool
    loop: Loop
    desk_loop: DeskLoop
    jobs: Jobs
    hints: Hints
    crew: Crew
    watch: Watch
    gate: Gate
    refunds: Refunds
    operations: Operations
    resolution: Resolution
    syncing: Syncing
    outbox: Outbox
    desk_live: DeskLive
    notice_live: NoticeLive

    async def work(self, stop: asyncio.Event) -> None:
        """The claim loop, the jobs and the hints of other processes, until told to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.loop.run(stop))
            group.create_task(self.desk_loop.run(stop))
            group.create_task(self.jobs.run(stop))
            group.create_task(self.gate.run(stop))
            group.create_task(self.syncing.run(stop))
            group.create_task(self.outbox.run(stop))
            group.create_task(self.hints.listen(self.watch.changed, stop))

    async def finish(self) -> None:
        """Ends streams and waits for what is under way, so that nothing is left unknown."""
        self.watch.close()
        await self.desk_live.close()
        await self.notice_live.close()
        await self.crew.close(STOP_SECONDS_MAX)
        await self.watch.told()


@asynccontextmanager
async def open_application(settings: Settings, vendors: Vendors, more: More = NOTHING_MORE) -> AsyncIterator[Application]:
    """Everything of one process, on a migrated database. Raises what the database raises when it is not there."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, vendors))
        money = assemble_money(core, vendors)
        tend_keys = partial(core.signing.tend, days=settings.signing_key_days)
        slow: Mapping[str, SlowPass] = {
            "read_again": money.refunds.read_again,
            "rollback": money.rollback.run,
            "signing_keys": tend_keys,
            "ask_after_shows": core.satisfactions.ask_after_shows,
        }
        jobs = Jobs(
            core.pool,
            core.dsn,
            post=core.post,
            mailer=vendors.mailer,
            codes=code_letters(core, vendors),
            texts=code_texts(core, vendors, settings),
            identity=core.identity,
            inbox=money.inbox,
            forgetting=[
                core.endpoints.forget_old,
                AnsweringStore(core.pool).forget_old,
                DeskSessionStore(core.pool).forget_old,
                PreviewStore(core.pool).forget_old,
                NoticeStore(core.pool).forget_old,
                WidgetFileStore(core.pool).forget_old,
            ],
            slow=slow,
        )
        widget_files = WidgetFiles(WidgetFileStore(core.pool))
        await widget_files.keep()
        live = _desk_live(core)
        notices = NoticeLive(NoticeStore(core.pool).now, as_told, core.watch)
        web = await stack.enter_async_context(open_identity_web(private=settings.webhook_private_addresses))
        yield Application(
            http=_http(
                core,
                {
                    **_domain(core, money, vendors),
                    "desk_live": live,
                    "notice_live": notices,
                    "widget_files": widget_files,
                    "oidc": _oidc(core, web, settings),
                },
                settings,
                more,
            ),
            desk_live=live,
            notice_live=notices,
            pool=core.pool,
            loop=Loop(core.flow, money.resolution, money.operations, jobs, inbox=money.inbox, crew=core.crew, watch=core.watch),
            desk_loop=_desk_loop(core),
            jobs=jobs,
            hints=core.hints,
            crew=core.crew,
            watch=core.watch,
            gate=money.gate,
            refunds=money.refunds,
            operations=money.operations,
            resolution=money.resolution,
            syncing=core.syncing,
            outbox=core.outbox,
        )


def _previews(core: Core, money: MoneyParts) -> Previews:
    return Previews(
        core.pool,
        PreviewStore(core.pool),
        DeskStore(core.pool),
        core.flow,
        rulebook=core.rulebook,
        operations=money.operations,
        resolution=money.resolution,
        in_step=core.in_step,
        crew=core.crew,
        watch=core.watch,
    )


def _domain(core: Core, money: MoneyParts, vendors: Vendors) -> Mapping[str, object]:
    """What the routes ask for, by name."""
    pool, crew, watch = core.pool, core.crew, core.watch
    cases = Cases(
        pool,
        core.flow,
        money.resolution,
        core.access,
        choices=money.choices,
        identity=core.identity,
        crew=crew,
        watch=watch,
        waits=core.waits,
    )
    notices = Notices(NoticeStore(pool), core.platforms, watch)
    return {
        "cases": cases,
        "answering": Answering(AnsweringStore(pool), cases, core.platforms, core.macros, waits=core.waits, watch=watch),
        "waits": core.waits,
        "case_desk": CaseDesk(pool, DeskStore(pool), watch=watch),
        "queue_rows": QueueRows(pool),
        "claims": Claims(ClaimStore(pool), watch),
        "guide": Guide(ClaimStore(pool), core.playbooks),
        "previews": (previews := _previews(core, money)),
        "suggestions": Suggestions(pool, core.flow, core.rulebook, previews),
        "orders": Orders(OrderStore(pool)),
        "shows": Shows(ShowStore(pool)),
        "identity": core.identity,
        "platforms": core.platforms,
        "signing_keys": core.signing,
        "access": core.access,
        "brakes": core.brakes,
        "notices": notices,
        "key_desk": KeyDesk(pool),
        "settings_desk": SettingsDesk(PlatformStore(pool), core.platform_vault, vendors.kinds, PackDesk(pool, core.rules.packs).mistakes),
        # Money paid out is there when the processor says so; of a card's refund it only says that it was sent.
        "books": Books(pool, arrives=[name for name, rail in vendors.rails.items() if rail.traits.pays == "out"]),
        "rails": Rails(RailStore(pool), rails=vendors.rails, kinds=vendors.kinds, paces=vendors.paces),
        "inbox": money.inbox,
        "syncing": core.syncing,
        "repeats": IdempotencyStore(pool),
        "endpoints": core.endpoints,
        "event_feed": EventFeed(OutboxStore(pool), watch),
        "wants": Wants(pool, core.rulebook),
        "referrals": Referrals(ReferralStore(pool), watch),
        "figures": Figures(FigureStore(pool), core.platforms, core.waits),
        "satisfactions": core.satisfactions,
        "desk_sessions": _desk_sessions(core),
        "console_files": ConsoleFiles(),
        "streams": Streams(),
        "search": Search(pool),
        "widget_likely": (likelies := Likelies(pool, core.flow, money.resolution, core.identity)),
        "widget_help": Help(
            HelpStore(pool),
            core.platforms,
            core.identity,
            likelies,
            monotonic=time.monotonic,
            notices=notices,
            codes_by_text=core.identity.codes_by_text,
        ),
        "policy_desk": PolicyDesk(
            PlatformStore(pool),
            core.platforms,
            core.rulebook,
            partial(policy_store.today, pool),
            routing=core.routing,
            playbooks=core.playbooks,
        ),
    }


def _desk_loop(core: Core) -> DeskLoop:
    store = RoutingStore(core.pool)
    return DeskLoop(store, Router(store, core.routing, core.playbooks, core.rules.guards), core.watch)


def _desk_sessions(core: Core) -> DeskSessions:
    return DeskSessions(DeskSessionStore(core.pool), Keys(KeyStore(core.pool)))


def _oidc(core: Core, web: IdentityWeb, settings: Settings) -> OidcSignIn:
    if settings.secret is None:
        raise ValueError("a secret is needed")
    vault = Vault(settings.secret.reveal().encode(), purpose=SIGN_IN_PURPOSE)
    return OidcSignIn(
        DeskSessionStore(core.pool), _desk_sessions(core), core.platforms, web, vault=vault, public_url=settings.public_url, clock=_now
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _desk_live(core: Core) -> DeskLive:
    """One reading of a platform's queue for all of its consoles that are open on this process."""
    pool = core.pool

    async def read(platform: UUID) -> Reading:
        at, rows = await desk_live_store.now_and_rows(pool, platform, ROWS_MAX)
        return Reading(rows=rows, wait=await core.waits.quote(platform), at=at)

    return DeskLive(read, partial(desk_live_store.seen, pool), core.watch)


VERSION: Final = metadata.version("makegood")


def _http(core: Core, domain: Mapping[str, object], settings: Settings, more: More) -> Litestar:
    cookie = DeskCookie.of(settings.public_url, any_host=not settings.has_public_url)
    authenticator = Authenticator(
        key=Keys(KeyStore(core.pool)).caller_for,
        session=core.identity.caller_for_session,
        platform_token=core.identity.caller_for_platform_token,
        desk=DeskDoor(cookie=cookie, reader=_desk_sessions(core).caller_for),
    )
    parts = Parts(
        authenticator=authenticator,
        readiness=DatabaseReadiness(core.pool),
        client_address=ClientAddress(proxies=settings.proxies),
        domain={**domain, "desk_cookie": cookie, **more.domain},
        failures=FAILURES,
        origins=Origins(core.platforms, cookie),
    )
    return build_app(parts, [*ROUTES, *more.controllers], version=VERSION)


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
