"""What an agent may do to an order, as the plan that carries it out: causes are checked, limits of the role decide how many must agree.

A person acts on their own judgement. A machine agent does alone what the policy itself would do now, within its role's limit; everything
else it can only propose, and people decide: it never counts as one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from policies import limit
from service.callers import Caller
from service.caps import caps_of
from service.facts import duplicates_of
from service.model import Cause, DeskAction, new_id
from service.operations import LEASE_SECONDS
from service.plan import Plan, Rules, admits, limits_of, pass_action, payment_order
from service.view import OrderView, PaymentView, View

# What happened to the show itself: it is owed for what admits to that show.
_OF_A_SHOW: Final = frozenset({"incident", "show_cancelled", "show_postponed"})


class AgentAction(msgspec.Struct, frozen=True, kw_only=True):
    action: DeskAction
    pass_id: UUID | None = None
    position: str | None = None
    """of a refund: the platform's reference of the position"""
    payment: str | None = None
    """of a refund for `duplicate_charge` or `no_pass`: the platform's reference of the payment"""
    amount: int | None = None
    cause: Cause | None = None
    incident: str | None = None


class ActionRefused(Exception):  # noqa: N818 - says what happened
    """The action does not fit the order. `field` is a JSON pointer into the request."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def action_document(rules: Rules, caller: Caller, view: View, action: AgentAction, *, policy: Plan | None = None) -> dict[str, Any]:
    """The action as case_act takes it; `policy`: what the rules would do with the case now, which binds a machine. Raises ActionRefused."""
    refunds = [_refund(rules, caller, view, action)] if action.action == "refund" else []
    passes = [] if refunds else [_pass(view, action)]
    by_machine = caller.kind == "machine"
    needed, holds = _needed(rules, caller, view, action) if refunds else (1, ())
    if by_machine:
        holds = _holds_of_machine(policy, refunds, passes, alone=not holds)
    return {
        "decision": new_id(),
        "agent": caller.agent_id,
        "actor": caller.name,
        "action": action.action,
        "refunds": refunds,
        "passes": passes,
        "payments": payment_order(view),
        "needed": needed,
        "holds": holds,
        "counts": not by_machine,
        "limits": limits_of(rules, view) if by_machine else {},
        "caps": caps_of(rules.guards, view),
        "ids": [new_id() for _ in payment_order(view)],
        "lease_seconds": LEASE_SECONDS,
    }


def _holds_of_machine(
    policy: Plan | None, refunds: list[dict[str, Any]], passes: list[Mapping[str, Any]], *, alone: bool
) -> tuple[str, ...]:
    """Nothing, for what the rules approve now and the role may send; else why people decide."""
    if policy is None or not all(_approved(policy, one) for one in refunds) or not all(_planned(policy, one) for one in passes):
        return ("machine",)
    return policy.holds if alone else ("machine",)


def _approved(policy: Plan, refund: Mapping[str, Any]) -> bool:
    def same(one: Mapping[str, Any]) -> bool:
        return all(one[name] == refund[name] for name in ("line", "payment", "cause"))

    return any(same(one) and refund["award"] <= one["award"] for one in policy.refunds)


def _planned(policy: Plan, entry: Mapping[str, Any]) -> bool:
    return any((one["pass"], one["action"]) == (entry["pass"], entry["action"]) for one in policy.passes)


def _pass(view: View, action: AgentAction) -> Any:
    for one in view.order.passes if view.order else ():
        if one.id == action.pass_id and one.status == "valid":
            entry = pass_action(view, one, action.action)
            if entry is None:
                raise ActionRefused("/action", "needs a case about a show that this ticket admits to")
            return entry
    raise ActionRefused("/pass_id", "is no valid ticket of this order")


def _refund(rules: Rules, caller: Caller, view: View, action: AgentAction) -> dict[str, Any]:
    if action.amount is None or action.cause is None:
        raise ActionRefused("/amount" if action.amount is None else "/cause", "is needed for a refund")
    if action.cause == "goodwill":
        role = rules.guards.roles.get(caller.role)
        most = limit(role.goodwill_max, view.order.currency) if role and view.order else 0
        if action.amount > most:
            raise ActionRefused("/amount", f"is at most {most} as goodwill, for your role")
    line, payment = _target(view, action)
    return {"harm": new_id(), "line": line, "payment": payment, "cause": _cause(view, action), "award": action.amount}


def _target(view: View, action: AgentAction) -> tuple[UUID | None, UUID | None]:
    """A second charge and a charge without a ticket are about a payment, everything else about a position."""
    order = view.order
    if order is None:
        raise ActionRefused("/position", "there is no order")
    if action.cause in {"duplicate_charge", "no_pass"}:
        for pay in order.payments:
            if pay.ref == action.payment:
                _check_payment(order, action, pay)
                _check_room(action, pay.captured)
                return None, pay.id
        raise ActionRefused("/payment", "is no payment of this order")
    for line in order.lines:
        if line.ref == action.position and line.type == "position":
            if action.cause in _OF_A_SHOW and not admits(view, line.id):
                raise ActionRefused("/position", "is not for the show that this case is about")
            _check_room(action, line.price)
            return line.id, None
    raise ActionRefused("/position", "is no position of this order")


def _check_payment(order: OrderView, action: AgentAction, payment: PaymentView) -> None:
    """The facts have to say the same as the agent: nobody gets past their limit by another name for it."""
    if action.cause == "duplicate_charge" and payment.id not in duplicates_of(order):
        raise ActionRefused("/payment", "is no second charge of this order")
    if action.cause == "no_pass" and any(one.status == "valid" for one in order.passes):
        raise ActionRefused("/cause", "the order has valid tickets")


def _check_room(action: AgentAction, paid: int) -> None:
    if action.amount is None or not 0 < action.amount <= paid:
        raise ActionRefused("/amount", f"is from 1 to {paid}, what was paid")


def _cause(view: View, action: AgentAction) -> str:
    show = view.show
    if action.cause == "goodwill":
        return f"agent:{new_id().hex}"
    if action.cause == "incident":
        if show is None or action.incident not in {one.ref for one in show.incidents}:
            raise ActionRefused("/incident", "is no incident of this show")
        return f"incident:{action.incident}"
    status = {"show_cancelled": "cancelled", "show_postponed": "postponed"}.get(action.cause or "")
    if status is not None and (show is None or show.status != status):
        raise ActionRefused("/cause", f"the show is not {status}")
    return str(action.cause)


def _needed(rules: Rules, caller: Caller, view: View, action: AgentAction) -> tuple[int, tuple[str, ...]]:
    """How many people must agree, this one included, and why."""
    currency = view.order.currency if view.order else ""
    role = rules.guards.roles.get(caller.role)
    second = limit(rules.guards.second_person_over, currency)
    alone = min(limit(role.refund_max, currency) if role else 0, second)
    all_of_it = sum(one.refunded + one.reserved for one in view.order.payments) + (action.amount or 0) if view.order else 0
    if action.cause != "goodwill" and all_of_it <= alone:
        return 1, ()
    # A program's proposal above its own small limit is one person's to decide; above everybody's it is two people's.
    needs_two = caller.kind != "machine" or action.cause == "goodwill" or all_of_it > second
    return 2 if needs_two else 1, ("second_person",)
