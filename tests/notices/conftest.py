from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.store.pool import Pool
from tests.notices.world import Process
from tests.post.world import World


@pytest.fixture
async def world(fresh_pool: Pool, fresh_database_url: str) -> World:
    """A database of its own for each test: the sweep and the clock are the whole installation's."""
    world = await World.opens(fresh_pool, fresh_database_url)
    await world.show("nll26")
    return world


@pytest.fixture
async def process(world: World) -> AsyncIterator[Process]:
    one = Process(world)
    yield one
    await one.close()
