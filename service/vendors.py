"""Opens what stands outside, as the settings say: the only file that names vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx
import msgspec

from integrations.jwks_http import HttpJwks
from integrations.mail_smtp import SmtpMailer
from integrations.payments_stripe import StripeRail
from integrations.sandbox import SandboxRail, open_sandbox
from integrations.sandbox_issuer import SandboxIssuer
from integrations.sandbox_mail import MailFolder, SandboxMailer
from service.ports import JwksSource, Mailer, Notifications, PassIssuer, RefundRail
from service.settings import Rail, Settings

SANDBOX: Final = "sandbox"


class Vendors(msgspec.Struct, frozen=True, kw_only=True):
    """What stands outside. Tests and the demo hand in their own."""

    rails: Mapping[str, RefundRail]
    kinds: Mapping[str, str]
    mailer: Mailer
    issuers: Mapping[str, PassIssuer]
    notifications: Mapping[str, Notifications] = {}
    """rail -> its webhook; only where it was said what signs the notifications"""
    paces: Mapping[str, float | None] = {}
    """rail -> calls a second; None: no pace"""


@asynccontextmanager
async def open_vendors(settings: Settings) -> AsyncIterator[Vendors]:
    """The configured rails and mail server; without a mail server, the sandbox's."""
    async with AsyncExitStack() as stack:
        yield Vendors(
            rails={one.name: await stack.enter_async_context(open_rail(settings, one)) for one in settings.rails},
            kinds={one.name: one.kind for one in settings.rails},
            mailer=await stack.enter_async_context(open_mailer(settings)),
            issuers={SANDBOX: SandboxIssuer()},
        )


@asynccontextmanager
async def open_rail(settings: Settings, rail: Rail) -> AsyncIterator[RefundRail]:
    """One configured account. Raises ValueError for what checked settings cannot lack."""
    if rail.kind == "stripe":
        if rail.api_key is None:
            raise ValueError(f"rail {rail.name} has no key")
        stripe = StripeRail(rail.name, rail.api_key.reveal(), base_url=rail.base_url, stripe_account=rail.account)
        try:
            yield stripe
        finally:
            await stripe.close()
        return
    dsn = rail.database_url or settings.sandbox_database_url
    if dsn is None:
        raise ValueError(f"rail {rail.name} has no database for its ledger")
    pool = await open_sandbox(dsn.reveal())
    try:
        yield SandboxRail(rail.name, pool)
    finally:
        await pool.close()


@asynccontextmanager
async def open_mailer(settings: Settings) -> AsyncIterator[Mailer]:
    if settings.smtp is None:
        yield SandboxMailer(sender="sandbox@localhost.example", on_mail=MailFolder(settings.data / "mails").keep)
        return
    smtp = settings.smtp
    mailer = SmtpMailer(
        host=smtp.host,
        port=smtp.port,
        sender=smtp.sender,
        username=smtp.user,
        password=smtp.password.reveal() if smtp.password else None,
        tls="implicit" if smtp.tls == "tls" else smtp.tls,
    )
    try:
        yield mailer
    finally:
        await mailer.aclose()


def key_sets_over(web: httpx.AsyncClient) -> JwksSource:
    """Platforms' key sets, fetched over `web`."""
    return HttpJwks(web)
