"""A backup from before a night of refunds is restored: whatever was paid is found back, and nobody is paid again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest_asyncio

from integrations.sandbox import SandboxRail, open_sandbox
from integrations.sandbox_books import LedgerLine
from service.demo.night import RAIL
from service.demo.world import Bought
from service.ports import Movement
from service.recovery import Recovered, Recovery
from service.settings import Settings
from service.store import embedded
from service.store.audit import AuditStore
from tests.promises.house import FULL, House, many_orders, open_house, serve_here, settings_for, stream

MANY: Final = 50 if FULL else 12
TABLES: Final = (
    "operation",
    "attempt",
    "try",
    "payment",
    "harm",
    "line",
    "book",
    "refund_elsewhere",
    "recovered_refund",
    "order_fact",
    "brake",
)


_UNDER_WAY: Final = """
    SELECT (SELECT count(*) FROM cases WHERE owner = 'process')
        + (SELECT count(*) FROM operation WHERE state IN ('READY', 'SENT') AND accepted_at IS NULL)
"""


class Place:
    """An installation whose database can be put back to an earlier state, while the processor's ledger stays as it is."""

    def __init__(self, dsn: str, name: str, settings: Settings) -> None:
        self._dsn = dsn
        self._name = name
        self.settings = settings
        self.backed_up_at = datetime.now(UTC)

    @asynccontextmanager
    async def house(self, *, serving: bool = True) -> AsyncIterator[House]:
        async with open_house(self.settings) as house:
            if serving:
                async with serve_here(house):
                    yield house
            else:
                yield house

    async def back_up(self) -> None:
        await embedded.create_database(self._dsn, f"{self._name}_backup", template=self._name)
        self.backed_up_at = datetime.now(UTC)

    async def restore(self) -> None:
        await embedded.drop_database(self._dsn, self._name)
        await embedded.create_database(self._dsn, self._name, template=f"{self._name}_backup")

    async def recover(
        self, house: House, *, then: str = "stay", reports: Mapping[str, list[Movement]] | None = None, **rail: Any
    ) -> Recovered:
        sandbox = self.settings.sandbox_database_url
        assert sandbox is not None
        pool = await open_sandbox(sandbox.reveal(), connections_max=2)
        try:
            rails = {RAIL: rail.get("rail", SandboxRail)(RAIL, pool)}
            found = Recovery(AuditStore(house.pool), rails, reports=reports or {}, actor="operator")
            return await found.run(self.backed_up_at, then=then)
        finally:
            await pool.close()


@pytest_asyncio.fixture(loop_scope="session")
async def place(postgres_dsn: str, template_database: str) -> AsyncIterator[Place]:
    name = f"recovery_{uuid4().hex[:12]}"
    ours = await embedded.create_database(postgres_dsn, name, template=template_database)
    theirs = await embedded.create_database(postgres_dsn, f"{name}_sandbox")
    yield Place(postgres_dsn, name, settings_for(ours, theirs))
    for one in (name, f"{name}_backup", f"{name}_sandbox"):
        await embedded.drop_database(postgres_dsn, one)


async def ask(house: House, problem: str, orders: list[Bought]) -> list[Any]:
    """Each order's customer asks once; at most so many at the same time."""
    places = asyncio.Semaphore(16)

    async def one(order: Bought) -> Any:
        async with places:
            return await house.report(problem, order, wait=10)

    return list(await asyncio.gather(*(one(order) for order in orders)))


async def until_there_are(house: House, count: int, state: str) -> None:
    """So many operations that stand there; a busy machine answers before."""
    await house.until(lambda: house.value("SELECT count(*) FROM operation WHERE state = $1", state), lambda found: found == count)


async def ledger(house: House) -> Mapping[str, LedgerLine]:
    return {line.payment_ref: line for line in await house.books.ledger()}


