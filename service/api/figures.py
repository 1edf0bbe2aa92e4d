"""Routes of the figures: what it all came to, the lead's board, one's own shift; and the customers' own judgement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from service.api import problems
from service.api.auth import open_to_anyone, opens_to
from service.api.cases import found, id_of
from service.api.contract import examples
from service.callers import Caller
from service.cases import Cases
from service.figures import Board, Figures, FiguresShown, Shift, UnknownShow
from service.satisfaction import Asked, NotAsked, NotYet, Satisfactions, ScoredBefore

# No ticket of ours was sold before or will be after; and a year's distance from either is a time that every calendar and column knows.
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)

_NOT_ASKED: Final = {
    404: ResponseSpec(
        data_container=problems.ProblemBody,
        generate_examples=False,
        media_type=problems.MEDIA_TYPE,
        description="Nobody was asked by this token",
    )
}

Score = Annotated[int, Meta(ge=1, le=5)]


class NewScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    asked: Asked = "resolution"
    score: Score
    """1: badly served, 5: very well"""


class ScoreByToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Annotated[str, Meta(min_length=1, max_length=200, examples=["mgf_x"])]
    """from the link of the letter after the show"""
    score: Score


class ScoreShown(msgspec.Struct, frozen=True, kw_only=True):
    score: int


class FigureRoutes(Controller):
    tags = ("figures",)

    @get("/v1/figures", opt=opens_to("agent", "platform", scope="cases:read"))
    async def show_figures(
        self,
        *,
        caller: NamedDependency[Caller],
        figures: NamedDependency[Figures],
        show: Annotated[str | None, QueryParameter(min_length=1, max_length=100)] = None,
        begin: Annotated[datetime | None, QueryParameter(name="from")] = None,
        end: Annotated[datetime | None, QueryParameter(name="to")] = None,
    ) -> FiguresShown:
        """Of cases opened from `from` to before `to`: the last day unless you say otherwise; of one show all of its time, while it runs
        and after. What each figure means stands in `definitions`.
        """
        _check_time("from", begin)
        _check_time("to", end)
        if begin is not None and end is not None and begin >= end:
            raise problems.invalid("from", "is before `to`")
        return await figures.of(caller, show=show, begin=begin, end=end)

    @get("/v1/board", opt=opens_to("agent", "platform", scope="cases:read"))
    async def show_board(self, caller: NamedDependency[Caller], figures: NamedDependency[Figures]) -> Board:
        """The desk as it is now, and its last hour by the minute."""
        return await figures.board(caller)

    @get("/v1/shift", opt=opens_to("agent", "machine", scope="queue:work"))
    async def show_my_shift(self, caller: NamedDependency[Caller], figures: NamedDependency[Figures]) -> Shift:
        """Your own day."""
        return await figures.shift(caller)

    @post("/v1/cases/{case_id:str}/satisfaction", status_code=200, opt={**opens_to("customer"), **examples(request={"score": 5})})
    async def score_case(
        self,
        case_id: FromPath[str],
        data: JSONBody[NewScore],
        caller: NamedDependency[Caller],
        satisfactions: NamedDependency[Satisfactions],
        cases: NamedDependency[Cases],
    ) -> ScoreShown:
        """One tap, once for each time that you are asked: after the case has ended, and after the show."""
        case = id_of(case_id)
        found(await cases.get(caller, case))
        await satisfactions.by_customer(caller, await cases.target(caller, case), data.asked, data.score)
        return ScoreShown(score=data.score)

    @post(
        "/v1/satisfaction",
        status_code=200,
        responses=_NOT_ASKED,
        opt={**open_to_anyone("the sealed token of the letter names the one case that it scores"), **examples(answer={"score": 5})},
    )
    async def score_by_token(self, data: JSONBody[ScoreByToken], satisfactions: NamedDependency[Satisfactions]) -> ScoreShown:
        """The tap of the letter that goes out a day after the show. It shows nothing of the case."""
        await satisfactions.by_token(data.token, data.score)
        return ScoreShown(score=data.score)


def _check_time(name: str, at: datetime | None) -> None:
    if at is None:
        return
    if at.tzinfo is None:
        raise problems.invalid(name, "needs a zone: 2026-11-20T20:00:00Z")
    if not _FIRST <= at <= _LAST:
        raise problems.invalid(name, "is from 2000 to 2100")


FAILURES: Final[problems.Failures] = {
    UnknownShow: lambda _: problems.not_found("show"),
    NotAsked: lambda _: problems.not_found("question"),
    NotYet: lambda _: problems.conflict("not_yet", "It is not over yet", "Score it when the case has ended, or after the show."),
    ScoredBefore: lambda _: problems.conflict("scored_before", "You have told us already", "Once is enough, thank you."),
}
"""how the exceptions of `service.figures` and `service.satisfaction` read on the wire"""
