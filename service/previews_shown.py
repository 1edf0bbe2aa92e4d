"""What somebody sees before they say yes: what would happen in sentences, what stands in the way, and the facts it stands on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from babel import Locale

from service.desk_actions import AgentAction
from service.letters.words import money
from service.model import Money, WireId, unwire, wire
from service.store.previews import Fact, FactKind
from service.view import OrderView

PEOPLE: Final = "people"
"""in place of a rail: people send it"""
_ENGLISH: Final = Locale.parse("en")


class ActionShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; `POST /v1/cases/{id}/previews` takes it as it is."""

    action: str
    pass_id: str | None = None
    position: str | None = None
    payment: str | None = None
    amount: int | None = None
    cause: str | None = None
    incident: str | None = None


class GuardShown(msgspec.Struct, frozen=True, kw_only=True):
    """What would stop or hold it."""

    id: str
    text: str


class FactShown(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    label: str
    value: str | int | bool | None
    """money in minor units of the order's currency"""
    kind: FactKind
    """how to say the value: `money`; `count`, a number of things; `text`; `yes_no`; `state`, a word of a fixed list"""


class PreviewShown(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen, worked out by doing it and taking it back."""

    id: str | None
    """send it to `POST /v1/cases/{id}/actions`; none for what is held already"""
    action: ActionShown
    sentence: str
    amount: int | None
    """minor units that would go back: at most what is left of what was asked for"""
    currency: str | None
    """the order's, of every sum that is shown"""
    rail: str | None
    """how it goes: rails by name, `people` (they send it), `mail`, `issuer`, or `here`"""
    to: str | None
    effects: tuple[str, ...]
    guards: tuple[GuardShown, ...]
    people_needed: int
    """who must agree in all, whoever confirms included; 0: a program may do it alone"""
    facts: tuple[FactShown, ...]
    facts_hash: str
    expires_at: datetime
    can_confirm: bool


class ProposedShown(msgspec.Struct, frozen=True, kw_only=True):
    """What the first person saw."""

    by: str
    at: datetime
    reason: str
    preview: PreviewShown


class OperationPreviewShown(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who is to agree sees: what the first saw, what is so now, and what has moved in between."""

    operation: str
    sentence: str
    proposed: ProposedShown | None
    now: PreviewShown
    moved: tuple[str, ...]
    """names of facts"""


class Would(msgspec.Struct, frozen=True, kw_only=True):
    """What the database said: it did it, looked, and took it back."""

    status: str
    yours: bool = True
    why: str = ""
    would: tuple[Mapping[str, Any], ...] = ()
    """operations: action, amount, currency, rail, payment, method, position, held, holds, needed, braked"""
    ends: tuple[str, ...] = ()
    """positions whose tickets admit nobody any more once it is sent"""

    @property
    def stands(self) -> bool:
        return self.status == "stored"

    @property
    def outcome(self) -> Mapping[str, Any]:
        """What a yes is bound to. Who has the case is no fact of the order."""
        return {"status": self.status, "why": self.why, "would": self.would, "ends": self.ends}


def action_shown(action: AgentAction) -> ActionShown:
    fields = msgspec.structs.asdict(action)
    return ActionShown(**{**fields, "pass_id": wire(WireId.PASS, action.pass_id) if action.pass_id else None})


def action_asked(shown: ActionShown) -> AgentAction:
    fields = msgspec.structs.asdict(shown)
    return AgentAction(**{**fields, "pass_id": unwire(WireId.PASS, shown.pass_id) if shown.pass_id else None})


def amount_text(minor: int, currency: str) -> str:
    return money(Money(minor=minor, currency=currency), _ENGLISH)


def fact_shown(facts: Sequence[Fact]) -> tuple[FactShown, ...]:
    return tuple(FactShown(name=one.name, label=one.label, value=one.value, kind=one.kind) for one in facts)


# ------------------------------------------------------------------------------------------------------------- sentences

_CAUSES: Final[Mapping[str, str]] = {
    "incident": "part of the show was missing",
    "show_cancelled": "the show was cancelled",
    "show_postponed": "the show was moved to another date",
    "duplicate_charge": "it was charged twice",
    "no_pass": "it was paid, and there was no ticket for it",
    "remorse": "the customer gives it back",
    "goodwill": "as a gesture of goodwill",
    "agent": "as a gesture of goodwill",
}
_PASS_SENTENCES: Final[Mapping[str, str]] = {
    "reissue_access": "Make a new stream link for {what}.",
    "resend_pass": "Mail {what} once more.",
    "replace_pass": "Replace {what} by a new one.",
    "void_pass": "Void {what}.",
}
_PASS_EFFECTS: Final[Mapping[str, str]] = {
    "reissue_access": "Every older stream link of this ticket for this show stops at once.",
    "resend_pass": "The ticket goes to its holder's address; nothing else changes.",
    "replace_pass": "The new ticket is mailed to its holder; the old one, its barcode and its stream links stop.",
    "void_pass": "The ticket and its stream links admit nobody any more. No money moves.",
}


def sentence(action: ActionShown, order: OrderView, amount: int | None) -> str:
    """What it is, in one line."""
    if action.action != "refund":
        return _PASS_SENTENCES.get(action.action, "{what}").format(what=_ticket(action, order))
    line = next((one.name for one in order.lines if one.ref == action.position), None)
    paid = next((one for one in order.payments if one.ref == action.payment), None)
    what = line or (f"the charge on {paid.method or paid.ref}" if paid else "the order")
    why = _CAUSES.get(action.cause or "", "it was decided")
    return f"Send back {amount_text(amount or 0, order.currency)} for {what}: {why}."


def _ticket(action: ActionShown, order: OrderView) -> str:
    pass_id = unwire(WireId.PASS, action.pass_id or "")
    line_id = next((one.line for one in order.passes if one.id == pass_id), None)
    line = next((one for one in order.lines if one.id == line_id), None)
    return f"the ticket {line.name} ({line.ref})" if line else "the ticket"


def effects(action: ActionShown, order: OrderView, seen: Would) -> tuple[str, ...]:
    """What changes, and for whom; nothing for what cannot be done."""
    if not seen.stands:
        return ()
    if action.action != "refund":
        return (_PASS_EFFECTS.get(action.action, ""),)
    found = []
    total = sum(one["amount"] for one in seen.would)
    for one in seen.would:
        sum_of = amount_text(one["amount"], one["currency"])
        to = one.get("method") or one["payment"]
        way = f"over the rail {one['rail']}" if one.get("rail") else "by people, since no rail of yours took this payment"
        found.append(f"{sum_of} goes back to {to}, {way}.")
    if action.amount is not None and total < action.amount:
        found.append(f"Asked for {amount_text(action.amount, order.currency)}; {amount_text(total, order.currency)} is left to give.")
    names = [f"{one.name} ({one.ref})" for one in order.lines if one.ref in seen.ends and one.type == "position"]
    if names:
        found.append(f"Ends access: {', '.join(names)} admits nobody any more once it is sent, nor while it waits.")
    else:
        found.append("Tickets and access stay as they are.")
    return tuple(found)


# ---------------------------------------------------------------------------------------------------------------- guards

_HOLDS: Final[Mapping[str, str]] = {
    "mode": "The mode of this action is `suggest`: a person has to agree.",
    "amount": "It is more than what goes out without a person.",
    "second_person": "It is goodwill, or more than may be sent alone: another person has to agree.",
    "machine": "A program proposes it, and no rule gives it now: people decide.",
    "outside": "No rail of yours took this payment: people send it, then settle it with its reference.",
    "recovered": "This order has a refund that a restored backup forgot: look at it first.",
    "referral": "Another team judges it first.",
    "dispute": "The bank is deciding: nobody can release it.",
    "cap_customer_day": "The customer's most for a day is reached: people decide.",
    "cap_rail_day": "The rail's most for a day is reached: people decide.",
    "cap_show_hour": "The show's most for an hour is reached: people decide.",
}
_STOPS: Final[Mapping[str, str]] = {
    "not_yours": "You have not taken this case, or somebody else has it.",
    "ended": "The case has ended.",
    "already_paid": "This was given already: nothing is left of it.",
    "disputed": "A dispute is open on this order: the bank may give the money back.",
    "no_room": "The payments cannot bear it: less is left than you ask for.",
    "given_back": "This ticket's price was given back: nothing new is made for it.",
    "machine": "Only people can agree: a program's yes does not count.",
    "same_person": "You have agreed already: it takes another person.",
    "not_held": "It is not held any more: it was carried out, or refused.",
    "cap_reached": "A cap is reached: it stays held until its window is over.",
    "referred": "Another team judges this order: it waits for their answer.",
    "excess": "More would go back than came in: it was refunded elsewhere.",
}
_WHY: Final[Mapping[str, str]] = {"the payments cannot bear it": "no_room", "the pass was given back": "given_back"}
"""what the awards' functions say when they refuse"""
_BRAKED: Final = GuardShown(id="brake", text="A brake is on: it is stored, and sent when the brake is released.")


def guards(seen: Would) -> tuple[GuardShown, ...]:
    """What stops it, then what holds it, then what delays it."""
    stops = [] if seen.stands else [stop_of(seen)]
    if seen.stands and not seen.yours:
        stops = ["not_yours"]
    holds = dict.fromkeys(hold for one in seen.would for hold in one["holds"])
    found = [stop(one) for one in stops] + [hold_shown(one) for one in holds]
    return (*found, *((_BRAKED,) if any(one["braked"] for one in seen.would) else ()))


def stop_of(seen: Would) -> str:
    """Why it cannot be done, in a word."""
    return _WHY.get(seen.why, "disputed") if seen.status == "disputed" else seen.status


def stop(name: str) -> GuardShown:
    return GuardShown(id=name, text=_STOPS.get(name, name))


def hold_shown(name: str) -> GuardShown:
    return GuardShown(id=name, text=_HOLDS.get(name, f"It is held: {name}."))


def braked() -> GuardShown:
    return _BRAKED


def people_needed(seen: Would, *, by_person: bool) -> int:
    return max([1 if by_person else 0, *(int(one["needed"]) for one in seen.would)])


def rail_of(seen: Would) -> str | None:
    return ", ".join(dict.fromkeys(one.get("rail") or PEOPLE for one in seen.would)) or None


def to_of(seen: Would) -> str | None:
    return ", ".join(dict.fromkeys(one["method"] for one in seen.would if one.get("method"))) or None
