"""Sentences about the money of an order, in the languages that letters are written in; pure."""

from __future__ import annotations

from typing import Final

from babel import Locale

from service.letters.words import choose_language, choose_locale, money
from service.model import Money
from service.texts import TEXTS

_CAUSES: Final = TEXTS.every("cause")
_OUTCOMES: Final = TEXTS.every("award")
_STATES: Final = TEXTS.every("movement")
_PLACES: Final = TEXTS.every("place")


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
        # Of what went elsewhere nobody knows whether a bank of theirs has to show it.
        said = "sent_chosen" if status == "sent" and chosen else status
        return _STATES[self.language][said].format(amount=self._money(amount), to=places["chosen"] if chosen else to or places["paid"])

    def _money(self, minor: int) -> str:
        return money(Money(minor=minor, currency=self._currency), self._locale)
