from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from service.store import migrate
from service.store.pool import Pool, open_connection


def _write(folder: Path, *files: tuple[str, str]) -> None:
    for name, sql in files:
        (folder / name).write_text(sql)


def test_the_migrations_are_numbered_without_gaps() -> None:
    assert [migration.number for migration in migrate.load()] == list(range(1, len(migrate.load()) + 1))


def test_two_files_with_one_number_are_an_error(tmp_path: Path) -> None:
    _write(tmp_path, ("0001_one.sql", ""), ("0001_uno.sql", ""))
    with pytest.raises(migrate.MigrationError, match=r"0001_uno.sql: 0001_one.sql has that number"):
        migrate.load(tmp_path)


def test_a_name_out_of_shape_is_an_error(tmp_path: Path) -> None:
    _write(tmp_path, ("1-one.sql", ""))
    with pytest.raises(migrate.MigrationError, match=r"1-one\.sql"):
        migrate.load(tmp_path)


async def test_what_is_missing_is_applied_once_and_in_order(tmp_path: Path, empty_database_url: str) -> None:
    _write(tmp_path, ("0001_one.sql", "CREATE TABLE one (id int)"))
    assert await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none") == ["0001_one.sql"]
    _write(tmp_path, ("0002_two.sql", "ALTER TABLE one ADD COLUMN two int; INSERT INTO one VALUES (1, 2)"))
    assert await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none") == ["0002_two.sql"]
    assert await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none") == []
    state = await migrate.state(empty_database_url, folder=tmp_path, functions=tmp_path / "none")
    assert (list(state.applied), list(state.pending)) == ([1, 2], [])


async def test_eight_processes_that_migrate_at_once_apply_each_file_once(tmp_path: Path, empty_database_url: str) -> None:
    _write(tmp_path, ("0001_one.sql", "CREATE TABLE one (id int)"), ("0002_two.sql", "INSERT INTO one VALUES (1)"))
    applied = await asyncio.gather(*(migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none") for _ in range(8)))
    assert sorted(name for names in applied for name in names) == ["0001_one.sql", "0002_two.sql"]


async def test_a_file_that_fails_leaves_nothing_behind(tmp_path: Path, empty_database_url: str) -> None:
    _write(tmp_path, ("0001_one.sql", "CREATE TABLE one (id int)"), ("0002_two.sql", "CREATE TABLE two (id int); SELECT 1 / 0"))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none")
    state = await migrate.state(empty_database_url, folder=tmp_path, functions=tmp_path / "none")
    assert (list(state.applied), list(state.pending)) == ([1], ["0002_two.sql"])
    connection = await open_connection(empty_database_url)
    assert await connection.fetchval("SELECT to_regclass('two')") is None
    await connection.close()


async def test_an_applied_file_that_changed_is_refused(tmp_path: Path, empty_database_url: str) -> None:
    _write(tmp_path, ("0001_one.sql", "CREATE TABLE one (id int)"))
    await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none")
    _write(tmp_path, ("0001_one.sql", "CREATE TABLE one (id bigint)"))
    with pytest.raises(migrate.MigrationError, match="has changed since"):
        await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none")


async def test_a_database_that_is_ahead_of_this_release_is_left_alone(tmp_path: Path, empty_database_url: str) -> None:
    _write(tmp_path, ("0001_one.sql", "CREATE TABLE one (id int)"), ("0002_two.sql", "SELECT 1"))
    await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none")
    (tmp_path / "0002_two.sql").unlink()
    assert await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none") == []


async def test_a_file_that_makes_the_same_in_other_words_is_not_applied_again(tmp_path: Path, empty_database_url: str) -> None:
    _write(tmp_path, ("0001_one.sql", "CREATE TABLE one (id int)"))
    before = migrate.load(tmp_path)[0].sha256
    await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none")
    _write(tmp_path, ("0001_one.sql", f"-- also applied as {before}\nCREATE TABLE one (id integer)"))
    assert await migrate.migrate(empty_database_url, folder=tmp_path, functions=tmp_path / "none") == []


async def test_functions_are_replaced_when_their_text_differs_and_never_by_an_older_release(
    tmp_path: Path, empty_database_url: str
) -> None:
    tables, functions = tmp_path / "tables", tmp_path / "functions"
    tables.mkdir()
    functions.mkdir()
    _write(tables, ("0001_one.sql", "CREATE TABLE one (id int)"))
    _write(functions, ("a.sql", "CREATE OR REPLACE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT b()';"))
    _write(functions, ("b.sql", "CREATE OR REPLACE FUNCTION b() RETURNS int LANGUAGE sql AS 'SELECT 1';"))
    connection = await open_connection(empty_database_url)

    assert await migrate.migrate(empty_database_url, folder=tables, functions=functions) == ["0001_one.sql", "functions"]
    assert await migrate.migrate(empty_database_url, folder=tables, functions=functions) == []
    assert await connection.fetchval("SELECT a()") == 1
    _write(functions, ("b.sql", "CREATE OR REPLACE FUNCTION b() RETURNS int LANGUAGE sql AS 'SELECT 2';"))
    assert list((await migrate.state(empty_database_url, folder=tables, functions=functions)).pending) == ["functions"]
    assert await migrate.migrate(empty_database_url, folder=tables, functions=functions) == ["functions"]
    assert await connection.fetchval("SELECT a()") == 2
    await connection.execute("INSERT INTO schema_migration (number, name, sha256) VALUES (2, 'newer', '')")
    _write(functions, ("b.sql", "CREATE OR REPLACE FUNCTION b() RETURNS int LANGUAGE sql AS 'SELECT 1';"))
    assert await migrate.migrate(empty_database_url, folder=tables, functions=functions) == []
    assert await connection.fetchval("SELECT a()") == 2
    await connection.close()


async def test_every_database_of_the_tests_is_migrated(pool: Pool) -> None:
    state = await pool.fetch("SELECT number FROM schema_migration")
    assert len(state) == len(migrate.load())
    assert await pool.fetchval("SELECT to_regclass('pgqueuer') IS NOT NULL")
