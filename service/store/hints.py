"""Tells other processes that a case changed: NOTIFY after the commit, one LISTEN connection a process. Only ever a hint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from service.store.pool import Pool, open_connection

log: Final = structlog.get_logger()

_CHANNEL: Final = "makegood_case"
# A listening connection that was cut (a restart of PostgreSQL) is opened again after this; waiters look every 2 s anyway.
_AGAIN_SECONDS: Final = 2.0


class Hints:
    def __init__(self, pool: Pool, dsn: str) -> None:
        self._pool = pool
        self._dsn = dsn

    async def send(self, cases: Collection[UUID]) -> None:
        """A statement of its own after the commit: inside a transaction NOTIFY would queue every commit behind one lock."""
        await self._pool.execute(
            "SELECT pg_notify($1, one) FROM unnest($2::text[]) AS one  -- every platform: hints of ids",
            _CHANNEL,
            [one.hex for one in cases],
        )

    async def listen(self, changed: Callable[[UUID], None], stop: asyncio.Event) -> None:
        """Calls `changed` for each hint until `stop`."""
        while not stop.is_set():
            try:
                await self._listen(changed, stop)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                log.warning("hints_interrupted")
                await _either(stop.wait(), asyncio.sleep(_AGAIN_SECONDS))

    async def _listen(self, changed: Callable[[UUID], None], stop: asyncio.Event) -> None:
        connection = await open_connection(self._dsn, application="makegood hints")
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())

        def heard(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
            changed(UUID(hex=str(payload)))

        try:
            await connection.add_listener(_CHANNEL, heard)
            await _either(stop.wait(), lost.wait())
        finally:
            await connection.close(timeout=_AGAIN_SECONDS)


async def _either(*waits: Any) -> None:
    """Returns when the first is over, and ends the others."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
