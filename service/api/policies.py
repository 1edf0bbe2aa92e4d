"""Routes for the written policy: `GET /v1/policies`, and a try of facts that decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from policies import FactError, PackShown, Playbook
from policies.routing import RoutingRuleShown
from service.api import problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.callers import Caller
from service.policy_desk import Policies, PolicyDesk, UnknownPack
from service.store.policy_desk import RuleToday

_READ: Final = opens_to("agent", "machine", "platform", scope="cases:read")
# As many facts as a pack may declare.
_FACTS_MAX: Final = 200
_Text = Annotated[str, Meta(max_length=500)]
_Fact = _Text | int | float | bool | Annotated[tuple[_Text, ...], Meta(max_length=100)] | None
_Name = Annotated[str, Meta(max_length=100)]
Outcome = Literal["approve", "ask", "wait", "deny", "escalate"]


class PolicyExample(msgspec.Struct, frozen=True, kw_only=True):
    """`given` is what differs from the pack's usual situation."""

    about: str
    given: dict[str, Any]
    expect: dict[str, Any]
    holds: bool


class DecidedToday(msgspec.Struct, frozen=True, kw_only=True):
    """Since midnight in the platform's zone. `money`: approved, by currency, in minor units, whether or not people still have to agree."""

    decided: int
    """cases"""
    money: dict[str, int]


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    about: str
    when: str
    """as it is written; empty: always"""
    because: dict[str, str]
    """what the customer reads, by language"""
    then: str
    examples: tuple[PolicyExample, ...]
    today: DecidedToday


class PolicyPack(msgspec.Struct, frozen=True, kw_only=True):
    """The rules are read from the top; the first that is true decides."""

    name: str
    about: str
    hash: str
    problems: tuple[str, ...]
    for_each: str
    facts: dict[str, str]
    """name -> type"""
    parameters: dict[str, Any]
    """as they are for this platform"""
    usual: dict[str, Any]
    """the situation that the examples start from"""
    rules: tuple[PolicyRule, ...]


class RoutingExample(msgspec.Struct, frozen=True, kw_only=True):
    about: str
    given: dict[str, Any]
    expect: dict[str, Any]


class RoutingRule(msgspec.Struct, frozen=True, kw_only=True):
    """A case that it fits is looked at within so many seconds, and so many before the doors open if that is sooner."""

    id: str
    when: str
    within_seconds: int
    lead_seconds: int | None
    skill: str | None
    playbook: str | None
    targets: dict[str, int]
    """promises of time, in seconds"""
    examples: tuple[RoutingExample, ...]


class RoutingShown(msgspec.Struct, frozen=True, kw_only=True):
    """Who is first at the desk. The first rule that is true decides."""

    hash: str
    rules: tuple[RoutingRule, ...]


class PlaybooksShown(msgspec.Struct, frozen=True, kw_only=True):
    hash: str
    playbooks: tuple[Playbook, ...]


class PoliciesShown(msgspec.Struct, frozen=True, kw_only=True):
    packs: tuple[PolicyPack, ...]
    routing: RoutingShown
    playbooks: PlaybooksShown


class PolicyTry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts that you leave out are as in the pack's usual situation; null: not known."""

    facts: Annotated[dict[_Name, _Fact], Meta(max_length=_FACTS_MAX)] = {}


class RuleAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`unknown`: neither true nor false, for want of `missing`. `answered`: it asks the customer what these facts already say."""

    rule: str
    value: Literal["true", "false", "unknown"]
    missing: tuple[str, ...]
    answered: bool
    decides: bool


class PolicyAction(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    amount: int | None
    cause: str


class PolicyTried(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome
    rule: str
    because: dict[str, str]
    would_change: dict[str, str]
    actions: tuple[PolicyAction, ...]
    trace: tuple[RuleAsked, ...]
    """the rules that were read, from the top"""


_TRIED: Final = {
    "outcome": "approve",
    "rule": "duplicate",
    "because": {"en": "You were charged twice for the same order."},
    "would_change": {},
    "actions": [{"action": "refund", "amount": 4500, "cause": "duplicate_charge"}],
    "trace": [
        {"rule": "order-unknown", "value": "false", "missing": [], "answered": False, "decides": False},
        {"rule": "duplicate", "value": "true", "missing": [], "answered": False, "decides": True},
    ],
}


class PolicyRoutes(Controller):
    """What is decided without people, and by which words: the files that decide, and nothing written beside them."""

    tags = ("policies",)

    @get("/v1/policies", opt=_READ)
    async def show_policies(self, caller: NamedDependency[Caller], policy_desk: NamedDependency[PolicyDesk]) -> PoliciesShown:
        """Shows the packs that decide for the platform, rule by rule with their examples and what each decided today; who is first at the
        desk; and what leads its people.
        """
        return _shown(await policy_desk.policies(caller.platform_id))

    @post(
        "/v1/policies/{pack:str}/try",
        status_code=200,
        opt={**_READ, **examples(request={"facts": {"payment.duplicate": True}}, answer=_TRIED)},
    )
    async def try_facts(
        self, pack: FromPath[str], data: JSONBody[PolicyTry], caller: NamedDependency[Caller], policy_desk: NamedDependency[PolicyDesk]
    ) -> PolicyTried:
        """Says what a pack would decide of these facts, and what each rule says of them. Nothing is decided, stored or sent."""
        tried = await policy_desk.try_facts(caller.platform_id, pack, data.facts)
        return PolicyTried(
            outcome=tried.verdict.outcome,
            rule=tried.verdict.rule,
            because=tried.verdict.because,
            would_change=tried.verdict.would_change,
            actions=msgspec.convert(tried.verdict.actions, tuple[PolicyAction, ...], from_attributes=True),
            trace=msgspec.convert(tried.trace, tuple[RuleAsked, ...], from_attributes=True),
        )


def _shown(found: Policies) -> PoliciesShown:
    return PoliciesShown(
        packs=tuple(_pack(one, found.today) for one in found.packs),
        routing=RoutingShown(hash=found.routing_hash, rules=tuple(_routing(one) for one in found.routing)),
        playbooks=PlaybooksShown(hash=found.playbooks_hash, playbooks=tuple(found.playbooks)),
    )


def _pack(pack: PackShown, today: Mapping[tuple[str, str], Sequence[RuleToday]]) -> PolicyPack:
    rules = [
        {**msgspec.structs.asdict(rule), "examples": _examples(rule.examples), "today": _today(today.get((pack.name, rule.id), ()))}
        for rule in pack.rules
    ]
    return msgspec.convert({**msgspec.structs.asdict(pack), "rules": rules}, PolicyPack)


def _routing(rule: RoutingRuleShown) -> RoutingRule:
    route = msgspec.structs.asdict(rule.route)
    fields = {**route, "id": rule.id, "when": rule.when, "targets": dict(rule.route.targets)}
    examples = [{**one, "given": dict(one["given"]), "expect": dict(one["expect"])} for one in rule.examples]
    return msgspec.convert({**fields, "examples": examples}, RoutingRule)


def _examples(found: Sequence[msgspec.Struct]) -> list[dict[str, Any]]:
    return [{name: getattr(one, name) for name in PolicyExample.__struct_fields__} for one in found]


def _today(found: Sequence[RuleToday]) -> dict[str, Any]:
    return {
        "decided": sum(one.cases for one in found),
        "money": {one.currency: one.money for one in found if one.currency is not None and one.money > 0},
    }


def _unknown(_: UnknownPack) -> problems.Problem:
    return problems.not_found("pack")


def _wrong(error: FactError) -> problems.Problem:
    return problems.invalid(f"/facts/{error.fact}", str(error).partition(": ")[2])


FAILURES: Final[problems.Failures] = {UnknownPack: _unknown, FactError: _wrong}
"""how the exceptions of `service.policy_desk` read on the wire"""
