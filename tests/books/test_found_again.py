"""Each way in which a processor's list can meet an operation of ours after a restored backup: what is taken up, and what people decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from integrations.sandbox import SandboxRail, open_sandbox
from integrations.sandbox_books import SandboxPool
from service.auditing import put_right
from service.demo.night import RAIL
from service.demo.world import Bought
from service.model import Money
from service.ports import Declined, Movement, RefundSeen
from service.recovery import Recovery
from service.store.audit import AuditStore
from tests.books.test_recovery import everything
from tests.promises.house import House, stream

OTHER: Final = "other"


# No loop looks at it again, and whoever is at it finds its lease gone.
_LEFT_ALONE: Final = "UPDATE operation SET due_at = app_now() + interval '1 day', lease_until = NULL, lease_epoch = lease_epoch + 1"


@pytest_asyncio.fixture(loop_scope="session")
async def stopped(house: House) -> AsyncIterator[House]:
    """Refunds are decided, and none is sent: nor after the test, so that nothing moves in the next."""
    await house.pool.execute("SELECT brake_put($1, 'action', 'refund', 'a test', 'test')", house.desk.platform_id)
    yield house
    await house.pool.execute("DELETE FROM brake WHERE scope = 'all'")
    await house.pool.execute(f"{_LEFT_ALONE} WHERE ended_at IS NULL")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger(house: House) -> AsyncIterator[SandboxPool]:
    assert house.settings.sandbox_database_url is not None
    pool = await open_sandbox(house.settings.sandbox_database_url.reveal(), connections_max=1)
    yield pool
    await pool.close()


async def decided(house: House) -> tuple[Bought, dict[str, Any]]:
    """An order, and the one refund of it that is ready to be sent."""
    show = await house.shop.show(f"off-{uuid4().hex[:8]}", starts_in=timedelta(days=2), status="cancelled")
    order = await house.shop.order(show, [stream()])
    case = await house.report("show_cancelled", order, wait=0)
    operation = await house.until_operation(case["id"], lambda one: one["state"] == "READY")
    await house.pool.execute(f"{_LEFT_ALONE} WHERE id = $1", operation["id"])
    return order, operation


async def attempted(house: House, operation: dict[str, Any], state: str, result: str) -> UUID:
    """Its first attempt, as the backup may have it."""
    attempt: UUID = await house.value(
        """
        INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, first_sent_at, key_expires_at)
        SELECT platform_id, attempt_id(id, 1), id, 1, rail, 'mg-' || replace(attempt_id(id, 1)::text, '-', ''), '{}', $2,
            app_now(), app_now()
        FROM operation WHERE id = $1 RETURNING id
        """,
        operation["id"],
        state,
    )
    await house.pool.execute(
        "INSERT INTO try (platform_id, attempt_id, seq, lease_epoch, started_at, result) VALUES ($1, $2, 1, 0, app_now(), $3)",
        house.desk.platform_id,
        attempt,
        result,
    )
    return attempt


async def theirs(house: House, order: Bought, operation: dict[str, Any], number: int = 1, **seen: Any) -> Movement:
    """What the processor has of its so many-th attempt."""
    refund = {
        "provider_ref": f"re_{uuid4().hex}",
        "state": "SUCCEEDED",
        "amount": Money(minor=operation["amount"], currency="EUR"),
        "attempt_id": await house.value("SELECT attempt_id($1, $2)", operation["id"], number),
        "operation_id": operation["id"],
        "at": datetime.now(UTC),
    }
    return Movement(payment_ref=order.payments[0], refund=RefundSeen(**(refund | seen)))


async def twice(house: House, movement: Movement, *, rail: str = RAIL, word: str, again: str) -> None:
    """What it comes to, and that the same line again changes nothing."""
    assert await put_right(AuditStore(house.pool), rail, movement, source="recovery") == word
    before = await everything(house)
    assert await put_right(AuditStore(house.pool), rail, movement, source="recovery") == again
    assert await everything(house) == before


async def state_of(house: House, operation: dict[str, Any]) -> tuple[str, str]:
    (row,) = await house.rows("SELECT state, rail FROM operation WHERE id = $1", operation["id"])
    return row["state"], row["rail"]


async def in_balance(house: House, order: Bought) -> bool:
    return bool((await house.get(f"/v1/orders/{order.ref}/money"))["balanced"])


async def test_what_was_paid_is_taken_up_and_not_sent_again(stopped: House) -> None:
    order, operation = await decided(stopped)
    await twice(stopped, await theirs(stopped, order, operation), word="applied", again="known")
    assert await state_of(stopped, operation) == ("DONE", RAIL)
    assert (await stopped.payment(order))["refunded"] == operation["amount"]
    assert await in_balance(stopped, order)


async def test_what_failed_there_is_not_sent_again_by_itself(stopped: House) -> None:
    order, operation = await decided(stopped)
    movement = await theirs(stopped, order, operation, state="FAILED", failure="lost_or_stolen_card")
    await twice(stopped, movement, word="applied", again="known")
    assert await state_of(stopped, operation) == ("CHOICE_NEEDED", RAIL)
    assert await in_balance(stopped, order)


async def test_a_rail_that_took_over_after_the_backup_is_believed_when_the_first_was_never_reached(stopped: House) -> None:
    order, operation = await decided(stopped)
    first = await attempted(stopped, operation, "PREPARED", "NOT_SENT")
    await twice(stopped, await theirs(stopped, order, operation, 2), rail=OTHER, word="applied", again="known")
    assert await state_of(stopped, operation) == ("DONE", OTHER)
    assert await stopped.value("SELECT state FROM attempt WHERE id = $1", first) == "CLOSED_NOT_SENT"
    assert await in_balance(stopped, order)


async def test_where_two_attempts_may_have_paid_a_person_judges(stopped: House) -> None:
    order, operation = await decided(stopped)
    await attempted(stopped, operation, "UNKNOWN", "UNKNOWN")
    await twice(stopped, await theirs(stopped, order, operation, 2), rail=OTHER, word="people", again="people")
    assert (await state_of(stopped, operation))[0] == "NEEDS_REVIEW"
    assert await stopped.value("SELECT count(*) FROM cases WHERE id = $1 AND owner = 'queue'", operation["case_id"]) == 1


async def test_another_amount_is_for_people(stopped: House) -> None:
    order, operation = await decided(stopped)
    movement = await theirs(stopped, order, operation, amount=Money(minor=operation["amount"] - 1, currency="EUR"))
    await twice(stopped, movement, word="mismatch", again="mismatch")
    assert (await state_of(stopped, operation))[0] == "NEEDS_REVIEW"


async def test_a_failure_beside_an_attempt_that_lives_changes_nothing_of_it(stopped: House) -> None:
    order, operation = await decided(stopped)
    await attempted(stopped, operation, "UNKNOWN", "UNKNOWN")
    await twice(stopped, await theirs(stopped, order, operation, 2, state="FAILED"), word="noted", again="known")
    assert (await state_of(stopped, operation))[0] == "READY"


async def test_what_was_paid_for_an_operation_that_had_ended_is_counted_and_goes_to_people(stopped: House) -> None:
    order, operation = await decided(stopped)
    await stopped.pool.execute("UPDATE operation SET state = 'HELD' WHERE id = $1", operation["id"])
    assert await stopped.value("SELECT operation_refuse($1, $2, 'test', 'a test')", stopped.desk.platform_id, operation["id"])
    await twice(stopped, await theirs(stopped, order, operation), word="elsewhere", again="known")
    assert (await stopped.payment(order))["refunded_elsewhere"] == operation["amount"]
    assert await in_balance(stopped, order)


async def test_what_others_refunded_is_counted_once(stopped: House) -> None:
    order, operation = await decided(stopped)
    movement = await theirs(stopped, order, operation, attempt_id=None, operation_id=None, amount=Money(minor=7, currency="EUR"))
    await twice(stopped, movement, word="elsewhere", again="known")
    assert (await stopped.payment(order))["refunded_elsewhere"] == 7
    assert (
        await stopped.value(
            "SELECT count(*) FROM recovered_refund r JOIN payment p ON p.id = r.payment_id WHERE p.provider_ref = $1", order.payments[0]
        )
        == 0
    )


async def test_the_other_name_of_a_payment_is_known_too(stopped: House) -> None:
    order, operation = await decided(stopped)
    seen = (await theirs(stopped, order, operation, attempt_id=uuid4(), operation_id=uuid4(), amount=Money(minor=7, currency="EUR"))).refund
    movement = Movement(payment_ref="pi_unknown", also_known_as=order.payments[0], refund=seen)
    await twice(stopped, movement, word="lost", again="lost")
    assert (await stopped.payment(order))["refunded_elsewhere"] == 7


@pytest.mark.parametrize("word", ["unknown_payment", "others"])
async def test_a_payment_that_nobody_knows_keeps_money_stopped_only_where_it_was_ours(
    stopped: House, ledger: SandboxPool, word: str
) -> None:
    ours = uuid4() if word == "unknown_payment" else None
    refund = RefundSeen(
        provider_ref="re_x",
        state="SUCCEEDED",
        amount=Money(minor=5, currency="EUR"),
        attempt_id=ours,
        operation_id=ours,
        at=datetime.now(UTC),
    )
    store = AuditStore(stopped.pool)
    rail = SandboxRail(RAIL, ledger)
    report = {RAIL: [Movement(payment_ref="ch_of_nobody", refund=refund)]}
    found = await Recovery(store, {RAIL: rail}, reports=report, actor="operator").run(datetime.now(UTC), then="go")
    assert (found.rails[0].others, found.complete) == ((0, False) if ours else (1, True))
    assert (found.went is None) == (ours is not None)


async def test_of_a_rail_without_a_list_what_was_under_way_goes_to_people_and_what_is_held_stays_held(
    stopped: House, ledger: SandboxPool
) -> None:
    order, ready = await decided(stopped)
    _, sent = await decided(stopped)
    _, held = await decided(stopped)
    await attempted(stopped, sent, "UNKNOWN", "UNKNOWN")
    await stopped.pool.execute("UPDATE operation SET state = 'SENT' WHERE id = $1", sent["id"])
    await stopped.pool.execute("UPDATE operation SET state = 'HELD' WHERE id = $1", held["id"])
    recovery = Recovery(AuditStore(stopped.pool), {RAIL: Listless(RAIL, ledger)}, reports={}, actor="operator")
    found = await recovery.run(datetime.now(UTC))
    assert (found.rails[0].read, found.complete) == ("none", True)
    assert [(await state_of(stopped, one))[0] for one in (ready, sent, held)] == ["NEEDS_REVIEW", "NEEDS_REVIEW", "HELD"]
    before = await everything(stopped)
    await recovery.run(datetime.now(UTC))
    assert await everything(stopped) == before
    # A lead finds it at the processor: it is paid, and the books say so.
    judged = {"moved": True, "reference": "re_by_hand"}
    answer = await stopped.post(f"/v1/operations/op_{ready['id'].hex}/judge", judged, token=stopped.desk.lead)
    assert answer.status_code == 204, answer.text
    assert (await state_of(stopped, ready))[0] == "DONE"
    assert await in_balance(stopped, order)


class Listless(SandboxRail):
    """A processor that keeps no list."""

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        del since, until
        raise Declined("unsupported", "no list")
