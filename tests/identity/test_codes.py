"""A customer proves an address with a code: who gets one, what it opens, and what it is not good for."""

from __future__ import annotations

import asyncio

import asyncpg
import httpx
import pytest
from pgqueuer.domain.models import Job

from service.callers import Caller
from service.limits import Limits
from service.model import IdentityLevel
from service.store.pool import Pool, open_pool
from tests.identity.timing import BOUNDLESS, ask_for_codes
from tests.identity.world import Customer, Shop, World, calling, time_passes

MIRA = "mira@example.org"
LEO = "leo@example.org"


async def caller(world: World, customer: Customer) -> Caller:
    found = await world.identity.caller_for_session(customer.token)
    assert found is not None
    return found


async def proven(world: World, http: httpx.AsyncClient, shop: Shop, email: str, order: str | None = None) -> Customer:
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(email, order)
    await world.deliver()
    answer = await customer.verify(world.codes_to(email)[-1])
    assert answer.status_code == 200, answer.text
    return customer


def another(digits: str) -> str:
    return f"{(int(digits) + 1) % 1_000_000:06}"


async def test_a_code_to_the_buyer_opens_all_orders_under_the_address(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    first, second = await shop.sells(MIRA), await shop.sells("MIRA@Example.org")
    await shop.sells(LEO)
    customer = await proven(world, http, shop, MIRA)
    opened = await world.identity.orders_open_to(await caller(world, customer))
    assert {(one.order_id, one.role, one.pass_id) for one in opened} == {(first.id, "buyer", None), (second.id, "buyer", None)}
    assert await customer.level() == "verified"


async def test_a_holder_opens_their_own_pass_and_nothing_else(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    order = await shop.sells(MIRA, holders=[LEO, "nia@example.org"])
    await shop.sells(MIRA)
    customer = await proven(world, http, shop, LEO, order.ref)
    who = await caller(world, customer)
    assert who.only_pass == order.passes[LEO]
    opened = await world.identity.orders_open_to(who)
    assert [(one.order_id, one.role, one.pass_id) for one in opened] == [(order.id, "holder", order.passes[LEO])]


async def test_a_buyer_who_also_holds_a_friends_pass_sees_both(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    own, gift = await shop.sells(MIRA), await shop.sells(LEO, holders=[MIRA])
    customer = await proven(world, http, shop, MIRA, gift.ref)
    opened = await world.identity.orders_open_to(await caller(world, customer))
    assert {(one.order_id, one.role, one.pass_id) for one in opened} == {(own.id, "buyer", None), (gift.id, "holder", gift.passes[MIRA])}


async def test_a_replaced_pass_leads_to_its_successor_until_the_holder_changes(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    order = await shop.sells(MIRA, holders=[LEO])
    customer = await proven(world, http, shop, LEO)
    await world.pool.execute("UPDATE pass SET status = 'void' WHERE platform_id = $1", shop.id)
    await world.pool.execute(
        "INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, created_at, replaces)"
        " SELECT platform_id, gen_random_uuid(), order_id, line_id, issuer, 'valid', 'new', now(), id FROM pass WHERE platform_id = $1",
        shop.id,
    )
    (opened,) = await world.identity.orders_open_to(await caller(world, customer))
    assert opened.order_id == order.id
    assert opened.pass_id != order.passes[LEO]
    await world.pool.execute("UPDATE person SET email = 'new@example.org' WHERE platform_id = $1 AND email = $2", shop.id, LEO)
    assert not await world.identity.orders_open_to(await caller(world, customer))


async def test_the_level_is_for_the_order_it_was_proven_for(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    own, other = await shop.sells(MIRA), await shop.sells(LEO)
    who = await caller(world, await proven(world, http, shop, MIRA))
    assert await world.identity.level_for(who, own.ref) is IdentityLevel.VERIFIED
    assert await world.identity.level_for(who, other.ref) is IdentityLevel.CLAIMED
    assert await world.identity.level_for(who, "NO-SUCH") is IdentityLevel.CLAIMED


@pytest.mark.parametrize("known", ["the address", "the order with another address", "nothing"])
async def test_the_answer_never_shows_what_exists(world: World, shop: Shop, http: httpx.AsyncClient, known: str) -> None:
    order = await shop.sells(MIRA)
    asked = {"the address": (MIRA, order.ref), "the order with another address": (LEO, order.ref), "nothing": ("no@example.org", "NONE")}
    customer = await Customer.arrives(http, shop.slug)
    answer = await customer.ask_for_code(*asked[known])
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "detail": "If the address belongs to an order, a code is on its way to it. It works once, in this session.",
            "valid_minutes": 10,
        },
    )
    assert await customer.level() == "claimed"
    assert await world.deliver() == 1
    assert len(world.mailer.messages) == (known == "the address")


async def test_the_work_is_the_same_whether_or_not_the_order_exists(world: World, shop: Shop, fresh_database_url: str) -> None:
    order = await shop.sells(MIRA, holders=[LEO])
    seen: list[list[str]] = []

    sizes: list[list[tuple[int, int, int, int]]] = []
    for email, ref in ((MIRA, order.ref), (LEO, None), ("noo@example.org", "NO-SUCH"), ("noo@example.org", None), (LEO, "NO-SUCH")):
        seen.append([])
        # one connection, so that no statement hides on another; made anew, so that each path prepares what it needs
        async with await open_pool(fresh_database_url, size=1) as pool, calling(World(pool).app()) as http:
            async with pool.acquire() as connection:
                connection.add_query_logger(lambda record: seen[-1].append(record.query))
            customer = await Customer.arrives(http, shop.slug)
            assert (await customer.ask_for_code(email, ref)).status_code == 202
        sizes.append(
            [
                tuple(row)
                for row in await world.pool.fetch(
                    "SELECT length(payload), priority, length(hash), length(sealed) FROM pgqueuer, one_time_code"
                    " WHERE entrypoint = 'send_code' AND platform_id = $1",
                    shop.id,
                )
            ]
        )
        await world.pool.execute("DELETE FROM pgqueuer")
        await world.pool.execute("DELETE FROM one_time_code WHERE platform_id = $1", shop.id)
    assert any("code_request" in text for text in seen[0])
    assert any("pgqueuer" in text for text in seen[0])
    assert seen[1:] == seen[:1] * 4
    assert sizes[1:] == sizes[:1] * 4
    assert len(sizes[0]) == 1


async def test_nobody_can_read_a_code_out_of_the_database(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    kept = await world.pool.fetchrow("SELECT hash, sealed FROM one_time_code WHERE platform_id = $1", shop.id)
    payload = await world.pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'send_code'")
    await world.deliver()
    (code,) = world.codes_to(MIRA)
    assert kept is not None
    assert code.encode() not in bytes(kept["hash"]) + bytes(kept["sealed"]) + bytes(payload)
    assert await world.pool.fetchval("SELECT sealed FROM one_time_code WHERE platform_id = $1", shop.id) is None


async def test_a_waiting_job_is_one_that_pgqueuer_can_read(shop: Shop, http: httpx.AsyncClient, fresh_database_url: str) -> None:
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    plain = await asyncpg.connect(fresh_database_url)
    try:
        row = await plain.fetchrow("SELECT * FROM pgqueuer")
    finally:
        await plain.close()
    assert row is not None
    assert Job.model_validate(dict(row)).entrypoint == "send_code"


async def test_a_job_that_runs_twice_writes_once(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    job = await world.pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'send_code'")
    await world.letters.send_code(job)
    await world.letters.send_code(job)
    assert len(world.codes_to(MIRA)) == 1


async def test_five_wrong_tries_end_a_code(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    await world.deliver()
    (code,) = world.codes_to(MIRA)
    for _ in range(5):
        assert (await customer.verify(another(code))).status_code == 422
    assert (await customer.verify(code)).status_code == 422
    assert await customer.level() == "claimed"


async def test_a_hundred_guesses_at_once_are_five(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    await world.deliver()
    (code,) = world.codes_to(MIRA)
    answers = await asyncio.gather(*(customer.verify(another(code)) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {422}
    assert await world.pool.fetchval("SELECT tries_left FROM one_time_code WHERE platform_id = $1", shop.id) == 0
    assert (await customer.verify(code)).status_code == 422


async def test_a_code_works_once_even_when_sent_twenty_times_at_once(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    await world.deliver()
    (code,) = world.codes_to(MIRA)
    answers = await asyncio.gather(*(customer.verify(code) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers)[:2] == [200, 422]
    await time_passes(world.pool, 31 * 60)
    assert (await customer.verify(code)).status_code == 422
    assert await customer.level() == "claimed"


async def test_a_code_is_good_in_its_own_session_only(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer, thief = await Customer.arrives(http, shop.slug), await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    await world.deliver()
    (code,) = world.codes_to(MIRA)
    await thief.ask_for_code("thief@example.org")
    assert (await thief.verify(code)).status_code == 422
    assert await thief.level() == "claimed"
    assert (await customer.verify(code)).status_code == 200


async def test_a_code_of_one_platform_opens_nothing_on_another(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    elsewhere = await Shop.opens(world.pool)
    await shop.sells(MIRA)
    theirs = await elsewhere.sells(MIRA)
    customer = await proven(world, http, shop, MIRA)
    opened = await world.identity.orders_open_to(await caller(world, customer))
    assert theirs.id not in {one.order_id for one in opened}
    stranger = await Customer.arrives(http, elsewhere.slug)
    await stranger.ask_for_code(MIRA)
    assert (await stranger.verify(world.codes_to(MIRA)[0])).status_code == 422


async def test_a_new_code_ends_the_older_one(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    await world.deliver()
    await customer.ask_for_code(MIRA)
    await world.deliver()
    old, new = world.codes_to(MIRA)
    if old != new:
        assert (await customer.verify(old)).status_code == 422
    assert (await customer.verify(new)).status_code == 200


async def test_a_code_ends_after_ten_minutes_and_is_not_mailed_later(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await Customer.arrives(http, shop.slug)
    await customer.ask_for_code(MIRA)
    await world.deliver()
    await customer.ask_for_code(MIRA)
    await time_passes(world.pool, 10 * 60 + 1)
    await world.deliver()
    (only,) = world.codes_to(MIRA)
    assert (await customer.verify(only)).status_code == 422


async def test_verified_runs_out_after_half_an_hour_and_takes_the_orders_along(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await proven(world, http, shop, MIRA)
    await time_passes(world.pool, 30 * 60 + 1)
    who = await caller(world, customer)
    assert (who.level, who.email) == (IdentityLevel.CLAIMED, None)
    assert not await world.identity.orders_open_to(who)


async def test_leaving_ends_the_session_and_forgets_the_address(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    customer = await proven(world, http, shop, MIRA)
    assert (await customer.leave()).status_code == 204
    assert (await customer.leave()).status_code == 401
    assert await world.pool.fetchval("SELECT count(*) FROM session WHERE person_email IS NOT NULL") == 0
    assert await world.pool.fetchval("SELECT count(*) FROM one_time_code WHERE email IS NOT NULL") == 0


async def test_a_session_ends_after_a_day(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    customer = await Customer.arrives(http, shop.slug)
    await time_passes(world.pool, 24 * 3600 + 1)
    assert (await customer.leave()).status_code == 401


async def test_what_ran_out_is_forgotten(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA)
    await proven(world, http, shop, MIRA)
    await time_passes(world.pool, 4 * 86400)
    await world.identity.forget_old()
    await world.identity.forget_old()
    for table in ("session", "one_time_code", "rate"):
        assert await world.pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table


@pytest.mark.parametrize("limit", [one for one in Limits.__struct_fields__ if one.startswith("codes_")])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_each_limit_holds_and_reads_the_same_for_known_and_unknown(still_pool: Pool, limit: str, known: bool) -> None:  # noqa: FBT001 - one case each
    world = World(still_pool, limits=Limits(**{limit: (2, 600)}))
    shop = await Shop.opens(still_pool)
    order = await shop.sells(MIRA)
    email, ref = (MIRA, order.ref) if known else ("no@example.org", "NONE")
    async with calling(world.app()) as http:
        customer = await Customer.arrives(http, shop.slug)
        for _ in range(2):
            assert (await customer.ask_for_code(email, ref)).status_code == 202
        refused = await customer.ask_for_code(email, ref)
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:makegood:problem:too_many_requests"
        assert 1 <= int(refused.headers["Retry-After"]) <= 600
        await time_passes(still_pool, int(refused.headers["Retry-After"]))
        assert (await customer.ask_for_code(email, ref)).status_code == 202
    assert await still_pool.fetchval("SELECT count(*) FROM rate WHERE bucket LIKE '%' || $1 || '%'", email) == 0


async def test_tries_are_limited_over_sessions(still_pool: Pool) -> None:
    world = World(still_pool, limits=Limits(tries_per_client=(3, 600)))
    shop = await Shop.opens(still_pool)
    async with calling(world.app()) as http:
        customers = [await Customer.arrives(http, shop.slug) for _ in range(4)]
        answers = [(await customer.verify("000000")).status_code for customer in customers]
    assert answers == [422, 422, 422, 429]


async def test_what_the_bench_measures_is_both_paths(still_pool: Pool) -> None:
    world = World(still_pool, limits=BOUNDLESS)
    shop = await Shop.opens(still_pool)
    order = await shop.sells(MIRA)
    platform = await world.platforms.by_slug(shop.slug)
    assert platform is not None
    medians = await ask_for_codes(world.identity, platform, known=(MIRA, order.ref), rounds=3)
    assert medians.difference_ms >= 0
    assert await world.deliver() == 6
    written = await still_pool.fetchval("SELECT count(*) FROM one_time_code WHERE platform_id = $1 AND email IS NOT NULL", shop.id)
    assert written == 3
