"""Who is first at the desk: ordered rules that say by when somebody should look at a case; the first that is true decides."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from policies import grammar
from policies.expressions import Environment, Expression, ExpressionError
from policies.facts import FactType, fact_type, parse_duration
from policies.grammar import Notes, Part
from policies.reading import Entry, ReadingError, canonical, read
from policies.vocabulary import SKILLS

ROUTING_FILE: Final = "routing.yaml"

ClockKind = Literal["acknowledge", "next_answer", "resolve"]
CLOCKS: Final[tuple[ClockKind, ...]] = ("acknowledge", "next_answer", "resolve")

# What the service gathers for each case. A file that looks at anything else would never be told it.
GATHERED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "problem": "string",
        "skill": "string",
        "priority": "int",
        "channel": "string",
        "language": "string",
        "identity": "string",
        "show.phase": "string",
        "doors.minutes": "int",
        "money.at_stake": "int",
        "money.of_limit": "double",
        "order.known": "bool",
        "order.value": "int",
        "customer.value": "int",
        "customer.of_limit": "double",
        "case.waited_minutes": "int",
        "case.contacts": "int",
        "case.returned": "bool",
        "case.suggestions": "int",
    }
)

KEYS: Final = ("routing", "about", "facts", "usual", "rules")
RULE_KEYS: Final = ("id", "about", "when", "within", "lead", "skill", "playbook", "targets", "examples")
ANSWER_KEYS: Final = ("within", "lead", "skill", "playbook")
# Beyond this nobody can say which rule will decide.
RULES_MAX: Final = 100
EXAMPLES_MAX: Final = 50
# Who should be looked at later than in three days is not in a queue; a promise to resolve may take a month.
WITHIN_SECONDS_MAX: Final = 3 * 86400
TARGET_SECONDS_MAX: Final = 31 * 86400

_DURATION: Final = re.compile(r"[0-9]+[smhd]([0-9]+[smh])?")


class RoutingError(ValueError):
    """The file does not load; `errors` lists every mistake with its line."""

    def __init__(self, errors: Collection[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's answer. All lengths are seconds."""

    rule: str
    within_seconds: int
    """somebody should have looked so long after it came to its place"""
    lead_seconds: int | None = None
    """and so long before the doors open, if that is sooner; None: whenever they do"""
    skill: str | None = None
    playbook: str | None = None
    targets: Mapping[ClockKind, int] = MappingProxyType({})


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    when: Expression | None
    when_text: str
    route: Route
    examples: tuple["_Example", ...]


class _Example(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    about: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]


