"""Our own stand-in for PayPal's Payouts and Webhooks APIs, in memory.

It is ours: written from PayPal's published specification by whoever wrote the adapter, so it proves nothing about PayPal. What it
does prove is counted on its side: how many batches there are, whatever answers were lost on the way.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec

from tests.peers.loopback import Asked, Reply, Stub, json

CLIENT_ID, CLIENT_SECRET, WEBHOOK_ID = "client-of-tests", "secret-of-tests", "WEBHOOK1"
_SIGNS_WITH = b"only this stub knows it"
_MADE_AT = "2026-05-01T20:00:00Z"


class StubBatch(msgspec.Struct, kw_only=True):
    id: str
    sender_batch_id: str
    item: dict[str, Any]
    status: str = "PENDING"
    item_status: str = "PENDING"
    reason: str = ""

    def told(self) -> dict[str, Any]:
        item: dict[str, Any] = {"payout_item_id": f"I{self.id}", "transaction_status": self.item_status, "payout_item": self.item}
        if self.reason:
            item["errors"] = {"name": self.reason, "message": f"{self.item['receiver']} cannot be paid", "details": []}
        return {"batch_header": self.header(), "items": [item]}

    def header(self) -> dict[str, Any]:
        return {
            "payout_batch_id": self.id,
            "batch_status": self.status,
            "time_created": _MADE_AT,
            "sender_batch_header": {"sender_batch_id": self.sender_batch_id},
        }


class _Verify(msgspec.Struct, frozen=True, kw_only=True):
    auth_algo: str
    cert_url: str
    transmission_id: str
    transmission_sig: str
    transmission_time: str
    webhook_id: str
    webhook_event: msgspec.Raw


class PayPalStub(Stub):
    def __init__(self) -> None:
        super().__init__()
        self.batches: dict[str, StubBatch] = {}
        self.events: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.token_seconds = 32_400
        self._ids = count(1)

    def paid(self) -> Mapping[str, Decimal]:
        """What was sent and did not come back, by currency."""
        sums: dict[str, Decimal] = {}
        for batch in self.batches.values():
            if batch.item_status in {"PENDING", "SUCCESS", "UNCLAIMED", "ONHOLD"} and batch.status not in {"DENIED", "CANCELED"}:
                amount = batch.item["amount"]
                sums[amount["currency"]] = sums.get(amount["currency"], Decimal(0)) + Decimal(amount["value"])
        return sums

    def end(self, batch_id: str, item_status: str, *, batch_status: str = "SUCCESS", reason: str = "") -> None:
        batch = self.batches[batch_id]
        batch.status, batch.item_status, batch.reason = batch_status, item_status, reason

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/v1/oauth2/token":
            return self._token(asked)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return json(401, {"error": "invalid_token", "error_description": "Token signature verification failed"})
        return self._answer_signed_in(asked)

    def _answer_signed_in(self, asked: Asked) -> Reply:
        match asked.method, asked.path:
            case "POST", "/v1/payments/payouts":
                return self._create(msgspec.json.decode(asked.body))
            case "POST", "/v1/notifications/verify-webhook-signature":
                return self._verify(msgspec.json.decode(asked.body, type=_Verify))
            case "GET", "/v1/notifications/webhooks-events":
                return self._events(asked)
            case "GET", path if path.removeprefix("/v1/payments/payouts/") in self.batches:
                return json(200, self.batches[path.removeprefix("/v1/payments/payouts/")].told())
        return json(404, {"name": "RESOURCE_NOT_FOUND", "message": "The specified resource does not exist.", "debug_id": "d"})

    def event(self, kind: str, batch_id: str) -> dict[str, Any]:
        """A notification as PayPal words it, receiver included."""
        told = self.batches[batch_id].told()
        item = {**told["items"][0], "payout_batch_id": batch_id, "sender_batch_id": told["batch_header"]["sender_batch_header"]}
        return {
            "id": f"WH-{next(self._ids)}",
            "event_version": "1.0",
            "create_time": _MADE_AT,
            "resource_type": "payouts_item" if "ITEM" in kind else "payouts",
            "event_type": kind,
            "summary": f"A payout item for {told['items'][0]['payout_item']['receiver']}",
            "resource": item if "ITEM" in kind else {"batch_header": told["batch_header"]},
        }

    @staticmethod
    def signed(body: bytes, at: datetime, *, webhook_id: str = WEBHOOK_ID) -> dict[str, str]:
        """The headers of a delivery that this stub vouches for."""
        time = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "paypal-transmission-id": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
            "paypal-transmission-time": time,
            "paypal-transmission-sig": _signature("69cd13f0-d67a-11e5-baa3-778b53f4ae55", time, webhook_id, body),
            "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-1",
            "paypal-auth-algo": "SHA256withRSA",
        }

    def _token(self, asked: Asked) -> Reply:
        login = "Basic " + b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if asked.headers.get("authorization") != login:
            return json(401, {"error": "invalid_client", "error_description": "Client Authentication failed"})
        token = f"token-{next(self._ids)}"
        self.tokens.add(token)
        return json(200, {"scope": "s", "access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds})

    def _create(self, sent: dict[str, Any]) -> Reply:
        key = sent["sender_batch_header"]["sender_batch_id"]
        known = next((batch for batch in self.batches.values() if batch.sender_batch_id == key), None)
        if known is not None:
            link = {"href": f"https://api.paypal.com/v1/payments/payouts/{known.id}", "rel": "self", "method": "GET"}
            issue = "Batch with given sender_batch_id already exists"
            details = [{"field": "SENDER_BATCH_ID", "location": "body", "issue": issue, "link": [link]}]
            return json(400, {"name": "USER_BUSINESS_ERROR", "message": "User business error.", "debug_id": "d", "details": details})
        batch = StubBatch(id=f"BATCH{next(self._ids)}", sender_batch_id=key, item=sent["items"][0])
        self.batches[batch.id] = batch
        return json(201, {"batch_header": batch.header()})

    def _verify(self, sent: _Verify) -> Reply:
        good = _signature(sent.transmission_id, sent.transmission_time, sent.webhook_id, bytes(sent.webhook_event))
        return json(200, {"verification_status": "SUCCESS" if hmac.compare_digest(good, sent.transmission_sig) else "FAILURE"})

    def _events(self, asked: Asked) -> Reply:
        size, page = int(asked.query["page_size"]), int(asked.query.get("page", "1"))
        rest = self.events[(page - 1) * size :]
        href = f"https://api.paypal.com/v1/notifications/webhooks-events?page_size={size}&start_time=x&page={page + 1}"
        links = [{"href": href, "rel": "next", "method": "GET"}] if len(rest) > size else []
        return json(200, {"events": rest[:size], "count": len(self.events), "links": links})


def _signature(transmission_id: str, time: str, webhook_id: str, body: bytes) -> str:
    signed = f"{transmission_id}|{time}|{webhook_id}|".encode() + body
    return b64encode(hmac.digest(_SIGNS_WITH, signed, hashlib.sha256)).decode()
