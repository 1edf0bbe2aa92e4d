"""Pay-outs by PayPal to an address that a customer chose: one batch of one item for each attempt, under our key."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from time import monotonic
from typing import Final, NoReturn

import msgspec

from integrations.payouts_paypal_amounts import step, to_paypal
from integrations.payouts_paypal_errors import Trouble, failure_of
from integrations.payouts_paypal_http import Failed, PayPalHttp
from integrations.payouts_paypal_wire import Batch, Created, NotOne, instant, pay_out_of
from service.ports import Declined, Movement, OutcomeUnknown, PaymentSeen, RefundRequest, RefundSeen, Traits, Unavailable

LIVE: Final = "https://api-m.paypal.com"
SANDBOX: Final = "https://api-m.sandbox.paypal.com"

# Of a call with the token it may need. A pay-out that was sent before is a second one, to read the original: nine seconds in all,
# well before the fifteen of the lease are over.
_CALL_SECONDS_MAX: Final = 4.5
# A sender_batch_id is known for 30 days (Payouts v1, POST); a day less allows for clocks that differ and for a last try.
_KEY_LIFETIME_SECONDS: Final = 29 * 86_400
# What nobody claims comes back after 30 days ("Handle unclaimed payouts"); a day for PayPal to do it.
_ACCEPTED_SECONDS_MAX: Final = 31 * 86_400.0
# PayPal publishes no rate and slows down what looks unusual ("Rate limiting guidelines"). Pay-outs are chosen by customers one by
# one, so five a second is far above what comes, and far below what a site pays out that has a reason to be limited.
_CALLS_PER_SECOND: Final = 5.0
# Payouts v1, payout_item.receiver and sender_batch_header.sender_batch_id.
_RECEIVER_CHARACTERS_MAX: Final = 127
_KEY: Final = re.compile(r"[!-~]{1,200}\Z", re.ASCII)
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,30}\Z", re.ASCII)


class PayPalPayoutRail:
    """One business account. `base_url` is LIVE, SANDBOX, or a stub on this machine; `subject` and `note` are read by the receiver.

    A batch has no name but PayPal's own: it is read by `read_batch()`, and an attempt whose answer was lost is found by sending it
    again with the same key, which PayPal rejects with a link to the original. That is a POST, so `find()` never does it.
    """

    def __init__(
        self,
        name: str,
        client_id: str,
        client_secret: str,
        *,
        base_url: str,
        subject: str = "Your refund",
        note: str = "Refund",
        call_seconds_max: float = _CALL_SECONDS_MAX,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.name = name
        self.traits = Traits(
            pays="out",
            reads=True,
            key_lifetime_seconds=_KEY_LIFETIME_SECONDS,
            calls_per_second=_CALLS_PER_SECOND,
            accepted_seconds_max=_ACCEPTED_SECONDS_MAX,
        )
        self._subject, self._note = subject, note
        self._kind = {LIVE: "live", SANDBOX: "PayPal's sandbox"}.get(base_url.rstrip("/"), "another address")
        self.http = PayPalHttp(client_id, client_secret, base_url=base_url, call_seconds_max=call_seconds_max, clock=clock)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()

    def step(self, currency: str) -> int:
        return step(currency)

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        """Send the pay-out once. PayPal works on it later, so a new one is always ACCEPTED; the batch tells how it went on."""
        body = self._order(request, key)
        # PayPal-Request-Id alone was seen not to prevent a second batch; should it replay an answer, then only for the same amount
        headers = {"PayPal-Request-Id": f"{key}:{request.amount.minor}{request.amount.currency}"}
        try:
            answer = await self.http.call("POST", "/v1/payments/payouts", body=body, headers=headers)
        except Failed as failed:
            trouble = failed.trouble
        else:
            return _accepted(request, key, answer)
        if trouble.sent_before:
            return await self._original(request, trouble)
        raise failure_of(trouble)

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        """The pay-out of that batch, if it is this attempt's. Without PayPal's id there is nobody to ask: it keeps no list of batches."""
        if not request.provider_ref:
            return None
        try:
            seen = await self.read_batch(request.provider_ref)
        except Declined:
            return None
        return seen if seen.attempt_id == request.attempt_id else None

    async def read_batch(self, payout_batch_id: str) -> RefundSeen:
        """A pay-out as it is now. Raises Declined("not_found"), Declined("unsupported") for a batch of more than one, Unavailable."""
        if not _BATCH_ID.match(payout_batch_id):
            raise Declined("not_found", "no id of PayPal's")
        try:
            answer = await self.http.call("GET", f"/v1/payments/payouts/{payout_batch_id}")
        except Failed as failed:
            _not_read(failed.trouble)
        try:
            batch = msgspec.json.decode(answer, type=Batch)
            if batch.batch_header.payout_batch_id != payout_batch_id:
                raise Unavailable("PayPal answered with another batch")
            return pay_out_of(batch)
        except NotOne as several:
            if len(batch.items) > 1:
                raise Declined("unsupported", str(several)) from None
            raise Unavailable("PayPal does not tell the item yet") from None
        except ValueError:
            raise Unavailable("PayPal's answer cannot be read") from None

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        """A pay-out stands for itself. Raises Declined("unsupported")."""
        del payment_ref, currency
        raise Declined("unsupported", "PayPal did not take the payment")

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        """PayPal has no list of batches. Raises Declined("unsupported"), at once."""
        del since, until
        raise Declined("unsupported", "PayPal keeps no list of batches")

    async def check(self) -> str:
        """Signs in; that the app may pay out shows only when it does."""
        await self.http.login()
        return f"paypal: answers, {self._kind}"

    def _order(self, request: RefundRequest, key: str) -> bytes:
        """The batch to send. Raises Declined for what cannot be sent at all."""
        if not _KEY.match(key):
            raise Declined("bug", "a key that is no sender_batch_id")
        if not request.destination:
            raise Declined("bug", "no destination")
        if len(request.destination) > _RECEIVER_CHARACTERS_MAX:
            raise Declined("unsupported", "an address longer than PayPal takes")
        item = {
            "recipient_type": "EMAIL",
            "receiver": request.destination,
            "amount": {"currency": request.amount.currency, "value": to_paypal(request.amount)},
            "sender_item_id": request.attempt_id.hex,
            "note": self._note,
        }
        return msgspec.json.encode({"sender_batch_header": {"sender_batch_id": key, "email_subject": self._subject}, "items": [item]})

    async def _original(self, request: RefundRequest, trouble: Trouble) -> RefundSeen:
        """What became of the pay-out that this key was used for. Raises OutcomeUnknown as long as that cannot be read."""
        if not trouble.original:
            raise OutcomeUnknown("sent before, and PayPal does not say as which batch")
        try:
            seen = await self.read_batch(trouble.original)
        except (Declined, Unavailable) as unread:
            raise OutcomeUnknown(f"sent before, and the original cannot be read: {unread}") from None
        if (seen.amount, seen.attempt_id) != (request.amount, request.attempt_id):
            raise Declined("idempotency_misuse", trouble.code)
        return seen


def _accepted(request: RefundRequest, key: str, answer: bytes) -> RefundSeen:
    """A new batch. Whatever its state: why it is denied stands with the item, which is not in this answer."""
    try:
        header = msgspec.json.decode(answer, type=Created).batch_header
    except ValueError:  # it was carried out, and told in a way we cannot read
        raise OutcomeUnknown("PayPal's answer cannot be read") from None
    echoed = header.sender_batch_header.sender_batch_id if header.sender_batch_header else key
    if not _BATCH_ID.match(header.payout_batch_id) or echoed != key:
        raise OutcomeUnknown("PayPal's answer is about another batch")
    return RefundSeen(
        provider_ref=header.payout_batch_id,
        state="ACCEPTED",
        amount=request.amount,
        attempt_id=request.attempt_id,
        at=instant(header.time_created),
    )


def _not_read(trouble: Trouble) -> NoReturn:
    """A read changes nothing, so an unknown outcome is none. Raises Declined("not_found"), Unavailable."""
    if trouble.theirs and trouble.status == 404:
        raise Declined("not_found", trouble.detail) from None
    failure = failure_of(trouble)
    raise (failure if isinstance(failure, Unavailable) else Unavailable(str(failure))) from None
