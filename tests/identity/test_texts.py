"""A customer proves address and phone together with a code by text: what it opens, and whom it does not help to what is another's."""

from __future__ import annotations

import asyncio

import asyncpg
import httpx
import pytest

from integrations.sandbox_text import SandboxTexter
from service.limits import Limits
from service.model import IdentityLevel, new_id
from service.ports import Declined, OutcomeUnknown, Text, Unavailable
from service.store.identity import IdentityStore
from service.store.pool import Pool, open_pool
from tests.identity.proofs import LEO, MIRA, OTHER, PHONE, a_case, arrives, by_mail, by_text, closed, opened, opens, who_is
from tests.identity.world import Customer, Shop, World, calling, time_passes


def another(digits: str) -> str:
    return f"{(int(digits) + 1) % 1_000_000:06}"


async def texted(world: World, customer: Customer, email: str, phone: str = PHONE, order: str | None = None) -> str:
    """The digits of a text that was asked for."""
    await customer.ask_for_text(email, order)
    await world.deliver()
    return world.texts_to(phone)[-1]


# ------------------------------------------------------------------------------------------------------------ what it opens


async def test_a_text_opens_the_orders_with_that_address_and_that_phone_everywhere(
    world: World, shop: Shop, http: httpx.AsyncClient
) -> None:
    order, same = await shop.sells(MIRA, phone=PHONE), await shop.sells("Mira@Example.org", phone="+44 (0)7700-900101")
    others = [await shop.sells(MIRA, phone=OTHER), await shop.sells(MIRA), await shop.sells(LEO, phone=PHONE)]
    customer = await arrives(http, shop)
    await by_text(world, customer, MIRA, PHONE, order.ref)
    who = await who_is(world, customer)
    assert (await customer.level(), who.email) == ("verified", None)
    for one in (order, same):
        assert await opens(world, who, shop, one, await a_case(world.pool, shop, one)) == opened(IdentityLevel.VERIFIED)
    for one in others:
        assert await opens(world, who, shop, one, await a_case(world.pool, shop, one)) == closed()


async def test_an_order_of_ones_own_with_somebodys_address_opens_nothing_of_theirs(
    world: World, shop: Shop, http: httpx.AsyncClient
) -> None:
    theirs = await shop.sells(MIRA, phone=PHONE)
    held = await shop.sells(LEO, holders=[MIRA], phone=PHONE)
    own = await shop.sells(MIRA, phone=OTHER)
    thief = await arrives(http, shop)
    await by_text(world, thief, MIRA, OTHER)
    who = await who_is(world, thief)
    assert await opens(world, who, shop, own, await a_case(world.pool, shop, own)) == opened(IdentityLevel.VERIFIED)
    for one in (theirs, held):
        assert await opens(world, who, shop, one, await a_case(world.pool, shop, one)) == closed()
    assert [one.order_id for one in await world.identity.orders_open_to(who)] == [own.id]


async def test_with_the_mailbox_and_a_phone_of_ones_own_only_the_order_with_that_phone_is_strong(
    world: World, shop: Shop, http: httpx.AsyncClient
) -> None:
    """Whoever reads somebody's mail cannot make themselves strong for their orders by ordering with their address."""
    theirs, own = await shop.sells(MIRA, phone=PHONE), await shop.sells(MIRA, phone=OTHER)
    thief = await arrives(http, shop)
    await by_mail(world, thief, MIRA)
    await by_text(world, thief, MIRA, OTHER, own.ref)
    who = await who_is(world, thief)
    assert (await opens(world, who, shop, theirs, await a_case(world.pool, shop, theirs))).for_payout is IdentityLevel.VERIFIED
    assert (await opens(world, who, shop, own, await a_case(world.pool, shop, own))).for_payout is IdentityLevel.STRONG


