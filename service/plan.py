"""From verdicts to a plan: joins what the packs said of each subject, lets the guards stand in the way, and says what to store. Pure."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from policies import Guards, Packs, PlannedAction, Rails, Verdict, limit
from service.caps import caps_of
from service.facts import Asked, Kind, Subject, relevant_passes, subjects
from service.model import PLATFORM_ANSWERS, Mode, new_id
from service.view import PassView, PaymentView, View

# A queued case is looked at again after this; its first look depends on its priority (guards.yaml).
QUEUE_LOOK_SECONDS: Final = 900
# Kinds of rails that move play money.
SANDBOX_KINDS: Final = frozenset({"sandbox", "sandbox_payout"})
# Actions that move money, not passes.
MONEY: Final = frozenset({"refund", "goodwill_credit"})
# The longest that an open case goes unseen while its operations are under way.
OPERATION_LOOK_SECONDS: Final = 60
# A platform's restart takes seconds, a bad night hours.
_PLATFORM_LOOK_SECONDS_FIRST: Final = 10.0
_PLATFORM_LOOK_SECONDS_LAST: Final = 300.0
# An access token outlives its show, so that a late viewer or a replay within two days is not locked out.
ACCESS_AFTER_SHOW: Final = timedelta(hours=48)

# Problems whose cure would hurt other holders of a group order: which ticket it is has to be said.
_ONE_PASS_PROBLEMS: Final = frozenset({"pass_lost", "pass_leaked", "link_dead", "wrong_device", "too_many_devices", "cannot_sign_in"})


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What one pack said of one subject."""

    subject: Subject
    facts: Mapping[str, Any]
    """those that the pack declares"""
    parameters: Mapping[str, object]
    verdict: Verdict


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What decides: the packs, the guards' numbers, and which rails there are."""

    packs: Packs
    guards: Guards
    backups: Rails
    rails: Mapping[str, str]
    """name of a rail -> its kind (`stripe`, `sandbox`)"""
    step: Callable[[str, str], int] = lambda _rail, _currency: 1
    """the smallest amount that a rail can pay in a currency, and its multiples (rail, ISO code -> minor units)"""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A wait or an ask that the case was already in."""

    wait_for: str
    ref: str | None
    """which incident; the patience of a wait is for that one alone"""
    until: datetime


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one decision stores; `case_decide` takes it as it is."""

    id: UUID
    outcome: str
    judged: tuple[Judged, ...]
    guards: tuple[str, ...]
    holds: tuple[str, ...]
    approvals: int
    refunds: tuple[Mapping[str, Any], ...]
    passes: tuple[Mapping[str, Any], ...]
    payments: tuple[UUID, ...]
    caps: tuple[Mapping[str, Any], ...]
    limits: Mapping[str, int] = {}
    """`auto` and `second`: above what in all one order is not paid back without people, or without two"""
    next: Mapping[str, Any]


def judge(rules: Rules, view: View, asked: Asked) -> tuple[Judged, ...]:
    """Asks the problem's pack once per subject."""
    pack = rules.packs.for_problem(asked.problem)
    parameters = _parameters(pack.name, view, set(pack.parameters))
    found = []
    for one in subjects(view, asked, cast("Kind", pack.for_each)):
        facts = {name: value for name, value in one.facts.items() if name in pack.facts}
        found.append(Judged(subject=one, facts=facts, parameters=parameters, verdict=pack.decide(facts, parameters)))
    return tuple(found)


