"""Routes of what agents do to orders: see what would happen, confirm it, and say yes or no to what is held."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from service.api import problems
from service.api.auth import DESK, opens_to
from service.api.cases import PassId, Reason, Ref, found, seen
from service.api.contract import examples
from service.api.headers import repeatable
from service.callers import Caller
from service.cases import Cases
from service.desk_actions import ActionRefused, AgentAction
from service.in_step import OrderUnclear
from service.model import Cause, DeskAction, WireId, unwire
from service.previews import NoOrder, NoPreview, PreviewMoved, PreviewOver, Previews
from service.previews_shown import OperationPreviewShown, PreviewShown
from service.shown import CaseShown
from service.store.idempotency import IdempotencyKey, IdempotencyStore
from service.suggestions import Suggestions, SuggestionsShown

FactsHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]


class NewAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refund names its cause and what it is for: `position`, or `payment` for a second charge or a charge without a ticket."""

    action: DeskAction
    pass_id: PassId | None = None
    position: Ref | None = None
    payment: Ref | None = None
    amount: Annotated[int, Meta(ge=1, le=10**12)] | None = None
    cause: Cause | None = None
    incident: Ref | None = None


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A yes to what a preview showed."""

    preview: Annotated[str, Meta(pattern=r"^prev_[0-9a-f]{32}$(?!\n)")]
    reason: Reason
    """why, in your words; it stands on the timeline"""


class Agreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A yes to what `GET /v1/operations/{id}/preview` shows as `now`."""

    reason: Reason
    facts_hash: FactsHash


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


_ACTION: Final = {"action": "refund", "payment": "P2", "amount": 4500, "cause": "duplicate_charge"}
_PREVIEW: Final = "prev_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f"
_HASH: Final = "0" * 64
_PREVIEW_EXAMPLE: Final = {
    "id": _PREVIEW,
    "action": {**_ACTION, "pass_id": None, "position": None, "incident": None},
    "sentence": "Send back €45.00 for the charge on Visa ·· 4242: it was charged twice.",
    "amount": 4500,
    "currency": "EUR",
    "rail": "stripe-eu",
    "to": "Visa ·· 4242",
    "effects": ["€45.00 goes back to Visa ·· 4242, over the rail stripe-eu.", "Tickets and access stay as they are."],
    "guards": [],
    "people_needed": 1,
    "facts": [{"name": "payment.P2.refunded", "label": "Visa ·· 4242 (P2): sent back", "value": 0, "kind": "money"}],
    "facts_hash": _HASH,
    "expires_at": "2026-11-20T20:46:07Z",
    "can_confirm": True,
}


