"""A running Makegood for one evening: the application over real HTTP, a platform with its desk, its shop and its mailbox."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import msgspec

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import SandboxBooks
from integrations.sandbox_mail import SandboxMailer
from integrations.sandbox_platform import SandboxPlatform
from integrations.sandbox_text import SandboxTexter
from service import serving
from service.api.frame import NOTHING_MORE, More
from service.app import Application
from service.demo.world import Desk, Shop, bearer, make_platform
from service.platforms import VAULT_PURPOSE, PlatformSettings, sealed
from service.ports import Mail, Text
from service.sealing import Vault
from service.settings import Settings, load
from service.store.pool import Pool
from service.vendors import Vendors, open_vendors

HOST: Final = "127.0.0.1"
RAIL: Final = "sandbox"
# A second rail, which pays out to who chose it. So soon it is offered where the first cannot be reached: nobody waits six hours for a demo.
BACKUP: Final = "backup"
_PAYOUTS: Final = {"rails": [BACKUP], "failover_after_seconds": 2}
# What stands in the JWTs with which the platform says who its customers are.
ISSUER: Final = "https://northern-lights.example"
AUDIENCE: Final = "makegood"
# A request waits at most 25 s for its outcome, on a machine that may be busy; a client that hangs up before learns nothing.
REQUEST_SECONDS_MAX: Final = 120.0
# Mail goes out within seconds; this only ends a wait for one that never comes.
MAIL_SECONDS_MAX: Final = 120.0
# A demo that stays up for days keeps the latest; no test waits for a mail behind so many others.
_MAILS_MAX: Final = 20_000


class Mailbox:
    """The mails and texts that the sandbox took, and ways to wait for one. `on_mail` and `on_text` see each as it comes."""

    def __init__(self, on_mail: Callable[[Mail], None] = lambda _: None, on_text: Callable[[Text], None] = lambda _: None) -> None:
        self._on_mail = on_mail
        self._on_text = on_text
        self._kept: deque[Mail | Text] = deque(maxlen=_MAILS_MAX)
        self._came = asyncio.Event()
        self.mailer = SandboxMailer(sender="sandbox@localhost.example", on_mail=self._take)
        self.texter = SandboxTexter(on_text=self._take_text)

    def to(self, address: str) -> tuple[Mail, ...]:
        """What came for this address, oldest first."""
        return tuple(one for one in self._kept if isinstance(one, Mail) and one.to == address)

    def received(self, address: str, phone: str) -> tuple[Mail | Text, ...]:
        """What came for somebody of this address and this number, oldest first."""
        return tuple(one for one in self._kept if one.to == (address if isinstance(one, Mail) else phone))

    async def until(self, address: str, fits: Callable[[Mail], bool] = lambda _: True, *, seconds_max: float = MAIL_SECONDS_MAX) -> Mail:
        """The first mail to this address that fits, as soon as it is there. Raises TimeoutError."""
        async with asyncio.timeout(seconds_max):
            while True:
                self._came.clear()
                for mail in self.to(address):
                    if fits(mail):
                        return mail
                await self._came.wait()

    async def text_to(self, phone: str, *, after: int = 0, seconds_max: float = MAIL_SECONDS_MAX) -> Text:
        """The first text to this phone behind as many others, as soon as it is there. Raises TimeoutError."""
        async with asyncio.timeout(seconds_max):
            while True:
                self._came.clear()
                found = [one for one in self._kept if isinstance(one, Text) and one.to == phone]
                if len(found) > after:
                    return found[after]
                await self._came.wait()

    def _take_text(self, text: Text) -> None:
        self._kept.append(text)
        self._came.set()
        self._on_text(text)

    def _take(self, mail: Mail) -> None:
        self._kept.append(mail)
        self._came.set()
        self._on_mail(mail)


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo and the tests hold of a running application. Everything but `pool` and `app` is what a platform has, too."""

    address: str
    """`http://127.0.0.1:8080`"""
    client: httpx.AsyncClient
    """without a token: send one with `world.bearer`"""
    desk: Desk
    shop: Shop
    books: SandboxBooks
    backup: SandboxBooks
    """of the rail that pays out"""
    mails: Mailbox
    signing_secret: str
    """with which the platform signs who its customers are (HS256)"""
    pool: Pool
    app: Application
    system: SandboxPlatform | None = None
    """where the platform keeps its orders itself, for Makegood to read them there"""
    neighbour: Night | None = None
    """another platform of the same installation, which has such a system"""


