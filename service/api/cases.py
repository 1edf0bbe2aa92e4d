"""Routes of a case for whoever it concerns: `/v1/cases` and what hangs below one."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from service.api import problems
from service.api.auth import opens_to, require_scope
from service.api.contract import examples
from service.api.headers import Wait, repeatable
from service.api.told import OfferedTold, PlayerTold, PurchaseTold, offer_moved, offered_of, player_of, purchase_of
from service.callers import Caller
from service.cases import Cases
from service.contacts import Contact
from service.identity_of_case import NotTheirPasses
from service.likely import Likelies, fits
from service.model import Channel, Problem, WireId, new_id, unwire
from service.platforms import Platforms
from service.shown import CaseShown
from service.store.flow import OfferMoved
from service.store.idempotency import IdempotencyKey, IdempotencyStore, KeyReused

Ref = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Text = Annotated[str, Meta(min_length=1, max_length=5000)]
Reason = Annotated[str, Meta(min_length=3, max_length=500)]
# RFC 5646, section 4.4.1: 35 letters hold every tag without extensions, which browsers add; some write `en_US`, or a word. No such tag is
# refused: `Platforms.language` reads what it can.
LANGUAGE: Final = r"^[A-Za-z0-9_-]+$(?!\n)"
LANGUAGE_LENGTH_MAX: Final = 60
Language = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LANGUAGE_LENGTH_MAX,
        pattern=LANGUAGE,
        examples=["de-CH"],
        description="as the browser says it; where it names no language, the platform's first one is taken",
    ),
]
PassId = Annotated[str, Meta(pattern=r"^pass_[0-9a-f]{32}$(?!\n)")]
# A group order has at most a few dozen tickets; more is a mistake.
PASSES_MAX: Final = 50

CALLERS: Final = ("platform", "agent", "machine", "customer")


class NewCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong, with what, said by whom over which channel."""

    problem: Problem
    channel: Channel
    show: Ref | None = None
    """the show's reference; not needed where the order is for one show"""
    order: Ref | None = None
    passes: Annotated[tuple[PassId, ...], Meta(max_length=PASSES_MAX)] = ()
    """the tickets it is about; none: all that concern the problem"""
    incident: Ref | None = None
    message: Text | None = None
    locale: Language = "en"
    checked: Annotated[str, Meta(min_length=3, max_length=500)] | None = None
    """agents: how you made sure who is asking; it counts as verified for this order and stands on the timeline"""
    player: PlayerTold | None = None
    purchase: PurchaseTold | None = None
    """customers whose mail is out of reach: the case goes to people, whoever they are, and nothing is decided on it"""
    offered: OfferedTold | None = None


class Identify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    order: Ref | None = None
    """needed where the proven address has several orders for the show"""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fact: Annotated[str, Meta(min_length=1, max_length=60)]
    """as the question named it"""
    value: Annotated[str, Meta(min_length=1, max_length=200)]
    channel: Channel = Channel.WIDGET
    offered: OfferedTold | None = None
    """what `POST /v1/cases/{id}/preview` said this answer would bring"""


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Text
    channel: Channel = Channel.WIDGET


