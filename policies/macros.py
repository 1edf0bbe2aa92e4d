"""Texts that agents send often: each in several languages, with places for what the case knows; checked before anybody can send one."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from policies.reading import ReadingError, canonical, read
from policies.vocabulary import PROBLEMS

MACROS_FILE: Final = "macros.yaml"

# What a macro may ask the case for. Nothing of it is personal; `platform` and `agent` are always known.
VARIABLES: Final = ("order", "show", "amount", "reference", "agent", "wait", "platform")

# More is a list that nobody finds anything in.
MACROS_MAX: Final = 200
# A message has at most 5,000 characters; this leaves room for what is filled in.
_BODY_LENGTH_MAX: Final = 4_000
_TITLE_LENGTH_MAX: Final = 80
# A show's name or a reference is shorter; what is longer is cut.
_VALUE_LENGTH_MAX: Final = 200

_PLACE: Final = re.compile(r"\{([a-z]+)\}")
_UNFILLED: Final = re.compile(r"\[\s*(" + "|".join(VARIABLES) + r")\s*\?\s*\]", re.IGNORECASE)
# A gap in what somebody sends, however they wrote it: of a macro that they know by heart, or that another program filled in.
_GAP: Final = re.compile(_UNFILLED.pattern + r"|\{\s*(" + "|".join(VARIABLES) + r")\s*\}", re.IGNORECASE)
# Control characters and line ends: a value stands within a sentence.
_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$(?!\n)", max_length=35)]
_Title = Annotated[str, Meta(min_length=1, max_length=_TITLE_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f{}]+$(?!\n)")]
_Body = Annotated[str, Meta(min_length=1, max_length=_BODY_LENGTH_MAX)]


class MacrosError(ValueError):
    """The macros do not load; `errors` has every mistake."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class Macro(msgspec.Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$(?!\n)")]
    problems: tuple[str, ...] = ()
    """what it is an answer to; none: anything"""
    title: Mapping[_Language, _Title]
    """what an agent finds it by"""
    body: Mapping[_Language, _Body]


class MacroWritten(Macro, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A macro as people write it: a field that there is not is a slip of the keyboard."""


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file, as it is written."""

    macros: Annotated[tuple[MacroWritten, ...], Meta(max_length=MACROS_MAX)]


class Macros(msgspec.Struct, frozen=True, kw_only=True):
    """The macros of one installation, in the order of the file, with the hash of the text that they come from."""

    all: tuple[Macro, ...]
    text: str
    hash: str


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """A text with what the case knows. What it does not know stands in it as `[amount?]`, and is named in `missing`."""

    text: str
    missing: tuple[str, ...]


def load_macros(text: str) -> Macros:
    """Returns the macros in `text`, each in English at least. Raises MacrosError with every mistake."""
    try:
        written = msgspec.convert(read(text).plain(), _Written)
    except ReadingError as error:
        raise MacrosError([f"macros: {one}" for one in error.errors]) from error
    except msgspec.ValidationError as error:
        raise MacrosError([f"macros: {error}"]) from error
    if errors := [f"macros: {one}" for one in macro_mistakes(written.macros, needed="en")]:
        raise MacrosError(errors)
    kept = canonical(text)
    return Macros(all=written.macros, text=kept, hash=hashlib.sha256(kept.encode()).hexdigest())


def macro_mistakes(macros: Sequence[Macro], *, needed: str) -> Iterator[str]:
    """What is wrong with macros whose shape is right. `needed`: the language that each has to have, since others fall back to it."""
    seen: set[str] = set()
    for macro in macros:
        if macro.id in seen:
            yield f"{macro.id}: stands twice"
        seen.add(macro.id)
        yield from (f"{macro.id}: {one} is no problem" for one in macro.problems if one not in PROBLEMS)
        if needed not in macro.body:
            yield f"{macro.id}: has no text in {needed}"
        if set(macro.title) != set(macro.body):
            yield f"{macro.id}: title and body are in different languages"
        yield from _mistakes_of_places(macro)


def _mistakes_of_places(macro: Macro) -> Iterator[str]:
    asked = {language: set(_PLACE.findall(body)) for language, body in macro.body.items()}
    for language, body in macro.body.items():
        if re.search(r"[{}]", _PLACE.sub("", body)):
            yield f"{macro.id}: {language}: a brace that is not a variable's; write for example {{order}}"
        for name in sorted(asked[language] - set(VARIABLES)):
            yield f"{macro.id}: {language}: {{{name}}} is not known; there are {', '.join(VARIABLES)}"
        if _UNFILLED.search(body):
            yield f"{macro.id}: {language}: [{_UNFILLED.findall(body)[0]}?] is how a variable without a value is shown"
    if len({frozenset(names) for names in asked.values()}) > 1:
        yield f"{macro.id}: its languages do not use the same variables"


def fill(text: str, values: Mapping[str, str | None]) -> Filled:
    """The text with its variables filled in. No brace is left, whatever came, and what is missing never reads like a finished sentence."""
    missing: dict[str, None] = {}

    def value_of(place: re.Match[str]) -> str:
        value = _fit(values.get(place[1]) or "")
        if not value:
            missing[place[1]] = None
            return f"[{place[1]}?]"
        return value

    filled = _PLACE.sub(value_of, text)
    return Filled(text=filled.translate(_NO_BRACES), missing=tuple(missing))


def unfilled(text: str) -> tuple[str, ...]:
    """The variables that still stand in a text without a value, each once: as `[amount?]`, or as `{amount}`, in any capitals."""
    return tuple(dict.fromkeys((found[1] or found[2]).casefold() for found in _GAP.finditer(text)))


def fitting(macros: Collection[Macro], problem: str) -> tuple[Macro, ...]:
    """Those that answer this problem: first those for few problems, then those for anything."""
    found = [one for one in macros if not one.problems or problem in one.problems]
    return tuple(sorted(found, key=lambda one: not one.problems))


_NO_BRACES: Final = str.maketrans("{}", "()")


def _fit(value: str) -> str:
    """A value as it may stand in a sentence, and never one that reads like a place without a value."""
    said = " ".join(_BREAKS.sub(" ", value).translate(_NO_BRACES).split())[:_VALUE_LENGTH_MAX].strip()
    return _UNFILLED.sub(lambda place: f"({place[1]})", said)
