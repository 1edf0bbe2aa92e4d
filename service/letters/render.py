"""Renders a letter: one template a letter and language, said once and laid out twice, as HTML and as plain text."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import segno
from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.letters.model import Letter, Look, MoneySent, PassResent, Rendered, TicketShown, Words
from service.letters.words import (
    NAME_LENGTH_MAX,
    apart,
    choose_language,
    choose_locale,
    cut,
    moment,
    money,
    one_line,
    paragraphs,
    readable_on,
    subject_line,
)
from service.texts import TEXTS

TEMPLATES: Final = Path(__file__).parent / "templates"

# What we say where a platform has no word of its own.
OUR_WORDS: Final[Mapping[str, Words]] = {language: Words(**words) for language, words in TEXTS.every("words").items()}

# What people wrote in sentences of their own keeps its line breaks; every other text is one line, whatever it holds.
_WRITTEN: Final = frozenset({"because", "answer", "would_change", "body", "question"})

# Names are other people's words in our letter.
_NAMES: Final = frozenset({"name", "holder", "agent"})
# What may be in another language than the letter, within a line of it.
_FOREIGN: Final = _NAMES | {"show", "title", "to", "attached", "in_case"}
# Checked when the letter was made; cleaning or cutting would break them.
_ADDRESSES: Final = frozenset({"link", "case_url", "feedback_url"})

# More than one empty line, which parts of a plain text leave between them.
_GAPS: Final = re.compile(r"\n{3,}")

# A module of 6 pixels: about 200 pixels for a usual barcode, sharp on a phone held over a gate's reader.
_QR_PIXELS: Final = 6


class Letters:
    """Renders letters from the templates beside this module; built once, then only read, so that tasks may share it."""

    def __init__(self) -> None:
        self._html = _environment("parts.html")
        self._text = _environment("parts.txt")

    def render(self, letter: Letter, look: Look, wanted: str) -> Rendered:
        """The letter in the wanted language (a BCP 47 tag), or in the platform's first language that is written.

        Raises jinja2.UndefinedError when a template names what the letter has not: a bug, found by rendering each in each language.
        """
        language = choose_language(wanted, look.languages, OUR_WORDS)
        locale = choose_locale(wanted, language)
        images = _images(letter)
        context = _context(letter, look, language, locale) | {"cids": list(images)}
        name = f"{language}/{letter_name(letter)}.jinja"
        subject = self._text.get_template(name).render(context, layout="layout.subject")
        return Rendered(
            subject=subject_line(subject),
            text=_GAPS.sub("\n\n", self._text.get_template(name).render(context, layout="layout.txt")).strip() + "\n",
            html=self._html.get_template(name).render(context, layout="layout.html"),
            images=images,
            language=language,
        )


def letter_name(letter: Letter) -> str:
    return str(letter.__struct_config__.tag)


def qr_png(barcode: str) -> bytes:
    """The barcode as a QR code (ISO/IEC 18004), error level M (15 % may be lost), with its quiet zone of four modules."""
    picture = io.BytesIO()
    # Any mask can be read; trying all eight for the prettiest costs more than the rest of the letter.
    segno.make_qr(barcode, error="m", mask=0).save(picture, kind="png", scale=_QR_PIXELS, border=4)
    return picture.getvalue()


@cache
def _environment(parts: str) -> Environment:
    """Of the templates that come with this module, each compiled once."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=parts.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["sentence"] = lambda words: words[:1].upper() + words[1:]
    environment.globals["m"] = environment.get_template(parts).module
    return environment


def _context(letter: Letter, look: Look, language: str, locale: Locale) -> dict[str, Any]:
    """All that a template may name: the letter's fields, cleaned, and the platform's look."""
    context = {field: _cleaned(field, getattr(letter, field), locale) for field in letter.__struct_fields__}
    if "zone" in context:
        context["moment"] = partial(moment, zone=context["zone"], locale=locale)
    return context | {
        "money": partial(money, locale=locale),
        "platform": apart(one_line(look.name), locale),
        "support": apart(one_line(look.support), locale),
        "legal": paragraphs(look.legal.get(language, "")),
        "accent": look.accent,
        "on_accent": readable_on(look.accent),
        "words": look.words.get(language, OUR_WORDS[language]),
        "language": language,
        "dir": locale.text_direction,
    }


def _images(letter: Letter) -> dict[str, bytes]:
    """A picture for each ticket, by content id."""
    if not isinstance(letter, PassResent):
        return {}
    return {f"ticket-{number}": qr_png(ticket.barcode) for number, ticket in enumerate(letter.tickets, start=1)}


def _cleaned(field: str, value: Any, locale: Locale) -> Any:
    """Each text as its field may show it; what is no text (money, times, numbers) as it is."""
    if isinstance(value, tuple):
        return [_cleaned(field, item, locale) for item in value]
    if isinstance(value, MoneySent | TicketShown):
        return {inner: _cleaned(inner, getattr(value, inner), locale) for inner in value.__struct_fields__}
    if not isinstance(value, str) or field in _ADDRESSES:
        return value
    if field in _WRITTEN:
        return paragraphs(value)
    said = cut(one_line(value), NAME_LENGTH_MAX) if field in _NAMES else one_line(value)
    return apart(said, locale) if field in _FOREIGN else said
