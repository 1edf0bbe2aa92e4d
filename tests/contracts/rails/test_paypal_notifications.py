"""PayPal's webhook: believed only when PayPal vouches for it, byte for byte, and then only as a reason to read the batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from integrations.payouts_paypal import PayPalPayoutRail
from integrations.payouts_paypal_news import PayPalNotifications
from service.model import Money
from service.ports import Event, Forged, RefundNews, RefundSeen, Unavailable
from tests.peers.loopback import Fault, Reply, json
from tests.peers.paypal_stub import CLIENT_ID, CLIENT_SECRET, WEBHOOK_ID, PayPalStub, StubBatch

NOW = datetime(2026, 5, 1, 20, 5, tzinfo=UTC)
VERIFY = "/v1/notifications/verify-webhook-signature"
EVENTS = "/v1/notifications/webhooks-events"
SUCCEEDED = "PAYMENT.PAYOUTS-ITEM.SUCCEEDED"
ITEM = {"sender_item_id": UUID(int=2).hex, "receiver": "jane@example.org", "amount": {"currency": "EUR", "value": "6.94"}}


class World:
    def __init__(self, stub: PayPalStub) -> None:
        self.stub = stub
        stub.batches["B1"] = StubBatch(id="B1", sender_batch_id="key-1", item=dict(ITEM))
        self.rail = PayPalPayoutRail("paypal", CLIENT_ID, CLIENT_SECRET, base_url=stub.base_url)
        self.webhook = PayPalNotifications(self.rail, [WEBHOOK_ID])

    def body(self, kind: str = SUCCEEDED) -> bytes:
        return msgspec.json.encode(self.stub.event(kind, "B1"))

    async def opened(self, body: bytes, *, at: datetime = NOW, changed: Mapping[str, str | None] | None = None) -> Event:
        headers: dict[str, Any] = self.stub.signed(body, at) | dict(changed or {})
        (event,) = await self.webhook.opened(body, {name: value for name, value in headers.items() if value is not None}, NOW)
        return event

    @property
    def questions(self) -> int:
        return self.stub.count("POST", VERIFY)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with PayPalStub().serving() as stub:
        world = World(stub)
        yield world
        await world.rail.close()


async def test_what_paypal_vouches_for_is_kept_without_the_customer(world: World) -> None:
    world.stub.end("B1", "SUCCESS")

    event = await world.opened(world.body())

    assert (event.kind, event.happened_at) == (SUCCEEDED, datetime(2026, 5, 1, 20, tzinfo=UTC))
    assert event.id.startswith("WH-")
    assert event.about == {
        "payout_batch_id": "B1",
        "payout_item_id": "IB1",
        "sender_item_id": UUID(int=2).hex,
        "state": "SUCCESS",
        "amount": "6.94",
        "currency": "EUR",
    }
    assert "jane" not in repr(event)


async def test_a_batch_is_kept_by_its_reference_and_state(world: World) -> None:
    event = await world.opened(world.body("PAYMENT.PAYOUTSBATCH.PROCESSING"))

    assert event.about == {"payout_batch_id": "B1", "state": "PENDING"}


async def test_a_kind_that_means_nothing_to_us_is_kept_by_its_name_alone(world: World) -> None:
    event = await world.opened(world.body("PAYMENT.SALE.COMPLETED"))

    assert (event.about, await world.webhook.news(event)) == ({}, ())


@pytest.mark.parametrize(
    "spaced", [b'  {"id" :  "WH-1", "event_type":"X", "n":1.0, "e":{}, "u":"\\u00e9\xc3\xa9"}\n', b'{"event_type":"X","id":"1"}']
)
async def test_the_body_reaches_paypal_byte_for_byte(world: World, spaced: bytes) -> None:
    await world.webhook.opened(spaced, world.stub.signed(spaced.strip(), NOW), NOW)

    assert spaced in world.stub.asked[-1].body


@pytest.mark.parametrize("header", ["auth-algo", "cert-url", "transmission-id", "transmission-sig", "transmission-time"])
@pytest.mark.parametrize("value", [None, "", "x" * 501, "a\nb", "é"])
async def test_a_header_that_is_missing_or_none_is_a_forgery_and_paypal_is_not_asked(world: World, header: str, value: str | None) -> None:
    with pytest.raises(Forged):
        await world.opened(world.body(), changed={f"paypal-{header}": value})

    assert world.questions == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.example.org/certs/CERT-1",
        "https://notpaypal.com/certs/CERT-1",
        "https://api.paypal.com@example.org/certs",
        "https://[",
        "cert",
    ],
)
async def test_a_certificate_from_elsewhere_is_a_forgery_and_nobody_fetches_it(world: World, url: str) -> None:
    with pytest.raises(Forged):
        await world.opened(world.body(), changed={"paypal-cert-url": url})

    assert not world.stub.asked


@pytest.mark.parametrize("age", [timedelta(days=4, seconds=1), timedelta(minutes=-6), timedelta(days=4000)])
async def test_what_is_too_old_or_from_the_future_is_a_forgery(world: World, age: timedelta) -> None:
    with pytest.raises(Forged):
        await world.opened(world.body(), at=NOW - age)

    assert world.questions == 0


@pytest.mark.parametrize("age", [timedelta(days=3, hours=2), timedelta(minutes=-4)])
async def test_a_late_try_and_a_clock_that_is_ahead_are_believed(world: World, age: timedelta) -> None:
    assert (await world.opened(world.body(), at=NOW - age)).kind == SUCCEEDED


@pytest.mark.parametrize("time", ["2026-05-01T20:05:00", "yesterday", "0"])
async def test_a_time_without_a_zone_is_none(world: World, time: str) -> None:
    with pytest.raises(Forged):
        await world.opened(world.body(), changed={"paypal-transmission-time": time})


async def test_a_body_that_was_changed_is_a_forgery(world: World) -> None:
    body = world.body()

    with pytest.raises(Forged):
        await world.webhook.opened(body.replace(b"6.94", b"9.94"), world.stub.signed(body, NOW), NOW)

    assert world.questions == 1


@pytest.mark.parametrize(
    "verdict", [b'{"verification_status": "success"}', b'{"verification_status": "FAILURE"}', b'{"verification_status": "SUCCESS "}']
)
async def test_only_the_exact_word_vouches(world: World, verdict: bytes) -> None:
    world.stub.fail(Fault(method="POST", path=VERIFY, instead=Reply(status=200, body=verdict)))

    with pytest.raises(Forged):
        await world.opened(world.body())


@pytest.mark.parametrize("verdict", [json(400, {"name": "VALIDATION_ERROR"}), json(404, {"name": "X"}), json(422, {"name": "Y"})])
async def test_what_paypal_cannot_make_sense_of_is_not_vouched_for(world: World, verdict: Reply) -> None:
    world.stub.fail(Fault(method="POST", path=VERIFY, instead=verdict))

    with pytest.raises(Forged):
        await world.opened(world.body())


@pytest.mark.parametrize(
    "verdict",
    [
        "reset",
        json(200, {"verification_status": True}),
        json(200, {}),
        json(403, {"name": "NOT_AUTHORIZED"}),
        json(429, {"name": "RATE_LIMIT_REACHED"}),
        json(500, {"name": "INTERNAL_ERROR"}),
        Reply(status=400, body=b"<html>of a proxy"),
    ],
)
async def test_where_paypal_gives_no_verdict_nobody_is_called_a_forger(world: World, verdict: Any) -> None:
    world.stub.fail(Fault(method="POST", path=VERIFY, instead=verdict))

    with pytest.raises(Unavailable):
        await world.opened(world.body())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b'{"id": "x"}',
        b'{"id": 1, "event_type": "X"}',
        b'{"id": "x", "event_type": "X", "resource": []}',
        b'{"id": "x", "event_type": "X"}, "webhook_id": "OURS"',
        b'{"id": "x", "event_type": "X"} {}',
        b'{"id": "x", "event_type": "X", "y": "\xff"}',
        b'\xef\xbb\xbf{"id": "x", "event_type": "X"}',
        b'{"id": "x", "event_type": "X", "y": ' + b"[" * 100_000,
        b'{"id": "x", "event_type": "' + b"X" * 300_000 + b'"}',
    ],
    ids=lambda body: repr(body[:50]),
)
async def test_what_is_no_notification_is_refused_before_it_stands_in_a_question_of_ours(world: World, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        await world.webhook.opened(body, world.stub.signed(body, NOW), NOW)

    assert world.questions == 0


async def test_while_one_webhook_replaces_another_both_are_believed(world: World) -> None:
    body = world.body()
    both = PayPalNotifications(world.rail, ["NEW1", WEBHOOK_ID])

    (event,) = await both.opened(body, world.stub.signed(body, NOW), NOW)
    (newer,) = await both.opened(body, world.stub.signed(body, NOW, webhook_id="NEW1"), NOW)
    with pytest.raises(Forged):
        await both.opened(body, world.stub.signed(body, NOW, webhook_id="OTHER"), NOW)

    assert event == newer


class Crowded:
    """PayPal with its door half open: counts how many ask at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def call(self, method: str, path: str, *, body: bytes) -> bytes:
        del method, path, body
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20):
            await asyncio.sleep(0)
        self.now -= 1
        return b'{"verification_status": "FAILURE"}'


