"""Whether the database answers and has this release's tables: what `/readyz` asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg

from service.store.migrate import functions_sha256, load, load_functions
from service.store.pool import Pool

# A load balancer asks every few seconds and gives up after as many; a database that needs longer is not ready.
_ANSWER_SECONDS_MAX: Final = 2.0


class DatabaseReadiness:
    """`answer_seconds_max` None: as long as the pool lets each statement take; a process that starts has nobody else to go to."""

    def __init__(self, pool: Pool, *, answer_seconds_max: float | None = _ANSWER_SECONDS_MAX) -> None:
        self._pool = pool
        self._answer_seconds_max = answer_seconds_max
        self._newest = max((migration.number for migration in load()), default=0)
        self._functions = load_functions().sha256

    async def missing(self) -> Sequence[str]:
        """What is in the way, in words; never raises. A database of a newer release is fine: old and new run side by side."""
        try:
            async with asyncio.timeout(self._answer_seconds_max):
                newest = await self._pool.fetchval("SELECT max(number) FROM schema_migration") or 0
                functions = await functions_sha256(self._pool)
        except asyncpg.UndefinedTableError:
            newest, functions = 0, None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return ["the database does not answer"]
        if newest > self._newest or (newest == self._newest and functions == self._functions):
            return []
        return ["the database lacks this release's tables: run makegood migrate"]


# What a statement raises when the database is away, restarts or takes no more connections: nothing is wrong with the request.
UNREACHABLE: Final[tuple[type[Exception], ...]] = (
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database is closed to connections
    asyncpg.AdminShutdownError,
    # an idle connection whose server went away says so only when it is next used, and in these words
    asyncpg.InternalClientError,
    ConnectionError,
)
