"""Failed sales are undone only where the show asked for it, only when processor and order still agree, and each once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from policies import RAILS_FILE, Rails, bundled_folder, load_rails
from service.feed import OrderFeed
from service.model import Money
from service.orders import Orders
from service.ports import Declined, OutcomeUnknown, PaymentSeen, Unavailable
from service.rails import Gate
from service.rollback import LOOKS_MAX, LOOKS_WITHOUT_HOLD_MAX, Rollback
from service.store.orders import OrderStore
from service.store.pool import Pool
from service.store.rails import RailStore
from service.store.rollback import RollbackStore
from tests.post.world import World

PRICE = 2500
Failure = Declined | Unavailable


class Desk:
    """One show that rolls failed sales back, its shop, and what a processor says of each card."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pool = world.pool
        self.held: dict[str, int] = {}
        self.cancelled: list[tuple[str, str]] = []
        self.fails: Failure | None = None
        self.cancel_fails: list[Exception] = []
        self.name = "sandbox"

    async def show(self, ref: str = "nll26", *, rollback: bool = True) -> str:
        return await self.world.show(ref, starts_in=timedelta(hours=2), rollback=rollback)

    async def sale(self, show: str, **more: Any) -> str:
        """A confirmed charge twenty minutes ago, and no ticket."""
        ref: str = more.pop("ref", uuid4().hex[:8].upper())
        # From now, and not from when the run began: that may be longer ago than a sale is fresh.
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=more.pop("minutes", 20))
        status = more.pop("status", "confirmed")
        positions = more.pop("positions", [{}])
        lines = [
            {"ref": str(n), "kind": "stream", "name": "Seat", "price": PRICE, "shows": [show]} | one for n, one in enumerate(positions, 1)
        ]
        total = sum(one["price"] for one in lines)
        payment = {
            "ref": "P1",
            "rail": "sandbox",
            "provider_ref": f"ch_{ref}",
            "status": status,
            "amount": total,
            "captured": total if status == "confirmed" else 0,
            "created_at": at,
        } | ({"paid_at": at} if status == "confirmed" else {})
        document = {
            "version": 1,
            "status": "paid" if status == "confirmed" else "pending",
            "currency": "EUR",
            "total": total,
            "buyer": {"name": "Mira", "email": f"mira-{ref.lower()}@example.org"},
            "locale": "en",
            "placed_at": at,
            "positions": lines,
            "payments": [payment],
        } | more
        if status == "confirmed":
            self.world.rail.load_charge(f"ch_{ref}", Money(minor=total, currency="EUR"))
        else:
            self.held[f"ch_{ref}"] = total
        await Orders(OrderStore(self.pool)).put(self.world.id, ref, msgspec.convert(document, OrderFeed), source="test")
        return ref

    # the rail: what the world's own has, and what cards hold

    @property
    def traits(self) -> Any:
        return self.world.rail.traits

    async def payment(self, payment_ref: str, currency: str) -> PaymentSeen:
        if self.fails is not None:
            raise self.fails
        if payment_ref in self.held:
            nothing = Money(minor=0, currency=currency)
            return PaymentSeen(
                payment_ref=payment_ref,
                captured=nothing,
                refunded_minor=0,
                disputed=False,
                refunds=(),
                authorised_minor=self.held[payment_ref],
            )
        return await self.world.rail.payment(payment_ref, currency)

    async def cancel(self, payment_ref: str, *, key: str) -> None:
        self.cancelled.append((payment_ref, key))
        if self.cancel_fails:
            raise self.cancel_fails.pop(0)
        self.held[payment_ref] = 0

    def rollback(self, rails: Rails | None = None) -> Rollback:
        return self.rollback_over({"sandbox": self}, rails)

    def rollback_over(self, outside: Any, rails: Rails | None = None) -> Rollback:
        gate = Gate(RailStore(self.pool), paces={})
        return Rollback(RollbackStore(self.pool), rails=outside, gate=gate, backups=rails or policy(), cases=self.world.resolution)

    # what is seen

    async def passes(self, count: int = 2, *, rails: Rails | None = None) -> None:
        """Slow passes, an hour apart, each followed by what the claim loop does."""
        for _ in range(count):
            await self.rollback(rails).run()
            await self.world.settle()
            await self.later(timedelta(hours=1))

    async def later(self, time: timedelta) -> None:
        await self.pool.execute("UPDATE app_clock SET ahead = ahead + $1", time)

    async def outcome(self, ref: str) -> Any:
        return await self.pool.fetchval(
            "SELECT r.outcome FROM rollback r JOIN payment p ON p.id = r.payment_id JOIN orders o ON o.id = p.order_id WHERE o.ref = $1",
            ref,
        )

    async def refunds(self, ref: str) -> list[tuple[str, int, list[str]]]:
        rows = await self.pool.fetch(
            "SELECT op.state, op.amount, op.holds FROM operation op JOIN orders o ON o.id = op.order_id WHERE o.ref = $1 ORDER BY op.id",
            ref,
        )
        return [(row["state"], row["amount"], row["holds"]) for row in rows]

    async def states(self, refs: Sequence[str]) -> list[str]:
        return sorted([state for ref in refs for state, _, _ in await self.refunds(ref)])

    async def queued(self) -> int:
        return int(await self.pool.fetchval("SELECT count(*) FROM cases WHERE owner = 'queue' AND state = 'open'"))

    async def facts(self, ref: str) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT f.data->>'outcome' AS said FROM order_fact f JOIN orders o ON o.id = f.order_id "
            "WHERE o.ref = $1 AND f.kind = 'sale_rolled_back'",
            ref,
        )
        return [row["said"] for row in rows]

    async def sent(self, ref: str) -> int:
        return (await self.world.rail.payment(f"ch_{ref}", "EUR")).refunded_minor


