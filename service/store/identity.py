"""Sessions, one-time codes, limits, and which orders a proven customer may see: every statement behind `service.identity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.callers import Proofs, Proven
from service.store.background import enqueue
from service.store.pool import Pool

# The way that a code goes.
Channel = Literal["mail", "text"]

# More orders than anybody has with one platform; a page of them is what is shown.
OPEN_ORDERS_MAX: Final = 200

# One pass of the clean-up; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

# PgQueuer serves higher numbers first: somebody is looking at their inbox.
_CODE_JOB_PRIORITY: Final = 100

_OPEN_SESSION: Final = """
INSERT INTO session (platform_id, id, hash, expires_at, created_at)
SELECT $1, $2, $3, now + make_interval(secs => $4), now FROM (SELECT app_now() AS now) AS clock
RETURNING expires_at
"""

# A proof that has run out is none: the level reads as `claimed`, the address and the phone as null. `both`: until when the mail and the text of
# one address are the two channels of `strong`; never longer than either of them.
_SESSION: Final = """
SELECT s.platform_id, s.id, p.slug, s.expires_at, live.*,
    CASE WHEN mail_holds OR text_holds THEN 'verified' WHEN s.level = 'anonymous' THEN 'anonymous' ELSE 'claimed' END AS level
FROM session AS s
JOIN platform AS p ON p.id = s.platform_id
CROSS JOIN LATERAL (
    SELECT coalesce(s.level_until > now, false) AS mail_holds, coalesce(s.text_until > now, false) AS text_holds, now
    FROM (SELECT app_now() AS now) AS clock
) AS clock
CROSS JOIN LATERAL (
    SELECT greatest(CASE WHEN mail_holds THEN s.level_until END, CASE WHEN text_holds THEN s.text_until END) AS until,
           CASE WHEN mail_holds THEN s.person_email END AS email,
           CASE WHEN mail_holds THEN s.only_pass END AS only_pass,
           CASE WHEN text_holds THEN s.text_email END AS text_email,
           CASE WHEN text_holds THEN s.text_phone END AS text_phone,
           CASE WHEN mail_holds AND text_holds AND s.both_until > now AND address_folded(s.person_email) = s.text_email
               THEN least(s.both_until, s.level_until, s.text_until) END AS both
) AS live
WHERE s.hash = $1 AND s.expires_at > (SELECT app_now())
"""

_CLOSE_SESSION: Final = """
WITH codes AS (
    UPDATE one_time_code SET used_at = coalesce(used_at, (SELECT app_now())), sealed = NULL, email = NULL, text_email = NULL, text_phone = NULL
    WHERE platform_id = $1 AND session_id = $2
)
UPDATE session SET expires_at = (SELECT app_now()), level = 'anonymous', level_until = NULL, person_email = NULL, only_pass = NULL,
    text_email = NULL, text_phone = NULL, text_until = NULL, both_until = NULL
WHERE platform_id = $1 AND id = $2
"""

_TAKE: Final = "SELECT rate_take($1, $2, $3, $4)"

# Way -> what stores the code and what sends it, in one shape.
_REQUESTS: Final[Mapping[Channel, tuple[str, str]]] = {
    "mail": ("SELECT code_request($1, $2, $3, $4, $5, $6, $7, $8, $9)", "send_code"),
    "text": ("SELECT text_request($1, $2, $3, $4, $5, $6, $7, $8, $9)", "send_text"),
}

# The try is counted before the digits are compared, so that a hundred guesses at once are five; a guess is one at each code that is on its way.
_TAKE_TRY: Final = """
UPDATE one_time_code SET tries_left = tries_left - 1
WHERE platform_id = $1 AND session_id = $2 AND used_at IS NULL AND tries_left > 0 AND expires_at > (SELECT app_now())
RETURNING id, hash, channel, coalesce(email, text_phone) IS NOT NULL AS written_to
"""

_PROVE: Final = """
WITH used AS (
    UPDATE one_time_code SET used_at = (SELECT app_now()), sealed = NULL
    WHERE platform_id = $1 AND session_id = $2 AND id = $3 AND used_at IS NULL AND email IS NOT NULL
    RETURNING email, only_pass
)
UPDATE session
SET level = 'verified', person_email = used.email, only_pass = used.only_pass, level_until = (SELECT app_now()) + make_interval(secs => $4),
    both_until = CASE WHEN text_until > (SELECT app_now()) AND text_email = address_folded(used.email)
        THEN (SELECT app_now()) + make_interval(secs => $5) END
FROM used CROSS JOIN LATERAL session_proves_anew($1, $2, used.email, NULL)
WHERE session.platform_id = $1 AND session.id = $2
RETURNING session.level_until
"""

_CODE_TO_SEND: Final = """
SELECT c.sealed, c.email, c.language FROM one_time_code AS c
WHERE c.platform_id = $1 AND c.id = $2 AND c.used_at IS NULL AND c.sealed IS NOT NULL
  AND c.expires_at > (SELECT app_now())
