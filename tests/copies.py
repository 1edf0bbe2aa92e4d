"""Databases of their own for tests: copies of a template, emptied and used again, since deleting a test's few rows is ten times cheaper.

A copy costs 0.2 s of a processor, and dropping it more. So copies stay on the run's server under names that say whether they are free, and
every worker and every child of the run takes from them. One that is not again exactly as its template is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import asyncpg

from service.store import embedded

# More than some pages a table are not worth emptying, and would leave the next test indexes full of dead entries.
_TABLE_BYTES_MAX: Final = 2_000_000
# The server ends a closed connection a moment later; who is there after a second was forgotten by a test.
_LOOKS: Final = 100
_LOOK_SECONDS: Final = 0.01

_TABLES: Final = """
    SELECT c.oid::regclass AS name, c.oid FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
"""

# A table of no pages has no rows, and most have none: asking for its size is much cheaper than for its rows.
# All rows, where sequences stand, and the newest row of each catalogue that knows tables, functions, triggers and settings: whoever
# alters one writes or removes a row there. Small, since it is asked of databases with hardly a row.
_AS_IT_IS: Final = f"""
    DO $$ DECLARE t record; v_rows jsonb; v_all jsonb := '{{}}'; v_catalogue text; BEGIN
        FOR t IN {_TABLES} AND pg_relation_size(c.oid) > 0 LOOP
            EXECUTE format('SELECT jsonb_agg(to_jsonb(x) ORDER BY to_jsonb(x)::text) FROM %s x', t.name) INTO v_rows;
            IF v_rows IS NOT NULL THEN v_all := v_all || jsonb_build_object(t.name::text, v_rows); END IF;
        END LOOP;
        FOREACH v_catalogue IN ARRAY '{{class,attribute,attrdef,constraint,index,namespace,proc,trigger,type}}'::text[] LOOP
            EXECUTE format('SELECT jsonb_build_array(count(*), max(xmin::text::bigint)) FROM pg_%s', v_catalogue) INTO v_rows;
            v_all := v_all || jsonb_build_object('catalogue of ' || v_catalogue, v_rows);
        END LOOP;
        PERFORM set_config('tests.as_it_is', (v_all || jsonb_build_object(
            'sequences', (SELECT jsonb_agg(pg_sequence_last_value(seqrelid) ORDER BY seqrelid) FROM pg_sequence),
            'settings', (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
                WHERE d.datname = current_database())))::text, false);
    END $$;
"""

# Rows go without triggers and foreign keys. What the template has rows in is written anew only where it differs.
_EMPTY: Final = f"""
    DO $$ DECLARE t record; v_rows jsonb; v_all jsonb := current_setting('tests.template'); BEGIN
        PERFORM set_config('session_replication_role', 'replica', true);
        FOR t IN {_TABLES} AND (pg_relation_size(c.oid) > 0 OR v_all ? c.oid::regclass::text) LOOP
            IF pg_relation_size(t.oid) > {_TABLE_BYTES_MAX} THEN RAISE 'it has grown'; END IF;
            IF NOT v_all ? t.name::text THEN
                EXECUTE format('DELETE FROM %s', t.name);
                CONTINUE;
            END IF;
            EXECUTE format('SELECT jsonb_agg(to_jsonb(x) ORDER BY to_jsonb(x)::text) FROM %s x', t.name) INTO v_rows;
            IF v_rows IS DISTINCT FROM v_all->t.name::text THEN
                EXECUTE format('DELETE FROM %s', t.name);
                EXECUTE format('INSERT INTO %s SELECT * FROM jsonb_populate_recordset(NULL::%1$s, $1)', t.name) USING v_all->t.name::text;
            END IF;
        END LOOP;
        PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL;
    END $$;
"""

# The template says of itself what its copies have to be again.
_TEMPLATE: Final = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1"
_OTHERS: Final = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend')
"""


async def describe(template_url: str) -> None:
    """Notes what copies of this template have to be again; once, when it is built."""
    connection = await asyncpg.connect(template_url)
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        said = await connection.fetchval("SELECT quote_literal($1::text)", await as_it_is(connection))
        await connection.execute(f"COMMENT ON DATABASE {name} IS {said}")
    finally:
        await connection.close()


@asynccontextmanager
async def copy_of(template: str, dsn: str) -> AsyncIterator[str]:
    """A database like the template, for this block alone; afterwards it is emptied for the next one, or dropped."""
    name = await _take(template, dsn)
    try:
        yield embedded.database_dsn(dsn, name)
    finally:
        await _give_back(template, dsn, name)


async def _take(template: str, dsn: str) -> str:
    name = f"{template}_used_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(dsn)
    try:
        for row in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", f"{template}_free_%"):
            try:
                await connection.execute(f'ALTER DATABASE "{row["datname"]}" RENAME TO "{name}"')
            except (asyncpg.InvalidCatalogNameError, asyncpg.ObjectInUseError, asyncpg.InternalServerError):
                continue  # another worker was quicker
            return name
        await embedded.when_nobody_is_in_it(connection, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await connection.close()
    return name


async def _give_back(template: str, dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        if await is_emptied(embedded.database_dsn(dsn, name), await connection.fetchval(_TEMPLATE, template)):
            await embedded.when_nobody_is_in_it(connection, f'ALTER DATABASE "{name}" RENAME TO "{template}_free_{uuid4().hex[:12]}"')
        else:
            await embedded.when_nobody_is_in_it(connection, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


async def is_emptied(url: str, template: str) -> bool:
    """Empties the copy; whether it is then as the template is. Not so when tables have changed or grown, or somebody is connected."""
    try:
        connection = await asyncpg.connect(url)
    except (asyncpg.PostgresError, OSError):  # dropped, or closed to connections
        return False
    try:
        for _ in range(_LOOKS):
            if not await connection.fetchval(_OTHERS):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return False
        await connection.execute("SELECT set_config('tests.template', $1, false)", template)
        await connection.execute(_EMPTY)
        return await as_it_is(connection) == template
    except asyncpg.PostgresError:
        return False
    finally:
        await connection.close()


async def as_it_is(connection: asyncpg.Connection[asyncpg.Record]) -> str:
    await connection.execute(_AS_IT_IS)
    found: str = await connection.fetchval("SELECT current_setting('tests.as_it_is')")
    return found
