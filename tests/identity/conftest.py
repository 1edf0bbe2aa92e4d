"""An installation of its own for each test: codes are mailed, clocks are moved, limits are used up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from service.store.pool import Pool
from tests.identity.world import Shop, World, calling


@pytest.fixture
async def world(still_pool: Pool) -> World:
    return World(still_pool)


@pytest.fixture
async def shop(world: World) -> Shop:
    return await Shop.opens(world.pool)


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(world.app()) as client:
        yield client