def night_settings(*, database_url: str, sandbox_database_url: str, port: int, host: str = HOST, secret: str | None = None) -> Settings:
    """One process, a sandbox rail and one that pays out, no mail server. Raises SettingsError."""
    # All of this machine's addresses: then the pages name one that a browser on it can open.
    somewhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104 - only when it is asked for
    return load(
        {
            **({"MAKEGOOD_PUBLIC_URL": f"http://{somewhere}:{port}"} if somewhere else {}),
            "MAKEGOOD_DATABASE_URL": database_url,
            "MAKEGOOD_SANDBOX_DATABASE_URL": sandbox_database_url,
            "MAKEGOOD_SECRET": secret or secrets.token_hex(32),
            "MAKEGOOD_BIND": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "MAKEGOOD_LANGUAGES": "en,de,fr,es,ja,ar",
            "MAKEGOOD_WEBHOOK_PRIVATE_ADDRESSES": "yes",
            "MAKEGOOD_TEXT": "sandbox",
            f"MAKEGOOD_RAIL_{RAIL.upper()}_KIND": "sandbox",
            f"MAKEGOOD_RAIL_{BACKUP.upper()}_KIND": "sandbox_payout",
        }
    )


@asynccontextmanager
async def open_night(
    settings: Settings,
    *,
    slug: str = "demo",
    platform: Mapping[str, Any] | None = None,
    mailbox: Mailbox | None = None,
    more: More = NOTHING_MORE,
) -> AsyncIterator[Night]:
    """Serves and works on migrated databases in this process until the block ends. Raises what the database raises."""
    mails = mailbox or Mailbox()

    @asynccontextmanager
    async def vendors(these: Settings) -> AsyncIterator[Vendors]:
        async with open_vendors(these) as outside:
            yield msgspec.structs.replace(outside, mailer=mails.mailer, texter=mails.texter)

    sandbox_url, secret = settings.sandbox_database_url, settings.secret
    if sandbox_url is None or secret is None:
        raise ValueError("the application needs a secret, and the sandbox a database for its ledger")
    # The same after every start, so that the platform that is there stays as it is.
    signing_secret = hmac.new(secret.reveal().encode(), f"signs customers of {slug}".encode(), "sha256").hexdigest()
    listen = (settings.bind_host, settings.bind_port)
    address = settings.public_url
    async with (
        await open_sandbox(sandbox_url.reveal()) as ledger,
        serving.running(settings, vendors=vendors, listen=listen, more=more) as app,
        httpx.AsyncClient(base_url=address, timeout=REQUEST_SECONDS_MAX, trust_env=False) as client,
    ):
        books = SandboxBooks(RAIL, ledger)
        desk = await make_platform(app.pool, slug, _with_proof(platform or {}, slug, signing_secret, secret.reveal()))
        night = Night(
            signing_secret=signing_secret,
            address=address,
            client=client,
            desk=desk,
            shop=Shop(client, desk, books, RAIL),
            books=books,
            backup=SandboxBooks(BACKUP, ledger),
            mails=mails,
            pool=app.pool,
            app=app,
        )
        async with _open_neighbour(night, f"{slug}-aurora", secret.reveal()) as neighbour:
            yield msgspec.structs.replace(night, neighbour=neighbour)


@asynccontextmanager
async def _open_neighbour(night: Night, slug: str, secret: str) -> AsyncIterator[Night]:
    """A platform with a system of its own, which is told what happens by webhook."""
    token = secrets.token_hex(24)
    async with SandboxPlatform(token=token).running() as system:
        said = {"name": "Aurora Tickets", "languages": ["en"], "source": {"kind": "http", "url": system.address, "token": token}}
        vault = Vault(secret.encode(), purpose=VAULT_PURPOSE)
        settings = msgspec.to_builtins(sealed(msgspec.convert(said, PlatformSettings), vault, slug))
        desk = await make_platform(night.pool, slug, _with_proof(settings, slug, night.signing_secret, secret))
        system.secret = await _told_by_webhook(night.client, desk, f"{system.address}/events")
        shop = Shop(night.client, desk, night.books, RAIL, system=system)
        yield msgspec.structs.replace(night, desk=desk, shop=shop, system=system)


async def _told_by_webhook(client: httpx.AsyncClient, desk: Desk, url: str) -> str:
    """The secret of the platform's only endpoint: of a demo before this one, another is there."""
    headers = bearer(desk.platform)
    for one in (await client.get("/v1/endpoints", headers=headers)).raise_for_status().json()["endpoints"]:
        if one["kind"] == "webhook":
            (await client.delete(f"/v1/endpoints/{one['id']}", headers=headers)).raise_for_status()
    new = {"name": "shop", "url": url, "types": ["*"], "reason": "made for the demo"}
    answer = await client.post("/v1/endpoints", json=new, headers=bearer(desk.platform, secrets.token_hex(16)))
    return str(answer.raise_for_status().json()["secret"])


def _with_proof(platform: Mapping[str, Any], slug: str, signing_secret: str, secret: str) -> Mapping[str, Any]:
    """The platform's settings, with the secret of its JWTs sealed as `makegood platform add` would."""
    sealed = Vault(secret.encode(), purpose="platform").seal(signing_secret.encode(), place=slug.encode())
    proof = {"issuer": ISSUER, "audience": AUDIENCE, "sealed_secret": base64.b64encode(sealed).decode("ascii")}
    return {"payouts": _PAYOUTS, **platform, "proof": proof}
