"""The flow: a customer says what went wrong; Makegood confirms who is asking, gathers the facts, lets the written policy decide,
carries the actions out, tells the customer and the platform, or hands a human everything it knows.

`open_case` does it for a new contact in two commits; `resolve` does it again from any state, by any process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service import identity_of_case as who
from service import plan as planning
from service.callers import NOTHING_PROVEN, Caller
from service.choices import Choices
from service.contacts import Contact, decision, named_passes, opening, passes_of
from service.facts import Asked
from service.in_step import InStep, Read, has_source, to_read
from service.model import IdentityLevel, new_id
from service.operations import LEASE_SECONDS, Operations
from service.plan import Plan, Rules
from service.ports import Unavailable
from service.rulebook import Rulebook
from service.store import view as view_store
from service.store.flow import CaseRow, FactsMoved, FlowStore, OfferMoved
from service.store.pool import Pool
from service.store.view import orders_open_to
from service.view import View

# What a case waits for while its customer is asked where the money should go.
ASKS_WHERE: Final = "answer:destination"
# Of a case whose opening leased it.
_EPOCH_FIRST: Final = 1
# Who opened a case and is known by that alone: the orders that they name are asked for.
_KNOWN: Final = frozenset({"platform", "agent"})
# Every time the facts move under a decision somebody else got on: after this many, people decide.
_DECISIONS_MAX: Final = 3


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["opened", "joined", "repeat", "mismatch"]
    case: UUID
    begun: tuple[Mapping[str, Any], ...] = ()
    """operations to carry on now"""
    since: float = 0.0
    """the clock before they were leased"""
    settled: bool = False
    """nothing is under way: the case can be shown as it is"""
    undecided: bool = False
    """its platform has to be asked first: `go_on` decides it"""


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules would do with a contact, on the facts of one moment; nothing of it is stored."""

    view: View
    asker: who.Asker
    asked: Asked
    seen: View
    """the view as this asker may use it"""
    rules: Rules
    plan: Plan


