"""Routes of the desk: the queue, claims, notes and replies, actions, and yes or no to what is held."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from policies import SKILLS
from service.api import problems
from service.api.auth import opens_to
from service.api.cases import CASE_EXAMPLE, PassId, Ref, Text, found, id_of
from service.api.contract import examples
from service.callers import Caller
from service.cases import Cases
from service.desk_actions import ActionRefused, AgentAction, Cause
from service.model import WireId, unwire, wire
from service.queue import Queue
from service.shown import CaseShown

Reason = Annotated[str, Meta(min_length=3, max_length=500)]
_DESK: Final = ("agent", "machine")


class QueuedShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    problem: str
    show: str | None
    skill: str
    priority: int
    """1 is first"""
    queued_at: datetime
    agent: str | None
    """who has taken it"""
    money_at_stake: int
    """minor units that wait for a person's yes"""
    currency: str | None
    locale: str


class QueuePage(msgspec.Struct, frozen=True, kw_only=True):
    cases: tuple[QueuedShown, ...]
    next_offset: int | None


class Take(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    case: Annotated[str, Meta(pattern=r"^case_[0-9a-f]{32}$(?!\n)")] | None = None
    """none: the best of the queue for your skills"""


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    body: Text


class Ended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    outcome: Literal["resolved", "denied"] = "resolved"
    reason: Reason


class GivenBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason
    skill: str | None = None


class NewAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refund names its cause and what it is for: `position`, or `payment` for a second charge or a charge without a ticket."""

    action: Literal["refund", "reissue_access", "resend_pass", "replace_pass", "void_pass"]
    reason: Reason
    pass_id: PassId | None = None
    position: Ref | None = None
    payment: Ref | None = None
    amount: Annotated[int, Meta(ge=1, le=10**12)] | None = None
    cause: Cause | None = None
    incident: Ref | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class Settlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reference: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[\x20-\x7e]+$(?!\n)")]
    """of the transfer, as your bank shows it"""
    sent_on: date | None = None
    """the day of the transfer, as your bank shows it"""


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the processor's or the issuer's own records say."""

    moved: bool
    """true: it did happen"""
    reference: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[\x20-\x7e]+$(?!\n)")] | None = None


class ApprovedShown(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["released", "approved"]
    given: int
    needed: int


class BundleShown(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a case: what was decided by which rule and facts, what was tried, what was bought and paid, what came before."""

    case: CaseShown
    decisions: list[dict[str, Any]]
    tried: list[dict[str, Any]]
    order: dict[str, Any] | None
    history: list[dict[str, Any]]


class DeskRoutes(Controller):
    tags = ("desk",)

    @get("/v1/queue", opt=opens_to(*_DESK, "platform", scope="cases:read"))
    async def show_queue(
        self,
        caller: NamedDependency[Caller],
        queue: NamedDependency[Queue],
        skill: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
        offset: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
    ) -> QueuePage:
        """Cases that wait for people, the one to take first at the top; taken ones at the end."""
        rows = await queue.listed(caller, [skill] if skill else None, limit, offset)
        shown = tuple(
            QueuedShown(
                id=wire(WireId.CASE, one.id),
                problem=one.problem,
                show=one.show,
                skill=one.skill,
                priority=one.priority,
                queued_at=one.queued_at,
                agent=one.agent,
                money_at_stake=one.money_at_stake,
                currency=one.currency,
                locale=one.locale,
            )
            for one in rows
        )
        return QueuePage(cases=shown, next_offset=offset + limit if len(rows) == limit else None)

    @post("/v1/queue/take", status_code=200, opt={**opens_to(*_DESK, scope="queue:work"), **examples(request={}, answer=CASE_EXAMPLE)})
    async def take_case(
        self, data: JSONBody[Take], caller: NamedDependency[Caller], queue: NamedDependency[Queue], cases: NamedDependency[Cases]
    ) -> CaseShown:
        """Takes a case for ten minutes; every note and reply starts them anew. An agent who vanishes gives it back by that."""
        case = None if data.case is None else id_of(data.case)
        if case is not None:
            found(await cases.get(caller, case))
        taken = await queue.take(caller, case)
        if taken is None:
            raise problems.conflict(
                "nothing_to_take",
                "There is nothing to take",
                "The queue has nothing for your skills." if case is None else "Somebody else has it.",
            )
        return found(await cases.get(caller, taken))

    @get("/v1/cases/{case_id:str}/bundle", opt=opens_to(*_DESK, scope="cases:read"))
    async def show_bundle(
        self, case_id: FromPath[str], caller: NamedDependency[Caller], queue: NamedDependency[Queue], cases: NamedDependency[Cases]
    ) -> BundleShown:
        """The full context of a case. That you looked is recorded."""
        case = id_of(case_id)
        shown = found(await cases.get(caller, case))
        bundle = await queue.bundle(caller, case)
        if bundle is None:
            raise problems.not_found("case")
        return BundleShown(
            case=shown,
            decisions=_dicts(bundle.decisions),
            tried=_dicts(bundle.tried),
            order=dict(bundle.order) if bundle.order else None,
            history=_dicts(bundle.history),
        )

    @post("/v1/cases/{case_id:str}/notes", status_code=200, opt=opens_to(*_DESK, scope="queue:work"))
    async def add_note(
        self,
        case_id: FromPath[str],
        data: JSONBody[Written],
        caller: NamedDependency[Caller],
        queue: NamedDependency[Queue],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """For the desk alone: a note never leaves."""
        case = await _seen(cases, caller, case_id)
        await queue.note(caller, case, data.body)
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/replies", status_code=200, opt=opens_to(*_DESK, scope="queue:work"))
    async def reply(
        self,
        case_id: FromPath[str],
        data: JSONBody[Written],
        caller: NamedDependency[Caller],
        queue: NamedDependency[Queue],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Reaches the customer: in the case at once, and by mail."""
        case = await _seen(cases, caller, case_id)
        await queue.reply(caller, case, data.body)
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/resolve", status_code=200, opt=opens_to(*_DESK, scope="queue:work"))
    async def end_case(
        self,
        case_id: FromPath[str],
        data: JSONBody[Ended],
        caller: NamedDependency[Caller],
        queue: NamedDependency[Queue],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Ends a case that you have taken. What is still held or under way has to end first."""
        case = await _seen(cases, caller, case_id)
        if not await queue.resolve(caller, case, data.outcome, data.reason):
            raise problems.conflict("cannot_end", "The case cannot be ended now", "Take it first, and let what is held in it end.")
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/give-back", status_code=200, opt=opens_to(*_DESK, scope="queue:work"))
    async def give_back(
        self,
        case_id: FromPath[str],
        data: JSONBody[GivenBack],
        caller: NamedDependency[Caller],
        queue: NamedDependency[Queue],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Gives a case that you have taken back to the queue, to another skill if you name one."""
        case = await _seen(cases, caller, case_id)
        if data.skill is not None and data.skill not in SKILLS:
            raise problems.invalid("/skill", f"is one of {', '.join(SKILLS)}")
        if not await queue.give_back(caller, case, data.skill, data.reason):
            raise problems.conflict("not_yours", "You have not taken this case")
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/actions", status_code=200, opt=opens_to(*_DESK, scope="actions:write"))
    async def act(
        self,
        case_id: FromPath[str],
        data: JSONBody[NewAction],
        caller: NamedDependency[Caller],
        queue: NamedDependency[Queue],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Does something for the customer of a case that you have taken, under the same guards as the policy.

        A cause that was paid already is not paid again; goodwill, and more than you may give alone, waits for a second person.
        """
        case = await _seen(cases, caller, case_id)
        done = await queue.act(caller, case, _action(data))
        if done.status in _NOT_DONE:
            raise problems.conflict(done.status, *_NOT_DONE[done.status])
        return found(await cases.get(caller, case))

    @post("/v1/operations/{operation_id:str}/approve", status_code=200, opt=opens_to("agent", scope="actions:write"))
    async def approve_operation(
        self, operation_id: FromPath[str], data: JSONBody[Judgement], caller: NamedDependency[Caller], queue: NamedDependency[Queue]
    ) -> ApprovedShown:
        """Your yes to something that is held. With enough people it is carried out at once; nobody counts twice."""
        answer = await queue.approve(caller, await _operation(queue, caller, operation_id), data.reason)
        if answer.status in {"released", "approved"}:
            return ApprovedShown(status=answer.status, given=answer.given, needed=answer.needed)
        raise problems.conflict(answer.status, *_NOT_APPROVED[answer.status])

    @post("/v1/operations/{operation_id:str}/refuse", status_code=204, opt=opens_to("agent", scope="actions:write"))
    async def refuse_operation(
        self, operation_id: FromPath[str], data: JSONBody[Judgement], caller: NamedDependency[Caller], queue: NamedDependency[Queue]
    ) -> None:
        """Your no to something that is held: it ends, and what it had reserved is free again."""
        if not await queue.refuse(caller, await _operation(queue, caller, operation_id), data.reason):
            raise problems.conflict("not_held", *_NOT_APPROVED["not_held"])

    @post("/v1/operations/{operation_id:str}/settle", status_code=204, opt=opens_to("agent", scope="actions:write"))
    async def settle_operation(
        self, operation_id: FromPath[str], data: JSONBody[Settlement], caller: NamedDependency[Caller], queue: NamedDependency[Queue]
    ) -> None:
        """Records a refund that people sent outside every rail (a bank transfer, cash), with its reference."""
        status = await queue.settle(caller, await _operation(queue, caller, operation_id), data.reference, data.sent_on)
        if status == "under_way":
            raise problems.conflict("under_way", "The first rail may still pay this", "Wait until it has answered, or judge it.")
        if status == "excess":
            raise problems.conflict("excess", *_NOT_APPROVED["excess"])
        if status == "needs_approval":
            raise problems.conflict("needs_approval", "Somebody has to agree first", "Approve the operation, then settle it.")
        if status != "settled":
            raise problems.conflict("not_held", *_NOT_APPROVED["not_held"])

    @post("/v1/operations/{operation_id:str}/judge", status_code=204, opt=opens_to("agent", scope="actions:write"))
    async def judge_operation(
        self, operation_id: FromPath[str], data: JSONBody[Finding], caller: NamedDependency[Caller], queue: NamedDependency[Queue]
    ) -> None:
        """Ends an operation of which nobody could be sure, by what a lead found at the processor. What did not move is free again."""
        if caller.role != "lead":
            raise problems.not_allowed("not_a_lead", "This is for leads.")
        status = await queue.judge(caller, await _operation(queue, caller, operation_id), moved=data.moved, reference=data.reference)
        if status == "reference_needed":
            raise problems.invalid("/reference", "is needed: the refund's at the processor, or the new barcode")
        if status != "settled":
            raise problems.conflict("not_in_review", "Nothing is unsure here", "Only an operation that needs a review can be judged.")


# Status -> title and what to do.
_NOT_DONE: Final[Mapping[str, tuple[str, str]]] = {
    "already_paid": ("This was given already", "Nothing is left of this award: look at the case's operations."),
    "not_yours": ("You have not taken this case", "Take it first."),
    "no_order": ("The case has no order", "An action needs an order whose customer is known."),
    "disputed": ("The payments of this order cannot bear it now", "A dispute is open, or less is left than you ask for."),
}
_NOT_APPROVED: Final[Mapping[str, tuple[str, str]]] = {
    "same_person": ("You have agreed already", "It takes another person."),
    "excess": ("This was refunded elsewhere", "More would go back than came in: refuse it, or look at the order's money."),
    "not_held": ("This is not held", "It was carried out, refused, or is not there."),
    "cap_reached": ("A cap is reached", "It stays held until the window is over."),
    "disputed": ("A dispute is open on this order", "Refunding now could pay twice."),
    "not_yours": ("Somebody else has this case", "Agree after them, or take the case when they give it back."),
    "machine": ("Only people can agree", "A machine agent's yes does not count."),
}


async def _seen(cases: Cases, caller: Caller, case_id: str) -> UUID:
    case = id_of(case_id)
    found(await cases.get(caller, case))
    return case


async def _operation(queue: Queue, caller: Caller, text: str) -> UUID:
    """Raises Problem 404: an operation of another platform is none."""
    operation = unwire(WireId.OPERATION, text)
    if operation is None or not await queue.has_operation(caller, operation):
        raise problems.not_found("operation")
    return operation


def _action(data: NewAction) -> AgentAction:
    fields = msgspec.structs.asdict(data)
    return AgentAction(**{**fields, "pass_id": unwire(WireId.PASS, data.pass_id) if data.pass_id else None})


def _dicts(rows: Any) -> list[dict[str, Any]]:
    return [dict(one) for one in rows]


FAILURES: Final[problems.Failures] = {ActionRefused: lambda refused: problems.invalid(refused.field, refused.message)}
"""how the exceptions of `service.desk_actions` read on the wire"""
