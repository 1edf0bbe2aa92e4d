"""Reads the books of one order: one statement, so that all that is said of its money is of one moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.callers import Proofs, Proven
from service.store.pool import Pool

# Far more than any order of one customer has; whoever has more reads them in the tables.
OPERATIONS_MAX: Final = 500
MOVEMENTS_MAX: Final = 500


class LineRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    type: str
    kind: str
    name: str
    price: int
    tax: int
    discount: int
    canceled: bool
    awarded: int


class HarmRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    line: UUID | None
    payment: UUID | None
    cause: str
    awarded: int
    minutes: int | None
    """of the show that were missed, as the rule that decided had it; None where no rule decided by minutes"""
    minutes_of: int | None


class PartRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one operation pays for one harm."""

    operation: UUID
    harm: UUID
    line: UUID | None
    amount: int


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ref: str
    rail: str | None
    provider_ref: str | None
    status: str
    captured: int
    reserved: int
    refunded: int
    refunded_elsewhere: int
    dispute: str
    method: str
    paid_at: datetime | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    seq: int
    rail: str
    state: str
    key: str
    provider_ref: str | None
    failure: str | None
    first_sent_at: datetime | None
    succeeded_at: datetime | None


class MoneyOperationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    case: UUID
    action: str
    state: str
    rail: str | None
    payment: UUID | None
    amount: int
    reason: str
    accepted_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    attempts: tuple[AttemptRow, ...]


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of the books leave on one account of one payment: credits less debits."""

    payment: UUID
    account: str
    amount: int


class MovementRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    at: datetime
    debit: str
    credit: str
    amount: int
    payment: UUID
    operation: UUID | None
    attempt: UUID | None


class MoneyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The books of one order, without personal data."""

    ref: str
    currency: str
    total: int
    locale: str
    languages: tuple[str, ...]
    """of the platform"""
    customer_ref: str | None
    buyer_proven: Proven | None
    lines: tuple[LineRow, ...]
    harms: tuple[HarmRow, ...]
    parts: tuple[PartRow, ...]
    """of operations that have not come to nothing, oldest first"""
    payments: tuple[PaymentRow, ...]
    operations: tuple[MoneyOperationRow, ...]
    balances: tuple[BalanceRow, ...]
    movements: tuple[MovementRow, ...]
    """oldest first; of more than MOVEMENTS_MAX the newest"""


_RECORD: Final = msgspec.json.Decoder(MoneyRecord)

