"""How often codes may be asked for: a stranger keeps nobody from theirs, and a crowd behind one address is no attack."""

from __future__ import annotations

from typing import Final

import pytest

from service.store.pool import Pool
from tests.identity.proofs import MIRA, PHONE
from tests.identity.world import Customer, Shop, World, calling, time_passes

# Of documentation (RFC 5737): where the customer is, and where the others are.
HOME: Final = "192.0.2.1"
ELSEWHERE: Final = "198.51.100.{}"
# An arena at an outage, all in the network of the house.
CROWD: Final = 7_000


async def asked(world: World, shop: Shop, client: str, *, by: str, times: int, email: str = MIRA, order: str | None = None) -> list[int]:
    """What as many requests from one address on the network are answered with, each of a session of its own."""
    async with calling(world.app(), client=client) as http:
        answers = []
        for _ in range(times):
            customer = await Customer.arrives(http, shop.slug)
            asks = customer.ask_for_code if by == "mail" else customer.ask_for_text
            answers.append((await asks(email, order)).status_code)
    return answers


async def at_the_hour(pool: Pool) -> None:
    """So that no hour ends between two requests of a test."""
    await time_passes(pool, 1 + await pool.fetchval("SELECT 3600 - extract(epoch FROM app_now())::bigint % 3600"))


@pytest.mark.parametrize(("by", "most"), [("mail", 5), ("text", 3)])
@pytest.mark.parametrize("named", [True, False], ids=["order", "address"])
async def test_a_stranger_elsewhere_keeps_no_customer_from_their_code(world: World, shop: Shop, by: str, most: int, named: bool) -> None:  # noqa: FBT001 - one case each
    order = await shop.sells(MIRA, phone=PHONE)
    await at_the_hour(world.pool)
    ref = order.ref if named else None
    assert await asked(world, shop, ELSEWHERE.format(1), by=by, times=most + 1, order=ref) == [202] * most + [429]
    assert await asked(world, shop, HOME, by=by, times=most, order=ref) == [202] * most


async def test_nor_for_the_rest_of_the_day(world: World, shop: Shop) -> None:
    await shop.sells(MIRA)
    await at_the_hour(world.pool)
    for _ in range(4):
        await asked(world, shop, ELSEWHERE.format(1), by="mail", times=5)
        await time_passes(world.pool, 3600)
    assert await asked(world, shop, HOME, by="mail", times=5) == [202] * 5


@pytest.mark.parametrize(("by", "most"), [("mail", 10), ("text", 5)])
async def test_nor_by_the_orders_reference_under_invented_addresses(world: World, shop: Shop, by: str, most: int) -> None:
    order = await shop.sells(MIRA, phone=PHONE)
    await at_the_hour(world.pool)
    for nth in range(most):
        assert await asked(world, shop, ELSEWHERE.format(1), by=by, times=1, email=f"no-{nth}@example.org", order=order.ref) == [202]
    assert await asked(world, shop, ELSEWHERE.format(1), by=by, times=1, email="no@example.org", order=order.ref) == [429]
    assert await asked(world, shop, HOME, by=by, times=1, order=order.ref) == [202]


@pytest.mark.parametrize(("by", "each", "in_all"), [("mail", 5, 20), ("text", 2, 10)])
async def test_one_address_has_no_more_from_everywhere_together(world: World, shop: Shop, by: str, each: int, in_all: int) -> None:
    await shop.sells(MIRA, phone=PHONE)
    await at_the_hour(world.pool)
    for place in range(in_all // each):
        assert await asked(world, shop, ELSEWHERE.format(place), by=by, times=each, email=MIRA.title()) == [202] * each
    assert await asked(world, shop, HOME, by=by, times=1) == [429]


async def test_a_crowd_behind_one_address_is_let_in(world: World, shop: Shop) -> None:
    """Each has opened the widget twice and had two letters and three tries, one in eight a text: the next is served as the first."""
    spent = {"session": 2 * CROWD, "code": 2 * CROWD, "try": 3 * CROWD, "text": CROWD // 8}
    async with calling(world.app(), client=HOME) as http:
        for nth in range(2):
            customer = await Customer.arrives(http, shop.slug)
            assert (await customer.ask_for_code(f"viewer-{nth}@example.org")).status_code == 202
            assert (await customer.ask_for_text(f"viewer-{nth}@example.org")).status_code == 202
            assert (await customer.verify("000000")).status_code == 422
            for kind, used in spent.items():
                bucket = f"{kind}-client:%"
                changed = await world.pool.execute(
                    "UPDATE rate SET used = $3 WHERE platform_id = $1 AND bucket LIKE $2", shop.id, bucket, used
                )
                assert changed != "UPDATE 0"
