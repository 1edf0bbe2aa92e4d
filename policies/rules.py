"""Read one rule of a pack: its condition, the one thing it answers, its sentences and its examples."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast, get_args

from policies import grammar
from policies.engine import PLACEHOLDER, PlannedMoney, Rounding, Rule, Step
from policies.examples import OUTCOMES, Example
from policies.expressions import Environment, Expression, ExpressionError
from policies.grammar import Notes, Part
from policies.reading import Entry
from policies.verdict import ActionName, Outcome, Question, Verdict
from policies.vocabulary import ACTIONS, CAUSES, MONEY_ACTIONS

KEYS = ("id", "about", "when", *OUTCOMES, "because", "examples")
MONEY_KEYS = ("amount", "divided_by", "rounding", "at_most")
EXPECT_KEYS = (*OUTCOMES, "amount", "cause", "reason")
ROUNDINGS: tuple[str, ...] = get_args(Rounding)
# A customer gets a few things at once; a longer list is a mistake.
ACTIONS_MAX = 5
EXAMPLES_MAX = 50
CEILINGS_MAX = 5


def load(
    notes: Notes,
    entry: Entry,
    *,
    environment: Environment,
    questions: Mapping[str, Question],
    parameters: Collection[str],
    about: Mapping[str, Any],
) -> Rule:
    """The rule in `entry`. Mistakes are noted; what is then returned only serves to find more of them."""
    name = _name(entry)
    owner = grammar.part(notes, entry, what="a rule", keys=KEYS, rule=name)
    owner.word("id")
    text = owner.get("when")
    when = None if text is None else _condition(owner, text, environment)
    outcome = _outcome(owner)
    found = owner.get(outcome)
    steps = _steps(owner, found, environment) if outcome == "approve" and found else ()
    asked = _asked(owner, found, questions) if outcome == "ask" and found else None
    answer = Verdict(
        outcome=outcome,
        pack=about["name"],
        pack_hash=about["hash"],
        rule=name,
        because=grammar.texts(owner, "because"),
        would_change=_would_change(owner, found) if outcome == "deny" and found else {},
        ask=asked,
        wait=grammar.wait(owner, found) if outcome == "wait" and found else None,
        escalate=grammar.escalation(owner, found) if outcome == "escalate" and found else None,
    )
    return Rule(
        id=name,
        when=when,
        answer=answer,
        steps=steps,
        mentions=_mentions(when, steps),
        when_text="" if text is None else str(text.value),
        fills=_fills(owner, answer, parameters),
    )


def examples_of(notes: Notes, entry: Entry, usual: Mapping[str, object]) -> Iterator[Example]:
    """The rule's examples; a rule without one is noted."""
    found = entry.value.get("examples") if isinstance(entry.value, dict) else None
    name = _name(entry)
    if found is None or not isinstance(found.value, list) or not found.value:
        notes.add(name, entry.line, "has no example; write at least one under `examples`")
        return
    if len(found.value) > EXAMPLES_MAX:
        notes.add(name, found.line, f"has {len(found.value)} examples, at most {EXAMPLES_MAX} are played")
    for item in found.value[:EXAMPLES_MAX]:
        yield _example(notes, name, item, usual)


def _example(notes: Notes, rule: str, item: Entry, usual: Mapping[str, object]) -> Example:
    owner = grammar.part(notes, item, what="an example", keys=("about", "given", "parameters", "expect"), rule=rule)
    if owner.get("expect") is None:
        owner.error("an example needs `expect`: what the rule answers")
    expect = _plain(owner, "expect")
    for key in expect:
        if key not in EXPECT_KEYS:
            owner.error(f"`expect` has no `{key}`; it has {', '.join(EXPECT_KEYS)}")
    return Example(
        rule=rule,
        line=item.line,
        given={**usual, **_plain(owner, "given")},
        parameters=_plain(owner, "parameters"),
        expect={key: value for key, value in expect.items() if key in EXPECT_KEYS},
    )


def _plain(owner: Part, key: str) -> dict[str, Any]:
    entry = owner.get(key)
    if entry is None:
        return {}
    value = entry.plain()
    # `expect: deny` is short for `expect: { deny: true }`.
    if key == "expect" and isinstance(value, str):
        return {value: True}
    if not isinstance(value, dict):
        owner.error(f"`{key}` must be a list of `name: value`", entry.line)
        return {}
    return value


def _name(entry: Entry) -> str:
    found = entry.value.get("id") if isinstance(entry.value, dict) else None
    return str(found.value) if found is not None else f"in line {entry.line}"


def _outcome(owner: Part) -> Outcome:
    found = [outcome for outcome in OUTCOMES if outcome in owner.entries]
    if len(found) != 1:
        owner.error(f"a rule answers exactly one of {', '.join(OUTCOMES)}; this one has {' and '.join(found) or 'none'}")
    return cast("Outcome", found[0] if found else "escalate")


