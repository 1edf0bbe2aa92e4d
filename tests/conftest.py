"""What every test may ask for: a database of its own kind, a pool on it, hypothesis without luck in CI."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import hypothesis
import pytest

from service.store import embedded, jobs, migrate, readiness
from service.store import pool as pools
from service.store.pool import Pool, open_pool
from tests import copies, loops, postgres
from tests.patience import PATIENCE_SECONDS

# A loaded machine is slow, not wrong: no deadlines, also for drawing. CI draws the same examples each time, so that red means changed.
_SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("local", deadline=None, suppress_health_check=_SLOW)
hypothesis.settings.register_profile("ci", deadline=None, suppress_health_check=_SLOW, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_finish() -> None:
    """What all modules brought with them stays: walking it again and again is a fifth of what it costs to start an application."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _a_database_that_is_slow_is_not_away() -> Iterator[None]:
    """How soon an installation gives a database up is for its customers; the one of the tests is there, and kept from its processor."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (pools, jobs, migrate, embedded, readiness):
            for name in {"CONNECT_SECONDS_MAX", "COMMAND_SECONDS_MAX", "READY_SECONDS_MAX"} & vars(module).keys():
                patch.setattr(module, name, PATIENCE_SECONDS)
        patch.setitem(vars(pools)["_SESSION"], "idle_in_transaction_session_timeout", f"{PATIENCE_SECONDS:.0f}s")
        yield


@pytest.fixture(scope="session", autouse=True)
async def _a_process_that_stands_still_is_not_late() -> None:
    loops.stand_still_with(asyncio.get_running_loop())


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
