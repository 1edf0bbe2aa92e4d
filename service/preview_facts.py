"""The facts that an action stands on, named and comparable: what a preview shows, its hash binds, a second person sees moved. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from service.desk_actions import AgentAction
from service.store.previews import Fact, FactKind, Part, Value
from service.view import HarmView, Incident, LineView, OrderView, PaymentView, ShowView, View

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an action is about, beside the order and its payments."""

    lines: tuple[UUID, ...] = ()
    passes: tuple[UUID, ...] = ()
    causes: tuple[tuple[UUID | None, UUID | None, str], ...] = ()
    """line, payment, cause"""


def about_action(action: AgentAction, refunds: Sequence[Mapping[str, Any]]) -> About:
    """Of the action as desk_actions has worked it out."""
    return About(
        lines=tuple(one["line"] for one in refunds if one["line"] is not None),
        passes=() if action.pass_id is None else (action.pass_id,),
        # Goodwill has a cause of its own each time: nothing was ever given for it.
        causes=tuple((one["line"], one["payment"], one["cause"]) for one in refunds if not one["cause"].startswith("agent:")),
    )


def about_parts(parts: Sequence[Part], pass_id: UUID | None) -> About:
    """Of what is held already."""
    return About(
        lines=tuple(dict.fromkeys(one.line for one in parts if one.line is not None)),
        passes=() if pass_id is None else (pass_id,),
        causes=tuple(dict.fromkeys((one.line, one.payment, one.cause) for one in parts if not one.cause.startswith("agent:"))),
    )


def without(view: View, parts: Sequence[Part]) -> View:
    """The view as if this decision had not been made: whoever looks again compares with what the first saw before it was."""
    order = view.order
    if order is None:
        return view
    counted = [one for one in parts if one.state not in {"REFUSED", "FAILED"}]
    return msgspec.structs.replace(
        view,
        order=msgspec.structs.replace(
            order,
            payments=tuple(_payment_without(one, counted) for one in order.payments),
            lines=tuple(_line_without(one, counted) for one in order.lines),
            harms=tuple(_harm_without(one, counted) for one in order.harms),
        ),
    )


def _payment_without(payment: PaymentView, parts: Sequence[Part]) -> PaymentView:
    done = sum(one.amount for one in parts if one.pays == payment.id and one.state == "DONE")
    waits = sum(one.amount for one in parts if one.pays == payment.id and one.state != "DONE")
    return msgspec.structs.replace(payment, refunded=payment.refunded - done, reserved=payment.reserved - waits)


def _line_without(line: LineView, parts: Sequence[Part]) -> LineView:
    return msgspec.structs.replace(line, awarded=line.awarded - sum(one.amount for one in parts if one.line == line.id))


def _harm_without(harm: HarmView, parts: Sequence[Part]) -> HarmView:
    ours = sum(one.amount for one in parts if (one.line, one.payment, one.cause) == (harm.line, harm.payment, harm.cause))
    return msgspec.structs.replace(harm, awarded=harm.awarded - ours)


def facts(view: View, about: About) -> tuple[Fact, ...]:
    """What the action stands on, in the order in which it is shown. No personal data."""
    order = view.order
    if order is None:
        return ()
    found = [
        Fact(name="order.status", label="Order", value=order.status, kind="state"),
        Fact(name="order.total", label="Order total", value=order.total, kind="money"),
    ]
    if view.show is not None:
        found += _show_facts(view.show)
        found += [fact for one in view.show.incidents if _is_cause(about, one.ref) for fact in _incident_facts(one)]
    for payment in order.payments:
        found += _payment_facts(payment)
    for line in order.lines:
        if line.id in about.lines:
            found += _line_facts(line)
            found += _line_pass_facts(order, line)
    found += [_given(order, one) for one in about.causes]
    for number, pass_id in enumerate(about.passes, 1):
        found += _pass_facts(order, pass_id, number)
    return tuple(found)


def _show_facts(show: ShowView) -> list[Fact]:
    return [
        Fact(name="show.status", label="Show", value=show.status, kind="state"),
        Fact(name="show.starts_at", label="Show begins", value=show.starts_at.isoformat(), kind="text"),
        Fact(name="show.ends_at", label="Show ends", value=show.ends_at.isoformat(), kind="text"),
        Fact(name="show.version", label="Show: version of what its platform told", value=show.version, kind="count"),
    ]


