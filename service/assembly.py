"""Puts one process together below HTTP: what everything stands on, and the parts that move money."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec

from policies import (
    GUARDS_FILE,
    MACROS_FILE,
    PLAYBOOKS_FILE,
    RAILS_FILE,
    ROUTING_FILE,
    Macros,
    Packs,
    Playbooks,
    Routing,
    bundled_folder,
    load_guards,
    load_macros,
    load_packs,
    load_playbooks,
    load_rails,
    load_routing,
)
from service.access import Access, KeyRing
from service.brakes import Brakes
from service.choices import Choices, FollowUps
from service.code_letters import CodeLetters
from service.code_texts import CodeTexts
from service.crew import Crew
from service.endpoints import Endpoints
from service.identity import Identity
from service.in_step import InStep
from service.inbox import Inbox
from service.letters.render import Letters
from service.limits import Limits
from service.operations import Operations
from service.orders import Orders
from service.outbox import Outbox, Sender
from service.plan import Rules
from service.platform_checks import start_mistakes
from service.platforms import VAULT_PURPOSE, Platforms, PlatformSettings
from service.playback import Edges
from service.ports import RefundRail
from service.post import Post
from service.proofs import Verifier
from service.rails import Gate
from service.refunds import Refunds
from service.resolution import Resolution
from service.revocations import Revocations
from service.rollback import Rollback
from service.rulebook import Rulebook
from service.satisfaction import VAULT_PURPOSE as FEEDBACK_PURPOSE
from service.satisfaction import Satisfactions
from service.sealing import Vault
from service.settings import Settings
from service.settings_reading import SettingsError
from service.shows import Shows
from service.signing import SigningKeys
from service.sources import TOLD_TYPES, Sources
from service.store import policies
from service.store.answering import AnsweringStore
from service.store.brakes import BrakeStore
from service.store.endpoints import EndpointStore
from service.store.figures import FigureStore
from service.store.flow import FlowStore
from service.store.hints import Hints
from service.store.identity import IdentityStore
from service.store.inbox import InboxStore
from service.store.keys import Change
from service.store.orders import OrderStore
from service.store.outbox import OutboxStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool, open_pool
from service.store.rails import RailStore
from service.store.readiness import DatabaseReadiness
from service.store.rollback import RollbackStore
from service.store.shows import ShowStore
from service.store.signing import SigningKeyStore
from service.store.sources import SourceStore
from service.syncing import Syncing
from service.tokens import Sealer, Unsealable
from service.vendors import Vendors, open_key_sets
from service.waits import Waits
from service.watch import Watch


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """What everything else stands on."""

    dsn: str
    pool: Pool
    flow: FlowStore
    crew: Crew
    watch: Watch
    hints: Hints
    rules: Rules
    """the installation's"""
    rulebook: Rulebook
    macros: Macros
    routing: Routing
    playbooks: Playbooks
    waits: Waits
    signing: SigningKeys
    access: Access
    platforms: Platforms
    identity: Identity
    vault: Vault
    platform_vault: Vault
    """what platforms' secrets are sealed with"""
    letters: Letters
    satisfactions: Satisfactions
    post: Post
    brakes: Brakes
    sources: Sources
    syncing: Syncing
    in_step: InStep
    endpoints: Endpoints
    outbox: Outbox


class MoneyParts(msgspec.Struct, frozen=True, kw_only=True):
    """What moves money, and what hears of it."""

    gate: Gate
    refunds: Refunds
    operations: Operations
    choices: Choices
    resolution: Resolution
    inbox: Inbox
    rollback: Rollback


def rules_of(settings: Settings, kinds: Mapping[str, str], rails: Mapping[str, RefundRail]) -> Rules:
    """The packs and guards of this installation. Raises PackError, GuardsError, RailsError."""
    folder = settings.policies or bundled_folder()
    packs: Packs = load_packs(folder, settings.languages)

    def text(name: str) -> str:
        return policy_text(folder, name)

    def step(rail: str, currency: str) -> int:
        return rails[rail].step(currency) if rail in rails else 1

    return Rules(packs=packs, guards=load_guards(text(GUARDS_FILE)), backups=load_rails(text(RAILS_FILE)), rails=kinds, step=step)


