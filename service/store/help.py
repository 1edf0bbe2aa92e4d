"""Reads what the help widget shows before a case is opened: the show's own row, a customer's orders by show, their cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.store.pool import Pool

# What a screen of a phone lists; whoever has more names the show.
ENTRIES_MAX: Final = 20
CASES_MAX: Final = 20
# A group order's tickets; what is more is not listed one by one.
_ITEMS_MAX: Final = 50


class ShowNow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    name: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    zone: str
    status: str


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    pass_id: UUID | None


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One order of the caller's and one of its shows, with what is theirs of it."""

    order_id: UUID
    order: str
    role: str
    total: int
    currency: str
    show: ShowNow | None
    items: tuple[ItemRow, ...]
    dead_links: tuple[UUID, ...]
    """passes to the stream that had links, of which none opens anything any more"""
    unsent: tuple[UUID, ...]
    """passes whose last letter did not arrive, by our own mail or as the platform says"""
    open_problems: tuple[str, ...]
    """what a case is open for already"""


class CaseLineRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    problem: str
    order: str | None
    show: str | None
    show_name: Mapping[str, str] | None
    state: str
    outcome: str | None
    owner: str | None
    wait_for: str | None
    created_at: datetime
    ended_at: datetime | None


_SHOW: Final = """
SELECT jsonb_build_object('now', (SELECT app_now()), 'show', (SELECT jsonb_build_object('id', id, 'ref', ref, 'name', name,
    'starts_at', starts_at, 'ends_at', ends_at, 'zone', zone, 'status', status) FROM show WHERE platform_id = $1 AND ref = $2::text))::text
"""

# $1 platform, $2 orders that the caller bought, $3 passes that they hold, $4 a show's reference or null, $5 how many.
# A line without a show (an article, a fee) belongs to each show of its order, as where a case is decided.
_ENTRIES: Final = """
WITH mine AS MATERIALIZED (
    SELECT o.id, o.ref, o.total, o.currency, o.placed_at, 'buyer' AS role, NULL::uuid[] AS lines
    FROM orders o WHERE o.platform_id = $1 AND o.id = ANY ($2::uuid[])
    UNION ALL
    SELECT o.id, o.ref, o.total, o.currency, o.placed_at, 'holder', array_agg(p.line_id)
    FROM pass p JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id
    WHERE p.platform_id = $1 AND p.id = ANY ($3::uuid[]) AND NOT o.id = ANY ($2) GROUP BY o.platform_id, o.id
), entry AS MATERIALIZED (
    SELECT m.*, s.show_id, show.starts_at FROM mine m
    LEFT JOIN LATERAL (SELECT DISTINCT x.show_id FROM line l JOIN line_show x ON x.platform_id = l.platform_id AND x.line_id = l.id
        WHERE l.platform_id = $1 AND l.order_id = m.id AND (m.lines IS NULL OR l.id = ANY (m.lines))) s ON true
    LEFT JOIN show ON show.platform_id = $1 AND show.id = s.show_id
    WHERE $4::text IS NULL OR show.ref = $4 OR show.id IS NULL
    ORDER BY m.placed_at DESC, m.id, show.starts_at DESC, show.id LIMIT $5
)
SELECT jsonb_build_object('now', (SELECT app_now()), 'entries', coalesce((SELECT jsonb_agg(jsonb_build_object(
    'order_id', e.id, 'order', e.ref, 'role', e.role, 'total', e.total, 'currency', e.currency,
    'show', (SELECT jsonb_build_object('id', id, 'ref', ref, 'name', name, 'starts_at', starts_at, 'ends_at', ends_at, 'zone', zone,
        'status', status) FROM show WHERE platform_id = $1 AND id = e.show_id),
    'items', coalesce((SELECT jsonb_agg(jsonb_build_object('name', i.name, 'kind', i.kind, 'pass_id', i.pass_id) ORDER BY i.id) FROM (
        SELECT l.id, l.name, l.kind, (SELECT p.id FROM pass p WHERE p.platform_id = $1 AND p.line_id = l.id AND p.status = 'valid') AS pass_id
        FROM line l WHERE l.platform_id = $1 AND l.order_id = e.id AND l.type = 'position' AND (e.lines IS NULL OR l.id = ANY (e.lines))
          AND (NOT EXISTS (SELECT FROM line_show x WHERE x.platform_id = $1 AND x.line_id = l.id)
               OR EXISTS (SELECT FROM line_show x WHERE x.platform_id = $1 AND x.line_id = l.id AND x.show_id = e.show_id))
        ORDER BY l.id LIMIT $6) i), '[]'),
    'dead_links', coalesce((SELECT jsonb_agg(p.id ORDER BY p.id) FROM pass p JOIN line l ON l.platform_id = p.platform_id AND l.id = p.line_id
        WHERE p.platform_id = $1 AND p.order_id = e.id AND p.status = 'valid' AND l.kind = 'stream' AND (e.lines IS NULL OR l.id = ANY (e.lines))
          AND EXISTS (SELECT FROM line_show x WHERE x.platform_id = $1 AND x.line_id = l.id AND x.show_id = e.show_id)
          AND (EXISTS (SELECT FROM access_token t WHERE t.platform_id = $1 AND t.pass_id = p.id AND t.state <> 'revoked' AND t.show_id = e.show_id)
               OR EXISTS (SELECT FROM access_token t WHERE t.platform_id = $1 AND t.pass_id = p.id AND t.state = 'revoked' AND t.show_id = e.show_id))
          AND NOT EXISTS (SELECT FROM access_token t WHERE t.platform_id = $1 AND t.pass_id = p.id AND t.state <> 'revoked'
              AND t.show_id = e.show_id AND t.expires_at > (SELECT app_now()))), '[]'),
    'unsent', coalesce((SELECT jsonb_agg(p.id ORDER BY p.id) FROM pass p JOIN line l ON l.platform_id = p.platform_id AND l.id = p.line_id
        WHERE p.platform_id = $1 AND p.order_id = e.id AND p.status = 'valid' AND (e.lines IS NULL OR l.id = ANY (e.lines))
          AND EXISTS (SELECT FROM line_show x WHERE x.platform_id = $1 AND x.line_id = l.id AND x.show_id = e.show_id)
          -- What we sent ourselves is newer than what the platform said.
          AND coalesce((SELECT x.state IN ('REFUSED', 'FAILED') FROM operation x WHERE x.platform_id = $1 AND x.order_id = e.id
                  AND x.pass_id = p.id AND x.action = 'resend_pass' ORDER BY x.created_at DESC, x.id DESC LIMIT 1),
              l.fed_pass->>'barcode' = p.barcode AND l.fed_pass->>'delivery' IN ('bounced', 'not_sent'))), '[]'),
    'open_problems', coalesce((SELECT jsonb_agg(DISTINCT s.problem) FROM case_subject s WHERE s.platform_id = $1 AND s.order_id = e.id
        AND s.show_id IS NOT DISTINCT FROM e.show_id AND s.open), '[]')
    ) ORDER BY e.placed_at DESC, e.id, e.starts_at DESC, e.show_id) FROM entry e), '[]'))::text
"""

