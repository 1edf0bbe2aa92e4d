"""`makegood money audit` against a processor's real books: each way in which they can differ, and what --apply may settle."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio
import structlog
from click.testing import CliRunner, Result

from integrations.sandbox import SandboxRail, open_sandbox
from integrations.sandbox_books import SandboxPool
from service.auditing import Audit, days
from service.cli import main as makegood
from service.demo.night import RAIL
from service.demo.world import Bought
from service.model import Money, new_id
from service.ports import Declined, Movement, RefundRequest, RefundSeen
from service.store.audit import AuditStore
from tests.books.test_recovery import everything
from tests.promises.house import House, environment, many_orders

DAY: Final = timedelta(days=1)


@pytest.fixture(autouse=True)
def said_elsewhere() -> Iterator[None]:
    """The house in this process has the same standard output as the command, and lines of its own to say."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    yield
    structlog.configure(**before)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger(house: House) -> AsyncIterator[SandboxPool]:
    """The processor's tables, to be falsified."""
    assert house.settings.sandbox_database_url is not None
    pool = await open_sandbox(house.settings.sandbox_database_url.reveal(), connections_max=2)
    yield pool
    await pool.close()


async def audit(house: House, *arguments: str) -> Result:
    since, until = (at.isoformat() for at in (datetime.now(UTC) - DAY, datetime.now(UTC) + DAY))
    command = ["money", "audit", "--rail", RAIL, "--since", since, "--until", until, *arguments]
    env = environment(house.settings, f"{house.settings.bind_host}:{house.settings.bind_port}")
    return await asyncio.to_thread(CliRunner(env={**dict.fromkeys(os.environ, None), **env}).invoke, makegood, command)


def lines(result: Result) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in result.stdout.splitlines()]


async def refunded(house: House, count: int) -> tuple[list[Bought], Mapping[str, str]]:
    """Orders that were refunded in full, and the processor's reference of each by the payment's."""
    show = await house.shop.show(f"s{uuid4().hex[:8]}", starts_in=timedelta(days=2), status="cancelled")
    orders = await many_orders(house, show, count)
    for order in orders:
        await house.report("show_cancelled", order)
    rows = await house.rows("SELECT request->>'payment_ref' AS payment, provider_ref FROM attempt WHERE state = 'SUCCEEDED'")
    return orders, {row["payment"]: row["provider_ref"] for row in rows}


async def insert(ledger: SandboxPool, payment: str, amount: int, *, operation: UUID | None = None, attempt: UUID | None = None) -> None:
    """A refund that nobody of ours has asked for just now."""
    await ledger.execute(
        """
        INSERT INTO sandbox.refund (account, key, payment_ref, amount, currency, operation_id, attempt_id, reason, state)
        VALUES ($1, $2, $3, $4, 'EUR', $5, $6, 'requested_by_customer', 'SUCCEEDED')
        """,
        RAIL,
        uuid4().hex,
        payment,
        amount,
        operation,
        attempt,
    )


async def test_each_difference_is_found_once_and_what_is_provable_can_be_applied(house: House, ledger: SandboxPool) -> None:
    orders, refs = await refunded(house, 6)
    clean = await audit(house, "--json")
    assert (clean.exit_code, lines(clean)) == (0, []), clean.output

    fine, failed, lost, amount, twice, currency = (refs[order.payments[0]] for order in orders)
    await ledger.execute("UPDATE sandbox.refund SET state = 'FAILED', failure = 'lost_or_stolen_card' WHERE ref = $1", failed)
    await ledger.execute("DELETE FROM sandbox.refund WHERE ref = $1", lost)
    await ledger.execute("UPDATE sandbox.refund SET amount = 2400 WHERE ref = $1", amount)
    await ledger.execute("UPDATE sandbox.refund SET currency = 'SEK' WHERE ref = $1", currency)
    row = await ledger.fetchrow("SELECT operation_id, attempt_id FROM sandbox.refund WHERE ref = $1", twice)
    assert row is not None
    await insert(ledger, orders[4].payments[0], 2500, operation=row["operation_id"], attempt=row["attempt_id"])
    untouched = (await many_orders(house, orders[0].show, 9))[-1]
    await insert(ledger, untouched.payments[0], 300)
    await insert(ledger, untouched.payments[0], 200, operation=new_id(), attempt=new_id())

    found = await audit(house, "--json")
    assert found.exit_code == 3
    kinds = Counter(one["kind"] for one in lines(found))
    assert kinds == {"only_theirs": 2, "state": 1, "only_ours": 1, "amount": 1, "currency": 1, "twice": 1}
    assert fine not in found.stdout
    assert all(one["to_do"].endswith(".") for one in lines(found))
    by_kind = {one["kind"]: one for one in lines(found)}
    assert by_kind["only_ours"]["order"] == orders[2].ref
    assert by_kind["twice"]["payment"] == "P1"
    told = await audit(house)
    assert told.stdout.count("\n    ours: ") == 7

    applied = {one["kind"]: one["applied"] for one in lines(await audit(house, "--json", "--apply"))}
    assert applied["state"] == "applied"
    assert {applied[kind] for kind in ("only_ours", "amount", "currency", "twice")} == {None}
    assert await house.value("SELECT refunded_elsewhere FROM payment WHERE provider_ref = $1", untouched.payments[0]) == 500
    assert await house.value(
        "SELECT state FROM operation WHERE id = (SELECT operation_id FROM attempt WHERE provider_ref = $1)", failed
    ) in {
        "READY",
        "CHOICE_NEEDED",
    }
    before = await everything(house)
    again = Counter(one["kind"] for one in lines(await audit(house, "--json", "--apply")))
    assert again == {"only_ours": 1, "amount": 1, "currency": 1, "twice": 1}, "what people have to settle stays"
    assert await everything(house) == before


