"""On one rail a charge is one platform's: nobody feeds, and nothing refunds, what another platform took in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx

from service.store.pool import Pool
from tests.orders.loading import order_body, payment_body, platform_with_show
from tests.rails import seeding

MIGRATION = Path(__file__).parents[2] / "service/store/migrations/0017_charge_owner.sql"
# A barcode is one position's: orders beside each other have none.
_POSITIONS: Final = [{**one, "pass": None} for one in order_body()["positions"]]


async def put(client: httpx.AsyncClient, ref: str = "A1", **changes: object) -> httpx.Response:
    return await client.put(f"/v1/orders/{ref}", json=order_body(**changes))


async def owner(pool: Pool, charge: str = "pi_1", rail: str = "stripe") -> UUID | None:
    found: UUID | None = await pool.fetchval("SELECT platform_id FROM charge_owner WHERE rail = $1 AND provider_ref = $2", rail, charge)
    return found


async def test_another_platforms_charge_is_refused_without_a_word_of_whose_it_is(
    pool: Pool, platform_id: UUID, client: httpx.AsyncClient, other_client: httpx.AsyncClient
) -> None:
    assert (await put(client)).status_code == 201
    stolen = await put(other_client, "EVIL")

    assert (stolen.status_code, stolen.json()["errors"]) == (
        400,
        [{"field": "/payments/0/provider_ref", "message": "is not a charge of this platform on this rail"}],
    )
    assert (await other_client.get("/v1/orders/EVIL")).status_code == 404
    assert await owner(pool) == platform_id


async def test_a_refused_feed_makes_no_charge_its_own(pool: Pool, client: httpx.AsyncClient, other_client: httpx.AsyncClient) -> None:
    assert (await put(client)).status_code == 201
    both = [payment_body(), payment_body(ref="P-2", provider_ref="pi_2", status="pending", captured=0)]
    assert (await put(other_client, "EVIL", payments=both)).status_code == 400
    assert await owner(pool, "pi_2") is None


async def test_a_charge_is_one_platforms_on_each_rail_alone_and_may_pay_for_several_orders_there(
    client: httpx.AsyncClient, other_client: httpx.AsyncClient
) -> None:
    assert (await put(client)).status_code == 201
    shared = await put(client, "A2", positions=_POSITIONS)
    assert shared.status_code == 201, shared.text
    assert (await put(other_client, payments=[payment_body(rail="adyen")])).status_code == 201


async def test_a_rail_that_changes_takes_no_kept_reference_along(client: httpx.AsyncClient, other_client: httpx.AsyncClient) -> None:
    """A reference that is left out is kept: with another rail it would be another platform's charge."""
    assert (await put(client)).status_code == 201
    assert (await put(other_client, payments=[payment_body(rail="adyen")])).status_code == 201
    moved = await put(other_client, version=11, payments=[payment_body(provider_ref=None)])
    assert (moved.status_code, moved.json()["errors"][0]["field"]) == (400, "/payments/0/provider_ref")


async def test_of_two_platforms_that_feed_one_charge_at_once_one_has_it(
    pool: Pool, client: httpx.AsyncClient, other_client: httpx.AsyncClient
) -> None:
    async def feed(one: httpx.AsyncClient, number: int) -> tuple[int, int]:
        answer = await put(one, f"R{number}", positions=_POSITIONS, payments=[payment_body(provider_ref=f"pi_race_{number}")])
        return number, answer.status_code

    answers = await asyncio.gather(*(feed(one, number) for number in range(8) for one in (client, other_client)))
    assert sorted(answers) == [(number, code) for number in range(8) for code in (201, 400)]
    for number in range(8):
        owners = await pool.fetch("SELECT DISTINCT platform_id FROM payment WHERE provider_ref = $1", f"pi_race_{number}")
        assert [row["platform_id"] for row in owners] == [await owner(pool, f"pi_race_{number}")]


async def test_a_payment_that_was_here_before_can_be_fed_on(pool: Pool, client: httpx.AsyncClient) -> None:
    """Its order changes as any other; only its money is people's."""
    assert (await put(client)).status_code == 201
    other = await platform_with_show(pool)
    await pool.execute("DELETE FROM charge_owner")
    await pool.execute("INSERT INTO charge_owner (rail, provider_ref, platform_id) VALUES ('stripe', 'pi_1', $1)", other)
    assert (await put(client, version=11, locale="fr")).status_code == 200
    assert await owner(pool) == other


async def test_a_refund_that_is_due_already_goes_to_people_when_the_charge_is_anothers(pool: Pool) -> None:
    ours, theirs = await seeding.platform(pool), await seeding.platform(pool)
    operation = await seeding.refund(pool, ours, rail="shared")
    await pool.execute("INSERT INTO charge_owner (rail, provider_ref, platform_id) VALUES ('shared', 'ch_1', $1)", theirs.id)
    epoch = await pool.fetchval("UPDATE operation SET lease_epoch = 1 WHERE id = $1 RETURNING lease_epoch", operation)
    said = await pool.fetchval("SELECT operation_begin($1, $2, $3, 30, '{\"*\": 3600}')", ours.id, operation, epoch)
    assert said == {"status": "not_now", "state": "HELD"}
    row = await pool.fetchrow(
        "SELECT state, holds, (SELECT count(*) FROM attempt WHERE operation_id = o.id) FROM operation o WHERE id = $1", operation
    )
    assert row is not None
    assert tuple(row) == ("HELD", ["outside"], 0)


async def test_the_migration_gives_a_charge_to_the_platform_that_we_heard_it_from_first(pool: Pool) -> None:
    first, second = await seeding.platform(pool), await seeding.platform(pool)
    for one in (first, second):
        await seeding.refund(pool, one, rail="old-rail")
    async with pool.acquire() as connection:
        change = connection.transaction()
        await change.start()
        await connection.execute("DROP TABLE charge_owner CASCADE")
        await connection.execute(MIGRATION.read_text())
        found = await connection.fetch("SELECT platform_id FROM charge_owner WHERE rail = 'old-rail'")
        await change.rollback()
    assert [row["platform_id"] for row in found] == [first.id]
