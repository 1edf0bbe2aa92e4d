"""How a case stands: in a word, and who has it while it is with people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

import msgspec


class HandoffShown(msgspec.Struct, frozen=True, kw_only=True):
    """Who has the case, for its customer while it is with people."""

    agent: str | None
    """their first name; null: nobody yet"""
    since: datetime
    desk_open: bool
    opens_at: datetime | None
    """while the desk is closed"""


class PlayerShown(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer's own player and device told: their words, checked by nobody."""

    error: str | None = None
    device: str | None = None
    system: str | None = None
    app_version: str | None = None
    network: str | None = None
    browser: str | None = None


class Standing(Protocol):
    """What tells how a case stands."""

    @property
    def outcome(self) -> str | None: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def wait_for(self) -> str | None: ...
    @property
    def ended_at(self) -> datetime | None: ...


class WithPeople(Standing, Protocol):
    @property
    def agent(self) -> str | None: ...
    @property
    def queued_at(self) -> datetime | None: ...
    @property
    def created_at(self) -> datetime: ...


# What people have put aside is with people still; whom they ask meanwhile is not the customer's to hear.
_PARKED: Final = frozenset({"customer", "hold", "referral"})
_ENDED: Final[Mapping[str, str]] = {"deny": "denied", "unanswered": "closed"}


def status(case: Standing) -> str:
    if case.ended_at is not None:
        return (
            "resolved" if case.outcome in {"approve", "already_done"} and case.owner is None else _ENDED.get(case.outcome or "", "resolved")
        )
    if with_people(case):
        return "with_people"
    if case.owner == "timer":
        return "asked" if (case.wait_for or "").startswith("answer:") else "waiting"
    return "working"


def with_people(case: Standing) -> bool:
    return case.owner in {"queue", "agent"} or (case.owner == "timer" and case.wait_for in _PARKED)


def first_name(agent: str) -> str:
    """By which customers know who writes to them."""
    return next(iter(agent.split(maxsplit=1)), "")


def handoff(case: WithPeople, opens_at: datetime | None) -> HandoffShown | None:
    """A customer hears who has it by their first name alone. `opens_at`: when the desk opens; None: people are there."""
    if case.ended_at is not None or not with_people(case):
        return None
    return HandoffShown(
        agent=first_name(case.agent or "") or None,
        since=case.queued_at or case.created_at,
        desk_open=opens_at is None,
        opens_at=opens_at,
    )
