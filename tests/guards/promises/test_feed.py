"""What the platform feeds again under another name, or too late: one charge counts once, and a refunded ticket admits nobody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest_asyncio

from service.store.pool import Pool
from tests.orders.conftest import app_client, caller_for
from tests.orders.loading import order_body, order_feed, orders_of, payment_body, platform_with_show

TICKET = {"barcode": "comes-late"}


class Fed:
    """One order that its platform feeds again and again."""

    def __init__(self, pool: Pool, platform: UUID) -> None:
        self.pool = pool
        self.platform = platform
        self.version = 1
        self.body = order_body()
        self.stream, self.shirt = self.body["positions"]
        del self.stream["pass"]

    async def feed(self, *, ticket: dict[str, Any] | None = None, **changes: Any) -> None:
        self.version += 1
        stream = self.stream | ({"pass": ticket} if ticket else {})
        body = self.body | {"version": self.version, "positions": [stream, self.shirt]} | changes
        await orders_of(self.pool).put(self.platform, "A1", order_feed(body), source="key:shop")

    async def payments(self) -> list[tuple[str, int, int, int]]:
        """Name, captured, reserved and refunded of each."""
        rows = await self.pool.fetch(
            "SELECT ref, captured, reserved, refunded FROM payment WHERE platform_id = $1 ORDER BY ref", self.platform
        )
        return [(row["ref"], row["captured"], row["reserved"], row["refunded"]) for row in rows]

    async def passes(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch("SELECT barcode, status FROM pass WHERE platform_id = $1 ORDER BY created_at, id", self.platform)
        return [(row["barcode"], row["status"]) for row in rows]

    async def facts(self, kind: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT data FROM order_fact WHERE platform_id = $1 AND kind = $2 ORDER BY seq", self.platform, kind)
        return [row["data"] for row in rows]

    async def queued(self) -> int:
        found: int = await self.pool.fetchval("SELECT count(*) FROM cases WHERE platform_id = $1 AND owner = 'queue'", self.platform)
        return found


@pytest_asyncio.fixture(loop_scope="session")
async def fed(guarded: Pool) -> Fed:
    made = Fed(guarded, await platform_with_show(guarded))
    await made.feed()
    return made


# ------------------------------------------------------------------------------------------------------- the charge


async def test_a_charge_fed_under_another_name_is_the_same_payment_with_what_we_did_to_it(fed: Fed) -> None:
    await fed.pool.execute("UPDATE payment SET reserved = 100, refunded = 694 WHERE platform_id = $1", fed.platform)
    for ref in ("txn-77", "P-1", "txn-78"):
        await fed.feed(payments=[payment_body(ref=ref)])
        assert await fed.payments() == [(ref, 5750, 100, 694)]
    assert await fed.facts("books_disagree") == []


async def test_of_two_charges_only_the_one_that_was_renamed_is_named_anew(fed: Fed) -> None:
    both = [payment_body(captured=3000, amount=3000), payment_body(ref="P-2", provider_ref="pi_2", captured=2750, amount=2750)]
    await fed.feed(payments=both)
    assert await fed.payments() == [("P-1", 3000, 0, 0), ("P-2", 2750, 0, 0)]
    await fed.feed(payments=[both[0], both[1] | {"ref": "P-3"}])
    assert await fed.payments() == [("P-1", 3000, 0, 0), ("P-3", 2750, 0, 0)]


async def test_a_second_charge_without_a_reference_is_another_payment(fed: Fed) -> None:
    """Only the processor's own reference says that two names are one charge."""
    await fed.feed(payments=[payment_body(), payment_body(ref="P-2", provider_ref=None, captured=100, amount=100)])
    assert await fed.payments() == [("P-1", 5750, 0, 0), ("P-2", 100, 0, 0)]


async def test_one_charge_named_twice_in_a_document_is_a_mistake_that_names_the_field(fed: Fed) -> None:
    body = fed.body | {"version": 99, "payments": [payment_body(), payment_body(ref="P-2")]}
    async with app_client(fed.pool, {"shop": caller_for(fed.platform)}) as client:
        answer = await client.put("/v1/orders/A1", json=body)
        assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, ["/payments/1/provider_ref"])
        assert await fed.payments() == [("P-1", 5750, 0, 0)]
        other = await client.put("/v1/orders/A1", json=body | {"payments": [payment_body(), payment_body(ref="P-2", rail="adyen")]})
        assert other.status_code == 200, other.text


# ------------------------------------------------------------------------------------------------------- the ticket


async def test_a_ticket_that_comes_after_its_refund_admits_nobody_and_people_look(fed: Fed) -> None:
    await fed.pool.execute("UPDATE line SET awarded = price WHERE platform_id = $1 AND kind = 'stream'", fed.platform)
    for _ in range(2):
        await fed.feed(ticket=TICKET)
    assert await fed.passes() == [("comes-late", "void")]
    (said,) = await fed.facts("pass_disagrees")
    assert (said["position"], said["because"]) == ("1", "refunded")
    assert await fed.queued() == 1


async def test_a_ticket_that_comes_after_others_gave_all_money_back_admits_nobody(fed: Fed) -> None:
    refunds = [{"ref": "R-1", "amount": 5750, "state": "done"}]
    await fed.feed(payments=[payment_body(refunds_elsewhere=refunds)], ticket=TICKET)
    assert await fed.passes() == [("comes-late", "void")]
    assert len(await fed.facts("pass_disagrees")) == 1


async def test_a_ticket_that_is_told_valid_again_after_all_money_went_back_admits_nobody(fed: Fed) -> None:
    back = [payment_body(refunds_elsewhere=[{"ref": "R-1", "amount": 5750, "state": "done"}])]
    await fed.feed(ticket=TICKET)
    await fed.feed(payments=back, ticket=TICKET | {"status": "void"})
    for _ in range(2):
        await fed.feed(payments=back, ticket=TICKET)
        assert await fed.passes() == [("comes-late", "void")]
        assert len(await fed.facts("pass_disagrees")) == 1


async def test_a_ticket_that_comes_after_a_part_went_back_admits(fed: Fed) -> None:
    await fed.pool.execute("UPDATE line SET awarded = price - 1 WHERE platform_id = $1 AND kind = 'stream'", fed.platform)
    await fed.feed(ticket=TICKET)
    assert await fed.passes() == [("comes-late", "valid")]
    assert await fed.facts("pass_disagrees") == []
