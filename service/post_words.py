"""Sentences of letters about a case, in the languages that letters are written in; pure.

The platform's own words stand in them without an article, since nobody knows their gender.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from service.letters.model import Words
from service.platforms import DeskHours

# People need some minutes of their day before the first answer goes out.
_AFTER_OPENING: Final = timedelta(hours=1)
_WEEK_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_SENTENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "order": "Your order: {value}.",
        "proven": "That the order is yours.",
        "problem": "What went wrong: {value}.",
        "written": "What you wrote to us.",
        "resend_pass": "{ticket} sent again.",
        "replace_pass": "{ticket} made anew: the old code admits nobody any more.",
        "reissue_access": "{stream_link} made anew: open the page below to use it. What you had before no longer opens.",
        "already_done": "This was put right before; nothing more is due.",
        "by_people": "{team} has looked at this and settled it.",
        "no_money": "We do not send money back for this.",
        "no": "We cannot do this for you.",
        "would_change": "Something that we do not know yet: tell us, and a person looks again.",
    },
    "de": {
        "order": "Ihre Bestellung: {value}.",
        "proven": "Dass es Ihre Bestellung ist.",
        "problem": "Was nicht stimmt: {value}.",
        "written": "Was Sie uns geschrieben haben.",
        "resend_pass": "{ticket} noch einmal gesendet.",
        "replace_pass": "{ticket} neu ausgestellt: Der alte Code lässt niemanden mehr ein.",
        "reissue_access": "{stream_link} neu erstellt: Öffnen Sie dafür die Seite unten. Was vorher galt, öffnet nicht mehr.",
        "already_done": "Das wurde schon in Ordnung gebracht; mehr steht nicht aus.",
        "by_people": "{team} hat sich das angesehen und erledigt.",
        "no_money": "Dafür zahlen wir kein Geld zurück.",
        "no": "Das können wir nicht für Sie tun.",
        "would_change": "Etwas, das wir noch nicht wissen: Schreiben Sie es uns, dann sieht ein Mensch noch einmal nach.",
    },
}

_PROBLEMS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "pass_missing": "{ticket} never arrived",
        "pass_lost": "{ticket} lost",
        "pass_leaked": "{ticket} in somebody else's hands",
        "link_dead": "{stream_link} does not open",
        "wrong_device": "the stream opens on the wrong device",
        "too_many_devices": "too many devices in use",
        "cannot_sign_in": "you cannot sign in",
        "will_not_play": "the stream does not play",
        "buffering": "the stream keeps stopping",
        "device_unsupported": "your device does not play the stream",
        "stream_outage": "the stream was down",
        "show_cancelled": "the show was cancelled",
        "show_postponed": "the show was moved to another date",
        "charged_twice": "charged twice",
        "charged_no_pass": "paid, but {ticket} never came",
        "payment_pending": "your payment is still pending",
        "charged_after_cancelling": "charged after cancelling",
        "wants_refund": "you would like your money back",
        "merch_wrong": "what arrived is not what you ordered",
        "merch_missing": "what you ordered has not arrived",
        "accessibility": "something keeps you from taking part",
    },
    "de": {
        "pass_missing": "{ticket} nicht angekommen",
        "pass_lost": "{ticket} verloren",
        "pass_leaked": "{ticket} in fremden Händen",
        "link_dead": "{stream_link} öffnet nicht",
        "wrong_device": "der Stream öffnet auf dem falschen Gerät",
        "too_many_devices": "zu viele Geräte in Gebrauch",
        "cannot_sign_in": "Sie können sich nicht anmelden",
        "will_not_play": "der Stream spielt nicht",
        "buffering": "der Stream bleibt immer wieder stehen",
        "device_unsupported": "Ihr Gerät spielt den Stream nicht",
        "stream_outage": "der Stream war unterbrochen",
        "show_cancelled": "die Veranstaltung wurde abgesagt",
        "show_postponed": "die Veranstaltung wurde verschoben",
        "charged_twice": "zweimal abgebucht",
        "charged_no_pass": "bezahlt, aber {ticket} nicht erhalten",
        "payment_pending": "Ihre Zahlung ist noch offen",
        "charged_after_cancelling": "nach der Kündigung abgebucht",
        "wants_refund": "Sie möchten Ihr Geld zurück",
        "merch_wrong": "was ankam, ist nicht, was Sie bestellt haben",
        "merch_missing": "was Sie bestellt haben, ist nicht angekommen",
        "accessibility": "etwas hindert Sie an der Teilnahme",
    },
}

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
    local = due.astimezone(ZoneInfo(zone))
    clock = f"{local:%H:%M}"
    if _WEEK_DAYS[local.weekday()] in hours.days and hours.opens <= clock <= hours.closes:
        return due
    opens = local.replace(hour=int(hours.opens[:2]), minute=int(hours.opens[3:]), second=0, microsecond=0)
    for days in range(8):
        opening = opens + timedelta(days=days)
        if opening >= local and _WEEK_DAYS[opening.weekday()] in hours.days:
            return opening + _AFTER_OPENING
    return due