class PreviewRoutes(Controller):
    tags = ("desk",)

    @post(
        "/v1/cases/{case_id:str}/previews",
        status_code=201,
        opt={**opens_to(*DESK, scope="queue:work"), **examples(request=_ACTION, answer=_PREVIEW_EXAMPLE)},
    )
    async def preview(
        self,
        case_id: FromPath[str],
        data: JSONBody[NewAction],
        caller: NamedDependency[Caller],
        previews: NamedDependency[Previews],
        cases: NamedDependency[Cases],
    ) -> PreviewShown:
        """Shows what an action would do, and does nothing. What is shown is worked out by what carries it out.

        It is yours, for this case, for five minutes and for one confirmation.
        """
        case = await seen(cases, caller, case_id)
        return await previews.preview(caller, case, _action(data))

    @post(
        "/v1/cases/{case_id:str}/actions",
        status_code=200,
        opt={**opens_to(*DESK, scope="actions:write"), **examples(request={"preview": _PREVIEW, "reason": "charged twice"})},
    )
    async def act(
        self,
        *,
        case_id: FromPath[str],
        data: JSONBody[Confirmation],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        repeats: NamedDependency[IdempotencyStore],
        previews: NamedDependency[Previews],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Does what a preview showed, for the customer of a case that you have taken, under the same guards as the policy.

        When the facts have moved since, nothing is done: 409 `facts_moved` with a new preview under `preview`. A cause that was paid
        already is not paid again; goodwill, and more than you may give alone, waits for a second person.
        """
        case, preview = await seen(cases, caller, case_id), unwire(WireId.PREVIEW, data.preview)
        if preview is None:
            raise problems.invalid("/preview", "is no id of a preview")
        async with repeatable(repeats, idempotency):
            done = await previews.confirm(caller, idempotency, case, preview, data.reason)
            if done.status not in {"stored", "repeat"}:
                raise problems.conflict(done.status, *_NOT_DONE.get(done.status, _NOT_DONE["disputed"]))
        return found(await cases.get(caller, case))

    @get("/v1/cases/{case_id:str}/suggestions", opt=opens_to(*DESK, scope="cases:read"))
    async def suggest(
        self,
        case_id: FromPath[str],
        caller: NamedDependency[Caller],
        suggestions: NamedDependency[Suggestions],
        cases: NamedDependency[Cases],
    ) -> SuggestionsShown:
        """What might be done next: what is held, what the rule suggests, what the order's facts say. Each is previewed first."""
        return await suggestions.of(caller, await seen(cases, caller, case_id))

    @get("/v1/operations/{operation_id:str}/preview", opt=opens_to(*DESK, scope="cases:read"))
    async def preview_operation(
        self, operation_id: FromPath[str], caller: NamedDependency[Caller], previews: NamedDependency[Previews]
    ) -> OperationPreviewShown:
        """What is held, for whoever is to agree: what the first person saw, what is so now, and which facts have moved since."""
        shown = await previews.operation(caller, await _operation(previews, caller, operation_id))
        if shown is None:
            raise problems.not_found("operation")
        return shown

    @post("/v1/operations/{operation_id:str}/approve", status_code=200, opt=opens_to("agent", scope="actions:write"))
    async def approve_operation(
        self,
        *,
        operation_id: FromPath[str],
        data: JSONBody[Agreement],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        repeats: NamedDependency[IdempotencyStore],
        previews: NamedDependency[Previews],
    ) -> ApprovedShown:
        """Your yes to something that is held, as you saw it. With enough people it is carried out at once; nobody counts twice.

        When the facts have moved since, nothing is done: 409 `facts_moved` with what is so now under `preview`.
        """
        operation = await _operation(previews, caller, operation_id)
        async with repeatable(repeats, idempotency):
            answer = await previews.approve(caller, idempotency, operation, data.reason, data.facts_hash)
            if answer.status not in {"released", "approved"}:
                raise problems.conflict(answer.status, *_NOT_APPROVED[answer.status])
        return await _approved(previews, caller, operation)

    @post("/v1/operations/{operation_id:str}/refuse", status_code=204, opt=opens_to("agent", scope="actions:write"))
    async def refuse_operation(
        self, operation_id: FromPath[str], data: JSONBody[Judgement], caller: NamedDependency[Caller], previews: NamedDependency[Previews]
    ) -> None:
        """Your no to something that is held: it ends, and what it had reserved is free again."""
        if not await previews.refuse(caller, await _operation(previews, caller, operation_id), data.reason):
            raise problems.conflict("not_held", *_NOT_APPROVED["not_held"])

    @post("/v1/operations/{operation_id:str}/settle", status_code=204, opt=opens_to("agent", scope="actions:write"))
    async def settle_operation(
        self,
        *,
        operation_id: FromPath[str],
        data: JSONBody[Settlement],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        repeats: NamedDependency[IdempotencyStore],
        previews: NamedDependency[Previews],
    ) -> None:
        """Records a refund that people sent outside every rail (a bank transfer, cash), with its reference."""
        operation = await _operation(previews, caller, operation_id)
        async with repeatable(repeats, idempotency):
            status = await previews.settle(caller, idempotency, operation, data.reference, data.sent_on)
            if status != "settled":
                raise problems.conflict(status, *_NOT_SETTLED.get(status, _NOT_APPROVED["not_held"]))

    @post("/v1/operations/{operation_id:str}/judge", status_code=204, opt=opens_to("agent", scope="actions:write"))
    async def judge_operation(
        self, operation_id: FromPath[str], data: JSONBody[Finding], caller: NamedDependency[Caller], previews: NamedDependency[Previews]
    ) -> None:
        """Ends an operation of which nobody could be sure, by what a lead found at the processor. What did not move is free again."""
        if caller.role != "lead":
            raise problems.not_allowed("not_a_lead", "This is for leads.")
        status = await previews.judge(caller, await _operation(previews, caller, operation_id), moved=data.moved, reference=data.reference)
        if status == "reference_needed":
            raise problems.invalid("/reference", "is needed: the refund's at the processor, or the new barcode")
        if status != "settled":
            raise problems.conflict("not_in_review", "Nothing is unsure here", "Only an operation that needs a review can be judged.")


# Status -> title and what to do.
_NOT_DONE: Final[Mapping[str, tuple[str, str]]] = {
    "already_paid": ("This was given already", "Nothing is left of this award: look at the case's operations."),
    "not_yours": ("You have not taken this case", "Take it first."),
    "ended": ("The case has ended", "What is to be done needs a case that is open."),
    "disputed": ("The payments of this order cannot bear it now", "A dispute is open, or less is left than you ask for."),
    "no_room": ("The payments of this order cannot bear it now", "Less is left than you ask for."),
    "given_back": ("This ticket's price was given back", "Nothing new is made for it."),
}
_NOT_SETTLED: Final[Mapping[str, tuple[str, str]]] = {
    "under_way": ("The first rail may still pay this", "Wait until it has answered, or judge it."),
    "referred": ("Another team judges this order", "It waits for their answer, or until the question is withdrawn."),
    "needs_approval": ("Somebody has to agree first", "Approve the operation, then settle it."),
    "excess": ("This was refunded elsewhere", "More would go back than came in: refuse it, or look at the order's money."),
    "disputed": ("A dispute is open on this order", "Sending it now could pay twice."),
}
_NOT_APPROVED: Final[Mapping[str, tuple[str, str]]] = {
    "same_person": ("You have agreed already", "It takes another person."),
    "excess": ("This was refunded elsewhere", "More would go back than came in: refuse it, or look at the order's money."),
    "not_held": ("This is not held", "It was carried out, refused, or is not there."),
    "referred": ("Another team judges this order", "It waits for their answer, or until the question is withdrawn."),
    "cap_reached": ("A cap is reached", "It stays held until the window is over."),
    "disputed": ("A dispute is open on this order", "Refunding now could pay twice."),
    "not_yours": ("Somebody else has this case", "Agree after them, or take the case when they give it back."),
    "machine": ("Only people can agree", "A machine agent's yes does not count."),
}


async def _operation(previews: Previews, caller: Caller, text: str) -> UUID:
    """Raises Problem 404: an operation of another platform is none."""
    operation = unwire(WireId.OPERATION, text)
    if operation is None or not await previews.has_operation(caller, operation):
        raise problems.not_found("operation")
    return operation


async def _approved(previews: Previews, caller: Caller, operation: UUID) -> ApprovedShown:
    now = await previews.approved(caller, operation)
    return ApprovedShown(status="approved" if now.status == "approved" else "released", given=now.given, needed=now.needed)


def _action(data: NewAction) -> AgentAction:
    fields = msgspec.structs.asdict(data)
    return AgentAction(**{**fields, "pass_id": unwire(WireId.PASS, data.pass_id) if data.pass_id else None})


FAILURES: Final[problems.Failures] = {
    ActionRefused: lambda refused: problems.invalid(refused.field, refused.message),
    NoOrder: lambda _: problems.conflict("no_order", "The case has no order", "An action needs an order whose customer is known."),
    NoPreview: lambda _: problems.not_found("preview"),
    PreviewOver: lambda over: problems.conflict(
        over.code, "This preview is over", "Look again: a preview is for five minutes and one yes."
    ),
    PreviewMoved: lambda moved: problems.Problem(
        status=409,
        code="facts_moved",
        title="The facts are not those that you saw",
        detail="Nothing was done. Look at what it would do now, and decide again.",
        preview=msgspec.to_builtins(moved.now),
    ),
    OrderUnclear: lambda unclear: problems.conflict(
        unclear.code,
        "The platform's own system does not have this order as we know it",
        "Put it right there first, or settle the refund outside with its reference.",
    ),
}
"""how the exceptions of `service.previews`, `service.desk_actions` and `service.in_step` read on the wire"""