class AskPerson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Text | None = None
    channel: Channel = Channel.WIDGET


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
        opt={**opens_to(*CALLERS, scope="cases:write"), **examples(request=_NEW, answer=CASE_EXAMPLE)},
    )
    async def open_case(
        self,
        *,
        data: JSONBody[NewCase],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        wait: NamedDependency[Wait],
        cases: NamedDependency[Cases],
        widget_likely: NamedDependency[Likelies],
        platforms: NamedDependency[Platforms],
    ) -> Response[CaseShown]:
        """Says what is wrong. The answer is the case as it stands when it is settled, or when the wait is over (202: it goes on).

        With `offered`, nothing is opened where something else would be done by now: 409 `offer_moved` with what that is under `likely`.
        """
        contact = _contact(data, caller, idempotency, await platforms.language(caller.platform_id, data.locale))
        try:
            opened = await cases.open(caller, contact, wait.seconds_max)
        except OfferMoved as moved:
            raise offer_moved(await widget_likely.now(caller, contact)) from moved
        if opened.status == "mismatch":
            raise KeyReused
        shown = await cases.get(caller, opened.case)
        if shown is None:
            raise problems.not_found("case")
        status = 202 if shown.status == "working" else 200 if opened.status == "repeat" else 201
        return Response(shown, status_code=status, headers={"Location": f"/v1/cases/{shown.id}"})

    @get("/v1/cases/{case_id:str}", opt={**opens_to(*CALLERS, scope="cases:read"), **examples(answer=CASE_EXAMPLE)})
    async def show_case(self, case_id: FromPath[str], caller: NamedDependency[Caller], cases: NamedDependency[Cases]) -> CaseShown:
        """The case as this caller may see it."""
        return found(await cases.get(caller, id_of(case_id)))

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

    @post(
        "/v1/cases/{case_id:str}/answers",
        status_code=200,
        responses=problems.answers(403, "`not_proven`: the case has an order, and the customer's proof has run out"),
        opt=opens_to(*CALLERS, scope="cases:write"),
    )
    async def answer_question(
        self,
        *,
        case_id: FromPath[str],
        data: JSONBody[Answer],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        repeats: NamedDependency[IdempotencyStore],
        wait: NamedDependency[Wait],
        cases: NamedDependency[Cases],
        widget_likely: NamedDependency[Likelies],
    ) -> CaseShown:
        """Answers the one question that the case asks; it is then decided again.

        With `offered`, nothing is stored where something else would be done by now: 409 `offer_moved` with what that is under `likely`.
        """
        case = id_of(case_id)
        shown = found(await cases.get(caller, case))
        value = answer_value(data.fact, data.value)
        answered = _say("answered", data.channel, None) | {"answers": {data.fact: value}}
        async with repeatable(repeats, idempotency):
            check_answer(shown, data.fact, data.value)
            await check_proven(cases, caller, case)
            if (offered := offered_of(data.offered)) is not None:
                now = await widget_likely.answered(caller.platform_id, await cases.target(caller, case), data.fact, value)
                if not fits(offered, now):
                    raise offer_moved(now)
            await cases.say(caller, idempotency, case, answered, wait.seconds_max)
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/messages", opt=opens_to(*CALLERS, scope="cases:write"))
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
        await cases.say(caller, idempotency, case, _say("said_more", data.channel, data.message), 0.0)
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/person", status_code=200, opt=opens_to(*CALLERS, scope="cases:write"))
    async def ask_for_a_person(
        self,
        case_id: FromPath[str],
        data: JSONBody[AskPerson],
        caller: NamedDependency[Caller],
        idempotency: NamedDependency[IdempotencyKey],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Hands the case to people, from any state, after a denial too."""
        case = id_of(case_id)
        found(await cases.get(caller, case))
        asked = _say("asked_for_a_person", data.channel, data.message) | {"person": True}
        await cases.say(caller, idempotency, case, asked, 0.0)
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


async def seen(cases: Cases, caller: Caller, case_id: str) -> UUID:
    """The case behind an id, once it is known that this caller may look at it. Raises Problem 404."""
    case = id_of(case_id)
    found(await cases.get(caller, case))
    return case


def _contact(data: NewCase, caller: Caller, idempotency: IdempotencyKey, locale: str) -> Contact:
    if data.checked is not None:
        if caller.kind not in {"agent", "machine"}:
            raise problems.invalid("/checked", "is for agents, who say how they made sure who is asking")
        if caller.kind == "machine":
            require_scope(caller, "vouch")
    if data.purchase is not None and caller.kind != "customer":
        raise problems.invalid("/purchase", "is for customers, who cannot prove by mail who they are")
    return Contact(
        problem=data.problem,
        show=data.show,
        order=data.order,
        passes=tuple(one for one in (unwire(WireId.PASS, text) for text in data.passes) if one is not None),
        incident=data.incident,
        message=data.message,
        channel=data.channel,
        locale=locale,
        checked=data.checked,
        key=idempotency.key,
        body_hash=idempotency.body_hash,
        player=player_of(data.player),
        purchase=purchase_of(data.purchase),
        offered=offered_of(data.offered),
    )


async def check_proven(cases: Cases, caller: Caller, case: UUID) -> None:
    """Raises Problem 403 where what follows may move money of an order that the caller no longer proves to be theirs."""
    if not await cases.may_answer(caller, case):
        raise problems.not_allowed("not_proven", "Prove the address of the order again: then your answer counts.")


def answer_value(fact: str, value: str) -> str:
    """As it is kept: of a pass its id as the database writes it; what is no pass is none of the question's options either."""
    named = unwire(WireId.PASS, value) if fact == "passes" else None
    return value if named is None else str(named)


def check_answer(shown: CaseShown, fact: str, value: str) -> None:
    """Raises Problem 409 where nothing is asked, 400 where something else is."""
    if shown.question is None or shown.question.fact in {"identity", "destination"}:
        raise problems.conflict("nothing_asked", "This case asks nothing that can be answered here")
    if fact != shown.question.fact:
        raise problems.invalid("/fact", f"the question is about {shown.question.fact}")
    if shown.question.options and value not in {one.value for one in shown.question.options}:
        raise problems.invalid("/value", "is none of the question's options")


def _say(kind: str, channel: Channel, message: str | None) -> dict[str, Any]:
    return {"kind": kind, "channel": channel, "message": {"id": new_id(), "body": message} if message else {}}


FAILURES: Final[problems.Failures] = {NotTheirPasses: lambda _: problems.invalid("/passes", "are not all tickets of yours in this order")}
"""how the exceptions of `service.identity_of_case` read on the wire"""
