"""How a letter writes amounts, times and names in the reader's language; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_name
from babel.numbers import format_currency, get_currency_symbol

from service.model import Money, exponent

# The marks that keep a text of another direction apart (Unicode, UAX 9): what stands around it is not turned.
_APART: Final = ("\u2068", "\u2069")
# Bidirectional classes of letters that are read from the right.
_FROM_THE_RIGHT: Final = frozenset({"R", "AL"})
# What stands between a day and an hour, where it is no comma.
_BETWEEN: Final = {"ja": " ", "ar": "، "}
# Spaces that do not break, as in an amount or before a French question mark, stay what they are.
_SPACES: Final = re.compile(r"[^\S\u00a0\u202f]+")
# Marks that turn the direction of everything after them (Unicode, UAX 9): in a name they could make one text read as another.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# The minor part of a CLDR pattern: `#,##0.00`.
_DECIMALS: Final = re.compile(r"0\.0+")
# No mail program shows more of a subject; and a name this long is no name but a message that somebody wants us to deliver.
SUBJECT_LENGTH_MAX: Final = 150
NAME_LENGTH_MAX: Final = 80


def choose_language(wanted: str, offered: Sequence[str], written: Collection[str]) -> str:
    """The wanted language if the platform offers it and we have it written, else the first of the platform's that we have, else English."""
    bases = [_base(tag) for tag in offered]
    candidates = [_base(wanted)] if _base(wanted) in bases else []
    return next((base for base in [*candidates, *bases] if base in written), "en")


def choose_locale(wanted: str, language: str) -> Locale:
    """The reader's own region (`en-GB`) where they asked for one in that language; it decides how dates and amounts are written."""
    if _base(wanted) == language:
        try:
            return Locale.parse(wanted.replace("_", "-"), sep="-")
        except (UnknownLocaleError, ValueError):
            pass
    return Locale.parse(language)


def money(amount: Money, locale: Locale) -> str:
    """`€6.94`, `6,94 €`: CLDR's symbol for that currency in that language, with the decimals of ISO 4217.

    CLDR's own decimals are those of cash in daily use and would round 12.34 RSD to 12. A symbol in letters gets a space (`KWD 1.250`),
    as CLDR's currency spacing says.
    """
    digits = exponent(amount.currency)
    pattern = _DECIMALS.sub("0." + "0" * digits if digits else "0", locale.currency_formats["standard"].pattern)
    if get_currency_symbol(amount.currency, locale=locale)[-1].isalpha():
        pattern = pattern.replace("¤#", "¤\N{NO-BREAK SPACE}#")
    value = Decimal(amount.minor).scaleb(-digits)
    return format_currency(value, amount.currency, format=pattern, locale=locale, currency_digits=False)


def moment(at: datetime, zone: str, locale: Locale) -> str:
    """`21. November 2026, 20:10 MEZ`: date, time and zone where the show is."""
    local = at.astimezone(ZoneInfo(zone))
    name = get_timezone_name(local, "short", locale=locale)
    if name[0] in "+-":
        # No abbreviation that readers of this language know: the full name.
        name = get_timezone_name(local, "long", locale=locale)
    day = format_date(local, "long", locale=locale)
    clock = format_time(local, "short", tzinfo=ZoneInfo(zone), locale=locale)
    return f"{day}{_BETWEEN.get(locale.language, ', ')}{clock} {name}"


def one_line(text: str) -> str:
    """The text on one line, without marks that control a header, a terminal or the direction of reading."""
    return _SPACES.sub(" ", _clean(text)).strip()


def subject_line(text: str) -> str:
    """One line whose names, cleaned before, are still kept apart from what stands around them; cut where no mail program shows more."""
    return cut(_SPACES.sub(" ", _clean(text, kept=frozenset(_APART))).strip(), SUBJECT_LENGTH_MAX)


def apart(text: str, locale: Locale) -> str:
    """A name as it may stand in a sentence of `locale`: kept apart where one of the two is read from the right."""
    if not text or (locale.text_direction == "ltr" and not any(unicodedata.bidirectional(c) in _FROM_THE_RIGHT for c in text)):
        return text
    return text.join(_APART)


def cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else text[: length_max - 1] + "…"


def paragraphs(text: str) -> list[str]:
    """What a person wrote, by its own line breaks, each line cleaned; empty lines are dropped."""
    return [line for line in map(one_line, text.splitlines()) if line]


def readable_on(colour: str) -> str:
    """Black or white, whichever has more contrast on `#rrggbb` (WCAG 2.2, relative luminance): at least 4.5:1 on any colour."""
    red, green, blue = (_linear(int(colour[place : place + 2], 16) / 255) for place in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _clean(text: str, kept: frozenset[str] = frozenset()) -> str:
    return "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c for c in text if c not in _TURNING or c in kept)


def _base(tag: str) -> str:
    return re.split(r"[-_]", tag, maxsplit=1)[0].lower()
