"""A running application over real HTTP, one for each file of scenarios, with databases of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from service.demo.night import Night, night_settings, open_night
from tests.ports import free_port
from tests.promises.house import databases


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(postgres_dsn: str, template_database: str) -> AsyncIterator[Night]:
    """The platform `demo` with its shop, its desk and its mailbox, and the sandbox's own books: nothing is in them yet."""
    port = free_port()
    async with (
        databases(postgres_dsn, template_database) as (database, sandbox),
        open_night(night_settings(database_url=database, sandbox_database_url=sandbox, port=port)) as opened,
    ):
        yield opened
