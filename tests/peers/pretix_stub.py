"""Our own stand-in for what a pretix takes in, in memory: as pretix 2026.8.0 answered `make test-pretix`, which is the proof; this is not.

Its orders are the clock26 export's, with all that such an order may change by: secrets, cancellations, blocks, refunds.
"""

from __future__ import annotations

import copy
import json as plain
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.orders.loading import DATA, raw_event, raw_orders
from tests.peers.loopback import Asked, Reply, Stub, json

TOKEN, ORGANIZER, EVENT = "t0ken", "org", "clock26"
_ROOT = f"/api/v1/organizers/{ORGANIZER}/"
_STANDING = {"created", "transit", "done"}


class PretixStub(Stub):
    """`now` moves a minute with each change. `mails`: whom the link to an order was sent to."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = {order["code"]: order for order in raw_orders(EVENT)}
        self.event = raw_event(EVENT)
        self.items = plain.loads((DATA / "pretix" / EVENT / "items.json").read_text())
        self.now = datetime(2026, 11, 22, 10, tzinfo=UTC)
        self.mails: list[str] = []
        self._answered: dict[str, Reply] = {}

    def order_where(self, fits: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        return next(order for order in self.orders.values() if fits(order))

    def gate(self, secret: str) -> str:
        """What pretix's gate says to a barcode."""
        for order in self.orders.values():
            for position in order["positions"]:
                if position["secret"] == secret:
                    if position["canceled"] or order["status"] != "p":
                        return "canceled"
                    return "blocked" if position["blocked"] else "ok"
        return "invalid"

    def touch(self, order: dict[str, Any]) -> None:
        self.now += timedelta(minutes=1)
        order["last_modified"] = self.now.isoformat()

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Token {TOKEN}":
            return json(401, {"detail": "Invalid token."})
        if asked.method == "GET":
            return self._read(asked)
        key = asked.headers["x-idempotency-key"]
        if key not in self._answered:
            self._answered[key] = self._write(asked)
        return self._answered[key]

    def _read(self, asked: Asked) -> Reply:
        rows: list[dict[str, Any]]
        if asked.path == f"{_ROOT}events/{EVENT}/":
            return json(200, self.event)
        if asked.path == f"{_ROOT}events/{EVENT}/items/":
            rows = self.items
        elif asked.path in {f"{_ROOT}orders/", f"{_ROOT}events/{EVENT}/orders/"}:
            since = asked.query.get("modified_since")
            rows = [
                order
                for order in self.orders.values()
                if asked.query.get("code") in {None, order["code"]}
                and (since is None or datetime.fromisoformat(order["last_modified"]) >= datetime.fromisoformat(since))
            ]
        else:
            return json(404, {"detail": "Not found."})
        answer = json(200, {"count": len(rows), "next": None, "results": rows})
        return Reply(status=200, body=answer.body, headers={**answer.headers, "X-Page-Generated": self.now.isoformat()})

    def _write(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix(f"{_ROOT}events/{EVENT}/")
        sent = plain.loads(asked.body or b"{}")
        if found := re.fullmatch(r"orderpositions/(\d+)/(\w*)/?", path):
            order, position = next(
                (order, one) for order in self.orders.values() for one in order["positions"] if one["id"] == int(found[1])
            )
            self.touch(order)
            return self._position(asked.method, order, position, found[2], sent)
        if found := re.fullmatch(r"orders/(\w+)/(mark_canceled|resend_link)/", path):
            return self._order(self.orders[found[1]], found[2], sent)
        if found := re.fullmatch(r"orders/(\w+)/refunds/(?:(\d+)/(done|cancel)/)?", path):
            self.touch(self.orders[found[1]])
            return self._refund(self.orders[found[1]], found[2], found[3], sent)
        return json(404, {"detail": "Not found."})

    def _position(self, method: str, order: dict[str, Any], position: dict[str, Any], action: str, sent: dict[str, Any]) -> Reply:
        if action == "regenerate_secrets":
            position["secret"] = f"new{position['id']}of{len(self.asked)}"
        elif action == "add_block":
            position["blocked"] = [sent["name"]]
        elif method == "DELETE":
            if sum(not one["canceled"] for one in order["positions"]) < 2:
                return json(400, ["This operation would leave the order empty."])
            for one in order["positions"]:
                one["canceled"] |= one is position or one["addon_to"] == position["id"]
            return Reply(status=204)
        return json(200, copy.deepcopy(position))

    def _order(self, order: dict[str, Any], action: str, sent: dict[str, Any]) -> Reply:
        if action == "resend_link":
            self.mails.append(order["email"])
            return Reply(status=204)
        self.touch(order)
        fee = sent.get("cancellation_fee")
        if fee is None:
            order["status"] = "c"
        else:
            for one in [*order["positions"], *order["fees"]]:
                one["canceled"] = True
            kept = {"id": 9000 + len(self.asked), "fee_type": "cancellation", "value": fee, "tax_value": "0.00", "canceled": False}
            order["fees"].append(kept)
            order["total"] = fee
        return json(200, order)

    def _refund(self, order: dict[str, Any], number: str | None, to: str | None, sent: dict[str, Any]) -> Reply:
        refunds: list[dict[str, Any]] = order["refunds"]
        if number is None:
            made = {name: sent[name] for name in ("state", "source", "amount", "payment", "provider", "comment")}
            refunds.append({"local_id": len(refunds) + 1, "created": self.now.isoformat(), "details": {}, **made})
            return json(201, refunds[-1])
        refund = next(one for one in refunds if one["local_id"] == int(number))
        if refund["state"] not in ({"created", "transit"} if to == "done" else {"created", "transit", "external"}):
            return json(400, {"detail": "Invalid state of refund"})
        refund["state"] = "done" if to == "done" else "canceled"
        return json(200, refund)


def standing(order: dict[str, Any]) -> list[tuple[str, str]]:
    """Amount and state of the refunds that stand for money."""
    return [(one["amount"], one["state"]) for one in order["refunds"] if one["state"] in _STANDING]
