"""The legal minimum, whatever a platform writes into packs of its own: whoever paid for a cancelled show gets it back."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies.engine import Pack
from policies.facts import FactError

PROBLEM: Final = "show_cancelled"
# What admits to the show; goods that were bought beside it still come.
KINDS: Final = ("stream", "venue")

# Somebody bought a ticket for a show that was then cancelled, and has had nothing back; nothing else is out of the ordinary.
_SITUATION: Final[Mapping[str, Any]] = {
    "problem": PROBLEM,
    "requester.role": "buyer",
    "requester.refunds_90d": 0,
    "case.waited_minutes": 0,
    "order.known": True,
    "order.status": "paid",
    "order.paid": 2500,
    "order.refunded": 0,
    "order.minutes_since_purchase": 20000,
    "order.dispute_open": False,
    "show.status": "cancelled",
    "show.minutes": 90,
    "show.new_date_known": False,
    "incident.applies": False,
    "incident.ended": False,
    "incident.minutes": 0,
    "incident.share_missed": 0.0,
    "position.price": 2500,
    "position.left": 2500,
    "position.canceled": False,
    "position.checked_in": False,
    "position.shows": 1,
}
# Nobody has to ask at the right time, nor for the first time: phase, minutes to the start, refunds before, minutes since buying.
_TIMES: Final = (("before", 10_000, 0, 20_000), ("before", 30, 9, 10), ("live", -10, 0, 600), ("over", -50_000, 9, 90_000))


def below_minimum(pack: Pack, parameters: Mapping[str, object]) -> Iterator[str]:
    """Each situation in which the pack gives less, in words; nothing when it is right. `parameters`: what the platform sets."""
    if pack.for_each != "position":
        yield f"pack {pack.name}: {PROBLEM} is decided for each position, so that each ticket is given back"
        return
    for kind in KINDS:
        for phase, minutes, refunds, since in _TIMES:
            facts = {
                **_SITUATION,
                "position.kind": kind,
                "show.phase": phase,
                "show.minutes_to_start": minutes,
                "requester.refunds_90d": refunds,
                "order.minutes_since_purchase": since,
            }
            said = _said(pack, {name: value for name, value in facts.items() if name in pack.facts}, parameters)
            if said:
                yield f"pack {pack.name}: for a {kind} ticket of a cancelled show ({phase}) {said}; the price paid has to go back"


def _said(pack: Pack, facts: Mapping[str, object], parameters: Mapping[str, object]) -> str:
    try:
        verdict = pack.decide(facts, parameters)
    except FactError as error:
        return f"it cannot decide: {error}"
    if verdict.outcome != "approve":
        return f"rule {verdict.rule} says {verdict.outcome}"
    amount = sum(action.amount or 0 for action in verdict.actions if action.action == "refund")
    return "" if amount >= int(_SITUATION["position.left"]) else f"rule {verdict.rule} gives {amount} of {_SITUATION['position.left']}"
