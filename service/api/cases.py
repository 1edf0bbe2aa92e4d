"""Routes of a case for whoever it concerns: `/v1/cases` and what hangs below one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Meta

from service.api import problems
from service.api.auth import opens_to, require_scope
from service.api.contract import examples
from service.api.headers import Wait, check_repeat
from service.callers import Caller
from service.cases import Cases
from service.identity_of_case import NotTheirPasses
from service.model import Channel, Problem, WireId, new_id, unwire
from service.resolution import Contact
from service.shown import CaseShown
from service.store.cases import TimelineEntry
from service.store.idempotency import IdempotencyKey, Made

Ref = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Text = Annotated[str, Meta(min_length=1, max_length=5000)]
Language = Annotated[str, Meta(max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$(?!\n)")]
PassId = Annotated[str, Meta(pattern=r"^pass_[0-9a-f]{32}$(?!\n)")]
# A group order has at most a few dozen tickets; more is a mistake.
_PASSES_MAX: Final = 50

_CALLERS: Final = ("platform", "agent", "machine", "customer")


class NewCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong, with what, said by whom over which channel."""

    problem: Problem
    channel: Channel
    show: Ref | None = None
    """the show's reference; not needed where the order is for one show"""
    order: Ref | None = None
    passes: Annotated[tuple[PassId, ...], Meta(max_length=_PASSES_MAX)] = ()
    """the tickets it is about; none: all that concern the problem"""
    incident: Ref | None = None
    message: Text | None = None
    locale: Language = "en"
    checked: Annotated[str, Meta(min_length=3, max_length=500)] | None = None
    """agents: how you made sure who is asking; it counts as verified for this order and stands on the timeline"""


class Identify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    order: Ref | None = None
    """needed where the proven address has several orders for the show"""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fact: Annotated[str, Meta(min_length=1, max_length=60)]
    """as the question named it"""
    value: Annotated[str, Meta(min_length=1, max_length=200)]
    channel: Channel = Channel.WIDGET


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Text
    channel: Channel = Channel.WIDGET


class AskPerson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Text | None = None
    channel: Channel = Channel.WIDGET


