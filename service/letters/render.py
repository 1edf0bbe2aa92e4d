"""Renders a letter: one template a letter and language, said once and laid out twice, as HTML and as plain text."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import segno
from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.letters.model import Letter, Look, MoneySent, PassResent, Rendered, TicketShown, Words
from service.letters.words import (
    NAME_LENGTH_MAX,
    SUBJECT_LENGTH_MAX,
    choose_language,
    choose_locale,
    cut,
    moment,
    money,
    one_line,
    paragraphs,
    readable_on,
)

TEMPLATES: Final = Path(__file__).parent / "templates"

# What we say where a platform has no word of its own.
OUR_WORDS: Final[Mapping[str, Words]] = {
    "en": Words(ticket="ticket", tickets="tickets", stream_link="stream link", credit="credit", team="our team"),
    "de": Words(ticket="Ticket", tickets="Tickets", stream_link="Stream-Link", credit="Guthaben", team="unser Team"),
}

# What people wrote in sentences of their own keeps its line breaks; every other text is one line, whatever it holds.
_WRITTEN: Final = frozenset({"because", "answer", "would_change", "body", "question"})

# Names are other people's words in our letter.
_NAMES: Final = frozenset({"name", "holder", "agent"})
# Checked when the letter was made; cleaning or cutting would break them.
_ADDRESSES: Final = frozenset({"link", "case_url"})

# More than one empty line, which parts of a plain text leave between them.
_GAPS: Final = re.compile(r"\n{3,}")

# A module of 6 pixels: about 200 pixels for a usual barcode, sharp on a phone held over a gate's reader.
_QR_PIXELS: Final = 6


class Letters:
    """Renders letters from the templates beside this module; built once, then only read, so that tasks may share it."""

    def __init__(self) -> None:
        loader = FileSystemLoader(TEMPLATES)
        self._html = _environment(loader, "parts.html")
        self._text = _environment(loader, "parts.txt")

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
            subject=cut(one_line(subject), SUBJECT_LENGTH_MAX),
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


def _environment(loader: FileSystemLoader, parts: str) -> Environment:
    environment = Environment(
        loader=loader,
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
    context = {field: _cleaned(field, getattr(letter, field)) for field in letter.__struct_fields__}
    if "zone" in context:
        context["moment"] = partial(moment, zone=context["zone"], locale=locale)
    return context | {
        "money": partial(money, locale=locale),
        "platform": one_line(look.name),
        "support": one_line(look.support),
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


def _cleaned(field: str, value: Any) -> Any:
    """Each text as its field may show it; what is no text (money, times, numbers) as it is."""
    if isinstance(value, tuple):
        return [_cleaned(field, item) for item in value]
    if isinstance(value, MoneySent | TicketShown):
        return {inner: _cleaned(inner, getattr(value, inner)) for inner in value.__struct_fields__}
    if not isinstance(value, str) or field in _ADDRESSES:
        return value
    if field in _WRITTEN:
        return paragraphs(value)
    return cut(one_line(value), NAME_LENGTH_MAX) if field in _NAMES else one_line(value)
