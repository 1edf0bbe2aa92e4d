"""One sweep from end to end, on databases that it is given."""

from __future__ import annotations

import random
from time import perf_counter
from typing import Final

import msgspec

from service.model import Problem
from service.settings import Settings
from tests.sweep.asking import ask_all, questions
from tests.sweep.checks import ENDS, Seen, Violation, look
from tests.sweep.installation import installed

SEED: Final = 420


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    orders: int
    cases: int
    seconds: float
    """of asking, until the last case was settled"""
    seen: Seen
    violations: tuple[Violation, ...]

    def total(self, end: str) -> int:
        return sum(count for (_, one), count in self.seen.ends.items() if one == end)


async def sweep(settings: Settings, *, sample: int | None, seed: int = SEED) -> Swept:
    """All orders, or as many as asked for, drawn from the seed, against every problem."""
    async with installed(settings) as at:
        drawn = random.Random(seed)  # noqa: S311 - repeatable, not secret
        orders = at.orders if sample is None else tuple(drawn.sample(at.orders, min(sample, len(at.orders))))
        asks = questions(orders, seed, at.token)
        started = perf_counter()
        unanswered = await ask_all(at, asks)
        seconds = perf_counter() - started
        seen = await look(at)
        violations = [*unanswered, *seen.violations]
        if sum(seen.ends.values()) != len(asks):
            violations.append(Violation(order="", text=f"{len(asks)} were asked, {sum(seen.ends.values())} cases are there"))
        return Swept(orders=len(orders), cases=len(asks), seconds=seconds, seen=seen, violations=tuple(violations))


def table(swept: Swept) -> str:
    """Counts by problem and end."""
    head = f"{'problem':<26}" + "".join(f"{end:>13}" for end in ENDS)
    rows = [f"{problem:<26}" + "".join(f"{swept.seen.ends.get((problem, end), 0):>13}" for end in ENDS) for problem in Problem]
    total = f"{'all':<26}" + "".join(f"{swept.total(end):>13}" for end in ENDS)
    return "\n".join([head, *rows, total])


def last_line(swept: Swept) -> str:
    counts = {end: swept.total(end) for end in ENDS}
    return msgspec.json.encode(
        {
            "orders": swept.orders,
            "cases": swept.cases,
            **counts,
            "refunds": swept.seen.refunds,
            "refunded": swept.seen.refunded,
            "violations": len(swept.violations),
            "seconds": round(swept.seconds, 1),
        }
    ).decode()