# $1 platform, $2 order's reference, $3 what the caller has proved, $4 who of the desk looks, or null: it is kept.
_MONEY: Final = f"""
WITH o AS MATERIALIZED (
    SELECT * FROM orders WHERE platform_id = $1 AND ref = $2
), seen AS (
    INSERT INTO audit (platform_id, at, actor, what, data)
    SELECT $1, (SELECT app_now()), $4::text, 'money_viewed', jsonb_build_object('order', o.id) FROM o WHERE $4 IS NOT NULL RETURNING id
), x AS MATERIALIZED (
    SELECT * FROM operation WHERE platform_id = $1 AND order_id = (SELECT id FROM o)
        AND action IN ('refund', 'goodwill_credit', 'cancel_payment') ORDER BY created_at DESC, id DESC LIMIT {OPERATIONS_MAX}
), b AS MATERIALIZED (
    SELECT book.* FROM book JOIN payment p ON p.platform_id = $1 AND p.id = book.payment_id
    WHERE book.platform_id = $1 AND p.order_id = (SELECT id FROM o)
)
SELECT jsonb_build_object(
    'ref', o.ref, 'currency', o.currency, 'total', o.total, 'locale', o.locale, 'customer_ref', o.customer_ref,
    'languages', coalesce((SELECT settings->'languages' FROM platform WHERE id = $1), '["en"]'),
    'buyer_proven', (SELECT buyer_proven(email, phone, $3::text[]) FROM person WHERE platform_id = $1 AND id = o.buyer_id),
    'lines', coalesce((SELECT jsonb_agg(jsonb_build_object('id', l.id, 'ref', l.ref, 'type', l.type, 'kind', l.kind, 'name', l.name,
        'price', l.price, 'tax', l.tax, 'discount', l.discount, 'canceled', l.canceled, 'awarded', l.awarded) ORDER BY l.type DESC, l.id)
        FROM line l WHERE l.platform_id = $1 AND l.order_id = o.id), '[]'),
    'harms', coalesce((SELECT jsonb_agg(jsonb_build_object('id', h.id, 'line', h.line_id, 'payment', h.payment_id, 'cause', h.cause,
        'awarded', h.awarded, 'minutes', f.facts->'incident.minutes', 'minutes_of', f.facts->'show.minutes') ORDER BY h.id)
        FROM harm h LEFT JOIN LATERAL (
            SELECT v.one->'facts' AS facts FROM operation_part part
            JOIN operation y ON y.platform_id = $1 AND y.id = part.operation_id
            JOIN decision d ON d.platform_id = $1 AND d.id = y.decision_id
            CROSS JOIN jsonb_array_elements(d.verdicts) AS v(one)
            WHERE h.cause LIKE 'incident:%' AND part.platform_id = $1 AND part.harm_id = h.id AND v.one->'subject'->>'id' = h.line_id::text
            ORDER BY d.created_at DESC LIMIT 1) f ON true
        WHERE h.platform_id = $1 AND h.order_id = o.id AND h.awarded > 0), '[]'),
    'parts', coalesce((SELECT jsonb_agg(jsonb_build_object('operation', x.id, 'harm', part.harm_id, 'line', part.line_id, 'amount', part.amount)
        ORDER BY x.created_at, x.id, part.harm_id)
        FROM x JOIN operation_part part ON part.platform_id = $1 AND part.operation_id = x.id WHERE x.state NOT IN ('REFUSED', 'FAILED')), '[]'),
    'payments', coalesce((SELECT jsonb_agg(jsonb_build_object('id', p.id, 'ref', p.ref, 'rail', p.rail, 'provider_ref', p.provider_ref,
        'status', p.status, 'captured', p.captured, 'reserved', p.reserved, 'refunded', p.refunded,
        'refunded_elsewhere', p.refunded_elsewhere, 'dispute', p.dispute, 'method', p.method, 'paid_at', p.paid_at)
        ORDER BY coalesce(p.paid_at, p.created_at), p.ref) FROM payment p WHERE p.platform_id = $1 AND p.order_id = o.id), '[]'),
    'operations', coalesce((SELECT jsonb_agg(jsonb_build_object('id', x.id, 'case', x.case_id, 'action', x.action, 'state', x.state,
        'rail', x.rail, 'payment', x.payment_id, 'amount', coalesce(x.amount, 0), 'reason', x.reason, 'accepted_at', x.accepted_at,
        'created_at', x.created_at, 'ended_at', x.ended_at,
        'attempts', coalesce((SELECT jsonb_agg(jsonb_build_object('id', a.id, 'seq', a.seq, 'rail', a.rail, 'state', a.state, 'key', a.key,
            'provider_ref', a.provider_ref, 'failure', a.failure, 'first_sent_at', a.first_sent_at, 'succeeded_at', a.succeeded_at)
            ORDER BY a.seq) FROM attempt a WHERE a.platform_id = $1 AND a.operation_id = x.id), '[]')) ORDER BY x.created_at, x.id) FROM x), '[]'),
    'balances', coalesce((SELECT jsonb_agg(to_jsonb(s) ORDER BY s.payment, s.account) FROM (
        SELECT b.payment_id AS payment, side.account, sum(side.amount)::bigint AS amount
        FROM b CROSS JOIN LATERAL (VALUES (b.debit, -b.amount), (b.credit, b.amount)) AS side(account, amount)
        GROUP BY b.payment_id, side.account) s), '[]'),
    'movements', coalesce((SELECT jsonb_agg(jsonb_build_object('id', m.id, 'at', m.at, 'debit', m.debit, 'credit', m.credit,
        'amount', m.amount, 'payment', m.payment_id, 'operation', m.operation_id, 'attempt', m.attempt_id) ORDER BY m.id)
        FROM (SELECT * FROM b ORDER BY id DESC LIMIT {MOVEMENTS_MAX}) m), '[]')
)::text
FROM o
"""


async def read(pool: Pool, platform: UUID, ref: str, *, proofs: Proofs, viewer: str | None) -> MoneyRecord | None:
    """The books of an order; None: no such order. `viewer`: a person of the desk, whose look is kept in the audit."""
    text: Any = await pool.fetchval(_MONEY, platform, ref, list(proofs), viewer)
    return None if text is None else _RECORD.decode(text)
