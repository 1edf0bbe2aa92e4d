"""What the tables refuse by themselves, whoever writes to them and however wrongly."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from tests.guards.ground import Ground

# Name -> a first row (or none: it is there already), and the second one that must not be. `:operation` is the order's refund, sent once.
TWICE: Final = {
    "a cause on a line": (
        "",
        """
            INSERT INTO harm (platform_id, id, order_id, line_id, payment_id, cause)
            SELECT ':platform', gen_random_uuid(), order_id, line_id, payment_id, cause FROM harm WHERE order_id = ':order'""",
    ),
    "a refund's part for a harm": (
        "",
        "INSERT INTO operation_part SELECT * FROM operation_part WHERE operation_id = ':operation'",
    ),
    "an attempt's key": (
        "",
        """
            INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state)
            SELECT platform_id, gen_random_uuid(), operation_id, 7, rail, key, request, 'FAILED'
            FROM attempt WHERE operation_id = ':operation'""",
    ),
    "an attempt's number": (
        "",
        """
            INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state)
            SELECT platform_id, gen_random_uuid(), operation_id, seq, rail, key || 'x', request, 'FAILED'
            FROM attempt WHERE operation_id = ':operation'""",
    ),
    "a live attempt": (
        "",
        """
            INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state)
            SELECT platform_id, gen_random_uuid(), operation_id, 7, 'second', key || 'x', request, 'PREPARED'
            FROM attempt WHERE operation_id = ':operation'""",
    ),
    "a try's number": (
        "",
        "INSERT INTO try SELECT * FROM try WHERE attempt_id = (SELECT id FROM attempt WHERE operation_id = ':operation')",
    ),
    "a person's yes": (
        """
            INSERT INTO approval (platform_id, operation_id, agent_id, reason, created_at)
            SELECT ':platform', ':operation', id, 'yes', app_now() FROM agent WHERE platform_id = ':platform'""",
        "INSERT INTO approval SELECT * FROM approval WHERE operation_id = ':operation'",
    ),
    "an open action on a pass": (
        """
            INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, pass_id, due_at, created_at)
            SELECT ':platform', gen_random_uuid(), case_id, order_id, 'replace_pass', 'READY', 'issuer', (SELECT id
            FROM pass WHERE order_id = ':order'), app_now(), app_now() FROM operation WHERE id = ':operation'""",
        """
            INSERT INTO operation (platform_id, id, case_id, order_id, action, state, rail, pass_id, due_at, created_at)
            SELECT ':platform', gen_random_uuid(), case_id, order_id, action, 'SENT', rail, pass_id, due_at, created_at
            FROM operation WHERE order_id = ':order' AND pass_id IS NOT NULL""",
    ),
    "an open case of a subject": (
        """
            INSERT INTO case_subject (platform_id, case_id, order_id, problem)
            SELECT ':platform', case_id, ':order', 'other' FROM operation WHERE id = ':operation'""",
        "INSERT INTO case_subject SELECT * FROM case_subject WHERE order_id = ':order'",
    ),
    "an idempotency key": (
        """
            INSERT INTO idempotency (platform_id, caller, method, path, key, body_hash, resource_id, created_at)
            SELECT ':platform', 'key:shop', 'POST', '/v1/cases', 'once', '', ':order', app_now()""",
        """
            INSERT INTO idempotency
            SELECT platform_id, caller, method, path, key, body_hash, ':operation', created_at
            FROM idempotency WHERE platform_id = ':platform'""",
    ),
    "a refund made elsewhere": (
        """
            INSERT INTO refund_elsewhere (platform_id, payment_id, ref, amount, state)
            SELECT ':platform', id, 'R1', 5, 'done' FROM payment WHERE order_id = ':order'""",
        """
            INSERT INTO refund_elsewhere
            SELECT r.* FROM refund_elsewhere r JOIN payment p ON p.id = r.payment_id WHERE p.order_id = ':order'""",
    ),
    "an echo of a refund of ours": (
        """
            INSERT INTO refund_elsewhere (platform_id, payment_id, ref, amount, state, operation_id)
            SELECT ':platform', payment_id, 'R2', 5, 'done', id FROM operation WHERE id = ':operation' AND order_id = ':order'""",
        """
            INSERT INTO refund_elsewhere (platform_id, payment_id, ref, amount, state, operation_id)
            SELECT ':platform', payment_id, 'R3', 5, 'done', id FROM operation WHERE id = ':operation' AND order_id = ':order'""",
    ),
    "a notification": (
        """
            INSERT INTO webhook_inbox (rail, event_id, kind, about, received_at)
            SELECT ':order', 'evt_1', 'refund.updated', '{}', app_now()""",
        "INSERT INTO webhook_inbox SELECT * FROM webhook_inbox WHERE rail = ':order'",
    ),
    "a dispute": (
        """
            INSERT INTO dispute (platform_id, payment_id, ref, state, amount, told_at)
            SELECT ':platform', payment_id, 'dp_1', 'open', 5, app_now() FROM operation WHERE id = ':operation' AND order_id = ':order'""",
        "INSERT INTO dispute SELECT d.* FROM dispute d JOIN payment p ON p.id = d.payment_id WHERE p.order_id = ':order'",
    ),
    "a share of a cap": (
        """
            INSERT INTO cap_use (platform_id, kind, ref, currency, window_start, slot, used, most)
            SELECT ':platform', 'rail_day', ':order', 'EUR', '2020-01-01', 0, 0, 5""",
        "INSERT INTO cap_use SELECT * FROM cap_use WHERE platform_id = ':platform' AND ref = ':order'",
    ),
    "a charge of an order": (
        "",
        """
            INSERT INTO payment (platform_id, id, order_id, ref, status, amount, currency, captured, created_at)
            SELECT ':platform', gen_random_uuid(), order_id, ref, status, amount, currency, captured, created_at
            FROM payment WHERE order_id = ':order'""",
    ),
    "a valid pass of a line": (
        "",
        """
            INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, created_at)
            SELECT ':platform', gen_random_uuid(), order_id, line_id, issuer, status, barcode || 'x', created_at
            FROM pass WHERE order_id = ':order'""",
    ),
    "a failed sale's rollback": (
        """
            INSERT INTO rollback (platform_id, payment_id, show_id, kind, seen_at, next_look_at)
            SELECT ':platform', payment_id, (SELECT id FROM show WHERE platform_id = ':platform'), 'refund', app_now(), app_now()
            FROM operation WHERE id = ':operation' AND order_id = ':order'""",
        "INSERT INTO rollback SELECT * FROM rollback WHERE platform_id = ':platform'",
    ),
    "a refund found back": (
        """
            INSERT INTO recovered_refund (platform_id, order_id, payment_id, rail, provider_ref, amount, currency, found_at)
            SELECT ':platform', ':order', payment_id, 'first', 're_1', 5, 'EUR', app_now() FROM operation WHERE id = ':operation'""",
        "INSERT INTO recovered_refund SELECT * FROM recovered_refund WHERE order_id = ':order'",
    ),
}

# Name -> a change that no row may see.
NEVER: Final = {
    "more is given back than was captured": "UPDATE payment SET refunded = refunded + 1 WHERE order_id = ':order'",
    "less than nothing is reserved": "UPDATE payment SET reserved = -1 WHERE order_id = ':order'",
    "less than nothing is refunded": "UPDATE payment SET reserved = 0, refunded = -1 WHERE order_id = ':order'",
    "less than nothing was refunded elsewhere": "UPDATE payment SET refunded_elsewhere = -1 WHERE order_id = ':order'",
    "more is promised for a line than was paid for it": "UPDATE line SET awarded = awarded + 1 WHERE order_id = ':order'",
    "less than nothing is promised for a line": "UPDATE line SET awarded = -1 WHERE order_id = ':order'",
    "less than nothing is promised for a harm": "UPDATE harm SET awarded = -1 WHERE order_id = ':order'",
    "a refund of nothing": "UPDATE operation SET amount = 0 WHERE order_id = ':order'",
    "a refund without a payment": "UPDATE operation SET payment_id = NULL WHERE order_id = ':order'",
    "a refund under way that nobody will look at": "UPDATE operation SET due_at = NULL WHERE order_id = ':order'",
    "a cap that is passed": """
        INSERT INTO cap_use (platform_id, kind, ref, currency, window_start, slot, used, most)
        SELECT platform_id, 'rail_day', 'first', 'EUR', '2020-01-01', 0, 6, 5 FROM operation WHERE order_id = ':order'""",
    "a movement from an account to itself": """
        INSERT INTO book (platform_id, at, debit, credit, amount, currency, payment_id)
        SELECT platform_id, app_now(), 'sales', 'sales', 5, 'EUR', payment_id FROM operation WHERE order_id = ':order'""",
}


@pytest_asyncio.fixture(loop_scope="session")
async def names(ground: Ground) -> dict[str, UUID]:
    """An order whose refund of all of it was sent once."""
    order, operation = await ground.refund()
    await ground.begin(operation, await ground.lease(operation))
    await ground.pool.execute(
        "INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status)"
        " VALUES ($1, gen_random_uuid(), 's', 1, '{}', 'UTC', app_now(), app_now() + interval '1 hour', 'scheduled')",
        ground.platform,
    )
    return {":platform": ground.platform, ":order": order.id, ":operation": operation}


def _of(names: dict[str, UUID], sql: str) -> str:
    return re.sub(r":(platform|order|operation)\b", lambda word: str(names[word[0]]), sql)


@pytest.mark.parametrize("name", TWICE)
async def test_there_is_no_second(ground: Ground, names: dict[str, UUID], name: str) -> None:
    first, second = TWICE[name]
    if first:
        assert await ground.pool.execute(_of(names, first)) == "INSERT 0 1"
    with pytest.raises(asyncpg.UniqueViolationError):
        await ground.pool.execute(_of(names, second))


@pytest.mark.parametrize("name", NEVER)
async def test_there_is_never(ground: Ground, names: dict[str, UUID], name: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await ground.pool.execute(_of(names, NEVER[name]))


async def test_a_live_attempt_that_another_is_just_writing_is_waited_for_and_then_refused(ground: Ground) -> None:
    """Two processes at once: the second hears of the first only when that has committed, and then may not."""
    _, operation = await ground.refund()
    insert = (
        "INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state)"
        " VALUES ($1, gen_random_uuid(), $2, $3, $4, gen_random_uuid()::text, '{}', 'PREPARED')"
    )
    async with ground.pool.acquire() as one, ground.pool.acquire() as other:
        begun = one.transaction()
        await begun.start()
        await one.execute(insert, ground.platform, operation, 1, "first")
        waiting = await ground.starts_to_wait(other, other.execute(insert, ground.platform, operation, 2, "second"))
        await begun.commit()
        with pytest.raises(asyncpg.UniqueViolationError, match="one_live_attempt"):
            await waiting
