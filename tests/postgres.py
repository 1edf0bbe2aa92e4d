"""The PostgreSQL of a test run: one server, and the templates of which tests get copies."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg

from integrations.sandbox import open_sandbox
from service.store import embedded, migrate
from tests import copies

# Short, since a socket's path holds about a hundred characters; one folder a user, and in it one a run, shared by the run's workers.
_ROOT: Final = Path(tempfile.gettempdir()) / f"makegood-tests-{os.getuid()}"

# Any fixed number: the worker that holds this lock builds the template, the others wait for it.
_TEMPLATE_LOCK: Final = 7_310_579

# The installation's one clock, as migration 0001 has it, which a test may stop besides: from then on only the test moves it.
_STOPPABLE: Final = """
    ALTER TABLE app_clock ADD COLUMN stopped_at timestamptz;
    CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT coalesce(stopped_at, clock_timestamp()) + ahead FROM app_clock';
"""


def folder_of_run() -> Path:
    """Test runs that this one starts as children inherit its name, and share its server."""
    run = os.environ.setdefault("TESTS_RUN_ID", os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex)
    return _ROOT / hashlib.sha256(run.encode()).hexdigest()[:10]


def template_name(store: Path = migrate.MIGRATIONS.parent) -> str:
    """Named after its tables and functions, so that copies of the code whose SQL differs may share a server."""
    said = [path.read_bytes() for path in sorted(store.glob("*/*.sql"))]
    return f"template_{hashlib.sha256(b'/'.join(said)).hexdigest()[:12]}"


def sweep() -> None:
    """Stops and removes the servers of runs that were killed: those that no process holds any more."""
    for lock in _ROOT.glob("*.lock"):
        embedded.discard(lock.with_suffix(""))


def finish(server: embedded.EmbeddedServer) -> None:
    """Lets go of the server; the last worker of the run removes its folder."""
    server.stop()
    embedded.discard(server.folder)


async def migrated_template(dsn: str) -> str:
    """The name of a database with this release's tables and nothing in it; built once a run."""

    async def build(url: str) -> None:
        await migrate.migrate(url)
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_STOPPABLE)
        finally:
            await connection.close()

    return await _template(dsn, template_name(), build)


async def sandbox_template(dsn: str) -> str:
    """The name of a database with the sandbox's own tables and nothing in it; built once a run."""

    async def build(url: str) -> None:
        await (await open_sandbox(url, connections_max=1)).close()

    return await _template(dsn, f"{template_name()}_sandbox", build)


async def _template(dsn: str, name: str, build: Callable[[str], Awaitable[None]]) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _TEMPLATE_LOCK)
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND NOT datallowconn)", name):
            await _hurry(connection)
            await embedded.drop_database(dsn, name)
            url = await embedded.create_database(dsn, name)
            await build(url)
            await copies.describe(url)
            # PostgreSQL copies only a database that nobody is connected to.
            await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    finally:
        await connection.close()
    return name


async def _hurry(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Commits and dropped databases need not wait for the disk.

    A PostgreSQL that is killed loses nothing by it as long as the machine goes on, and with the machine the run is gone, too. Tests
    that kill a PostgreSQL start one of their own all the same, with all its safety.
    """
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        await connection.execute(f"ALTER SYSTEM SET {setting} = off")
    # A worker for each database every ten seconds, of dozens of databases with hardly a row, is a tenth of a core.
    await connection.execute("ALTER SYSTEM SET autovacuum_naptime = '60s'")
    await connection.execute("SELECT pg_reload_conf()")
