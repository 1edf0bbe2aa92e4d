"""Stripe's webhook: who is believed, what is kept, and that the meaning is always read afresh.

The events are synthetic: bodies in the shape of Stripe's published examples, signed with the SDK's own function for that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import stripe

from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_webhook import KINDS, StripeNotifications
from service.model import Money
from service.ports import DisputeNews, Event, Forged, RefundNews, RefundSeen, Unavailable, WarningNews
from tests.contracts.rails.benches import TEST_KEY
from tests.peers.loopback import Fault, json
from tests.peers.stripe_stub import StripeStub, charge, dispute, event, refund, warning

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
OLD_SECRET, SECRET = "whsec_of_tests_old", "whsec_of_tests"
BODY = msgspec.json.encode(event("refund.updated", refund()))


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))
    return {"stripe-signature": header}


def changed(headers: dict[str, str], old: str, new: str) -> dict[str, str]:
    return {"stripe-signature": headers["stripe-signature"].replace(old, new)}


@pytest.fixture
async def stub() -> AsyncIterator[StripeStub]:
    async with StripeStub().serving() as stub:
        yield stub


@pytest.fixture
async def rail(stub: StripeStub) -> AsyncIterator[StripeRail]:
    rail = StripeRail("stripe", TEST_KEY, base_url=stub.base_url)
    yield rail
    await rail.close()


@pytest.fixture
def webhook(rail: StripeRail) -> StripeNotifications:
    return StripeNotifications(rail, [OLD_SECRET, SECRET])


# ------------------------------------------------------------------------------------------------ who is believed


@pytest.mark.parametrize(
    "headers",
    [
        signed(BODY),
        signed(BODY, secret=OLD_SECRET),
        signed(BODY, at=NOW - timedelta(seconds=300)),
        signed(BODY, at=NOW + timedelta(seconds=300)),
        changed(signed(BODY), "v1=", f"v1={'0' * 64},v1="),
        changed(signed(BODY), ",v1=", ", v0=abc, v1="),
    ],
    ids=["signed", "the other secret", "just in time", "a clock ahead", "one of two signatures", "another scheme beside"],
)
async def test_what_stripe_signed_lately_is_believed(webhook: StripeNotifications, headers: dict[str, str]) -> None:
    (opened,) = await webhook.opened(BODY, headers, NOW)

    assert (opened.id, opened.kind, opened.happened_at) == ("evt_1", "refund.updated", NOW)


STAMP = str(int(NOW.timestamp()))
FORGED: dict[str, tuple[bytes, dict[str, str]]] = {
    "no signature": (BODY, {}),
    "an empty one": (BODY, {"stripe-signature": ""}),
    "no timestamp": (BODY, changed(signed(BODY), f"t={STAMP},", "")),
    "two timestamps": (BODY, changed(signed(BODY), f"t={STAMP}", f"t={STAMP},t={STAMP}")),
    "another timestamp": (BODY, changed(signed(BODY), f"t={STAMP}", f"t={int(STAMP) + 1}")),
    "a timestamp in words": (BODY, changed(signed(BODY), f"t={STAMP}", "t=now")),
    "the scheme of tests": (BODY, changed(signed(BODY), "v1=", "v0=")),
    "too many items": (BODY, changed(signed(BODY), ",v1=", ",v1=" + "0," * 30 + "v1=")),
    "a wrong secret": (BODY, signed(BODY, secret="whsec_of_somebody_else")),
    "no secret at all": (BODY, signed(BODY, secret="")),
    "one byte changed": (BODY.replace(b"700", b"701"), signed(BODY)),
    "one byte more": (BODY + b" ", signed(BODY)),
    "another body": (b"{}", signed(BODY)),
    "stale": (BODY, signed(BODY, at=NOW - timedelta(seconds=301))),
    "of the future": (BODY, signed(BODY, at=NOW + timedelta(seconds=301))),
    "no text": (b"\xff\xfe", {"stripe-signature": f"t={STAMP},v1=\xff"}),
}


@pytest.mark.parametrize("name", FORGED)
async def test_nobody_else_is_believed(webhook: StripeNotifications, name: str) -> None:
    body, headers = FORGED[name]
    with pytest.raises(Forged):
        await webhook.opened(body, headers, NOW)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"nothing", msgspec.json.encode({"id": 7, "type": "x", "created": 0})])
async def test_what_is_signed_and_cannot_be_read_is_refused(webhook: StripeNotifications, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expected|missing|truncated"):
        await webhook.opened(body, signed(body), NOW)


@pytest.mark.parametrize(
    ("key", "account", "fields", "taken"),
    [
        ("sk_test_1", None, {}, 1),
        ("rk_live_1", None, {"livemode": True}, 1),
        ("sk_test_1", None, {"livemode": True}, 0),
        ("sk_live_1", None, {}, 0),
        ("sk_test_1", None, {"account": "acct_1"}, 0),
        ("sk_test_1", "acct_1", {"account": "acct_1"}, 1),
        ("sk_test_1", "acct_1", {"account": "acct_2"}, 0),
        ("sk_test_1", "acct_1", {}, 0),
        ("sk_test_1", "acct_1", {"object": "v2.core.event", "data": None, "context": "acct_1"}, 1),
        ("sk_test_1", "acct_1", {"object": "v2.core.event", "data": None, "context": "acct_2"}, 0),
    ],
)
async def test_only_events_of_our_account_and_mode_are_ours(key: str, account: str | None, fields: dict[str, Any], taken: int) -> None:
    rail = StripeRail("stripe", key, stripe_account=account)
    body = msgspec.json.encode(event("refund.updated", refund(), **fields))

    opened = await StripeNotifications(rail, [SECRET]).opened(body, signed(body), NOW)
    await rail.close()

    assert len(opened) == taken


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_1", " "]], ids=str)
def test_a_webhook_without_a_secret_is_not_made(rail: StripeRail, secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        StripeNotifications(rail, secrets)


def test_a_webhook_that_would_take_any_age_is_not_made(rail: StripeRail) -> None:
    with pytest.raises(ValueError, match="age"):
        StripeNotifications(rail, [SECRET], tolerance_seconds=0)


# ------------------------------------------------------------------------------------------------ what is kept


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("charge.refunded", charge()),
        ("charge.dispute.created", dispute()),
        ("customer.created", {"id": "cus_1", "email": "jane@example.org"}),
    ],
)
async def test_references_are_kept_and_nothing_about_people(webhook: StripeNotifications, kind: str, about: dict[str, Any]) -> None:
    body = msgspec.json.encode(event(kind, about))

    (opened,) = await webhook.opened(body, signed(body), NOW)

    kept = msgspec.json.encode(opened)
    assert opened.about["object"] == about["id"]
    assert not [word for word in (b"jane", b"Jane", b"4242", b"visa") if word in kept]


async def test_what_does_not_look_like_a_reference_is_not_kept(webhook: StripeNotifications) -> None:
    body = msgspec.json.encode(event("refund.updated", refund("re_1/../../charges", charge="jane@example.org", status="x" * 300)))

    (opened,) = await webhook.opened(body, signed(body), NOW)

    assert opened.about == {"type": "refund", "payment_intent": "pi_1", "amount": "700", "currency": "eur"}
    assert await webhook.news(opened) == ()


async def test_a_thin_event_and_one_of_the_future_are_kept_and_mean_nothing(webhook: StripeNotifications, stub: StripeStub) -> None:
    thin = {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": "v2.core.account.closed",
        "livemode": False,
        "created": "2027-01-15T08:00:00Z",
        "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/core/accounts/acct_1"},
    }
    for said in (thin, event("refund.a_word_of_the_future", refund())):
        body = msgspec.json.encode(said)
        (opened,) = await webhook.opened(body, signed(body), NOW)

        assert (opened.kind, opened.happened_at) == (said["type"], NOW)
        assert await webhook.news(opened) == ()
    assert stub.asked == []


# ------------------------------------------------------------------------------------------------ what it means


def told(kind: str, ref: str) -> Event:
    return Event(id="evt_1", kind=kind, happened_at=NOW, about={"object": ref})


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
async def test_a_refund_is_read_afresh_and_the_body_is_not_believed(webhook: StripeNotifications, stub: StripeStub, kind: str) -> None:
    ours = {"attempt_id": str(UUID(int=7)), "operation_id": str(UUID(int=8))}
    stub.put("refunds", refund(status="failed", failure_reason="expired_or_canceled_card", metadata=ours))
    body = msgspec.json.encode(event(kind, refund(amount=999_999, status="succeeded")))
    (opened,) = await webhook.opened(body, signed(body), NOW)

    seen = RefundSeen(
        provider_ref="re_1",
        state="FAILED",
        failure="expired_or_canceled_card",
        amount=Money(minor=700, currency="EUR"),
        attempt_id=UUID(int=7),
        operation_id=UUID(int=8),
        at=NOW,
    )
    assert await webhook.news(opened) == [RefundNews(payment_ref=name, refund=seen) for name in ("pi_1", "ch_1")]


async def test_the_same_event_twice_means_the_same_twice(webhook: StripeNotifications, stub: StripeStub) -> None:
    stub.put("refunds", refund())
    opened = [*await webhook.opened(BODY, signed(BODY), NOW), *await webhook.opened(BODY, signed(BODY), NOW)]

    assert opened[0] == opened[1]
    assert await webhook.news(opened[0]) == await webhook.news(opened[1])


async def test_a_refunded_charge_tells_all_its_refunds(webhook: StripeNotifications, stub: StripeStub) -> None:
    stub.put("charges", charge())
    for number in range(3):
        stub.put("refunds", refund(f"re_{number}"))
    stub.put("refunds", refund("re_of_another", charge="ch_2"))

    news = await webhook.news(told("charge.refunded", "ch_1"))

    assert {(one.payment_ref, one.refund.provider_ref) for one in news if isinstance(one, RefundNews)} == {
        (name, f"re_{number}") for name in ("pi_1", "ch_1") for number in range(3)
    }


async def test_a_hold_that_was_let_go_of_is_no_news(webhook: StripeNotifications, stub: StripeStub) -> None:
    released = stub.put("charges", charge(captured=False, amount_captured=0, amount_refunded=5000))
    stub.put("refunds", refund(charge=released))

    assert not await webhook.news(told("charge.refunded", "ch_1"))
    assert not await webhook.news(told("refund.created", "re_1"))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("needs_response", "open"),
        ("under_review", "open"),
        ("warning_needs_response", "open"),
        ("warning_under_review", "open"),
        ("prevented", "open"),
        ("a word of the future", "open"),
        ("won", "won"),
        ("warning_closed", "won"),
        ("lost", "lost"),
    ],
)
async def test_each_status_of_a_dispute_is_told_in_our_words(
    webhook: StripeNotifications, stub: StripeStub, status: str, state: str
) -> None:
    stub.put("disputes", dispute(status=status, is_charge_refundable=True))

    for kind in (kind for kind in KINDS if "dispute" in kind):
        assert await webhook.news(told(kind, "dp_1")) == tuple(
            DisputeNews(payment_ref=name, dispute_ref="dp_1", state=state, amount=Money(minor=5000, currency="EUR"))  # type: ignore[arg-type]
            for name in ("pi_1", "ch_1")
        )


@pytest.mark.parametrize("kind", ["radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"])
async def test_a_warning_is_news_while_something_can_be_done(webhook: StripeNotifications, stub: StripeStub, kind: str) -> None:
    stub.put("radar/early_fraud_warnings", warning(payment_intent=None))
    stub.put("radar/early_fraud_warnings", warning("issfr_2", actionable=False))

    assert await webhook.news(told(kind, "issfr_1")) == [WarningNews(payment_ref="ch_1", warning_ref="issfr_1")]
    assert await webhook.news(told(kind, "issfr_2")) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_an_object_that_stripe_does_not_know_means_nothing(webhook: StripeNotifications, kind: str) -> None:
    assert not await webhook.news(told(kind, "xx_1"))
    assert not await webhook.news(Event(id="evt_1", kind=kind, happened_at=None, about={}))


@pytest.mark.parametrize("status", [403, 400])
async def test_what_may_not_be_read_is_a_matter_of_configuration_and_not_nothing(
    webhook: StripeNotifications, stub: StripeStub, status: int
) -> None:
    no = json(status, {"error": {"type": "invalid_request_error", "message": "no"}})
    stub.fail(Fault(method="GET", path="/v1/disputes/dp_1", instead=no))

    with pytest.raises(Unavailable) as refused:
        await webhook.news(told("charge.dispute.created", "dp_1"))

    assert refused.value.configuration


# ------------------------------------------------------------------------------------------------ what was missed


async def test_missed_events_are_told_once_each_page_by_page(webhook: StripeNotifications, stub: StripeStub) -> None:
    for number in range(150):
        stub.put("events", event("refund.failed", refund(f"re_{number}"), f"evt_{number}", created=int(NOW.timestamp()) + number))
    stub.put("events", event("refund.failed", refund(), "evt_before", created=int(NOW.timestamp()) - 1))
    stub.put("events", event("refund.failed", refund(), "evt_live", livemode=True))
    stub.put("events", event("refund.failed", refund(), "evt_of_another", account="acct_2"))

    missed = [one async for one in webhook.missed(NOW)]

    assert {one.id: one.about["object"] for one in missed} == {f"evt_{number}": f"re_{number}" for number in range(150)}
    first, second = stub.asked
    assert first.query["delivery_success"] == "false"
    assert {value for name, value in first.query.items() if name.startswith("types")} == set(KINDS)
    assert (len(KINDS), second.query["starting_after"]) == (12, "evt_50")


async def test_the_events_of_a_connected_account_are_read_as_that_account(stub: StripeStub) -> None:
    stub.put("events", event("refund.failed", refund()))
    stub.put("events", event("refund.failed", refund(), "evt_2", account="acct_1"))
    rail = StripeRail("stripe", TEST_KEY, base_url=stub.base_url, stripe_account="acct_1")

    missed = [one.id async for one in StripeNotifications(rail, [SECRET]).missed(NOW)]
    await rail.close()

    assert sorted(missed) == ["evt_1", "evt_2"]
    assert stub.asked[0].headers["stripe-account"] == "acct_1"
