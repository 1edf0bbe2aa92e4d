"""The people of a shop on pretix, over its API: they sell, look at their books, scan tickets at the gate, and say where webhooks go."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import httpx

ORGANIZER: Final = "northern"
MINUTES: Final = 90

# What tells of orders; the checkins too, since a pass that was used is another matter.
_ACTIONS: Final = (
    "pretix.event.order.placed",
    "pretix.event.order.paid",
    "pretix.event.order.canceled",
    "pretix.event.order.changed.*",
    "pretix.event.order.modified",
    "pretix.event.order.contact.changed",
    "pretix.event.order.refund.created",
    "pretix.event.order.refund.done",
    "pretix.event.order.refund.canceled",
    "pretix.event.checkin",
)


class PretixShop:
    """`token`: of a team that may do everything."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=f"{url}/api/v1/organizers/{ORGANIZER}/",
            headers={"Authorization": f"Token {token}"},
            timeout=120.0,  # pretix imports half of itself with the first requests
            trust_env=False,
        )
        self.items: dict[tuple[str, str], int] = {}
        self.lists: dict[str, int] = {}

    def open_event(self, slug: str, *, currency: str, prices: Mapping[str, str], days_ago: int = 2) -> None:
        """An event that ended lately, or is to come with days below zero: an item without end for each price, and a list for the gate."""
        starts = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago)
        self._post(
            "events/",
            {
                "name": {"en": slug},
                "slug": slug,
                "currency": currency,
                "date_from": starts.isoformat(),
                "date_to": (starts + timedelta(minutes=MINUTES)).isoformat(),
                "timezone": "Europe/Berlin",
                "has_subevents": False,
                "plugins": ["pretix.plugins.stripe", "pretix.plugins.manualpayment", "pretix.plugins.ticketoutputpdf"],
            },
        )
        for name, price in prices.items():
            admits = name != "shirt"
            made = self._post(f"events/{slug}/items/", {"name": {"en": name}, "default_price": price, "admission": admits, "active": True})
            self.items[slug, name] = made["id"]
        numbers = [number for (event, _), number in self.items.items() if event == slug]
        self._post(f"events/{slug}/quotas/", {"name": "all", "size": None, "items": numbers, "variations": []})
        self.lists[slug] = self._post(f"events/{slug}/checkinlists/", {"name": "gate", "all_products": True})["id"]

    def sell(self, event: str, names: Sequence[str], *, fee: str | None = None, addon: str | None = None) -> dict[str, Any]:
        """An order that is paid by card; `addon` goes with the first position."""
        number = secrets.token_hex(8)
        # An add-on stands right behind what it goes with.
        lines = [(name, None) for name in names] if addon is None else [(names[0], None), (addon, 1), *((name, None) for name in names[1:])]
        positions = [
            {"positionid": nth, "item": self.items[event, name], "attendee_name_parts": {"full_name": "A. Fan"}, "answers": []}
            | ({} if goes_with is None else {"addon_to": goes_with})
            for nth, (name, goes_with) in enumerate(lines, 1)
        ]
        fees = [] if fee is None else [{"fee_type": "payment", "value": fee, "description": "Card", "internal_type": "", "tax_rule": None}]
        return self._post(
            f"events/{event}/orders/",
            {
                "email": f"fan-{number}@example.org",
                "locale": "en",
                "sales_channel": "web",
                "status": "p",
                "payment_provider": "stripe",
                "payment_info": {"id": f"pi_{number}"},
                "fees": fees,
                "positions": positions,
            },
        )

    def order(self, event: str, code: str) -> dict[str, Any]:
        """The order as the shop's people see it."""
        return self._get(f"events/{event}/orders/{code}/?include_canceled_positions=true&include_canceled_fees=true")

    def refund_by_hand(self, event: str, code: str, amount: str) -> None:
        """Somebody gave money back at the box office."""
        body = {"state": "done", "source": "admin", "amount": amount, "payment": 1, "provider": "manual", "comment": "at the box office"}
        self._post(f"events/{event}/orders/{code}/refunds/", body)

    def scan(self, event: str, secret: str) -> tuple[str, str]:
        """What the gate's device shows: `ok` or `error`, and why."""
        body = {"lists": [self.lists[event]], "secret": secret, "source_type": "barcode", "type": "entry", "simulate": True}
        answer = self._client.post("checkinrpc/redeem/", json=body)
        if answer.status_code not in {200, 201, 400, 404}:
            raise RuntimeError(f"the gate: {answer.status_code}")
        said = answer.json()
        return said["status"], said.get("reason") or ""

    def tell(self, url: str) -> None:
        """Webhooks of every event go there from now on."""
        self._post(
            "webhooks/", {"enabled": True, "target_url": url, "all_events": True, "limit_events": [], "action_types": list(_ACTIONS)}
        )

    def close(self) -> None:
        self._client.close()

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._client.post(path, json=body)
        if answer.status_code not in {200, 201}:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:500]}")
        made: dict[str, Any] = answer.json()
        return made

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._client.get(path)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def pending_sum(order: Mapping[str, Any]) -> Decimal:
    """What pretix holds its customer to owe (pretix, `Order.pending_sum`); below zero, what it owes the customer."""
    total = Decimal(0) if order["status"] == "c" else Decimal(order["total"])
    paid = sum((Decimal(one["amount"]) for one in order["payments"] if one["state"] in {"confirmed", "refunded"}), Decimal(0))
    return total - paid + refunded(order)


def refunded(order: Mapping[str, Any]) -> Decimal:
    """What has left, or is on its way."""
    return sum((Decimal(one["amount"]) for one in order["refunds"] if one["state"] in {"done", "transit", "created"}), Decimal(0))