def policy_text(folder: Path, name: str) -> str:
    """The file of the installation's own folder, else the one that comes with the product."""
    return (folder / name if (folder / name).exists() else bundled_folder() / name).read_text(encoding="utf-8")


@asynccontextmanager
async def open_core(settings: Settings, vendors: Vendors) -> AsyncIterator[Core]:
    """On a migrated database. Raises SettingsError for what an operator can mend, else what the database raises."""
    if settings.database_url is None or settings.secret is None:
        raise ValueError("a database and a secret are needed")
    dsn, secret = settings.database_url.reveal(), settings.secret.reveal().encode()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(dsn, size=settings.pool_size))
        key_sets = await stack.enter_async_context(open_key_sets(private=settings.webhook_private_addresses))
        if missing := await DatabaseReadiness(pool, answer_seconds_max=None).missing():
            raise SettingsError(list(missing))
        signing = await _signing_keys(pool, secret)
        rules = rules_of(settings, vendors.kinds, vendors.rails)
        rulebook = Rulebook(rules, partial(policies.texts_of, pool))
        written = await _keep_policies(pool, settings, rules, rulebook)
        await _check_platforms(PlatformStore(pool), vendors.kinds)
        platform_vault = Vault(secret, purpose=VAULT_PURPOSE)
        platforms = Platforms(PlatformStore(pool), platform_vault, monotonic=time.monotonic)
        hints = Hints(pool, dsn)
        watch = Watch(hints.send)
        edges, revocations = Edges(platforms, vendors.edges), Revocations(pool, watch)
        access = Access(pool, KeyRing(signing), settings.public_url, edges=edges, revocations=revocations)
        vault, letters = Vault(secret, purpose="identity"), Letters()
        satisfactions = Satisfactions(FigureStore(pool), Vault(secret, purpose=FEEDBACK_PURPOSE), clock=_now)
        texts = vendors.texter is not None
        sources = Sources(SourceStore(pool), platforms, openers=vendors.systems)
        stack.push_async_callback(sources.close)
        sealing = Vault(secret, purpose="endpoint")
        sender = Sender(vendors.hooks, sealing, adapters=sources.adapters, clock=_now)
        endpoints = Endpoints(EndpointStore(pool), sender, vendors.hooks, sealing)
        told = partial(_tell_system, endpoints)
        syncing = Syncing(SourceStore(pool), sources, shows=Shows(ShowStore(pool)), orders=Orders(OrderStore(pool)), told=told)
        in_step = InStep(syncing, FlowStore(pool).order_was_read)
        yield Core(
            dsn=dsn,
            pool=pool,
            flow=FlowStore(pool),
            crew=Crew(),
            watch=watch,
            hints=hints,
            rules=rules,
            rulebook=rulebook,
            macros=written.macros,
            routing=written.routing,
            playbooks=written.playbooks,
            waits=Waits(AnsweringStore(pool), platforms, aims=rules.guards.patience.first_look_within_seconds, monotonic=time.monotonic),
            signing=signing,
            access=access,
            platforms=platforms,
            identity=Identity(
                store=IdentityStore(pool), platforms=platforms, verifier=Verifier(key_sets), vault=vault, clock=_now, codes_by_text=texts
            ),
            vault=vault,
            platform_vault=platform_vault,
            letters=letters,
            satisfactions=satisfactions,
            post=Post(
                pool,
                platforms=platforms,
                letters=letters,
                access=access,
                satisfactions=satisfactions,
                public_url=settings.public_url,
            ),
            brakes=Brakes(BrakeStore(pool), rails=vendors.rails),
            sources=sources,
            syncing=syncing,
            in_step=in_step,
            endpoints=endpoints,
            outbox=Outbox(OutboxStore(pool), EndpointStore(pool), sender),
        )


async def _tell_system(endpoints: Endpoints, platform: UUID, adapter: str) -> None:
    await endpoints.ensure_adapter(platform, adapter, TOLD_TYPES, Change(actor="makegood", why="the platform's own system is told"))


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    macros: Macros
    routing: Routing
    playbooks: Playbooks