class RoutingRuleShown(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as a page shows it: its condition as written, its answer, and its examples with what each was given."""

    id: str
    when: str
    route: Route
    examples: tuple[Mapping[str, Any], ...]


class Routing:
    """A loaded file: immutable, the same answer for the same facts. `hash` is the SHA-256 (hex) of `text`."""

    def __init__(self, *, text: str, rules: tuple[_Rule, ...], types: Mapping[str, FactType], environment: Environment) -> None:
        self.text = text
        self.hash = hashlib.sha256(text.encode()).hexdigest()
        self.facts: Mapping[str, str] = MappingProxyType({name: kind.name for name, kind in types.items()})
        self._rules = rules
        self._types = types
        self._environment = environment

    @property
    def examples_played(self) -> int:
        return sum(len(rule.examples) for rule in self._rules)

    @property
    def playbooks(self) -> frozenset[str]:
        """Those that its rules name."""
        return frozenset(rule.route.playbook for rule in self._rules if rule.route.playbook is not None)

    def rules(self) -> tuple[RoutingRuleShown, ...]:
        return tuple(
            RoutingRuleShown(
                id=rule.route.rule,
                when=rule.when_text or "always",
                route=rule.route,
                examples=tuple({"about": one.about, "given": one.given, "expect": one.expect} for one in rule.examples),
            )
            for rule in self._rules
        )

    def route(self, facts: Mapping[str, Any]) -> Route:
        """The answer of the first rule that is true. A rule that cannot be worked out counts as the last one, which has no condition.

        Raises ValueError for a declared fact of the wrong type; facts that the file does not declare are left aside.
        """
        values = {name: kind.check(facts[name]) for name, kind in self._types.items() if name in facts}
        activation = self._environment.activation(values)
        for rule in self._rules:
            holds = True if rule.when is None else rule.when.value(activation)
            if holds is True:
                return rule.route
            if holds is not False:
                break
        return self._rules[-1].route


def load_routing(text: str) -> Routing:
    """Returns the rules in `text`. Raises RoutingError with all mistakes, examples that another rule takes among them."""
    text = canonical(text)
    notes = Notes(())
    try:
        root = read(text)
    except ReadingError as error:
        raise RoutingError([f"routing: {problem}" for problem in error.errors]) from error
    top = grammar.part(notes, root, what="the file", keys=KEYS)
    notes.pack = top.word("routing") or "routing"
    types = _facts(top)
    usual = _plain(top, "usual")
    _stop_at(notes)
    environment = Environment({name: kind.cel for name, kind in types.items()})
    rules = _rules(top, environment, usual)
    _stop_at(notes)
    routing = Routing(text=text, rules=rules, types=types, environment=environment)
    notes.errors.extend(_played(notes.pack, routing, rules))
    _stop_at(notes)
    return routing


def _stop_at(notes: Notes) -> None:
    if notes.errors:
        raise RoutingError(notes.errors)


def _facts(top: Part) -> dict[str, FactType]:
    types: dict[str, FactType] = {}
    for name, said in _plain(top, "facts").items():
        if name not in GATHERED:
            top.error(f"fact {name} is never gathered; there are {', '.join(GATHERED)}")
        elif said != GATHERED[name]:
            top.error(f"fact {name} is {GATHERED[name]}, not {said!r}")
        else:
            types[name] = fact_type(str(said))
    return types


def _rules(top: Part, environment: Environment, usual: Mapping[str, Any]) -> tuple[_Rule, ...]:
    entry = top.get("rules")
    if entry is None or not isinstance(entry.value, list) or not entry.value:
        top.error("`rules` must be a list with at least one rule")
        return ()
    if len(entry.value) > RULES_MAX:
        top.error(f"has {len(entry.value)} rules, at most {RULES_MAX} are read", entry.line)
    found = tuple(_rule(top.notes, item, environment, usual) for item in entry.value[:RULES_MAX])
    ids = [rule.route.rule for rule in found]
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        top.error(f"two rules are called {name}")
    if found[-1].when is not None:
        top.error("the last rule has no `when`: it takes every case that is left", entry.value[-1].line)
    for rule, item in zip(found[:-1], entry.value, strict=False):
        if rule.when is None and "when" not in item.value:
            top.notes.add(rule.route.rule, item.line, "only the last rule may have no `when`: nothing below it would ever decide")
    return found


def _rule(notes: Notes, entry: Entry, environment: Environment, usual: Mapping[str, Any]) -> _Rule:
    named = entry.value.get("id") if isinstance(entry.value, dict) else None
    name = str(named.value) if named is not None else f"in line {entry.line}"
    owner = grammar.part(notes, entry, what="a rule", keys=RULE_KEYS, rule=name)
    owner.word("id")
    condition = owner.get("when")
    route = Route(
        rule=name,
        within_seconds=_seconds(owner, "within", WITHIN_SECONDS_MAX) or 1,
        lead_seconds=_seconds(owner, "lead", WITHIN_SECONDS_MAX) if "lead" in owner.entries else None,
        skill=owner.one_of("skill", SKILLS) if "skill" in owner.entries else None,
        playbook=owner.word("playbook") if "playbook" in owner.entries else None,
        targets=_targets(owner),
    )
    text = "" if condition is None else "true" if condition.value is True else str(condition.value)
    return _Rule(
        when=None if condition is None else _condition(owner, condition, text, environment),
        when_text=text,
        route=route,
        examples=tuple(_examples(owner, usual)),
    )


def _condition(owner: Part, entry: Entry, text: str, environment: Environment) -> Expression | None:
    try:
        return environment.condition(text)
    except ExpressionError as error:
        for problem in error.errors:
            owner.error(f"`when`: {problem}", entry.line)
        return None


def _targets(owner: Part) -> Mapping[ClockKind, int]:
    entry = owner.get("targets")
    if entry is None:
        return MappingProxyType({})
    inner = grammar.part(owner.notes, entry, what="targets", keys=CLOCKS, rule=owner.rule)
    return MappingProxyType({kind: _seconds(inner, kind, TARGET_SECONDS_MAX) for kind in CLOCKS if kind in inner.entries})


def _seconds(owner: Part, key: str, most: int) -> int:
    entry = owner.get(key)
    if entry is None:
        owner.error(f"{owner.what} needs `{key}`, as 5m")
        return 0
    if not isinstance(entry.value, str) or not _DURATION.fullmatch(entry.value):
        owner.error(f"`{key}` is a length of time as 90s, 5m, 2h or 1d, not {entry.value!r}", entry.line)
        return 0
    seconds = int(parse_duration(entry.value).total_seconds())
    if not 0 < seconds <= most:
        owner.error(f"`{key}: {entry.value}` has to be above zero and at most {most // 86400}d", entry.line)
        return 0
    return seconds


def _examples(owner: Part, usual: Mapping[str, Any]) -> Iterator[_Example]:
    entry = owner.get("examples")
    if entry is None or not isinstance(entry.value, list) or not entry.value:
        owner.error("has no example; write at least one under `examples`")
        return
    if len(entry.value) > EXAMPLES_MAX:
        owner.error(f"has {len(entry.value)} examples, at most {EXAMPLES_MAX} are played", entry.line)
    for item in entry.value[:EXAMPLES_MAX]:
        inner = grammar.part(owner.notes, item, what="an example", keys=("about", "given", "expect"), rule=owner.rule)
        about = inner.get("about")
        expect = _plain(inner, "expect")
        for key in expect:
            if key not in ANSWER_KEYS:
                inner.error(f"`expect` has no `{key}`; it has {', '.join(ANSWER_KEYS)}")
        yield _Example(
            line=item.line,
            about="" if about is None else str(about.value),
            given={**usual, **_plain(inner, "given")},
            expect=expect,
        )


def _plain(owner: Part, key: str) -> dict[str, Any]:
    entry = owner.get(key)
    if entry is None:
        return {}
    value = entry.plain()
    if not isinstance(value, dict):
        owner.error(f"`{key}` must be a list of `name: value`", entry.line)
        return {}
    return value


def _played(name: str, routing: Routing, rules: tuple[_Rule, ...]) -> Iterator[str]:
    for rule in rules:
        for example in rule.examples:
            where = f"{name}, rule {rule.route.rule}, line {example.line}"
            unknown = sorted(set(example.given) - set(routing.facts)) or sorted(set(routing.facts) - set(example.given))
            if unknown:
                yield f"{where}: every declared fact has its value in `usual` or `given`, and no other: {', '.join(unknown)}"
                continue
            try:
                route = routing.route(example.given)
            except ValueError as error:
                yield f"{where}: the example gives {error}"
                continue
            if route.rule != rule.route.rule:
                yield f"{where}: the example is taken by rule {route.rule}"
                continue
            yield from (f"{where}: the example expects {problem}" for problem in _differences(route, example.expect))


def _differences(route: Route, expect: Mapping[str, Any]) -> Iterator[str]:
    got: dict[str, Any] = {
        "within": route.within_seconds,
        "lead": route.lead_seconds,
        "skill": route.skill,
        "playbook": route.playbook,
    }
    for key, wanted in expect.items():
        timed = key in {"within", "lead"} and isinstance(wanted, str) and _DURATION.fullmatch(wanted)
        if (int(parse_duration(wanted).total_seconds()) if timed else wanted) != got[key]:
            yield f"{key} {wanted!r} and gets {got[key]!r}"
