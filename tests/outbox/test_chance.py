"""Receivers that fail as chance has it, workers that die: every event arrives, and those of an order arrive in their order."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import pytest

from service.outbox import LEASE_SECONDS
from service.ports import HookAnswer, OutcomeUnknown, Unavailable
from tests.outbox.conftest import Post, Town

URLS: Final = tuple(f"https://{name}.example/" for name in ("shop", "gate", "player"))
_ROUNDS_MAX: Final = 300


class Moody:
    """Takes an event, or fails in one of the ways there are; the more often it has failed, the rarer."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.taken: list[Post] = []

    async def __call__(self, post: Post) -> int | HookAnswer:
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)
        mood = self._chance.random()
        if mood < 0.10:
            return 500
        if mood < 0.13:
            raise OutcomeUnknown("no answer in time")
        if mood < 0.15:
            raise Unavailable("nobody takes the connection", never_sent=True)
        if mood < 0.17:
            return HookAnswer(status=429, retry_after_seconds=30)
        self.taken.append(post)
        if mood < 0.20:  # it has it, and nobody hears of that
            raise OutcomeUnknown("no answer in time")
        return 204


@pytest.mark.parametrize("seed", range(4))
async def test_every_event_arrives_and_each_orders_in_their_order(town: Town, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a game of dice
    moody = {url: Moody(chance) for url in URLS}
    town.receivers.answers.update(moody)
    endpoints = [(await town.endpoint(url))[0] for url in URLS]
    orders = [await town.order() for _ in range(9)]
    processes = [town.process() for _ in range(2)]
    numbers = {order: list[int]() for order in orders}
    told = 0
    for _ in range(_ROUNDS_MAX):
        for _ in range(chance.randrange(12) if told < 150 else 0):
            numbers[order := chance.choice(orders)].append(told)
            await town.tell(order, told)
            told += 1
        await asyncio.gather(*(one.once() for one in processes))
        if chance.random() < 0.1:  # one is killed in the middle of it
            for task in tuple(processes[0].rounds):
                task.cancel()
        await asyncio.gather(*(one.finish() for one in processes))
        if told >= 150 and all(len({post.number for post in one.taken}) == told for one in moody.values()):
            break
        await town.pass_seconds(chance.choice((1.0, 5.0, LEASE_SECONDS, 600.0)))
    for one in moody.values():
        assert {post.number for post in one.taken} == set(range(told))
        for expected in numbers.values():
            first = list(dict.fromkeys(post.number for post in one.taken if post.number in expected))
            assert first == expected
        ids = {post.number: post.headers["webhook-id"] for post in one.taken}
        assert all(ids[post.number] == post.headers["webhook-id"] for post in one.taken)
    assert [(await town.row(one))["state"] for one in endpoints] == ["active"] * 3
