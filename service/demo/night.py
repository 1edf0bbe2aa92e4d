"""A running Makegood for one evening: the application over real HTTP, a platform with its desk, its shop and its mailbox."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import msgspec

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import SandboxBooks
from integrations.sandbox_mail import SandboxMailer
from service import serving
from service.app import Application
from service.demo.world import Desk, Shop, make_platform
from service.ports import Mail
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
# A request waits at most 25 s for its outcome; a client that hangs up before learns nothing.
_REQUEST_SECONDS_MAX: Final = 30.0
# Mail goes out within seconds; this only ends a wait for one that never comes.
MAIL_SECONDS_MAX: Final = 60.0


class Mailbox:
    """Every mail that the sandbox mailer took, and a way to wait for one. `on_mail` sees each as it comes."""

    def __init__(self, on_mail: Callable[[Mail], None] = lambda _: None) -> None:
        self._on_mail = on_mail
        self._kept: list[Mail] = []
        self._came = asyncio.Event()
        self.mailer = SandboxMailer(sender="sandbox@localhost.example", on_mail=self._take)

    def to(self, address: str) -> tuple[Mail, ...]:
        """What came for this address, oldest first."""
        return tuple(mail for mail in self._kept if mail.to == address)

    async def until(self, address: str, fits: Callable[[Mail], bool] = lambda _: True, *, seconds_max: float = MAIL_SECONDS_MAX) -> Mail:
        """The first mail to this address that fits, as soon as it is there. Raises TimeoutError."""
        async with asyncio.timeout(seconds_max):
            while True:
                self._came.clear()
                for mail in self.to(address):
                    if fits(mail):
                        return mail
                await self._came.wait()

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


def night_settings(*, database_url: str, sandbox_database_url: str, port: int, secret: str | None = None) -> Settings:
    """One process, a sandbox rail and one that pays out, no mail server. Raises SettingsError."""
    return load(
        {
            "MAKEGOOD_DATABASE_URL": database_url,
            "MAKEGOOD_SANDBOX_DATABASE_URL": sandbox_database_url,
            "MAKEGOOD_SECRET": secret or secrets.token_hex(32),
            "MAKEGOOD_BIND": f"{HOST}:{port}",
            "MAKEGOOD_LANGUAGES": "en,de",
            f"MAKEGOOD_RAIL_{RAIL.upper()}_KIND": "sandbox",
            f"MAKEGOOD_RAIL_{BACKUP.upper()}_KIND": "sandbox_payout",
        }
    )


@asynccontextmanager
async def open_night(
    settings: Settings, *, slug: str = "demo", platform: Mapping[str, Any] | None = None, mailbox: Mailbox | None = None
) -> AsyncIterator[Night]:
    """Serves and works on migrated databases in this process until the block ends. Raises what the database raises."""
    mails = mailbox or Mailbox()

    @asynccontextmanager
    async def vendors(these: Settings) -> AsyncIterator[Vendors]:
        async with open_vendors(these) as outside:
            yield msgspec.structs.replace(outside, mailer=mails.mailer)

    sandbox_url, secret = settings.sandbox_database_url, settings.secret
    if sandbox_url is None or secret is None:
        raise ValueError("the application needs a secret, and the sandbox a database for its ledger")
    # The same after every start, so that the platform that is there stays as it is.
    signing_secret = hmac.new(secret.reveal().encode(), f"signs customers of {slug}".encode(), "sha256").hexdigest()
    listen = (settings.bind_host, settings.bind_port)
    address = f"http://{settings.bind_host}:{settings.bind_port}"
    async with (
        await open_sandbox(sandbox_url.reveal()) as ledger,
        serving.running(settings, vendors=vendors, listen=listen) as app,
        httpx.AsyncClient(base_url=address, timeout=_REQUEST_SECONDS_MAX, trust_env=False) as client,
    ):
        books = SandboxBooks(RAIL, ledger)
        desk = await make_platform(app.pool, slug, _with_proof(platform or {}, slug, signing_secret, secret.reveal()))
        yield Night(
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


def _with_proof(platform: Mapping[str, Any], slug: str, signing_secret: str, secret: str) -> Mapping[str, Any]:
    """The platform's settings, with the secret of its JWTs sealed as `makegood platform add` would."""
    sealed = Vault(secret.encode(), purpose="platform").seal(signing_secret.encode(), place=slug.encode())
    proof = {"issuer": ISSUER, "audience": AUDIENCE, "sealed_secret": base64.b64encode(sealed).decode("ascii")}
    return {"payouts": _PAYOUTS, **platform, "proof": proof}
