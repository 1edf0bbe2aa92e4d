"""Decide: read the rules of one pack in order and give the answer of the first that is true."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from policies.expressions import Environment, Expression
from policies.facts import FactError, FactType
from policies.verdict import ActionName, PlannedAction, Question, Verdict

Rounding = Literal["down", "up", "half_up"]
# What a sentence may name, so that it never states another number than the one that decided.
PLACEHOLDER = re.compile(r"\{(parameters\.[a-z0-9_]+)\}")
_NOTHING: Mapping[str, object] = MappingProxyType({})


class PlannedMoney(msgspec.Struct, frozen=True, kw_only=True):
    """How a rule computes an amount: `dividend / divisor`, rounded, at most the lowest ceiling; exact, in minor units."""

    dividend: Expression
    divisor: Expression | None = None
    rounding: Rounding
    ceilings: tuple[Expression, ...] = ()

    def amount(self, activation: Any) -> int | None:
        """The amount, above 0; None where it cannot be computed or is not money to give (0, negative, divided by 0)."""
        total = self.dividend.value(activation)
        divisor = 1 if self.divisor is None else self.divisor.value(activation)
        if not isinstance(total, int) or not isinstance(divisor, int) or total <= 0 or divisor <= 0:
            return None
        extra = {"down": 0, "up": divisor - 1, "half_up": divisor // 2}[self.rounding]
        total = (total + extra) // divisor
        for ceiling in self.ceilings:
            most = ceiling.value(activation)
            if not isinstance(most, int):
                return None
            total = min(total, most)
        return total if total > 0 else None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a rule that approves."""

    action: ActionName
    cause: str = ""
    money: PlannedMoney | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, ready to be asked. `answer` is complete but for the amounts; `when` None is always true.

    `fills` says that its sentences name parameters, whose values are put in when it decides.
    """

    id: str
    when: Expression | None
    answer: Verdict
    steps: tuple[Step, ...] = ()
    mentions: tuple[str, ...] = ()
    when_text: str = ""
    fills: bool = False

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Every fact that can change what the rule says: those it mentions, and the one it asks for."""
        return self.mentions if self.answer.ask is None else (*self.mentions, self.answer.ask.fact)


