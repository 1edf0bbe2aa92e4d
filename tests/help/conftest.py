"""A whole installation for the tests of the widget's help: one process, a platform, a shop, a mailbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.promises.house import House, databases, open_house, serve_here, settings_for


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(postgres_dsn: str, template_database: str) -> AsyncIterator[House]:
    """An installation of one process, for all tests of a file; each makes shows and orders of its own."""
    async with (
        databases(postgres_dsn, template_database) as (ours, theirs),
        open_house(settings_for(ours, theirs)) as opened,
        serve_here(opened),
    ):
        yield opened


@pytest.fixture
def ref() -> str:
    """A reference that nobody else uses."""
    return f"s{uuid4().hex[:10]}"
