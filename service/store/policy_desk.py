"""What each rule decided today, from the decisions themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from service.store.pool import Pool

# A case that is decided again by the same rule is one case, and its money is that of the newest time.
_TODAY: Final = """
WITH said AS (
    SELECT d.case_id, d.id, d.created_at, v->'verdict'->>'pack' AS pack, v->'verdict'->>'rule' AS rule, o.currency,
           coalesce((SELECT sum((a->>'amount')::bigint) FROM jsonb_array_elements(v->'verdict'->'actions') AS a), 0) AS amount
    FROM decision AS d
    JOIN cases AS c ON c.platform_id = d.platform_id AND c.id = d.case_id
    LEFT JOIN orders AS o ON o.platform_id = c.platform_id AND o.id = c.order_id
    CROSS JOIN LATERAL jsonb_array_elements(d.verdicts) AS v
    WHERE d.platform_id = $1 AND d.created_at >= date_trunc('day', (SELECT app_now()) AT TIME ZONE $2) AT TIME ZONE $2
), newest AS (
    SELECT *, id = first_value(id) OVER (PARTITION BY case_id, pack, rule ORDER BY created_at DESC, id DESC) AS is_newest FROM said
)
SELECT pack, rule, currency, count(DISTINCT case_id)::bigint AS cases, coalesce(sum(amount) FILTER (WHERE is_newest), 0)::bigint AS money
FROM newest GROUP BY pack, rule, currency
"""


class RuleToday(msgspec.Struct, frozen=True, kw_only=True):
    """Cases of one currency (None: without an order) and what was approved for them, in minor units."""

    pack: str
    rule: str
    currency: str | None
    cases: int
    money: int


async def today(pool: Pool, platform: UUID, zone: str) -> Sequence[RuleToday]:
    """Since midnight in the platform's zone."""
    return [RuleToday(**dict(row)) for row in await pool.fetch(_TODAY, platform, zone)]