class RuleTried(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says of some facts. `missing`: why it can be neither true nor false. `answered`: it asks, and that is known already."""

    rule: str
    value: Literal["true", "false", "unknown"]
    missing: tuple[str, ...] = ()
    answered: bool = False
    decides: bool = False


class Pack:
    """A loaded policy: immutable, safe to share between threads, the same answer for the same facts for ever.

    `facts` and `parameters` map names to type names and to defaults; `hash` is the SHA-256 (hex) of `text`; `languages`
    are those any of its sentences is in.
    """

    def __init__(
        self,
        *,
        name: str,
        hash: str,  # noqa: A002 - the word used everywhere for it
        text: str,
        problems: tuple[str, ...],
        for_each: str,
        types: Mapping[str, FactType],
        parameters: Mapping[str, object],
        questions: Mapping[str, Question],
        rules: tuple[Rule, ...],
        examples_played: int,
        environment: Environment,
    ) -> None:
        self.name = name
        self.hash = hash
        self.text = text
        self.problems = problems
        self.for_each = for_each
        self.parameters = MappingProxyType(dict(parameters))
        self.questions = MappingProxyType(dict(questions))
        self.rules = rules
        self.examples_played = examples_played
        self.languages = _languages(rules)
        self.facts = MappingProxyType({name: kind.name for name, kind in types.items() if not name.startswith("parameters.")})
        self._types = dict(types)
        self._defaults = {f"parameters.{name}": value for name, value in parameters.items()}
        self._environment = environment

    def decide(self, facts: Mapping[str, object], parameters: Mapping[str, object] = _NOTHING) -> Verdict:
        """Returns the verdict on these facts; None for a fact is the same as leaving it out.

        `parameters` replace the pack's own numbers. Raises FactError for a fact or parameter that is not declared or
        has the wrong type, and nothing else.
        """
        values = self._checked(facts, parameters)
        activation = self._environment.activation(values)
        for rule in self.rules:
            verdict = self._ask(rule, activation, values)
            if verdict is not None:
                return _filled(verdict, values) if rule.fills or self.rules[-1].fills else verdict
        # The last rule has no condition (checked when the pack was loaded), so it is always the answer.
        return self.rules[-1].answer

    def trace(self, facts: Mapping[str, object], parameters: Mapping[str, object] = _NOTHING) -> tuple[RuleTried, ...]:
        """The rules that are read for these facts, up to the one that decides. Raises FactError."""
        values = self._checked(facts, parameters)
        activation = self._environment.activation(values)
        read: list[RuleTried] = []
        for rule in self.rules:
            holds = True if rule.when is None else rule.when.value(activation)
            decides = self._ask(rule, activation, values) is not None
            read.append(
                RuleTried(
                    rule=rule.id,
                    value="true" if holds is True else "false" if holds is False else "unknown",
                    missing=() if isinstance(holds, bool) else tuple(name for name in rule.mentions if name not in values),
                    answered=holds is True and not decides,
                    decides=decides,
                )
            )
            if decides:
                break
        return tuple(read)

    def never(self, rule: Rule, facts: Mapping[str, object]) -> bool:
        """Whether the rule is false where these facts are so, whatever all others and the parameters are."""
        return rule.when is not None and rule.when.value(self._environment.activation(dict(facts))) is False

    def _checked(self, facts: Mapping[str, object], parameters: Mapping[str, object]) -> dict[str, Any]:
        values: dict[str, Any] = dict(self._defaults)
        for name, value in facts.items():
            if name not in self.facts:
                raise FactError(str(name), f"pack {self.name} declares no such fact")
            if value is not None:
                values[name] = self._check(name, value)
        for name, value in parameters.items():
            if name not in self.parameters:
                raise FactError(f"parameters.{name}", f"pack {self.name} has no such parameter")
            values[f"parameters.{name}"] = self._check(f"parameters.{name}", value)
        return values

    def _check(self, name: str, value: object) -> Any:
        try:
            return self._types[name].check(value)
        except ValueError as error:
            raise FactError(name, str(error)) from error

    def _ask(self, rule: Rule, activation: Any, values: Mapping[str, Any]) -> Verdict | None:
        """The rule's answer, or None where the next rule is to be read."""
        holds = True if rule.when is None else rule.when.value(activation)
        if holds is False:
            return None
        if holds is not True:
            return self._stopped(rule, values)
        if rule.answer.ask is not None and rule.answer.ask.fact in values:
            # It has been asked and answered.
            return None
        if not rule.steps:
            return rule.answer
        return self._approved(rule, activation, values)

    def _approved(self, rule: Rule, activation: Any, values: Mapping[str, Any]) -> Verdict:
        actions = []
        for step in rule.steps:
            amount = step.money.amount(activation) if step.money else None
            if step.money and amount is None:
                return self._stopped(rule, values)
            actions.append(PlannedAction(action=step.action, amount=amount, cause=step.cause))
        return msgspec.structs.replace(rule.answer, actions=tuple(actions))

    def _stopped(self, rule: Rule, values: Mapping[str, Any]) -> Verdict:
        """The answer where a rule is neither true nor false: ask for what is missing, else hand to people."""
        unknown = tuple(name for name in rule.mentions if name not in values)
        question = next((ask for fact, ask in self.questions.items() if fact in unknown), None)
        if question is not None:
            return Verdict(
                outcome="ask",
                pack=self.name,
                pack_hash=self.hash,
                rule=rule.id,
                unknown=unknown,
                because=question.prompt,
                ask=question,
            )
        # People get it the way the last rule says, which is there for what no rule could settle.
        return msgspec.structs.replace(
            self.rules[-1].answer,
            rule=rule.id,
            reason="fact_unknown" if unknown else "rule_error",
            unknown=unknown,
        )


def _languages(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    return tuple(sorted({language for rule in rules for language in (*rule.answer.because, *rule.answer.would_change)}))


def _filled(verdict: Verdict, values: Mapping[str, Any]) -> Verdict:
    """The verdict with the values of parameters in its sentences, as `{parameters.remorse_hours}` names them."""

    def fill(sentences: Mapping[str, str]) -> dict[str, str]:
        return {language: PLACEHOLDER.sub(lambda found: str(values[found.group(1)]), sentence) for language, sentence in sentences.items()}

    return msgspec.structs.replace(verdict, because=fill(verdict.because), would_change=fill(verdict.would_change))
