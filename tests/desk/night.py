"""A night written down row by row, for figures whose right answers can be reckoned by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from service.store.platforms import PlatformStore
from service.store.pool import Pool
from tests.identity.world import TESTING

DOORS: Final = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)


def after(**more: float) -> datetime:
    return DOORS + timedelta(**more)


class Night:
    def __init__(self, pool: Pool, platform: UUID) -> None:
        self.pool = pool
        self.platform = platform
        self.agents: dict[str, UUID] = {}
        self.shows: dict[str, UUID] = {}

    @classmethod
    async def opens(cls, pool: Pool) -> Night:
        night = cls(pool, uuid4())
        assert await PlatformStore(pool).add(night.platform, f"shop-{uuid4().hex}", {"name": "Moonlight", "zone": "Europe/Berlin"}, TESTING)
        for name, role in (("Mira", "agent"), ("Noa", "agent"), ("Bot", "machine")):
            night.agents[name] = uuid4()
            await pool.execute(
                "INSERT INTO agent (platform_id, id, name, role, skills) VALUES ($1, $2, $3, $4, '{core}')",
                night.platform,
                night.agents[name],
                name,
                role,
            )
        for ref in ("tonight", "tomorrow"):
            night.shows[ref] = uuid4()
            await pool.execute(
                "INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status)"
                " VALUES ($1, $2, $3, 1, '{\"en\": \"Show\"}', 'UTC', $4, $5, 'scheduled')",
                night.platform,
                night.shows[ref],
                ref,
                DOORS,
                after(hours=2),
            )
        return night

    async def row(self, table: str, **columns: Any) -> None:
        names, values = list(columns), list(columns.values())
        holes = ", ".join(f"${number + 1}" for number in range(1, len(names) + 1))
        await self.pool.execute(
            f"INSERT INTO {table} (platform_id, {', '.join(names)}) VALUES ($1, {holes})",
            self.platform,
            *values,
        )

    async def order(self) -> UUID:
        buyer, order = uuid4(), uuid4()
        await self.row("person", id=buyer, email="fan@example.org")
        await self.row(
            "orders", id=order, ref=order.hex[:8], version=1, status="paid", currency="EUR", total=5000, buyer_id=buyer,
            placed_at=after(days=-9), body_hash=b"0",
        )  # fmt: skip
        return order

    async def case(self, *, contacts: int = 1, show: str = "tonight", **more: Any) -> UUID:
        """A case as its columns say; its first end is its end unless they say otherwise."""
        case = uuid4()
        columns = {"state": "resolved", "problem": "other", "created_at": after(), "channel": "widget", "opened_by": "session"} | more
        if columns["state"] not in {"open", "joined"}:
            columns.setdefault("ended_at", after(minutes=10))
            columns = {
                "ended_first_at": columns["ended_at"],
                "ended_first_as": columns["state"],
                "ended_first_by_people": columns.get("by_people", False),
            } | columns
        elif columns["state"] == "joined":
            columns["ended_at"] = after()
        await self.row("cases", id=case, show_id=self.shows[show], requester="buyer", identity="verified", locale="en", **columns)
        for _ in range(contacts):
            await self.row("contact", id=uuid4(), case_id=case, channel="widget", caller="customer", created_at=after())
        return case

    async def had(self, case: UUID, agent: str, *seconds: float, begin: datetime | None = None, ended_case: bool = True) -> None:
        """Stretches in which an agent had the case, a minute apart; the last ended it."""
        at = begin or after(minutes=1)
        for number, length in enumerate(seconds, 1):
            over = ended_case and number == len(seconds)
            await self.row(
                "handling", case_id=case, agent_id=self.agents[agent], began_at=at, ended_at=at + timedelta(seconds=length), ended_case=over
            )
            at += timedelta(seconds=length + 60)

    async def clock(
        self, case: UUID, kind: str, *, met: bool | None, breached: datetime | None = None, warned: datetime | None = None
    ) -> None:
        await self.pool.execute("DELETE FROM sla_clock WHERE case_id = $1 AND kind = $2", case, kind)
        ended = None if met is None else after(minutes=5)
        await self.row(
            "sla_clock", case_id=case, kind=kind, seq=1, target_seconds=300, started_at=after(), due_at=after(minutes=5), warn_seconds=60,
            ended_at=ended, met=met, breached_at=breached, warned_at=warned,
        )  # fmt: skip

    async def refund(
        self, case: UUID, order: UUID, amount: int, state: str, *, currency: str = "EUR", accepted: bool = False, **more: Any
    ) -> UUID:
        operation, payment = uuid4(), uuid4()
        await self.row(
            "payment", id=payment, order_id=order, ref=payment.hex, rail="sandbox", status="confirmed", amount=amount, currency=currency,
            captured=amount, created_at=after(),
        )  # fmt: skip
        columns = {"rail": "sandbox", "created_at": after(), "due_at": None if state in {"DONE", "FAILED"} else after()} | more
        await self.row(
            "operation", id=operation, case_id=case, order_id=order, action="refund", state=state, payment_id=payment, amount=amount,
            currency=currency, accepted_at=after() if accepted else None, **columns,
        )  # fmt: skip
        return operation

    async def only(self, rows: Sequence[UUID]) -> None:
        """Clocks that the tables' own trigger started stand in nobody's sums here."""
        await self.pool.execute("DELETE FROM sla_clock WHERE case_id = ANY ($1)", list(rows))
