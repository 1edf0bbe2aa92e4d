from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from service.store.pool import Pool, open_pool
from tests import copies
from tests.guards.ground import Ground


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(postgres_dsn: str, template_database: str) -> AsyncIterator[Pool]:
    """A database for a file of promises; its clock only goes on, and each promise has a platform of its own."""
    async with copies.copy_of(template_database, postgres_dsn) as url, await open_pool(url, size=6) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="session")
async def ground(guarded: Pool) -> Ground:
    return await Ground.opens(guarded)
