"""Asks for every problem of every order over HTTP, as the platform's own desk would, many at once."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final

from service.model import Problem
from tests.bench.client import Answer, Ask, connections, each
from tests.patience import PATIENCE_SECONDS
from tests.sweep.checks import Violation
from tests.sweep.installation import Installation, Order

CLIENTS: Final = 32
# Two of one order's problems are always under way together, so that its rows are fought for.
_LANES_OF_ORDER: Final = 2
# The claim loop looks every second and a lease ends after fifteen, on a machine that gets to it; what is unfinished long after is stuck.
_SETTLE_SECONDS_MAX: Final = 2 * PATIENCE_SECONDS


def questions(orders: Sequence[Order], seed: int, token: str) -> list[Ask]:
    """Each order's problems in an order drawn from the seed; neighbours in the list are often of one order."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    waiting = [deque(draw.sample(list(Problem), len(Problem))) for _ in orders]
    found: list[Ask] = []
    alive = list(range(len(orders)))
    window = max(1, CLIENTS // _LANES_OF_ORDER)
    while alive:
        index = draw.choice(alive[:window])
        order = orders[index]
        found += [_ask(order, waiting[index].popleft(), token) for _ in range(min(_LANES_OF_ORDER, len(waiting[index])))]
        if not waiting[index]:
            alive.remove(index)
    return found


def _ask(order: Order, problem: Problem, token: str) -> Ask:
    body = {"problem": problem, "order": order.ref, "channel": "api", **({"show": order.show} if order.show else {})}
    return Ask(
        path="/v1/cases",
        token=token,
        key=f"sweep-{order.ref}-{problem}",
        headers={"Prefer": "wait=25"},
        body=body,
        tag=(order.ref, str(problem)),
    )


async def ask_all(at: Installation, asks: Sequence[Ask]) -> list[Violation]:
    """What was not answered as it should be."""
    found: list[Violation] = []

    def heard(ask: Ask, answer: Answer | Exception) -> None:
        order, problem = ask.tag
        if isinstance(answer, Exception):
            found.append(Violation(order=order, text=f"{problem}: {answer!r}"))
        elif answer.status not in {201, 202}:
            found.append(Violation(order=order, text=f"{problem}: {answer.status} {answer.body[:300].decode(errors='replace')}"))

    async with connections(at.port, CLIENTS) as opened:
        await each(opened, asks, heard)
    await _settled(at)
    return found


async def _settled(at: Installation) -> None:
    """Waits until nothing is under way any more, or for so long that what is left must be stuck."""
    give_up = monotonic() + _SETTLE_SECONDS_MAX
    while monotonic() < give_up:
        if not await at.pool.fetchval("SELECT EXISTS (SELECT FROM cases WHERE owner IN ('process', 'operation'))"):
            return
        await asyncio.sleep(0.2)
