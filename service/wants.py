"""Which rules can never decide for a platform, or decide blind, for want of facts that it has not fed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from policies import Pack
from service.rulebook import Rulebook
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.store.supplied import supplied

Effect = Literal["never_applies", "assumes", "hands_over"]


class _Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a platform feeds. `without`: what rules hear of it where it was never fed (`service.facts`)."""

    mend: str
    without: Mapping[str, Any] = {}
    is_needed: bool = False
    """nothing works without it"""


# `settings` of a show, the feed of an order: each says in its docstring in `service.feed` what it is for.
_SUPPLIES: Final[Mapping[str, _Supply]] = {
    "shows": _Supply(mend="PUT /v1/shows/{ref} for each show, before its orders", is_needed=True),
    "orders": _Supply(mend="PUT /v1/orders/{ref} at each purchase and each change", is_needed=True),
    "payments": _Supply(mend="name each payment's `rail` and `provider_ref`: money goes back there, else people refund it", is_needed=True),
    "customers": _Supply(mend="send `buyer.customer_ref`, the `sub` of your JWTs: else customers prove themselves by a code in a mail"),
    "addresses": _Supply(mend="send `buyer.email`: codes and tickets go there", without={"pass.has_address": False}),
    "passes": _Supply(
        mend="send `pass` with each position that admits somebody",
        without={"pass.status": "none", "pass.kind": "none", "order.valid_passes": 0},
    ),
    "check_ins": _Supply(
        mend="send the order again with `pass.checked_in_at` when the gate lets somebody in",
        without={"position.checked_in": False, "pass.checked_in": False},
    ),
    "incidents": _Supply(
        mend="PUT /v1/shows/{ref}/incidents/{incident} when a stream fails, and again with `to` when it is back",
        without={
            "incident.applies": False,
            "incident.ended": False,
            "incident.kind": "",
            "incident.minutes": 0,
            "incident.share_missed": 0.0,
        },
    ),
    "articles": _Supply(mend="name help pages in a show's `articles`, by problem", without={"article.key": ""}),
    "cancellations": _Supply(mend="send `cancelled_at` with an order that is cancelled", without={"payment.after_cancelling": False}),
    "rollback": _Supply(
        mend="set `rollback` of a show if sales that failed half-way shall be undone by themselves", without={"show.rollback": False}
    ),
}
_MEND_PLAYBACK: Final = (
    "nobody feeds where and on what a customer watches: leave `regions` and `devices` out of incidents, or let people decide"
)
_MEND_UNKNOWN: Final = "nobody gathers this fact: ask the customer for it (`questions` of the pack), or take it out of the rule"

# Every fact that `service.facts` gathers, by what it is about; a test reads them there.
_GATHERED: Final = frozenset(
    {
        "problem",
        *(f"requester.{name}" for name in ("role", "refunds_90d", "cases_24h")),
        *(f"show.{name}" for name in ("rollback", "status", "phase", "minutes", "minutes_to_start", "minutes_since_end", "new_date_known")),
        *(
            f"order.{name}"
            for name in ("known", "status", "currency", "total", "paid", "refunded", "minutes_since_purchase", "dispute_open")
        ),
        *(f"order.{name}" for name in ("confirmed_payments", "overpaid", "duplicates", "resends_24h", "valid_passes", "goods")),
        *(f"incident.{name}" for name in ("applies", "ended", "kind", "minutes", "share_missed")),
        *(f"position.{name}" for name in ("kind", "price", "left", "canceled", "shows", "checked_in")),
        *(
            f"payment.{name}"
            for name in ("status", "amount", "left", "duplicate", "outside", "dispute", "minutes_since", "after_cancelling")
        ),
        *(f"pass.{name}" for name in ("status", "kind", "issuer", "checked_in", "resends_24h", "reissues_24h", "replacements")),
        *("pass.has_address", "pass.refunded", "case.waited_minutes", "article.key"),
    }
)


class Fed(msgspec.Struct, frozen=True, kw_only=True):
    """`mend`: what to send; empty where it was fed."""

    name: str
    fed: bool
    needed: bool
    mend: str


class RuleWant(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and what it lacks: it `never_applies`, it `assumes` that there never was anything of the kind, or it `hands_over`."""

    pack: str
    rule: str
    effect: Effect
    facts: tuple[str, ...]
    mend: tuple[str, ...]


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What this platform has fed so far, and what its rules lack. A `makegood check-platform` leaves no trace in it."""

    fed: tuple[Fed, ...]
    rules: tuple[RuleWant, ...]


class Wants:
    def __init__(self, pool: Pool, rulebook: Rulebook) -> None:
        self._pool = pool
        self._platforms = PlatformStore(pool)
        self._rulebook = rulebook

    async def of(self, platform: UUID) -> Readiness:
        row = await self._platforms.by_id(platform)
        found = await supplied(self._pool, platform)
        rules = await self._rulebook.holding(row.packs if row else {})
        return Readiness(
            fed=tuple(
                Fed(name=name, fed=found[name], needed=one.is_needed, mend="" if found[name] else one.mend)
                for name, one in _SUPPLIES.items()
            ),
            rules=tuple(rule_wants(rules.packs.by_name.values(), found)),
        )


def rule_wants(packs: Iterable[Pack], found: Mapping[str, bool]) -> Iterable[RuleWant]:
    """What each rule lacks where a platform has fed `found` and nothing else; rules that lack nothing are left out."""
    without = {fact: value for name, one in _SUPPLIES.items() if not found[name] for fact, value in one.without.items()}
    mends = {fact: one.mend for one in _SUPPLIES.values() for fact in one.without}
    for pack in packs:
        heard = {fact: value for fact, value in without.items() if fact in pack.facts}
        unknown = {fact: _MEND_UNKNOWN for fact in pack.facts if fact not in _GATHERED and not fact.startswith("answer.")}
        if found["scoped_incidents"]:
            unknown["incident.applies"] = _MEND_PLAYBACK
        for rule in pack.rules:
            lacks = [fact for fact in rule.mentions if fact in heard or fact in unknown]
            if rule.when is None or not lacks:
                continue
            effect: Effect = "assumes"
            if pack.never(rule, heard):
                effect = "never_applies"
            elif any(fact in unknown for fact in lacks):
                effect = "hands_over"
            mend = tuple(dict.fromkeys(unknown.get(fact) or mends[fact] for fact in lacks))
            yield RuleWant(pack=pack.name, rule=rule.id, effect=effect, facts=tuple(lacks), mend=mend)
