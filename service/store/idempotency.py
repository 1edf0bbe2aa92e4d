"""Which key already made which resource: kept a week, so that a client may repeat any POST until it has seen the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from service.store.orders import again
from service.store.pool import Connection, Pool

_T = TypeVar("_T")

# Longer than any client retries, and than a long weekend on which nobody looks at a stuck queue.
KEPT_DAYS: Final = 7

# One pass of the clean-up holds its row locks for a few milliseconds; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

# Waits for a concurrent writer of the same key, so both see the one row that won.
_RESERVE: Final = "SELECT key_take($1, $2::jsonb, $3, (SELECT app_now()))  -- $1 is platform_id"

_FIND: Final = """
SELECT body_hash FROM idempotency
WHERE platform_id = $1 AND caller = $2 AND method = $3 AND path = $4 AND key = $5
"""

_RELEASE: Final = """
DELETE FROM idempotency WHERE platform_id = $1 AND caller = $2 AND method = $3 AND path = $4 AND key = $5
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


class KeyReused(Exception):  # noqa: N818 - says what happened
    """The key came with another body: an error of the client."""


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as one caller used it on one route, and what the body was (SHA-256)."""

    platform_id: UUID
    caller: str
    method: str
    path: str
    key: str
    body_hash: bytes

    @property
    def once(self) -> Mapping[str, str]:
        """As key_take() has it, alone or in the document of a function that calls it."""
        return {"caller": self.caller, "method": self.method, "path": self.path, "key": self.key, "body_hash": self.body_hash.hex()}


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The resource that this key made earlier. `same_body` is False when the key came with another body: an error of the client."""

    resource_id: UUID
    same_body: bool


class IdempotencyStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def is_repeat(self, key: IdempotencyKey) -> bool:
        """Whether the key has made its resource already. Raises KeyReused."""
        row = await self._pool.fetchrow(_FIND, key.platform_id, key.caller, key.method, key.path, key.key)
        if row is not None and row["body_hash"] != key.body_hash:
            raise KeyReused
        return row is not None


async def once(
    pool: Pool,
    key: IdempotencyKey,
    resource_id: UUID,
    effect: Callable[[Connection], Awaitable[_T]],
    *,
    made: Callable[[_T], bool],
) -> _T | None:
    """Carries an effect out and keeps its key, in one transaction. None: the key has done it before. Raises KeyReused.

    A key whose effect did not come about, as `made` judges its answer, stays free: the same request may be tried again.
    """

    async def attempt() -> _T | None:
        async with pool.acquire() as connection, connection.transaction():
            earlier = await reserve(connection, key, resource_id)
            if earlier is not None and not earlier.same_body:
                raise KeyReused
            if earlier is not None:
                return None
            answer = await effect(connection)
            if not made(answer):
                await connection.execute(_RELEASE, key.platform_id, key.caller, key.method, key.path, key.key)
            return answer

    return await again(attempt)


async def reserve(connection: Connection, key: IdempotencyKey, resource_id: UUID) -> Made | None:
    """Inside the transaction that makes the resource: None when it may be made now, else what an earlier request made.

    A concurrent request with the same key waits here until that one commits (then gets what it made) or rolls back (then makes it itself).
    """
    earlier = await connection.fetchval(_RESERVE, key.platform_id, key.once, resource_id)
    return None if earlier is None else Made(resource_id=UUID(earlier["resource"]), same_body=earlier["status"] == "repeat")


async def forget_old(pool: Pool) -> None:
    """Drops keys older than a week, of every platform, a bounded number at a time."""
    await pool.execute(_FORGET, KEPT_DAYS, _FORGOTTEN_AT_ONCE_MAX)
