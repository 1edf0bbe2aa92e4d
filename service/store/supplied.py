"""What a platform has fed so far, kind by kind: the statement of `service.wants`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from service.store.pool import Pool

# What `makegood check-platform` feeds is no proof that the platform does: its references and its address begin like this.
TRIAL: Final = "makegood-check"

# Each stops at the first row that it finds. Where there is none it reads a platform's rows once, for whoever runs a check by hand.
_SUPPLIED: Final = """
SELECT EXISTS (SELECT 1 FROM show WHERE platform_id = $1 AND NOT starts_with(ref, $2)) AS shows,
       EXISTS (SELECT 1 FROM orders WHERE platform_id = $1 AND NOT starts_with(ref, $2)) AS orders,
       EXISTS (SELECT 1 FROM pass WHERE platform_id = $1 AND NOT starts_with(barcode, $2)) AS passes,
       EXISTS (SELECT 1 FROM pass WHERE platform_id = $1 AND checked_in_at IS NOT NULL) AS check_ins,
       EXISTS (SELECT 1 FROM incident WHERE platform_id = $1) AS incidents,
       EXISTS (SELECT 1 FROM incident WHERE platform_id = $1 AND (scope ? 'regions' OR scope ? 'devices')) AS scoped_incidents,
       EXISTS (SELECT 1 FROM show WHERE platform_id = $1 AND (settings->'articles' <> '{}' OR settings->'known_errors' <> '{}')) AS articles,
       EXISTS (SELECT 1 FROM show WHERE platform_id = $1 AND settings->'rollback' = 'true') AS rollback,
       EXISTS (SELECT 1 FROM person WHERE platform_id = $1 AND email IS NOT NULL AND NOT starts_with(email, $2)) AS addresses,
       EXISTS (SELECT 1 FROM orders WHERE platform_id = $1 AND customer_ref IS NOT NULL AND NOT starts_with(ref, $2)) AS customers,
       EXISTS (SELECT 1 FROM orders WHERE platform_id = $1 AND cancelled_at IS NOT NULL AND NOT starts_with(ref, $2)) AS cancellations,
       EXISTS (SELECT 1 FROM payment WHERE platform_id = $1 AND rail IS NOT NULL) AS payments
"""


async def supplied(pool: Pool, platform: UUID) -> Mapping[str, bool]:
    """Kind -> whether the platform has ever fed it."""
    row = await pool.fetchrow(_SUPPLIED, platform, TRIAL)
    return {} if row is None else dict(row)
