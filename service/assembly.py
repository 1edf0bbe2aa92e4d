"""Puts one process together below HTTP: what everything stands on, and the parts that move money."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import httpx
import msgspec

from policies import GUARDS_FILE, RAILS_FILE, Packs, bundled_folder, load_guards, load_packs, load_rails
from service.access import Access, KeyRing
from service.brakes import Brakes
from service.choices import Choices, FollowUps
from service.crew import Crew
from service.identity import Identity
from service.inbox import Inbox
from service.keys import SigningKeys
from service.letters.render import Letters
from service.operations import Operations
from service.plan import Rules
from service.platform_checks import start_mistakes
from service.platforms import Platforms, PlatformSettings
from service.ports import RefundRail
from service.post import Post
from service.proofs import Verifier
from service.rails import Gate
from service.refunds import Refunds
from service.resolution import Resolution
from service.rollback import Rollback
from service.sealing import Vault
from service.settings import Settings
from service.settings_reading import SettingsError
from service.store import policies
from service.store.brakes import BrakeStore
from service.store.flow import FlowStore
from service.store.hints import Hints
from service.store.identity import IdentityStore
from service.store.inbox import InboxStore
from service.store.keys import PlatformStore, SigningKeyStore
from service.store.pool import Pool, open_pool
from service.store.rails import RailStore
from service.store.readiness import DatabaseReadiness
from service.store.rollback import RollbackStore
from service.tokens import Sealer, Unsealable
from service.vendors import Vendors, key_sets_over
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
    signing: SigningKeys
    access: Access
    platforms: Platforms
    identity: Identity
    vault: Vault
    letters: Letters
    post: Post
    brakes: Brakes


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
        return (folder / name if (folder / name).exists() else bundled_folder() / name).read_text(encoding="utf-8")

    def step(rail: str, currency: str) -> int:
        return rails[rail].step(currency) if rail in rails else 1

    return Rules(packs=packs, guards=load_guards(text(GUARDS_FILE)), backups=load_rails(text(RAILS_FILE)), rails=kinds, step=step)


@asynccontextmanager
async def open_core(settings: Settings, vendors: Vendors) -> AsyncIterator[Core]:
    """On a migrated database. Raises SettingsError for what an operator can mend, else what the database raises."""
    if settings.database_url is None or settings.secret is None:
        raise ValueError("a database and a secret are needed")
    dsn, secret = settings.database_url.reveal(), settings.secret.reveal().encode()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(dsn, size=settings.pool_size))
        web = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        if missing := await DatabaseReadiness(pool).missing():
            raise SettingsError(list(missing))
        signing = await _signing_keys(pool, secret)
        rules = rules_of(settings, vendors.kinds, vendors.rails)
        kept = [(one.hash, one.name, one.text) for one in rules.packs.by_name.values()]
        await policies.keep(pool, [*kept, (rules.backups.hash, RAILS_FILE, rules.backups.text)])
        await _check_platforms(PlatformStore(pool), vendors.kinds)
        platforms = Platforms(PlatformStore(pool), Vault(secret, purpose="platform"), monotonic=time.monotonic)
        access, hints = Access(pool, KeyRing(signing), settings.public_url), Hints(pool, dsn)
        vault, letters = Vault(secret, purpose="identity"), Letters()
        verifier = Verifier(key_sets_over(web))
        yield Core(
            dsn=dsn,
            pool=pool,
            flow=FlowStore(pool),
            crew=Crew(),
            watch=Watch(hints.send),
            hints=hints,
            rules=rules,
            signing=signing,
            access=access,
            platforms=platforms,
            identity=Identity(store=IdentityStore(pool), platforms=platforms, verifier=verifier, vault=vault, clock=_now),
            vault=vault,
            letters=letters,
            post=Post(pool, platforms=platforms, letters=letters, access=access, public_url=settings.public_url),
            brakes=Brakes(BrakeStore(pool), rails=vendors.rails),
        )


def assemble_money(core: Core, vendors: Vendors) -> MoneyParts:
    gate = Gate(RailStore(core.pool), paces=vendors.paces)
    policy = FollowUps(core.rules.backups, rails=vendors.rails, kinds=vendors.kinds)
    refunds = Refunds(core.flow, rails=vendors.rails, brakes=core.brakes, gate=gate, policy=policy)
    operations = Operations(
        core.flow, refunds=refunds, mailer=vendors.mailer, issuers=vendors.issuers, letters=core.post, brakes=core.brakes
    )
    choices = Choices(core.flow, core.rules)
    resolution = Resolution(core.pool, core.flow, core.rules, operations, choices)
    inbox = Inbox(InboxStore(core.pool), refunds, notifications=vendors.notifications, kinds=vendors.kinds, crew=core.crew, clock=_now)
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
        for mistake in start_mistakes(msgspec.convert(row.settings, PlatformSettings), kinds)
    ]
    if mistakes:
        raise SettingsError(mistakes)


def _now() -> datetime:
    return datetime.now(UTC)
