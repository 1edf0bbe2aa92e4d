"""A pack as people read it: each rule with its condition, its answer in a sentence, and its examples played again."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from policies.engine import PLACEHOLDER, Pack, PlannedMoney, Rule, Step
from policies.examples import Example, holds
from policies.reading import read
from policies.verdict import Texts

_ACTIONS: Final[Mapping[str, str]] = {
    "refund": "send back",
    "reissue_access": "give a new link and end the old ones",
    "resend_pass": "send the ticket again",
    "replace_pass": "replace the ticket",
    "void_pass": "void the ticket",
    "goodwill_credit": "give as goodwill",
}
_ROUNDED: Final[Mapping[str, str]] = {"down": "rounded down", "up": "rounded up", "half_up": "rounded to the nearest"}
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class ExampleShown(msgspec.Struct, frozen=True, kw_only=True):
    """`given` is what is different from the usual situation, as it is written."""

    about: str
    given: Mapping[str, Any]
    parameters: Mapping[str, Any]
    expect: Mapping[str, Any]
    holds: bool


class RuleShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    about: str
    when: str
    """empty: always"""
    because: Texts
    then: str
    examples: tuple[ExampleShown, ...]


class PackShown(msgspec.Struct, frozen=True, kw_only=True):
    """`facts` and `parameters`: name -> type, and value; `usual`: the situation that the examples start from."""

    name: str
    about: str
    hash: str
    problems: tuple[str, ...]
    for_each: str
    facts: Mapping[str, str]
    parameters: Mapping[str, Any]
    usual: Mapping[str, Any]
    rules: tuple[RuleShown, ...]


def pack_shown(pack: Pack, chosen: Mapping[str, Any]) -> PackShown:
    """Reads the pack's own text again, which was checked when it was loaded. Some ten milliseconds: keep it.

    `chosen`: parameters in place of the pack's own; the examples are played with the pack's own, as they were when it was loaded.
    """
    written = read(pack.text).plain()
    parameters = {**pack.parameters, **chosen}
    usual = dict(written.get("usual") or {})
    return PackShown(
        name=pack.name,
        about=str(written.get("about") or ""),
        hash=pack.hash,
        problems=pack.problems,
        for_each=pack.for_each,
        facts=dict(pack.facts),
        parameters=parameters,
        usual=usual,
        rules=tuple(_rule(pack, rule, text, usual, parameters) for rule, text in zip(pack.rules, written["rules"], strict=True)),
    )


def _rule(pack: Pack, rule: Rule, written: Mapping[str, Any], usual: Mapping[str, Any], parameters: Mapping[str, Any]) -> RuleShown:
    def fill(text: str) -> str:
        return PLACEHOLDER.sub(lambda found: str(parameters[found.group(1).removeprefix("parameters.")]), text)

    return RuleShown(
        id=rule.id,
        about=str(written.get("about") or ""),
        when=rule.when_text,
        because={language: fill(text) for language, text in rule.answer.because.items()},
        then=fill(then_words(rule)),
        examples=tuple(_example(pack, rule, one, usual) for one in written["examples"]),
    )


def _example(pack: Pack, rule: Rule, written: Mapping[str, Any], usual: Mapping[str, Any]) -> ExampleShown:
    given, parameters, expect = (_plain(written, name) for name in ("given", "parameters", "expect"))
    played = Example(rule=rule.id, line=0, given={**usual, **given}, parameters=parameters, expect=expect)
    return ExampleShown(about=str(written.get("about") or ""), given=given, parameters=parameters, expect=expect, holds=holds(pack, played))


def then_words(rule: Rule) -> str:
    """What the rule answers, in one English sentence; amounts as the rule computes them."""
    answer = rule.answer
    if rule.steps:
        said = ", then ".join(_step(step) for step in rule.steps)
    elif answer.ask is not None:
        said = f"ask: {_first(answer.ask.prompt)}"
    elif answer.wait is not None:
        said = f"wait for {answer.wait.wait_for.replace('_', ' ')}, at most {_length(answer.wait.at_most_seconds)}"
    elif answer.escalate is not None:
        to = answer.escalate
        suggested = f", suggested: {', '.join(one.replace('_', ' ') for one in to.suggest)}" if to.suggest else ""
        said = f"hand to people: {to.skill}, priority {to.priority}{suggested}"
    elif answer.outcome == "deny":
        said = f"say no; what would change it: {_first(answer.would_change)}" if answer.would_change else "say no"
    else:
        said = "nothing is to be done: it is solved"
    return said[:1].upper() + said[1:]


def _step(step: Step) -> str:
    return " ".join(part for part in (_ACTIONS[step.action], _money(step.money), f"for {step.cause}" if step.cause else "") if part)


def _money(money: PlannedMoney | None) -> str:
    if money is None:
        return ""
    divided = "" if money.divisor is None else f" / {money.divisor.text}, {_ROUNDED[money.rounding]}"
    ceilings = f", at most {' and '.join(one.text for one in money.ceilings)}" if money.ceilings else ""
    return f"{money.dividend.text}{divided}{ceilings}"


def _first(texts: Texts) -> str:
    return texts.get("en") or next(iter(texts.values()), "")


def _length(seconds: int) -> str:
    return " ".join(_parts(seconds)) or "0 seconds"


def _parts(seconds: int) -> Iterator[str]:
    for unit, name in _UNITS:
        count, seconds = divmod(seconds, unit)
        if count:
            yield f"{count} {name}{'' if count == 1 else 's'}"


def _plain(written: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`expect: deny` is short for `expect: { deny: true }`."""
    value = written.get(name) or {}
    return {value: True} if isinstance(value, str) else dict(value)
