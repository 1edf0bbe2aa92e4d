"""The sentence of a text with a one-time code, by language; short, since each text is paid for by its length. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from service.letters.words import cut, one_line
from service.texts import TEXTS

# English, German, French and Spanish keep to the GSM alphabet (3GPP TS 23.038), of which 160 letters are one message.
_WORDS: Final = TEXTS.by_name("text_message")["code"]
LANGUAGES: Final = frozenset(_WORDS)

# A longer name would make two messages of one.
_NAME_LENGTH_MAX: Final = 30


def body(language: str, *, code: str, platform: str, minutes: int, host: str | None) -> str:
    """The text. `host`: where the code is typed in; phones then fill it in there and nowhere else.

    The last line is the format of origin-bound one-time codes (WICG, "Origin-bound one-time codes delivered via SMS"; Apple and WebOTP).
    """
    said = _WORDS[language].format(code=code, platform=cut(one_line(platform), _NAME_LENGTH_MAX), minutes=minutes)
    return said if host is None else f"{said}\n\n@{host} #{code}"


def host_of(origin: str) -> str | None:
    """The host of an origin, without a port, which the format has no place for; None where it is none."""
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return None
    return host if host and ":" not in host else None