async def _keep_policies(pool: Pool, settings: Settings, rules: Rules, rulebook: Rulebook) -> _Written:
    """Loads what leads the desk, and keeps every policy's text by its hash, so that what it decided can be explained for good."""
    folder = settings.policies or bundled_folder()
    macros, routing = load_macros(policy_text(folder, MACROS_FILE)), load_routing(policy_text(folder, ROUTING_FILE))
    playbooks = load_playbooks(
        policy_text(folder, PLAYBOOKS_FILE),
        macros=[one.id for one in macros.all],
        rules=rules.packs.rules if settings.policies is None else None,
    )
    kept = [(one.hash, one.name, one.text) for one in rules.packs.by_name.values()]
    kept += [(routing.hash, ROUTING_FILE, routing.text), (playbooks.hash, PLAYBOOKS_FILE, playbooks.text)]
    await policies.keep(pool, [*kept, rulebook.built_in, (rules.backups.hash, RAILS_FILE, rules.backups.text)])
    await policies.note_installed(pool, {name: text_hash for text_hash, name, _ in kept} | {RAILS_FILE: rules.backups.hash})
    return _Written(macros=macros, routing=routing, playbooks=playbooks)


def code_letters(core: Core, vendors: Vendors) -> CodeLetters:
    return CodeLetters(
        store=IdentityStore(core.pool),
        platforms=core.platforms,
        vault=core.vault,
        letters=core.letters,
        mailer=vendors.mailer,
        in_step=core.in_step,
    )


def code_texts(core: Core, vendors: Vendors, settings: Settings) -> CodeTexts | None:
    """None where nobody sends texts."""
    if vendors.texter is None:
        return None
    return CodeTexts(
        store=IdentityStore(core.pool),
        platforms=core.platforms,
        vault=core.vault,
        texter=vendors.texter,
        in_step=core.in_step,
        public_url=settings.public_url if settings.has_public_url else None,
        limits=Limits(texts_per_platform=(settings.texts_per_day, 86400)),
    )


def assemble_money(core: Core, vendors: Vendors, *, monotonic: Callable[[], float] = time.monotonic) -> MoneyParts:
    """`monotonic`: the process's own clock, by which it knows how much of a lease is left."""
    gate = Gate(RailStore(core.pool), paces=vendors.paces)
    policy = FollowUps(core.rules.backups, rails=vendors.rails, kinds=vendors.kinds)
    refunds = Refunds(core.flow, rails=vendors.rails, brakes=core.brakes, gate=gate, policy=policy, monotonic=monotonic)
    operations = Operations(
        core.flow,
        refunds=refunds,
        mailer=vendors.mailer,
        issuers=vendors.issuers,
        own=core.sources,
        orders=core.in_step,
        letters=core.post,
        brakes=core.brakes,
        monotonic=monotonic,
    )
    choices = Choices(core.flow, core.rules)
    resolution = Resolution(core.pool, core.flow, core.rulebook, operations, choices, in_step=core.in_step)
    inbox = Inbox(
        InboxStore(core.pool),
        refunds,
        notifications=vendors.notifications,
        kinds=vendors.kinds,
        crew=core.crew,
        clock=_now,
        vault=core.vault,
    )
    rollback = Rollback(RollbackStore(core.pool), rails=vendors.rails, gate=gate, backups=core.rules.backups, cases=resolution)
    return MoneyParts(
        gate=gate, refunds=refunds, operations=operations, choices=choices, resolution=resolution, inbox=inbox, rollback=rollback
    )


async def _signing_keys(pool: Pool, secret: bytes) -> SigningKeys:
    """Made when there are none yet. Raises SettingsError for another secret than the database was set up with."""
    signing = SigningKeys(SigningKeyStore(pool), Sealer(secret))
    await signing.ensure()
    try:
        await signing.current()
    except Unsealable:
        raise SettingsError(["MAKEGOOD_SECRET is not the one that this database was set up with: its signing key does not open"]) from None
    return signing


async def _check_platforms(store: PlatformStore, kinds: Mapping[str, str]) -> None:
    """Raises SettingsError: money does not act on a real rail without caps, whoever changed the rails since."""
    mistakes = [
        f"platform {row.slug}: {mistake}"
        for row in await store.all()
        for mistake in start_mistakes(msgspec.convert({"name": row.slug, **row.settings}, PlatformSettings), kinds)
    ]
    if mistakes:
        raise SettingsError(mistakes)


def _now() -> datetime:
    return datetime.now(UTC)