class Resolution:
    """Resolves cases by the rules it was given. One instance a process."""

    def __init__(
        self, pool: Pool, store: FlowStore, rulebook: Rulebook, operations: Operations, choices: Choices, *, in_step: InStep
    ) -> None:
        self._pool = pool
        self._in_step = in_step
        self._choices = choices
        self._store = store
        self._rulebook = rulebook
        self._operations = operations

    async def open_case(self, caller: Caller, contact: Contact, *, begin: bool, holds: tuple[str, ...] = ()) -> Opened:
        """Stores a new contact and, where it is known who asks, decides it in the same commit; unless its platform has to be asked first.

        `begin`: this process has a place for the work now; else whoever is free takes it up within a second. `holds`: why a person agrees
        first to what the rules approve, beside the guards' own reasons. Raises NotTheirPasses; OfferMoved, where the contact holds what was
        `offered` to its customer and something else would be done now: nothing is stored then.
        """
        case = new_id()
        was_read = False
        for tries_left in range(_DECISIONS_MAX - 1, -1, -1):
            considered = await self.consider(caller, contact)
            rules, asked = considered.rules, considered.asked
            plan = considered.plan if tries_left else planning.to_people(rules, "support", 2, "facts_moved")
            considered = msgspec.structs.replace(considered, plan=_held_too(plan, holds))
            stored, document = self.documents(caller, contact, considered, case)
            order = None if was_read else to_read_first(caller, contact, considered)
            if order is not None and not holds and contact.offered is None:
                answer = await self._store.open(stored)
                return Opened(status=answer["status"], case=UUID(answer["case"]), undecided=answer["status"] == "opened")
            if order is not None:  # opened by ourselves, and again in a minute; or by who then says yes again: nobody's contact is lost
                was_read = True
                if await self._in_step.read(caller.platform_id, order) != "read":
                    raise OfferMoved if contact.offered else Unavailable("the order cannot be read at its platform")
                continue
            document["begin"] = begin
            if document["order"] is None and asked.passes:
                document["answers"] = {"passes": asked.passes}  # as if they had been asked: for when it is known whose they are
            since = self.clock()
            try:
                answer = await self._store.open_and_decide(stored, document)
            except FactsMoved:
                continue
            begun = tuple(answer.get("operations", ()))
            settled = answer["status"] == "opened" and considered.plan.outcome != "approve"
            return Opened(status=answer["status"], case=UUID(answer["case"]), begun=begun, since=since, settled=settled)
        raise AssertionError("unreachable")

    async def consider(self, caller: Caller, contact: Contact, view: View | None = None) -> Considered:
        """What the rules would do with the contact now; `view`: where its order and show were read already. Raises NotTheirPasses."""
        if view is None:
            view = await self._view(caller, contact)
        asker = who.asks(caller, view, contact)
        if contact.purchase is not None:
            asker = asker.unproven()
        asked = _asked(contact, asker, asker.passes(view, contact.passes))
        seen = asker.seen(view, named_show=contact.show is not None)
        rules = await self._rulebook.of(view)
        plan = _decide(rules, seen, asked, asker) if contact.purchase is None else planning.to_people(rules, "trust", 2, "purchase_told")
        return Considered(view=view, asker=asker, asked=asked, seen=seen, rules=rules, plan=plan)

    def documents(self, caller: Caller, contact: Contact, considered: Considered, case: UUID) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """The contact and its decision as the flow's functions take them."""
        view, asker = considered.view, considered.asker
        stored = opening(caller, contact, asker, view, case, passes=considered.asked.passes)
        decided = decision(
            caller.platform_id, case, 1, view=view, asker=asker, plan=considered.plan, key_seconds=self._operations.key_seconds()
        )
        return stored, decided | ({"offered": contact.offered} if contact.offered is not None else {})

    async def read_first(self, caller: Caller, contact: Contact, considered: Considered) -> Plan | None:
        """Reads the order at its platform, where the plan hangs on that. None: it was read, consider again; else what is done now."""
        order = to_read_first(caller, contact, considered)
        if order is None:
            return considered.plan
        was_read = await self._in_step.read(caller.platform_id, order)
        if was_read == "read":
            return None
        if considered.seen.order is None and was_read != "unavailable":
            return considered.plan  # what the platform says of an order that nobody proved to be theirs is nothing to tell
        return _without_the_platform(considered.rules, None, considered.seen, considered.plan, was_read)

    async def consider_answered(self, platform: UUID, row: CaseRow, *, reads: bool) -> Considered:
        """What the rules would do with a case of which this is the row by now, as resolve() works it out; nothing is stored.

        `reads`: its order is read at its platform first, where the plan hangs on that.
        """
        view = await self._view_of(row, platform, row.claimed_order, None)
        asker = who.asked_before(row, view)
        rules = await self._rulebook.of(view)
        plan, seen = _again(rules, row, view, asker), asker.seen(view, named_show=row.show is not None)
        order = to_read(seen, plan, row.claimed_order if row.requester in _KNOWN else None) if reads else None
        if order is not None:
            was_read = await self._in_step.read(platform, order)
            if was_read == "read":
                return await self.consider_answered(platform, row, reads=False)
            if seen.order is not None or row.requester in _KNOWN or was_read == "unavailable":
                plan = _without_the_platform(rules, _parked(row), view, plan, was_read)
        return Considered(view=view, asker=asker, asked=_asked_again(row, asker), seen=seen, rules=rules, plan=plan)

    def answer_document(self, platform: UUID, row: CaseRow, considered: Considered) -> Mapping[str, Any]:
        """Its decision as the flow's functions take it, for a look."""
        key_seconds = self._operations.key_seconds()
        return decision(
            platform, row.id, 0, view=considered.view, asker=considered.asker, plan=considered.plan, row=row, key_seconds=key_seconds
        ) | {"begin": False}

    def clock(self) -> float:
        """What carry_on() wants to know from before a decision was stored."""
        return self._operations.clock()

    async def carry_on(self, platform: UUID, begun: tuple[Mapping[str, Any], ...], *, since: float) -> None:
        """Carries out what a decision began. Safe to lose: whatever is left is due again when its lease ends."""
        for one in begun:
            asks = await self._operations.carry_on(platform, UUID(one["id"]), int(one["epoch"]), one, since=since)
            if asks is not None and (epoch := await self._store.lease_case(platform, asks, LEASE_SECONDS)) is not None:
                await self.resolve(platform, asks, epoch)

    async def go_on(self, caller: Caller, opened: Opened) -> None:
        """Decides a case that was opened just now, whose platform has to be asked first. Safe to lose, as carry_on() is."""
        row = await self._store.case(caller.platform_id, opened.case)
        if row is not None:
            known = caller if caller.kind == "customer" and row.order is None else None
            await self._resolve(caller.platform_id, row, _EPOCH_FIRST, order_ref=row.claimed_order, proves=known)

    async def resolve(self, platform: UUID, case: UUID, epoch: int) -> None:
        """Decides a leased case again from where it stands, and carries out what follows."""
        row = await self._store.case(platform, case)
        if row is None:
            return
        if row.choosing:
            await self._ask_where(platform, row, epoch)
        else:
            await self._resolve(platform, row, epoch, order_ref=row.claimed_order)

    async def _ask_where(self, platform: UUID, row: CaseRow, epoch: int) -> None:
        """A refund of the case cannot go back where it came from: nothing is decided anew, the customer says where it should go."""
        waited_out = row.wait_for == ASKS_WHERE and row.wait_until is not None and row.wait_until <= await self._store.now()
        await self._choices.ask(platform, row.id, epoch, waited_out=waited_out)

    async def carry_out(self, platform: UUID, operation: UUID) -> None:
        """Advances one operation that was released just now."""
        await self._operations.take(platform, operation)

    async def identify(self, caller: Caller, case: UUID, order_ref: str | None) -> bool:
        """A customer who has proved who they are takes up the case they opened before. False: the proof does not open the order.

        The answer is the same whether the order does not exist or is somebody else's. Raises NotTheirPasses.
        """
        row = await self._store.case(caller.platform_id, case)
        if row is None or row.order is not None or row.state != "open":
            return False
        order_ref = order_ref or row.claimed_order or await self._only_order(caller, row)
        if order_ref is None:
            return False
        asker = await self._proven(caller, row, order_ref)
        if asker is None and await self._read_if_unknown(caller, row, order_ref):
            asker = await self._proven(caller, row, order_ref)
        if asker is None:
            return False
        epoch = await self._store.lease_case(caller.platform_id, case, LEASE_SECONDS)
        if epoch is not None:
            await self._resolve(caller.platform_id, row, epoch, order_ref=order_ref, proves=caller)
        return True

    async def _proven(self, caller: Caller, row: CaseRow, order_ref: str) -> who.Asker | None:
        """Who the caller has proved to be, for that order; None: nobody it knows. Raises NotTheirPasses."""
        view = await self._view_of(row, caller.platform_id, order_ref, caller)
        asker = who.proven(caller, view, named_passes(row))
        if not asker.level.at_least(IdentityLevel.VERIFIED):
            return None
        asker.passes(view, named_passes(row))
        return asker

    async def _read_if_unknown(self, caller: Caller, row: CaseRow, order_ref: str) -> bool:
        """An order that was bought a minute ago may be known to its platform alone; whoever has proved nothing has nobody asked.

        An order that we know, and that is somebody else's, is read as well: how long it takes tells nothing.
        """
        view = await self._view_of(row, caller.platform_id, order_ref, caller)
        return has_source(view) and who.may_name(caller) and await self._in_step.read(caller.platform_id, order_ref) == "read"

    async def _only_order(self, caller: Caller, row: CaseRow) -> str | None:
        """The caller's order for the case's show, when there is just one: nobody need know a reference by heart."""
        found = await orders_open_to(self._pool, caller, row.show)
        return found[0] if len(found) == 1 else None

    async def _resolve(self, platform: UUID, row: CaseRow, epoch: int, *, order_ref: str | None, proves: Caller | None = None) -> None:
        """`proves`: the customer who is asking now, and whose proof counts; without one, who opened the case is who they were then."""
        was_read: Read | None = None
        for tries_left in range(_DECISIONS_MAX - 1, -1, -1):
            if row.state != "open":
                return
            view = await self._view_of(row, platform, order_ref, proves)
            asker = who.asked_before(row, view) if proves is None else who.proven(proves, view, named_passes(row))
            rules = await self._rulebook.of(view)
            plan = _again(rules, row, view, asker) if tries_left else planning.to_people(rules, "support", 2, "facts_moved")
            seen = asker.seen(view, named_show=row.show is not None)
            # Of an order that is not theirs it takes as long as of one that does not exist.
            order = to_read(seen, plan, order_ref if proves is not None or row.requester in _KNOWN else None)
            if order is not None and was_read is None:
                was_read = await self._in_step.read(platform, order)
                if was_read == "read":
                    continue
                # What the platform says of an order that nobody proved to be theirs is nothing to tell.
                if seen.order is not None or row.requester in _KNOWN or was_read == "unavailable":
                    plan = _without_the_platform(rules, _parked(row), view, plan, was_read)
            since = self.clock()
            try:
                answer = await self._store.decide(
                    decision(
                        platform, row.id, epoch, view=view, asker=asker, plan=plan, row=row, key_seconds=self._operations.key_seconds()
                    )
                )
            except FactsMoved:
                row = await self._store.case(platform, row.id) or row
                continue
            await self.carry_on(platform, tuple(answer.get("operations", ())), since=since)
            return

    async def _view_of(self, row: CaseRow, platform: UUID, order_ref: str | None, proves: Caller | None) -> View:
        proofs = proves.proofs if proves is not None else NOTHING_PROVEN
        return await view_store.read(self._pool, platform, order=row.order, order_ref=order_ref, show=row.show, proofs=proofs)

    # -------------------------------------------------------------------------------------------------------- deciding

    async def _view(self, caller: Caller, contact: Contact) -> View:
        return await view_store.read(
            self._pool,
            caller.platform_id,
            order_ref=contact.order,
            show_ref=contact.show,
            proofs=caller.proofs,
        )


