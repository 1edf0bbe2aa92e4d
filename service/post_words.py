"""Sentences of letters about a case, in the languages that letters are written in; pure.

The platform's own words stand in them without an article, since nobody knows their gender.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from service.letters.model import Words
from service.platforms import DeskHours
from service.texts import TEXTS

# People need some minutes of their day before the first answer goes out.
_AFTER_OPENING: Final = timedelta(hours=1)
_WEEK_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_SENTENCES: Final = TEXTS.every("letter")
_PROBLEMS: Final = TEXTS.every("problem")

_ABOUT_MONEY: Final = frozenset(
    {
        "wants_refund",
        "stream_outage",
        "show_cancelled",
        "show_postponed",
        "charged_twice",
        "charged_no_pass",
        "charged_after_cancelling",
        "payment_pending",
    }
)


def sentence(language: str, name: str, words: Words, value: str = "") -> str:
    said = _SENTENCES[language][name].format(value=value, ticket=words.ticket, stream_link=words.stream_link, team=words.team)
    return said[:1].upper() + said[1:]


def problem_said(language: str, problem: str, words: Words) -> str | None:
    """The problem as its customer would say it; None where saying it back would help nobody (`abuse`, `fraud`, `other`)."""
    template = _PROBLEMS[language].get(problem)
    return None if template is None else template.format(ticket=words.ticket, stream_link=words.stream_link)


def refusal(language: str, problem: str, words: Words) -> str:
    return sentence(language, "no_money" if problem in _ABOUT_MONEY else "no", words)


def answered_by(due: datetime, hours: DeskHours, zone: str) -> datetime:
    """When people will have answered: when it is due, or, if nobody is at the desk then, an hour after the desk next opens."""
    opens = desk_opens(due, hours, zone)
    return due if opens == due else opens + _AFTER_OPENING


def desk_opens(at: datetime, hours: DeskHours, zone: str) -> datetime:
    """The same moment while people are at the desk, else when the desk next opens."""
    local = at.astimezone(ZoneInfo(zone))
    clock = f"{local:%H:%M}"
    if _WEEK_DAYS[local.weekday()] in hours.days and hours.opens <= clock <= hours.closes:
        return at
    opens = local.replace(hour=int(hours.opens[:2]), minute=int(hours.opens[3:]), second=0, microsecond=0)
    for days in range(8):
        opening = opens + timedelta(days=days)
        if opening >= local and _WEEK_DAYS[opening.weekday()] in hours.days:
            return opening
    return at