"""

_TEXT_PROVE: Final = "SELECT text_prove($1, $2, $3, $4, $5)"

_TEXT_TO_SEND: Final = """
SELECT c.sealed, c.text_phone, c.language FROM one_time_code AS c
WHERE c.platform_id = $1 AND c.id = $2 AND c.channel = 'text' AND c.used_at IS NULL AND c.sealed IS NOT NULL
  AND c.expires_at > (SELECT app_now())
"""

_CODE_SENT: Final = "UPDATE one_time_code SET sealed = NULL WHERE platform_id = $1 AND id = $2"

# $2 what the caller has proved, $3 `sub`, $4 the one pass, $5 an order's ref or null for all. The pass is found by its line, so that a replaced
# pass leads to its successor, and only while the line is still held by that address. An address that opens one pass alone buys nothing; a text of
# a buyer's does beside it.
_OPEN_ORDERS: Final = """
SELECT o.id, o.ref, 'buyer' AS role, NULL::uuid AS pass_id, o.placed_at, o.customer_ref, proof.proven
FROM person AS b JOIN orders AS o ON o.platform_id = b.platform_id AND o.buyer_id = b.id
CROSS JOIN LATERAL (SELECT buyer_proven(b.email, b.phone, CASE WHEN $4::uuid IS NULL THEN $2::text[] ELSE ARRAY[NULL] || ($2)[2:3] END)) AS proof (proven)
WHERE b.platform_id = $1 AND lower(b.email) IN (($2)[1], ($2)[2]) AND proof.proven IS NOT NULL AND ($5::text IS NULL OR o.ref = $5)
UNION
SELECT o.id, o.ref, 'buyer', NULL::uuid, o.placed_at, o.customer_ref, (SELECT buyer_proven(b.email, b.phone, $2) FROM person AS b
    WHERE b.platform_id = $1 AND b.id = o.buyer_id)
FROM orders AS o WHERE o.platform_id = $1 AND o.customer_ref = $3 AND ($5::text IS NULL OR o.ref = $5)
UNION
SELECT o.id, o.ref, 'holder', w.id, o.placed_at, NULL, NULL
FROM person AS h
JOIN line AS l ON l.platform_id = h.platform_id AND l.holder_id = h.id
JOIN orders AS o ON o.platform_id = l.platform_id AND o.id = l.order_id
JOIN pass AS w ON w.platform_id = l.platform_id AND w.line_id = l.id AND w.status <> 'void'
WHERE h.platform_id = $1 AND lower(h.email) = ($2)[1] AND holder_proven(h.email, $2) AND ($5::text IS NULL OR o.ref = $5)
  AND ($4::uuid IS NULL OR w.line_id = (SELECT line_id FROM pass WHERE platform_id = $1 AND id = $4))