def plan(rules: Rules, view: View, asked: Asked, parked: Parked | None) -> Plan:
    """Decides a case. What is approved is done now, together; for the rest the first of escalate, ask, wait holds the case;
    a denial stands only when nothing else is left.
    """
    judged = judge(rules, view, asked)
    if _must_name_one(view, asked, judged):
        return _only(judged, _ask_next(rules, "passes"), "ask")
    if any(_below_minimum(asked, one) for one in judged):
        return _only(judged, _queue_next(rules, "payments", 2), "escalate", guards=("legal_minimum",))
    approved = [one for one in judged if one.verdict.outcome == "approve"]
    rest = _rest(rules, view, asked, judged, parked)
    if not approved:
        return _only(judged, rest, str(rest.get("outcome", "deny")))
    refunds = _refunds(rules, view, approved)
    mode_guards = _modes(rules, view, approved)
    if "watch" in mode_guards:
        return _only(judged, _queue_next(rules, "support", 2), "escalate", guards=("watch",))
    passes = _pass_actions(view, asked, approved)
    after = rest if rest.get("state") != "denied" else {"state": "resolved", "outcome": "approve"}
    if not refunds and not passes:
        return _only(judged, after, "approve")  # solved, and nothing to carry out
    amount = sum(one["award"] for one in refunds)
    holds, approvals = _holds(rules, view, amount, mode_guards)
    return Plan(
        id=new_id(),
        outcome="approve",
        judged=judged,
        guards=holds,
        holds=holds,
        approvals=approvals,
        refunds=refunds,
        passes=passes,
        limits=limits_of(rules, view),
        payments=payment_order(view),
        caps=caps_of(rules.guards, view),
        next={"owner": "operation", "due_seconds": OPERATION_LOOK_SECONDS, "outcome": "approve", "rest": after},
    )


def ask_identity(rules: Rules) -> Plan:
    """Nothing is decided, and nothing of an order is said, before it is known who asks."""
    return _only((), _ask_next(rules, "identity"), "ask")


def to_people(rules: Rules, skill: str, priority: int, reason: str) -> Plan:
    """Hands over what the machine cannot finish."""
    return _only((), _queue_next(rules, skill, priority), "escalate", guards=(reason,))


def wait_for_platform(rules: Rules, view: View, parked: Parked | None) -> Plan:
    """Its system does not answer, and what is decided hangs on the order: it is asked less and less often; in the end people are."""
    seconds: float = rules.guards.patience.platform_answers_within_seconds
    waited = 0.0
    if parked is not None and parked.wait_for == PLATFORM_ANSWERS:
        if parked.until <= view.now:
            return to_people(rules, "support", 2, "platform_unreachable")
        waited = seconds - (parked.until - view.now).total_seconds()
    look = min(max(_PLATFORM_LOOK_SECONDS_FIRST, waited / 2), _PLATFORM_LOOK_SECONDS_LAST)
    following = {"owner": "timer", "wait_for": PLATFORM_ANSWERS, "wait_seconds": seconds, "due_seconds": look, "outcome": "wait"}
    return _only((), following, "wait", guards=("platform_unavailable",))


def ended(state: str, outcome: str) -> Plan:
    return _only((), {"state": state, "outcome": outcome}, outcome)


# -------------------------------------------------------------------------------------------------------------------- joining


def _only(judged: Sequence[Judged], following: Mapping[str, Any], outcome: str, guards: tuple[str, ...] = ()) -> Plan:
    return Plan(
        id=new_id(),
        outcome=outcome,
        judged=tuple(judged),
        guards=guards,
        holds=(),
        approvals=0,
        refunds=(),
        passes=(),
        payments=(),
        caps=(),
        next=following,
    )


def _rest(rules: Rules, view: View, asked: Asked, judged: Sequence[Judged], parked: Parked | None) -> Mapping[str, Any]:
    by_outcome: dict[str, list[Judged]] = {}
    for one in judged:
        by_outcome.setdefault(one.verdict.outcome, []).append(one)
    if escalated := by_outcome.get("escalate"):
        first = min(escalated, key=lambda one: one.verdict.escalate.priority if one.verdict.escalate else 3)
        to = first.verdict.escalate
        return _queue_next(rules, to.skill if to else "support", to.priority if to else 3)
    if asking := by_outcome.get("ask"):
        if len(asked.answers) >= rules.guards.patience.questions_per_case_max:
            return _queue_next(rules, "support", 2)
        question = asking[0].verdict.ask
        return _ask_next(rules, question.fact if question else "answer")
    if waiting := by_outcome.get("wait"):
        return _wait_next(rules, view, waiting[0], parked)
    if "deny" in by_outcome and "approve" not in by_outcome:
        return {"state": "denied", "outcome": "deny"}
    return {"state": "resolved", "outcome": "approve"}


