"""A body nested deeper than anybody reads is refused like any other that is no notification, whoever signed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest
import stripe

from integrations.payments_adyen_notifications import AdyenNotifications
from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_webhook import StripeNotifications
from integrations.payouts_paypal import PayPalPayoutRail
from integrations.payouts_paypal_news import PayPalNotifications
from integrations.sandbox import SandboxRail
from integrations.sandbox_posts import signature
from integrations.sandbox_webhook import SandboxNotifications
from service.api.auth import Authenticator
from service.api.frame import Parts, build_app
from service.api.requests import ClientAddress
from service.api.webhooks import WEBHOOK_BYTES_MAX, WebhookRoutes
from service.callers import Caller
from service.crew import Crew
from service.inbox import Inbox
from service.ports import Notifications
from service.sealing import Vault
from service.store.inbox import InboxStore
from service.store.pool import Pool
from tests.contracts.rails.benches import TEST_KEY
from tests.orders.conftest import AlwaysReady
from tests.peers.adyen_stub import HMAC_KEY, MERCHANT_ACCOUNT
from tests.peers.paypal_stub import CLIENT_ID, CLIENT_SECRET, WEBHOOK_ID, PayPalStub
from tests.post.world import Deaf
from tests.webhooks.stub import POSTING_SECRET

NOW: Final = datetime(2027, 1, 15, 8, tzinfo=UTC)
STRIPE_SECRET: Final = "whsec_of_tests"
# Nobody is asked.
NOWHERE: Final = "http://127.0.0.1:9"
DEEP: Final = 20_000


def _headers(kind: str, body: bytes) -> dict[str, str]:
    """Signed as the processor itself would, where it signs the body as a whole."""
    stamp = str(int(NOW.timestamp()))
    match kind:
        case "stripe":
            return {"stripe-signature": stripe.WebhookSignature.generate_signature_header(body.decode(), STRIPE_SECRET, int(stamp))}
        case "paypal":
            return PayPalStub.signed(body, NOW)
        case "sandbox":
            return {"webhook-id": "1", "webhook-timestamp": stamp, "webhook-signature": signature(POSTING_SECRET, "1", stamp, body)}
    return {}  # Adyen signs each item, and none is reached


async def _nobody(*_parts: str) -> Caller | None:
    return None


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """The four webhooks of real adapters, without a network on either side."""
    card, payout = StripeRail("stripe", TEST_KEY, base_url=NOWHERE), PayPalPayoutRail("paypal", CLIENT_ID, CLIENT_SECRET, base_url=NOWHERE)
    notifications: dict[str, Notifications] = {
        "stripe": StripeNotifications(card, [STRIPE_SECRET]),
        "paypal": PayPalNotifications(payout, [WEBHOOK_ID]),
        "adyen": AdyenNotifications([HMAC_KEY], merchant_account=MERCHANT_ACCOUNT),
        "sandbox": SandboxNotifications(SandboxRail("sandbox", pool), [POSTING_SECRET]),
    }
    kinds = {name: "paypal_payout" if name == "paypal" else name for name in notifications}
    crew, vault = Crew(places=0), Vault(b"a secret of 32 bytes, of a test's", purpose="identity")
    inbox = Inbox(InboxStore(pool), Deaf(), notifications=notifications, kinds=kinds, crew=crew, clock=lambda: NOW, vault=vault)
    parts = Parts(
        authenticator=Authenticator(key=_nobody, session=_nobody, platform_token=_nobody),
        readiness=AlwaysReady(),
        client_address=ClientAddress(proxies=0),
        domain={"inbox": inbox},
    )
    app: Any = build_app(parts, [WebhookRoutes], version="0")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        yield opened
    await card.close()
    await payout.close()


@pytest.mark.parametrize("kind", ["stripe", "adyen", "paypal", "sandbox"])
@pytest.mark.parametrize("opens", [b"[", b'{"x":', b'{"x":['], ids=["lists", "objects", "both"])
async def test_a_body_nested_too_deep_is_no_notification(client: httpx.AsyncClient, kind: str, opens: bytes) -> None:
    body = b'{"n":' + opens * DEEP
    assert len(body) < WEBHOOK_BYTES_MAX
    answer = await client.post(f"/webhooks/{kind}", content=body, headers=_headers(kind, body))
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"].endswith(":webhook_not_accepted")


async def test_what_is_signed_and_not_too_deep_is_taken(client: httpx.AsyncClient) -> None:
    """So that the refusals above are not for the signature."""
    body = b'{"id":"evt_1","type":"price.created","created":1800000000,"livemode":false,"x":' + b"[" * 20 + b"]" * 20 + b"}"
    answer = await client.post("/webhooks/stripe", content=body, headers=_headers("stripe", body))
    assert answer.status_code == 200, answer.text
