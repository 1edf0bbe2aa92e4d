"""What is posted to Adyen's webhook: believed when signed, item by item, and told in our words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from Adyen.util import is_valid_hmac_notification  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from integrations.payments_adyen import reference_of
from integrations.payments_adyen_notifications import AdyenNotifications
from integrations.payments_adyen_reasons import REASON_TABLE, Kind, failure_word
from service.model import Money
from service.ports import DisputeNews, Event, Forged, News, RefundNews, RefundSeen, Unavailable, WarningNews
from tests.peers.adyen_stub import HMAC_KEY, MERCHANT_ACCOUNT, batch, item

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
OTHER_KEY = "00" * 32
OPERATION, ATTEMPT = UUID(int=1), UUID(int=2)
REFERENCE = reference_of(OPERATION, ATTEMPT)


def adyen(*keys: str) -> AdyenNotifications:
    return AdyenNotifications(keys or [HMAC_KEY], merchant_account=MERCHANT_ACCOUNT)


def refund_item(kind: str = "REFUND", **fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"psp": "REFUND1", "original": "PAYMENT1", "reference": REFERENCE, "at": NOW}
    return item(kind, **(usual | fields))


async def opened(*items: dict[str, Any], now: datetime = NOW) -> Sequence[Event]:
    return await adyen().opened(batch(*items), {}, now)


async def news(one: dict[str, Any]) -> Sequence[News]:
    (event,) = await opened(one)
    return await adyen().news(event)


# ------------------------------------------------------------------------------------------------ what is believed

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=20)


@given(
    psp=_words, original=_words, reference=_texts, value=st.integers(0, 10**12), currency=_words, success=st.sampled_from(("true", "false"))
)
async def test_our_reading_of_the_signature_is_that_of_adyens_sdk(**fields: Any) -> None:
    signed = item("REFUND", at=NOW, **fields)

    assert is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": signed}]}, HMAC_KEY) is True
    assert len(await opened(signed)) == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"pspReference": "REFUND2"},
        {"originalReference": "PAYMENT2"},
        {"merchantReference": "another"},
        {"amount": {"value": 701, "currency": "EUR"}},
        {"amount": {"value": 700, "currency": "USD"}},
        {"amount": None},
        {"eventCode": "CHARGEBACK_REVERSED"},
        {"success": "false"},
        {"merchantAccountCode": "SomebodyElse"},
        {"additionalData": {"hmacSignature": ""}},
        {"additionalData": {"hmacSignature": "bm8="}},
        {"additionalData": {"hmacSignature": "ünïcode"}},
        {"additionalData": {}},
    ],
    ids=lambda fields: msgspec.json.encode(fields).decode(),
)
async def test_an_item_that_was_changed_or_is_unsigned_is_forged(forged: dict[str, Any]) -> None:
    assert len(await opened(refund_item())) == 1
    with pytest.raises(Forged):
        await opened(refund_item() | forged)


async def test_an_item_without_any_additional_data_is_forged_where_the_sdk_says_nothing() -> None:
    unsigned = {name: value for name, value in refund_item().items() if name != "additionalData"}

    assert is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": unsigned}]}, HMAC_KEY) is None
    with pytest.raises(Forged, match="without a signature"):
        await opened(unsigned)


async def test_one_forged_item_refuses_the_batch_that_the_sdk_takes() -> None:
    good, bad = refund_item(), refund_item(key=OTHER_KEY, psp="REFUND2")

    assert is_valid_hmac_notification(msgspec.json.decode(batch(good, bad)), HMAC_KEY) is True
    with pytest.raises(Forged):
        await opened(good, bad)


async def test_an_item_signed_for_another_account_is_not_ours() -> None:
    with pytest.raises(Forged):
        await opened(refund_item(account="SomebodyElse"))


async def test_fields_cannot_be_cut_elsewhere_under_the_same_signature() -> None:
    signed = refund_item(reference="order:1:EUR", value=700)
    # the same eight fields joined: the amount is now 1, and what is left of the old one stands in the currency
    moved = signed | {"merchantReference": "order", "amount": {"value": 1, "currency": "EUR:700:EUR"}}

    assert is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": moved}]}, HMAC_KEY) is True
    assert len(await opened(signed)) == 1
    with pytest.raises(Forged, match="colon"):
        await opened(moved)


async def test_while_a_key_is_replaced_both_are_good() -> None:
    both = adyen(OTHER_KEY, HMAC_KEY)

    assert len(await both.opened(batch(refund_item(), refund_item(psp="REFUND2", key=OTHER_KEY)), {}, NOW)) == 2


@pytest.mark.parametrize("age", [timedelta(days=30), timedelta(0), timedelta(minutes=-59)])
async def test_what_adyen_may_still_repeat_is_taken(age: timedelta) -> None:
    assert len(await opened(refund_item(at=NOW - age))) == 1


@pytest.mark.parametrize("age", [timedelta(days=31, seconds=1), timedelta(days=4000), timedelta(minutes=-61)])
async def test_what_is_older_than_adyens_last_repeat_or_from_the_future_is_forged(age: timedelta) -> None:
    with pytest.raises(Forged):
        await opened(refund_item(at=NOW - age))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[accepted]",
        b"\xff\xfe",
        b'{"notificationItems": 1}',
        b'{"notificationItems": [{}]}',
        batch(refund_item() | {"success": True}),
        batch(refund_item() | {"amount": {"value": 7.5, "currency": "EUR"}}),
        batch(refund_item() | {"eventDate": "yesterday"}),
        batch(*[refund_item()] * 101),
        b" " * 1_000_001,
    ],
    ids=range(10),
)
async def test_what_cannot_be_read_is_no_event(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        await adyen().opened(body, {}, NOW)


@pytest.mark.parametrize("keys", [[], [""], ["not hex at all"], [HMAC_KEY] * 5])
def test_a_webhook_without_a_good_key_is_not_set_up_and_the_key_is_not_shown(keys: list[str]) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - each says something else
        AdyenNotifications(keys, merchant_account=MERCHANT_ACCOUNT)

    assert "not hex at all" not in str(refused.value)


async def test_a_repeated_delivery_is_the_same_event_and_another_outcome_is_not() -> None:
    first, again, failed, later = await opened(
        refund_item(), refund_item(at=NOW - timedelta(days=1)), refund_item(success="false"), refund_item("REFUND_FAILED")
    )

    assert first.id == again.id
    assert len({first.id, failed.id, later.id}) == 3


async def test_what_is_kept_of_an_item_names_nobody() -> None:
    (event,) = await opened(refund_item(reference="Jane Doe, order 7", reason="Refused for Jane Doe", success="false"))

    assert "Jane" not in repr(event)
    assert event.about["failure"] == "declined"


async def test_an_event_that_was_stored_and_read_again_tells_the_same() -> None:
    (event,) = await opened(refund_item())
    stored = msgspec.json.decode(msgspec.json.encode(event), type=Event)

    assert await adyen().news(stored) == await adyen().news(event)


async def test_there_is_nothing_to_catch_up_with() -> None:
    assert [event async for event in adyen().missed(NOW - timedelta(days=3))] == []


# ---------------------------------------------------------------------------------------------------- what it means


def seen(**fields: Any) -> RefundNews:
    refund: dict[str, Any] = {
        "provider_ref": "REFUND1",
        "state": "SUCCEEDED",
        "amount": Money(minor=700, currency="EUR"),
        "operation_id": OPERATION,
        "attempt_id": ATTEMPT,
        "at": NOW,
    }
    return RefundNews(payment_ref="PAYMENT1", refund=RefundSeen(**(refund | fields)))


async def test_a_refund_that_the_scheme_took_has_succeeded() -> None:
    assert await news(refund_item()) == [seen()]


async def test_a_refund_of_somebody_elses_is_seen_and_carries_no_attempt() -> None:
    assert await news(refund_item(reference="M0VLU")) == [seen(operation_id=None, attempt_id=None)]


async def test_a_refund_in_a_currency_of_other_decimals_is_told_in_iso_units() -> None:
    assert await news(refund_item(value=512000, currency="CLP")) == [seen(amount=Money(minor=5120, currency="CLP"))]


@pytest.mark.parametrize("kind", ["REFUND_FAILED", "REFUNDED_REVERSED"])
async def test_a_refund_that_fails_after_it_succeeded_has_failed(kind: str) -> None:
    assert await news(refund_item(kind, reason="Closed account")) == [seen(state="FAILED", failure="expired_or_canceled_card")]


async def test_a_refused_refund_has_failed_with_our_word_for_the_reason() -> None:
    assert await news(refund_item(success="false", reason="Insufficient balance on payment")) == [
        seen(state="FAILED", failure="insufficient_funds")
    ]


async def test_a_reversal_counts_when_it_became_a_refund() -> None:
    assert await news(refund_item("CANCEL_OR_REFUND", action="refund")) == [seen()]
    assert await news(refund_item("CANCEL_OR_REFUND", action="cancel")) == []
    assert await news(refund_item("CANCEL_OR_REFUND")) == []


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("NOTIFICATION_OF_CHARGEBACK", "open"),
        ("CHARGEBACK", "lost"),
        ("SECOND_CHARGEBACK", "lost"),
        ("PREARBITRATION_LOST", "lost"),
        ("CHARGEBACK_REVERSED", "won"),
        ("PREARBITRATION_WON", "won"),
        ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "won"),
    ],
)
async def test_a_dispute_is_told_as_it_stands(kind: str, state: Any) -> None:
    dispute = DisputeNews(payment_ref="PAYMENT1", dispute_ref="DISPUTE1", state=state, amount=Money(minor=700, currency="EUR"))

    assert await news(refund_item(kind, psp="DISPUTE1", reference="M0VLU")) == [dispute]


async def test_an_account_that_gives_disputes_no_reference_names_the_payment_itself() -> None:
    (told,) = await news(refund_item("CHARGEBACK", psp="PAYMENT1", original="", reference="M0VLU"))

    assert told.payment_ref == "PAYMENT1"


async def test_a_warning_of_fraud_is_told() -> None:
    assert await news(refund_item("NOTIFICATION_OF_FRAUD", psp="WARNING1")) == [WarningNews(payment_ref="PAYMENT1", warning_ref="WARNING1")]


@pytest.mark.parametrize("kind", ["AUTHORISATION", "CANCELLATION", "REQUEST_FOR_INFORMATION", "CAPTURE", "A_KIND_OF_THE_FUTURE"])
async def test_what_means_nothing_to_us_is_kept_and_not_guessed(kind: str) -> None:
    (event,) = await opened(refund_item(kind))

    assert event.kind == kind
    assert await adyen().news(event) == []


@pytest.mark.parametrize("kind", ["REFUND_FAILED", "REFUNDED_REVERSED", "CHARGEBACK", "CHARGEBACK_REVERSED", "NOTIFICATION_OF_FRAUD"])
async def test_news_that_did_not_come_true_moves_nothing(kind: str) -> None:
    assert await news(refund_item(kind, success="false")) == []


@pytest.mark.parametrize("amount", [{"value": 550, "currency": "ISK"}, {"value": 700, "currency": "BIF"}])
async def test_an_amount_that_cannot_be_meant_stops_and_is_not_rounded(amount: dict[str, Any]) -> None:
    with pytest.raises(Unavailable) as stopped:
        await news(refund_item(**amount))

    assert stopped.value.configuration


# -------------------------------------------------------------------------------------------------------- reasons


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("Insufficient balance on payment", "insufficient_funds"),
        ("Insufficient funds available for refunds", "insufficient_funds"),
        ("Transaction was charged back", "charge_for_pending_refund_disputed"),
        ("Refund rejected by card scheme because of a technical issue.", "merchant_request"),
        ("Incorrect request", "merchant_request"),
        ("Lost card", "lost_or_stolen_card"),
        ("EXPIRED CARD", "expired_or_canceled_card"),
        ("Closed account", "expired_or_canceled_card"),
        ("Refused", "declined"),
    ],
)
@pytest.mark.parametrize("kind", ["REFUND", "REFUND_FAILED", "REFUNDED_REVERSED"])
def test_each_reason_is_told_in_our_word(kind: Kind, reason: str, word: str) -> None:
    assert failure_word(kind, reason) == word


def test_every_row_of_reasons_decides_something_and_says_where_it_comes_from() -> None:
    for row in REASON_TABLE:
        assert row.source
        assert all(failure_word("REFUND", part) == row.word for part in row.says)


def test_a_reason_nobody_knows_opens_another_way_only_where_adyen_cannot_try_again() -> None:
    words = {kind: failure_word(kind, "a reason of the future") for kind in ("REFUND", "REFUNDED_REVERSED", "REFUND_FAILED")}

    assert words == {"REFUND": "unknown", "REFUNDED_REVERSED": "unknown", "REFUND_FAILED": "merchant_request"}