def _wait_next(rules: Rules, view: View, waiting: Judged, parked: Parked | None) -> Mapping[str, Any]:
    wait = waiting.verdict.wait
    assert wait is not None  # noqa: S101 - the outcome says so
    incident = waiting.subject.incident
    seconds: float = min(wait.at_most_seconds, rules.guards.patience.wait_seconds_max)
    look = seconds
    if parked is not None and (parked.wait_for, parked.ref) == (wait.wait_for, None if incident is None else incident.ref):
        if parked.until <= view.now:
            return _queue_next(rules, "support", 2)
        look = (parked.until - view.now).total_seconds()
    if incident is not None and incident.ends_at is not None and incident.ends_at > view.now:
        look = min(look, (incident.ends_at - view.now).total_seconds())  # its end was announced
    return {
        "owner": "timer",
        "wait_for": wait.wait_for,
        "wait_ref": None if incident is None else incident.ref,
        "wait_seconds": seconds,
        "due_seconds": look,
        "outcome": "wait",
    }


def _ask_next(rules: Rules, fact: str) -> Mapping[str, Any]:
    seconds = rules.guards.patience.answer_within_seconds
    return {"owner": "timer", "wait_for": f"answer:{fact}", "wait_seconds": seconds, "due_seconds": seconds, "outcome": "ask"}


def _queue_next(rules: Rules, skill: str, priority: int) -> Mapping[str, Any]:
    look = rules.guards.patience.first_look_within_seconds.get(str(priority), QUEUE_LOOK_SECONDS)
    return {"owner": "queue", "skill": skill, "priority": priority, "due_seconds": look, "outcome": "escalate"}


def _must_name_one(view: View, asked: Asked, judged: Sequence[Judged]) -> bool:
    if asked.problem not in _ONE_PASS_PROBLEMS or asked.passes or asked.only_pass or view.order is None:
        return False
    return sum(one.verdict.outcome == "approve" and bool(one.verdict.actions) for one in judged) > 1


def _parameters(pack: str, view: View, known: set[str]) -> dict[str, object]:
    """A show's own parameters over the platform's; both may set those of several packs."""
    found: dict[str, object] = {}
    for settings in (view.platform, view.show.settings if view.show else {}):
        chosen = settings.get("parameters") or {}
        found |= {k: v for k, v in (chosen.get(pack) or chosen).items() if k in known}
    return found


def _below_minimum(asked: Asked, one: Judged) -> bool:
    """Whoever paid for a ticket of a cancelled show and is due it is never told no, whatever the rules and their parameters say."""
    facts, line = one.subject.facts, one.subject.line
    if asked.problem != "show_cancelled" or one.verdict.outcome != "deny" or facts.get("show.status") != "cancelled":
        return False
    due = line is not None and line.kind in {"stream", "venue"} and facts.get("position.left", 0) > 0
    return due and facts.get("requester.role") != "holder" and facts.get("order.paid", 0) > facts.get("order.refunded", 0)


# ----------------------------------------------------------------------------------------------------------------- what is done


def _actions(approved: Sequence[Judged]) -> list[tuple[Subject, PlannedAction]]:
    return [(one.subject, action) for one in approved for action in one.verdict.actions]


def _refunds(rules: Rules, view: View, approved: Sequence[Judged]) -> tuple[Mapping[str, Any], ...]:
    found = []
    step = _step(rules, view)
    for subject, action in _actions(approved):
        amount = (action.amount or 0) // step * step
        if action.action != "refund" or amount == 0:
            continue
        cause = f"incident:{subject.incident.ref}" if action.cause == "incident" and subject.incident else action.cause
        of_payment = subject.payment is not None
        found.append(
            {
                "harm": new_id(),
                "line": None if of_payment or subject.line is None else subject.line.id,
                "payment": subject.payment.id if subject.payment else None,
                "cause": cause,
                # What a line had been awarded when its share was worked out: an incident's minutes depend on it.
                "seen": subject.line.awarded if subject.line and cause.startswith("incident:") else None,
                "award": amount,
            }
        )
    return tuple(found)


def _step(rules: Rules, view: View) -> int:
    """Amounts are rounded down to what all rails of the order can pay: a dinar has a thousand fils, cards carry a hundred."""
    order = view.order
    if order is None:
        return 1
    used = {one.rail for one in order.payments if one.rail is not None and one.status == "confirmed"}
    return math.lcm(*(rules.step(rail, order.currency) for rail in used)) if used else 1


