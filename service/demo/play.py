"""One play of all scenarios, and what came of it in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

from service.demo.journal import Journal, percentile
from service.demo.night import Night
from service.demo.scenarios import Scenario, perform
from service.demo.stage import open_stage


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How many scenarios ended how (each once), and how long customers waited for an answer."""

    scenarios: int
    resolved: int
    handed_over: int
    denied: int
    waiting: int
    failed: int
    p50_ms: float
    p99_ms: float


class Watcher(Protocol):
    def begins(self, number: int, scenario: Scenario) -> None: ...

    def ended(self, scenario: Scenario) -> None: ...

    def failed(self, scenario: Scenario, why: str) -> None: ...


async def play(night: Night, scenarios: Sequence[Scenario], journal: Journal, watcher: Watcher) -> Summary:
    """Plays each with orders of its own. One that fails stops no other: it is told to the watcher, with why."""
    ends: Counter[str] = Counter()
    async with open_stage(night, journal) as stage:
        for number, scenario in enumerate(scenarios, 1):
            watcher.begins(number, scenario)
            try:
                ends[await perform(stage, scenario)] += 1
            except Exception as error:  # noqa: BLE001 - whatever it was, the play goes on and says so at its end
                ends["failed"] += 1
                watcher.failed(scenario, f"{type(error).__name__}: {error}")
            else:
                watcher.ended(scenario)
    return Summary(
        scenarios=len(scenarios),
        resolved=ends["resolved"],
        handed_over=ends["handed_over"],
        denied=ends["denied"],
        waiting=ends["waiting"],
        failed=ends["failed"],
        p50_ms=round(percentile(journal.waited_ms, 0.5), 1),
        p99_ms=round(percentile(journal.waited_ms, 0.99), 1),
    )
