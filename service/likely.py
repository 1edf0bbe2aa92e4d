"""What is likely wrong with a customer's orders: problems whose facts show, each decided by the very rules that would decide its case.

What the rules would do is worked out as where a case is opened, up to the plan; what that would pay, and where to, the database says by
doing it and taking it back. Nothing is stored, and there is no second copy of any rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, cast
from uuid import UUID

import msgspec

from service import shown as words
from service.callers import Caller
from service.contacts import Contact, Offered
from service.facts import duplicates_of
from service.identity import Identity
from service.model import PLATFORM_ANSWERS, Channel, Problem, new_id
from service.plan import Judged, Plan
from service.resolution import Considered, Resolution
from service.store import view as view_store
from service.store.flow import FlowStore
from service.store.help import EntryRow
from service.store.pool import Pool
from service.view import View

# An order is read at its platform once, and the facts may move twice under a look; then people would look as well.
_LOOKS_MAX: Final = 3
# What one screen offers for one order; more than two things at once have not been seen.
_LIKELY_MAX: Final = 4

Outcome = Literal["approve", "wait", "ask", "escalate", "deny"]
Place = tuple[UUID, UUID | None]
"""an order, and one of its shows"""


class Likely(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from"}):
    """What the rules would do now, if this were said; nothing of it is stored."""

    problem: str
    incident: str | None = None
    outcome: Outcome
    because: str
    would_change: str | None = None
    actions: tuple[str, ...] = ()
    """what would be done, in order; empty: nothing, or it was done or is under way already"""
    amount: int | None = None
    """what would be paid now, in minor units"""
    currency: str | None = None
    to: str | None = None
    """where the money would go: `Visa ·· 4242`"""
    held: bool = False
    """of `approve`: a person agrees first"""
    since: datetime | None = None
    """of an outage"""
    until: datetime | None = None


class Likelies:
    """Looks before anything is opened. One a process."""

    def __init__(self, pool: Pool, flow: FlowStore, resolution: Resolution, identity: Identity) -> None:
        self._pool = pool
        self._flow = flow
        self._resolution = resolution
        self._identity = identity

    async def preview(self, caller: Caller, contact: Contact) -> Likely:
        """What would become of this contact. Of an order that is not theirs it says the same as of one that does not exist.

        Raises NotTheirPasses, TooMany.
        """
        await self._identity.count_look(caller)
        return await self.now(caller, contact)

    async def now(self, caller: Caller, contact: Contact) -> Likely:
        """The same uncounted, for whoever was just refused what they had been offered."""
        contact = msgspec.structs.replace(contact, offered=None, key=new_id().hex)
        was_read = False
        for _ in range(_LOOKS_MAX):
            considered = await self._resolution.consider(caller, contact)
            if not was_read:
                was_read = True
                plan = await self._resolution.read_first(caller, contact, considered)
                if plan is None:
                    continue
                considered = msgspec.structs.replace(considered, plan=plan)
            (would,) = await self._would(caller, [(contact, considered)])
            if would["status"] != "moved":
                return _likely(considered, would, contact.locale)
        return Likely(problem=contact.problem, outcome="wait", because=words.platform_away(contact.locale))

    async def of_answer(self, caller: Caller, case: UUID, fact: str, value: str) -> Likely:
        """What would become of a case if its customer answered this. That it is asked, and may be, is known by then. Raises TooMany."""
        await self._identity.count_look(caller)
        return await self.answered(caller.platform_id, case, fact, value)

    async def answered(self, platform: UUID, case: UUID, fact: str, value: str) -> Likely:
        """The same uncounted."""
        row = await self._flow.case(platform, case)
        for look in range(_LOOKS_MAX):
            if row is None or row.state != "open":
                break
            answers = {**row.answers, fact: value}
            answered = msgspec.structs.replace(row, answers=answers)
            considered = await self._resolution.consider_answered(platform, answered, reads=look == 0)
            would = _NOTHING
            if considered.plan.refunds or considered.plan.passes:
                would = await self._flow.answer_would(self._resolution.answer_document(platform, answered, considered))
            if would["status"] in {"stored", "opened"}:
                return _likely(considered, would, row.locale)
            row = await self._flow.case(platform, case)
        locale = "en" if row is None else row.locale
        return Likely(problem="other" if row is None else row.problem, outcome="wait", because=words.platform_away(locale))

    async def of_entries(self, caller: Caller, entries: Sequence[EntryRow], locale: str) -> Mapping[Place, tuple[Likely, ...]]:
        """For each order and show what its facts say is wrong; one statement for each, and one for all that would be done."""
        looks: list[tuple[Place, Contact, Considered]] = []
        for one in entries:
            show = one.show.id if one.show else None
            view = await view_store.read(self._pool, caller.platform_id, order=one.order_id, show=show, proofs=caller.proofs)
            taken: set[UUID] = set()
            for problem, passes in _candidates(view, one):
                contact = _contact(one, problem, passes, locale)
                considered = await self._resolution.consider(caller, contact, view)
                touched = _touched(considered.plan)
                if _shows(considered) and taken.isdisjoint(touched):
                    taken |= touched
                    looks.append(((one.order_id, show), contact, considered))
        would = await self._would(caller, [(contact, considered) for _, contact, considered in looks])
        found: dict[Place, tuple[Likely, ...]] = {}
        for (place, contact, considered), done in zip(looks, would, strict=True):
            likely = _likely(considered, done, contact.locale)
            if likely.outcome != "approve" or likely.actions:
                found[place] = (*found.get(place, ()), likely)[:_LIKELY_MAX]
        return found

    async def _would(self, caller: Caller, looks: Sequence[tuple[Contact, Considered]]) -> Sequence[Mapping[str, Any]]:
        """What each would bring; the database is asked only for what something would be done."""
        asked: dict[int, Mapping[str, Any]] = {}
        for number, (contact, considered) in enumerate(looks):
            if considered.plan.refunds or considered.plan.passes:
                opened, decided = self._resolution.documents(caller, contact, considered, new_id())
                asked[number] = {"open": opened, "decide": decided | {"begin": False}}
        answers = dict(zip(asked, await self._flow.would(list(asked.values())), strict=True)) if asked else {}
        return [answers.get(number, _NOTHING) for number in range(len(looks))]


_NOTHING: Final[Mapping[str, Any]] = {"status": "opened", "would": (), "to": None}


def fits(offered: Offered, likely: Likely) -> bool:
    """Whether what would be done is what its customer said yes to: no less, in that currency, and nowhere else. As `offer_holds` has it."""
    if likely.amount is None or likely.amount < offered.amount or likely.currency != offered.currency:
        return False
    return offered.to is None or offered.to == likely.to


# --------------------------------------------------------------------------------------------------- which problems show


def _candidates(view: View, entry: EntryRow) -> Sequence[tuple[Problem, tuple[UUID, ...]]]:
    """Problems of which a fact can be seen, and the passes they are about; what is due most comes first. What is open is not said again."""
    order, show = view.order, view.show
    if order is None:
        return ()
    confirmed = [one for one in order.payments if one.status == "confirmed" and one.left > 0]
    admits = any(line.kind in {"stream", "venue"} for line in order.lines)
    found: list[tuple[Problem, tuple[UUID, ...], bool]] = [
        (Problem.SHOW_CANCELLED, (), show is not None and show.status == "cancelled"),
        (Problem.SHOW_POSTPONED, (), show is not None and show.status == "postponed"),
        (Problem.CHARGED_TWICE, (), bool(duplicates_of(order))),
        (Problem.CHARGED_NO_PASS, (), bool(confirmed) and admits and not any(one.status != "void" for one in order.passes)),
        (Problem.PAYMENT_PENDING, (), any(one.status == "pending" for one in order.payments)),
        (Problem.STREAM_OUTAGE, (), show is not None and bool(show.incidents)),
        (Problem.PASS_MISSING, entry.unsent, bool(entry.unsent)),
        (Problem.LINK_DEAD, entry.dead_links, bool(entry.dead_links)),
    ]
    return [(problem, passes) for problem, passes, shows in found if shows and problem not in entry.open_problems]


def _shows(considered: Considered) -> bool:
    """Whether it is worth saying unasked: the rules say it, and it is no denial; an outage touched what was bought."""
    plan, deciding = considered.plan, _deciding(considered.plan)
    if plan.outcome == "deny" or deciding is None or deciding.verdict.outcome != plan.outcome:
        return False
    return considered.asked.problem != Problem.STREAM_OUTAGE or deciding.facts.get("incident.applies") is True


def _touched(plan: Plan) -> set[UUID]:
    """What a plan pays for: two problems do not offer the same money."""
    return {one["line"] or one["payment"] for one in plan.refunds}


def _contact(entry: EntryRow, problem: Problem, passes: tuple[UUID, ...], locale: str) -> Contact:
    return Contact(
        problem=problem,
        show=entry.show.ref if entry.show else None,
        order=entry.order,
        passes=passes,
        incident=None,
        message=None,
        channel=Channel.WIDGET,
        locale=locale,
        checked=None,
        key=new_id().hex,
        body_hash=b"",
    )


# --------------------------------------------------------------------------------------------------------- how it reads


def _deciding(plan: Plan) -> Judged | None:
    """The verdict that a plan's outcome is by, else the first."""
    return next((one for one in plan.judged if one.verdict.outcome == plan.outcome), plan.judged[0] if plan.judged else None)


