"""Gathers the facts that a policy may look at: typed values about one subject, and no personal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.view import Incident, LineView, OrderView, PassView, PaymentView, ShowView, View, phase

Kind = Literal["position", "pass", "payment", "case"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the case itself brings to a decision."""

    problem: str
    requester: str
    passes: tuple[UUID, ...]
    only_pass: UUID | None
    """set for a holder: nothing of the order but this"""
    incident_ref: str | None
    answers: Mapping[str, Any]
    opened_at: datetime | None
    """None: the case is being opened now"""
    player_error: str | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a pack is asked about, with the facts of that moment."""

    kind: Kind
    facts: Mapping[str, Any]
    line: LineView | None = None
    payment: PaymentView | None = None
    pass_: PassView | None = None
    incident: Incident | None = None

    @property
    def id(self) -> UUID | None:
        thing = self.pass_ or self.payment or self.line
        return None if thing is None else thing.id


# A refund that others made says which payment it left, not which position. What it took is counted against the positions in this
# order: what is canceled, then what is no ticket, then tickets. So no position is paid for a second time.
_ELSEWHERE_FIRST: Final = {"merchandise": 0, "other": 1, "fee": 2, "venue": 3, "stream": 4}


def subjects(view: View, asked: Asked, kind: Kind) -> tuple[Subject, ...]:
    """The subjects of a case, each with its facts; never none: without an order there is one that knows only that."""
    common = _common(view, asked)
    if kind == "case":
        return (_case(view, asked, common),)
    if view.order is None:
        return (Subject(kind=kind, facts={**common, **_NO_INCIDENT}),)
    if kind == "payment":
        found = _payments(view.order, asked, common, view.now)
    elif kind == "pass":
        found = _passes(view, asked, common)
    else:
        found = _positions(view, asked, common)
    return found or (Subject(kind=kind, facts={**common, **_NOTHING[kind]}),)


def relevant_passes(view: View, asked: Asked) -> tuple[PassView, ...]:
    """The passes a case is about: the named ones, else the newest of each position that admits to the show."""
    if view.order is None:
        return ()
    lines = {line.id: line for line in _lines(view, asked)}
    newest: dict[UUID, PassView] = {}
    for one in view.order.passes:
        if one.line in lines and (one.status == "valid" or one.line not in newest or newest[one.line].status != "valid"):
            newest[one.line] = one
    wanted = set(asked.passes)
    if wanted:
        # A pass that was replaced meanwhile stands for its successor.
        of_lines = {one.line for one in view.order.passes if one.id in wanted}
        return tuple(one for line, one in newest.items() if line in of_lines)
    return tuple(newest.values())


def incident_for(show: ShowView, asked: Asked, awarded: frozenset[str]) -> Incident | None:
    """The incident a case is about: the one it names; else one still running, else the longest nobody was paid for, else the latest."""
    named = [one for one in show.incidents if one.ref == asked.incident_ref]
    if named or asked.incident_ref is not None:
        return named[0] if named else None
    running = [one for one in show.incidents if one.ends_at is None]
    if running:
        return running[0]
    open_ones = [one for one in show.incidents if one.ref not in awarded] or list(show.incidents)
    return max(open_ones, key=lambda one: (_minutes(show, one), one.starts_at), default=None)


def _case(view: View, asked: Asked, common: Mapping[str, Any]) -> Subject:
    """The case as a whole: an incident is its own when it covers what streams."""
    incident = incident_for(view.show, asked, frozenset()) if view.show else None
    return Subject(kind="case", incident=incident, facts={**common, **_incident_facts(view, incident, "stream")})


# ----------------------------------------------------------------------------------------------- what is common to all subjects


def _common(view: View, asked: Asked) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "problem": asked.problem,
        "requester.role": asked.requester,
        "case.waited_minutes": 0 if asked.opened_at is None else _minutes_between(asked.opened_at, view.now),
        "order.known": view.order is not None,
        "show.rollback": view.show is not None and view.show.settings.get("rollback") is True,
        "article.key": "",
    }
    facts.update({name: value for name, value in asked.answers.items() if name.startswith("answer.")})
    if view.show is not None:
        facts |= _show_facts(view.show, asked, view.now)
    if view.order is not None:
        facts |= _order_facts(view.order, view.now)
    else:
        facts["order.status"] = "none"
    return facts


def _show_facts(show: ShowView, asked: Asked, now: datetime) -> dict[str, Any]:
    return {
        "show.status": show.status,
        "show.phase": phase(show.starts_at, show.ends_at, now),
        "show.minutes": show.minutes,
        "show.minutes_to_start": _minutes_between(now, show.starts_at),
        "show.minutes_since_end": _minutes_between(show.ends_at, now),
        "show.new_date_known": show.status == "postponed" and show.starts_at > now,
        "article.key": show.help_page(asked.problem, asked.player_error),
    }


def _order_facts(order: OrderView, now: datetime) -> dict[str, Any]:
    paid = sum(payment.captured for payment in order.payments)
    return {
        "order.status": order.status,
        "order.currency": order.currency,
        "order.total": order.total,
        "order.paid": paid,
        "order.refunded": sum(one.refunded + one.reserved + one.elsewhere for one in order.payments),
        "order.minutes_since_purchase": _minutes_between(order.placed_at, now),
        "order.dispute_open": any(payment.dispute == "open" for payment in order.payments),
        "order.confirmed_payments": sum(payment.status == "confirmed" for payment in order.payments),
        "order.overpaid": max(0, paid - order.total),
        "order.duplicates": len(duplicates_of(order)),
        "order.resends_24h": max((one.resends_24h for one in order.passes), default=0),
        "order.valid_passes": sum(one.status == "valid" for one in order.passes),
        "order.goods": ", ".join(sorted({line.kind for line in order.lines if line.type == "position" and not line.canceled})),
        "requester.refunds_90d": order.refunds_90d,
        "requester.cases_24h": order.cases_24h,
    }


# ---------------------------------------------------------------------------------------------------------------------- positions


def _positions(view: View, asked: Asked, common: Mapping[str, Any]) -> tuple[Subject, ...]:
    assert view.order is not None  # noqa: S101 - the caller branched on it
    left = _left_by_line(view.order)
    checked_in = {one.line for one in view.order.passes if one.checked_in_at is not None}
    found = []
    for line in _lines(view, asked):
        if line.type == "fee" and (asked.problem not in {"show_cancelled", "wants_refund"} or not line.refundable):
            continue
        incident = _incident_of(view, asked, line)
        found.append(
            Subject(
                kind="position",
                line=line,
                incident=incident,
                facts={
                    **common,
                    **_incident_facts(view, incident, line.kind, _paid_incidents(view.order, line)),
                    "position.kind": line.kind,
                    "position.price": line.price,
                    "position.left": left[line.id],
                    "position.canceled": line.canceled,
                    "position.shows": len(line.shows),
                    "position.checked_in": line.id in checked_in,
                },
            )
        )
    return tuple(found)


def _lines(view: View, asked: Asked) -> Sequence[LineView]:
    """The lines a case is about: all that belong to the show, or to none in an order that admits to it; of these those of the named passes.

    Whoever asks names the show: of a show that the order does not admit to, nothing of the order is due.
    """
    assert view.order is not None  # noqa: S101 - the caller branched on it
    lines: Sequence[LineView] = view.order.lines
    if view.show is not None:
        admits = any(view.show.id in line.shows for line in lines)
        lines = [line for line in lines if view.show.id in line.shows or (admits and not line.shows)]
    named = set(asked.passes) | ({asked.only_pass} if asked.only_pass else set())
    if not named:
        return lines
    of_passes = {one.line for one in view.order.passes if one.id in named}
    return [line for line in lines if line.id in of_passes]


def _left_by_line(order: OrderView) -> dict[UUID, int]:
    """What may still go back for each line: never more than its price less awards, nor in sum than the payments can bear."""
    elsewhere = sum(payment.elsewhere for payment in order.payments)
    # Money beyond the order's total (a second charge) is no line's: a refund of it elsewhere takes nothing from a line.
    elsewhere = max(0, elsewhere - max(0, sum(payment.captured for payment in order.payments) - order.total))
    left: dict[UUID, int] = {}
    for line in sorted(order.lines, key=lambda one: (not one.canceled, _ELSEWHERE_FIRST[one.kind], one.id)):
        room = line.price - line.awarded
        taken = min(room, elsewhere)
        elsewhere -= taken
        left[line.id] = room - taken
    bearable = sum(payment.left for payment in order.payments if payment.status == "confirmed")
    for line in sorted(order.lines, key=lambda one: (one.canceled, -_ELSEWHERE_FIRST[one.kind], one.id)):
        left[line.id] = min(left[line.id], bearable)
        bearable -= left[line.id]
    return left


def _incident_of(view: View, asked: Asked, line: LineView) -> Incident | None:
    if view.show is None or view.order is None:
        return None
    return incident_for(view.show, asked, _paid_incidents(view.order, line))


def _paid_incidents(order: OrderView, line: LineView) -> frozenset[str]:
    """References of the incidents that this position was paid for."""
    return frozenset(
        harm.cause.removeprefix("incident:")
        for harm in order.harms
        if harm.line == line.id and harm.awarded > 0 and harm.cause.startswith("incident:")
    )


_NO_INCIDENT: Final[Mapping[str, Any]] = {
    "incident.applies": False,
    "incident.ended": False,
    "incident.kind": "",
    "incident.minutes": 0,
    "incident.share_missed": 0.0,
}


def _incident_facts(view: View, incident: Incident | None, kind: str, paid: frozenset[str] = frozenset()) -> Mapping[str, Any]:
    if incident is None or view.show is None:
        return _NO_INCIDENT
    minutes = _minutes(view.show, incident, view.now, paid)
    facts: dict[str, Any] = {
        "incident.ended": incident.ends_at is not None and incident.ends_at <= view.now,
        "incident.kind": incident.kind,
        "incident.minutes": minutes,
        "incident.share_missed": min(1.0, minutes / view.show.minutes) if view.show.minutes else 0.0,
    }
    if kind not in _kinds(incident):
        facts["incident.applies"] = False
    elif not (incident.scope.get("regions") or incident.scope.get("devices")):
        facts["incident.applies"] = True
    # Else nobody has told us where and on what this customer watches: the fact is missing, and people decide.
    return facts


def _minutes(show: ShowView, incident: Incident, now: datetime | None = None, paid: frozenset[str] = frozenset()) -> int:
    """Whole minutes of the show that fell into the incident, without those that other incidents (`paid`) have paid for already."""
    free = [_span(show, incident, now)]
    for other in show.incidents:
        if other.ref in paid and other.ref != incident.ref:
            free = [piece for one in free for piece in _without(one, _span(show, other, now))]
    return sum(_minutes_between(start, end) for start, end in free if end > start)


def _kinds(incident: Incident) -> frozenset[str]:
    """The kinds of position an incident touched."""
    return frozenset(incident.scope.get("position_kinds") or ("stream",))


def _span(show: ShowView, incident: Incident, now: datetime | None) -> tuple[datetime, datetime]:
    return max(incident.starts_at, show.starts_at), min(incident.ends_at or now or show.ends_at, show.ends_at)


def _without(span: tuple[datetime, datetime], taken: tuple[datetime, datetime]) -> list[tuple[datetime, datetime]]:
    """What is left of a span of time when another is taken out of it: nothing, one piece or two."""
    (start, end), (taken_start, taken_end) = span, taken
    if taken_end <= start or taken_start >= end or taken_end <= taken_start:
        return [span]
    return [(one, other) for one, other in ((start, taken_start), (taken_end, end)) if other > one]


# --------------------------------------------------------------------------------------------------------------------------- passes


def _passes(view: View, asked: Asked, common: Mapping[str, Any]) -> tuple[Subject, ...]:
    assert view.order is not None  # noqa: S101 - the caller branched on it
    lines = {line.id: line for line in view.order.lines}
    return tuple(
        Subject(
            kind="pass",
            pass_=one,
            line=lines[one.line],
            incident=_incident_of(view, asked, lines[one.line]),
            facts={
                **common,
                **_incident_facts(view, _incident_of(view, asked, lines[one.line]), lines[one.line].kind),
                "pass.status": "suspended" if one.suspended else one.status,
                "pass.kind": lines[one.line].kind,
                "pass.issuer": one.issuer,
                "pass.checked_in": one.checked_in_at is not None,
                "pass.resends_24h": one.resends_24h,
                "pass.reissues_24h": one.reissues_24h,
                "pass.replacements": one.replacements,
                "pass.has_address": lines[one.line].has_address or view.order.buyer_has_address,
                "pass.refunded": lines[one.line].price > 0 and lines[one.line].awarded >= lines[one.line].price,
            },
        )
        for one in relevant_passes(view, asked)
    )


# ------------------------------------------------------------------------------------------------------------------------- payments


def _payments(order: OrderView, asked: Asked, common: Mapping[str, Any], now: datetime) -> tuple[Subject, ...]:
    if asked.only_pass is not None:
        return ()  # a holder sees no money
    duplicates = duplicates_of(order)
    return tuple(
        Subject(
            kind="payment",
            payment=one,
            facts={
                **common,
                "payment.status": one.status,
                "payment.amount": one.amount,
                "payment.left": one.left,
                "payment.duplicate": one.id in duplicates,
                "payment.outside": one.rail is None,
                "payment.dispute": one.dispute,
                "payment.minutes_since": _minutes_between(one.paid_at or one.created_at, now),
                "payment.after_cancelling": order.cancelled_at is not None and (one.paid_at or one.created_at) > order.cancelled_at,
            },
        )
        for one in order.payments
    )


def duplicates_of(order: OrderView) -> frozenset[UUID]:
    """Later confirmed charges that overpay the order by their whole amount: the first charge is never the duplicate."""
    confirmed = [one for one in order.payments if one.status == "confirmed"]
    found, overpaid = set(), sum(one.captured for one in confirmed) - order.total
    for one in sorted(confirmed, key=lambda pay: (pay.paid_at or pay.created_at, pay.ref), reverse=True)[:-1]:
        if 0 < one.captured <= overpaid:
            found.add(one.id)
            overpaid -= one.captured
    return frozenset(found)


# What a pack hears of a subject that is not there, so that its rules can say so.
_NOTHING: Final[Mapping[str, Mapping[str, Any]]] = {
    "position": {
        "position.kind": "none",
        "position.price": 0,
        "position.left": 0,
        "position.canceled": False,
        "position.shows": 0,
        "position.checked_in": False,
        **_NO_INCIDENT,
    },
    "payment": {
        "payment.status": "none",
        "payment.amount": 0,
        "payment.left": 0,
        "payment.duplicate": False,
        "payment.outside": False,
        "payment.dispute": "none",
        "payment.minutes_since": 0,
        "payment.after_cancelling": False,
    },
    "pass": {
        **_NO_INCIDENT,
        "pass.status": "none",
        "pass.kind": "none",
        "pass.issuer": "platform",
        "pass.checked_in": False,
        "pass.resends_24h": 0,
        "pass.reissues_24h": 0,
        "pass.replacements": 0,
        "pass.has_address": False,
        "pass.refunded": False,
    },
    "case": {},
}


def _minutes_between(start: datetime, end: datetime) -> int:
    return int((end - start) // timedelta(minutes=1))