# $1 platform, $2 orders that the caller bought, $3 passes that they hold, $4 their session or null, $5 the caller's key, $6 how many.
# A holder is shown what they asked for about a pass of their own, and nothing that the buyer asked for.
_CASES: Final = """
SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'problem', c.problem, 'order', coalesce(o.ref, c.claimed_order),
    'show', show.ref, 'show_name', show.name, 'state', c.state, 'outcome', c.outcome, 'owner', c.owner, 'wait_for', c.wait_for,
    'created_at', c.created_at, 'ended_at', c.ended_at) ORDER BY c.created_at DESC, c.id), '[]')::text
FROM (SELECT * FROM (
        SELECT * FROM cases WHERE platform_id = $1 AND order_id = ANY ($2::uuid[])
        UNION
        SELECT k.* FROM cases k WHERE k.platform_id = $1 AND k.requester = 'holder'
          AND k.order_id IN (SELECT order_id FROM pass WHERE platform_id = $1 AND id = ANY ($3::uuid[]))
          AND EXISTS (SELECT FROM case_subject s JOIN pass q ON q.platform_id = $1 AND q.id = s.pass_id
              JOIN pass held ON held.platform_id = $1 AND held.line_id = q.line_id AND held.id = ANY ($3)
              WHERE s.platform_id = $1 AND s.case_id = k.id)
        UNION
        SELECT * FROM cases WHERE platform_id = $1 AND session_id = $4::uuid AND opened_by = $5
        UNION
        SELECT * FROM cases WHERE platform_id = $1 AND session_id IS NULL AND opened_by = $5 AND opened_by LIKE 'customer:%'
    ) theirs WHERE platform_id = $1 AND state <> 'joined' ORDER BY created_at DESC, id LIMIT $6) c
LEFT JOIN orders o ON o.platform_id = $1 AND o.id = c.order_id
LEFT JOIN show ON show.platform_id = $1 AND show.id = c.show_id
"""


class ShowRead(msgspec.Struct, frozen=True, kw_only=True):
    now: datetime
    """the database's clock"""
    show: ShowNow | None


class EntriesRead(msgspec.Struct, frozen=True, kw_only=True):
    now: datetime
    entries: tuple[EntryRow, ...]


_SHOW_READ: Final = msgspec.json.Decoder(ShowRead)
_ENTRIES_READ: Final = msgspec.json.Decoder(EntriesRead)
_CASES_READ: Final = msgspec.json.Decoder(tuple[CaseLineRow, ...])


class HelpStore:
    """Each method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def show(self, platform: UUID, ref: str | None) -> ShowRead:
        return _SHOW_READ.decode(await self._pool.fetchval(_SHOW, platform, ref))

    async def entries(self, platform: UUID, *, bought: Sequence[UUID], held: Sequence[UUID], show: str | None) -> EntriesRead:
        """Orders of the caller by show, newest first; with a show's reference those of that show, and what is for none."""
        found = await self._pool.fetchval(_ENTRIES, platform, bought, held, show, ENTRIES_MAX, _ITEMS_MAX)
        return _ENTRIES_READ.decode(found)

    async def cases(
        self, platform: UUID, *, bought: Sequence[UUID], held: Sequence[UUID], session: UUID | None, opener: str
    ) -> tuple[CaseLineRow, ...]:
        """Cases that the caller may look at, newest first."""
        return _CASES_READ.decode(await self._pool.fetchval(_CASES, platform, bought, held, session, opener, CASES_MAX))
