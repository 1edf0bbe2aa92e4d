"""Brings a database to this release: numbered .sql files for the tables, each applied once in a transaction of its own; the functions, replaced
whole whenever their text differs; PgQueuer's tables.

A flow unit is one function, so that BEGIN and COMMIT do not travel; a function holds no data, so its file is simply edited.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.queries import Queries

from service.store.pool import CONNECT_SECONDS_MAX, Pool

MIGRATIONS: Final = Path(__file__).parent / "migrations"
FUNCTIONS: Final = Path(__file__).parent / "functions"
_FUNCTIONS_NAME: Final = "functions"

# 15 is the first with UNIQUE NULLS NOT DISTINCT, on which "one payment per harm" stands.
POSTGRESQL_VERSION_MIN: Final = 15

# Any fixed number, the same in every release: it keeps two migrating processes apart.
_LOCK_KEY: Final = 0x6D616B65676F6F64

# How long to wait for another process that is migrating the same database.
_LOCK_SECONDS_MAX: Final = 120

# A migration that waits for a table makes everybody behind it wait too: better to give up and be run again.
_TABLE_LOCK_SECONDS_MAX: Final = 5

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number int PRIMARY KEY CHECK (number > 0),
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS schema_functions (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), sha256 text NOT NULL)
"""

# A file that was rewritten without changing what it makes names the hashes of what it was.
_ALSO_APPLIED: Final = re.compile(r"^-- also applied as ([0-9a-f]{64})\b", re.MULTILINE)


class MigrationError(Exception):
    """The database cannot be brought to this release; the message says why and what to do."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file: `0001_orders.sql`."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def is_applied_as(self, sha256: str) -> bool:
        """Whether that hash is of these words, or of others that made the same."""
        return sha256 == self.sha256 or sha256 in _ALSO_APPLIED.findall(self.sql)


class Functions(msgspec.Struct, frozen=True, kw_only=True):
    """All functions of this release, as one text."""

    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class SchemaState(msgspec.Struct, frozen=True, kw_only=True):
    """What a database has and lacks, seen from this release."""

    server_version: str
    applied: Sequence[int]
    pending: Sequence[str]


def load(folder: Path = MIGRATIONS) -> Sequence[Migration]:
    """The files of the folder in order. Raises MigrationError for a name out of shape or two files with one number."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        shape = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if shape is None:
            raise MigrationError(f"{path.name}: a migration is called 0001_some_words.sql")
        migration = Migration(number=int(shape[1]), name=path.name, sql=path.read_text(encoding="utf-8"))
        if found and found[-1].number == migration.number:
            raise MigrationError(f"{migration.name}: {found[-1].name} has that number")
        found.append(migration)
    return found


def load_functions(folder: Path = FUNCTIONS) -> Functions:
    """Every .sql file of the folder, by name; nothing where there is no such folder."""
    return Functions(sql="\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))))


async def migrate(dsn: str, *, folder: Path = MIGRATIONS, functions: Path = FUNCTIONS) -> Sequence[str]:
    """Applies what is missing and returns the names, in order; nothing to do is an empty list. Any number of processes may call it at once.

    The functions of a database that a newer release has migrated are left alone.

    Raises MigrationError for a server that is too old and for an applied file that has changed since, asyncpg.PostgresError for a
    statement that fails (its file is then not applied, those before it are).
    """
    migrations = load(folder)
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX, server_settings={"application_name": "makegood migrate"})
    try:
        _check_version(connection)
        # The lock belongs to the session: closing the connection gives it back, whatever happens.
        await connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS_MAX}s'")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        await connection.execute(f"SET lock_timeout = '{_TABLE_LOCK_SECONDS_MAX}s'")
        await connection.execute(_LEDGER)
        applied = await _applied(connection)
        missing = _missing(migrations, applied)
        for migration in missing:
            await _apply(connection, migration)
        names = [migration.name for migration in missing]
        if not _is_ahead(migrations, applied) and await _replace_functions(connection, load_functions(functions)):
            names.append(_FUNCTIONS_NAME)
        await _converge_pgqueuer(connection)
    finally:
        await connection.close()
    return names


async def state(dsn: str, *, folder: Path = MIGRATIONS, functions: Path = FUNCTIONS) -> SchemaState:
    """Reads, and changes nothing. Raises MigrationError as `migrate` does."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX)
    try:
        _check_version(connection)
        there = await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")
        applied = await _applied(connection) if there else {}
        migrations = load(folder)
        pending = [migration.name for migration in _missing(migrations, applied)]
        wanted = load_functions(functions)
        if wanted.sql and not _is_ahead(migrations, applied) and await functions_sha256(connection) != wanted.sha256:
            pending.append(_FUNCTIONS_NAME)
        return SchemaState(server_version=await connection.fetchval("SHOW server_version"), applied=sorted(applied), pending=pending)
    finally:
        await connection.close()


def _check_version(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    major = connection.get_server_version().major
    if major < POSTGRESQL_VERSION_MIN:
        raise MigrationError(f"this is PostgreSQL {major}; {POSTGRESQL_VERSION_MIN} or newer is needed")


async def _applied(connection: asyncpg.Connection[asyncpg.Record]) -> dict[int, str]:
    rows = await connection.fetch("SELECT number, sha256 FROM schema_migration ORDER BY number")
    return {row["number"]: row["sha256"] for row in rows}


def _missing(migrations: Sequence[Migration], applied: dict[int, str]) -> Sequence[Migration]:
    """What is not applied yet. Numbers that only the database knows belong to a newer release that runs beside this one: fine."""
    for migration in migrations:
        if not migration.is_applied_as(applied.get(migration.number, migration.sha256)):
            raise MigrationError(f"{migration.name} was applied and has changed since: put it back, and write the change as a new file")
    return [migration for migration in migrations if migration.number not in applied]


def _is_ahead(migrations: Sequence[Migration], applied: dict[int, str]) -> bool:
    return max(applied, default=0) > max((migration.number for migration in migrations), default=0)


async def functions_sha256(connection: asyncpg.Connection[asyncpg.Record] | Pool) -> str | None:
    """Of the functions that the database has; None: of no release that told."""
    if not await connection.fetchval("SELECT to_regclass('schema_functions') IS NOT NULL"):
        return None
    found: str | None = await connection.fetchval("SELECT sha256 FROM schema_functions")
    return found


async def _replace_functions(connection: asyncpg.Connection[asyncpg.Record], functions: Functions) -> bool:
    """All or none, in one transaction; false: there are none, or they are the same already."""
    if not functions.sql or await functions_sha256(connection) == functions.sha256:
        return False
    async with connection.transaction():
        # They call each other in circles, so none can wait for all it calls.
        await connection.execute("SET LOCAL check_function_bodies = off")
        await connection.execute(functions.sql)
        await connection.execute(
            "INSERT INTO schema_functions (sha256) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET sha256 = excluded.sha256",
            functions.sha256,
        )
    return True


async def _apply(connection: asyncpg.Connection[asyncpg.Record], migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migration (number, name, sha256) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.sha256,
        )


async def _converge_pgqueuer(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """PgQueuer's own tables, functions and triggers: made when new, brought to the installed version of the library otherwise."""
    queries = Queries(AsyncpgDriver(connection))
    if await queries.schema_is_installed():
        await queries.upgrade()
    else:
        await queries.install()