ORDER BY placed_at DESC, role, pass_id LIMIT $6
"""

_FORGET: Final = (
    # Their sessions stay while a case names them, without the address.
    """DELETE FROM one_time_code AS c USING (
        SELECT platform_id, id FROM one_time_code WHERE expires_at < (SELECT app_now()) - interval '1 day'
        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS old WHERE c.platform_id = old.platform_id AND c.id = old.id""",
    """UPDATE session AS s SET person_email = NULL, only_pass = NULL, level_until = NULL, text_email = NULL, text_phone = NULL,
        text_until = NULL, both_until = NULL FROM (
        SELECT platform_id, id FROM session WHERE expires_at < (SELECT app_now()) AND (person_email IS NOT NULL OR text_email IS NOT NULL)
        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS old WHERE s.platform_id = old.platform_id AND s.id = old.id""",
    """DELETE FROM session AS s USING (
        SELECT platform_id, id FROM session WHERE expires_at < (SELECT app_now()) - interval '2 days'
          AND NOT EXISTS (SELECT FROM cases AS c WHERE c.platform_id = session.platform_id AND c.session_id = session.id)
          AND NOT EXISTS (SELECT FROM one_time_code AS c WHERE c.platform_id = session.platform_id AND c.session_id = session.id)
        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS old WHERE s.platform_id = old.platform_id AND s.id = old.id""",
    # No window is longer than a day.
    """DELETE FROM rate AS r USING (
        SELECT platform_id, bucket, window_start FROM rate WHERE window_start < (SELECT app_now()) - interval '2 days'
        ORDER BY window_start LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS old WHERE r.platform_id = old.platform_id AND r.bucket = old.bucket AND r.window_start = old.window_start""",
)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """At most so many uses of one bucket in each window."""

    bucket: str
    most: int
    seconds: int


class NewCode(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time code as it is stored: nothing of it can be read without the installation's secret."""

    platform_id: UUID
    session_id: UUID
    id: UUID
    email: str | None
    """None: nobody's"""
    order_ref: str | None
    hash: bytes
    sealed: bytes
    language: str
    lifetime_seconds: int


class CodeTried(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    hash: bytes
    channel: Channel
    written_to: bool
    """False: there was nobody to write to, so nobody can know the digits"""


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a customer may see: whole as `buyer`, or one pass of it as `holder`."""

    order_id: UUID
    ref: str
    role: str
    pass_id: UUID | None
    customer_ref: str | None = None
    proven: Proven | None = None
    """of a buyer: by what the caller has proved to be them"""


class IdentityStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, platform_id: UUID, limits: Sequence[Limit]) -> int:
        """Counts one use of each; 0 when all had room, else the seconds to wait. One statement."""
        buckets = [limit.bucket for limit in limits]
        most = [limit.most for limit in limits]
        seconds = [limit.seconds for limit in limits]
        waits: int = await self._pool.fetchval(_TAKE, platform_id, buckets, most, seconds)
        return waits

    async def open_session(self, platform_id: UUID, session_id: UUID, token_hash: bytes, lifetime_seconds: int) -> Any:
        """Returns when it ends."""
        return await self._pool.fetchval(_OPEN_SESSION, platform_id, session_id, token_hash, lifetime_seconds)

    async def session(self, token_hash: bytes) -> Any:
        """The session's row as it stands now, or None."""
        return await self._pool.fetchrow(_SESSION, token_hash)

    async def close_session(self, platform_id: UUID, session_id: UUID) -> None:
        await self._pool.execute(_CLOSE_SESSION, platform_id, session_id)

    async def request_code(self, code: NewCode, job: bytes, *, channel: Channel) -> None:
        """Stores the code, makes older ones of the session and this way void and enqueues the mail or the text, in one transaction; the same
        whoever it is for.
        """
        request, work = _REQUESTS[channel]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                request,
                code.platform_id,
                code.session_id,
                code.id,
                code.email,
                code.order_ref,
                code.hash,
                code.sealed,
                code.language,
                code.lifetime_seconds,
            )
            await enqueue(connection, work, job, priority=_CODE_JOB_PRIORITY)

    async def take_try(self, platform_id: UUID, session_id: UUID) -> Sequence[CodeTried]:
        """Uses up one try of each of the session's live codes: at most one by mail and one by text."""
        rows = await self._pool.fetch(_TAKE_TRY, platform_id, session_id)
        return [CodeTried(id=row["id"], hash=row["hash"], channel=row["channel"], written_to=row["written_to"]) for row in rows]

    async def prove(
        self, platform_id: UUID, session_id: UUID, code_id: UUID, *, channel: Channel, verified_seconds: int, strong_seconds: int
    ) -> Any:
        """Uses the code up and raises the session by what such a code proves; returns until when, or None when it proves nothing any more:
        another request used it first, or (of a text) the phone is no longer that buyer's.
        """
        return await self._pool.fetchval(
            _PROVE if channel == "mail" else _TEXT_PROVE, platform_id, session_id, code_id, verified_seconds, strong_seconds
        )

    async def code_to_send(self, platform_id: UUID, code_id: UUID) -> Any:
        """Sealed digits, address (null: nobody that we know) and language; None when it is too late."""
        return await self._pool.fetchrow(_CODE_TO_SEND, platform_id, code_id)

    async def text_to_send(self, platform_id: UUID, code_id: UUID) -> Any:
        """Sealed digits, phone (null: none that we know) and language; None when it is too late."""
        return await self._pool.fetchrow(_TEXT_TO_SEND, platform_id, code_id)

    async def text_match(self, platform_id: UUID, code_id: UUID, email: str, order_ref: str) -> str | None:
        """The phone that the text is for now, since the order has arrived."""
        phone: str | None = await self._pool.fetchval(
            "SELECT text_match($1, $2, $3, $4)  -- $1 is platform_id", platform_id, code_id, email, order_ref
        )
        return phone

    async def code_match(self, platform_id: UUID, code_id: UUID, email: str, order_ref: str) -> bool:
        """Whether the code is for that address now, since the order has arrived; `code_to_send` says how it is written there."""
        matched: bool = await self._pool.fetchval(
            "SELECT code_match($1, $2, $3, $4)  -- $1 is platform_id", platform_id, code_id, email, order_ref
        )
        return matched

    async def code_sent(self, platform_id: UUID, code_id: UUID) -> None:
        await self._pool.execute(_CODE_SENT, platform_id, code_id)

    async def open_orders(
        self, platform_id: UUID, *, proofs: Proofs, customer_ref: str | None, only_pass: UUID | None, order_ref: str | None
    ) -> Sequence[OpenOrder]:
        """Newest first; at most OPEN_ORDERS_MAX. One statement."""
        rows = await self._pool.fetch(_OPEN_ORDERS, platform_id, list(proofs), customer_ref, only_pass, order_ref, OPEN_ORDERS_MAX)
        return [
            OpenOrder(
                order_id=row["id"],
                ref=row["ref"],
                role=row["role"],
                pass_id=row["pass_id"],
                customer_ref=row["customer_ref"],
                proven=row["proven"],
            )
            for row in rows
        ]

    async def forget_old(self) -> None:
        """Drops codes, sessions and counts that nothing needs any more, of every platform, a bounded number at a time."""
        for statement in _FORGET:
            await self._pool.execute(statement, _FORGOTTEN_AT_ONCE_MAX)
