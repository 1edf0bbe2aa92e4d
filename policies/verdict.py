"""What a policy can answer: the five outcomes, and what each of them carries."""

from typing import Literal

import msgspec

Outcome = Literal["approve", "ask", "wait", "deny", "escalate"]
ActionName = Literal["refund", "reissue_access", "resend_pass", "replace_pass", "void_pass", "goodwill_credit"]
Texts = dict[str, str]


class PlannedAction(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to carry out. `amount` is in minor units and above 0 for money, None for everything else."""

    action: ActionName
    amount: int | None = None
    cause: str = ""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to choose: `value` becomes the fact, `text` is what the customer reads."""

    value: str
    text: Texts


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The one thing to ask the customer; the answer becomes the value of `fact`."""

    fact: str
    kind: Literal["choice", "text"]
    prompt: Texts
    options: tuple[Option, ...] = ()


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Wait for a named thing, at most so many seconds; then decide again."""

    wait_for: str
    at_most_seconds: int


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """To people: who can do it, how soon (1 is first, 5 is last), and what the rule suggests they do."""

    skill: str
    priority: int = 3
    suggest: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of one pack.

    `rule` is the rule that decided or that stopped the reading. When it stopped, `unknown` names every fact it mentions
    that has no value, and an escalation says why in `reason`. Texts are by language code, for the customer.
    """

    outcome: Outcome
    pack: str
    pack_hash: str
    rule: str
    reason: Literal["", "fact_unknown", "rule_error"] = ""
    unknown: tuple[str, ...] = ()
    because: Texts = {}
    would_change: Texts = {}
    actions: tuple[PlannedAction, ...] = ()
    ask: Question | None = None
    wait: Wait | None = None
    escalate: Escalation | None = None


_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(verdict: Verdict) -> bytes:
    """The verdict as JSON with sorted keys: equal verdicts are equal bytes."""
    return _ENCODER.encode(verdict)
