"""Reads the View: one statement, so that a decision sees one moment."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from service.callers import NOTHING_PROVEN, Caller, Proofs
from service.store.pool import Pool
from service.view import View

_DECODER: Final = msgspec.json.Decoder(View)

# $1 platform, $2 order id, $3 order ref, $4 show id, $5 show ref, $6 what the caller has proved.
# Without a show the order's only show is taken; personal data is compared here and never returned.
_VIEW: Final = """
WITH o AS MATERIALIZED (
    SELECT * FROM orders WHERE platform_id = $1 AND (id = $2 OR ($2::uuid IS NULL AND ref = $3::text))
), l AS MATERIALIZED (
    SELECT line.*, ARRAY(SELECT show_id FROM line_show WHERE platform_id = $1 AND line_id = line.id) AS shows
    FROM line WHERE platform_id = $1 AND order_id = (SELECT id FROM o)
), same AS MATERIALIZED (
    -- Every order brings its buyer anew: who has the same address is the same customer.
    SELECT q.id FROM person p JOIN person q ON q.platform_id = $1 AND q.email IS NOT NULL AND lower(q.email) = lower(p.email)
        AND address_folded(q.email) = address_folded(p.email)
    WHERE p.platform_id = $1 AND p.id = (SELECT buyer_id FROM o)
), s AS (
    SELECT * FROM show WHERE platform_id = $1 AND CASE
        WHEN $4::uuid IS NOT NULL THEN id = $4
        WHEN $5::text IS NOT NULL THEN ref = $5
        ELSE id = (SELECT min(one::text)::uuid FROM l, unnest(l.shows) AS one HAVING count(DISTINCT one) = 1) END
)
SELECT jsonb_build_object(
    'now', (SELECT app_now()),
    'platform', (SELECT settings FROM platform WHERE id = $1), 'packs', (SELECT packs FROM platform WHERE id = $1),
    'show', (SELECT jsonb_build_object('id', id, 'ref', ref, 'version', version, 'name', name, 'zone', zone, 'starts_at', starts_at, 'ends_at', ends_at,
        'status', status, 'settings', settings, 'incidents', coalesce((SELECT jsonb_agg(jsonb_build_object('id', i.id, 'ref', i.ref, 'kind', i.kind,
            'starts_at', i.starts_at, 'ends_at', i.ends_at, 'scope', i.scope) ORDER BY i.starts_at, i.ref)
            FROM incident i WHERE i.platform_id = $1 AND i.show_id = s.id), '[]')) FROM s),
    'order', (SELECT jsonb_build_object('id', o.id, 'ref', o.ref, 'status', o.status, 'currency', o.currency, 'total', o.total,
        'customer_ref', o.customer_ref, 'buyer', coalesce((SELECT min(id::text)::uuid FROM same), o.buyer_id), 'locale', o.locale, 'placed_at', o.placed_at, 'cancelled_at', o.cancelled_at,
        'buyer_proven', (SELECT buyer_proven(email, phone, $6::text[]) FROM person WHERE platform_id = $1 AND id = o.buyer_id),
        'buyer_has_address', (SELECT email IS NOT NULL FROM person WHERE platform_id = $1 AND id = o.buyer_id),
        'lines', coalesce((SELECT jsonb_agg(jsonb_build_object('id', l.id, 'ref', l.ref, 'type', l.type, 'kind', l.kind, 'name', l.name,
            'price', l.price, 'tax', l.tax, 'awarded', l.awarded, 'canceled', l.canceled, 'refundable', l.refundable, 'shows', to_jsonb(l.shows),
            'mine', holder_proven(h.email, $6), 'has_address', h.email IS NOT NULL) ORDER BY l.type DESC, l.id)
            FROM l LEFT JOIN person h ON h.platform_id = $1 AND h.id = l.holder_id), '[]'),
        'payments', coalesce((SELECT jsonb_agg(jsonb_build_object('id', p.id, 'ref', p.ref, 'rail', p.rail, 'provider_ref', p.provider_ref, 'status', p.status, 'amount', p.amount,
            'captured', p.captured, 'reserved', p.reserved, 'refunded', p.refunded, 'elsewhere', p.refunded_elsewhere, 'dispute', p.dispute,
            'method', p.method, 'paid_at', p.paid_at, 'created_at', p.created_at) ORDER BY coalesce(p.paid_at, p.created_at), p.ref)
            FROM payment p WHERE p.platform_id = $1 AND p.order_id = o.id), '[]'),
        'passes', coalesce((SELECT jsonb_agg(jsonb_build_object('id', p.id, 'line', p.line_id, 'issuer', p.issuer, 'status', p.status,
            'checked_in_at', p.checked_in_at,
            'replacements', (SELECT count(*) - 1 FROM pass q WHERE q.platform_id = $1 AND q.line_id = p.line_id AND q.order_id = o.id),
            'resends_24h', (SELECT count(*) FROM operation x WHERE x.platform_id = $1 AND x.order_id = o.id AND x.pass_id = p.id
                AND x.action = 'resend_pass' AND x.created_at > (SELECT app_now()) - interval '24 hours'),
            'reissues_24h', (SELECT count(*) FROM operation x WHERE x.platform_id = $1 AND x.order_id = o.id AND x.pass_id = p.id
                AND x.action = 'reissue_access' AND x.created_at > (SELECT app_now()) - interval '24 hours'),
            'suspended', EXISTS (SELECT FROM access_token t WHERE t.platform_id = $1 AND t.pass_id = p.id AND t.state = 'suspended')) ORDER BY p.id)
            FROM pass p WHERE p.platform_id = $1 AND p.order_id = o.id), '[]'),
        'harms', coalesce((SELECT jsonb_agg(jsonb_build_object('line', h.line_id, 'payment', h.payment_id, 'cause', h.cause, 'awarded', h.awarded))
            FROM harm h WHERE h.platform_id = $1 AND h.order_id = o.id), '[]'),
        -- Order by order: an OR over both would read every operation of the platform.
        'refunds_90d', (SELECT count(DISTINCT x.case_id) FROM (SELECT o.id UNION SELECT other.id FROM same JOIN orders other
                ON other.platform_id = $1 AND other.buyer_id = same.id) mine
            CROSS JOIN LATERAL (SELECT x.case_id FROM operation x WHERE x.platform_id = $1 AND x.order_id = mine.id AND x.action = 'refund'
                AND x.state NOT IN ('REFUSED', 'FAILED') AND x.created_at > (SELECT app_now()) - interval '90 days' OFFSET 0) x),
        'cases_24h', (SELECT count(*) FROM cases c WHERE c.platform_id = $1 AND c.order_id = o.id
            AND c.created_at > (SELECT app_now()) - interval '24 hours')) FROM o)
)::text
"""


async def read(
    pool: Pool,
    platform: UUID,
    *,
    order: UUID | None = None,
    order_ref: str | None = None,
    show: UUID | None = None,
    show_ref: str | None = None,
    proofs: Proofs = NOTHING_PROVEN,
) -> View:
    """The View of an order (by id or reference) and a show (by id, by reference, or the order's only one)."""
    text = await pool.fetchval(_VIEW, platform, order, order_ref, show, show_ref, list(proofs))
    return _DECODER.decode(text)


async def orders_open_to(pool: Pool, caller: Caller, show: UUID | None) -> list[str]:
    """References of the caller's own orders (bought, or with a ticket held), newest first, at most 50; of one show if given."""
    rows = await pool.fetch(
        """
        WITH theirs AS (
            SELECT id FROM orders WHERE platform_id = $1 AND customer_ref = $2::text
            UNION
            SELECT o.id FROM person b JOIN orders o ON o.platform_id = $1 AND o.buyer_id = b.id
            WHERE b.platform_id = $1 AND lower(b.email) IN (($3::text[])[1], ($3::text[])[2]) AND buyer_proven(b.email, b.phone, $3) IS NOT NULL
            UNION
            SELECT l.order_id FROM person h JOIN line l ON l.platform_id = $1 AND l.holder_id = h.id
            WHERE h.platform_id = $1 AND lower(h.email) = ($3::text[])[1] AND holder_proven(h.email, $3)
        )
        SELECT o.ref FROM theirs JOIN orders o ON o.platform_id = $1 AND o.id = theirs.id
        WHERE ($4::uuid IS NULL OR EXISTS (SELECT FROM line JOIN line_show s ON s.platform_id = $1 AND s.line_id = line.id
               WHERE line.platform_id = $1 AND line.order_id = o.id AND s.show_id = $4))
        ORDER BY o.placed_at DESC LIMIT 50
        """,
        caller.platform_id,
        caller.customer_ref,
        list(caller.proofs),
        show,
    )
    return [row["ref"] for row in rows]
