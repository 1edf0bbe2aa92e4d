"""What an agent may do to an order, as the plan that carries it out: causes are checked, limits of the role decide how many must agree."""

from __future__ import annotations

from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from policies import limit
from service.callers import Caller
from service.facts import duplicates_of
from service.model import new_id
from service.operations import LEASE_SECONDS
from service.plan import Rules, admits, caps_of, pass_action, payment_order
from service.view import OrderView, PaymentView, View

Cause = Literal["incident", "show_cancelled", "show_postponed", "duplicate_charge", "no_pass", "remorse", "goodwill"]

# What happened to the show itself: it is owed for what admits to that show.
_OF_A_SHOW: Final = frozenset({"incident", "show_cancelled", "show_postponed"})


class AgentAction(msgspec.Struct, frozen=True, kw_only=True):
    action: Literal["refund", "reissue_access", "resend_pass", "replace_pass", "void_pass"]
    reason: str
    """why, in the agent's words; it stands on the timeline"""
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


def action_document(rules: Rules, caller: Caller, view: View, action: AgentAction) -> dict[str, Any]:
    """The action as case_act takes it. Raises ActionRefused."""
    refunds = [_refund(rules, caller, view, action)] if action.action == "refund" else []
    passes = [] if refunds else [_pass(view, action)]
    return {
        "decision": new_id(),
        "agent": caller.agent_id,
        "actor": caller.name,
        "reason": action.reason,
        "action": action.action,
        "refunds": refunds,
        "passes": passes,
        "payments": payment_order(view),
        "needed": _needed(rules, caller, view, action) if refunds else 1,
        "caps": caps_of(rules, view),
        "ids": [new_id() for _ in payment_order(view)],
        "lease_seconds": LEASE_SECONDS,
    }


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


def _needed(rules: Rules, caller: Caller, view: View, action: AgentAction) -> int:
    """How many people must agree, this one included."""
    currency = view.order.currency if view.order else ""
    role = rules.guards.roles.get(caller.role)
    alone = min(limit(role.refund_max, currency) if role else 0, limit(rules.guards.second_person_over, currency))
    before = sum(one.refunded + one.reserved for one in view.order.payments) if view.order else 0
    return 2 if action.cause == "goodwill" or before + (action.amount or 0) > alone else 1