def policy(**changes: str) -> Rails:
    text = (bundled_folder() / RAILS_FILE).read_text(encoding="utf-8")
    for old, new in {"confirm_first: 20": "confirm_first: 0", **changes}.items():
        assert old in text
        text = text.replace(old, new)
    return load_rails(text)


@pytest.fixture
async def desk(still_pool: Pool, fresh_database_url: str) -> Desk:
    return Desk(await World.opens(still_pool, fresh_database_url))


async def test_who_was_charged_and_got_no_ticket_is_paid_back_once(desk: Desk) -> None:
    ref = await desk.sale(await desk.show())
    await desk.passes(4)
    assert await desk.sent(ref) == PRICE
    assert await desk.refunds(ref) == [("DONE", PRICE, [])]
    assert await desk.facts(ref) == ["refund_asked"]


async def test_nothing_is_undone_at_first_sight(desk: Desk) -> None:
    ref = await desk.sale(await desk.show())
    await desk.rollback().run()
    assert await desk.refunds(ref) == []
    assert await desk.outcome(ref) is None


@pytest.mark.parametrize(
    "sale",
    [
        {"minutes": 5},
        {"positions": [{"pass": {"barcode": "admit", "issuer": "platform"}}]},
        {"positions": [{}, {"pass": {"barcode": "admit", "issuer": "platform"}}]},
        {"positions": [{}, {"kind": "merchandise", "shows": []}]},
        {"positions": [{"canceled": True}], "total": 0},
    ],
    ids=["fresh", "ticket", "one ticket of two", "a shirt beside it", "nothing needs a ticket"],
)
async def test_a_sale_that_is_well_or_fresh_or_not_ours_to_judge_is_left_alone(desk: Desk, sale: dict[str, Any]) -> None:
    ref = await desk.sale(await desk.show(), **sale)
    await desk.rollback().run()
    assert await desk.pool.fetchval("SELECT count(*) FROM rollback") == 0
    assert await desk.refunds(ref) == []


async def test_a_show_that_did_not_ask_keeps_its_sales(desk: Desk) -> None:
    ref = await desk.sale(await desk.show(rollback=False))
    both = await desk.sale(await desk.show("on"), positions=[{"shows": ["on", "nll26"]}])
    await desk.passes(3)
    assert await desk.refunds(ref) + await desk.refunds(both) == []


