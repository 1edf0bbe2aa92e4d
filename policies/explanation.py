"""Explain a stored decision: make it again from its pack, facts and parameters, and compare byte for byte."""

from collections.abc import Mapping
from typing import Any

import msgspec

from policies.engine import Pack
from policies.pack import load_pack
from policies.verdict import Verdict, encode


class StoredDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a decision: enough to make it again at any time."""

    pack_hash: str
    facts: Mapping[str, Any]
    parameters: Mapping[str, Any] = {}
    verdict: Verdict


class RuleRead(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that was read: its condition as written, and the facts it looks at (None where one had no value)."""

    rule: str
    when: str
    looked_at: Mapping[str, Any]
    decided: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`same` says whether the decision came out again byte for byte; `differences` names what did not."""

    same: bool
    differences: tuple[str, ...]
    verdict: Verdict
    rules: tuple[RuleRead, ...]


def explain(pack_text: str, stored: StoredDecision) -> Explanation:
    """Decides again and compares.

    The text may be older than any language offered today, so none is asked for. Raises PackError where the text does not
    load and FactError where the facts are not what the pack declares.
    """
    pack = load_pack(pack_text, languages=())
    verdict = pack.decide(stored.facts, stored.parameters)
    differences = tuple(_differences(pack, verdict, stored))
    return Explanation(same=not differences, differences=differences, verdict=verdict, rules=_read(pack, verdict, stored.facts))


def _differences(pack: Pack, verdict: Verdict, stored: StoredDecision) -> list[str]:
    found = []
    if pack.hash != stored.pack_hash:
        found.append(f"pack_hash: the decision was made by {stored.pack_hash}, this text is {pack.hash}")
    if encode(verdict) != encode(stored.verdict):
        found += [
            f"{name}: was {msgspec.json.encode(before).decode()}, is {msgspec.json.encode(now).decode()}"
            for name in Verdict.__struct_fields__
            if (before := getattr(stored.verdict, name)) != (now := getattr(verdict, name))
        ]
    return found


def _read(pack: Pack, verdict: Verdict, facts: Mapping[str, Any]) -> tuple[RuleRead, ...]:
    """The rules up to the one that decided: those above it were false, or asked for what was answered."""
    names = [rule.id for rule in pack.rules]
    return tuple(
        RuleRead(
            rule=rule.id,
            when=rule.when_text,
            looked_at={name: facts.get(name) for name in rule.looks_at},
            decided=rule.id == verdict.rule,
        )
        for rule in pack.rules[: names.index(verdict.rule) + 1]
    )
