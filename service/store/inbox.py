"""The inbox of what processors tell us: kept once, claimed under a lease, and applied by one function for each kind of news."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from service.model import Json
from service.ports import Event
from service.store.orders import again
from service.store.pool import Pool

# Longer than anybody asks why a payment stands as it does; the processors themselves tell nothing older than a month.
_KEPT_DAYS: Final = 90
# One pass of the clean-up holds its row locks for a few milliseconds; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

_KEEP: Final = """
WITH kept AS (
    INSERT INTO webhook_inbox (rail, event_id, kind, happened_at, about, received_at, next_try_at)
    SELECT $1, e.id, e.kind, e.happened_at, e.about, n.now, n.now
    FROM jsonb_to_recordset($2::jsonb) AS e (id text, kind text, happened_at timestamptz, about jsonb), (SELECT app_now() AS now) AS n
    ORDER BY e.id
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT count(*)::int FROM kept
"""

# Whoever dies with a row leaves it to the next when its lease ends.
_CLAIM: Final = """
WITH due AS MATERIALIZED (
    SELECT rail, event_id FROM webhook_inbox WHERE next_try_at <= (SELECT app_now()) AND rail = ANY($1)
    ORDER BY next_try_at LIMIT $2 FOR UPDATE SKIP LOCKED)
UPDATE webhook_inbox AS i SET tries = tries + 1, next_try_at = (SELECT app_now()) + make_interval(secs => $3)
FROM due WHERE i.rail = due.rail AND i.event_id = due.event_id
RETURNING i.rail, i.event_id, i.kind, i.happened_at, i.about, i.received_at, i.tries
"""

_MARK: Final = """
UPDATE webhook_inbox SET outcome = $4, next_try_at = (SELECT app_now()) + make_interval(secs => $5)
WHERE rail = $1 AND event_id = $2 AND tries = $3
"""

# A token bucket a rail and client: $3 tokens when full, $4 more a second. 0: one was taken; else the seconds until there is one.
_TAKE_QUESTION: Final = """
WITH clock AS MATERIALIZED (SELECT app_now() AS now),
taken AS (
    INSERT INTO question_bucket AS b (rail, client, tokens, at) SELECT $1, $2, $3::float8 - 1, now FROM clock
    ON CONFLICT (rail, client) DO UPDATE SET at = excluded.at,
        tokens = least($3::float8, b.tokens + greatest(0, extract(epoch FROM excluded.at - b.at)::float8) * $4::float8) - 1
    WHERE least($3::float8, b.tokens + greatest(0, extract(epoch FROM excluded.at - b.at)::float8) * $4::float8) >= 1
    RETURNING b.rail
)
SELECT CASE WHEN EXISTS (SELECT FROM taken) THEN 0 ELSE coalesce((
    SELECT greatest(1, ceil((1 - b.tokens) / $4::float8 - extract(epoch FROM now - b.at)::float8)) FROM question_bucket b, clock
    WHERE b.rail = $1 AND b.client = $2), 1) END::int
"""

_RETURN_QUESTION: Final = "UPDATE question_bucket SET tokens = least($3::float8, tokens + 1) WHERE rail = $1 AND client = $2"

# A bucket is full again within minutes, and then as good as none.
_FORGET_QUESTIONS: Final = """
DELETE FROM question_bucket AS old USING (
    SELECT rail, client FROM question_bucket WHERE at < (SELECT app_now()) - interval '1 hour'
    ORDER BY at LIMIT $1 FOR UPDATE SKIP LOCKED) AS found
WHERE old.rail = found.rail AND old.client = found.client
"""

_FORGET: Final = """
DELETE FROM webhook_inbox AS old USING (
    SELECT rail, event_id FROM webhook_inbox WHERE received_at < (SELECT app_now()) - make_interval(days => $1)
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS found
WHERE old.rail = found.rail AND old.event_id = found.event_id
"""


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    rail: str
    event: Event
    received_at: datetime
    tries: int
    """this one included"""


class InboxStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, rail: str, events: Sequence[Event]) -> int:
        """Those that are new, due at once; how many. One statement, one transaction."""
        kept: int = await self._pool.fetchval(_KEEP, rail, [msgspec.structs.asdict(event) for event in events])
        return kept

    async def take_question(self, rail: str, client: str, *, most: float, per_second: float) -> int:
        """One question of this client to the rail's processor. 0: it may be put; else the seconds until one may. One statement."""
        waits: int = await self._pool.fetchval(_TAKE_QUESTION, rail, client, most, per_second)
        return waits

    async def return_question(self, rail: str, client: str, *, most: float) -> None:
        """It was about a post of the processor's own."""
        await self._pool.execute(_RETURN_QUESTION, rail, client, most)

    async def claim(self, rails: Collection[str], most: int, lease_seconds: float) -> Sequence[InboxRow]:
        """What is due on these rails, each for one process at a time."""
        rows = await self._pool.fetch(_CLAIM, sorted(rails), most, lease_seconds)
        return [
            InboxRow(
                rail=row["rail"],
                event=Event(id=row["event_id"], kind=row["kind"], happened_at=row["happened_at"], about=row["about"]),
                received_at=row["received_at"],
                tries=row["tries"],
            )
            for row in rows
        ]

    async def mark(self, row: InboxRow, outcome: str | None, again_seconds: float | None) -> None:
        """What came of it, and when to try again (None: never), unless somebody else has taken it up since."""
        await self._pool.execute(_MARK, row.rail, row.event.id, row.tries, outcome, again_seconds)

    async def dispute(self, document: Json) -> str:
        """`applied`, `known` or `unknown_payment`."""
        return await self._status("SELECT dispute_news($1::jsonb)  -- every platform: a rail is the installation's", document)

    async def warning(self, document: Json) -> str:
        """`applied`, `known` or `unknown_payment`."""
        return await self._status("SELECT warning_news($1::jsonb)  -- every platform: a rail is the installation's", document)

    async def _status(self, sql: str, document: Json) -> str:
        found: Mapping[str, Any] = await again(lambda: self._pool.fetchval(sql, document))
        return str(found["status"])

    async def alert(self, rail: str, kind: str, data: Json) -> None:
        """One open case for the operations' people of each platform that has payments on the rail."""
        await self._pool.execute(
            "SELECT alert_raise_of_rail($1, $2, $3)  -- every platform: a rail is the installation's", rail, kind, data
        )

    async def forget_old(self) -> None:
        """Drops what is older than 90 days, and buckets that are full again, a bounded number at a time."""
        await self._pool.execute(_FORGET_QUESTIONS, _FORGOTTEN_AT_ONCE_MAX)
        await self._pool.execute(_FORGET, _KEPT_DAYS, _FORGOTTEN_AT_ONCE_MAX)
