"""Gives queued cases their place: asks routing.yaml by when somebody should look at each, and which playbook leads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from policies import Guards, Playbooks, Route, Routing, limit
from service.store.routing import Placed, RoutingStore, ToRoute

# One statement to read and one to write for so many cases: a wave of thousands is placed in seconds, and nobody waits behind one statement.
BATCH_MOST: Final = 200
# Minutes to doors change: so often each case is looked at again.
AGAIN_SECONDS: Final = 180.0
# A rule's reading takes some 0.1 ms: so many are asked before requests have their turn.
_ASKED_AT_ONCE: Final = 20
# What minutes to doors are without a show, or when it is over or off.
NO_DOORS: Final = 1_000_000


class Router:
    def __init__(self, store: RoutingStore, routing: Routing, playbooks: Playbooks, guards: Guards) -> None:
        self._store = store
        self._routing = routing
        self._playbooks = playbooks
        self._guards = guards

    async def run(self) -> int:
        """One batch: those that nobody has looked at, then those looked at longest ago. Returns how many; fewer than BATCH_MOST are all."""
        found = await self._store.to_route(BATCH_MOST, AGAIN_SECONDS)
        placed: list[Placed] = []
        for number, one in enumerate(found):
            if number % _ASKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            placed.append(place(self._routing, self._playbooks, one, facts(one, self._guards)))
        if placed:
            await self._store.place(placed)
        return len(found)


def facts(one: ToRoute, guards: Guards) -> Mapping[str, Any]:
    """What routing.yaml may look at; no personal data."""
    auto = limit(guards.auto_refund_max, one.currency) if one.currency else 0
    return {
        "problem": one.problem,
        "skill": one.skill,
        "priority": one.priority,
        "channel": one.channel,
        "language": one.locale.split("-", maxsplit=1)[0].lower(),
        "identity": one.identity,
        "show.phase": phase(one),
        "doors.minutes": doors_minutes(one),
        "money.at_stake": one.at_stake,
        "money.of_limit": _share(one.at_stake, auto),
        "order.known": one.currency is not None,
        "order.value": one.order_value,
        "customer.value": one.customer_value,
        "customer.of_limit": _share(one.customer_value, auto),
        "case.waited_minutes": max(0, int((one.now - one.placed_at).total_seconds() // 60)),
        "case.contacts": one.contacts,
        "case.returned": one.returned,
        "case.suggestions": len({word for word in one.suggestions if word != "reply"}),
    }


def place(routing: Routing, playbooks: Playbooks, one: ToRoute, known: Mapping[str, Any]) -> Placed:
    route = routing.route(known)
    skill = route.skill or one.skill
    playbook = playbooks.by_id.get(route.playbook or "") or playbooks.fitting(one.problem, one.rules, skill)
    return Placed(
        platform=one.platform,
        id=one.id,
        placed_at=one.placed_at,
        look_by=look_by(route, one.placed_at, doors(one)),
        skill=route.skill,
        playbook=playbook.id,
        route={
            "rule": route.rule,
            "pack": routing.hash,
            "facts": {name: value for name, value in known.items() if name in routing.facts},
            "targets": msgspec.to_builtins(dict(route.targets)),
            "chain": playbook.chain,
        },
    )


def look_by(route: Route, placed_at: datetime, opens_at: datetime | None) -> datetime:
    """The deadline that orders the queue: never before the case came, so that whoever waits is, by and by, before all who come later."""
    by = placed_at + timedelta(seconds=route.within_seconds)
    if route.lead_seconds is not None and opens_at is not None:
        by = min(by, opens_at - timedelta(seconds=route.lead_seconds))
    return max(by, placed_at)


def doors(one: ToRoute) -> datetime | None:
    """When the show that the case is about begins; None without one, and when it is over or does not take place."""
    return one.starts_at if phase(one) in {"before", "live"} else None


def doors_minutes(one: ToRoute) -> int:
    opens_at = doors(one)
    return NO_DOORS if opens_at is None else int((opens_at - one.now).total_seconds() // 60)


def phase(one: ToRoute) -> str:
    if one.starts_at is None or one.ends_at is None or not one.scheduled:
        return "none"
    return "before" if one.now < one.starts_at else "live" if one.now < one.ends_at else "over"


def _share(amount: int, auto: int) -> float:
    """How many times what the policy may send alone. A currency that nobody has thought about counts as much: people look at it."""
    return round(amount / auto, 4) if auto else float(amount > 0)
