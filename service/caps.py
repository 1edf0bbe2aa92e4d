"""The caps that bind what goes out: per customer, rail and show. The installation's numbers; a platform or show may set tighter ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies import Guards, limit
from service.view import View


def caps_of(guards: Guards, view: View) -> tuple[Mapping[str, Any], ...]:
    """The caps that bind refunds of this order; a platform or show may set tighter numbers, never looser ones."""
    if view.order is None:
        return ()
    currency = view.order.currency
    own = {**(view.platform.get("caps") or {}), **((view.show.settings.get("caps") or {}) if view.show else {})}
    caps = guards.caps
    found: list[Mapping[str, Any]] = [
        {
            "kind": "customer_day",
            "ref": view.order.buyer.hex,
            "seconds": 86400,
            "slots": 1,
            "most": _most(own, "per_customer_and_day", caps.per_customer_and_day, currency),
        }
    ]
    # What a payment's own rail cannot pay may go out on one that pays out: that one has its ceiling too.
    used = {one.rail for one in view.order.payments if one.rail is not None} | set((view.platform.get("payouts") or {}).get("rails") or ())
    found += [rail_cap(guards, own, rail, currency) for rail in sorted(used)]
    if view.show is not None:
        most_show = _most(own, "per_show_and_hour", caps.per_show_and_hour, currency)
        found.append({"kind": "show_hour", "ref": view.show.id.hex, "seconds": 3600, "slots": 16, "most": most_show})
    return tuple(found)


def rail_cap(guards: Guards, own: Mapping[str, Any], rail: str, currency: str) -> Mapping[str, Any]:
    """The daily ceiling of one rail; `own`: the caps that a platform or show has set."""
    most = _most(own, "per_rail_and_day", guards.caps.per_rail_and_day, currency)
    return {"kind": "rail_day", "ref": rail, "rail": rail, "seconds": 86400, "slots": 16, "most": most}


def _most(own: Mapping[str, Any], name: str, ours: Mapping[str, int], currency: str) -> int:
    """Of two limits the tighter."""
    chosen = (own.get(name) or {}).get(currency)
    return limit(dict(ours), currency) if chosen is None else min(int(chosen), limit(dict(ours), currency))