async def test_a_flood_of_forgeries_leaves_connections_to_pay_outs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = Crowded()
    monkeypatch.setattr(world.rail, "http", crowded)

    answers = await asyncio.gather(*(world.opened(world.body()) for _ in range(40)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {Forged}
    assert crowded.most == 4


@pytest.mark.parametrize("ids", [[], ["A", "B", "C", "D"], [""], ["A-1"], ['A","x":"']])
async def test_webhook_ids_that_are_none_are_refused(world: World, ids: list[str]) -> None:
    with pytest.raises(ValueError, match="webhook ids"):
        PayPalNotifications(world.rail, ids)


# ------------------------------------------------------------------------------------------------- what it means


async def test_news_are_what_the_batch_says_now_and_not_what_the_notification_said(world: World) -> None:
    world.stub.end("B1", "SUCCESS")
    event = await world.opened(world.body())
    world.stub.end("B1", "RETURNED")

    assert await world.webhook.news(event) == (
        RefundNews(
            payment_ref="",
            refund=RefundSeen(
                provider_ref="B1",
                state="FAILED",
                failure="unclaimed",
                amount=Money(minor=694, currency="EUR"),
                attempt_id=UUID(int=2),
                at=datetime(2026, 5, 1, 20, tzinfo=UTC),
            ),
        ),
    )


@pytest.mark.parametrize("kind", ["PAYMENT.PAYOUTSBATCH.SUCCESS", "PAYMENT.PAYOUTS-ITEM.A-WORD-OF-THE-FUTURE"])
async def test_every_event_about_pay_outs_is_a_reason_to_read(world: World, kind: str) -> None:
    event = await world.opened(world.body(kind))

    (news,) = await world.webhook.news(event)

    assert isinstance(news, RefundNews)
    assert news.refund.attempt_id == UUID(int=2)


async def test_pay_outs_that_others_made_are_no_news(world: World) -> None:
    world.stub.batches["B1"].item["sender_item_id"] = "payment:2811"
    one = await world.opened(world.body())
    told = world.stub.batches["B1"].told()
    several = Fault(method="GET", path="/v1/payments", instead=json(200, told | {"items": told["items"] * 2}))

    assert await world.webhook.news(one) == ()
    world.stub.fail(several)
    assert await world.webhook.news(one) == ()


async def test_a_batch_that_paypal_does_not_know_yet_is_asked_for_again(world: World) -> None:
    event = await world.opened(world.body())
    world.stub.batches.clear()

    with pytest.raises(Unavailable):
        await world.webhook.news(event)


async def _missed(world: World) -> list[Event]:
    return [event async for event in world.webhook.missed(NOW)]


async def test_missed_events_about_pay_outs_are_all_listed_page_by_page(world: World) -> None:
    world.stub.events = [world.stub.event(SUCCEEDED, "B1") for _ in range(205)]
    world.stub.events[7]["event_type"] = "PAYMENT.SALE.COMPLETED"

    events = await _missed(world)

    assert len({event.id for event in events}) == 204
    assert world.stub.count("GET", EVENTS) == 3
    assert world.stub.asked[1].query["start_time"] == "2026-05-01T20:05:00Z"
    assert "jane" not in repr(events)


@pytest.mark.parametrize("href", ["https://example.org/v1/payments/payouts?page=2", "https://api.paypal.com" + EVENTS, "https://["])
async def test_a_next_page_that_leads_elsewhere_is_not_followed(world: World, href: str) -> None:
    world.stub.fail(Fault(method="GET", path=EVENTS, instead=json(200, {"events": [], "links": [{"rel": "next", "href": href}]})))

    with pytest.raises(Unavailable):
        await _missed(world)


async def test_a_list_without_end_ends(world: World) -> None:
    again = {"events": [], "links": [{"rel": "next", "href": f"https://api.paypal.com{EVENTS}?page_size=100&page=2"}]}
    world.stub.fail(Fault(method="GET", path=EVENTS, instead=json(200, again), times=1000))

    with pytest.raises(Unavailable, match="more than"):
        await _missed(world)

    assert world.stub.count("GET", EVENTS) == 100


@pytest.mark.parametrize("reply", [json(500, {"name": "X"}), json(200, []), json(400, {"name": "VALIDATION_ERROR"})])
async def test_a_list_that_cannot_be_read_is_for_later(world: World, reply: Reply) -> None:
    world.stub.fail(Fault(method="GET", path=EVENTS, instead=reply))

    with pytest.raises(Unavailable):
        await _missed(world)


def test_paypal_reads_nothing_back() -> None:
    assert PayPalNotifications.reply == b""
