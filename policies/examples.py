"""Play a pack's own examples: each must be decided by the rule it stands under, as it expects."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from policies.engine import Pack
from policies.facts import FactError
from policies.verdict import Verdict

OUTCOMES = ("approve", "ask", "wait", "deny", "escalate")


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A situation and what the rule says to it; `given` holds every fact, the pack's usual ones included."""

    rule: str
    line: int
    given: Mapping[str, object]
    parameters: Mapping[str, object]
    expect: Mapping[str, Any]


def play(pack: Pack, examples: Sequence[Example]) -> Iterator[str]:
    """Yields one sentence per example that does not hold, and per rule that no example shows deciding."""
    shown: set[str] = set()
    for example in examples:
        where = f"{pack.name}, rule {example.rule}, line {example.line}"
        try:
            verdict = pack.decide(example.given, example.parameters)
        except FactError as error:
            yield f"{where}: the example gives {error}"
            continue
        if verdict.rule != example.rule:
            yield f"{where}: the example is taken by rule {verdict.rule} ({verdict.outcome}{_why(verdict)})"
            continue
        if not _stopped(verdict):
            shown.add(example.rule)
        for problem in _differences(verdict, example.expect):
            yield f"{where}: the example expects {problem}"
    for rule in pack.rules:
        if rule.id not in shown and any(example.rule == rule.id for example in examples):
            yield f"{pack.name}, rule {rule.id}: no example shows it deciding"


def holds(pack: Pack, example: Example) -> bool:
    """Whether its rule decides it as it expects."""
    try:
        verdict = pack.decide(example.given, example.parameters)
    except FactError:
        return False
    return verdict.rule == example.rule and not any(_differences(verdict, example.expect))


def _stopped(verdict: Verdict) -> bool:
    return bool(verdict.reason or verdict.unknown)


def _why(verdict: Verdict) -> str:
    return f", {verdict.reason}: {', '.join(verdict.unknown)}" if verdict.reason else ""


def _differences(verdict: Verdict, expect: Mapping[str, Any]) -> Iterator[str]:
    for name, wanted in expect.items():
        if name in OUTCOMES and name != verdict.outcome:
            yield f"{name} and gets {verdict.outcome}{_why(verdict)}"
            continue
        got = _detail(verdict, name)
        # `deny: true` (or nothing after the colon) asks for the outcome alone.
        if name in OUTCOMES and wanted in (None, True):
            continue
        if got not in (wanted, [wanted]):
            yield f"{name} {wanted!r} and gets {got!r}"


def _detail(verdict: Verdict, name: str) -> Any:
    amounts = [action.amount for action in verdict.actions if action.amount is not None]
    details: dict[str, Any] = {
        "approve": [action.action for action in verdict.actions],
        "ask": verdict.ask and verdict.ask.fact,
        "wait": verdict.wait and verdict.wait.wait_for,
        "escalate": verdict.escalate and verdict.escalate.skill,
        "deny": True,
        "amount": amounts,
        "cause": [action.cause for action in verdict.actions if action.cause],
        "reason": verdict.reason,
    }
    return details[name]
