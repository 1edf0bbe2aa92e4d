"""The queue of background work: PgQueuer on a connection of its own, and the statements that put work into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
from pgqueuer import PgQueuer

from service.store.pool import COMMAND_SECONDS_MAX, CONNECT_SECONDS_MAX, Pool

# A connection that does not say goodbye within this is dead already.
_CLOSE_SECONDS_MAX: Final = 2.0

# What became of a job is of use for as long as somebody may ask why a letter did not come.
_LOG_KEPT_DAYS: Final = 30
# One pass of the clean-up holds its row locks for a few milliseconds; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

_FORGET_LOG: Final = """
DELETE FROM pgqueuer_log WHERE id IN (
    SELECT id FROM pgqueuer_log WHERE aggregated AND created < (SELECT app_now()) - make_interval(days => $1)
    ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED)
"""


@asynccontextmanager
async def open_queue(dsn: str) -> AsyncIterator[PgQueuer]:
    """The queue on a connection that ends with the block. Raises OSError or asyncpg.PostgresError.

    The connection is plain: PgQueuer brings its jsonb as text.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=COMMAND_SECONDS_MAX,
        server_settings={"application_name": "makegood jobs", "jit": "off", "timezone": "UTC"},
    )
    try:
        yield PgQueuer.from_asyncpg_connection(connection)
    finally:
        try:
            await connection.close(timeout=_CLOSE_SECONDS_MAX)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()


async def tell(pool: Pool, most: int) -> int:
    """Enqueues a letter for each case whose customer has news, at most so many; how many. One statement, one transaction."""
    told: int = await pool.fetchval("SELECT cases_tell($1)  -- every platform: the sweep is the installation's own", most)
    return told


async def note_mail(pool: Pool, platform: UUID, case: UUID, kind: str, data: Mapping[str, Any]) -> None:
    """`customer_told` or `mail_refused` on the case's timeline, once for the same data."""
    await pool.execute("SELECT mail_noted($1, $2, $3, $4)  -- $1 is platform_id", platform, case, kind, data)


async def forget_old(pool: Pool) -> None:
    """Drops what the queue's log says of old jobs, a bounded number at a time."""
    await pool.execute(_FORGET_LOG, _LOG_KEPT_DAYS, _FORGOTTEN_AT_ONCE_MAX)
