"""A database that a test is given is as its template, whoever had it before: the same rows, sequences, clock and functions."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from service.store import embedded
from tests import copies

_FILLS = """
    INSERT INTO platform (id, slug) VALUES (gen_random_uuid(), 'p');
    INSERT INTO agent (platform_id, id, name, role) SELECT id, gen_random_uuid(), 'A', 'lead' FROM platform;
    UPDATE app_clock SET ahead = interval '3 days';
    SELECT nextval('outbox_id_seq');
    DELETE FROM schema_migration WHERE number = 3;
"""
_GROWS = "INSERT INTO policy_text (hash, name, body) SELECT n::text, 'n', repeat('x', 1500) FROM generate_series(1, 3000) n"


@pytest.mark.parametrize("does", ["SELECT 1", _FILLS], ids=["nothing", "rows, sequences, clock and seeds"])
async def test_what_a_test_wrote_is_gone_from_its_database_afterwards(fresh_database_url: str, does: str) -> None:
    connection = await asyncpg.connect(fresh_database_url)
    new = await copies.as_it_is(connection)
    await connection.execute(does)
    assert (await copies.as_it_is(connection) == new) is (does != _FILLS)
    await connection.close()
    assert await copies.is_emptied(fresh_database_url, new)
    connection = await asyncpg.connect(fresh_database_url)
    assert await copies.as_it_is(connection) == new
    await connection.close()


@pytest.mark.parametrize(
    "does",
    [
        "CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'",
        "DROP INDEX operation_due",
        "ALTER TABLE operation ALTER COLUMN state SET DEFAULT 'DONE'",
        "ALTER TABLE agent DISABLE TRIGGER ALL",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END $$",
        _GROWS,
    ],
    ids=["a function", "an index", "a column", "a trigger", "a setting", "it has grown"],
)
async def test_a_database_that_a_test_altered_is_given_to_nobody(fresh_database_url: str, does: str) -> None:
    connection = await asyncpg.connect(fresh_database_url)
    new = await copies.as_it_is(connection)
    await connection.execute(does)
    await connection.close()
    assert not await copies.is_emptied(fresh_database_url, new)


async def test_a_database_to_which_somebody_is_still_connected_is_given_to_nobody(fresh_database_url: str) -> None:
    forgotten = await asyncpg.connect(fresh_database_url)
    assert not await copies.is_emptied(fresh_database_url, await copies.as_it_is(forgotten))
    await forgotten.close()


async def test_what_is_given_back_is_given_again_and_never_to_two(template_database: str, postgres_dsn: str) -> None:
    template = f"given_{uuid4().hex[:12]}"  # whose copies no other worker takes meanwhile
    url = await embedded.create_database(postgres_dsn, template, template=template_database)
    await copies.describe(url)
    async with copies.copy_of(template, postgres_dsn) as one, copies.copy_of(template, postgres_dsn) as other:
        assert one != other
        given = {await number_of(one), await number_of(other)}
    async with copies.copy_of(template, postgres_dsn) as one, copies.copy_of(template, postgres_dsn) as other:
        assert {await number_of(one), await number_of(other)} == given
    connection = await asyncpg.connect(postgres_dsn)
    for row in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", f"{template}%"):
        await embedded.drop_database(postgres_dsn, row["datname"])
    await connection.close()


async def number_of(url: str) -> int:
    """Which database it is, whatever it is called now."""
    connection = await asyncpg.connect(url)
    number: int = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    await connection.close()
    return number
