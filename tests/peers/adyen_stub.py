"""A stub of Adyen's API on this machine, with a ledger in memory. It is our own and proves nothing about Adyen.

It answers as Adyen's pages say, for what they say; where they are silent it does the worst that it could: the answer to a repeated
key is the first one, whatever is asked under it. Notifications are signed by Adyen's SDK.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

import msgspec
from Adyen.util import generate_notification_sig  # type: ignore[import-untyped]

from tests.contracts.rails.faults import Answer, hang_up, read_message, reset

API_KEY = "AQEstub-api-key"
MERCHANT_ACCOUNT = "NorthernLiveECOM"
HMAC_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


class Fault(Enum):
    """What may go wrong with the next request."""

    LOSE_REQUEST = auto()
    """the request is read, nothing is done, the connection is reset"""
    LOSE_ANSWER = auto()
    """the work is done, then the connection is reset"""
    PASSING = auto()
    """a server error that says it will pass; nothing is done"""
    PASSING_AND_DONE = auto()
    """the same, and the work is done"""
    NO_STORE_OF_KEYS = auto()
    """503 with error 703; nothing is done"""
    TOO_MANY = auto()
    """429; nothing is done"""


class StubRefund(msgspec.Struct, kw_only=True):
    psp: str
    payment: str
    reference: str
    value: int
    currency: str
    good: bool
    reason: str


class StubPayment(msgspec.Struct, kw_only=True):
    """Amounts as Adyen writes them."""

    currency: str
    captured: int
    charged_back: bool = False
    cancelled: bool = False
    refunds: list[StubRefund] = []

    @property
    def refunded(self) -> int:
        return sum(refund.value for refund in self.refunds if refund.good)


class AdyenStub:
    """One merchant account. `faults` are used up by the next requests, first come first served; `requests` is what was asked."""

    def __init__(self) -> None:
        self.base_url = ""
        self.payments: dict[str, StubPayment] = {}
        self.refunds: dict[str, StubRefund] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, Any]] = []
        self._answers: dict[str, Answer] = {}
        self._under_way: set[str] = set()
        self._last = 0

    # ------------------------------------------------------------------------------------ the merchant's side

    def capture(self, value: int, currency: str) -> str:
        """A payment that was captured; returns its pspReference."""
        psp = self._new_psp()
        self.payments[psp] = StubPayment(currency=currency, captured=value)
        return psp

    def notification(self, refund: StubRefund, kind: str = "REFUND", reason: str | None = None) -> bytes:
        """What Adyen sends about a refund: how it ended, or that it failed later."""
        good = refund.good or kind != "REFUND"
        return batch(
            item(
                kind,
                psp=refund.psp,
                original=refund.payment,
                reference=refund.reference,
                value=refund.value,
                currency=refund.currency,
                success="true" if good else "false",
                reason=refund.reason if reason is None else reason,
            )
        )

    # ------------------------------------------------------------------------------------------- the server

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[AdyenStub]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v72"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_message(reader)
        path = head.split(b" ", 2)[1].decode().removeprefix("/v72/")
        key = _header(head, "idempotency-key")
        self.requests.append((path, key, msgspec.json.decode(body)))
        fault = self.faults.pop(0) if self.faults else None
        answer = _REFUSALS.get(fault) if fault else None
        if answer is None and fault is not Fault.LOSE_REQUEST:
            answer = await self._once(key, path, msgspec.json.decode(body), _header(head, "x-api-key"))
        if fault in {Fault.LOSE_REQUEST, Fault.LOSE_ANSWER}:
            reset(writer)
        else:
            assert answer
            writer.write((_PASSING if fault is Fault.PASSING_AND_DONE else answer).raw())
        await hang_up(writer)

    async def _once(self, key: str, path: str, body: Any, api_key: str) -> Answer:
        if api_key != API_KEY:
            return _error(401, "000")
        if body.get("merchantAccount") != MERCHANT_ACCOUNT:
            return _error(403, "901")
        if key in self._answers:
            return self._answers[key]
        if key in self._under_way:
            return _error(409, "704", {"transient-error": "true"})
        self._under_way.add(key)
        await asyncio.sleep(0)  # others may come in here
        answer = self._work(path, body)
        self._under_way.discard(key)
        if key and answer.status < 300:
            self._answers[key] = answer
        return answer

    def _work(self, path: str, body: Any) -> Answer:
        if path == "paymentMethods":
            return _json(200, {"paymentMethods": [{"name": "Cards", "type": "scheme"}]})
        found = re.fullmatch(r"payments/([^/]+)/(refunds|cancels)", path)
        if not found:
            return _error(404, "000")
        payment = self.payments.get(found[1])
        if payment is None:
            return _error(422, "167")
        told = {"merchantAccount": MERCHANT_ACCOUNT, "paymentPspReference": found[1], "status": "received", "reference": body["reference"]}
        if found[2] == "cancels":
            payment.cancelled = True
            return _json(201, told | {"pspReference": self._new_psp()})
        return self._refund_answer(found[1], payment, body, told)

    def _refund_answer(self, psp: str, payment: StubPayment, body: Any, told: dict[str, Any]) -> Answer:
        value, currency = body["amount"]["value"], body["amount"]["currency"]
        if value <= 0 or currency != payment.currency:
            return _error(422, "137" if value <= 0 else "138")
        refund = self._refund(psp, payment, value, body["reference"])
        return _json(201, told | {"pspReference": refund.psp, "amount": body["amount"]})

    def _refund(self, psp: str, payment: StubPayment, value: int, reference: str) -> StubRefund:
        """Taken in any case; whether it is good is told by notification."""
        reason = ""
        if payment.charged_back:
            reason = "Transaction was charged back"
        elif value > payment.captured - payment.refunded:
            reason = "Insufficient balance on payment"
        refund = StubRefund(
            psp=self._new_psp(), payment=psp, reference=reference, value=value, currency=payment.currency, good=not reason, reason=reason
        )
        payment.refunds.append(refund)
        self.refunds[refund.psp] = refund
        return refund

    def _new_psp(self) -> str:
        self._last += 1
        return f"STUB{self._last:012d}"


def item(
    kind: str,
    *,
    psp: str,
    original: str = "",
    reference: str = "",
    value: int = 700,
    currency: str = "EUR",
    success: str = "true",
    reason: str = "",
    at: datetime | None = None,
    account: str = MERCHANT_ACCOUNT,
    key: str = HMAC_KEY,
    action: str = "",
) -> dict[str, Any]:
    """One item of a notification, signed by Adyen's SDK."""
    fields: dict[str, Any] = {
        "amount": {"value": value, "currency": currency},
        "eventCode": kind,
        "eventDate": (at or datetime.now(UTC)).isoformat(),
        "merchantAccountCode": account,
        "merchantReference": reference,
        "originalReference": original,
        "paymentMethod": "visa",
        "pspReference": psp,
        "reason": reason,
        "success": success,
    }
    signature = generate_notification_sig(fields, key).decode()
    more = {"modification.action": action} if action else {}
    return fields | {"additionalData": {"hmacSignature": signature, "cardHolderName": "Jane Doe"} | more}


def batch(*items: dict[str, Any]) -> bytes:
    """A notification as it is posted."""
    return msgspec.json.encode({"live": "false", "notificationItems": [{"NotificationRequestItem": each} for each in items]})


def _header(head: bytes, name: str) -> str:
    found = re.search(rb"(?im)^" + name.encode() + rb": (.*?)\r$", head)
    return found[1].decode() if found else ""


def _json(status: int, body: Any) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(body), headers={"Content-Type": "application/json"})


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    body = {"status": status, "errorCode": code, "message": "what Adyen says in prose", "errorType": "validation"}
    return Answer(status=status, body=msgspec.json.encode(body), headers=headers or {})


_PASSING = _error(500, "905", {"transient-error": "true"})
_REFUSALS: dict[Fault, Answer] = {
    Fault.PASSING: _PASSING,
    Fault.NO_STORE_OF_KEYS: _error(503, "703"),
    Fault.TOO_MANY: _error(429, "000", {"Retry-After": "3"}),
}