def _pass_actions(view: View, asked: Asked, approved: Sequence[Judged]) -> tuple[Mapping[str, Any], ...]:
    """One entry a pass and action. A pack that is not asked per pass means all passes the case is about."""
    found: dict[tuple[UUID, str], Mapping[str, Any]] = {}
    for subject, action in _actions(approved):
        if action.action in MONEY:
            continue
        for one in (subject.pass_,) if subject.pass_ else relevant_passes(view, asked):
            if one.status == "valid" and (one.id, action.action) not in found and (entry := pass_action(view, one, action.action)):
                found[one.id, action.action] = entry
    return tuple(found.values())


def pass_action(view: View, one: PassView, action: str) -> Mapping[str, Any] | None:
    """`rail` says who carries it out: `here` (our own tables), `mail`, or the pass's `issuer`."""
    issuer = "here" if one.issuer == "makegood" else "issuer"
    entry: dict[str, Any] = {"id": new_id(), "action": action, "pass": one.id, "rail": issuer, "result": {}}
    if action == "reissue_access":
        if view.show is None or not admits(view, one.line):
            return None
        expires = max(view.show.ends_at, view.now) + ACCESS_AFTER_SHOW
        return entry | {"rail": "here", "result": {"jti": new_id(), "show": view.show.id, "expires_at": expires}}
    if action == "resend_pass":
        return entry | {"rail": "mail", "result": {"letter": "pass_resent"}}
    if action == "replace_pass":
        return entry | {"result": {"new_pass": new_id()}, "resend": new_id(), "barcode": new_barcode()}
    return entry


def admits(view: View, line: UUID) -> bool:
    """The line is for the show that this is about."""
    return any(one.id == line and view.show is not None and view.show.id in one.shows for one in (view.order.lines if view.order else ()))


def new_barcode() -> str:
    """A barcode nobody can guess: 160 random bits, in letters that every scanner and every voice can tell apart."""
    return "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(32))


def payment_order(view: View) -> tuple[UUID, ...]:
    """Newest first: what was paid last goes back first."""
    if view.order is None:
        return ()

    def newest(one: PaymentView) -> tuple[datetime, str]:
        return (one.paid_at or one.created_at, one.ref)

    return tuple(one.id for one in sorted(view.order.payments, key=newest, reverse=True))


# ------------------------------------------------------------------------------------------------------------------------ guards


def mode_of(rules: Rules, view: View, action: str) -> Mode:
    """The show's mode for an action, else the platform's. Refunds on a real rail are only suggested until somebody says `act`,
    and has set caps: without any, `act` counts as `suggest`.
    """
    levels = (view.show.settings if view.show else {}, view.platform)
    chosen = next((Mode(said) for one in levels if (said := (one.get("modes") or {}).get(action))), None)
    if action != "refund" or view.order is None:
        return chosen or Mode.ACT
    used = {rules.rails.get(one.rail, "") for one in view.order.payments if one.rail is not None and one.status == "confirmed"}
    real = bool(used - SANDBOX_KINDS)
    capped = any(limits for one in levels for limits in (one.get("caps") or {}).values())
    if chosen is None or (chosen is Mode.ACT and real and not capped):
        return Mode.SUGGEST if real else Mode.ACT
    return chosen


def limits_of(rules: Rules, view: View) -> Mapping[str, int]:
    """For an order's refunds in all: split over several cases they are no smaller."""
    if view.order is None:
        return {}
    currency = view.order.currency
    return {"auto": limit(rules.guards.auto_refund_max, currency), "second": limit(rules.guards.second_person_over, currency)}


def _modes(rules: Rules, view: View, approved: Sequence[Judged]) -> frozenset[str]:
    return frozenset(mode_of(rules, view, action.action).value for _, action in _actions(approved))


def _holds(rules: Rules, view: View, amount: int, modes: frozenset[str]) -> tuple[tuple[str, ...], int]:
    """Why people must agree first, and how many of them."""
    holds = ["mode"] if Mode.SUGGEST in modes else []
    approvals = 1
    if amount and view.order is not None:
        if amount > limit(rules.guards.auto_refund_max, view.order.currency):
            holds.append("amount")
        if amount > limit(rules.guards.second_person_over, view.order.currency):
            approvals = 2
    return tuple(holds), approvals
