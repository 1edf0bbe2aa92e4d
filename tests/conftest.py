"""What every test may ask for: a database of its own kind, a pool on it, hypothesis without luck in CI."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import hypothesis
import pytest

from service.store import embedded
from service.store.pool import Pool, open_pool
from tests import copies, postgres

# A loaded machine is slow, not wrong: no deadlines. CI draws the same examples each time, so that red means changed.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_finish() -> None:
    """What all modules brought with them stays: walking it again and again is a fifth of what it costs to start an application."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The maintenance database of the run's server."""
    postgres.sweep()
    server = embedded.start(postgres.folder_of_run())
    yield server.dsn
    postgres.finish(server)


@pytest.fixture(scope="session")
async def template_database(postgres_dsn: str) -> str:
    return await postgres.migrated_template(postgres_dsn)


@pytest.fixture(scope="session")
async def sandbox_template(postgres_dsn: str) -> str:
    return await postgres.sandbox_template(postgres_dsn)


@pytest.fixture(scope="session")
async def database_url(postgres_dsn: str, template_database: str) -> str:
    """One migrated database for all tests of this worker; each test makes its own platform in it."""
    return await embedded.create_database(postgres_dsn, f"worker_{uuid4().hex[:12]}", template=template_database)


@pytest.fixture
async def fresh_database_url(postgres_dsn: str, template_database: str) -> AsyncIterator[str]:
    """A migrated database for this test alone, for tests that count everything or stop a server."""
    async with copies.copy_of(template_database, postgres_dsn) as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres_dsn: str) -> AsyncIterator[str]:
    """A database without tables, for tests of migrations and for the sandbox's own ledger."""
    name = f"empty_{uuid4().hex[:12]}"
    yield await embedded.create_database(postgres_dsn, name)
    await embedded.drop_database(postgres_dsn, name)


@pytest.fixture(scope="session")
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool on this worker's database."""
    async with await open_pool(database_url, size=20) as opened:
        yield opened


@pytest.fixture
async def fresh_pool(fresh_database_url: str) -> AsyncIterator[Pool]:
    """A pool on this test's own database."""
    async with await open_pool(fresh_database_url, size=20) as opened:
        yield opened


@pytest.fixture
async def still_pool(fresh_pool: Pool) -> Pool:
    """The same, and time stands still but for what the test lets pass: how busy the machine is decides nothing."""
    await fresh_pool.execute("UPDATE app_clock SET stopped_at = clock_timestamp()")
    return fresh_pool
