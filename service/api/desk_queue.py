"""Routes of the queue: who is first, taking and keeping a case, giving it on, putting it aside, and what leads an agent through it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from policies import SKILLS, skills_like
from service.api import problems
from service.api.auth import DESK, asked_by_itself, opens_to
from service.api.cases import CASE_EXAMPLE, Reason, found, id_of, seen
from service.api.contract import examples
from service.callers import Caller
from service.cases import Cases
from service.claims import Claims
from service.guide import Guide, GuideShown
from service.model import WireId, wire
from service.queue_rows import QueueRow, QueueRows
from service.shown import CaseShown
from service.store.queue import Filters

# A console asks for 90 s and keeps asking every 25; shorter ends between two askings, longer leaves a vanished agent's case lying.
Lease = Annotated[int, Meta(ge=30, le=600)]
_LANGUAGE: Final = r"^[a-z]{2,3}$(?!\n)"
# A year: what is older than all of it is older than a year.
_AGE_SECONDS_MAX: Final = 31_536_000
_ASIDE: Final = opens_to(*DESK, scope="queue:work", machines="cases:park")
_ROW: Final = {
    "id": "case_0192f3c47d6e7b6a9a53c0f1a2b3c4d5",
    "problem": "charged_twice",
    "order": "A1042",
    "show": "night-1",
    "show_name": "Night of Lights",
    "skill": "payments",
    "priority": 2,
    "state": "waiting",
    "look_by": "2026-11-03T19:05:00Z",
    "why": "much-money",
    "queued_at": "2026-11-03T19:00:00Z",
    "agent": None,
    "mine": False,
    "money_at_stake": 12000,
    "held": 1,
    "currency": "EUR",
    "locale": "en",
    "unanswered_at": "2026-11-03T18:59:58Z",
    "sla": {"kind": "acknowledge", "due_at": "2026-11-03T19:10:00Z", "warned": False, "breached": False, "paused_for": None},
    "playbook": "double-charge",
    "version": 4,
}


class QueuePage(msgspec.Struct, frozen=True, kw_only=True):
    cases: tuple[QueueRow, ...]
    """the case to take first at the top"""
    next_offset: int | None
    total: int


class Take(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    case: Annotated[str, Meta(pattern=r"^case_[0-9a-f]{32}$(?!\n)")] | None = None
    """none: the best of the queue for your skills and languages"""
    lease_seconds: Lease = 600
    """so long it is yours; a note or a reply makes it 90 seconds more at least, `keep` what you ask for"""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lease_seconds: Lease = 600


class KeptShown(msgspec.Struct, frozen=True, kw_only=True):
    until: datetime


class GivenBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason
    skill: str | None = None
    agent: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """id or name; they have it at once, for two minutes until they keep it"""


class ParkedFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"waits_for": "for"}):
    waits_for: Literal["customer", "hold"]
    """`customer`: for their answer, and the clocks stand; `hold`: for a while, and they run on"""
    seconds: Annotated[int, Meta(ge=60, le=604800)]
    """then it comes back by itself, to you if you are there; sooner when the customer writes"""
    reason: Reason


class PresenceShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: Literal["agent", "lead", "machine"]
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    """none: every one"""
    capacity: int
    """how many cases at a time"""
    holding: int
    available: bool
    seen_at: datetime | None
    """when the console, or the program, was last heard of"""


class ShiftShown(msgspec.Struct, frozen=True, kw_only=True):
    agents: tuple[PresenceShown, ...]


class Availability(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    available: bool


class QueueRoutes(Controller):
    tags = ("desk",)

    @get(
        "/v1/queue",
        opt={
            **opens_to(*DESK, "platform", scope="cases:read"),
            **examples(answer={"cases": [_ROW], "next_offset": None, "total": 1}),
        },
    )
    async def show_queue(
        self,
        *,
        caller: NamedDependency[Caller],
        queue_rows: NamedDependency[QueueRows],
        shown: Annotated[Literal["waiting", "taken", "parked", "all"] | None, QueryParameter(name="state")] = None,
        skill: Annotated[str | None, QueryParameter(max_length=40)] = None,
        show: Annotated[str | None, QueryParameter(max_length=200)] = None,
        problem: Annotated[str | None, QueryParameter(max_length=40)] = None,
        mine: FromQuery[bool] = False,
        sla: FromQuery[Literal["at_risk", "breached"] | None] = None,
        language: Annotated[str | None, QueryParameter(pattern=_LANGUAGE)] = None,
        older_seconds: Annotated[int | None, QueryParameter(ge=0, le=_AGE_SECONDS_MAX)] = None,
        younger_seconds: Annotated[int | None, QueryParameter(ge=0, le=_AGE_SECONDS_MAX)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
        offset: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
    ) -> QueuePage:
        """Cases for people: first those that wait, the one to take at the top, then those that somebody has.

        `state` shows only some, or with `all` the parked ones as well. `mine`: that you have, or that come back to you.
        `older_seconds`, `younger_seconds`: with people for so long at least, for less than that.
        """
        filters = Filters(
            shown=shown or "open",
            skills=skills_like(skill) if skill else None,
            show=show,
            problem=problem,
            agent=(caller.agent_id or UUID(int=0)) if mine else None,
            sla=sla,
            language=language,
            older_seconds=older_seconds,
            younger_seconds=younger_seconds,
        )
        page = await queue_rows.page(caller, filters, most=limit, offset=offset)
        more = offset + len(page.rows) < page.total and bool(page.rows)
        return QueuePage(cases=tuple(page.rows), next_offset=offset + limit if more else None, total=page.total)

    @post("/v1/queue/take", status_code=200, opt={**opens_to(*DESK, scope="queue:work"), **examples(request={}, answer=CASE_EXAMPLE)})
    async def take_case(
        self, data: JSONBody[Take], caller: NamedDependency[Caller], claims: NamedDependency[Claims], cases: NamedDependency[Cases]
    ) -> CaseShown:
        """Takes a case for a while, at most as many as you have hands for. An agent who vanishes gives it back, to the place it had.

        Of the queue you get what is to be looked at first among your skills; what is not in your languages only when it is late. A named
        case you get whatever it needs.
        """
        case = None if data.case is None else id_of(data.case)
        if case is not None:
            found(await cases.get(caller, case))
        taken = await claims.take(caller, case, data.lease_seconds)
        if taken.case is None:
            nothing = "The queue has nothing for you." if case is None else "Somebody else has it, or it does not wait for people."
            raise problems.conflict(taken.status, *(_FULL if taken.status == "at_capacity" else ("There is nothing to take", nothing)))
        return found(await cases.get(caller, taken.case))

    @post("/v1/cases/{case_id:str}/keep", status_code=200, opt={**opens_to(*DESK, scope="queue:work"), **asked_by_itself()})
    async def keep_case(
        self,
        case_id: FromPath[str],
        data: JSONBody[Kept],
        caller: NamedDependency[Caller],
        claims: NamedDependency[Claims],
        cases: NamedDependency[Cases],
    ) -> KeptShown:
        """Keeps a case that you have for so long from now. When that ends, it is back in its place in the queue."""
        until = await claims.keep(caller, await seen(cases, caller, case_id), data.lease_seconds)
        if until is None:
            raise problems.conflict("not_yours", *_NOT_YOURS)
        return KeptShown(until=until)

    @post("/v1/cases/{case_id:str}/give-back", status_code=200, opt=opens_to(*DESK, scope="queue:work"))
    async def give_back(
        self,
        case_id: FromPath[str],
        data: JSONBody[GivenBack],
        caller: NamedDependency[Caller],
        claims: NamedDependency[Claims],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Gives on a case that you have: back to its place in the queue, to another skill, or to somebody who is there.

        By name it goes from a person to a person; a program takes its cases itself.
        """
        case = await seen(cases, caller, case_id)
        if caller.kind == "machine" and data.agent is not None:
            raise problems.not_allowed("caller_not_allowed", "A program gives a case back to the queue, or to a skill.")
        if data.skill is not None and data.skill not in SKILLS:
            raise problems.invalid("/skill", f"is one of {', '.join(SKILLS)}")
        if data.skill is not None and data.agent is not None:
            raise problems.invalid("/agent", "name a skill or an agent, not both")
        status = await claims.give_back(caller, case, skill=data.skill, agent=data.agent, reason=data.reason)
        if status == "agent_away":
            raise problems.conflict(
                status, "They cannot take it now", "They are not available, have as many cases as they can, or are not at this desk."
            )
        if status == "not_a_person":
            raise problems.conflict(status, "This is a program", "It takes its cases itself: give this one to the queue, or to a skill.")
        if status == "not_yours":
            raise problems.conflict(status, *_NOT_YOURS)
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/park", status_code=200, opt=_ASIDE)
    async def park_case(
        self,
        case_id: FromPath[str],
        data: JSONBody[ParkedFor],
        caller: NamedDependency[Caller],
        claims: NamedDependency[Claims],
        cases: NamedDependency[Cases],
    ) -> CaseShown:
        """Puts a case that you have aside, until the customer answers or for a while. It comes back by itself, to you if you are there.

        It is back half an hour before its show begins, however long you ask for; within that half hour, after a minute. For the customer's
        answer only once their own words have one: 409 `unanswered`.
        """
        case = await seen(cases, caller, case_id)
        status = await claims.park(caller, case, waits_for=data.waits_for, seconds=data.seconds, reason=data.reason)
        if status != "parked":
            raise problems.conflict(status, *(_UNANSWERED if status == "unanswered" else _NOT_YOURS))
        return found(await cases.get(caller, case))

    @post("/v1/cases/{case_id:str}/unpark", status_code=200, opt=_ASIDE)
    async def unpark_case(
        self, case_id: FromPath[str], caller: NamedDependency[Caller], claims: NamedDependency[Claims], cases: NamedDependency[Cases]
    ) -> CaseShown:
        """Takes a case that was put aside, by you or somebody else, before its time, for ten minutes. A program takes only its own."""
        case = await seen(cases, caller, case_id)
        status = await claims.unpark(caller, case)
        if status != "taken":
            raise problems.conflict(
                status, *(_FULL if status == "at_capacity" else ("This case is not put aside", "Take it, or see who has it."))
            )
        return found(await cases.get(caller, case))

    @get("/v1/cases/{case_id:str}/guide", opt=opens_to(*DESK, scope="cases:read"))
    async def show_guide(
        self,
        case_id: FromPath[str],
        caller: NamedDependency[Caller],
        guide: NamedDependency[Guide],
        cases: NamedDependency[Cases],
        language: Annotated[str, QueryParameter(pattern=_LANGUAGE)] = "en",
    ) -> GuideShown:
        """What leads through a case: steps in `language`, words in the customer's, the clocks, and who gets it when time runs out."""
        shown = await guide.of(caller, await seen(cases, caller, case_id), language)
        if shown is None:
            raise problems.not_found("case")
        return shown

    @get("/v1/desk/shift", opt=opens_to(*DESK, scope="cases:read"))
    async def show_shift(self, caller: NamedDependency[Caller], claims: NamedDependency[Claims]) -> ShiftShown:
        """Who works at the desk, how many cases each has, and when they were last seen."""
        agents = await claims.shift(caller)
        return ShiftShown(
            agents=tuple(PresenceShown(**{**msgspec.structs.asdict(one), "id": wire(WireId.AGENT, one.id)}) for one in agents)
        )

    @put("/v1/desk/availability", opt=opens_to(*DESK, scope="queue:work"))
    async def set_availability(
        self, data: JSONBody[Availability], caller: NamedDependency[Caller], claims: NamedDependency[Claims]
    ) -> Availability:
        """Says whether you get cases unasked: ones given to you, and ones that come back. What you have stays yours."""
        if caller.agent_id is not None:
            await claims.available(caller, caller.agent_id, available=data.available)
        return data


_FULL: Final = ("You have as many cases as you can", "End one, put it aside or give it back first.")
_UNANSWERED: Final = ("Answer first", "The customer's own words have no answer yet: reply, then wait for theirs; or put the case on hold.")
_NOT_YOURS: Final = ("You have not taken this case", "Take it first.")
