"""Adyen's webhook: every item of a batch verified by us, and what it means for refunds, disputes and warnings.

Adyen cannot be read back, so the verified item is the evidence itself. Its signature covers references, amount, kind and success;
not the date, the reason and what `additionalData` says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from integrations.payments_adyen import ours
from integrations.payments_adyen_amounts import from_adyen
from integrations.payments_adyen_reasons import Kind, failure_word
from service.model import Money
from service.ports import DisputeNews, Event, Forged, News, RefundNews, RefundSeen, Unavailable, WarningNews

# Adyen repeats what it could not deliver for 30 days ("Troubleshoot webhooks", retry queue); a day more for the last try. The date
# is not signed: against a replay stands the event's id, which is made of signed fields alone.
_AGE_MAX: Final = timedelta(days=31)
# Clocks differ by seconds; an hour leaves room for a zone written wrong when summer time begins.
_AHEAD_MAX: Final = timedelta(hours=1)
# JSON batches hold one item as a rule; more than this is no batch of Adyen's.
_ITEMS_MAX: Final = 100
# An item is two kilobytes.
_BODY_BYTES_MAX: Final = 1_000_000
# Two during a rotation; each more costs a hash for every item.
_KEYS_MAX: Final = 4

# "Dispute webhooks". At a CHARGEBACK the money is taken, which is what lost means for the books, and CHARGEBACK_REVERSED gives it back.
# REQUEST_FOR_INFORMATION moves nothing and has no event that ends it: it would hold a payment for ever.
_DISPUTES: Final[Mapping[str, Literal["open", "won", "lost"]]] = {
    "NOTIFICATION_OF_CHARGEBACK": "open",
    "CHARGEBACK": "lost",
    "SECOND_CHARGEBACK": "lost",
    "PREARBITRATION_LOST": "lost",
    "CHARGEBACK_REVERSED": "won",
    "PREARBITRATION_WON": "won",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "won",
}

# Said after a REFUND that had succeeded ("Refund", failed and reversed refunds): the money did not arrive, or came back.
_FAILURES: Final[Mapping[str, Kind]] = {"REFUND_FAILED": "REFUND_FAILED", "REFUNDED_REVERSED": "REFUNDED_REVERSED"}


class _Amount(msgspec.Struct, frozen=True, kw_only=True):
    value: int
    currency: str


class _Additional(msgspec.Struct, frozen=True, kw_only=True):
    signature: str = msgspec.field(name="hmacSignature", default="")
    action: str = msgspec.field(name="modification.action", default="")
    """of CANCEL_OR_REFUND: which of the two it became"""


class _Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    psp_reference: str
    merchant_account_code: str
    event_code: str
    success: Literal["true", "false"]
    event_date: datetime
    original_reference: str = ""
    merchant_reference: str = ""
    amount: _Amount | None = None
    reason: str | None = None
    additional_data: _Additional = _Additional()


class _Wrapped(msgspec.Struct, frozen=True, kw_only=True):
    item: _Item = msgspec.field(name="NotificationRequestItem")


class _Batch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    notification_items: list[_Wrapped]


class AdyenNotifications:
    """The webhook of one merchant account. `hmac_keys` as the Customer Area shows them, in hex; several while one replaces another.

    Raises ValueError without a key, or with one that is not hex.
    """

    def __init__(self, hmac_keys: Sequence[str], *, merchant_account: str) -> None:
        self.reply = b"[accepted]"
        if not 0 < len(hmac_keys) <= _KEYS_MAX:
            raise ValueError(f"1 to {_KEYS_MAX} keys, not {len(hmac_keys)}")
        try:
            self._keys = tuple(bytes.fromhex(key) for key in hmac_keys)
        except ValueError:
            raise ValueError("a key is not written in hex") from None  # its own message would quote the key
        if not all(self._keys):
            raise ValueError("a key is empty")
        self._merchant_account = merchant_account

    async def opened(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Sequence[Event]:
        """Verify each item; one bad item refuses the whole batch. Raises Forged, ValueError for what cannot be read."""
        del headers  # the signatures are in the body
        if len(body) > _BODY_BYTES_MAX:
            raise ValueError(f"more than {_BODY_BYTES_MAX} bytes")
        items = [wrapped.item for wrapped in msgspec.json.decode(body, type=_Batch).notification_items]
        if len(items) > _ITEMS_MAX:
            raise ValueError(f"more than {_ITEMS_MAX} items")
        for item in items:
            self._verify(item, now)
        return [_event(item) for item in items]

    async def news(self, event: Event) -> Sequence[News]:
        """What the item says; nothing is read afresh, for Adyen cannot be asked. Raises Unavailable for an amount it cannot mean."""
        succeeded = event.about["success"] == "true"
        match event.kind:
            case "REFUND":
                return [_refund(event, "SUCCEEDED" if succeeded else "FAILED")]
            case "CANCEL_OR_REFUND" if event.about["action"] == "refund":
                return [_refund(event, "SUCCEEDED" if succeeded else "FAILED")]
            # what follows comes with success true; anything else is kept, and not guessed at
            case kind if succeeded and kind in _FAILURES:
                return [_refund(event, "FAILED")]
            case "NOTIFICATION_OF_FRAUD" if succeeded:
                return [WarningNews(payment_ref=_payment(event), warning_ref=event.about["psp_reference"])]
            case kind if succeeded and kind in _DISPUTES:
                dispute_ref = event.about["psp_reference"]
                return [DisputeNews(payment_ref=_payment(event), dispute_ref=dispute_ref, state=_DISPUTES[kind], amount=_amount(event))]
        return []

    async def missed(self, since: datetime) -> AsyncIterator[Event]:
        """None: Adyen keeps no list that could be asked for, and repeats by itself for 30 days."""
        del since
        nothing: tuple[Event, ...] = ()
        for event in nothing:
            yield event

    def _verify(self, item: _Item, now: datetime) -> None:
        """Raises Forged."""
        said = item.additional_data.signature
        if not said:
            raise Forged("an item without a signature")
        text = _signed(item)
        if not any(hmac.compare_digest(_signature(key, text), said.encode()) for key in self._keys):
            raise Forged("an item with a wrong signature")
        if item.merchant_account_code != self._merchant_account:
            raise Forged("an item of another merchant account")
        if not now - _AGE_MAX <= _aware(item.event_date) <= now + _AHEAD_MAX:
            raise Forged("an item from another time")


def _signed(item: _Item) -> bytes:
    """The eight fields of the signature, in its order ("Verify HMAC signatures").

    They are joined without escaping, so a colon may stand in one of them only, the merchant's own reference: else a field could be cut
    elsewhere under the same signature. Raises Forged.
    """
    value, currency = (str(item.amount.value), item.amount.currency) if item.amount else ("", "")
    before = (item.psp_reference, item.original_reference, item.merchant_account_code)
    after = (value, currency, item.event_code, item.success)
    if any(":" in field for field in (*before, *after)):
        raise Forged("an item with a colon where none belongs")
    return ":".join((*before, item.merchant_reference, *after)).encode()


def _signature(key: bytes, text: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, text, hashlib.sha256))


def _event(item: _Item) -> Event:
    """Adyen gives events no id; a repeated delivery has the same kind, reference and success."""
    return Event(
        id=f"{item.event_code}:{item.psp_reference}:{item.success}",
        kind=item.event_code,
        happened_at=_aware(item.event_date),
        about={
            "psp_reference": item.psp_reference,
            "original_reference": item.original_reference,
            # a reference that others wrote may say anything, a name too
            "reference": item.merchant_reference if ours(item.merchant_reference) else "",
            "value": str(item.amount.value) if item.amount else "",
            "currency": item.amount.currency if item.amount else "",
            "success": item.success,
            "action": item.additional_data.action,
            "failure": failure_word(_FAILURES.get(item.event_code, "REFUND"), item.reason or ""),
        },
    )


def _refund(event: Event, state: Literal["SUCCEEDED", "FAILED"]) -> RefundNews:
    operation_id, attempt_id = ours(event.about["reference"]) or (None, None)
    seen = RefundSeen(
        provider_ref=event.about["psp_reference"],
        state=state,
        amount=_amount(event),
        operation_id=operation_id,
        attempt_id=attempt_id,
        failure=event.about["failure"] if state == "FAILED" else "",
        at=event.happened_at,
    )
    return RefundNews(payment_ref=_payment(event), refund=seen)


def _payment(event: Event) -> str:
    """The payment. Accounts that have not switched on references of disputes get the payment's own as the event's."""
    return event.about["original_reference"] or event.about["psp_reference"]


def _amount(event: Event) -> Money:
    try:
        return from_adyen(int(event.about["value"]), event.about["currency"])
    except ValueError as error:
        raise Unavailable("an amount that cannot be read", configuration=True) from error


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
