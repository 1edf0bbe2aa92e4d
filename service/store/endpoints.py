"""Endpoints as rows: what people set, which worker has one now, what waits for it, and what a round of sending left behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.model import Json
from service.store.idempotency import IdempotencyKey, once
from service.store.keys import Change
from service.store.outbox import OutboxRow, OutboxStore
from service.store.pool import Pool

# A platform with more receivers of its own than this wants one that passes things on.
ENDPOINTS_MAX: Final = 20
# More than an endpoint misses in a bad hour; what is more is replayed from a position.
REPLAYED_MAX: Final = 10_000
# Whoever mends an endpoint does so within days, and reads the newest.
_LOG_KEPT_DAYS: Final = 7
_LOG_SHOWN_MAX: Final = 100
# A quarter: disputes are opened for up to 120 days after a payment, but who has heard nothing for so long reads orders anew, not events.
KEPT_DAYS: Final = 90
# One pass of the clean-up holds its row locks for a few milliseconds; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

_COLUMNS: Final = """
SELECT id, kind, name, url, types, state, state_why, state_since, least(replay_after, position) AS position, succeeded_at, failing_since,
       CASE WHEN failing_since IS NOT NULL AND state = 'active' THEN next_try_at END AS next_try_at, created_at, changed_at,
       CASE WHEN former_until > (SELECT app_now()) THEN former_until END AS former_until, sealed_secret,
       CASE WHEN former_until > (SELECT app_now()) THEN sealed_former END AS sealed_former
FROM endpoint WHERE platform_id = $1
"""

# What fails is looked at after what goes, so that many dead ones keep none waiting that works; and platforms take turns, up to $7 at a time
# each with what this process has of theirs already ($5, $6: platforms and how many), so that many slow ones of one keep no other's waiting.
_CLAIM: Final = """
-- every platform: whoever sends, sends for all of them
WITH wanting AS MATERIALIZED (
    SELECT e.platform_id, e.id, coalesce(h.position, 0) AS head, coalesce(held.n, 0)
        + row_number() OVER (PARTITION BY e.platform_id ORDER BY e.failing_since IS NOT NULL, e.next_try_at, e.id) AS turn
    FROM endpoint AS e LEFT JOIN outbox_head AS h USING (platform_id)
    LEFT JOIN unnest($5::uuid[], $6::int[]) AS held (platform_id, n) USING (platform_id)
    WHERE e.state = 'active' AND e.next_try_at <= (SELECT app_now()) AND (e.lease_until IS NULL OR e.lease_until <= (SELECT app_now()))
      AND (e.kind = 'webhook' OR e.name = ANY ($3)) AND (e.failing_since IS NULL OR $4)
      AND (e.replay_after IS NOT NULL OR h.position > e.position OR EXISTS (
          SELECT FROM endpoint_delivery AS d
          WHERE d.platform_id = e.platform_id AND d.endpoint_id = e.id AND d.next_try_at <= (SELECT app_now())))
), due AS MATERIALIZED (
    SELECT e.platform_id, e.id, w.head FROM wanting AS w JOIN endpoint AS e USING (platform_id, id)
    -- asked again of the row that is locked: another may have taken it meanwhile
    WHERE w.turn <= $7 AND e.state = 'active' AND e.next_try_at <= (SELECT app_now())
      AND (e.lease_until IS NULL OR e.lease_until <= (SELECT app_now()))
    ORDER BY e.failing_since IS NOT NULL, w.turn, e.next_try_at LIMIT $1 FOR NO KEY UPDATE OF e SKIP LOCKED
), again AS (
    DELETE FROM endpoint_delivery AS d USING due JOIN endpoint AS e USING (platform_id, id)
    WHERE d.platform_id = due.platform_id AND d.endpoint_id = due.id AND d.position > e.replay_after
)
UPDATE endpoint AS e SET lease_epoch = lease_epoch + 1, lease_until = (SELECT app_now()) + make_interval(secs => $2),
    position = least(replay_after, position), replay_after = NULL  -- a replay goes back, never forward over what was not sent yet
FROM due WHERE e.platform_id = due.platform_id AND e.id = due.id
RETURNING e.platform_id AS platform, e.id, e.kind, e.name, e.url, e.types, e.sealed_secret,
    CASE WHEN e.former_until > (SELECT app_now()) THEN e.sealed_former END AS sealed_former, e.position, due.head, e.lease_epoch AS epoch,
    e.failing_since IS NOT NULL AS is_failing, e.failures, EXISTS (
        SELECT FROM endpoint_delivery AS d WHERE d.platform_id = e.platform_id AND d.endpoint_id = e.id AND d.state = 'parked') AS has_parked
