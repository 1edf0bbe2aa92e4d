"""What must be true of the books, the ledger and the cases afterwards; each violation names its order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from service.store.pool import Pool
from tests.sweep.installation import RAIL, Installation

# What becomes of a case; anything else is a violation.
ENDS: Final = ("resolved", "denied", "asked", "waiting", "handed_over", "joined")

_CASES: Final = """
    SELECT o.ref AS "order", c.problem, c.owner, c.due_at,
        CASE WHEN c.state <> 'open' THEN c.state
             WHEN c.owner IN ('queue', 'agent') THEN 'handed_over'
             WHEN c.owner = 'timer' THEN CASE WHEN c.wait_for LIKE 'answer:%' THEN 'asked' ELSE 'waiting' END
             ELSE 'unfinished: ' || coalesce(c.owner, 'nobody') END AS "end",
        c.state = 'open' AND (c.owner IS NULL OR c.due_at IS NULL) AS lost
    FROM cases c LEFT JOIN orders o ON o.platform_id = c.platform_id AND o.id = c.order_id
"""

# Each payment with what our books and our operations say of it.
_PAYMENTS: Final = """
    SELECT o.ref AS "order", p.ref, p.provider_ref, p.rail, p.captured, p.reserved, p.refunded, p.refunded_elsewhere,
        (SELECT coalesce(sum(CASE 'paid_out:' || p.rail WHEN b.credit THEN b.amount WHEN b.debit THEN -b.amount END), 0)
         FROM book b WHERE b.platform_id = p.platform_id AND b.payment_id = p.id)::bigint AS booked,
        (SELECT coalesce(sum(x.amount), 0) FROM operation x WHERE x.platform_id = p.platform_id AND x.payment_id = p.id
            AND x.state = 'DONE')::bigint AS done,
        (SELECT coalesce(sum(x.amount), 0) FROM operation x WHERE x.platform_id = p.platform_id AND x.payment_id = p.id
            AND x.ended_at IS NULL)::bigint AS under_way
    FROM payment p JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id
"""

# An award and its parts, a line and its awards: what ended REFUSED or FAILED has given its part back.
_AWARDS: Final = """
    SELECT o.ref AS "order", 'harm ' || h.cause || ' awarded ' || h.awarded || ', its parts are ' || parts.amount AS text
    FROM harm h JOIN orders o ON o.platform_id = h.platform_id AND o.id = h.order_id CROSS JOIN LATERAL (
        SELECT coalesce(sum(part.amount), 0) AS amount FROM operation_part part
        JOIN operation x ON x.platform_id = part.platform_id AND x.id = part.operation_id AND x.state NOT IN ('REFUSED', 'FAILED')
        WHERE part.platform_id = h.platform_id AND part.harm_id = h.id) parts
    WHERE parts.amount <> h.awarded
    UNION ALL
    SELECT o.ref, 'line ' || l.ref || ' awarded ' || l.awarded || ' of ' || l.price || ', its harms are ' || harms.amount
    FROM line l JOIN orders o ON o.platform_id = l.platform_id AND o.id = l.order_id CROSS JOIN LATERAL (
        SELECT coalesce(sum(h.awarded), 0) AS amount FROM harm h WHERE h.platform_id = l.platform_id AND h.line_id = l.id) harms
    WHERE harms.amount <> l.awarded OR l.awarded > l.price
"""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    order: str
    text: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """`ends`: (problem, end) -> how many."""

    ends: Mapping[tuple[str, str], int]
    refunds: int
    refunded: Mapping[str, int]
    violations: tuple[Violation, ...]


async def look(at: Installation) -> Seen:
    ends, of_cases = await _cases(at.pool)
    refunds, refunded, of_payments = await _payments(at)
    of_awards = [Violation(order=row["order"], text=row["text"]) for row in await at.pool.fetch(_AWARDS)]
    return Seen(ends=ends, refunds=refunds, refunded=refunded, violations=(*of_cases, *of_payments, *of_awards))


async def _cases(pool: Pool) -> tuple[Mapping[tuple[str, str], int], list[Violation]]:
    ends: Counter[tuple[str, str]] = Counter()
    found: list[Violation] = []
    for row in await pool.fetch(_CASES):
        ends[row["problem"], row["end"]] += 1
        order = row["order"] or "no order"
        if row["lost"]:
            found.append(Violation(order=order, text=f"{row['problem']}: open, with owner {row['owner']} and due at {row['due_at']}"))
        if row["end"] not in ENDS:
            found.append(Violation(order=order, text=f"{row['problem']}: {row['end']}"))
    return ends, found


async def _payments(at: Installation) -> tuple[int, Mapping[str, int], list[Violation]]:
    """Our books against the ledger of the other side, payment by payment."""
    ledger = {line.payment_ref: line for line in await at.books.ledger()}
    refunds, refunded, found = 0, Counter[str](), list[Violation]()
    for row in await at.pool.fetch(_PAYMENTS):
        line = ledger.get(row["provider_ref"]) if row["rail"] == RAIL else None
        paid = line.refunded_minor if line else 0
        refunds += line.refunds if line else 0
        refunded[line.currency if line else ""] += paid
        told: Sequence[tuple[bool, str]] = (
            (paid + row["refunded_elsewhere"] > row["captured"], f"{paid} + {row['refunded_elsewhere']} elsewhere of {row['captured']}"),
            (paid != row["refunded"], f"the ledger paid {paid}, the payment says {row['refunded']}"),
            (paid != row["booked"], f"the ledger paid {paid}, the books say {row['booked']}"),
            (paid != row["done"], f"the ledger paid {paid}, the operations say {row['done']}"),
            (row["reserved"] != row["under_way"], f"{row['reserved']} reserved, {row['under_way']} under way"),
        )
        found += [Violation(order=row["order"], text=f"payment {row['ref']}: {text}") for wrong, text in told if wrong]
    return refunds, {currency: sum_ for currency, sum_ in refunded.items() if currency}, found
