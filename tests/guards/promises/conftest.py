from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest_asyncio

from service.store import embedded
from service.store.pool import Pool, open_pool
from tests.guards.ground import Ground


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(postgres_dsn: str, template_database: str) -> AsyncIterator[Pool]:
    """A database for a file of promises; its clock only goes on, and each promise has a platform of its own."""
    name = f"guards_{uuid4().hex[:12]}"
    async with await open_pool(await embedded.create_database(postgres_dsn, name, template=template_database), size=6) as pool:
        yield pool
    await embedded.drop_database(postgres_dsn, name)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(guarded: Pool) -> Ground:
    return await Ground.opens(guarded)