def _likely(considered: Considered, would: Mapping[str, Any], locale: str) -> Likely:
    plan, deciding = considered.plan, _deciding(considered.plan)
    done = would["would"] if would["status"] in {"opened", "stored"} else ()
    # A holder sees no money, whatever a platform's own rules would do for them.
    money = [one for one in done if one["action"] == "refund" and considered.asker.requester != "holder"]
    incident = deciding.subject.incident if deciding is not None and deciding.facts.get("incident.applies") is True else None
    return Likely(
        problem=considered.asked.problem,
        incident=incident.ref if incident else None,
        outcome=cast("Outcome", plan.outcome),
        because=_because(plan, deciding, locale),
        would_change=(words.in_language(deciding.verdict.would_change, locale) or None) if deciding else None,
        actions=tuple(dict.fromkeys(one["action"] for one in done)),
        amount=sum(one["amount"] for one in money) if money else None,
        currency=money[0]["currency"] if money else None,
        to=would["to"] if money else None,
        held=any(one["held"] for one in done),
        since=incident.starts_at if incident else None,
        until=incident.ends_at if incident else None,
    )


def _because(plan: Plan, deciding: Judged | None, locale: str) -> str:
    waits_for = str(plan.next.get("wait_for") or "")
    if plan.outcome == "ask" and (fact := waits_for.removeprefix("answer:")) in words.ASKED_FOR:
        return words.asked_for(fact, locale)
    if waits_for == PLATFORM_ANSWERS:
        return words.platform_away(locale)
    return words.in_language(deciding.verdict.because, locale) if deciding else ""
