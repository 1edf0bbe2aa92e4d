from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from service.model import Money
from service.store.pool import Pool, open_pool
from service.store.readiness import DatabaseReadiness
from tests.desk.console import installation
from tests.loops import let_pass
from tests.promises.house import until


async def test_json_goes_in_and_comes_out_as_it_was(pool: Pool) -> None:
    values: list[object] = [{"a": [1, 2.5, None, "ü"]}, [], "text", 0, None, True, 2**53]
    for value in values:
        assert await pool.fetchval("SELECT $1::jsonb", value) == value
    assert await pool.fetchval("SELECT NULL::jsonb") is None


async def test_what_is_already_encoded_is_not_encoded_again(pool: Pool) -> None:
    assert await pool.fetchval("SELECT $1::jsonb", b'{"a":1}') == {"a": 1}


async def test_structs_ids_and_times_are_encoded(pool: Pool) -> None:
    value = {"money": Money(minor=1, currency="EUR"), "id": UUID(int=1), "at": datetime(2026, 1, 2, tzinfo=UTC)}
    assert await pool.fetchval("SELECT $1::jsonb", value) == {
        "money": {"minor": 1, "currency": "EUR"},
        "id": str(UUID(int=1)),
        "at": "2026-01-02T00:00:00Z",
    }


async def test_nothing_is_sent_when_a_connection_is_given_back(database_url: str) -> None:
    async with await open_pool(database_url, size=1, application="counted") as pool:
        await pool.execute("SELECT 'the last thing that was said'")
        async with await open_pool(database_url, size=1) as other:
            said = await other.fetchval("SELECT query FROM pg_stat_activity WHERE application_name = 'counted'")
    assert said == "SELECT 'the last thing that was said'"


async def test_a_transaction_left_open_is_rolled_back_on_return(database_url: str) -> None:
    async with await open_pool(database_url, size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("BEGIN; CREATE TABLE left_open (id int)")
        assert await pool.fetchval("SELECT to_regclass('left_open')") is None


async def test_sessions_are_set_up_for_short_statements_in_utc(pool: Pool) -> None:
    assert [await pool.fetchval(f"SHOW {name}") for name in ("jit", "timezone")] == ["off", "UTC"]


async def test_a_process_starts_on_a_database_that_is_slower_than_a_probe_waits(fresh_pool: Pool, fresh_database_url: str) -> None:
    """Who sends requests goes elsewhere after two seconds; who starts has nowhere else to go."""
    waits = """SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.relation = 'schema_migration'::regclass AND NOT l.granted"""
    async with fresh_pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE schema_migration IN ACCESS EXCLUSIVE MODE")
        probe = asyncio.create_task(DatabaseReadiness(fresh_pool).missing())
        starting = asyncio.create_task(_starts(fresh_database_url))
        await until(lambda: connection.fetchval(waits), lambda count: count == 2)
        let_pass(3.0)
        assert await probe == ["the database does not answer"]
        await transaction.rollback()
    await starting


async def _starts(url: str) -> None:
    async with installation(url):
        return
