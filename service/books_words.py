"""Sentences about the money of an order, in the languages that letters are written in; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from babel import Locale

from service.letters.words import choose_language, choose_locale, money
from service.model import Money

_CAUSES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "minutes": "{minutes} of {minutes_of} minutes were missing",
        "incident": "Part of the show was missing",
        "show_cancelled": "The show was cancelled",
        "show_postponed": "The show was moved to another date",
        "duplicate_charge": "This was charged twice",
        "no_pass": "This was paid, and there was no ticket for it",
        "remorse": "You gave this back in time",
        "agent": "This is a gesture of goodwill",
        "other": "This was decided for you",
    },
    "de": {
        "minutes": "{minutes} von {minutes_of} Minuten fehlten",
        "incident": "Ein Teil der Show fehlte",
        "show_cancelled": "Die Show wurde abgesagt",
        "show_postponed": "Die Show wurde verschoben",
        "duplicate_charge": "Das wurde zweimal abgebucht",
        "no_pass": "Das wurde bezahlt, und es gab kein Ticket dafür",
        "remorse": "Sie haben das rechtzeitig zurückgegeben",
        "agent": "Das ist eine Geste der Kulanz",
        "other": "So wurde es für Sie entschieden",
    },
}

# What became of an award. "Arrived" is only said with proof.
_OUTCOMES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "arrived": "{cause}: {done} of {price} came back.",
        "sent": "{cause}: {done} of {price} was sent back.",
        "partly": "{cause}: {done} of {price} was sent back, and {rest} is still to be sent.",
        "owed": "{cause}: {rest} of {price} is to be sent back.",
    },
    "de": {
        "arrived": "{cause}: {done} von {price} sind zurückgekommen.",
        "sent": "{cause}: {done} von {price} wurden zurückgesendet.",
        "partly": "{cause}: {done} von {price} wurden zurückgesendet, {rest} werden noch gesendet.",
        "owed": "{cause}: {rest} von {price} werden zurückgesendet.",
    },
}

_STATES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "with_people": "A person looks at this before {amount} is sent.",
        "choice_needed": "{amount} could not go back the way it was paid. Please choose where it should go.",
        "working": "{amount} is being sent.",
        "sent": "{amount} was sent to {to}. Banks take some days to show it.",
        "arrived": "{amount} arrived at {to}.",
        "could_not": "{amount} was not sent.",
        "credited": "{amount} was given to you as credit.",
        "released": "The {amount} held on {to} was let go; nothing was charged.",
    },
    "de": {
        "with_people": "Jemand aus unserem Team sieht sich das an, bevor {amount} gesendet werden.",
        "choice_needed": "{amount} konnten nicht auf dem Weg der Zahlung zurück. Bitte wählen Sie, wohin das Geld gehen soll.",
        "working": "{amount} werden gerade gesendet.",
        "sent": "{amount} wurden gesendet ({to}). Banken brauchen einige Tage, bis sie es zeigen.",
        "arrived": "{amount} sind angekommen ({to}).",
        "could_not": "{amount} wurden nicht gesendet.",
        "credited": "{amount} wurden Ihnen gutgeschrieben.",
        "released": "Die Vormerkung über {amount} ({to}) wurde gelöst; abgebucht wurde nichts.",
    },
}

# Where it went when the payment's own name for it is not known, or when it went elsewhere.
_PLACES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {"paid": "the card or account it was paid from", "chosen": "the place that you chose"},
    "de": {"paid": "auf dem Weg der Zahlung", "chosen": "an das von Ihnen gewählte Ziel"},
}


class Speech:
    """One reader's language and way of writing amounts."""

    def __init__(self, wanted: str, offered: tuple[str, ...], currency: str) -> None:
        self.language = choose_language(wanted, offered, _CAUSES)
        self._locale: Locale = choose_locale(wanted, self.language)
        self._currency = currency

    def award(self, cause: str, *, price: int, sent: int, arrived: int, owed: int, minutes: tuple[int, int] | None) -> str:
        """Why money goes back and how much of what has gone, in one sentence."""
        texts = _CAUSES[self.language]
        kind = "minutes" if minutes else cause.partition(":")[0]
        said = texts.get(kind, texts["other"]).format(minutes=minutes[0] if minutes else 0, minutes_of=minutes[1] if minutes else 0)
        gone = sent + arrived
        outcome = "owed" if not gone else "partly" if owed else "sent" if sent else "arrived"
        return _OUTCOMES[self.language][outcome].format(
            cause=said, done=self._money(gone), price=self._money(price), rest=self._money(owed)
        )

    def state(self, status: str, amount: int, *, to: str, chosen: bool) -> str:
        """What became of one movement, in one sentence. `to`: as the customer recognises it; `chosen`: the customer said where."""
        places = _PLACES[self.language]
        return _STATES[self.language][status].format(amount=self._money(amount), to=places["chosen"] if chosen else to or places["paid"])

    def _money(self, minor: int) -> str:
        return money(Money(minor=minor, currency=self._currency), self._locale)
