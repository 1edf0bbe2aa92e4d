"""Where the money goes when it cannot go back where it came from: what may be offered, and what the customer's choice sets going."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from policies import Rails
from service.callers import Caller
from service.caps import rail_cap
from service.model import ADDRESSED, IdentityLevel, new_id
from service.plan import Rules
from service.ports import RefundRail
from service.store.flow import Choosing, FlowStore
from service.store.idempotency import IdempotencyKey

# People send it by hand and write down reference and day.
MANUAL: Final = "manual"

Status = Literal[
    "chosen", "held", "repeat", "not_offered", "disputed", "excess", "under_way", "not_strong", "address_needed", "no_address_needed"
]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """One way for one refund. `rail` is a configured rail's name, or `manual`."""

    operation: UUID
    rail: str
    address: str | None
    checked: str | None
    """an agent's record of how they checked who is asking"""


def offers(rules: Rules, settings: Mapping[str, Any], refund: Choosing) -> tuple[str, ...]:
    """The names that a customer may choose from, best first; empty where people have to find a way.

    Of the installation's rails those that the platform allows (`payouts.rails`), and that can pay this amount in this currency.
    """
    allowed = (settings.get("payouts") or {}).get("rails") or ()
    by_kind: dict[str, list[str]] = {MANUAL: [MANUAL]}
    own = settings.get("rails")
    for name in allowed:
        step = rules.step(name, refund.currency) if name in rules.rails and (own is None or name in own) else 0
        if step > 0 and refund.amount % step == 0:
            by_kind.setdefault(rules.rails[name], []).append(name)
    found = [name for kind in rules.backups.offers(refund.reason, refund.currency, by_kind) for name in by_kind[kind]]
    return () if found == [MANUAL] else tuple(found)


class FollowUps:
    """What rails.yaml says of following up, for `Operations`. `kinds`: rail -> its kind."""

    def __init__(self, backups: Rails, *, rails: Mapping[str, RefundRail], kinds: Mapping[str, str]) -> None:
        self._backups = backups
        self._rails = rails
        self._kinds = kinds

    def offer_after_seconds(self, rail: str) -> float | None:
        """Only a rail that pays back and can be read is ever given up for being out of reach: its payment has to be seen clean."""
        after, traits = self._backups.unreachable.failover_after, self._rails[rail].traits
        return None if after is None or traits.pays != "back" or not traits.reads else after.total_seconds()

    def accepted_seconds_max(self, rail: str) -> float:
        return self._backups.accepted_seconds_max(self._kinds.get(rail, ""), self._rails[rail].traits.accepted_seconds_max)


class Choices:
    def __init__(self, store: FlowStore, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    async def ask(self, platform: UUID, case: UUID, epoch: int, *, waited_out: bool) -> None:
        """Asks the customer of a leased case, or calls people where there is nothing to offer or no answer came."""
        refunds = await self._store.choosing(platform, case)
        found = offers(self._rules, await self._store.platform_settings(platform), refunds[0]) if refunds else ()
        if not found or waited_out:
            await self._store.choice_to_people(platform, case, epoch)
            return
        patience = self._rules.backups.follow_up.choice_within.total_seconds()
        named = [{"rail": name, "kind": self._rules.rails.get(name, MANUAL)} for name in found]
        await self._store.ask_destination(platform, case, epoch, named, patience)

    async def choose(self, caller: Caller, key: IdempotencyKey, case: UUID, chosen: Chosen, *, level: IdentityLevel | None) -> Status:
        """The one step: the refund goes the chosen way, or waits for people where it is large or was passed on by an agent.

        `level`: how sure it is that a customer is the buyer of the case's order. A pay-out needs `strong`; an agent's check counts with
        a second person's. Another way than money back is never taken while the payment is disputed, nor while the first rail may have
        paid. `repeat`: this key has chosen before. Raises KeyReused.
        """
        refund = next((one for one in await self._store.choosing(caller.platform_id, case) if one.operation == chosen.operation), None)
        by_agent = caller.kind == "agent"
        if not by_agent and not (level is not None and level.at_least(IdentityLevel.STRONG)):
            return "not_strong"
        settings = await self._store.platform_settings(caller.platform_id)
        if refund is None or chosen.rail not in self._names(settings, refund, by_agent=by_agent):
            return "not_offered"
        kind = self._rules.rails.get(chosen.rail, MANUAL)
        if (kind in ADDRESSED) != (chosen.address is not None):
            return "address_needed" if kind in ADDRESSED else "no_address_needed"
        answer = await self._store.choose(key, self._document(caller, refund, chosen, kind, settings))
        status: Status = "repeat" if answer is None else answer["status"]
        return status

    def _names(self, settings: Mapping[str, Any], refund: Choosing, *, by_agent: bool) -> Sequence[str]:
        """An agent may always send it by hand, unless the first rail may come back."""
        found = offers(self._rules, settings, refund)
        return (*found, MANUAL) if by_agent and refund.reason != "unreachable" else found

    def _document(self, caller: Caller, refund: Choosing, chosen: Chosen, kind: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        policy = self._rules.backups
        approvals = int(policy.approvals(refund.amount, refund.currency))
        holds = ["payout"] if approvals else []
        if caller.kind == "agent":
            holds, approvals = [*holds, "identity"], max(approvals, 1 if kind == MANUAL else 2)
        return {
            "platform": caller.platform_id,
            "operation": refund.operation,
            "rail": None if kind == MANUAL else chosen.rail,
            "person": new_id(),
            "address": chosen.address,
            "actor": caller.name,
            "agent": caller.agent_id,
            "reason": chosen.checked,
            "holds": holds,
            "holds_while_tried": ["failover"] if refund.amount > policy.auto_max(refund.currency) else [],
            "approvals": approvals,
            "caps": [] if kind == MANUAL else [rail_cap(self._rules.guards, settings.get("caps") or {}, chosen.rail, refund.currency)],
        }
