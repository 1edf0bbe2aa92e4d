"""Which key already made which resource: kept a week, so that a client may repeat any POST until it has seen the answer."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from service.store.pool import Connection, Pool

# Longer than any client retries, and than a long weekend on which nobody looks at a stuck queue.
KEPT_DAYS: Final = 7

# One pass of the clean-up holds its row locks for a few milliseconds; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

# ON CONFLICT DO NOTHING waits for a concurrent writer of the same key, so both see the one row that won.
_RESERVE: Final = """
INSERT INTO idempotency (platform_id, caller, method, path, key, body_hash, resource_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT app_now()))
ON CONFLICT (platform_id, caller, method, path, key) DO NOTHING
RETURNING resource_id
"""

_FIND: Final = """
SELECT body_hash, resource_id FROM idempotency
WHERE platform_id = $1 AND caller = $2 AND method = $3 AND path = $4 AND key = $5
"""

_FORGET: Final = """
DELETE FROM idempotency AS old
USING (
    SELECT platform_id, caller, method, path, key FROM idempotency
    WHERE created_at < (SELECT app_now()) - make_interval(days => $1) ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS found
WHERE (old.platform_id, old.caller, old.method, old.path, old.key)
    = (found.platform_id, found.caller, found.method, found.path, found.key)
"""


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as one caller used it on one route, and what the body was (SHA-256)."""

    platform_id: UUID
    caller: str
    method: str
    path: str
    key: str
    body_hash: bytes


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The resource that this key made earlier. `same_body` is False when the key came with another body: an error of the client."""

    resource_id: UUID
    same_body: bool


class IdempotencyStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, key: IdempotencyKey) -> Made | None:
        """What the key made; None when it is new."""
        return await _find(self._pool, key)


async def reserve(connection: Connection, key: IdempotencyKey, resource_id: UUID) -> Made | None:
    """Inside the transaction that makes the resource: None when it may be made now, else what an earlier request made.

    A concurrent request with the same key waits here until that one commits (then gets what it made) or rolls back (then makes it itself).
    """
    won = await connection.fetchval(_RESERVE, key.platform_id, key.caller, key.method, key.path, key.key, key.body_hash, resource_id)
    return None if won is not None else await _find(connection, key)


async def forget_old(pool: Pool) -> None:
    """Drops keys older than a week, of every platform, a bounded number at a time."""
    await pool.execute(_FORGET, KEPT_DAYS, _FORGOTTEN_AT_ONCE_MAX)


async def _find(source: Connection | Pool, key: IdempotencyKey) -> Made | None:
    row = await source.fetchrow(_FIND, key.platform_id, key.caller, key.method, key.path, key.key)
    if row is None:
        return None
    return Made(resource_id=row["resource_id"], same_body=row["body_hash"] == key.body_hash)
