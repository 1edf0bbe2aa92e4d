"""What became of it all, counted from both sides: the sandbox's ledger and ours."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

from integrations.sandbox import open_sandbox
from tests.bench.ground import RAIL, Ground
from tests.promises.house import SUMS

_DOUBLES: Final = """
SELECT count(*)::int FROM (SELECT FROM sandbox.refund WHERE account = $1 AND state IN ('ACCEPTED', 'SUCCEEDED') AND payment_ref = ANY($2)
    GROUP BY payment_ref HAVING count(*) > 1) AS twice
"""
_PAID: Final = """
SELECT DISTINCT payment_ref FROM sandbox.refund WHERE account = $1 AND state IN ('ACCEPTED', 'SUCCEEDED') AND payment_ref = ANY($2)
"""
_TIMES: Final = "SELECT extract(epoch FROM made_at)::float AS at FROM sandbox.refund WHERE account = $1 ORDER BY made_at"
_DONE: Final = """
SELECT p.provider_ref FROM operation o JOIN payment p ON p.platform_id = o.platform_id AND p.id = o.payment_id
WHERE o.platform_id = $1 AND o.state = 'DONE' AND p.provider_ref = ANY($2)
"""

# The sums look for what belongs to a payment, one payment after the other; an installation asks so of one order alone.
_FOR_THE_SUMS: Final = (
    "CREATE INDEX IF NOT EXISTS bulk_book ON book (payment_id)",
    "CREATE INDEX IF NOT EXISTS bulk_operation ON operation (payment_id)",
    "ANALYZE",
)
# Each of them reads every row of a table or two.
_SUM_SECONDS_MAX: Final = 120.0


class Count(msgspec.Struct, frozen=True, kw_only=True):
    doubles: int
    """payments that were paid back more than once"""
    lost: int
    """refunds that ended for us and not for the sandbox, or the other way round"""
    left: int
    """not ended yet"""
    most_in_a_second: int
    """the sandbox's busiest second, wherever it begins"""
    broken_sums: Sequence[str]


async def count(at: Ground, numbers: range) -> Count:
    """Of these orders' refunds; the sums and the pace over everything there is."""
    assert at.settings.sandbox_database_url is not None
    refs = [f"ch_B{number}" for number in numbers]
    ended = {row["provider_ref"] for row in await at.pool.fetch(_DONE, at.platform, refs)}
    async with await open_sandbox(at.settings.sandbox_database_url.reveal(), connections_max=1) as pool:
        paid = {row["payment_ref"] for row in await pool.fetch(_PAID, RAIL, refs)}
        doubles: int = await pool.fetchval(_DOUBLES, RAIL, refs)
        times = [row["at"] for row in await pool.fetch(_TIMES, RAIL)]
    for statement in _FOR_THE_SUMS:
        await at.pool.execute(statement, timeout=_SUM_SECONDS_MAX)
    return Count(
        doubles=doubles,
        lost=len(paid ^ ended),
        left=len(refs) - len(ended),
        most_in_a_second=most_in_any_second(times),
        broken_sums=[name for name, query in SUMS.items() if await at.pool.fetchval(f"SELECT EXISTS ({query})", timeout=_SUM_SECONDS_MAX)],
    )


def most_in_any_second(ordered: Sequence[float]) -> int:
    """Over all windows of one second, wherever they begin."""
    return max((bisect_left(ordered, at + 1.0) - place for place, at in enumerate(ordered)), default=0)
