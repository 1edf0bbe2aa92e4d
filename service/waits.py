"""How long people take to look at a case, quoted as a range from what they did within the last half hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from math import ceil, floor
from typing import Final
from uuid import UUID

from service.kept import Kept
from service.platforms import Platforms
from service.post_words import desk_opens
from service.shown import WaitRange
from service.store.answering import AnsweringStore, WaitSeen
from service.texts import TEXTS

# Long enough for a dozen answers of a quiet evening, short enough to follow a wave.
WINDOW: Final = timedelta(minutes=30)
# Of fewer, percentiles say nothing: the queue's own targets are quoted.
ANSWERED_MIN: Final = 5
# Every waiting customer's screen asks; half an hour's percentiles do not move within this.
_KEPT_SECONDS: Final = 5.0
# Platforms times skills.
_KEPT_MAX: Final = 1_000
# Nobody reads seconds where people are concerned.
_STEP_SECONDS: Final = 60
# From here on nobody counts in minutes.
_HOURS_FROM_SECONDS: Final = 5400
_WAITS: Final = TEXTS.every("waits")


class WaitQuote(WaitRange, frozen=True, kw_only=True):
    typical_seconds: int
    answered: int
    """how many cases it is measured by; under 5 it comes from what the queue aims at instead"""
    since: datetime


class Waits:
    """`aims`: by priority ("1" first), within how many seconds somebody should have looked. `monotonic` counts what is kept."""

    def __init__(self, store: AnsweringStore, platforms: Platforms, *, aims: Mapping[str, int], monotonic: Callable[[], float]) -> None:
        self._store = store
        self._platforms = platforms
        self._aims = aims
        self._kept: Kept[tuple[UUID, str | None], WaitQuote] = Kept(_KEPT_SECONDS, most=_KEPT_MAX, monotonic=monotonic)

    async def quote(self, platform: UUID, skill: str | None = None) -> WaitQuote:
        """Of one skill's cases, or of all. While nobody is at the desk, until it opens is part of it."""
        return await self._kept.get((platform, skill), partial(self._quoted, platform, skill))

    async def _quoted(self, platform: UUID, skill: str | None) -> WaitQuote:
        seen = await self._store.wait_seen(platform, skill, WINDOW.total_seconds())
        return quoted(seen, self._aims, closed_seconds=await self._closed_seconds(platform, seen.now))

    async def range(self, platform: UUID, skill: str | None) -> WaitRange:
        """The same without how it was found: for whoever waits."""
        quote = await self.quote(platform, skill)
        return WaitRange(low_seconds=quote.low_seconds, high_seconds=quote.high_seconds)

    async def opens_at(self, platform: UUID, now: datetime) -> datetime | None:
        """When the desk next opens; None: people are there now."""
        found = await self._platforms.by_id(platform)
        opens = now if found is None else desk_opens(now, found.settings.desk_hours, found.settings.zone)
        return opens if opens > now else None

    async def _closed_seconds(self, platform: UUID, now: datetime) -> float:
        opens = await self.opens_at(platform, now)
        return 0.0 if opens is None else (opens - now).total_seconds()


def quoted(seen: WaitSeen, aims: Mapping[str, int], *, closed_seconds: float = 0.0) -> WaitQuote:
    """From the 10th to the 90th percentile in whole minutes, the median between: measured, else what the places of those that wait promise,
    else what is aimed at for an ordinary case. `closed_seconds`: until the desk opens; what is measured has it in it.
    """
    if seen.answered >= ANSWERED_MIN and seen.seen is not None:
        low, typical, high = seen.seen
    else:
        low, typical, high = seen.promised or (aims.get("2", 300), aims.get("3", 900), aims.get("3", 900))
        low, typical, high = low + closed_seconds, typical + closed_seconds, high + closed_seconds
    least = floor(low / _STEP_SECONDS) * _STEP_SECONDS
    most = max(ceil(high / _STEP_SECONDS) * _STEP_SECONDS, least + _STEP_SECONDS)
    return WaitQuote(
        low_seconds=least,
        high_seconds=most,
        typical_seconds=min(max(round(typical / _STEP_SECONDS) * _STEP_SECONDS, least), most),
        answered=seen.answered,
        since=seen.now - WINDOW,
    )


def in_words(wait: WaitRange, language: str) -> str:
    """`2 to 6 minutes`, `under a minute`, `3 to 5 hours`; in English where the language is not written."""
    said = _WAITS.get(language.split("-", maxsplit=1)[0].lower(), _WAITS["en"])
    if wait.high_seconds <= _STEP_SECONDS:
        return said["under"]
    unit, name = (3600, "hours") if wait.high_seconds > _HOURS_FROM_SECONDS else (_STEP_SECONDS, "minutes")
    low, high = floor(wait.low_seconds / unit), ceil(wait.high_seconds / unit)
    # Never one alone: what is no more than a minute is said above, and hours begin at an hour and a half.
    form = "up_to" if low == 0 else "about" if low == high else "range"
    return said[f"{form}_{name}"].format(low=low, high=high)