class EntryShown(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. Screens sort by `happened_at`, then `seq`, which is the order of writing."""

    seq: int
    happened_at: datetime
    source: str
    actor: str
    kind: str
    data: dict[str, Any]


class TimelinePage(msgspec.Struct, frozen=True, kw_only=True):
    entries: tuple[EntryShown, ...]
    next_after: int | None
    """pass it as `after` for the next page; null: this was the last for now"""


class ProgressEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One server-sent event."""

    event: Literal["entry", "case"]
    data: str
    """JSON: an entry of the timeline, or the case as it is now"""
    id: str = ""
    """of an entry: its seq; send it back as Last-Event-ID"""


_NEW: Final = {"show": "nll26", "order": "M0VLU", "problem": "stream_outage", "channel": "widget", "locale": "de"}
CASE_EXAMPLE: Final = {
    "id": "case_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f",
    "state": "resolved",
    "status": "resolved",
    "problem": "stream_outage",
    "order": "M0VLU",
    "show": "nll26",
    "show_name": "Northern Lights Live",
    "identity": "verified",
    "locale": "en",
    "created_at": "2026-11-20T20:41:07Z",
    "ended_at": "2026-11-20T20:41:08Z",
    "version": 9,
    "answers": [{"outcome": "approve", "because": "The stream was down for part of the show.", "would_change": None, "rule": None}],
    "question": None,
    "wait": None,
    "operations": [
        {
            "id": "op_0192f1c2aa0b7c3d8e9f0a1b2c3d4e60",
            "action": "refund",
            "status": "sent",
            "amount": 694,
            "currency": "EUR",
            "to": "Visa ·· 4242",
            "pass_id": None,
            "payment": None,
            "holds": [],
            "approvals": 0,
            "approvals_needed": 0,
            "failure": None,
        }
    ],
    "access": [],
    "messages": [],
    "joined_to": None,
    "can_ask_a_person": True,
    "desk": None,
}


_OPENED: Final = {
    200: ResponseSpec(data_container=CaseShown, generate_examples=False, description="The same key again: the case as it is now"),
    202: ResponseSpec(data_container=CaseShown, generate_examples=False, description="The wait is over, and the work goes on"),
}


_STREAMED: Final = {
    200: ResponseSpec(
        data_container=ProgressEvent, generate_examples=False, media_type="text/event-stream", description="What happens from now on"
    )
}
_NOT_PROVEN: Final = {
    422: ResponseSpec(
        data_container=problems.ProblemBody,
        generate_examples=False,
        media_type=problems.MEDIA_TYPE,
        description="This does not show whose order it is",
    )
}


class CaseRoutes(Controller):
    tags = ("cases",)

    @post(
        "/v1/cases",
        responses=_OPENED,
        opt={**opens_to(*_CALLERS, scope="cases:write"), **examples(request=_NEW, answer=CASE_EXAMPLE)},
    )
    async def open_case(
        self,
        data: JSONBody[NewCase],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        wait: NamedDependency[Wait],
        cases: NamedDependency[Cases],
    ) -> Response[CaseShown]:
        """Says what is wrong. The answer is the case as it stands when it is settled, or when the wait is over (202: it goes on)."""
        contact = _contact(data, caller, idempotency)
        opened = await cases.open(caller, contact, wait.seconds_max)
        if opened.status == "mismatch":
            check_repeat(Made(resource_id=opened.case, same_body=False))
        shown = await cases.get(caller, opened.case)
        if shown is None:
            raise problems.not_found("case")
        status = 202 if shown.status == "working" else 200 if opened.status == "repeat" else 201
        return Response(shown, status_code=status, headers={"Location": f"/v1/cases/{shown.id}"})

    @get("/v1/cases/{case_id:str}", opt={**opens_to(*_CALLERS, scope="cases:read"), **examples(answer=CASE_EXAMPLE)})
    async def show_case(self, case_id: FromPath[str], caller: NamedDependency[Caller], cases: NamedDependency[Cases]) -> CaseShown:
        """The case as this caller may see it."""
        return found(await cases.get(caller, id_of(case_id)))

    @get("/v1/cases/{case_id:str}/timeline", opt=opens_to(*_CALLERS, scope="cases:read"))
    async def show_timeline(
        self,
        case_id: FromPath[str],
        caller: NamedDependency[Caller],
        cases: NamedDependency[Cases],
        after: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> TimelinePage:
        """What happened to the case and its order, from every source, in the order of writing."""
        page = await cases.timeline(caller, id_of(case_id), after, limit)
        if page is None:
            raise problems.not_found("case")
        entries, next_after = page
        return TimelinePage(entries=tuple(_entry(one) for one in entries), next_after=next_after)

    @get("/v1/cases/{case_id:str}/progress", responses=_STREAMED, opt=opens_to(*_CALLERS, scope="cases:read"))
    async def follow_case(
        self, case_id: FromPath[str], request: Request[Any, Any, Any], caller: NamedDependency[Caller], cases: NamedDependency[Cases]
    ) -> ServerSentEvent:
        """What happens from now on, as server-sent events: `entry` and `case`. Ends by itself after 25 s or when the case has ended;
        go on with `Last-Event-ID` (the entry's seq).
        """
        case = id_of(case_id)
        found(await cases.get(caller, case))
        after = request.headers.get("last-event-id", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            raise problems.invalid("Last-Event-ID", "is the seq of the last entry you saw")
        return ServerSentEvent(_events(cases, caller, case, int(after)))

    @post("/v1/cases/{case_id:str}/identify", status_code=200, responses=_NOT_PROVEN, opt=opens_to("customer"))
    async def identify_case(
        self,
        case_id: FromPath[str],
        data: JSONBody[Identify],
        caller: NamedDependency[Caller],
        wait: NamedDependency[Wait],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Goes on with a case opened before it was known who asks. The session or JWT must have proved the order's customer."""
        case = id_of(case_id)
        before = found(await cases.get(caller, case))
        if not await cases.identify(caller, case, data.order, wait.seconds_max):
            if before.question is None or before.question.fact != "identity":
                raise problems.conflict("nothing_to_identify", "This case needs no proof now")
            raise problems.Problem(
                status=422,
                code="not_proven",
                title="This does not show whose order it is",
                detail="Prove the address it was bought with, or name the order.",
                errors=[problems.FieldError(field="/order", message="is not an order that this proof opens")],
            )
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/answers", status_code=200, opt=opens_to(*_CALLERS, scope="cases:write"))
    async def answer_question(
        self,
        case_id: FromPath[str],
        data: JSONBody[Answer],
        caller: NamedDependency[Caller],
        wait: NamedDependency[Wait],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Answers the one question that the case asks; it is then decided again."""
        case = id_of(case_id)
        shown = found(await cases.get(caller, case))
        _check_answer(shown, data)
        value = unwire(WireId.PASS, data.value) if data.fact == "passes" else data.value
        await cases.say(caller, case, _say("answered", data.channel, None) | {"answers": {data.fact: value}}, wait.seconds_max)
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/messages", opt=opens_to(*_CALLERS, scope="cases:write"))
    async def say_more(
        self,
        case_id: FromPath[str],
        data: JSONBody[Said],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Says more on a case. One that had ended is opened again, and people look at it."""
        case = id_of(case_id)
        found(await cases.get(caller, case))
        document = _say("said_more", data.channel, data.message) | {"once": _once(idempotency)}
        if await cases.say(caller, case, document, 0.0) == "mismatch":
            check_repeat(Made(resource_id=case, same_body=False))
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/person", status_code=200, opt=opens_to(*_CALLERS, scope="cases:write"))
    async def ask_for_a_person(
        self, case_id: FromPath[str], data: JSONBody[AskPerson], caller: NamedDependency[Caller], cases: NamedDependency[Cases]
    ) -> CaseShown:
        """Hands the case to people, from any state, after a denial too. Asking again changes nothing."""
        case = id_of(case_id)
        found(await cases.get(caller, case))
        await cases.say(caller, case, _say("asked_for_a_person", data.channel, data.message) | {"person": True}, 0.0)
        return found(await cases.get(caller, case))


def id_of(text: str) -> UUID:
    """Raises Problem 404: an id of another shape is no case."""
    case = unwire(WireId.CASE, text)
    if case is None:
        raise problems.not_found("case")
    return case


def found(shown: CaseShown | None) -> CaseShown:
    if shown is None:
        raise problems.not_found("case")
    return shown


def _contact(data: NewCase, caller: Caller, idempotency: IdempotencyKey) -> Contact:
    if data.checked is not None:
        if caller.kind not in {"agent", "machine"}:
            raise problems.invalid("/checked", "is for agents, who say how they made sure who is asking")
        if caller.kind == "machine":
            require_scope(caller, "vouch")
    return Contact(
        problem=data.problem,
        show=data.show,
        order=data.order,
        passes=tuple(one for one in (unwire(WireId.PASS, text) for text in data.passes) if one is not None),
        incident=data.incident,
        message=data.message,
        channel=data.channel,
        locale=data.locale,
        checked=data.checked,
        key=idempotency.key,
        body_hash=idempotency.body_hash,
    )


def _check_answer(shown: CaseShown, data: Answer) -> None:
    if shown.question is None or shown.question.fact in {"identity", "destination"}:
        raise problems.conflict("nothing_asked", "This case asks nothing that can be answered here")
    if data.fact != shown.question.fact:
        raise problems.invalid("/fact", f"the question is about {shown.question.fact}")
    if shown.question.options and data.value not in {one.value for one in shown.question.options}:
        raise problems.invalid("/value", "is none of the question's options")


def _say(kind: str, channel: Channel, message: str | None) -> dict[str, Any]:
    return {"kind": kind, "channel": channel, "message": {"id": new_id(), "body": message} if message else {}}


def _once(key: IdempotencyKey) -> dict[str, Any]:
    return {"caller": key.caller, "method": key.method, "path": key.path, "key": key.key, "body_hash": key.body_hash.hex()}


def _entry(one: TimelineEntry) -> EntryShown:
    return EntryShown(seq=one.seq, happened_at=one.happened_at, source=one.source, actor=one.actor, kind=one.kind, data=dict(one.data))


async def _events(cases: Cases, caller: Caller, case: UUID, after: int) -> AsyncIterator[ServerSentEventMessage]:
    async for step in cases.follow(caller, case, after):
        for one in step.entries:
            yield ServerSentEventMessage(event="entry", id=str(one.seq), data=msgspec.json.encode(_entry(one)).decode())
        if step.case is not None:
            yield ServerSentEventMessage(event="case", data=msgspec.json.encode(step.case).decode())


FAILURES: Final[problems.Failures] = {NotTheirPasses: lambda _: problems.invalid("/passes", "are not all tickets of yours in this order")}
"""how the exceptions of `service.identity_of_case` read on the wire"""
