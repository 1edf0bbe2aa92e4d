"""Our own stand-in for the parts of Stripe that no peer has: disputes, warnings, failed refunds, undelivered events, holds on cards.

It is ours: canned objects with the fields that Stripe's published examples have, so it proves nothing about Stripe.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from tests.peers.loopback import Asked, Reply, Stub, json


class StripeStub(Stub):
    """Answers GET of each object by its id, of each list by its filters, and cancels payment intents that hold money."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}
        """path -> object; a list is made of those that lie below its path"""

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.objects[f"/v1/{path}/{body['id']}"] = body
        return body

    def sent(self) -> list[dict[str, str]]:
        """The bodies of all POSTs."""
        return [{name: values[0] for name, values in parse_qs(one.body.decode()).items()} for one in self.asked if one.method == "POST"]

    def answer(self, asked: Asked) -> Reply:
        if asked.method == "POST":
            return self._post(asked)
        if asked.path in self.objects:
            return json(200, self.objects[asked.path])
        if asked.path.count("/") == 2:
            return self._list(asked)
        return _no(404, "resource_missing")

    def _post(self, asked: Asked) -> Reply:
        if asked.path == "/v1/refunds":
            form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
            return json(200, refund(f"re_{len(self.asked)}", amount=int(form["amount"]), charge=form.get("charge")))
        intent = self.objects.get(asked.path.removesuffix("/cancel"))
        if intent is None:
            return _no(404, "resource_missing")
        if intent["status"] != "requires_capture":
            return _no(400, "payment_intent_unexpected_state")
        intent["status"] = "canceled"
        return json(200, intent)

    def _list(self, asked: Asked) -> Reply:
        found = [one for path, one in self.objects.items() if path.startswith(f"{asked.path}/")]
        for name in ("charge", "payment_intent"):
            if name in asked.query:
                found = [one for one in found if one[name] == asked.query[name]]
        found = [one for one in found if one["created"] >= int(asked.query.get("created[gte]", "0"))]
        found = [one for one in found if one["created"] < int(asked.query.get("created[lt]", "99999999999"))]
        found.sort(key=lambda one: (one["created"], one["id"]), reverse=True)
        if after := asked.query.get("starting_after"):
            found = found[[one["id"] for one in found].index(after) + 1 :]
        limit = int(asked.query.get("limit", "10"))
        return json(200, {"object": "list", "url": asked.path, "has_more": len(found) > limit, "data": found[:limit]})


def _no(status: int, code: str) -> Reply:
    return json(status, {"error": {"type": "invalid_request_error", "code": code, "message": "no"}})


def refund(ref: str = "re_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": ref,
        "object": "refund",
        "amount": 700,
        "charge": "ch_1",
        "created": 1_800_000_000,
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": None,
        "status": "succeeded",
    } | fields


def charge(ref: str = "ch_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": ref,
        "object": "charge",
        "amount": 5000,
        "amount_captured": 5000,
        "amount_refunded": 0,
        "billing_details": {"email": "jane@example.org", "name": "Jane Roe"},
        "captured": True,
        "created": 1_800_000_000,
        "currency": "eur",
        "disputed": False,
        "payment_intent": "pi_1",
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}, "type": "card"},
        "status": "succeeded",
    } | fields


def intent(ref: str = "pi_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": ref,
        "object": "payment_intent",
        "amount": 5000,
        "amount_capturable": 0,
        "amount_received": 5000,
        "created": 1_800_000_000,
        "currency": "eur",
        "latest_charge": charge(),
        "status": "succeeded",
    } | fields


def held(ref: str = "pi_1") -> dict[str, Any]:
    """A payment intent that holds fifty euros on a card."""
    on_card = charge(captured=False, amount_captured=0, payment_intent=ref)
    return intent(ref, status="requires_capture", amount_capturable=5000, amount_received=0, latest_charge=on_card)


def dispute(ref: str = "dp_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": ref,
        "object": "dispute",
        "amount": 5000,
        "charge": "ch_1",
        "created": 1_800_000_000,
        "currency": "eur",
        "evidence": {"customer_email_address": "jane@example.org", "customer_name": "Jane Roe"},
        "is_charge_refundable": False,
        "livemode": False,
        "payment_intent": "pi_1",
        "reason": "general",
        "status": "needs_response",
    } | fields


def warning(ref: str = "issfr_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": ref,
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": "ch_1",
        "created": 1_800_000_000,
        "fraud_type": "misc",
        "livemode": False,
        "payment_intent": "pi_1",
    } | fields


def event(kind: str, about: dict[str, Any], ref: str = "evt_1", **fields: Any) -> dict[str, Any]:
    return {
        "id": ref,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_800_000_000,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    } | fields