"""

# The first of each key that is due, then their seconds, and so on: one long key does not keep the others away.
_PARKED: Final = """
WITH heads AS MATERIALIZED (
    SELECT key FROM endpoint_delivery WHERE platform_id = $1 AND endpoint_id = $2 AND next_try_at <= (SELECT app_now())
    ORDER BY next_try_at LIMIT $3
), ranked AS (
    SELECT position, event_id, key, tries, row_number() OVER (PARTITION BY key ORDER BY position) AS n FROM endpoint_delivery
    WHERE platform_id = $1 AND endpoint_id = $2 AND state = 'parked' AND key IN (SELECT key FROM heads)
), chosen AS (SELECT * FROM ranked ORDER BY n, position LIMIT $3)
SELECT e.position, e.event_id, e.type, e.order_id, o.ref AS order_ref, e.case_id, e.created_at, e.data, c.key, c.tries
FROM chosen AS c JOIN outbox AS e ON e.platform_id = $1 AND e.event_id = c.event_id
LEFT JOIN orders AS o ON o.platform_id = $1 AND o.id = e.order_id
ORDER BY e.position
"""

_STILL: Final = """
SELECT url, sealed_secret, CASE WHEN former_until > (SELECT app_now()) THEN sealed_former END AS sealed_former FROM endpoint
WHERE platform_id = $1 AND id = $2 AND lease_epoch = $3 AND state = 'active'
"""

_BLOCKED: Final = """
SELECT DISTINCT key FROM endpoint_delivery WHERE platform_id = $1 AND endpoint_id = $2 AND state = 'parked' AND key = ANY ($3::uuid[])
"""

_DELIVERIES: Final = """
SELECT d.position, d.event_id, e.type, o.ref AS order_ref, e.case_id, d.state, d.tries, d.first_failed_at, d.next_try_at, d.last_status, d.last_detail
FROM endpoint_delivery AS d JOIN outbox AS e ON e.platform_id = $1 AND e.event_id = d.event_id
LEFT JOIN orders AS o ON o.platform_id = $1 AND o.id = e.order_id
WHERE d.platform_id = $1 AND d.endpoint_id = $2 AND d.position > $3 AND ($4::text IS NULL OR d.state = $4)
ORDER BY d.position LIMIT $5
"""

_LOG: Final = """
SELECT at, event_id, type, status, detail, milliseconds FROM delivery_log WHERE platform_id = $1 AND endpoint_id = $2
ORDER BY id DESC LIMIT $3
"""

_NOTE: Final = """
INSERT INTO delivery_log (platform_id, endpoint_id, at, event_id, type, status, detail, milliseconds)
SELECT platform_id, id, (SELECT app_now()), $3, $4, $5, $6, $7 FROM endpoint WHERE platform_id = $1 AND id = $2
"""

_FORGET_LOG: Final = """
DELETE FROM delivery_log AS old USING (
    SELECT platform_id, endpoint_id, id FROM delivery_log WHERE at < (SELECT app_now()) - make_interval(days => $1)
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED) AS found
WHERE old.platform_id = found.platform_id AND old.endpoint_id = found.endpoint_id AND old.id = found.id
"""


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    kind: str
    name: str
    url: str | None
    types: Sequence[str] | None
    state: str
    state_why: str
    state_since: datetime
    position: int
    succeeded_at: datetime | None
    failing_since: datetime | None
    next_try_at: datetime | None
    """of one that fails"""
    former_until: datetime | None
    created_at: datetime
    changed_at: datetime
    sealed_secret: bytes | None
    sealed_former: bytes | None


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    kind: str
    name: str
    url: str | None = None
    types: Sequence[str] | None = None
    sealed_secret: bytes | None = None


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that is this worker's until its lease ends. `head`: how far the platform's feed goes."""

    platform: UUID
    id: UUID
    kind: str
    name: str
    url: str | None
    types: Sequence[str] | None
    sealed_secret: bytes | None
    sealed_former: bytes | None
    position: int
    head: int
    epoch: int
    is_failing: bool
    failures: int
    has_parked: bool