@pytest.mark.parametrize("first", ["mail", "text"])
async def test_both_proofs_of_one_buyer_are_strong_for_ten_minutes_in_either_order(
    world: World, shop: Shop, http: httpx.AsyncClient, first: str
) -> None:
    order = await shop.sells(MIRA, phone=PHONE)
    case = await a_case(world.pool, shop, order)
    customer = await arrives(http, shop)
    for way in ("mail", "text") if first == "mail" else ("text", "mail"):
        assert await customer.level() != "strong"
        await (by_mail(world, customer, MIRA) if way == "mail" else by_text(world, customer, MIRA, PHONE))
    assert await customer.level() == "strong"
    assert await opens(world, await who_is(world, customer), shop, order, case) == opened(IdentityLevel.STRONG)
    await time_passes(world.pool, 10 * 60 + 1)
    assert await customer.level() == "verified"
    assert await opens(world, await who_is(world, customer), shop, order, case) == opened(IdentityLevel.VERIFIED)


async def test_a_second_proof_makes_a_first_one_that_ran_out_no_stronger(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await by_mail(world, customer, MIRA)
    await time_passes(world.pool, 30 * 60 + 1)
    await by_text(world, customer, MIRA, PHONE)
    assert await customer.level() == "verified"
    assert (await who_is(world, customer)).email is None


async def test_strong_ends_with_the_older_of_the_two_proofs(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await by_mail(world, customer, MIRA)
    await time_passes(world.pool, 25 * 60)
    await by_text(world, customer, MIRA, PHONE)
    assert await customer.level() == "strong"
    await time_passes(world.pool, 5 * 60 + 1)
    assert await customer.level() == "verified"


async def test_mail_and_text_of_two_buyers_open_both_and_are_strong_for_neither(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    hers, his = await shop.sells(MIRA, phone=PHONE), await shop.sells(LEO, phone=OTHER)
    customer = await arrives(http, shop)
    await by_mail(world, customer, MIRA)
    await by_text(world, customer, LEO, OTHER)
    who = await who_is(world, customer)
    assert await customer.level() == "verified"
    for one in (hers, his):
        assert await opens(world, who, shop, one, await a_case(world.pool, shop, one)) == opened(IdentityLevel.VERIFIED)


async def test_another_address_proven_meanwhile_takes_strong_away(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    await shop.sells(LEO)
    customer = await arrives(http, shop)
    await by_text(world, customer, MIRA, PHONE)
    await by_mail(world, customer, MIRA)
    await by_mail(world, customer, LEO)
    assert await customer.level() == "verified"


async def test_a_holders_ticket_beside_a_text_stays_one_ticket(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    gift = await shop.sells(LEO, holders=[MIRA])
    own = await shop.sells("mira@work.example", phone=PHONE)
    customer = await arrives(http, shop)
    await by_mail(world, customer, MIRA)
    await by_text(world, customer, "mira@work.example", PHONE)
    found = await world.identity.orders_open_to(await who_is(world, customer))
    assert {(one.order_id, one.role) for one in found} == {(gift.id, "holder"), (own.id, "buyer")}


async def test_the_newest_order_says_which_phone_unless_one_is_named(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    older = await shop.sells(MIRA, phone=PHONE)
    await shop.sells(MIRA, phone=OTHER)
    customer = await arrives(http, shop)
    await customer.ask_for_text(MIRA)
    await world.deliver()
    assert (len(world.texts_to(OTHER)), len(world.texts_to(PHONE))) == (1, 0)
    await by_text(world, customer, MIRA, PHONE, older.ref)


# ----------------------------------------------------------------------------------------------------------------- hostile


async def test_a_text_is_used_up_by_its_first_use(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    code = await texted(world, customer, MIRA)
    answers = await asyncio.gather(*(customer.verify(code) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 19
    await time_passes(world.pool, 31 * 60)
    assert (await customer.verify(code)).status_code == 422
    assert await customer.level() == "claimed"


async def test_of_two_requests_that_took_a_try_at_once_one_alone_proves(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await texted(world, customer, MIRA)
    session, store = (await who_is(world, customer)).id, IdentityStore(world.pool)
    (tried,) = await store.take_try(shop.id, session)
    proofs = [
        await store.prove(shop.id, session, tried.id, channel=tried.channel, verified_seconds=60, strong_seconds=60) for _ in range(2)
    ]
    assert [one is not None for one in proofs] == [True, False]


async def test_a_text_is_good_in_its_own_session_only(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    await shop.sells(LEO, phone=OTHER)
    customer, thief = await arrives(http, shop), await arrives(http, shop)
    code = await texted(world, customer, MIRA)
    await texted(world, thief, LEO, OTHER)
    if code != world.texts_to(OTHER)[-1]:
        assert (await thief.verify(code)).status_code == 422
    assert (await customer.verify(code)).status_code == 200
    assert (await who_is(world, thief)).text is None


async def test_five_wrong_tries_end_both_codes_that_are_on_their_way(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await customer.ask_for_code(MIRA)
    text = await texted(world, customer, MIRA)
    mail = world.codes_to(MIRA)[-1]
    wrong = next(guess for guess in ("000000", "000001", "000002") if guess not in {text, mail})
    answers = await asyncio.gather(*(customer.verify(wrong) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {422}
    assert {(await customer.verify(one)).status_code for one in (text, mail)} == {422}
    assert await customer.level() == "claimed"


async def test_a_letters_code_proves_no_phone_and_a_texts_code_no_address(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer, other = await arrives(http, shop), await arrives(http, shop)
    for one in (customer, other):
        await one.ask_for_code(MIRA)
        await one.ask_for_text(MIRA)
        await world.deliver()
    mails, texts = world.codes_to(MIRA), world.texts_to(PHONE)
    assert (await customer.verify(mails[0])).status_code == 200
    assert (await who_is(world, customer)).proofs == (MIRA, None, None)
    assert (await other.verify(texts[1])).status_code == 200
    assert (await who_is(world, other)).proofs == (None, MIRA, PHONE)


async def test_a_code_by_mail_stays_good_when_a_text_is_asked_for(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    """The letter may come after all, a minute after the text was asked for."""
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await customer.ask_for_code(MIRA)
    await texted(world, customer, MIRA)
    assert (await customer.verify(world.codes_to(MIRA)[0])).status_code == 200
    assert (await customer.verify(world.texts_to(PHONE)[0])).status_code == 200
    assert await customer.level() == "strong"


async def test_a_new_text_ends_the_older_one(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    old = await texted(world, customer, MIRA)
    new = await texted(world, customer, MIRA)
    if old != new:
        assert (await customer.verify(old)).status_code == 422
    assert (await customer.verify(new)).status_code == 200


async def test_a_text_ends_after_ten_minutes_and_is_not_sent_later(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    code = await texted(world, customer, MIRA)
    await customer.ask_for_text(MIRA)
    await time_passes(world.pool, 10 * 60 + 1)
    await world.deliver()
    assert world.texts_to(PHONE) == [code]
    assert (await customer.verify(code)).status_code == 422


async def test_a_phone_that_changed_before_the_code_came_back_proves_nothing(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    code = await texted(world, customer, MIRA)
    await world.pool.execute("UPDATE person SET phone = $2 WHERE platform_id = $1", shop.id, OTHER)
    assert (await customer.verify(code)).status_code == 422
    assert await customer.level() == "claimed"


@pytest.mark.parametrize("change", ["phone", "email"])
async def test_what_is_another_buyers_from_now_on_closes_at_once(world: World, shop: Shop, http: httpx.AsyncClient, change: str) -> None:
    """An order keeps its buyer's row when its platform says that somebody else bought it, or with another phone."""
    order = await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await by_text(world, customer, MIRA, PHONE)
    await world.pool.execute(f"UPDATE person SET {change} = $2 WHERE platform_id = $1", shop.id, OTHER if change == "phone" else LEO)
    assert await opens(world, await who_is(world, customer), shop, order, await a_case(world.pool, shop, order)) == closed()


async def test_a_holders_phone_is_never_texted(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    order = await shop.sells(MIRA, holders=[LEO])
    await world.pool.execute("UPDATE person SET phone = $2 WHERE platform_id = $1 AND email = $3", shop.id, OTHER, LEO)
    customer = await arrives(http, shop)
    for email in (LEO, MIRA):
        await customer.ask_for_text(email, order.ref)
        await world.deliver()
    assert world.texter.texts == ()


@pytest.mark.parametrize("phone", ["07700 900101", "+44", "0044 7700 900101", "+44 7700 900101 ext. 5", "call me", "+4477009001010000000"])
async def test_a_phone_without_its_country_is_not_texted(world: World, shop: Shop, http: httpx.AsyncClient, phone: str) -> None:
    await shop.sells(MIRA, phone=phone)
    customer = await arrives(http, shop)
    assert (await customer.ask_for_text(MIRA)).status_code == 202
    await world.deliver()
    assert world.texter.texts == ()


async def test_a_text_of_one_platform_opens_nothing_on_another(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    elsewhere = await Shop.opens(world.pool)
    await shop.sells(MIRA, phone=PHONE)
    theirs = await elsewhere.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await by_text(world, customer, MIRA, PHONE)
    who = await who_is(world, customer)
    assert theirs.id not in {one.order_id for one in await world.identity.orders_open_to(who)}
    assert await world.identity.level_for(who, theirs.ref) is IdentityLevel.CLAIMED


async def test_leaving_forgets_address_and_phone(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await by_text(world, customer, MIRA, PHONE)
    await customer.leave()
    kept = "SELECT count(*) FROM {} WHERE text_email IS NOT NULL OR text_phone IS NOT NULL"
    assert [await world.pool.fetchval(kept.format(table)) for table in ("session", "one_time_code")] == [0, 0]


async def test_a_session_that_ran_out_keeps_neither_address_nor_phone(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    await by_text(world, await arrives(http, shop), MIRA, PHONE)
    await time_passes(world.pool, 24 * 3600 + 1)
    await world.identity.forget_old()
    assert await world.pool.fetchval("SELECT count(*) FROM session WHERE text_email IS NOT NULL OR text_phone IS NOT NULL") == 0


# ------------------------------------------------------------------------------------------------------ what nobody can tell


@pytest.mark.parametrize("known", ["all", "no phone", "other address", "nothing"])
async def test_the_answer_never_shows_what_exists(world: World, shop: Shop, http: httpx.AsyncClient, known: str) -> None:
    order, without = await shop.sells(MIRA, phone=PHONE), await shop.sells(LEO)
    asked = {
        "all": (MIRA, order.ref),
        "no phone": (LEO, without.ref),
        "other address": (LEO, order.ref),
        "nothing": ("no@example.org", "NONE"),
    }
    customer = await arrives(http, shop)
    answer = await customer.ask_for_text(*asked[known])
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "detail": "If an order under this address has a phone, a code is on its way to it. It works once, in this session.",
            "valid_minutes": 10,
        },
    )
    assert await customer.level() == "claimed"
    assert await world.deliver() == 1
    assert len(world.texter.texts) == (known == "all")


async def test_the_work_is_the_same_whether_or_not_there_is_a_phone(world: World, shop: Shop, fresh_database_url: str) -> None:
    order = await shop.sells(MIRA, phone=PHONE)
    await shop.sells(LEO)
    seen: list[list[str]] = []
    sizes = []
    for email, ref in ((MIRA, order.ref), (MIRA, None), (LEO, None), ("noo@example.org", "NO-SUCH")):
        seen.append([])
        # one connection, so that no statement hides on another; made anew, so that each path prepares what it needs
        async with await open_pool(fresh_database_url, size=1) as pool, calling(World(pool).app()) as http:
            async with pool.acquire() as connection:
                connection.add_query_logger(lambda record: seen[-1].append(record.query))
            customer = await arrives(http, shop)
            assert (await customer.ask_for_text(email, ref)).status_code == 202
        sizes.append(
            tuple(
                await world.pool.fetchrow(
                    "SELECT length(payload), priority, length(hash), length(sealed), entrypoint FROM pgqueuer, one_time_code"
                    " WHERE platform_id = $1",
                    shop.id,
                )
                or ()
            )
        )
        await world.pool.execute("DELETE FROM pgqueuer")
        await world.pool.execute("DELETE FROM one_time_code WHERE platform_id = $1", shop.id)
    assert any("text_request" in text for text in seen[0])
    assert seen[1:] == seen[:1] * 3
    assert sizes == [(32, 100, 32, sizes[0][3], "send_text")] * 4


async def test_nobody_can_read_a_texts_code_out_of_the_database(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await customer.ask_for_text(MIRA)
    kept = await world.pool.fetchrow("SELECT hash, sealed FROM one_time_code WHERE platform_id = $1", shop.id)
    payload = await world.pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'send_text'")
    await world.deliver()
    (code,) = world.texts_to(PHONE)
    assert kept is not None
    assert code.encode() not in bytes(kept["hash"]) + bytes(kept["sealed"]) + bytes(payload)
    assert await world.pool.fetchval("SELECT sealed FROM one_time_code WHERE platform_id = $1", shop.id) is None


async def test_neither_code_nor_phone_reaches_a_log(
    world: World, shop: Shop, http: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    code = await texted(world, customer, MIRA)
    who = repr(await who_is(world, customer)) + repr(world.texter.texts[0])
    said = "".join(capfd.readouterr()) + who
    assert not [one for one in (code, PHONE, PHONE.removeprefix("+"), MIRA) if one in said]


# ------------------------------------------------------------------------------------------------------------------ limits


UNSEEN = ("texts_per_phone", "texts_per_phone_and_day", "texts_per_platform")


@pytest.mark.parametrize("limit", [one for one in Limits.__struct_fields__ if one.startswith("texts_") and one not in UNSEEN])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_each_limit_holds_and_reads_the_same_for_known_and_unknown(still_pool: Pool, limit: str, known: bool) -> None:  # noqa: FBT001 - one case each
    world = World(still_pool, limits=Limits(**{limit: (2, 600)}))
    shop = await Shop.opens(still_pool)
    order = await shop.sells(MIRA, phone=PHONE)
    email, ref = (MIRA, order.ref) if known else ("no@example.org", "NONE")
    async with calling(world.app()) as http:
        customer = await arrives(http, shop)
        for _ in range(2):
            assert (await customer.ask_for_text(email, ref)).status_code == 202
        refused = await customer.ask_for_text(email, ref)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 600
        assert (await customer.ask_for_code(email, ref)).status_code == 202  # the other way is open
    assert await still_pool.fetchval("SELECT count(*) FROM rate WHERE bucket LIKE '%' || $1 || '%'", email) == 0


@pytest.mark.parametrize("limit", UNSEEN)
async def test_what_is_sent_has_limits_that_nobody_sees(still_pool: Pool, limit: str) -> None:
    world = World(still_pool, limits=Limits(**{limit: (2, 86400)}))
    shop = await Shop.opens(still_pool)
    await shop.sells(MIRA, phone=PHONE)
    async with calling(world.app()) as http:
        for _ in range(3):
            assert (await (await arrives(http, shop)).ask_for_text(MIRA)).status_code == 202
            await world.deliver()
    assert len(world.texts_to(PHONE)) == 2
    assert await still_pool.fetchval("SELECT count(*) FROM rate WHERE bucket LIKE '%7700900101%'") == 0


async def test_one_phone_does_not_use_up_its_platforms_day(still_pool: Pool) -> None:
    world = World(still_pool, limits=Limits(texts_per_phone=(1, 86400), texts_per_platform=(2, 86400)))
    shop = await Shop.opens(still_pool)
    await shop.sells(MIRA, phone=PHONE)
    await shop.sells(LEO, phone=OTHER)
    async with calling(world.app()) as http:
        for email in (MIRA, MIRA, MIRA, LEO):
            await (await arrives(http, shop)).ask_for_text(email)
            await world.deliver()
    assert (len(world.texts_to(PHONE)), len(world.texts_to(OTHER))) == (1, 1)


# ----------------------------------------------------------------------------------------------------------- the background


async def test_where_nobody_sends_texts_the_answer_says_so(still_pool: Pool) -> None:
    world = World(still_pool, texts=False)
    shop = await Shop.opens(still_pool)
    async with calling(world.app()) as http:
        customer = await arrives(http, shop)
        answer = await customer.ask_for_text(MIRA)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:makegood:problem:no_texts")
    assert await still_pool.fetchval("SELECT count(*) FROM one_time_code") == 0


@pytest.mark.parametrize("failure", [Declined("not_found"), Unavailable("down", never_sent=True)])
async def test_a_text_that_never_left_can_be_sent_again(
    world: World, shop: Shop, http: httpx.AsyncClient, failure: Declined | Unavailable
) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await customer.ask_for_text(MIRA)
    job = await world.pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'send_text'")
    world.texter.fail_next(failure)
    with pytest.raises(type(failure)):
        await world.texts.send_text(job)
    await world.texts.send_text(job)
    await world.texts.send_text(job)
    assert len(world.texts_to(PHONE)) == 1
    assert (await customer.verify(world.texts_to(PHONE)[0])).status_code == 200


async def test_a_text_that_may_have_left_is_not_paid_for_twice(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await customer.ask_for_text(MIRA)
    job = await world.pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'send_text'")
    world.texter.fail_next(OutcomeUnknown("no answer"))
    await world.texts.send_text(job)
    await world.texts.send_text(job)
    assert len(world.texts_to(PHONE)) == 1
    assert (await customer.verify(world.texts_to(PHONE)[0])).status_code == 200


async def test_a_text_that_waits_for_its_sender_uses_up_no_limit_meanwhile(still_pool: Pool) -> None:
    world = World(still_pool, limits=Limits(texts_per_phone=(1, 86400), texts_per_platform=(1, 86400)))
    shop = await Shop.opens(still_pool)
    await shop.sells(MIRA, phone=PHONE)
    async with calling(world.app()) as http:
        await (await arrives(http, shop)).ask_for_text(MIRA)
    job = await still_pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'send_text'")
    world.texter.fail_next(*[Unavailable("down") for _ in range(5)])
    for _ in range(5):
        with pytest.raises(Unavailable):
            await world.texts.send_text(job)
    await world.texts.send_text(job)
    assert len(world.texts_to(PHONE)) == 1


async def test_a_job_that_is_none_of_ours_does_nothing(world: World) -> None:
    await world.texts.send_text(b"short")
    await world.texts.send_text(new_id().bytes + new_id().bytes)
    assert world.texter.texts == ()


async def test_the_database_takes_no_text_that_proves_an_address(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    """A process of the release before knows letters alone: to it a text is a code that nobody was written to with."""
    await shop.sells(MIRA, phone=PHONE)
    customer = await arrives(http, shop)
    await customer.ask_for_text(MIRA)
    row = await world.pool.fetchrow("SELECT email, only_pass FROM one_time_code WHERE platform_id = $1", shop.id)
    assert row is not None
    assert tuple(row) == (None, None)
    with pytest.raises(asyncpg.CheckViolationError):
        await world.pool.execute("UPDATE one_time_code SET email = $2 WHERE platform_id = $1", shop.id, MIRA)


async def test_the_sandbox_takes_only_numbers_that_can_be() -> None:
    with pytest.raises(Declined):
        await SandboxTexter().send(Text(to="07700 900101", body="hello", message_key=new_id()))
