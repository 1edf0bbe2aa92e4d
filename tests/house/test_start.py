"""A process starts beside a database that has much to do, which `/readyz` would say is not ready."""

from __future__ import annotations

import asyncio

import pytest

from service.store import readiness
from service.store.pool import Pool
from service.store.readiness import DatabaseReadiness
from tests.desk.console import installation
from tests.loops import let_pass

_WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'schema_migration'::regclass)"
# Longer than a load balancer waits, and no longer than a statement may take.
_SLOW_SECONDS = 5.0


async def test_a_slow_database_is_waited_for_at_the_start_and_not_for_a_load_balancer(
    fresh_pool: Pool, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "READY_SECONDS_MAX", _SLOW_SECONDS / 2)
    async with fresh_pool.acquire() as busy, busy.transaction():
        await busy.execute("LOCK TABLE schema_migration")
        started = asyncio.create_task(starts(fresh_database_url))
        while not (await fresh_pool.fetchval(_WAITING) or started.done()):
            await asyncio.sleep(0.01)
        asked = asyncio.create_task(DatabaseReadiness(fresh_pool).missing())
        await asyncio.sleep(0)
        let_pass(_SLOW_SECONDS)
        assert await asked == ["the database does not answer"]
    await started


async def starts(database_url: str) -> None:
    async with installation(database_url):
        return