class ParkedRow(msgspec.Struct, frozen=True, kw_only=True):
    row: OutboxRow
    key: UUID
    tries: int


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event that an endpoint's position has passed and it has not taken."""

    position: int
    event_id: UUID
    type: str
    order_ref: str | None
    case_id: UUID | None
    state: str
    tries: int
    first_failed_at: datetime | None
    next_try_at: datetime | None
    last_status: int | None
    last_detail: str


class TryRow(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime | None = None
    event_id: UUID
    type: str
    status: int | None
    detail: str
    milliseconds: int


class EndpointStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._outbox = OutboxStore(pool)

    # ---------------------------------------------------------------------------------------------- for people

    async def list(self, platform: UUID) -> Sequence[EndpointRow]:
        """Oldest first."""
        rows = await self._pool.fetch(f"{_COLUMNS} ORDER BY created_at, id LIMIT $2", platform, ENDPOINTS_MAX)
        return [EndpointRow(**dict(row)) for row in rows]

    async def get(self, platform: UUID, endpoint: UUID) -> EndpointRow | None:
        row = await self._pool.fetchrow(f"{_COLUMNS} AND id = $2", platform, endpoint)
        return None if row is None else EndpointRow(**dict(row))

    async def add(self, platform: UUID, new: NewEndpoint, change: Change) -> str:
        """`made`, `too_many`, or `there`: an adapter has one endpoint."""
        return str(await self._pool.fetchval(_ADD, *_added(platform, new, change)))

    async def add_once(self, key: IdempotencyKey, new: NewEndpoint, change: Change) -> str | None:
        """As `add`; None: the key has done it. Raises KeyReused."""
        arguments = _added(key.platform_id, new, change)
        found = await once(
            self._pool, key, new.id, lambda connection: connection.fetchval(_ADD, *arguments), made=lambda said: said == "made"
        )
        return None if found is None else str(found)

    async def made_by(self, key: IdempotencyKey) -> UUID | None:
        """The endpoint that this key has made."""
        found: UUID | None = await self._pool.fetchval(
            "SELECT resource_id FROM idempotency WHERE platform_id = $1 AND caller = $2 AND method = $3 AND path = $4 AND key = $5",
            key.platform_id,
            key.caller,
            key.method,
            key.path,
            key.key,
        )
        return found

    async def change(self, platform: UUID, endpoint: UUID, changes: Json, change: Change) -> bool:
        """What `changes` names of name, url, types and state. False: there is none, or only enabling it sets its state."""
        return await self._done(
            "SELECT endpoint_change($1, $2, $3::jsonb)  -- $1 is platform_id", platform, endpoint, {**changes, **_who(change)}
        )

    async def rotate_once(self, key: IdempotencyKey, endpoint: UUID, sealed: bytes, seconds: float, change: Change) -> bool | None:
        """False: there is none; None: the key has done it. Raises KeyReused."""
        sql = "SELECT endpoint_rotate($1, $2, $3, $4, $5::jsonb)  -- $1 is platform_id"
        arguments = (key.platform_id, endpoint, sealed, seconds, _who(change))
        return await once(self._pool, key, endpoint, lambda connection: connection.fetchval(sql, *arguments), made=bool)

    async def replay_once(
        self, key: IdempotencyKey, endpoint: UUID, asked: Json, types: Sequence[str] | None, change: Change
    ) -> int | None:
        """How many events are sent again; None: the key has done it, or there is no such endpoint. Raises KeyReused."""
        sql = "SELECT endpoint_replay($1, $2, $3::jsonb, $4, $5)  -- $1 is platform_id"
        arguments = (key.platform_id, endpoint, {**asked, **_who(change)}, types, REPLAYED_MAX)
        return await once(
            self._pool, key, endpoint, lambda connection: connection.fetchval(sql, *arguments), made=lambda count: count is not None
        )

    async def head(self, platform: UUID) -> int:
        """Up to where the platform's feed goes."""
        return (await self._outbox.head(platform)).position

    async def enable(self, platform: UUID, endpoint: UUID, change: Change) -> bool:
        return await self._done("SELECT endpoint_enable($1, $2, $3::jsonb)  -- $1 is platform_id", platform, endpoint, _who(change))

    async def remove(self, platform: UUID, endpoint: UUID, change: Change) -> bool:
        """False: there is none that people made."""
        return await self._done("SELECT endpoint_remove($1, $2, $3::jsonb)  -- $1 is platform_id", platform, endpoint, _who(change))

    async def _done(self, sql: str, *arguments: object) -> bool:
        return bool(await self._pool.fetchval(sql, *arguments))

    async def deliveries(self, platform: UUID, endpoint: UUID, *, after: int, state: str | None, most: int) -> Sequence[DeliveryRow]:
        """What is parked or dead, in the feed's order."""
        rows = await self._pool.fetch(_DELIVERIES, platform, endpoint, after, state, most)
        return [DeliveryRow(**dict(row)) for row in rows]

    async def tries(self, platform: UUID, endpoint: UUID) -> Sequence[TryRow]:
        """The newest tries that went wrong, and tests; newest first."""
        rows = await self._pool.fetch(_LOG, platform, endpoint, _LOG_SHOWN_MAX)
        return [TryRow(**dict(row)) for row in rows]

    async def note(self, platform: UUID, endpoint: UUID, tried: TryRow) -> None:
        """Keeps what came of a test."""
        await self._pool.execute(_NOTE, platform, endpoint, tried.event_id, tried.type, tried.status, tried.detail, tried.milliseconds)

    # ------------------------------------------------------------------------------------------ for who sends

    async def claim(
        self, most: int, lease_seconds: float, *, adapters: Collection[str], probes: bool, held: Mapping[UUID, int], share: int
    ) -> Sequence[Claimed]:
        """Endpoints for which there is something, each for one worker at a time. `probes`: also those that fail.

        `held`: how many of a platform's the caller has already; `share`: how many it may have at most.
        """
        rows = await self._pool.fetch(_CLAIM, most, lease_seconds, sorted(adapters), probes, [*held], [*held.values()], share)
        return [Claimed(**dict(row)) for row in rows]

    async def still(self, one: Claimed) -> Claimed | None:
        """With the address and the secrets that it has now. None: it was removed, paused or given up, or is another worker's."""
        row = await self._pool.fetchrow(_STILL, one.platform, one.id, one.epoch)
        return None if row is None else msgspec.structs.replace(one, **dict(row))

    async def parked(self, one: Claimed, most: int) -> Sequence[ParkedRow]:
        """What waited and is due, with what waits behind it; by position."""
        rows = await self._pool.fetch(_PARKED, one.platform, one.id, most)
        names = OutboxRow.__struct_fields__
        return [ParkedRow(row=OutboxRow(**{name: row[name] for name in names}), key=row["key"], tries=row["tries"]) for row in rows]

    async def news(self, one: Claimed, most: int, types: Sequence[str] | None) -> Sequence[OutboxRow]:
        """What comes after its position."""
        return await self._outbox.page(one.platform, after=one.position, most=most, types=types)

    async def blocked(self, one: Claimed, keys: Collection[UUID]) -> frozenset[UUID]:
        """Those of which something is parked, so that what follows queues behind it."""
        rows = await self._pool.fetch(_BLOCKED, one.platform, one.id, list(keys))
        return frozenset(row["key"] for row in rows)

    async def settle(self, one: Claimed, document: Json) -> str:
        """`settled`, `disabled`, or `lost`: somebody else has the lease, and nothing was written."""
        sql = "SELECT endpoint_settle($1, $2, $3, $4::jsonb)  -- $1 is platform_id"
        return str(await self._pool.fetchval(sql, one.platform, one.id, one.epoch, document))

    # -------------------------------------------------------------------------------------------- clean-up

    async def forget_old(self) -> int:
        """Drops events older than KEPT_DAYS that no active endpoint waits for, and old tries, a bounded number at a time; how many events."""
        await self._pool.execute(
            f"{_FORGET_LOG}  -- every platform: the clean-up is the installation's own", _LOG_KEPT_DAYS, _FORGOTTEN_AT_ONCE_MAX
        )
        count: int = await self._pool.fetchval(
            "SELECT outbox_forget($1, $2)  -- every platform: the clean-up is the installation's own", KEPT_DAYS, _FORGOTTEN_AT_ONCE_MAX
        )
        return count


_ADD: Final = "SELECT endpoint_add($1, $2::jsonb, $3, $4)  -- $1 is platform_id"


def _added(platform: UUID, new: NewEndpoint, change: Change) -> tuple[object, ...]:
    document = {"id": new.id, "kind": new.kind, "name": new.name, "url": new.url, "types": new.types, **_who(change)}
    return platform, document, new.sealed_secret, ENDPOINTS_MAX


def _who(change: Change) -> Mapping[str, Any]:
    return {"actor": change.actor, "why": change.why}
