from __future__ import annotations

import pytest

from service.store.pool import Pool
from tests.post.world import World


@pytest.fixture
async def world(still_pool: Pool, fresh_database_url: str) -> World:
    """A database of its own for each test: sweeps and claims are the whole installation's."""
    return await World.opens(still_pool, fresh_database_url)
