"""What an agent might do next: what is held, what the rules would do now, what the order's facts say, and what the rule suggests.

A suggestion is no decision: each is previewed and confirmed like anything else, so what a preview would stop is not suggested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

import msgspec

from service.callers import NOTHING_PROVEN, Caller
from service.desk_actions import ActionRefused, AgentAction
from service.facts import duplicates_of
from service.model import Cause, WireId, wire
from service.plan import Plan, admits
from service.previews import Previews
from service.previews_shown import ActionShown, action_shown, amount_text, hold_shown, people_needed
from service.resolution import decides_now
from service.rulebook import Rulebook
from service.store import cases as case_store
from service.store import view as view_store
from service.store.cases import CaseRecord, OperationRow
from service.store.flow import CaseRow, FlowStore
from service.store.pool import Pool
from service.view import LineView, OrderView, PassView, PaymentView, View

# One key each, most within the left hand's reach, none that means something on every case (service/ui/src/desk).
KEYS: Final = "asdgqxzu"
# What only somebody else can let go: a colleague's yes does nothing.
_OUT_OF_REACH: Final = frozenset({"referral", "dispute"})
# More to choose from is slower than looking; the rest is found in the case.
_SUGGESTIONS_MAX: Final = len(KEYS)
# Each try is one short transaction under the order's lock: of a hundred tickets these are looked at.
_TRIES_MAX: Final = 2 * _SUGGESTIONS_MAX
_PASS_LABELS: Final[Mapping[str, str]] = {
    "reissue_access": "New stream link for {name}",
    "resend_pass": "Mail {name} again",
    "replace_pass": "Replace {name}",
}


class SuggestionShown(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    """a letter for the keyboard"""
    label: str
    why: str
    action: ActionShown | None = None
    """for `POST /v1/cases/{id}/previews`"""
    approve: str | None = None
    """an operation that is held: see `GET /v1/operations/{id}/preview`"""
    reply: bool = False
    """words to the customer are suggested"""
    people_needed: int = 1


class SuggestionsShown(msgspec.Struct, frozen=True, kw_only=True):
    suggestions: tuple[SuggestionShown, ...]


class _Idea(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    why: str
    action: AgentAction


class Suggestions:
    def __init__(self, pool: Pool, flow: FlowStore, rulebook: Rulebook, previews: Previews) -> None:
        self._pool = pool
        self._flow = flow
        self._rulebook = rulebook
        self._previews = previews

    async def of(self, caller: Caller, case: UUID) -> SuggestionsShown:
        """At most eight, the most pressing first; none for a case that has ended."""
        record = await case_store.read(self._pool, caller.platform_id, case, NOTHING_PROVEN)
        row = await self._flow.case(caller.platform_id, case if record is None else record.id)
        if record is None or row is None or row.state != "open":
            return SuggestionsShown(suggestions=())
        found = [_agree(one) for one in record.operations if one.state == "HELD" and not _OUT_OF_REACH & set(one.holds)]
        wanted = _suggested(record)
        if row.order is not None:
            view = await view_store.read(self._pool, caller.platform_id, order=row.order, show=row.show)
            rules = await self._rulebook.of(view)
            ideas = _ideas(view, decides_now(rules, row, view), wanted, row.problem)
            found += await self._possible(caller, row, view, ideas, most=_SUGGESTIONS_MAX - len(found))
        if _waits_for_words(record, wanted):
            found.append(SuggestionShown(key="", label="Write to the customer", why="They wait for words.", reply=True))
        return SuggestionsShown(suggestions=tuple(msgspec.structs.replace(one, key=key) for key, one in zip(KEYS, found, strict=False)))

    async def _possible(self, caller: Caller, row: CaseRow, view: View, ideas: Iterator[_Idea], *, most: int) -> list[SuggestionShown]:
        """Those that would be done, at once or with somebody's yes; each once."""
        found: list[SuggestionShown] = []
        each: dict[AgentAction, _Idea] = {}
        for one in ideas:
            each.setdefault(one.action, one)
        for one in islice(each.values(), _TRIES_MAX):
            if len(found) >= most:
                break
            try:
                seen = await self._previews.would(caller, row, view, one.action)
            except ActionRefused:
                continue
            if seen.stands:
                needed = people_needed(seen, by_person=caller.kind == "agent")
                found.append(SuggestionShown(key="", label=one.label, why=one.why, action=action_shown(one.action), people_needed=needed))
        return found


def _agree(one: OperationRow) -> SuggestionShown:
    what = amount_text(one.amount, one.currency) + " back" if one.amount and one.currency else one.action.replace("_", " ")
    why = " ".join(hold_shown(hold).text for hold in one.holds) or "It waits for people."
    return SuggestionShown(
        key="", label=f"Agree: {what}", why=why, approve=wire(WireId.OPERATION, one.id), people_needed=max(one.approvals_needed, 1)
    )