def to_read_first(caller: Caller, contact: Contact, considered: Considered) -> str | None:
    """The order that is read at its platform before the contact is decided."""
    if contact.purchase is not None:
        return None
    return to_read(considered.seen, considered.plan, contact.order if who.may_name(caller) else None)


def _decide(rules: Rules, view: View, asked: Asked, asker: who.Asker) -> Plan:
    pack = rules.packs.for_problem(asked.problem)
    if not asker.level.at_least(IdentityLevel.VERIFIED) and pack.for_each != "case":
        return planning.ask_identity(rules)
    return planning.plan(rules, view, asked, None)


def _again(rules: Rules, row: CaseRow, view: View, asker: who.Asker) -> Plan:
    """What becomes of a case that is looked at once more."""
    parked = _parked(row)
    if parked is not None and parked.wait_for.startswith("answer:") and parked.until <= view.now and not row.answers:
        return planning.ended("closed", "unanswered")
    if row.failed:
        return planning.to_people(rules, "payments", 1, "operation_failed")
    pack = rules.packs.for_problem(row.problem)
    if not asker.level.at_least(IdentityLevel.VERIFIED) and pack.for_each != "case":
        return planning.ask_identity(rules)
    return planning.plan(rules, asker.seen(view, named_show=row.show is not None), _asked_again(row, asker), parked)