async def test_a_rail_that_is_not_there_or_has_no_report_is_said_in_words(house: House, tmp_path: Any) -> None:
    wrong = await audit(house, "--rail", "moon")
    assert (wrong.exit_code, "there is no rail moon" in wrong.output) == (1, True)
    report = tmp_path / "report.csv"
    report.write_text("")
    none = await audit(house, "--report", str(report))
    assert (none.exit_code, "a report is for Adyen" in none.output) == (1, True)
    badly = await audit(house, "--since", "yesterday")
    assert badly.exit_code == 2


GONE: Final = "re_of_nobody"


class ByReference(SandboxRail):
    """A processor that keeps no list, and tells of one refund by its reference."""

    def listed(self, since: datetime, until: datetime) -> AsyncIterator[Movement]:
        del since, until
        raise Declined("unsupported", "no list")

    async def read_batch(self, provider_ref: str, /) -> RefundSeen:
        if provider_ref == GONE:
            raise Declined("not_found", "a test")
        return RefundSeen(provider_ref=provider_ref, state="SUCCEEDED", amount=Money(minor=2500, currency="EUR"))

    async def find(self, request: RefundRequest) -> RefundSeen | None:
        raise AssertionError(f"nobody asks for {request.attempt_id} in this way")


async def test_where_there_is_no_list_each_of_ours_is_read_by_its_reference(house: House, ledger: SandboxPool) -> None:
    since = await house.value("SELECT app_now()")
    orders, refs = await refunded(house, 3)
    gone = refs[orders[0].payments[0]]
    renamed = "UPDATE attempt SET provider_ref = $2 WHERE provider_ref = $1"
    await house.pool.execute(renamed, gone, GONE)
    one = Audit(AuditStore(house.pool), ByReference(RAIL, ledger))
    found = [
        (difference.kind, difference.ours and difference.ours.provider_ref) async for difference in one.differences(since, since + DAY)
    ]
    await house.pool.execute(renamed, GONE, gone)  # for others here the books agree, in whatever order they come
    assert found == [("only_ours", GONE)]
    assert one.counted.ours == len(orders)


async def test_a_report_stands_for_the_list(house: House, ledger: SandboxPool) -> None:
    since = await house.value("SELECT app_now()")
    orders, refs = await refunded(house, 3)
    mine = [
        Movement(
            payment_ref=order.payments[0],
            refund=RefundSeen(
                provider_ref=refs[order.payments[0]],
                state="SUCCEEDED",
                amount=Money(minor=2500, currency="EUR"),
                at=since + timedelta(minutes=1) if order is orders[0] else since - DAY,
            ),
        )
        for order in orders[:2]
    ]
    one = Audit(AuditStore(house.pool), ByReference(RAIL, ledger), report=mine)
    found = [difference.ours and difference.ours.provider_ref async for difference in one.differences(since, since + DAY)]
    assert found == [refs[orders[2].payments[0]]], "what the report has of another day is no difference"


def test_a_time_is_cut_at_midnights_and_nothing_is_left_out() -> None:
    since = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
    cut = days(since, since + timedelta(days=2))
    assert [start for start, _ in cut[1:]] == [end for _, end in cut[:-1]]
    assert (cut[0][0], cut[-1][1], len(cut)) == (since, since + timedelta(days=2), 3)
    with pytest.raises(ValueError, match="ten years"):
        days(since, since + timedelta(days=4000))


async def test_recover_says_what_it_matched_and_lets_money_go(house: House) -> None:
    env = environment(house.settings, f"{house.settings.bind_host}:{house.settings.bind_port}")
    runner = CliRunner(env={**dict.fromkeys(os.environ, None), **env})
    since = (datetime.now(UTC) + timedelta(days=30)).isoformat()

    async def recover(*more: str) -> Result:
        return await asyncio.to_thread(runner.invoke, makegood, ["money", "recover", "--since", since, *more])

    stopped = await recover()
    assert (stopped.exit_code, "Money is still stopped" in stopped.stdout) == (0, True), stopped.output
    assert await house.value("SELECT reason FROM brake WHERE scope = 'all'") == "recovering"
    gone = await recover("--go")
    assert (gone.exit_code, "money goes again" in gone.stdout) == (0, True), gone.output
    assert await house.value("SELECT count(*) FROM brake") == 0
    assert await house.value("SELECT count(*) FROM audit WHERE what = 'recovered'") == 2
    wrong = await recover("--report", "moon")
    assert wrong.exit_code == 2
