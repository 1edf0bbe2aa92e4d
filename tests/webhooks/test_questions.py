"""Whoever sends forgeries has PayPal asked a few times and no more, and PayPal's own deliveries get through all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec
import pytest

from integrations.payouts_paypal import PayPalPayoutRail
from integrations.payouts_paypal_news import PayPalNotifications
from service import inbox as asking
from service.api.auth import Authenticator
from service.api.customer_identity import FAILURES
from service.api.frame import Parts, build_app
from service.api.requests import ClientAddress
from service.api.webhooks import WebhookRoutes
from service.crew import Crew
from service.inbox import QUESTIONS_MOST, QUESTIONS_PER_SECOND, Inbox
from service.sealing import Vault
from service.store.inbox import InboxStore
from service.store.pool import Pool
from tests.orders.conftest import AlwaysReady
from tests.patience import PATIENCE_SECONDS
from tests.peers.paypal_stub import CLIENT_ID, CLIENT_SECRET, WEBHOOK_ID, PayPalStub, StubBatch
from tests.post.world import Deaf

NOW: Final = datetime(2026, 5, 1, 20, 5, tzinfo=UTC)
VERIFY: Final = "/v1/notifications/verify-webhook-signature"
ITEM: Final = {"sender_item_id": "x", "receiver": "jane@example.org", "amount": {"currency": "EUR", "value": "6.94"}}
FORGER, PAYPAL = "203.0.113.66", "198.51.100.7"
MOST: Final = int(QUESTIONS_MOST)


async def _nobody(*_: str) -> None:
    return None


class Street:
    """The webhook with PayPal's stub behind it, and callers from several addresses before it."""

    def __init__(self, pool: Pool, stub: PayPalStub, app: Any, inbox: InboxStore) -> None:
        self.pool = pool
        self.stub = stub
        self.inbox = inbox
        self._app = app

    @asynccontextmanager
    async def caller(self, address: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self._app, client=(address, 443))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client

    async def sends(self, address: str, count: int, *, genuine: bool, at_once: int = 4) -> list[httpx.Response]:
        places = asyncio.Semaphore(at_once)

        async def one(client: httpx.AsyncClient) -> httpx.Response:
            body = msgspec.json.encode(self.stub.event("PAYMENT.PAYOUTS-ITEM.SUCCEEDED", "B1"))
            headers = self.stub.signed(body, NOW) | ({} if genuine else {"paypal-transmission-sig": "forged"})
            async with places:
                return await client.post("/webhooks/paypal", content=body, headers=headers)

        async with self.caller(address) as client:
            return list(await asyncio.gather(*(one(client) for _ in range(count))))

    @property
    def questions(self) -> int:
        return self.stub.count("POST", VERIFY)

    async def kept(self) -> int:
        found: int = await self.pool.fetchval("SELECT count(*) FROM webhook_inbox")
        return found

    async def pass_seconds(self, seconds: float) -> None:
        await self.pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", seconds)


@pytest.fixture
async def street(still_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Street]:
    # A machine that stands still is no PayPal that does not answer.
    monkeypatch.setattr(asking, "_VERIFY_SECONDS_MAX", PATIENCE_SECONDS)
    async with AsyncExitStack() as stack:
        stub = await stack.enter_async_context(PayPalStub().serving())
        stub.batches["B1"] = StubBatch(id="B1", sender_batch_id="key-1", item=dict(ITEM))
        rail = PayPalPayoutRail("paypal", CLIENT_ID, CLIENT_SECRET, base_url=stub.base_url, call_seconds_max=PATIENCE_SECONDS)
        stack.push_async_callback(rail.close)
        store = InboxStore(still_pool)
        inbox = Inbox(
            store,
            Deaf(),
            notifications={"paypal": PayPalNotifications(rail, [WEBHOOK_ID])},
            kinds={"paypal": "paypal_payout"},
            crew=Crew(places=0),
            clock=lambda: NOW,
            vault=Vault(b"a secret of 32 bytes, of a test's", purpose="identity"),
        )
        parts = Parts(
            authenticator=Authenticator(key=_nobody, session=_nobody, platform_token=_nobody),
            readiness=AlwaysReady(),
            client_address=ClientAddress(proxies=0),
            domain={"inbox": inbox},
            failures=FAILURES,
        )
        yield Street(still_pool, stub, build_app(parts, [WebhookRoutes], version="0"), store)


async def test_forgeries_of_an_address_cost_paypal_a_few_questions_and_then_none(street: Street) -> None:
    answers = await street.sends(FORGER, MOST + 40, genuine=False)
    statuses = [one.status_code for one in answers]
    assert statuses.count(400) == street.questions == MOST
    assert set(statuses) == {400, 429}
    refused = [one for one in answers if one.status_code == 429]
    assert all(0 < int(one.headers["retry-after"]) <= 1 / QUESTIONS_PER_SECOND for one in refused)
    assert refused[0].json()["type"].endswith(":too_many_requests")
    assert await street.kept() == 0


async def test_paypals_own_get_through_while_somebody_forges_them(street: Street) -> None:
    await street.sends(FORGER, MOST + 10, genuine=False)
    assert {one.status_code for one in await street.sends(PAYPAL, 20, genuine=True)} == {200}
    assert await street.kept() == 20


async def test_paypals_own_are_never_too_many(street: Street) -> None:
    """What PayPal vouches for costs its address nothing."""
    assert {one.status_code for one in await street.sends(PAYPAL, MOST + 40, genuine=True)} == {200}
    assert await street.kept() == MOST + 40


async def test_who_comes_again_when_told_to_is_asked_about(street: Street) -> None:
    """PayPal too, which delivers again for three days, from an address that somebody has forged from."""
    await street.sends(FORGER, MOST + 10, genuine=False)
    await street.pass_seconds(2 / QUESTIONS_PER_SECOND)
    assert [one.status_code for one in await street.sends(FORGER, 1, genuine=True)] == [200]
    assert await street.kept() == 1


@pytest.mark.parametrize(
    "plainly",
    [
        lambda headers: headers | {"paypal-cert-url": "https://paypal.example.org/cert"},
        lambda headers: headers | {"paypal-transmission-time": "2020-01-01T00:00:00Z"},
        lambda headers: {name: value for name, value in headers.items() if name != "paypal-transmission-sig"},
    ],
    ids=["certificate", "age", "unsigned"],
)
async def test_what_needs_no_question_is_not_counted(street: Street, plainly: Callable[[dict[str, str]], dict[str, str]]) -> None:
    body = msgspec.json.encode(street.stub.event("PAYMENT.PAYOUTS-ITEM.SUCCEEDED", "B1"))
    async with street.caller(FORGER) as client:
        answer = await client.post("/webhooks/paypal", content=body, headers=plainly(dict(street.stub.signed(body, NOW))))
    assert (answer.status_code, street.questions) == (400, 0)
    assert await street.pool.fetchval("SELECT count(*) FROM question_bucket") == 0


async def test_the_table_of_buckets_names_no_address_and_is_emptied(street: Street) -> None:
    await street.sends(FORGER, 2, genuine=False)
    row = await street.pool.fetchrow("SELECT * FROM question_bucket")
    assert row is not None
    assert FORGER not in str(row)
    await street.pass_seconds(3601)
    await street.inbox.forget_old()
    assert await street.pool.fetchval("SELECT count(*) FROM question_bucket") == 0
