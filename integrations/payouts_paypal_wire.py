"""The fields of PayPal's pay-outs that we read, and what they mean as one pay-out of ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from integrations.payouts_paypal_amounts import from_paypal
from service.ports import RefundSeen


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    currency: str
    value: str


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why an item is not paid; the message beside the name may quote the receiver and is not read."""

    name: str = ""


class SenderHeader(msgspec.Struct, frozen=True, kw_only=True):
    sender_batch_id: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    payout_batch_id: str
    batch_status: str = ""
    time_created: str | None = None
    sender_batch_header: SenderHeader | None = None
    errors: Reason | list[Reason] | None = None


class SentItem(msgspec.Struct, frozen=True, kw_only=True):
    """What we sent, told back; the receiver is among it and is not read."""

    amount: Amount
    sender_item_id: str = ""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    payout_item: SentItem
    transaction_status: str = ""
    errors: Reason | list[Reason] | None = None


class Created(msgspec.Struct, frozen=True, kw_only=True):
    batch_header: Header


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    batch_header: Header
    items: list[Item] = []


type_state = Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED"]

# PayPal, "Track payout item status" and Payouts v1, transaction_enum; both spellings of a hold are theirs. What is not listed is
# on its way: PENDING, ONHOLD (PayPal reviews it; the customer can do nothing) and words of the future.
_ITEM_STATES: Final[Mapping[str, type_state]] = {
    "SUCCESS": "SUCCEEDED",
    "UNCLAIMED": "ACCEPTED",
    "RETURNED": "FAILED",
    "FAILED": "FAILED",
    "BLOCKED": "FAILED",
    "DENIED": "FAILED",
    "REFUNDED": "FAILED",
    "REVERSED": "FAILED",
    "CANCELED": "CANCELED",
}
# Payouts v1, batch_enum: decides where the item has nothing to say yet.
_BATCH_STATES: Final[Mapping[str, type_state]] = {"DENIED": "FAILED", "CANCELED": "CANCELED"}

# PayPal, "Reports: transaction logs", and what its simulator answers. What is not listed is told by the status below.
_REASONS: Final[Mapping[str, str]] = {
    "INSUFFICIENT_FUNDS": "insufficient_funds",
    "USER_FUNDING_SOURCE_INELIGIBLE": "insufficient_funds",  # "try again using your PayPal balance"
    "RECEIVER_UNREGISTERED": "unclaimed",
    "RECEIVER_ACCOUNT_LOCKED": "declined",
    "RECEIVER_ACCOUNT_INVALID": "declined",
    "SELF_PAY_NOT_ALLOWED": "declined",
}
_WORDS: Final[Mapping[str, str]] = {
    "RETURNED": "unclaimed",  # nobody claimed it within 30 days, or it was cancelled while unclaimed
    "BLOCKED": "declined",
    "DENIED": "declined",
    "REFUNDED": "declined",  # the receiver had it and sent it back
    "REVERSED": "merchant_request",  # taken back on the account's side: for people, never for another rail
}
# The receiver has set their account to look at each payment in a currency they do not hold (reason 1005 of the same page).
_ASKS_RECEIVER: Final = "PENDING_RECIPIENT_NON_HOLDING_CURRENCY_PAYMENT_PREFERENCE"


class NotOne(ValueError):  # noqa: N818 - says what is wrong
    """A batch that does not have exactly one item: not ours, or not told yet."""


def pay_out_of(batch: Batch) -> RefundSeen:
    """The one item of a batch. Raises NotOne, ValueError for an amount that cannot be read."""
    if len(batch.items) != 1:
        raise NotOne(f"{len(batch.items)} items")
    item, header = batch.items[0], batch.batch_header
    reason = _reason(item.errors) or _reason(header.errors)
    state = _ITEM_STATES.get(item.transaction_status) or _BATCH_STATES.get(header.batch_status, "ACCEPTED")
    asks = state == "ACCEPTED" and (item.transaction_status == "UNCLAIMED" or reason == _ASKS_RECEIVER)
    return RefundSeen(
        provider_ref=header.payout_batch_id,
        state=state,
        amount=from_paypal(item.payout_item.amount.value, item.payout_item.amount.currency),
        attempt_id=attempt_of(item.payout_item.sender_item_id),
        failure=(_REASONS.get(reason) or _WORDS.get(item.transaction_status, "unknown")) if state == "FAILED" else "",
        waiting="customer" if asks else "",
        at=instant(header.time_created),
    )


def attempt_of(sender_item_id: str) -> UUID | None:
    """Ours, or None: pay-outs that others made carry whatever they like."""
    try:
        return UUID(sender_item_id)
    except ValueError:
        return None


def instant(text: str | None) -> datetime | None:
    """A time of PayPal's (RFC 3339); None for anything else, for it only dates what other fields prove."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def _reason(errors: Reason | list[Reason] | None) -> str:
    """The first name: the specification has one object, and answers with a list of them are known."""
    if isinstance(errors, list):
        return errors[0].name if errors else ""
    return errors.name if errors else ""
