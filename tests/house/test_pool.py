from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from service.model import Money
from service.store.pool import Pool, open_pool


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