async def everything(house: House) -> object:
    # But for when a loop looks next, and how often it has.
    row = "to_jsonb(t) - '{due_at,lease_until,lease_epoch}'::text[]"
    parts = [f"(SELECT jsonb_agg({row} ORDER BY ({row})::text) FROM {table} t)" for table in TABLES]
    return await house.value(f"SELECT jsonb_build_array({', '.join(parts)})")


async def paused(house: House) -> int:
    count: int = await house.value("SELECT count(*) FROM brake WHERE scope = 'all' AND reason = 'recovering'")
    return count


async def shows(house: House) -> tuple[str, str]:
    """One that was cancelled, and one with an outage of 25 of 90 minutes."""
    off = await house.shop.show("off", starts_in=timedelta(days=2), status="cancelled")
    cut = await house.shop.show("cut", starts_in=timedelta(hours=-3))
    started = datetime.now(UTC) - timedelta(hours=3)
    await house.shop.incident(cut, "out1", started + timedelta(minutes=10), started + timedelta(minutes=35))
    return off, cut


async def test_fifty_refunds_that_the_backup_does_not_know_are_paid_once(place: Place) -> None:
    async with place.house() as house:
        off, cut = await shows(house)
        whole, part = await many_orders(house, off, MANY // 2), await many_orders(house, cut, MANY // 2)
        early = await many_orders(house, cut, 0) or [await house.shop.order(off, [stream()], ref="EARLY")]
        await ask(house, "show_cancelled", early)
        await until_there_are(house, 1, "DONE")
        # Decided before the backup, sent after it.
        await house.pool.execute("SELECT brake_put($1, 'action', 'refund', 'a test', 'test')", house.desk.platform_id)
        waiting = [await house.shop.order(off, [stream()], ref=f"WAITS-{number}") for number in range(5)]
        await ask(house, "show_cancelled", waiting)
        await until_there_are(house, 5, "READY")
    await place.back_up()
    async with place.house() as house:
        await house.pool.execute("SELECT brake_release($1, 'action', 'refund', 'a test', 'test')", house.desk.platform_id)
        await ask(house, "show_cancelled", whole)
        await ask(house, "stream_outage", part)
        late = await house.shop.order(off, [stream()], ref="LATE")
        await ask(house, "show_cancelled", [late])
        await house.until(lambda: ledger(house), lambda now: sum(line.refunds for line in now.values()) == MANY + 7)
        paid = await ledger(house)
    await place.restore()

    async with place.house(serving=False) as house:
        found = await place.recover(house, then="go")
        assert await paused(house) == 1, "one refund is of an order that is not here"
        assert found.went is None
        assert dict(found.rails[0].words) == {"applied": 5, "known": 1, "lost": MANY, "unknown_payment": 1}
        assert [one.movement.payment_ref for one in found.unmatched] == list(late.payments)
        before = await everything(house)
        again = await place.recover(house, then="go")
        assert dict(again.rails[0].words) == {"known": 6, "lost": MANY, "unknown_payment": 1}
        assert await everything(house) == before

    async with place.house() as house:  # money is stopped, and the platform feeds again what the backup lacks
        await house.shop.order(off, [stream()], ref="LATE")
        await ask(house, "show_cancelled", [late, *whole[:3]])
        assert await ledger(house) == paid
        found = await place.recover(house, then="go")
        assert found.complete
        assert found.went is not None
        assert await paused(house) == 0
        # What people had stopped before the backup is theirs to let go.
        await house.pool.execute("SELECT brake_release($1, 'action', 'refund', 'a test', 'test')", house.desk.platform_id)
        for _ in range(2):
            await ask(house, "show_cancelled", [*early, *waiting, *whole, late])
            await ask(house, "stream_outage", part)
        await house.pass_time(timedelta(hours=2))
        await house.until(
            lambda: house.value(_UNDER_WAY),
            lambda under_way: under_way == 0,
        )
        assert await ledger(house) == paid
        held = await house.rows("SELECT holds FROM operation WHERE state = 'HELD'")
        assert len(held) >= len(part)
        assert all({"recovered", "excess"} & set(one["holds"]) for one in held)
