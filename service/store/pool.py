"""How this application connects to PostgreSQL: one pool a process, and single connections for listening and for migrating."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import asyncpg.pool
import msgspec

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    _Raw: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:  # asyncpg's classes take no type arguments at run time, and Litestar reads these names then
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    _Raw = asyncpg.Connection

# No statement of ours takes seconds; what does is stuck, and must not outlive the 15 s lease of the work it belongs to by much.
COMMAND_SECONDS_MAX: Final = 20.0

# A database that does not answer a connection within this time is down for us; the caller says so and tries again.
CONNECT_SECONDS_MAX: Final = 10.0

# Every statement text of this application fits twice, so that none is ever prepared again: a prepare is a round trip more.
STATEMENTS_KEPT_MAX: Final = 512

_SESSION: Final[Mapping[str, str]] = {
    # Our statements are short: compiling one costs more than running it.
    "jit": "off",
    # A process that is stopped in the middle of a transaction must not hold its row locks for longer than a lease.
    "idle_in_transaction_session_timeout": "15s",
    # All times are aware UTC; the show's zone is applied in Python.
    "timezone": "UTC",
}

# PostgreSQL's binary jsonb is one version byte, then the text (jsonb_recv in src/backend/utils/adt/jsonb.c knows version 1 only).
_JSONB_VERSION: Final = b"\x01"


def _encode_jsonb(value: object) -> bytes:
    """Bytes are taken as JSON already encoded; everything else is encoded by msgspec."""
    return _JSONB_VERSION + (value if isinstance(value, bytes) else msgspec.json.encode(value))


def _decode_jsonb(data: bytes) -> Any:
    return msgspec.json.decode(memoryview(data)[1:])


async def _prepare(connection: _Raw) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary")


async def _reset_nothing(connection: _Raw) -> None:
    """Nothing session-wide is ever set on a pooled connection, so giving one back costs no message.

    (A transaction left open is rolled back by asyncpg all the same.)
    """


async def open_pool(dsn: str, *, size: int, application: str = "makegood") -> Pool:
    """A pool of at most `size` connections that speak jsonb in both directions. Raises OSError or asyncpg.PostgresError.

    The first connection is made here, so that a wrong address shows at start and not at the first customer.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        init=_prepare,
        reset=_reset_nothing,
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=COMMAND_SECONDS_MAX,
        statement_cache_size=STATEMENTS_KEPT_MAX,
        max_cached_statement_lifetime=0,  # never expires, see STATEMENTS_KEPT_MAX
        server_settings={**_SESSION, "application_name": application},
    )


async def open_connection(dsn: str, *, application: str = "makegood") -> _Raw:
    """One connection outside the pool: to LISTEN, to migrate, to check. The caller closes it. Raises as `open_pool` does."""
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_SECONDS_MAX,
        statement_cache_size=STATEMENTS_KEPT_MAX,
        server_settings={**_SESSION, "application_name": application},
    )
    await _prepare(connection)
    return connection
