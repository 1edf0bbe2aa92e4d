"""The sandbox's own database: made with its tables when it is not there yet, by whoever comes first."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.resources import files
from typing import Literal
from urllib.parse import unquote, urlsplit

import asyncpg

from integrations.sandbox_books import SandboxPool


async def open_sandbox(dsn: str, *, connections_max: int = 10, commit_to: Literal["disk", "memory"] = "disk") -> SandboxPool:
    """Open the sandbox's own database, made together with its tables when it is not there yet. The caller closes the pool.

    Safe in many processes at once. `connections_max`: ten carry more than a thousand refunds a second on two cores, and leave most
    of PostgreSQL's usual hundred to everybody else. `commit_to="memory"` (benches): an answer still comes after the commit and no
    kill of ours can undo it, but a crash of PostgreSQL itself may; twice as fast, as a real processor's disk is not ours.
    """
    try:
        pool = await _pool(dsn, connections_max, commit_to)
    except asyncpg.InvalidCatalogNameError:
        await _create_database(dsn)
        pool = await _pool(dsn, connections_max, commit_to)
    await _create_tables(pool)
    return pool


async def _pool(dsn: str, connections_max: int, commit_to: Literal["disk", "memory"]) -> SandboxPool:
    async def nothing(_: object) -> None:
        """Nothing session-wide is ever set, so there is nothing to reset and a round trip saved."""

    # JIT would cost more than any of these short statements
    settings = {"jit": "off", "synchronous_commit": "on" if commit_to == "disk" else "off"}
    return await asyncpg.create_pool(dsn, min_size=1, max_size=connections_max, reset=nothing, server_settings=settings)


async def _create_database(dsn: str) -> None:
    name = unquote(urlsplit(dsn).path.removeprefix("/"))
    connection = await asyncpg.connect(dsn, database="postgres")
    try:
        # another process may be just as quick, hence the two errors; template0: nobody is ever connected to it
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await connection.execute('CREATE DATABASE "{}" TEMPLATE template0'.format(name.replace('"', '""')))
    finally:
        await connection.close()


async def _create_tables(pool: SandboxPool) -> None:
    sql = files("integrations").joinpath("sql/sandbox.sql").read_text(encoding="utf-8")
    version = hashlib.sha256(sql.encode()).hexdigest()
    async with pool.acquire() as connection, connection.transaction():
        # one process at a time: "if not exists" alone collides in the catalogue
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('makegood sandbox tables'))")
        there = await connection.fetchval("SELECT to_regclass('sandbox.version') IS NOT NULL")
        if there and await connection.fetchval("SELECT EXISTS (SELECT FROM sandbox.version WHERE hash = $1)", version):
            return
        await connection.execute(sql)
        await connection.execute("INSERT INTO sandbox.version VALUES ($1)", version)
