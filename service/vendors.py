"""Opens what stands outside, as the settings say: the only file that names vendors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import httpx
import msgspec

from integrations.credit_platform import PlatformGiftCards
from integrations.credit_rail import StoreCreditRail
from integrations.edge_cloudflare import CloudflarePlayback
from integrations.edge_mux import MuxPlayback
from integrations.jwks_http import HttpJwks
from integrations.mail_smtp import SmtpMailer
from integrations.oidc_http import HttpIdentityWeb
from integrations.outside_http import OutsideTransport
from integrations.payments_adyen import AdyenRail
from integrations.payments_adyen_notifications import AdyenNotifications
from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_webhook import StripeNotifications
from integrations.payouts_paypal import LIVE as PAYPAL_LIVE
from integrations.payouts_paypal import PayPalPayoutRail
from integrations.payouts_paypal_news import PayPalNotifications
from integrations.platform_http import HttpPlatform
from integrations.platform_pretix import MappingError, PretixPlatform
from integrations.sandbox import SandboxRail, open_sandbox
from integrations.sandbox_issuer import SandboxIssuer
from integrations.sandbox_mail import MailFolder, SandboxMailer
from integrations.sandbox_text import SandboxTexter, TextFolder
from integrations.sandbox_webhook import SandboxNotifications
from integrations.webhooks_http import HttpHooks
from service.ports import Hooks, Mailer, Notifications, PassIssuer, RefundRail, Texter
from service.ports_tokens import IdentityWeb, JwksSource, PlaybackSigner
from service.settings import Rail, Settings
from service.sources import Connection, Opener, System

SANDBOX: Final = "sandbox"

# Profile of a platform's edge -> who makes the tokens that it takes; `generic` takes our own.
EDGES: Final[Mapping[str, PlaybackSigner]] = {"mux": MuxPlayback(), "cloudflare_stream": CloudflarePlayback()}


def _pretix(connection: Connection, *, private: bool) -> System:
    """Raises ValueError for a mapping that cannot be used."""
    settings = connection.settings
    try:
        return PretixPlatform(
            settings.url,
            token=connection.token,
            organizer=settings.organizer,
            events=settings.events,
            mapping=settings.mapping,
            resend_link=settings.resend_link,
            private=private,
        )
    except MappingError as error:
        raise ValueError(f"source.mapping: {error}") from None


def _http(connection: Connection, *, private: bool) -> System:
    return HttpPlatform(connection.settings.url, token=connection.token, private=private)


def systems(*, private: bool) -> Mapping[str, Opener]:
    """Kind of a platform's own system -> how it is opened. `private`: also one inside a private network."""
    return {"pretix": partial(_pretix, private=private), "http": partial(_http, private=private)}


SYSTEMS: Final = systems(private=False)

_Value = TypeVar("_Value")


class Vendors(msgspec.Struct, frozen=True, kw_only=True):
    """What stands outside. Tests and the demo hand in their own."""

    rails: Mapping[str, RefundRail]
    kinds: Mapping[str, str]
    mailer: Mailer
    issuers: Mapping[str, PassIssuer]
    notifications: Mapping[str, Notifications] = {}
    """rail -> its webhook; only where it was said what signs the notifications"""
    systems: Mapping[str, Opener] = msgspec.field(default_factory=lambda: SYSTEMS)
    """by kind: the platforms' own systems of orders"""
    hooks: Hooks = msgspec.field(default_factory=lambda: HttpHooks(private=False))
    """who posts webhooks to platforms"""
    paces: Mapping[str, float | None] = {}
    """rail -> calls a second; None: no pace"""
    texter: Texter | None = None
    """None: codes go by mail alone"""
    edges: Mapping[str, PlaybackSigner] = msgspec.field(default_factory=lambda: EDGES)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """One configured account, with its webhook where one is set up."""

    rail: RefundRail
    notifications: Notifications | None = None


@asynccontextmanager
async def open_vendors(settings: Settings) -> AsyncIterator[Vendors]:
    """The configured rails and mail server; without a mail server, the sandbox's."""
    async with AsyncExitStack() as stack:
        opened = {one.name: await stack.enter_async_context(OPENERS[one.kind](settings, one)) for one in settings.rails}
        yield Vendors(
            rails={name: one.rail for name, one in opened.items()},
            kinds={one.name: one.kind for one in settings.rails},
            mailer=await stack.enter_async_context(open_mailer(settings)),
            texter=open_texter(settings),
            issuers={SANDBOX: SandboxIssuer()},
            systems=systems(private=settings.webhook_private_addresses),
            hooks=await stack.enter_async_context(_hooks(settings)),
            notifications={name: one.notifications for name, one in opened.items() if one.notifications is not None},
            paces={one.name: one.pace or opened[one.name].rail.traits.calls_per_second for one in settings.rails},
        )


