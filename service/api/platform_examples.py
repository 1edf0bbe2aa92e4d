"""What the contract shows of the feed: one show, one incident and one order as a platform sends them, and as we answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_NAME: Final = {"en": "Northern Lights Live", "de": "Nordlicht live"}

SHOW: Final[dict[str, Any]] = {
    "version": 3,
    "name": _NAME,
    "zone": "Europe/Berlin",
    "starts_at": "2026-11-20T19:00:00Z",
    "ends_at": "2026-11-20T20:30:00Z",
    "status": "scheduled",
    "modes": {"refund": "suggest", "reissue_access": "act"},
    "caps": {"per_show_and_hour": {"EUR": 2000000}},
    "parameters": {"refund": {"remorse_hours": 72}},
    "articles": {"will_not_play": {"url": "https://help.example.org/player", "title": {"en": "When the player stays black"}}},
}

INCIDENT: Final[dict[str, Any]] = {
    "version": 1,
    "kind": "stream_outage",
    "from": "2026-11-20T19:20:00Z",
    "to": "2026-11-20T19:45:00Z",
    "scope": {"position_kinds": ["stream"]},
}

SHOW_SHOWN: Final[dict[str, Any]] = {
    "applied": True,
    "result": "created",
    "show": {
        "id": "show_0192f0c15e1d7c6b8a3e5d2f4b6c8a01",
        "ref": "nll26",
        "version": 3,
        "name": _NAME,
        "zone": "Europe/Berlin",
        "starts_at": "2026-11-20T19:00:00Z",
        "ends_at": "2026-11-20T20:30:00Z",
        "minutes": 90,
        "status": "scheduled",
        "settings": {name: SHOW[name] for name in ("modes", "caps", "parameters", "articles")},
        "incidents": [{"id": "inc_0192f0c15e1d7c6b8a3e5d2f4b6c8a02", "ref": "outage-1", **INCIDENT}],
    },
}

ORDER: Final[dict[str, Any]] = {
    "version": 1790000000000000,
    "status": "paid",
    "currency": "EUR",
    "total": 5750,
    "buyer": {"name": "Mira Example", "email": "mira@example.org", "customer_ref": "c-1007"},
    "locale": "de",
    "placed_at": "2026-10-01T10:00:00Z",
    "positions": [
        {
            "ref": "1",
            "kind": "stream",
            "name": "Stream pass",
            "shows": ["nll26"],
            "price": 2500,
            "tax": 399,
            "pass": {"issuer": "platform", "barcode": "k3v9q2m8x7", "status": "valid"},
        },
        {"ref": "2", "kind": "merchandise", "name": "T-shirt", "price": 3000, "tax": 479},
    ],
    "fees": [{"ref": "1", "name": "Service fee", "amount": 250, "refundable": False}],
    "payments": [
        {
            "ref": "P-1",
            "rail": "stripe",
            "provider_ref": "pi_3Q0000000001",
            "status": "confirmed",
            "amount": 5750,
            "captured": 5750,
            "method": "Visa 4242",
            "created_at": "2026-10-01T10:00:00Z",
            "paid_at": "2026-10-01T10:00:09Z",
            "refunds_elsewhere": [{"ref": "R-1", "amount": 1000, "state": "transit"}],
        }
    ],
}


def _line(number: int, **of_line: Any) -> dict[str, Any]:
    shared = {"discount": 0, "canceled": False, "refundable": True, "awarded": 0, "shows": [], "passes": []}
    return {"id": f"pos_0192f0c15e1d7c6b8a3e5d2f4b6c8a{number:02}", **shared, **of_line}


ORDER_SHOWN: Final[dict[str, Any]] = {
    "applied": True,
    "result": "updated",
    "order": {
        "id": "order_0192f0c15e1d7c6b8a3e5d2f4b6c8a03",
        "ref": "M0VLU",
        **{name: ORDER[name] for name in ("version", "status", "currency", "total", "locale", "placed_at")},
        "cancelled_at": None,
        "lines": [
            _line(
                4,
                ref="1",
                kind="stream",
                name="Stream pass",
                price=2500,
                tax=399,
                awarded=694,
                shows=["nll26"],
                passes=[
                    {
                        "id": "pass_0192f0c15e1d7c6b8a3e5d2f4b6c8a05",
                        "issuer": "platform",
                        "status": "valid",
                        "replaces": None,
                        "checked_in_at": None,
                    }
                ],
            ),
            _line(6, ref="2", kind="merchandise", name="T-shirt", price=3000, tax=479),
            _line(7, ref="1", kind="fee", name="Service fee", price=250, tax=0, refundable=False),
        ],
        "payments": [
            {
                "id": "pay_0192f0c15e1d7c6b8a3e5d2f4b6c8a08",
                "ref": "P-1",
                "rail": "stripe",
                "status": "confirmed",
                "amount": 5750,
                "captured": 5750,
                "reserved": 0,
                "refunded": 694,
                "refunded_elsewhere": 1000,
                "dispute": "none",
                "paid_at": "2026-10-01T10:00:09Z",
            }
        ],
    },
}

BULK: Final = msgspec.json.encode({"ref": "M0VLU", "order": ORDER}).decode() + "\n"
BULK_SHOWN: Final = '{"line":1,"ref":"M0VLU","result":"created"}\n'
