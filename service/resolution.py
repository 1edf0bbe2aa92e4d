"""The flow: a customer says what went wrong; Makegood confirms who is asking, gathers the facts, lets the written policy decide,
carries the actions out, tells the customer and the platform, or hands a human everything it knows.

`open_case` does it for a new contact in two commits; `resolve` does it again from any state, by any process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service import identity_of_case as who
from service import plan as planning
from service.callers import Caller
from service.choices import Choices
from service.facts import Asked
from service.model import Channel, IdentityLevel, Problem, new_id
from service.operations import LEASE_SECONDS, Operations
from service.plan import Plan, Rules
from service.store import view as view_store
from service.store.flow import CaseRow, FactsMoved, FlowStore
from service.store.pool import Pool
from service.store.view import orders_open_to
from service.view import View

# What a case waits for while its customer is asked where the money should go.
ASKS_WHERE: Final = "answer:destination"
# Every time the facts move under a decision somebody else got on: after this many, people decide.
_DECISIONS_MAX: Final = 3


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says is wrong."""

    problem: Problem
    show: str | None
    order: str | None
    passes: tuple[UUID, ...]
    incident: str | None
    message: str | None
    channel: Channel
    locale: str
    checked: str | None
    """an agent's record of how they checked who is asking"""
    key: str
    body_hash: bytes


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["opened", "joined", "repeat", "mismatch"]
    case: UUID
    begun: tuple[Mapping[str, Any], ...] = ()
    """operations to carry on now"""
    since: float = 0.0
    """the clock before they were leased"""
    settled: bool = False
    """nothing is under way: the case can be shown as it is"""


