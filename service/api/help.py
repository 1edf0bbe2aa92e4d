"""Routes of the help widget, before there is a case: `/v1/help` and what hangs below it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from service.api import problems
from service.api.auth import PLATFORM_HEADER, open_to_anyone, opens_to
from service.api.cases import (
    LANGUAGE,
    LANGUAGE_LENGTH_MAX,
    PASSES_MAX,
    Language,
    PassId,
    Ref,
    answer_value,
    check_answer,
    check_proven,
    found,
    id_of,
)
from service.api.contract import examples
from service.callers import Caller
from service.cases import Cases
from service.contacts import Contact
from service.help import Help, HelpOrders, HelpShown
from service.likely import Likelies, Likely
from service.model import Channel, Problem, WireId, unwire
from service.platforms import Platforms

# A show's start, its notice and the desk's hours may be that old on a screen. Private: a cache in between that ignores `Vary` would
# show one platform's help to another's customers.
_KEPT: Final = {"Cache-Control": "private, max-age=5", "Vary": f"Origin, {PLATFORM_HEADER}"}

_REF: Final = r"^[^\x00-\x1f\x7f]+$(?!\n)"

_SHOW: Final = {
    "ref": "nll26",
    "name": {"en": "Northern Lights Live"},
    "starts_at": "2026-11-20T19:00:00Z",
    "ends_at": "2026-11-20T20:30:00Z",
    "zone": "Europe/Berlin",
    "status": "scheduled",
    "phase": "over",
}
HELP_EXAMPLE: Final = {
    "platform": "northern",
    "name": "Northern Lights",
    "accent": "#1f4fd8",
    "languages": ["en", "de"],
    "zone": "Europe/Berlin",
    "words": {"en": {"ticket": "ticket", "tickets": "tickets", "stream_link": "stream link", "credit": "credit", "team": "our team"}},
    "contacts": {"support": "help@northern.example", "email": "help@northern.example", "phone": None, "url": None},
    "desk": {"open": True, "opens_at": None},
    "codes_by_text": False,
    "show": _SHOW,
    "notice": None,
}
LIKELY_EXAMPLE: Final = {
    "problem": "stream_outage",
    "incident": "down-1",
    "outcome": "approve",
    "because": "The stream was down for part of the show, so you get back that part of the price.",
    "would_change": None,
    "actions": ["refund"],
    "amount": 694,
    "currency": "EUR",
    "to": "Visa ·· 4242",
    "held": False,
    "from": "2026-11-20T19:10:00Z",
    "until": "2026-11-20T19:35:00Z",
}
ORDERS_EXAMPLE: Final = {
    "orders": [
        {
            "order": "M0VLU",
            "role": "buyer",
            "show": {**_SHOW, "name": "Northern Lights Live"},
            "items": [{"name": "Stream ticket", "kind": "stream", "pass_id": "pass_0192f1c2aa0b7c3d8e9f0a1b2c3d4e5f"}],
            "total": 2500,
            "currency": "EUR",
            "likely": [LIKELY_EXAMPLE],
            "case": None,
        }
    ],
    "cases": [],
}


class Look(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would be said, before it is said."""

    problem: Problem
    order: Ref | None = None
    show: Ref | None = None
    passes: Annotated[tuple[PassId, ...], Meta(max_length=PASSES_MAX)] = ()
    incident: Ref | None = None
    locale: Language = "en"


class AnswerLook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would be answered, before it is answered."""

    fact: Annotated[str, Meta(min_length=1, max_length=60)]
    """as the question named it"""
    value: Annotated[str, Meta(min_length=1, max_length=200)]


_ANSWER_EXAMPLE: Final = {"fact": "answer.postponed", "value": "refund"}
_LOOK_EXAMPLE: Final = {"problem": "stream_outage", "order": "M0VLU", "show": "nll26", "incident": "down-1", "locale": "en"}


class HelpRoutes(Controller):
    tags = ("help",)

    @get("/v1/help", opt={**open_to_anyone("what a widget shows before it knows who asks"), **examples(answer=HELP_EXAMPLE)})
    async def show_help(
        self,
        platform_slug: NamedDependency[str],
        widget_help: NamedDependency[Help],
        show: Annotated[str | None, QueryParameter(min_length=1, max_length=100, pattern=_REF)] = None,
    ) -> Response[HelpShown]:
        """The platform's name, look, words and contacts, whether people are at the desk, and how the show stands."""
        shown = await widget_help.shown(platform_slug, show)
        if shown is None:
            raise problems.not_found("platform")
        return Response(shown, headers=_KEPT)

    @get("/v1/help/orders", opt={**opens_to("customer"), **examples(answer=ORDERS_EXAMPLE)})
    async def list_own_orders(
        self,
        caller: NamedDependency[Caller],
        widget_help: NamedDependency[Help],
        platforms: NamedDependency[Platforms],
        locale: Annotated[str, QueryParameter(min_length=1, max_length=LANGUAGE_LENGTH_MAX, pattern=LANGUAGE)] = "en",
        show: Annotated[str | None, QueryParameter(min_length=1, max_length=100, pattern=_REF)] = None,
    ) -> HelpOrders:
        """The customer's own orders with what is likely wrong, and their cases. Who has proven nothing sees the cases of their session."""
        return await widget_help.orders(caller, await platforms.language(caller.platform_id, locale), show)

    @post("/v1/help/preview", status_code=200, opt={**opens_to("customer"), **examples(request=_LOOK_EXAMPLE, answer=LIKELY_EXAMPLE)})
    async def preview_case(
        self,
        data: JSONBody[Look],
        caller: NamedDependency[Caller],
        widget_likely: NamedDependency[Likelies],
        platforms: NamedDependency[Platforms],
    ) -> Likely:
        """What the rules would do now, if this were said. Nothing is stored; what is shown here is `offered` when the case is opened."""
        return await widget_likely.preview(
            caller,
            Contact(
                problem=data.problem,
                show=data.show,
                order=data.order,
                passes=tuple(one for one in (unwire(WireId.PASS, text) for text in data.passes) if one is not None),
                incident=data.incident,
                message=None,
                channel=Channel.WIDGET,
                locale=await platforms.language(caller.platform_id, data.locale),
                checked=None,
                key="",
                body_hash=b"",
            ),
        )

    @post(
        "/v1/cases/{case_id:str}/preview",
        status_code=200,
        responses=problems.answers(403, "`not_proven`: the case has an order, and the customer's proof has run out"),
        opt={**opens_to("customer"), **examples(request=_ANSWER_EXAMPLE, answer=LIKELY_EXAMPLE)},
    )
    async def preview_answer(
        self,
        case_id: FromPath[str],
        data: JSONBody[AnswerLook],
        caller: NamedDependency[Caller],
        cases: NamedDependency[Cases],
        widget_likely: NamedDependency[Likelies],
    ) -> Likely:
        """What the rules would do now, if the case's question were answered so. Nothing is stored; what is shown here is `offered` with the
        answer.
        """
        case = id_of(case_id)
        check_answer(found(await cases.get(caller, case)), data.fact, data.value)
        await check_proven(cases, caller, case)
        return await widget_likely.of_answer(caller, await cases.target(caller, case), data.fact, answer_value(data.fact, data.value))