async def test_a_ticket_that_comes_in_the_last_moment_keeps_the_sale(desk: Desk) -> None:
    show = await desk.show()
    ref = await desk.sale(show)
    await desk.rollback().run()
    await desk.sale(show, ref=ref, version=2, positions=[{"pass": {"barcode": "late", "issuer": "platform"}}])
    await desk.passes(3)
    assert (await desk.outcome(ref), await desk.refunds(ref), await desk.facts(ref)) == ("mended", [], [])


@pytest.mark.parametrize("trouble", ["refunded elsewhere", "disputed", "another amount"])
async def test_a_processor_that_says_otherwise_stops_it(desk: Desk, trouble: str) -> None:
    ref = await desk.sale(await desk.show())
    if trouble == "disputed":
        desk.world.rail.open_dispute(f"ch_{ref}")
    else:
        desk.world.rail.load_charge(f"ch_{ref}", Money(minor=PRICE - 1, currency="EUR"))
        if trouble == "refunded elsewhere":
            seen = await desk.payment(f"ch_{ref}", "EUR")
            desk.payment = _answers(msgspec.structs.replace(seen, refunded_minor=1))  # type: ignore[method-assign]
    await desk.passes(LOOKS_MAX + 2)
    assert (await desk.refunds(ref), await desk.outcome(ref), await desk.facts(ref)) == ([], "people", ["people"])
    assert await desk.queued() == 1


def _answers(seen: PaymentSeen) -> Any:
    async def payment(payment_ref: str, currency: str) -> PaymentSeen:
        del payment_ref, currency
        return seen

    return payment


async def test_a_processor_that_cannot_be_reached_is_asked_again(desk: Desk) -> None:
    ref = await desk.sale(await desk.show())
    desk.fails = Unavailable("down")
    await desk.passes(3)
    assert await desk.refunds(ref) == []
    desk.fails = None
    await desk.passes(1)
    assert await desk.sent(ref) == PRICE


async def test_what_no_processor_confirms_waits_for_a_person(desk: Desk) -> None:
    ref = await desk.sale(await desk.show())
    desk.fails = Declined("unsupported")
    await desk.passes(2)
    assert await desk.refunds(ref) == [("HELD", PRICE, ["wave"])]
    assert await desk.sent(ref) == 0


async def test_the_first_of_a_wave_are_confirmed_by_a_person(desk: Desk) -> None:
    show = await desk.show()
    refs = [await desk.sale(show) for _ in range(3)]
    rails = policy(**{"confirm_first: 0": "confirm_first: 2"})
    await asyncio.gather(*(desk.rollback(rails).run() for _ in range(2)))
    await desk.later(timedelta(minutes=2))
    await asyncio.gather(*(desk.rollback(rails).run() for _ in range(2)))
    await desk.world.settle()
    assert await desk.states(refs) == ["DONE", "HELD", "HELD"]
    assert await desk.queued() == 2


async def test_no_more_than_the_hours_most_goes_back_without_people(desk: Desk) -> None:
    show = await desk.show()
    refs = [await desk.sale(show) for _ in range(3)]
    rails = policy(**{"per_hour_max: { EUR: 200000": f"per_hour_max: {{ EUR: {2 * PRICE}"})
    await desk.passes(2, rails=rails)
    assert await desk.states(refs) == ["DONE", "DONE", "HELD"]


async def test_a_process_that_died_in_between_asks_for_the_same_refund_again(desk: Desk) -> None:
    ref = await desk.sale(await desk.show())
    await desk.rollback().run()
    await desk.later(timedelta(hours=1))
    await desk.rollback().run()
    await desk.pool.execute("UPDATE rollback SET outcome = NULL, next_look_at = app_now()")
    await desk.passes(2)
    assert await desk.refunds(ref) == [("DONE", PRICE, [])]
    assert await desk.sent(ref) == PRICE