class Resolution:
    """Resolves cases by the rules it was given. One instance a process."""

    def __init__(self, pool: Pool, store: FlowStore, rules: Rules, operations: Operations, choices: Choices) -> None:
        self._pool = pool
        self._choices = choices
        self._store = store
        self._rules = rules
        self._operations = operations

    async def open_case(self, caller: Caller, contact: Contact, *, begin: bool, holds: tuple[str, ...] = ()) -> Opened:
        """Stores a new contact and, where it is known who asks, decides it in the same commit.

        `begin`: this process has a place for the work now; else whoever is free takes it up within a second. `holds`: why a person agrees
        first to what the rules approve, beside the guards' own reasons. Raises NotTheirPasses.
        """
        case = new_id()
        for tries_left in range(_DECISIONS_MAX - 1, -1, -1):
            view = await self._view(caller, contact)
            asker = who.asks(caller, view, contact)
            asked = _asked(contact, asker, asker.passes(view, contact.passes))
            seen = asker.seen(view, named_show=contact.show is not None)
            plan = self._decide(seen, asked, asker) if tries_left else planning.to_people(self._rules, "support", 2, "facts_moved")
            plan = _held_too(plan, holds)
            document = self._document(caller.platform_id, case, 1, view=view, asker=asker, plan=plan) | {"begin": begin}
            if document["order"] is None and asked.passes:
                document["answers"] = {"passes": asked.passes}  # as if they had been asked: for when it is known whose they are
            since = self.clock()
            try:
                answer = await self._store.open_and_decide(_opening(caller, contact, asker, view, case, passes=asked.passes), document)
            except FactsMoved:
                continue
            begun = tuple(answer.get("operations", ()))
            settled = answer["status"] == "opened" and plan.outcome != "approve"
            return Opened(status=answer["status"], case=UUID(answer["case"]), begun=begun, since=since, settled=settled)
        raise AssertionError("unreachable")

    def clock(self) -> float:
        """What carry_on() wants to know from before a decision was stored."""
        return self._operations.clock()

    async def carry_on(self, platform: UUID, begun: tuple[Mapping[str, Any], ...], *, since: float) -> None:
        """Carries out what a decision began. Safe to lose: whatever is left is due again when its lease ends."""
        for one in begun:
            asks = await self._operations.carry_on(platform, UUID(one["id"]), int(one["epoch"]), one, since=since)
            if asks is not None and (epoch := await self._store.lease_case(platform, asks, LEASE_SECONDS)) is not None:
                await self.resolve(platform, asks, epoch)

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
        view = await view_store.read(
            self._pool, caller.platform_id, order_ref=order_ref, show=row.show, address=caller.email.lower() if caller.email else None
        )
        asker = who.proven(caller, view, _named_passes(row))
        if order_ref is None or not asker.level.at_least(IdentityLevel.VERIFIED):
            return False
        asker.passes(view, _named_passes(row))
        epoch = await self._store.lease_case(caller.platform_id, case, LEASE_SECONDS)
        if epoch is not None:
            await self._resolve(caller.platform_id, row, epoch, order_ref=order_ref, proven=asker)
        return True

    async def _only_order(self, caller: Caller, row: CaseRow) -> str | None:
        """The caller's order for the case's show, when there is just one: nobody need know a reference by heart."""
        found = await orders_open_to(self._pool, caller, row.show)
        return found[0] if len(found) == 1 else None

    async def _resolve(self, platform: UUID, row: CaseRow, epoch: int, *, order_ref: str | None, proven: who.Asker | None = None) -> None:
        for tries_left in range(_DECISIONS_MAX - 1, -1, -1):
            if row.state != "open":
                return
            view = await view_store.read(self._pool, platform, order=row.order, order_ref=order_ref, show=row.show)
            asker = proven or who.asked_before(row, view)
            plan = self._again(row, view, asker) if tries_left else planning.to_people(self._rules, "support", 2, "facts_moved")
            since = self.clock()
            try:
                answer = await self._store.decide(self._document(platform, row.id, epoch, view=view, asker=asker, plan=plan, row=row))
            except FactsMoved:
                row = await self._store.case(platform, row.id) or row
                continue
            await self.carry_on(platform, tuple(answer.get("operations", ())), since=since)
            return

    # -------------------------------------------------------------------------------------------------------- deciding

    async def _view(self, caller: Caller, contact: Contact) -> View:
        return await view_store.read(
            self._pool,
            caller.platform_id,
            order_ref=contact.order,
            show_ref=contact.show,
            address=caller.email.lower() if caller.email else None,
        )

    def _decide(self, view: View, asked: Asked, asker: who.Asker) -> Plan:
        pack = self._rules.packs.for_problem(asked.problem)
        if not asker.level.at_least(IdentityLevel.VERIFIED) and pack.for_each != "case":
            return planning.ask_identity(self._rules)
        return planning.plan(self._rules, view, asked, None)

    def _again(self, row: CaseRow, view: View, asker: who.Asker) -> Plan:
        """What becomes of a case that is looked at once more."""
        parked = None
        if row.wait_for and row.wait_until:
            parked = planning.Parked(wait_for=row.wait_for, ref=row.wait_ref, until=row.wait_until)
            if row.wait_for.startswith("answer:") and row.wait_until <= view.now and not row.answers:
                return planning.ended("closed", "unanswered")
        if row.failed:
            return planning.to_people(self._rules, "payments", 1, "operation_failed")
        asked = Asked(
            problem=row.problem,
            requester=asker.requester,
            passes=_passes_of(row, asker),
            only_pass=asker.only_pass,
            incident_ref=row.incident_ref,
            answers=row.answers,
            opened_at=row.created_at,
        )
        pack = self._rules.packs.for_problem(row.problem)
        if not asker.level.at_least(IdentityLevel.VERIFIED) and pack.for_each != "case":
            return planning.ask_identity(self._rules)
        return planning.plan(self._rules, asker.seen(view, named_show=row.show is not None), asked, parked)

    def _document(
        self, platform: UUID, case: UUID, epoch: int, *, view: View, asker: who.Asker, plan: Plan, row: CaseRow | None = None
    ) -> dict[str, Any]:
        """The plan as case_decide takes it."""
        order = view.order.id if view.order and asker.level.at_least(IdentityLevel.VERIFIED) else None
        document: dict[str, Any] = {
            "platform": platform,
            "case": case,
            "epoch": epoch,
            "order": order,
            "decision": {"id": plan.id, "outcome": plan.outcome, "verdicts": _verdicts(plan), "guards": plan.guards},
            "refunds": plan.refunds,
            "passes": plan.passes,
            "payments": plan.payments,
            "holds": plan.holds,
            "approvals": plan.approvals,
            "caps": plan.caps,
            "limits": plan.limits,
            "priority": 0 if row is None else 1,
            "ids": [new_id() for _ in plan.payments] if plan.outcome == "approve" else [],
            "entries": [_entry(plan)],
            "next": plan.next,
            "next_if_paid": {"state": "resolved", "outcome": "already_done"},
            "begin": True,
            "lease_seconds": LEASE_SECONDS,
            "key_seconds": self._operations.key_seconds(),
        }
        if row is not None and row.order is None and order is not None:
            document["attach"] = {
                "identity": asker.level,
                "requester": asker.requester,
                "passes": list(_passes_of(row, asker)) or [None],
                "show": view.show.id if view.show else None,
            }
        return document


