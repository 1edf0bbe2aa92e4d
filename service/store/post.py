"""What a letter needs to know, one statement a letter; the only place, besides the feed, where an address is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.store.pool import Pool

# $1 platform, $2 operation. A pass that admits nobody any more is not sent: its barcode would be refused at the gate.
_TICKET: Final = """
SELECT c.id AS case_id, c.locale, o.result->>'letter' AS letter, p.id AS pass_id, p.barcode, l.name AS title, l.kind,
    coalesce(h.email, b.email) AS address, CASE WHEN h.email IS NULL THEN b.name ELSE h.name END AS name, h.name AS holder,
    s.ref AS show, s.name AS show_name, s.zone, s.starts_at, coalesce(s.settings->>'stream_url', f.settings->>'stream_url') AS stream_url
FROM operation o
JOIN platform f ON f.id = o.platform_id
JOIN cases c ON c.platform_id = $1 AND c.id = o.case_id
JOIN orders d ON d.platform_id = $1 AND d.id = o.order_id
JOIN person b ON b.platform_id = $1 AND b.id = d.buyer_id
JOIN pass p ON p.platform_id = $1 AND p.id = o.pass_id AND p.status = 'valid'
JOIN line l ON l.platform_id = $1 AND l.id = p.line_id
LEFT JOIN person h ON h.platform_id = $1 AND h.id = l.holder_id
JOIN LATERAL (
    SELECT show.* FROM line_show ls JOIN show ON show.platform_id = $1 AND show.id = ls.show_id
    WHERE ls.platform_id = $1 AND ls.line_id = l.id ORDER BY show.id = c.show_id DESC NULLS LAST, show.starts_at LIMIT 1
) s ON true
WHERE o.platform_id = $1 AND o.id = $2
"""

# Who a case's letters go to: its buyer, or the holder who asked. Nobody while it is not known whose order it is.
_ADDRESSEE: Final = """
SELECT c.id AS case_id, c.locale, w.email AS address, w.name, s.name AS show_name, coalesce(s.zone, f.settings->>'zone', 'UTC') AS zone
FROM cases c
JOIN platform f ON f.id = c.platform_id
JOIN orders d ON d.platform_id = $1 AND d.id = c.order_id
JOIN person w ON w.platform_id = $1 AND w.id = case_person($1, c.id)
LEFT JOIN show s ON s.platform_id = $1 AND s.id = c.show_id
WHERE c.platform_id = $1 AND c.id = $2 AND w.email IS NOT NULL
"""

# `whole`: a position of this case's refunds is paid back in full, and so admits nobody any more.
_TOLD: Final = """
SELECT coalesce((SELECT max((t.data->>'version')::bigint) FROM timeline t
        WHERE t.platform_id = $1 AND t.case_id = $2 AND t.kind = 'customer_told'), 0) AS version,
    ARRAY(SELECT (jsonb_array_elements_text(t.data->'operations'))::uuid FROM timeline t
        WHERE t.platform_id = $1 AND t.case_id = $2 AND t.kind = 'customer_told' AND t.data ? 'operations') AS operations,
    (SELECT t.data->>'wait' FROM timeline t WHERE t.platform_id = $1 AND t.case_id = $2 AND t.kind IN ('customer_told', 'mail_refused')
        AND t.data ?| '{version,wait}' ORDER BY t.seq DESC LIMIT 1) AS wait,
    EXISTS (SELECT FROM operation o JOIN operation_part part ON part.platform_id = $1 AND part.operation_id = o.id
        JOIN line l ON l.platform_id = $1 AND l.id = part.line_id
        WHERE o.platform_id = $1 AND o.case_id = $2 AND o.state NOT IN ('REFUSED', 'FAILED') AND l.price > 0 AND l.awarded = l.price) AS whole
"""

_REPLY: Final = """
SELECT m.case_id, m.author, m.body, EXISTS (SELECT FROM timeline t WHERE t.platform_id = $1 AND t.case_id = m.case_id
    AND t.kind = 'customer_told' AND t.data->>'message' = m.id::text) AS told
FROM message m WHERE m.platform_id = $1 AND m.id = $2 AND m.kind = 'reply'
"""


# The letter went out, or the question was answered without it.
_ASKED: Final = """
SELECT EXISTS (SELECT FROM timeline WHERE platform_id = $1 AND case_id = $2 AND kind IN ('customer_told', 'mail_refused')
        AND data->>'letter' = 'after_show')
    OR EXISTS (SELECT FROM satisfaction WHERE platform_id = $1 AND case_id = $2 AND asked = 'after_show' AND score IS NOT NULL)
"""


class PassToSend(msgspec.Struct, frozen=True, kw_only=True):
    case_id: UUID
    locale: str
    letter: str
    pass_id: UUID
    barcode: str
    title: str
    kind: str
    address: str
    name: str | None
    holder: str | None
    show: str
    show_name: Mapping[str, str]
    zone: str
    starts_at: datetime
    stream_url: str | None


class Addressee(msgspec.Struct, frozen=True, kw_only=True):
    """Who a case's letters go to, and the show they are about (none: the platform itself)."""

    case_id: UUID
    locale: str
    address: str
    name: str | None
    show_name: Mapping[str, str] | None
    zone: str


class ToldBefore(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier letters of the case have said."""

    version: int
    operations: frozenset[UUID]
    wait: str | None
    """what the last of them said the case waits for"""
    whole: bool


class FileToSend(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    size: int
    content: bytes
    """empty where it is larger than was asked for"""


class ReplyToSend(msgspec.Struct, frozen=True, kw_only=True):
    case_id: UUID
    author: str
    body: str
    told: bool


async def pass_to_send(pool: Pool, platform: UUID, operation: UUID) -> PassToSend | None:
    """None: there is no address, or the pass admits nobody any more."""
    row = await pool.fetchrow(_TICKET, platform, operation)
    return None if row is None or row["address"] is None or row["letter"] is None else PassToSend(**dict(row))


async def addressee(pool: Pool, platform: UUID, case: UUID) -> Addressee | None:
    """None: it is not known whose order it is, or there is no address."""
    row = await pool.fetchrow(_ADDRESSEE, platform, case)
    return None if row is None else Addressee(**dict(row))


async def told_before(pool: Pool, platform: UUID, case: UUID) -> ToldBefore:
    row = await pool.fetchrow(_TOLD, platform, case)
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return ToldBefore(version=row["version"], operations=frozenset(row["operations"]), wait=row["wait"], whole=row["whole"])


async def reply_to_send(pool: Pool, platform: UUID, message: UUID) -> ReplyToSend | None:
    row = await pool.fetchrow(_REPLY, platform, message)
    return None if row is None else ReplyToSend(**dict(row))


async def files_to_send(pool: Pool, platform: UUID, message: UUID, bytes_max: int) -> Sequence[FileToSend]:
    """What came with a reply: with the content where all of it together is at most so large, else without."""
    rows = await pool.fetch(
        """
        SELECT name, type, length(bytes) AS size, CASE WHEN (SELECT sum(length(bytes)) FROM attachment
            WHERE platform_id = $1 AND message_id = $2) <= $3 THEN bytes ELSE ''::bytea END AS content
        FROM attachment WHERE platform_id = $1 AND message_id = $2 ORDER BY id
        """,
        platform,
        message,
        bytes_max,
    )
    return [FileToSend(**dict(row)) for row in rows]


async def asked_after_show(pool: Pool, platform: UUID, case: UUID) -> bool:
    """Whether the question after the show was sent, or answered, before."""
    found: bool = await pool.fetchval(_ASKED, platform, case)
    return found
