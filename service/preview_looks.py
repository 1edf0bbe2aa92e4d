"""One look at what an action, or a yes to what is held, would do: what it stood on, and how an agent reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from policies import Guards, limit
from service import previews_shown as words
from service.callers import Caller
from service.desk_actions import ActionRefused
from service.model import WireId, wire
from service.previews_shown import ActionShown, PreviewShown, Would
from service.store.previews import Fact, HeldOperation
from service.view import View

# Long enough to read it and write a reason; what is older is looked at again, whether it moved or not.
PREVIEW_SECONDS: Final = 300.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at an action: what to store for it, and what it would do."""

    document: Mapping[str, Any]
    seen: Would
    facts: tuple[Fact, ...]
    facts_hash: str
    mark: str
    view: View


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One look at what is held."""

    row: HeldOperation
    shown: PreviewShown
    facts: tuple[Fact, ...]
    mark: str
    needed: int
    caps: Sequence[Mapping[str, Any]]
    status: str


def look_shown(look: Look, asked: ActionShown, *, by_person: bool, preview: UUID) -> PreviewShown:
    order, seen = look.view.order, look.seen
    assert order is not None  # noqa: S101 - the action document needed it
    is_refund = asked.action == "refund"
    amount = sum(one["amount"] for one in seen.would) if is_refund else None
    return PreviewShown(
        id=wire(WireId.PREVIEW, preview),
        action=asked,
        sentence=words.sentence(asked, order, amount if seen.stands else asked.amount),
        amount=amount,
        currency=order.currency,
        rail=words.rail_of(seen),
        to=words.to_of(seen),
        effects=words.effects(asked, order, seen),
        guards=words.guards(seen),
        people_needed=words.people_needed(seen, by_person=by_person),
        facts=words.fact_shown(look.facts),
        facts_hash=look.facts_hash,
        expires_at=_ends(look.view.now),
        can_confirm=seen.stands and seen.yours,
    )


def held_shown(row: HeldOperation, view: View, seen: Would, *, facts: Sequence[Fact], facts_hash: str, needed: int) -> PreviewShown:
    order = view.order
    assert order is not None  # noqa: S101 - an operation has its order
    own = [one for one in row.parts if one.operation == row.id]
    part = own[0] if len(own) == 1 else None
    asked = ActionShown(
        action=row.action,
        pass_id=wire(WireId.PASS, row.pass_id) if row.pass_id else None,
        position=next((one.ref for one in order.lines if part is not None and one.id == part.line), None),
        payment=row.payment,
        amount=row.amount,
        cause=part.cause.split(":", 1)[0] if part else None,
        incident=part.cause.partition(":")[2] or None if part and part.cause.startswith("incident:") else None,
    )
    return PreviewShown(
        id=None,
        action=asked,
        sentence=words.sentence(asked, order, row.amount),
        amount=row.amount,
        currency=order.currency,
        rail=words.rail_of(seen),
        to=words.to_of(seen),
        effects=words.effects(asked, order, seen),
        guards=words.guards(seen),
        people_needed=max(needed, row.needed),
        facts=words.fact_shown(facts),
        facts_hash=facts_hash,
        expires_at=_ends(view.now),
        can_confirm=seen.stands,
    )


def refused_shown(shown: Mapping[str, Any], refused: ActionRefused) -> PreviewShown:
    """What was possible when it was seen is not any more: the facts say so themselves."""
    before = msgspec.convert(shown, PreviewShown)
    guard = words.GuardShown(id="refused", text=f"{refused.field.lstrip('/')} {refused.message}")
    return msgspec.structs.replace(before, id=None, effects=(), guards=(guard,), facts_hash="", can_confirm=False)


def _ends(now: datetime) -> datetime:
    return now + timedelta(seconds=PREVIEW_SECONDS)


def facts_of(row: HeldOperation, needed: int) -> tuple[Fact, ...]:
    """Of the operation itself: beside what the order says, what a yes to it is a yes to."""
    return (
        Fact(name="operation.state", label="This operation", value=row.state, kind="state"),
        Fact(name="operation.amount", label="Its amount", value=row.amount, kind="money"),
        Fact(name="operation.rail", label="How it goes", value=row.rail or words.PEOPLE, kind="text"),
        Fact(name="operation.holds", label="Why it is held", value=", ".join(row.holds), kind="text"),
        Fact(name="approvals.given", label="People who have agreed", value=row.given, kind="count"),
        Fact(name="approvals.needed", label="People who have to agree", value=max(needed, row.needed), kind="count"),
    )


def as_would(row: HeldOperation, said: Mapping[str, Any], needed: int) -> Mapping[str, Any]:
    return {
        "action": row.action,
        "amount": row.amount or 0,
        "currency": row.currency or "",
        "rail": row.rail,
        "payment": row.payment or "",
        "method": row.method or "",
        "held": True,
        "holds": row.holds,
        "needed": max(needed, row.needed),
        "braked": bool(said.get("braked")),
    }


def people_needed(guards: Guards, caller: Caller, row: HeldOperation) -> int:
    """How many people must agree: two where the amount is more than this one may confirm alone."""
    role = guards.roles.get(caller.role)
    if row.amount is None or row.currency is None:
        return row.needed
    alone = limit(role.refund_max, row.currency) if role else 0
    return max(row.needed, 2) if row.amount > alone else row.needed
