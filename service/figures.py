"""What the desk and its customers get out of it, in figures: each with its definition, each computed in SQL."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from policies import OLD_SKILLS
from service.callers import Caller
from service.figures_words import DEFINITIONS
from service.kept import Kept
from service.platforms import Platforms
from service.store.figures import FigureStore
from service.waits import WaitQuote, Waits

# A return within this takes first-contact resolution back; functions/figures.sql says the same.
RETURN_HOURS: Final = 72
# Of fewer cases a median says nothing.
MEASURED_MIN: Final = 5
# Where too few were measured: six minutes, what call centres commonly report for one contact. A guess, and said to be one.
SECONDS_ASSUMED: Final = 360.0
# Without a show or dates: the last day.
_WINDOW: Final = timedelta(days=1)
# A year and a day: one comparison with the same show last year.
WINDOW_DAYS_MAX: Final = 366
# Whoever has not been heard of for longer is not on shift.
_SEEN_SECONDS: Final = 60.0
MINUTES: Final = 60
# Leads look at a board that moves by the minute; over a hundred thousand cases it takes half a second to read.
_BOARD_SECONDS: Final = 2.0
# A day's share moves more slowly, and is half of that.
_DAY_SECONDS: Final = 10.0
# Platforms of an installation that somebody looks at.
_KEPT_MAX: Final = 1_000
# Steps of the board's ages in seconds: what a customer calls at once, soon, today; what is older stands alone.
AGES: Final = (300, 900, 3_600, 14_400, 86_400)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    share: float | None
    """0 to 1; null: of nothing"""
    of: int


class FirstContact(msgspec.Struct, frozen=True, kw_only=True):
    automated: Share
    human: Share
    overall: Share


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    median: float | None
    p90: float | None


class Met(msgspec.Struct, frozen=True, kw_only=True):
    met: int
    of: int


class Satisfaction(msgspec.Struct, frozen=True, kw_only=True):
    average: float | None
    answers: int
    of_asked: int


class SavedBasis(msgspec.Struct, frozen=True, kw_only=True):
    seconds_each: float
    measured: bool


class FiguresShown(msgspec.Struct, frozen=True, kw_only=True):
    show: str | None
    begin: datetime
    end: datetime
    contacts: int
    cases: int
    resolved: int
    fcr: FirstContact
    acknowledge_seconds: Spread
    handle_seconds: Spread
    backlog: int
    sla: Met
    satisfaction: Satisfaction
    answered_without_person: Share
    money_sent: dict[str, int]
    hours_saved: float
    hours_saved_basis: SavedBasis
    definitions: dict[str, str]


class AgeShown(msgspec.Struct, frozen=True, kw_only=True):
    up_to_seconds: int | None
    """with people for less than that; null: for longer than the last step"""
    cases: int
    behind: str


class SkillShown(msgspec.Struct, frozen=True, kw_only=True):
    skill: str
    cases: int
    behind: str


class MinuteShown(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    cases: int


class RefundSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Refunds by the minute in which they were decided, and by how they stand now: `sent`, `working`, `held`, `failed`."""

    rail: str
    state: str
    per_minute: tuple[int, ...]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    cases: int
    behind: str


class AgentCount(msgspec.Struct, frozen=True, kw_only=True):
    on_shift: int
    available: int
    holding: int
    """cases that agents have just now"""
    behind: str


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Every number of cases has a query of `GET /v1/queue` behind it."""

    at: datetime
    """of when this is: what several look at is read once in two seconds"""
    backlog: Count
    backlog_by_age: tuple[AgeShown, ...]
    backlog_by_skill: tuple[SkillShown, ...]
    arrivals: tuple[MinuteShown, ...]
    resolutions: tuple[MinuteShown, ...]
    fcr_now: FirstContact
    """of the 24 hours until `fcr_at`, which is at most ten seconds before `at`"""
    fcr_at: datetime
    refunds_per_minute: tuple[RefundSeries, ...]
    sla_at_risk: Count
    sla_breached: Count
    agents: AgentCount
    wait: WaitQuote


class OwnSatisfaction(msgspec.Struct, frozen=True, kw_only=True):
    average: float | None
    answers: int


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's day since midnight at the platform; satisfaction over the last 30 days."""

    since: datetime
    holding: int
    taken_today: int
    resolved_today: int
    replies: int
    """on cases that you had today"""
    median_handle_seconds: float | None
    sla: Met
    satisfaction: OwnSatisfaction


class UnknownShow(Exception):  # noqa: N818 - says what was asked for
    """There is no such show of this platform."""


