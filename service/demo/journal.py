"""What a play says as it goes: who asked, what was decided by which rule, what was done, in how many ms; for whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from service.letters.words import choose_locale, money
from service.model import Money

Kind = Literal["asked", "decided", "done", "people", "mail", "text", "platform", "seen"]

_ENGLISH: Final = choose_locale("en", "en")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `seen` is what was compared afterwards, and held."""

    kind: Kind
    who: str
    words: str
    ms: float | None = None


class Journal:
    """Passes lines on to a listener, and keeps how long customers waited for answers."""

    def __init__(self, listener: Callable[[Line], None] = lambda _: None) -> None:
        self._listener = listener
        self.waited_ms: list[float] = []

    def say(self, kind: Kind, who: str, words: str, ms: float | None = None) -> None:
        self._listener(Line(kind=kind, who=who, words=words, ms=ms))

    def asked(self, who: str, words: str) -> None:
        self.say("asked", who, words)

    def answered(self, ms: float) -> None:
        """A customer has had the outcome on the screen after this time."""
        self.waited_ms.append(ms)

    def stands(self, case: Mapping[str, Any], ms: float | None = None) -> None:
        """The case as the platform reads it: the rules that spoke, and what was done."""
        for one in case["answers"]:
            self.say("decided", f"rule {one['rule']}", f"{_OUTCOMES.get(one['outcome'], one['outcome'])}: {one['because']}", ms)
            ms = None
            if case["status"] == "denied" and one["would_change"]:
                self.say("decided", "", f"what would change it: {one['would_change']}")
        if case["question"] is not None:
            self.say("decided", "asks", case["question"]["prompt"], ms)
        if case["status"] == "with_people":
            self.say("decided", "to people", f"skill {case['desk']['skill']}")
        for one in case["operations"]:
            self.say("done", "sandbox" if one["amount"] is not None else "", operation_words(one))


def operation_words(one: Mapping[str, Any]) -> str:
    """What an operation did, for a reader: `sent` is said of money that was accepted, never more."""
    how = _STATUSES[one["status"]]
    if one["amount"] is None:
        return f"{_ACTIONS.get(one['action'], one['action'])}: {how}"
    amount = money(Money(minor=one["amount"], currency=one["currency"]), _ENGLISH)
    return f"{amount} back to {one['to'] or 'where it came from'}: {how}" + (f" ({_held(one)})" if one["holds"] else "")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all values does not exceed (nearest rank); 0 without values."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


def _held(one: Mapping[str, Any]) -> str:
    reasons = ", ".join(_HOLDS.get(hold, hold) for hold in one["holds"])
    return f"{reasons}, {one['approvals_needed']} people have to agree"


_OUTCOMES: Final[Mapping[str, str]] = {
    "approve": "yes",
    "deny": "no",
    "ask": "one question",
    "wait": "waits",
    "escalate": "a person looks at it",
}
_ACTIONS: Final[Mapping[str, str]] = {
    "reissue_access": "a new link to the stream, the old one is dead",
    "resend_pass": "the ticket, once more by mail",
    "replace_pass": "a new ticket, the old one is dead",
    "void_pass": "the ticket is dead",
}
_STATUSES: Final[Mapping[str, str]] = {
    "working": "on its way",
    "sent": "sent",
    "done": "done",
    "held": "held",
    "choose": "the customer says where it should go",
    "could_not": "could not be done",
}
_HOLDS: Final[Mapping[str, str]] = {
    "amount": "above the amount that goes by itself",
    "mode": "the show asks for a person first",
    "failover": "the first processor may come back",
    "payout": "a large pay-out",
}