@asynccontextmanager
async def _hooks(settings: Settings) -> AsyncIterator[Hooks]:
    hooks = HttpHooks(private=settings.webhook_private_addresses)
    try:
        yield hooks
    finally:
        await hooks.close()


@asynccontextmanager
async def _stripe(_: Settings, rail: Rail) -> AsyncIterator[Opened]:
    stripe = StripeRail(
        rail.name,
        _given(rail, rail.api_key).reveal(),
        base_url=rail.base_url,
        stripe_account=rail.account,
        reverse_transfer=rail.reverse_transfer,
        refund_application_fee=rail.refund_application_fee,
    )
    secrets = [secret.reveal() for secret in rail.webhook_secrets]
    try:
        yield Opened(rail=stripe, notifications=StripeNotifications(stripe, secrets) if secrets else None)
    finally:
        await stripe.close()


@asynccontextmanager
async def _adyen(_: Settings, rail: Rail) -> AsyncIterator[Opened]:
    account = _given(rail, rail.merchant_account)
    adyen = AdyenRail(rail.name, _given(rail, rail.api_key).reveal(), merchant_account=account, base_url=_given(rail, rail.base_url))
    keys = [secret.reveal() for secret in rail.webhook_secrets]
    try:
        yield Opened(rail=adyen, notifications=AdyenNotifications(keys, merchant_account=account) if keys else None)
    finally:
        await adyen.close()


@asynccontextmanager
async def _paypal(_: Settings, rail: Rail) -> AsyncIterator[Opened]:
    paypal = PayPalPayoutRail(
        rail.name, _given(rail, rail.client_id), _given(rail, rail.client_secret).reveal(), base_url=rail.base_url or PAYPAL_LIVE
    )
    try:
        yield Opened(rail=paypal, notifications=PayPalNotifications(paypal, rail.webhook_ids) if rail.webhook_ids else None)
    finally:
        await paypal.close()


@asynccontextmanager
async def _store_credit(_: Settings, rail: Rail) -> AsyncIterator[Opened]:
    cards = PlatformGiftCards(_given(rail, rail.base_url), _given(rail, rail.api_key).reveal())
    try:
        yield Opened(rail=StoreCreditRail(rail.name, issuer=cards))
    finally:
        await cards.close()


@asynccontextmanager
async def _sandbox(settings: Settings, rail: Rail) -> AsyncIterator[Opened]:
    """Play money; of the kind `sandbox_payout`, paid to who chose it."""
    pool = await open_sandbox(_given(rail, rail.database_url or settings.sandbox_database_url).reveal())
    sandbox = SandboxRail(rail.name, pool, pays="out" if rail.kind == "sandbox_payout" else "back")
    secrets = [secret.reveal() for secret in rail.webhook_secrets]
    try:
        yield Opened(rail=sandbox, notifications=SandboxNotifications(sandbox, secrets) if secrets else None)
    finally:
        await pool.close()


OPENERS: Final[Mapping[str, Callable[[Settings, Rail], AbstractAsyncContextManager[Opened]]]] = {
    "stripe": _stripe,
    "adyen": _adyen,
    "paypal_payout": _paypal,
    "store_credit": _store_credit,
    "sandbox": _sandbox,
    "sandbox_payout": _sandbox,
}


def _given(rail: Rail, value: _Value | None) -> _Value:
    """What checked settings cannot lack. Raises ValueError."""
    if value is None:
        raise ValueError(f"rail {rail.name} of kind {rail.kind} lacks a setting that it needs")
    return value


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


def open_texter(settings: Settings) -> Texter | None:
    """Who sends texts, as the settings say; a vendor's adapter gets its name in `TextWay` and its line here."""
    return SandboxTexter(on_text=TextFolder(settings.data / "texts").keep) if settings.text == "sandbox" else None


@asynccontextmanager
async def open_identity_web(*, private: bool) -> AsyncIterator[IdentityWeb]:
    """The way to identity providers on the public network alone. `private`: also inside a private network."""
    direct = httpx.AsyncHTTPTransport(trust_env=False)
    async with httpx.AsyncClient(transport=direct if private else OutsideTransport(direct), trust_env=False) as web:
        yield HttpIdentityWeb(web)


@asynccontextmanager
async def open_key_sets(*, private: bool) -> AsyncIterator[JwksSource]:
    """Platforms' key sets, fetched on the public network alone. `private`: also inside a private network."""
    direct = httpx.AsyncHTTPTransport(trust_env=False)
    async with httpx.AsyncClient(transport=direct if private else OutsideTransport(direct), trust_env=False) as web:
        yield HttpJwks(web)
