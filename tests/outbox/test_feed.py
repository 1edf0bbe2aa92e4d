"""The feed skips nothing, whoever commits when; and what is old is forgotten when nobody waits for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import pytest

from service.store.endpoints import KEPT_DAYS
from service.store.outbox import OutboxStore
from service.store.pool import Connection
from tests.outbox.conftest import Post, Town

SHOP: Final = "https://shop.example/hooks"
_TELL: Final = (
    "SELECT tell($1, $2, NULL, 'order.changed', jsonb_build_object('what', 'test', 'about', jsonb_build_object('n', $3::int)), app_now())"
)


class Writers:
    """They hold the row of their order, as every writer of ours does, and commit or roll back whenever chance has it."""

    def __init__(self, town: Town, orders: Sequence[UUID], chance: random.Random) -> None:
        self._town = town
        self._chance = chance
        self._left = iter(range(60))
        self.written: dict[UUID, list[int]] = {order: [] for order in orders}
        self.done = asyncio.Event()

    async def write(self) -> None:
        await asyncio.gather(*(self._writer() for _ in range(6)))
        self.done.set()

    async def _writer(self) -> None:
        for n in self._left:
            async with self._town.pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                if await self._fact(connection, n):
                    await transaction.commit()
                else:
                    await transaction.rollback()

    async def _fact(self, connection: Connection, n: int) -> bool:
        chance, order = self._chance, self._chance.choice(list(self.written))
        if chance.random() < 0.5:  # a transaction's number may be drawn long before its fact is written
            await connection.execute("SELECT pg_current_xact_id()")
        await connection.execute("SELECT 1 FROM orders WHERE platform_id = $1 AND id = $2 FOR NO KEY UPDATE", self._town.platform, order)
        await connection.execute(_TELL, self._town.platform, order, n)
        for _ in range(chance.randrange(6)):
            await connection.execute("SELECT 1")
        if chance.random() < 0.2:
            return False
        self.written[order].append(n)  # under the row's lock: in the order of the facts
        return True


@pytest.mark.parametrize("seed", range(6))
async def test_whoever_reads_on_from_the_last_position_misses_nothing_though_transactions_commit_late(town: Town, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a game of dice
    places, writers = OutboxStore(town.pool), Writers(town, [await town.order() for _ in range(4)], chance)
    read: list[int] = []

    async def reader() -> None:
        after, is_last = 0, False
        while not is_last:
            is_last = writers.done.is_set() and not await town.pool.fetchval("SELECT count(*) FROM outbox WHERE position IS NULL")
            await places.place(chance.randrange(1, 8))
            page = await places.page(town.platform, after=after, most=60 if is_last else chance.randrange(1, 8))
            assert [row.position for row in page] == list(range(after + 1, after + 1 + len(page)))
            read.extend(row.data["about"]["n"] for row in page)
            after += len(page)

    await asyncio.gather(writers.write(), reader(), _placing(places, writers.done))
    assert sorted(read) == sorted(n for numbers in writers.written.values() for n in numbers)
    for numbers in writers.written.values():
        assert [n for n in read if n in numbers] == numbers


async def _placing(places: OutboxStore, done: asyncio.Event) -> None:
    """A second process that gives places too."""
    while not done.is_set():
        await places.place(5)


async def test_a_fact_that_is_committed_late_comes_after_those_that_were_read(town: Town) -> None:
    places = OutboxStore(town.pool)
    one, other = await town.order(), await town.order()
    async with town.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(_TELL, town.platform, one, 1)
        await town.tell(other, 2)
        assert await places.place(10) == 1
        await transaction.commit()
    assert await places.place(10) == 1
    assert [row.data["about"]["n"] for row in await places.page(town.platform, after=0, most=10)] == [2, 1]


# ------------------------------------------------------------------------------------------------------- forgetting


async def _kept(town: Town) -> list[int]:
    return [row.position for row in await OutboxStore(town.pool).page(town.platform, after=0, most=100)]


async def _told(town: Town, *numbers: int) -> None:
    for n in numbers:
        await town.tell(await town.order(), n)
    await OutboxStore(town.pool).place(1000)


async def _age(town: Town, days: float) -> None:
    await town.pass_seconds(days * 86_400)


async def test_what_is_older_than_ninety_days_is_forgotten_and_the_feed_says_from_where_it_goes_on(town: Town) -> None:
    await _told(town, 1, 2)
    await _age(town, KEPT_DAYS - 1)
    await _told(town, 3)
    await town.endpoints.forget_old()
    assert await _kept(town) == [1, 2, 3]
    await _age(town, 2)
    await town.endpoints.forget_old()
    assert await _kept(town) == [3]
    head = await OutboxStore(town.pool).head(town.platform)
    assert (head.position, head.forgotten) == (3, 2)
    await _told(town, 4)
    assert await _kept(town) == [3, 4]


async def test_nothing_is_forgotten_that_an_active_endpoint_still_waits_for(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)

    async def some(post: Post) -> int:
        return 500 if post.number == 2 else 200

    town.receivers.answers[SHOP] = some
    await _told(town, 1, 2, 3)
    await _age(town, KEPT_DAYS + 1)
    await town.endpoints.forget_old()
    assert await _kept(town) == [1, 2, 3]  # nothing was sent yet
    await town.until_still()
    await town.endpoints.forget_old()
    assert await _kept(town) == [2, 3]  # one is tried again
    await town.endpoints.change(town.caller, endpoint, {"state": "paused"}, "for good, it seems")
    await town.endpoints.forget_old()
    assert await _kept(town) == []
    assert await town.waiting(endpoint) == []


async def test_tries_are_forgotten_after_a_week(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    await town.endpoints.test(town.caller, endpoint)
    await _age(town, 6.9)
    await town.endpoints.forget_old()
    assert len(await town.store.tries(town.platform, endpoint)) == 1
    await _age(town, 0.2)
    await town.endpoints.forget_old()
    assert await town.store.tries(town.platform, endpoint) == []