def _suggested(record: CaseRecord) -> frozenset[str]:
    """What the rules that handed over suggest."""
    verdicts: Sequence[Any] = [one["verdict"] for one in record.verdicts]
    return frozenset(name for one in verdicts for name in (one.get("escalate") or {}).get("suggest") or ())


def _waits_for_words(record: CaseRecord, wanted: frozenset[str]) -> bool:
    """The customer has the last word, or none was said and the rule wants some."""
    said = [one.kind for one in record.messages if one.kind != "note"]
    return said[-1] == "customer" if said else "reply" in wanted


def _ideas(view: View, plan: Plan, wanted: frozenset[str], problem: str) -> Iterator[_Idea]:
    order = view.order
    if order is None:
        return
    yield from _of_plan(order, plan)
    yield from _second_charges(order)
    if problem == "charged_no_pass" and not any(one.status == "valid" for one in order.passes):
        for pay in order.payments:
            if pay.status == "confirmed":
                yield from _back(order, "no_pass", "The order has no valid ticket.", pay=pay)
    yield from _for_the_show(view, order)
    yield from _for_passes(view, order, wanted)
    if "refund" in wanted or problem == "wants_refund":
        for line in order.lines:
            if line.type == "position":
                yield from _back(order, "remorse", "The rule leaves it to you.", line=line)


def _back(
    order: OrderView,
    cause: Cause,
    why: str,
    *,
    what: str | None = None,
    line: LineView | None = None,
    pay: PaymentView | None = None,
    most: int | None = None,
    incident: str | None = None,
) -> Iterator[_Idea]:
    """What is left to give for this cause, at most `most` in all; nothing, where nothing is."""
    full = f"incident:{incident}" if incident else cause
    subject = (line.id if line else None, pay.id if pay else None, full)
    given = sum(one.awarded for one in order.harms if (one.line, one.payment, one.cause) == subject)
    paid = line.price if line else pay.captured if pay else 0
    room = sum(one.left for one in order.payments if one.status == "confirmed" and (pay is None or one.id == pay.id))
    amount = min(paid - line.awarded if line else paid - given, (paid if most is None else most) - given, room)
    if amount <= 0:
        return
    action = AgentAction(
        action="refund",
        amount=given + amount,
        cause=cause,
        incident=incident,
        position=line.ref if line else None,
        payment=pay.ref if pay else None,
    )
    name = what or (line.name if line else f"the charge on {pay.method or pay.ref}" if pay else "")
    yield _Idea(label=f"Send back {amount_text(amount, order.currency)}, {name}", why=why, action=action)


def _of_plan(order: OrderView, plan: Plan) -> Iterator[_Idea]:
    """What the rules approve now: for a case that came to people for another reason."""
    lines, payments = {one.id: one for one in order.lines}, {one.id: one for one in order.payments}
    for one in plan.refunds:
        cause, _, incident = one["cause"].partition(":")
        line, pay = lines.get(one["line"]), payments.get(one["payment"])
        yield from _back(order, cause, "A rule approves it now.", line=line, pay=pay, most=one["award"], incident=incident or None)


def _second_charges(order: OrderView) -> Iterator[_Idea]:
    doubles = duplicates_of(order)
    for pay in order.payments:
        if pay.id in doubles:
            why = f"{pay.method or pay.ref} was charged on top of what the order costs."
            yield from _back(order, "duplicate_charge", why, what="the second charge", pay=pay)


def _for_the_show(view: View, order: OrderView) -> Iterator[_Idea]:
    causes: Mapping[str, Cause] = {"cancelled": "show_cancelled", "postponed": "show_postponed"}
    cause = causes.get(view.show.status) if view.show else None
    if cause is None or view.show is None:
        return
    for line in order.lines:
        if line.type == "position" and admits(view, line.id):
            yield from _back(order, cause, f"The show is {view.show.status}.", line=line)


def _for_passes(view: View, order: OrderView, wanted: frozenset[str]) -> Iterator[_Idea]:
    names = {line.id: f"{line.name} ({line.ref})" for line in order.lines}
    for name, label in _PASS_LABELS.items():
        if name not in wanted:
            continue
        for one in order.passes:
            if one.status == "valid" and (view.show is None or admits(view, one.line)):
                yield _of_pass(name, label.format(name=names.get(one.line, "the ticket")), one)


def _of_pass(name: str, label: str, one: PassView) -> _Idea:
    action = msgspec.convert({"action": name, "pass_id": one.id}, AgentAction)
    return _Idea(label=label, why="The rule suggests it.", action=action)
