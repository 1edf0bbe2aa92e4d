"""A purchase as somebody tells it whose mail is out of reach: kept in their own words, for people to compare."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from service.letters.words import choose_locale, money
from service.model import Money
from service.texts import TEXTS


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """When, how much and with which card; `email`: an address that they can be reached at, proven by nothing."""

    bought_at: datetime
    amount: int
    """minor units of the currency (ISO 4217)"""
    currency: str
    last4: str
    email: str | None = None


# The customer reads it as what they said.
_WORDS: Final = TEXTS.every("purchase")


def in_words(purchase: Purchase, message: str | None, language: str) -> str:
    """The customer's message with the purchase below it, a line for each thing; in their language where we have it, else in English."""
    base = language.split("-", maxsplit=1)[0].lower()
    words = _WORDS.get(base, _WORDS["en"])
    locale = choose_locale(language, base if base in _WORDS else "en")
    lines = [
        f"{words['bought']}: {purchase.bought_at:%Y-%m-%d %H:%M %Z}",
        f"{words['paid']}: {money(Money(minor=purchase.amount, currency=purchase.currency), locale)}",
        f"{words['card']}: {purchase.last4}",
        *([f"{words['email']}: {purchase.email}"] if purchase.email else []),
    ]
    return "\n".join([*([message, ""] if message else []), *lines])
