"""Load a pack: read its text, check all of it, play its examples, and list every mistake at once."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from policies import examples, grammar, rules
from policies.engine import Pack, Rule
from policies.examples import Example
from policies.expressions import Environment
from policies.facts import FactType, fact_type, type_of_default
from policies.grammar import Notes, Part
from policies.reading import Entry, ReadingError, canonical, read
from policies.verdict import Question
from policies.vocabulary import SUBJECTS

KEYS = ("pack", "about", "problems", "for_each", "parameters", "facts", "questions", "usual", "rules")
# Beyond this nobody can say which rule will decide.
RULES_MAX = 100
FACTS_MAX = 200

_FACT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class PackError(ValueError):
    """A pack (or a folder of them) does not load; `errors` lists every mistake found, each with its place."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def load_pack(text: str, *, languages: Iterable[str]) -> Pack:
    """Returns the pack in `text`; every sentence for customers must be there in each of `languages`.

    Raises PackError with all mistakes. Expressions are only compiled once facts and parameters are right, examples only
    played once everything else is, since the mistakes of one would be repeated by the other.
    """
    text = canonical(text)
    notes = Notes(languages)
    try:
        root = read(text)
    except ReadingError as error:
        raise PackError(f"pack: {problem}" for problem in error.errors) from error
    top = grammar.part(notes, root, what="the pack", keys=KEYS)
    notes.pack = top.word("pack") or "pack"
    about: dict[str, Any] = {
        "name": notes.pack,
        "hash": hashlib.sha256(text.encode()).hexdigest(),
        "problems": top.words("problems"),
        "for_each": top.one_of("for_each", SUBJECTS, "case"),
    }
    parameters = _parameters(notes, top)
    types = {**_facts(notes, top), **{f"parameters.{name}": kind for name, (kind, _) in parameters.items()}}
    _stop_at(notes)
    questions = _questions(notes, top, types)
    environment = Environment({name: kind.cel for name, kind in types.items()})
    found = _rules(notes, top, environment=environment, questions=questions, parameters=list(parameters), about=about)
    played = _examples(notes, top)
    _stop_at(notes)
    pack = Pack(
        name=notes.pack,
        hash=about["hash"],
        text=text,
        problems=about["problems"],
        for_each=about["for_each"],
        types=types,
        parameters={name: default for name, (_, default) in parameters.items()},
        questions=questions,
        rules=found,
        examples_played=len(played),
        environment=environment,
    )
    notes.errors.extend(examples.play(pack, played))
    _stop_at(notes)
    return pack


def _stop_at(notes: Notes) -> None:
    if notes.errors:
        raise PackError(notes.errors)


def _mapping(top: Part, key: str) -> dict[str, Entry]:
    entry = top.get(key)
    if entry is None:
        return {}
    if not isinstance(entry.value, dict):
        top.error(f"`{key}` must be a list of `name: value`", entry.line)
        return {}
    return entry.value


def _facts(notes: Notes, top: Part) -> dict[str, FactType]:
    types: dict[str, FactType] = {}
    declared = _mapping(top, "facts")
    if len(declared) > FACTS_MAX:
        top.error(f"{len(declared)} facts are declared, at most {FACTS_MAX} are allowed")
    for name, entry in declared.items():
        if not _FACT.fullmatch(name) or name.split(".")[0] == "parameters":
            notes.add("", entry.line, f"{name!r} cannot be a fact's name; write small letters with dots, as order.status")
        elif any(other.startswith(f"{name}.") for other in declared):
            notes.add("", entry.line, f"fact {name} cannot stand beside facts that begin with `{name}.`")
        try:
            types[name] = fact_type(str(entry.value))
        except ValueError as error:
            notes.add("", entry.line, f"fact {name}: {error}")
    return types


def _parameters(notes: Notes, top: Part) -> dict[str, tuple[FactType, Any]]:
    found: dict[str, tuple[FactType, Any]] = {}
    for name, entry in _mapping(top, "parameters").items():
        if not _FACT.fullmatch(name) or "." in name:
            notes.add("", entry.line, f"{name!r} cannot be a parameter's name; write small letters and _")
        default = entry.plain()
        try:
            kind = type_of_default(default)
            found[name] = (kind, kind.check(default))
        except ValueError as error:
            notes.add("", entry.line, f"parameter {name}: {error}")
    return found


def _questions(notes: Notes, top: Part, types: Mapping[str, FactType]) -> dict[str, Question]:
    found = {}
    for fact, entry in _mapping(top, "questions").items():
        if fact not in types or fact.startswith("parameters."):
            notes.add("", entry.line, f"question {fact}: no such fact is declared")
        elif types[fact].name != "string":
            notes.add("", entry.line, f"question {fact}: an answer is a string, and the fact is {types[fact].name}")
        found[fact] = grammar.question(notes, fact, entry)
    return found


def _rules(
    notes: Notes,
    top: Part,
    *,
    environment: Environment,
    questions: Mapping[str, Question],
    parameters: Collection[str],
    about: Mapping[str, Any],
) -> tuple[Rule, ...]:
    entries = _rule_entries(top)
    if not entries:
        top.error("the pack needs `rules`, a list of at least one")
        return ()
    if len(entries) > RULES_MAX:
        top.error(f"{len(entries)} rules are too many; at most {RULES_MAX} can be followed")
    found = [
        rules.load(notes, entry, environment=environment, questions=questions, parameters=parameters, about=about) for entry in entries
    ]
    seen: set[str] = set()
    for rule, entry in zip(found, entries, strict=True):
        if rule.id in seen:
            notes.add(rule.id, entry.line, "a rule of this name stands above already")
        seen.add(rule.id)
        if rule.when is None and rule.when_text == "" and entry is not entries[-1]:
            notes.add(rule.id, entry.line, "has no `when`, so no rule after it is ever read; only the last one may")
    last = found[-1]
    if last.when is not None or last.answer.outcome != "escalate":
        notes.add(last.id, entries[-1].line, "the last rule must escalate, without `when`, for what no rule settles")
    return tuple(found)


def _rule_entries(top: Part) -> list[Entry]:
    entry = top.get("rules")
    return entry.value if entry is not None and isinstance(entry.value, list) else []


def _examples(notes: Notes, top: Part) -> list[Example]:
    usual = {name: entry.plain() for name, entry in _mapping(top, "usual").items()}
    return [example for entry in _rule_entries(top) for example in rules.examples_of(notes, entry, usual)]