def _fills(owner: Part, answer: Verdict, parameters: Collection[str]) -> bool:
    named: set[str] = set()
    for sentence in (*answer.because.values(), *answer.would_change.values()):
        named.update(PLACEHOLDER.findall(sentence))
        if "{" in PLACEHOLDER.sub("", sentence):
            owner.error("a sentence can only hold the value of a parameter, written as {parameters.name}")
    for name in sorted(named - {f"parameters.{parameter}" for parameter in parameters}):
        owner.error(f"a sentence names {name}, and no such parameter is declared")
    return bool(named)


def _condition(owner: Part, entry: Entry, environment: Environment) -> Expression | None:
    try:
        return environment.condition(_written(entry))
    except ExpressionError as error:
        for problem in error.errors:
            owner.error(f"`when`: {problem}", entry.line)
        return None


def _amount(owner: Part, key: str, entry: Entry | None, environment: Environment) -> Expression | None:
    if entry is None:
        return None
    try:
        return environment.amount(_written(entry))
    except ExpressionError as error:
        for problem in error.errors:
            owner.error(f"`{key}`: {problem}", entry.line)
        return None


def _written(entry: Entry) -> str:
    """The expression as it was written: YAML has already made a number of `500` and a truth value of `true`."""
    value = entry.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ExpressionError("an expression must be text on one place, quoted if it has a colon or a brace")
    return str(value)


def _asked(owner: Part, entry: Entry, questions: Mapping[str, Question]) -> Question | None:
    question = questions.get(str(entry.value))
    if question is None:
        owner.error(f"`ask: {entry.plain()}`: no question is declared for such a fact under `questions`", entry.line)
    return question


def _would_change(owner: Part, entry: Entry) -> dict[str, str]:
    # `deny: true` says no and nothing else.
    if entry.value is True:
        return {}
    inner = grammar.part(owner.notes, entry, what="deny", keys=("would_change",), rule=owner.rule)
    return grammar.texts(inner, "would_change")


def _steps(owner: Part, entry: Entry, environment: Environment) -> tuple[Step, ...]:
    """The actions to approve; an empty list means that all is well and nothing is left to do."""
    if not isinstance(entry.value, list):
        owner.error("`approve` must be a list of actions", entry.line)
        return ()
    if len(entry.value) > ACTIONS_MAX:
        owner.error(f"`approve` has {len(entry.value)} actions, at most {ACTIONS_MAX} are carried out", entry.line)
    return tuple(_step(owner, item, environment) for item in entry.value)


def _step(owner: Part, entry: Entry, environment: Environment) -> Step:
    keys = ("action", "cause", *MONEY_KEYS)
    inner = grammar.part(owner.notes, entry, what="an action", keys=keys, rule=owner.rule)
    action = cast("ActionName", inner.one_of("action", ACTIONS))
    if action not in MONEY_ACTIONS and action in ACTIONS:
        for key in ("cause", *MONEY_KEYS):
            if key in inner.entries:
                inner.error(f"{action} moves no money and has no `{key}`")
        return Step(action=action)
    return Step(action=action, cause=inner.one_of("cause", CAUSES, ""), money=_money(inner, environment))


def _money(owner: Part, environment: Environment) -> PlannedMoney | None:
    dividend = _amount(owner, "amount", owner.get("amount"), environment)
    divisor = _amount(owner, "divided_by", owner.get("divided_by"), environment)
    ceilings = _ceilings(owner, environment)
    if owner.get("amount") is None:
        owner.error("an action that moves money needs `amount`, in minor units")
    if owner.get("rounding") is None:
        owner.error(f"an amount names its `rounding`: {', '.join(ROUNDINGS)}")
        return None
    rounding = owner.one_of("rounding", ROUNDINGS)
    if any(part is not None and part.divides for part in (dividend, divisor, *ceilings)) and rounding != "down":
        owner.error(f"`/` drops what is left over, so it cannot round {rounding}: write what to divide by as `divided_by`")
    if dividend is None or not rounding:
        return None
    return PlannedMoney(dividend=dividend, divisor=divisor, rounding=cast("Rounding", rounding), ceilings=ceilings)


def _ceilings(owner: Part, environment: Environment) -> tuple[Expression, ...]:
    """`at_most` is one expression or a list of them; the lowest counts."""
    entry = owner.get("at_most")
    if entry is None:
        return ()
    listed = entry.value if isinstance(entry.value, list) else [entry]
    found = [_amount(owner, "at_most", item, environment) for item in listed[:CEILINGS_MAX]]
    if len(listed) > CEILINGS_MAX:
        owner.error(f"`at_most` has {len(listed)} limits, at most {CEILINGS_MAX} are compared", entry.line)
    return tuple(expression for expression in found if expression is not None)


def _mentions(when: Expression | None, steps: tuple[Step, ...]) -> tuple[str, ...]:
    parts = [when]
    for step in steps:
        if step.money:
            parts += [step.money.dividend, step.money.divisor, *step.money.ceilings]
    return tuple(sorted({name for part in parts if part for name in part.names if not name.startswith("parameters.")}))
