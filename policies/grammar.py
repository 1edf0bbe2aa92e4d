"""Small readers for the parts of a pack: each takes an entry, notes every mistake with its place, and goes on."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from policies.facts import parse_duration
from policies.reading import Entry
from policies.verdict import Escalation, Option, Question, Texts, Wait

# A season: whoever waits longer should be looked at by a person.
WAIT_SECONDS_MAX = 366 * 24 * 3600
PRIORITY_FIRST, PRIORITY_LAST, PRIORITY_USUAL = 1, 5, 3
# More answers than this are a form, not one question.
OPTIONS_MAX = 12
TEXT_CHARACTERS_MAX = 1_000

_WORD = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
# Where a line was folded. Spaces that do not break, as before a French question mark, stay what they are.
_SPACES = re.compile(r"[^\S\u00a0\u202f]+")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class Notes:
    """The mistakes of one pack, and the languages its texts must have."""

    def __init__(self, languages: Iterable[str]) -> None:
        self.languages = tuple(languages)
        self.errors: list[str] = []
        self.pack = "?"

    def add(self, rule: str, line: int, problem: str) -> None:
        place = f"{self.pack}, rule {rule}" if rule else self.pack
        self.errors.append(f"{place}, line {line}: {problem}")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping being read: which rule it belongs to ("" outside of rules) and what it is called in messages."""

    notes: Notes
    rule: str
    what: str
    line: int
    entries: dict[str, Entry]

    def error(self, problem: str, line: int | None = None) -> None:
        self.notes.add(self.rule, line or self.line, problem)

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    def word(self, key: str, default: str | None = None) -> str:
        """A name in small letters; "" (and a note) where it is missing or is no such name."""
        entry = self.entries.get(key)
        if entry is None:
            if default is None:
                self.error(f"{self.what} needs `{key}`")
            return default or ""
        if not isinstance(entry.value, str) or not _WORD.fullmatch(entry.value):
            self.error(f"`{key}` must be a name in small letters, and is {entry.plain()!r}", entry.line)
            return ""
        return entry.value

    def words(self, key: str) -> tuple[str, ...]:
        """A list of names, each once; empty where the key is missing."""
        entry = self.entries.get(key)
        if entry is None:
            return ()
        value = entry.plain()
        if not isinstance(value, list) or not all(isinstance(v, str) and _WORD.fullmatch(v) for v in value):
            self.error(f"`{key}` must be a list of names in small letters", entry.line)
            return ()
        if len(set(value)) != len(value):
            self.error(f"`{key}` names something twice", entry.line)
        return tuple(value)

    def one_of(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        value = self.word(key, default)
        if value and value not in allowed:
            self.error(f"`{key}: {value}` is not known; use one of {', '.join(allowed)}")
            return ""
        return value


def part(notes: Notes, entry: Entry, *, what: str, keys: Sequence[str], rule: str = "") -> Part:
    """The entry as a mapping with no other keys than `keys`; empty (and a note) where it is not one."""
    value = entry.value
    if not isinstance(value, dict):
        notes.add(rule, entry.line, f"{what} must be a list of `name: value`, and is {type(value).__name__}")
        value = {}
    for key, inner in value.items():
        if key not in keys:
            notes.add(rule, inner.line, f"{what} has no `{key}`; it has {', '.join(keys)}")
    return Part(notes=notes, rule=rule, what=what, line=entry.line, entries=value)


def texts(owner: Part, key: str) -> Texts:
    """A sentence per language: every language that must be there, and others if the pack has them."""
    entry = owner.get(key)
    if entry is None:
        owner.error(f"{owner.what} needs `{key}`: a sentence per language")
        return {}
    value = entry.plain()
    if not isinstance(value, dict) or not value:
        owner.error(f"`{key}` must hold a sentence per language, as `en: ...`", entry.line)
        return {}
    for language, text in value.items():
        if not _LANGUAGE.fullmatch(language):
            owner.error(f"`{key}`: {language!r} is not a language code", entry.line)
        if not isinstance(text, str) or not text.strip():
            owner.error(f"`{key}` has no text for language {language}", entry.line)
        elif len(text) > TEXT_CHARACTERS_MAX:
            owner.error(f"`{key}` in {language} has more than {TEXT_CHARACTERS_MAX} characters", entry.line)
    for language in owner.notes.languages:
        if language not in value:
            owner.error(f"`{key}` lacks the language {language}", entry.line)
    return {language: _SPACES.sub(" ", str(text)).strip() for language, text in value.items()}


def wait(owner: Part, entry: Entry) -> Wait:
    inner = part(owner.notes, entry, what="wait", keys=("for", "at_most"), rule=owner.rule)
    limit = inner.get("at_most")
    seconds = 0
    if limit is None:
        inner.error("wait needs `at_most`: nobody waits for ever")
    else:
        try:
            seconds = int(parse_duration(str(limit.value)).total_seconds())
        except ValueError as error:
            inner.error(f"`at_most`: {error}", limit.line)
        else:
            if not 0 < seconds <= WAIT_SECONDS_MAX:
                inner.error(f"`at_most` must be above 0 and at most {WAIT_SECONDS_MAX // 86400} days", limit.line)
    return Wait(wait_for=inner.word("for"), at_most_seconds=seconds)


def escalation(owner: Part, entry: Entry) -> Escalation:
    inner = part(owner.notes, entry, what="escalate", keys=("skill", "priority", "suggest"), rule=owner.rule)
    urgency = inner.get("priority")
    priority = PRIORITY_USUAL if urgency is None else urgency.value
    if not isinstance(priority, int) or isinstance(priority, bool) or not PRIORITY_FIRST <= priority <= PRIORITY_LAST:
        inner.error(f"`priority` must be a whole number from {PRIORITY_FIRST} (first) to {PRIORITY_LAST} (last)")
        priority = PRIORITY_USUAL
    return Escalation(skill=inner.word("skill"), priority=priority, suggest=inner.words("suggest"))


def question(notes: Notes, fact: str, entry: Entry) -> Question:
    """One question of the pack; `options` make it a choice, without them it is answered in words."""
    inner = part(notes, entry, what=f"question {fact}", keys=("prompt", "options"))
    offered = inner.get("options")
    options = _listed(inner, "options", _option) if offered else ()
    kind: Literal["choice", "text"] = "choice" if offered else "text"
    if offered and not 2 <= len(options) <= OPTIONS_MAX:
        inner.error(f"`options` must be 2 to {OPTIONS_MAX} answers", offered.line)
    if len({option.value for option in options}) != len(options):
        inner.error("`options` has one value twice")
    return Question(fact=fact, kind=kind, prompt=texts(inner, "prompt"), options=options)


def _option(owner: Part, entry: Entry) -> Option:
    inner = part(owner.notes, entry, what="an option", keys=("value", "text"), rule=owner.rule)
    return Option(value=inner.word("value"), text=texts(inner, "text"))


def _listed(owner: Part, key: str, read: Callable[[Part, Entry], Any]) -> tuple[Any, ...]:
    entry = owner.get(key)
    if entry is None or not isinstance(entry.value, list):
        owner.error(f"`{key}` must be a list", entry.line if entry else None)
        return ()
    return tuple(read(owner, item) for item in entry.value)
