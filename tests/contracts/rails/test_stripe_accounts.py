"""Stripe beyond one refund: holds on cards, connected accounts and their flags, and the list of an account, at a stub of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from integrations.payments_stripe import StripeRail
from service.ports import Declined, OutcomeUnknown, Unavailable
from tests.contracts.rails.benches import TEST_KEY
from tests.contracts.rails.error_benches import REQUEST
from tests.peers.loopback import Fault
from tests.peers.stripe_stub import StripeStub, charge, held, intent, refund

SINCE = datetime(2027, 1, 15, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)


@pytest.fixture
async def stub() -> AsyncIterator[StripeStub]:
    async with StripeStub().serving() as stub:
        yield stub


@pytest.fixture
async def rail(stub: StripeStub) -> AsyncIterator[StripeRail]:
    rail = StripeRail("stripe", TEST_KEY, base_url=stub.base_url)
    yield rail
    await rail.close()


async def test_what_a_card_holds_is_told_apart_from_what_was_captured(rail: StripeRail, stub: StripeStub) -> None:
    stub.put("payment_intents", held())
    stub.put("charges", charge("ch_2", captured=False, amount_captured=0, payment_intent=None))
    stub.put("payment_intents", intent("pi_3"))

    seen = [await rail.payment(ref, "EUR") for ref in ("pi_1", "ch_2", "pi_3")]

    assert [(one.captured.minor, one.authorised_minor) for one in seen] == [(0, 5000), (0, 5000), (5000, 0)]


async def test_a_hold_that_was_let_go_of_is_no_refund_though_stripe_calls_it_one(rail: StripeRail, stub: StripeStub) -> None:
    released = charge(captured=False, amount_captured=0, amount_refunded=5000)
    stub.put("payment_intents", held() | {"status": "canceled", "amount_capturable": 0, "latest_charge": released})
    stub.put("refunds", refund(amount=5000, charge=released))

    seen = await rail.payment("pi_1", "EUR")

    assert (seen.captured.minor, seen.refunded_minor, seen.authorised_minor, seen.refunds) == (0, 0, 0, ())
    assert [one async for one in rail.listed(SINCE, UNTIL)] == []


async def test_a_hold_is_cancelled_once_however_often_it_is_asked_for(rail: StripeRail, stub: StripeStub) -> None:
    stub.put("payment_intents", held())
    stub.put("charges", charge("ch_1", captured=False))

    await rail.cancel("pi_1", key="key-1")
    await rail.cancel("pi_1", key="key-2")
    await rail.cancel("ch_1", key="key-3")

    assert stub.objects["/v1/payment_intents/pi_1"]["status"] == "canceled"
    assert [one.headers["idempotency-key"] for one in stub.asked if one.method == "POST"] == ["key-1", "key-2", "key-3"]


async def test_what_was_captured_is_not_cancelled(rail: StripeRail, stub: StripeStub) -> None:
    stub.put("payment_intents", intent())

    with pytest.raises(Declined) as refused:
        await rail.cancel("pi_1", key="key-1")

    assert refused.value.code == "unsupported"


async def test_a_hold_without_an_intent_is_for_people_since_only_a_refund_would_release_it(rail: StripeRail, stub: StripeStub) -> None:
    stub.put("charges", charge("ch_2", captured=False, payment_intent=None))

    with pytest.raises(Declined) as refused:
        await rail.cancel("ch_2", key="key-1")

    assert (refused.value.code, stub.sent()) == ("unsupported", [])


async def test_a_cancellation_whose_answer_was_lost_is_unknown_and_the_same_key_heals_it(rail: StripeRail, stub: StripeStub) -> None:
    stub.put("payment_intents", held())
    stub.fail(Fault(method="POST", path="/v1/payment_intents/pi_1/cancel"))

    with pytest.raises(OutcomeUnknown):
        await rail.cancel("pi_1", key="key-1")
    await rail.cancel("pi_1", key="key-1")

    assert stub.objects["/v1/payment_intents/pi_1"]["status"] == "canceled"


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, {}),
        ({"reverse_transfer": True}, {"reverse_transfer": "true"}),
        ({"refund_application_fee": True}, {"refund_application_fee": "true"}),
        ({"reverse_transfer": True, "refund_application_fee": True}, {"reverse_transfer": "true", "refund_application_fee": "true"}),
    ],
    ids=str,
)
async def test_what_a_refund_takes_back_from_others_is_sent_only_when_configured(
    stub: StripeStub, options: dict[str, Any], flags: dict[str, str]
) -> None:
    rail = StripeRail("stripe", TEST_KEY, base_url=stub.base_url, **options)
    for _ in range(2):
        await rail.refund(REQUEST, key="key-1")
    await rail.close()

    first, second = stub.sent()
    assert first == second
    assert {name: value for name, value in first.items() if not name.startswith("metadata")} == {
        "charge": "ch_any",
        "amount": "700",
        "reason": "requested_by_customer",
        **flags,
    }


async def test_every_call_of_a_connected_accounts_rail_is_for_that_account(stub: StripeStub) -> None:
    stub.put("payment_intents", held())
    stub.put("refunds", refund())
    rail = StripeRail("stripe", TEST_KEY, base_url=stub.base_url, stripe_account="acct_1")
    await rail.refund(REQUEST, key="key-1")
    await rail.find(REQUEST)
    await rail.payment("pi_1", "EUR")
    await rail.cancel("pi_1", key="key-2")
    await rail.check()
    async for _ in rail.listed(SINCE, UNTIL):
        pass
    await rail.close()

    assert len(stub.asked) >= 6
    assert {one.headers.get("stripe-account") for one in stub.asked} == {"acct_1"}


async def test_the_list_tells_every_refund_of_its_time_once_page_by_page(rail: StripeRail, stub: StripeStub) -> None:
    for number in range(250):
        stub.put("refunds", refund(f"re_{number:03}", created=int(SINCE.timestamp()) + number))
    ours = {"attempt_id": str(UUID(int=7)), "operation_id": str(UUID(int=8))}
    stub.put("refunds", refund("re_ours", metadata=ours, created=int(SINCE.timestamp())))
    stub.put("refunds", refund("re_charge", payment_intent=None, created=int(SINCE.timestamp())))
    stub.put("refunds", refund("re_before", created=int(SINCE.timestamp()) - 1))
    stub.put("refunds", refund("re_after", created=int(UNTIL.timestamp())))

    listed = {one.refund.provider_ref: one async for one in rail.listed(SINCE, UNTIL)}

    assert listed.keys() == {f"re_{number:03}" for number in range(250)} | {"re_ours", "re_charge"}
    assert stub.count("GET", "/v1/refunds") == 3
    assert (listed["re_ours"].refund.attempt_id, listed["re_ours"].refund.operation_id) == (UUID(int=7), UUID(int=8))
    assert (listed["re_ours"].payment_ref, listed["re_ours"].also_known_as) == ("pi_1", "ch_1")
    assert (listed["re_charge"].payment_ref, listed["re_charge"].also_known_as) == ("ch_1", "")
    assert listed["re_001"].refund.at == SINCE + timedelta(seconds=1)


async def test_a_list_that_cannot_be_read_is_no_empty_list(stub: StripeStub) -> None:
    stub.put("refunds", refund(amount=550, currency="isk"))
    rail = StripeRail("stripe", TEST_KEY, base_url=stub.base_url)

    with pytest.raises(Unavailable):
        [one async for one in rail.listed(SINCE, UNTIL)]
    await rail.close()
