"""Fills a database with refunds that are due, in a few statements, so that every sum is right; and the sandbox with their charges."""

from __future__ import annotations

from typing import Final

from integrations.sandbox import open_sandbox
from tests.bench.ground import RAIL, Ground

AMOUNT: Final = 694
PRICE: Final = 2500
INTERACTIVE: Final = 0
BULK: Final = 2
# Refunds of one statement: ten rows each, which on a busy machine take well less than the 20 s that a statement may.
AT_ONCE: Final = 2_000

# As a decision leaves it whose operations are left to the loop: case, decision, harm, part, operation, what is reserved and owed, timeline.
# $1 platform, $2 first and $3 last number of the orders, $4 show, $5 priority, $6 amount, $7 rail
_REFUNDS: Final = """
WITH n AS MATERIALIZED (
    SELECT o.id AS orders, l.id AS line, p.id AS payment, pass.id AS pass, gen_random_uuid() AS id, gen_random_uuid() AS decision,
        gen_random_uuid() AS harm, gen_random_uuid() AS operation
    FROM generate_series($2::int, $3::int) AS number
    JOIN orders o ON o.platform_id = $1 AND o.ref = 'B' || number
    JOIN line l ON l.platform_id = $1 AND l.order_id = o.id
    JOIN payment p ON p.platform_id = $1 AND p.order_id = o.id
    JOIN pass ON pass.platform_id = $1 AND pass.order_id = o.id),
line AS (UPDATE line SET awarded = $6 FROM n WHERE line.platform_id = $1 AND line.id = n.line),
payment AS (UPDATE payment SET reserved = $6 FROM n WHERE payment.platform_id = $1 AND payment.id = n.payment),
cases AS (INSERT INTO cases (platform_id, id, state, problem, show_id, order_id, requester, identity, channel, locale, owner, due_at,
        outcome, decision_id, rest, timeline_seq, created_at)
    SELECT $1, id, 'open', 'show_cancelled', $4, orders, 'platform', 'verified', 'api', 'en', 'operation',
        (SELECT app_now()) + interval '60 seconds', 'approve', decision, '{"state": "resolved"}', 1, now() FROM n),
subject AS (INSERT INTO case_subject (platform_id, case_id, order_id, show_id, pass_id, problem)
    SELECT $1, id, orders, $4, pass, 'show_cancelled' FROM n),
decision AS (INSERT INTO decision (platform_id, id, case_id, outcome, verdicts, created_at)
    SELECT $1, decision, id, 'approve', '[]', now() FROM n),
harm AS (INSERT INTO harm (platform_id, id, order_id, line_id, cause, awarded)
    SELECT $1, harm, orders, line, 'show_cancelled:live', $6 FROM n),
operation AS (INSERT INTO operation (platform_id, id, case_id, order_id, decision_id, action, state, rail, payment_id, amount, currency,
        reason, priority, due_at, created_at)
    SELECT $1, operation, id, orders, decision, 'refund', 'READY', $7::text, payment, $6, 'EUR',
        'show_cancelled', $5::int, (SELECT app_now()), now() FROM n),
part AS (INSERT INTO operation_part (platform_id, operation_id, harm_id, line_id, amount) SELECT $1, operation, harm, line, $6 FROM n),
book AS (INSERT INTO book (platform_id, at, debit, credit, amount, currency, payment_id, operation_id)
    SELECT $1, now(), 'sales', 'owed_to_customer', $6, 'EUR', payment, operation FROM n)
INSERT INTO timeline (platform_id, case_id, seq, happened_at, source, actor, kind, data)
SELECT $1, id, 1, now(), 'operation', 'operation', 'operation_ready',
    jsonb_build_object('operation', operation, 'amount', $6::bigint) FROM n
"""

_CHARGES: Final = """
INSERT INTO sandbox.charge (account, payment_ref, currency, captured)
SELECT $1, 'ch_B' || number, 'EUR', $2 FROM generate_series($3::int, $4::int) AS number
"""


async def refunds(at: Ground, numbers: range, *, priority: int) -> None:
    """One refund that is due now for each of these orders."""
    for first in range(numbers.start, numbers.stop, AT_ONCE):
        last = min(first + AT_ONCE, numbers.stop) - 1
        await at.pool.execute(_REFUNDS, at.platform, first, last, at.show, priority, AMOUNT, RAIL)
        if first == numbers.start:  # what was planned while the tables were empty reads them whole
            await at.pool.execute("ANALYZE")
    await at.pool.execute("ANALYZE")


async def charges(at: Ground, numbers: range) -> None:
    """Makes the orders' payments known to the sandbox."""
    assert at.settings.sandbox_database_url is not None
    async with await open_sandbox(at.settings.sandbox_database_url.reveal(), connections_max=1) as pool:
        await pool.execute(_CHARGES, RAIL, PRICE, numbers.start, numbers.stop - 1)