def _incident_facts(one: Incident) -> list[Fact]:
    """Awards by minutes count its span."""
    ends_at = one.ends_at.isoformat() if one.ends_at else None
    return [
        Fact(name=f"incident.{one.ref}.ended", label=f"Incident {one.ref} is over", value=one.ends_at is not None, kind="yes_no"),
        Fact(name=f"incident.{one.ref}.starts_at", label=f"Incident {one.ref}: from", value=one.starts_at.isoformat(), kind="text"),
        Fact(name=f"incident.{one.ref}.ends_at", label=f"Incident {one.ref}: to", value=ends_at, kind="text"),
    ]


def _is_cause(about: About, incident: str) -> bool:
    return any(cause == f"incident:{incident}" for _, _, cause in about.causes)


def _payment_facts(one: PaymentView) -> list[Fact]:
    def fact(name: str, label: str, value: Value, kind: FactKind = "money") -> Fact:
        return Fact(name=f"payment.{one.ref}.{name}", label=f"{one.method or 'Payment'} ({one.ref}): {label}", value=value, kind=kind)

    return [
        fact("status", "state", one.status, "state"),
        fact("provider_ref", "the processor's charge", one.provider_ref, "text"),
        fact("captured", "charged", one.captured),
        fact("refunded", "sent back", one.refunded),
        fact("under_way", "being sent back, or promised", one.reserved),
        fact("elsewhere", "sent back elsewhere", one.elsewhere),
        fact("dispute", "dispute", one.dispute, "state"),
    ]


def _line_facts(line: LineView) -> list[Fact]:
    def fact(name: str, label: str, value: Value, kind: FactKind = "money") -> Fact:
        return Fact(name=f"position.{line.ref}.{name}", label=f"{line.name} ({line.ref}): {label}", value=value, kind=kind)

    return [
        fact("price", "paid for it", line.price),
        fact("given", "given back for it", line.awarded),
        fact("canceled", "canceled", line.canceled, "yes_no"),
    ]


def _line_pass_facts(order: OrderView, line: LineView) -> list[Fact]:
    """Whether somebody has used what is given back, with this ticket or one that it replaced."""
    passes = [one for one in order.passes if one.line == line.id]

    def fact(name: str, label: str, value: Value, kind: FactKind) -> Fact:
        return Fact(name=f"ticket.{line.ref}.{name}", label=f"Ticket {line.name} ({line.ref}): {label}", value=value, kind=kind)

    if not passes:
        return []
    return [
        fact("status", "state", ", ".join(sorted(one.status for one in passes)), "state"),
        fact("checked_in", "used at the door", any(one.checked_in_at is not None for one in passes), "yes_no"),
        fact("replacements", "replaced so far", passes[0].replacements, "count"),
    ]


def _given(order: OrderView, about: tuple[UUID | None, UUID | None, str]) -> Fact:
    given = sum(one.awarded for one in order.harms if (one.line, one.payment, one.cause) == about)
    line, payment, cause = about
    where = next((one.ref for one in order.lines if one.id == line), None) or next(
        (one.ref for one in order.payments if one.id == payment), ""
    )
    label = f"Given already for {cause.replace('_', ' ')} ({where})"
    return Fact(name=f"cause.{cause}.{where}.given", label=label, value=given, kind="money")


def _pass_facts(order: OrderView, pass_id: UUID, number: int) -> list[Fact]:
    one = next((one for one in order.passes if one.id == pass_id), None)
    line = next((line for line in order.lines if one is not None and line.id == one.line), None)
    if one is None or line is None:
        return [Fact(name=f"ticket.{number}.status", label="Ticket", value="gone", kind="state")]

    def fact(name: str, label: str, value: Value, kind: FactKind) -> Fact:
        return Fact(name=f"ticket.{line.ref}.{name}", label=f"Ticket {line.name} ({line.ref}): {label}", value=value, kind=kind)

    return [
        fact("status", "state", one.status, "state"),
        fact("checked_in", "used at the door", one.checked_in_at is not None, "yes_no"),
        fact("replacements", "replaced so far", one.replacements, "count"),
        fact("given_back", "its price was given back", line.price > 0 and line.awarded >= line.price, "yes_no"),
    ]


def facts_hash(action: Mapping[str, Any], found: Sequence[Fact], outcome: object) -> str:
    """Binds a yes to what was seen: the action, its facts, and what it would do. SHA-256 of their JSON with sorted keys, in hex."""
    values = {one.name: one.value for one in found}
    return hashlib.sha256(_ENCODER.encode({"action": action, "facts": values, "outcome": outcome})).hexdigest()


def moved(before: Sequence[Fact], now: Sequence[Fact]) -> tuple[str, ...]:
    """Names of the facts that are not as they were, or were not there, or are not there any more."""
    was, is_now = {one.name: one.value for one in before}, {one.name: one.value for one in now}
    return tuple(name for name in dict.fromkeys((*was, *is_now)) if was.get(name) != is_now.get(name))
