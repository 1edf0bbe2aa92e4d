"""Puts background work into PgQueuer's table, in the transaction of whoever asks for it."""

from __future__ import annotations

from typing import Any

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.queries import Queries

from service.store.pool import Connection


class _OurJson(AsyncpgDriver):
    """PgQueuer passes jsonb as text, which our connections would encode once more; as bytes they take it as it is.

    (Without this a job is stored that PgQueuer itself cannot read back.)
    """

    async def fetch(self, query: str, *args: Any) -> list[dict[str, object]]:
        *others, headers = args
        return await super().fetch(query, *others, [text.encode() for text in headers])


async def enqueue(connection: Connection, entrypoint: str, payload: bytes, *, priority: int = 0) -> None:
    """One job; nothing happens unless the transaction commits. PgQueuer serves higher priorities first."""
    # a pooled connection serves as well as the bare one that PgQueuer's annotations ask for
    bare: Any = connection
    await Queries(_OurJson(bare)).enqueue(entrypoint, payload, priority=priority)