def decides_now(rules: Rules, row: CaseRow, view: View) -> Plan:
    """What the rules would do with a case as it stands; nothing is stored."""
    return _again(rules, row, view, who.asked_before(row, view))


def _without_the_platform(rules: Rules, parked: planning.Parked | None, view: View, plan: Plan, was_read: Read) -> Plan:
    """What is done instead, where the platform could not say how the order stands now."""
    if was_read == "unavailable":
        return planning.wait_for_platform(rules, view, parked)
    if was_read == "not_understood" or view.order is not None:
        return planning.to_people(rules, "payments", 2, "order_not_understood" if was_read == "not_understood" else "order_gone")
    return plan


def _parked(row: CaseRow) -> planning.Parked | None:
    if row.wait_for and row.wait_until:
        return planning.Parked(wait_for=row.wait_for, ref=row.wait_ref, until=row.wait_until)
    return None


def _held_too(plan: Plan, holds: tuple[str, ...]) -> Plan:
    """What the plan carries out waits for these reasons as well; one that carries nothing out stays as it is."""
    if plan.outcome != "approve" or not holds:
        return plan
    return msgspec.structs.replace(plan, guards=(*plan.guards, *holds), holds=(*plan.holds, *holds), approvals=max(plan.approvals, 1))


def _asked_again(row: CaseRow, asker: who.Asker) -> Asked:
    return Asked(
        problem=row.problem,
        requester=asker.requester,
        passes=passes_of(row, asker),
        only_pass=asker.only_pass,
        incident_ref=row.incident_ref,
        answers=row.answers,
        opened_at=row.created_at,
        player_error=row.player_error,
    )


def _asked(contact: Contact, asker: who.Asker, passes: tuple[UUID, ...]) -> Asked:
    return Asked(
        problem=contact.problem,
        requester=asker.requester,
        passes=passes,
        only_pass=asker.only_pass,
        incident_ref=contact.incident,
        answers={},
        opened_at=None,
        player_error=contact.player.error if contact.player else None,
    )