def _opening(caller: Caller, contact: Contact, asker: who.Asker, view: View, case: UUID, *, passes: tuple[UUID, ...]) -> Mapping[str, Any]:
    """The contact as case_open takes it. The order is set only where its customer is known."""
    verified = asker.level.at_least(IdentityLevel.VERIFIED)
    return {
        "platform": caller.platform_id,
        "case": case,
        "caller": caller.key,
        "caller_name": caller.name,
        "key": contact.key,
        "body_hash": contact.body_hash.hex(),
        "contact": new_id(),
        "channel": contact.channel,
        "locale": contact.locale,
        "problem": contact.problem,
        "show": view.show.id if view.show and (verified or contact.show) else None,
        "order": view.order.id if view.order and verified else None,
        "claimed_order": contact.order,
        "session": caller.session_id,
        "requester": asker.requester,
        "identity": asker.level,
        "incident_ref": contact.incident,
        "message": {"id": new_id(), "body": contact.message} if contact.message else {},
        "passes": list(passes) or [None],
        "lease_seconds": LEASE_SECONDS,
    }


def _held_too(plan: Plan, holds: tuple[str, ...]) -> Plan:
    """What the plan carries out waits for these reasons as well; one that carries nothing out stays as it is."""
    if plan.outcome != "approve" or not holds:
        return plan
    return msgspec.structs.replace(plan, guards=(*plan.guards, *holds), holds=(*plan.holds, *holds), approvals=max(plan.approvals, 1))


def _asked(contact: Contact, asker: who.Asker, passes: tuple[UUID, ...]) -> Asked:
    return Asked(
        problem=contact.problem,
        requester=asker.requester,
        passes=passes,
        only_pass=asker.only_pass,
        incident_ref=contact.incident,
        answers={},
        opened_at=None,
    )


def _passes_of(row: CaseRow, asker: who.Asker) -> tuple[UUID, ...]:
    """The passes the case is about: of a holder their own, else the named ones."""
    return _named_passes(row) if asker.only_pass is None else (asker.only_pass,)


def _named_passes(row: CaseRow) -> tuple[UUID, ...]:
    """The passes that the case was opened for, or those the customer named when asked or before it was known who asks."""
    named = row.answers.get("passes") or ()
    return row.passes or tuple(UUID(one) for one in ([named] if isinstance(named, str) else named))


def _verdicts(plan: Plan) -> list[Mapping[str, Any]]:
    """Each subject's rule, hash and facts, as they are kept: enough to reproduce the decision byte for byte."""
    return [
        {
            "subject": {"kind": one.subject.kind, "id": one.subject.id},
            "facts": one.facts,
            "parameters": one.parameters,
            "verdict": one.verdict,
        }
        for one in plan.judged
    ]


def _entry(plan: Plan) -> Mapping[str, Any]:
    return {
        "kind": "decided",
        "source": "policy",
        "data": {
            "decision": plan.id,
            "outcome": plan.outcome,
            "rules": sorted({f"{one.verdict.pack}/{one.verdict.rule}" for one in plan.judged}),
            "guards": plan.guards,
        },
    }


def body_hash(body: bytes) -> bytes:
    """What tells a repeated request from another one under the same key."""
    return hashlib.sha256(body).digest()