class Figures:
    """One a process: it keeps a platform's board for a moment."""

    def __init__(self, store: FigureStore, platforms: Platforms, waits: Waits, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._platforms = platforms
        self._waits = waits
        self._boards: Kept[UUID, Board] = Kept(_BOARD_SECONDS, most=_KEPT_MAX, monotonic=monotonic)
        self._days: Kept[UUID, tuple[datetime, FirstContact]] = Kept(_DAY_SECONDS, most=_KEPT_MAX, monotonic=monotonic)

    async def of(self, caller: Caller, *, show: str | None, begin: datetime | None, end: datetime | None) -> FiguresShown:
        """Of cases opened from `begin` to before `end`; of one show: all of its time unless it is said. Raises UnknownShow."""
        show_id = None if show is None else await self._store.show(caller.platform_id, show)
        if show is not None and show_id is None:
            raise UnknownShow
        until = end or await self._store.now()
        longest = until - timedelta(days=WINDOW_DAYS_MAX)
        since = max(begin or (longest if show else until - _WINDOW), longest)
        told = await self._read(caller.platform_id, show_id, since, until)
        return FiguresShown(
            show=show,
            begin=since,
            end=until,
            definitions=dict(DEFINITIONS),
            hours_saved_basis=SavedBasis(seconds_each=told["seconds_saved_each"], measured=told["measured"]),
            **_figures(told),
        )

    async def board(self, caller: Caller) -> Board:
        return await self._boards.get(caller.platform_id, lambda: self._board(caller.platform_id))

    async def _board(self, platform: UUID) -> Board:
        fcr_at, fcr = await self._days.get(platform, lambda: self._day(platform))
        told = await self._store.board(platform, ages=AGES, minutes=MINUTES, seen_seconds=_SEEN_SECONDS)
        return Board(
            at=datetime.fromisoformat(told["at"]),
            backlog=Count(cases=told["backlog"], behind="state=all"),
            backlog_by_age=_ages(told["by_age"]),
            backlog_by_skill=_skills(told["by_skill"]),
            arrivals=_minutes(told["arrivals"]),
            resolutions=_minutes(told["resolutions"]),
            fcr_now=fcr,
            fcr_at=fcr_at,
            refunds_per_minute=tuple(msgspec.convert(one, RefundSeries) for one in told["refunds"]),
            sla_at_risk=Count(cases=told["sla_at_risk"], behind="state=all&sla=at_risk"),
            sla_breached=Count(cases=told["sla_breached"], behind="state=all&sla=breached"),
            agents=AgentCount(**told["agents"], behind="state=taken"),
            wait=await self._waits.quote(platform),
        )

    async def _day(self, platform: UUID) -> tuple[datetime, FirstContact]:
        at = await self._store.now()
        day = await self._read(platform, None, at - _WINDOW, at)
        return at, msgspec.convert(day["fcr"], FirstContact)

    async def shift(self, caller: Caller) -> Shift:
        if caller.agent_id is None:
            raise ValueError("a shift is an agent's")
        platform = await self._platforms.by_id(caller.platform_id)
        zone = platform.settings.zone if platform else "UTC"
        told = await self._store.shift(caller.platform_id, caller.agent_id, caller.name, zone)
        return Shift(
            since=datetime.fromisoformat(told["since"]),
            holding=told["holding"],
            taken_today=told["taken"],
            resolved_today=told["resolved"],
            replies=told["replies"],
            median_handle_seconds=told["handle"],
            sla=msgspec.convert(told["sla"], Met),
            satisfaction=msgspec.convert(told["satisfaction"], OwnSatisfaction),
        )

    async def _read(self, platform: UUID, show: UUID | None, begin: datetime, end: datetime) -> Mapping[str, Any]:
        return await self._store.figures(
            platform, show=show, begin=begin, end=end, seconds_assumed=SECONDS_ASSUMED, measured_min=MEASURED_MIN
        )


def _figures(told: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {
        "fcr": FirstContact,
        "acknowledge_seconds": Spread,
        "handle_seconds": Spread,
        "sla": Met,
        "satisfaction": Satisfaction,
        "answered_without_person": Share,
    }
    as_they_are = ("contacts", "cases", "resolved", "backlog", "money_sent", "hours_saved")
    return {name: msgspec.convert(told[name], kind) for name, kind in kinds.items()} | {name: told[name] for name in as_they_are}


def _minutes(told: Sequence[Mapping[str, Any]]) -> tuple[MinuteShown, ...]:
    return tuple(MinuteShown(at=datetime.fromisoformat(one["at"]), cases=one["cases"]) for one in told)


def _skills(told: Sequence[Mapping[str, Any]]) -> tuple[SkillShown, ...]:
    """Old words for a skill count with its new one, as the queue finds them: the skill with the most cases first."""
    counted = Counter[str]()
    for one in told:
        counted[OLD_SKILLS.get(one["skill"], one["skill"])] += one["cases"]
    return tuple(SkillShown(skill=skill, cases=n, behind=f"state=all&skill={skill}") for skill, n in counted.most_common())


def _ages(told: Sequence[Mapping[str, Any]]) -> tuple[AgeShown, ...]:
    """Each step with the query of the cases in it: between the step before and this one."""
    shown, before = [], 0
    for one in told:
        step = one["up_to"]
        query = f"state=all&older_seconds={before}" + ("" if step is None else f"&younger_seconds={step}")
        shown.append(AgeShown(up_to_seconds=step, cases=one["cases"], behind=query))
        before = step or before
    return tuple(shown)