async def test_a_pause_keeps_it_back(desk: Desk) -> None:
    ref = await desk.sale(await desk.show())
    await desk.pool.execute("SELECT brake_put($1, 'rail', 'sandbox', 'why', 'who')", desk.world.id)
    await desk.passes(3)
    assert (await desk.outcome(ref), await desk.refunds(ref)) == (None, [])


async def test_a_card_that_only_holds_the_money_is_let_go(desk: Desk) -> None:
    ref = await desk.sale(await desk.show(), status="pending")
    await desk.passes(3)
    assert [one for one, _ in desk.cancelled] == [f"ch_{ref}"]
    assert (await desk.outcome(ref), await desk.facts(ref), await desk.refunds(ref)) == ("cancelled", ["cancelled"], [])


async def test_a_pause_in_the_last_moment_keeps_a_card_from_being_let_go_and_only_for_as_long(desk: Desk) -> None:
    """It comes after the sale was taken up for its look, while the processor is being read."""
    ref = await desk.sale(await desk.show(), status="pending")
    reads = desk.payment

    async def payment(payment_ref: str, currency: str) -> PaymentSeen:
        await desk.pool.execute("SELECT brake_put($1, 'rail', 'sandbox', 'why', 'who')", desk.world.id)
        return await reads(payment_ref, currency)

    desk.payment = payment  # type: ignore[method-assign]
    await desk.passes(3)
    assert (desk.cancelled, await desk.outcome(ref)) == ([], None)
    desk.payment = reads  # type: ignore[method-assign]
    await desk.pool.execute("SELECT brake_release($1, 'rail', 'sandbox', '', 'who')", desk.world.id)
    await desk.passes(2)
    assert ([one for one, _ in desk.cancelled], await desk.outcome(ref)) == ([f"ch_{ref}"], "cancelled")


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(desk: Desk) -> None:
    ref = await desk.sale(await desk.show(), status="pending")
    desk.cancel_fails = [OutcomeUnknown("lost"), Unavailable("down")]
    await desk.passes(5)
    assert len(desk.cancelled) == 3
    assert len({key for _, key in desk.cancelled}) == 1
    assert await desk.outcome(ref) == "cancelled"


async def test_a_checkout_that_somebody_left_is_looked_at_a_few_times_and_forgotten(desk: Desk) -> None:
    ref = await desk.sale(await desk.show(), status="pending")
    desk.held[f"ch_{ref}"] = 0
    await desk.passes(LOOKS_WITHOUT_HOLD_MAX + 2)
    assert (desk.cancelled, await desk.outcome(ref), await desk.facts(ref)) == ([], "mended", [])


async def test_what_is_charged_after_all_is_seen_anew(desk: Desk) -> None:
    show = await desk.show()
    ref = await desk.sale(show, status="pending")
    desk.held[f"ch_{ref}"] = 0
    await desk.passes(LOOKS_WITHOUT_HOLD_MAX + 2)
    del desk.held[f"ch_{ref}"]
    await desk.sale(show, ref=ref, version=2)
    await desk.passes(3)
    assert (await desk.sent(ref), await desk.facts(ref)) == (PRICE, ["refund_asked"])


async def test_a_rail_that_cannot_let_go_is_left_to_people(desk: Desk) -> None:
    ref = await desk.sale(await desk.show(), status="pending")
    rollback = desk.rollback_over({"sandbox": desk.world.rail})
    desk.world.rail.payment = desk.payment  # type: ignore[method-assign]
    await rollback.run()
    await desk.later(timedelta(hours=1))
    await rollback.run()
    assert (await desk.outcome(ref), await desk.facts(ref)) == ("people", ["people"])
    assert await desk.queued() == 1


async def test_a_hold_that_nobody_can_be_asked_about_runs_out_by_itself(desk: Desk) -> None:
    ref = await desk.sale(await desk.show(), status="pending")
    desk.fails = Declined("unsupported")
    await desk.passes(3)
    assert (desk.cancelled, await desk.outcome(ref), await desk.facts(ref), await desk.queued()) == ([], "unread", [], 0)
