"""Who asked to be told hears each news once, by mail, and nothing any more once it is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from service.callers import Caller
from service.model import IdentityLevel
from service.notice_live import NoSuchShow
from service.notices import NoAddress, NoNotice, NotProven
from service.ports import OutcomeUnknown, Unavailable
from service.store.notices import Following
from tests.notices.world import CAUSE, DOWN, SOUND, WHY, Process, deliver, later, people_of, planned
from tests.post.world import World

_PAUSE = timedelta(minutes=6)


async def follower(world: World, process: Process, *, locale: str = "en") -> str:
    """A customer who has proven the address of an order, and follows; the address."""
    address = f"mira-{(await world.order('nll26', locale=locale)).lower()}@example.org"
    await process.notices.follow(world.customer(address), "nll26", None)
    return address


async def say(world: World, process: Process, text: dict[str, str]) -> None:
    await process.notices.say(world.lead(), "nll26", text, WHY)


async def test_a_follower_hears_of_each_news_and_of_the_end_and_of_nothing_else(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    assert await deliver(world) == 0  # they see what is said already
    await say(world, process, CAUSE)
    assert await deliver(world) == 1
    await later(world, _PAUSE)
    await say(world, process, SOUND)
    assert await deliver(world) == 1
    await process.notices.end(world.lead(), "nll26", "it plays")
    assert await deliver(world) == 1
    await later(world, _PAUSE)
    await say(world, process, DOWN)  # another notice, which nobody asked to hear of
    await say(world, process, CAUSE)
    await process.notices.end(world.lead(), "nll26", "it plays")
    assert await deliver(world) == 0
    first, second, last = world.mails_to(address)
    assert "News about Northern Lights" in first
    assert CAUSE["en"] in first
    assert SOUND["en"] in second
    assert "It is over: Northern Lights" in last
    assert "last letter" in last


async def test_news_within_five_minutes_come_in_one_letter_with_the_newest_words(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    await say(world, process, CAUSE)
    assert await deliver(world) == 1
    await say(world, process, SOUND)
    await say(world, process, {"en": "Only the left speaker now."})
    assert await deliver(world) == 0
    await later(world, _PAUSE)
    assert await deliver(world) == 1
    assert "Only the left speaker now." in world.mails_to(address)[-1]
    assert await deliver(world) == 0


async def test_however_bad_the_night_a_follower_gets_eight_letters_and_the_last(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    for number in range(12):
        await later(world, _PAUSE)
        await say(world, process, {"en": f"Still at it, part {number}."})
        await deliver(world)
    assert len(world.mails_to(address)) == 8
    await process.notices.end(world.lead(), "nll26", "it plays")
    await deliver(world)
    assert len(world.mails_to(address)) == 9
    assert "part 11" in world.mails_to(address)[-1]


async def test_two_processes_that_sweep_at_once_plan_one_letter_each(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    for _ in range(8):
        await follower(world, process)
    await say(world, process, CAUSE)
    told = await asyncio.gather(*(world.office.jobs.tell_waiting(3) for _ in range(6)))
    jobs = await planned(world)
    assert len(jobs) == len(people_of(jobs)) == 8
    assert sum(told) <= 8


async def test_a_show_with_many_followers_holds_up_no_other(world: World, process: Process) -> None:
    await world.show("small")
    await say(world, process, DOWN)
    await process.notices.say(world.lead(), "small", DOWN, WHY)
    for _ in range(5):
        await follower(world, process)
    few = world.customer(f"mira-{(await world.order('small')).lower()}@example.org")
    await process.notices.follow(few, "small", None)
    await say(world, process, CAUSE)
    await process.notices.say(world.lead(), "small", CAUSE, WHY)
    shows = "SELECT array_agg(DISTINCT s.ref ORDER BY s.ref) FROM notice_follower f JOIN notice n ON n.id = f.notice_id JOIN show s"
    for _ in range(2):
        await world.office.jobs.tell_waiting(2)
    assert await world.value(f"{shows} ON s.id = n.show_id WHERE f.told_seq = n.seq") == ["nll26", "small"]
    assert len(await planned(world)) == 6


async def test_a_job_that_runs_twice_is_the_same_mail(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    await follower(world, process)
    await say(world, process, CAUSE)
    (job,) = await planned(world)
    for _ in range(2):
        await world.office.jobs.tell_follower(job, 0)
    assert len({mail.message_key for mail in world.mailer.mails}) == 1


async def test_news_that_could_not_be_sent_before_the_end_are_not_sent_after_it(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    await say(world, process, CAUSE)
    (late,) = await planned(world)
    world.mailer.fail_next(Unavailable("450", never_sent=True))
    with pytest.raises(Unavailable):
        await world.office.jobs.tell_follower(late, 0)
    await process.notices.end(world.lead(), "nll26", "it plays")
    await world.office.jobs.tell_follower(late, 1)
    assert world.mails_to(address) == []
    await deliver(world)
    await world.office.jobs.tell_follower(late, 2)
    assert len(world.mails_to(address)) == 1


async def test_news_that_the_mail_server_does_not_take_for_an_hour_are_given_up(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    await say(world, process, CAUSE)
    (job,) = await planned(world)
    world.mailer.fail_next(Unavailable("450", never_sent=True), OutcomeUnknown("cut"))
    await world.office.jobs.tell_follower(job, 20)
    assert world.mails_to(address) == []
    with pytest.raises(OutcomeUnknown):
        await world.office.jobs.tell_follower(job, 3)


async def test_who_takes_it_back_gets_nothing_more_not_even_what_was_planned(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    await say(world, process, CAUSE)
    (job,) = await planned(world)
    await process.notices.unfollow(world.customer(address.upper()), "nll26")
    await world.office.jobs.tell_follower(job, 0)
    await process.notices.end(world.lead(), "nll26", "it plays")
    assert await deliver(world) == 0
    assert world.mails_to(address) == []


async def test_one_address_gets_one_letter_however_many_orders_it_has_and_however_often_it_asks(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    orders = [await world.order("nll26") for _ in range(3)]
    await world.pool.execute("UPDATE person SET email = 'Mira@example.org'")
    for _ in range(2):
        await process.notices.follow(world.customer("mira@example.org"), "nll26", None)
    await say(world, process, CAUSE)
    assert (len(orders), await deliver(world)) == (3, 1)
    await process.notices.unfollow(world.customer("mira@example.org"), "nll26")
    assert await world.value("SELECT count(*) FROM notice_follower") == 0


def by_subject(world: World, subject: str, level: IdentityLevel = IdentityLevel.VERIFIED) -> Caller:
    """A customer whom the platform's own token names, without an address."""
    return msgspec.structs.replace(world.customer(""), email=None, customer_ref=subject, level=level)


async def test_an_address_that_only_an_order_names_is_not_written_to(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    await world.order("nll26")
    await world.pool.execute("UPDATE orders SET customer_ref = 'c-1'")
    with pytest.raises(NoAddress):
        await process.notices.follow(by_subject(world, "c-1"), "nll26", None)
    assert await process.notices.follows(by_subject(world, "c-1"), "nll26") == Following(following=False, possible=False)


async def test_who_bought_with_somebodys_address_does_not_end_their_letters(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    await world.pool.execute("UPDATE orders SET customer_ref = 'c-1'")
    await process.notices.unfollow(by_subject(world, "c-1"), "nll26")
    assert (await process.notices.follows(world.customer(address), "nll26")).following


async def test_who_wrote_themselves_down_takes_it_back_without_the_address(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = f"mira-{(await world.order('nll26')).lower()}@example.org"
    me = world.customer(address)
    await process.notices.follow(me, "nll26", None)
    later_on = msgspec.structs.replace(me, email=None, customer_ref="c-1")
    assert (await process.notices.follows(later_on, "nll26")).following
    await process.notices.unfollow(later_on, "nll26")
    assert not (await process.notices.follows(me, "nll26")).following


async def test_the_language_that_was_asked_for_is_that_of_the_letters(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = f"mira-{(await world.order('nll26')).lower()}@example.org"
    await process.notices.follow(world.customer(address), "nll26", "de-AT")
    await say(world, process, CAUSE)
    await deliver(world)
    assert CAUSE["de"] in world.mails_to(address)[0]


async def test_letters_are_in_the_orders_language_and_lead_to_the_help_page(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process, locale="de")
    await say(world, process, CAUSE)
    await deliver(world)
    (letter,) = world.mails_to(address)
    assert CAUSE["de"] in letter
    assert f"https://help.example/help/{world.slug}?show=nll26" in letter


async def test_nobody_follows_who_has_proven_nothing_or_whose_address_we_do_not_know(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    await world.order("nll26")
    for level in (IdentityLevel.ANONYMOUS, IdentityLevel.CLAIMED):
        with pytest.raises(NotProven):
            await process.notices.follow(by_subject(world, "c-1", level), "nll26", None)
        with pytest.raises(NotProven):
            await process.notices.unfollow(by_subject(world, "c-1", level), "nll26")
    with pytest.raises(NoAddress):
        await process.notices.follow(by_subject(world, "c-1"), "nll26", None)
    with pytest.raises(NoAddress):
        await process.notices.follow(world.customer("stranger@example.org"), "nll26", None)
    assert await world.value("SELECT count(*) FROM notice_follower") == 0


async def test_there_has_to_be_something_to_follow(world: World, process: Process) -> None:
    address = f"mira-{(await world.order('nll26')).lower()}@example.org"
    with pytest.raises(NoNotice):
        await process.notices.follow(world.customer(address), "nll26", None)
    with pytest.raises(NoSuchShow):
        await process.notices.follow(world.customer(address), "nll27", None)
    await say(world, process, DOWN)
    await process.notices.end(world.lead(), "nll26", "it plays")
    with pytest.raises(NoNotice):
        await process.notices.follow(world.customer(address), "nll26", None)


async def test_no_address_is_kept_outside_of_person(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    address = await follower(world, process)
    await say(world, process, CAUSE)
    await world.office.jobs.tell_waiting(10)
    rows = await world.pool.fetch(
        "SELECT notice_follower::text AS said FROM notice_follower UNION ALL SELECT convert_from(payload, 'UTF8') FROM pgqueuer"
        " UNION ALL SELECT audit::text FROM audit UNION ALL SELECT outbox::text FROM outbox"
    )
    assert len(rows) > 3
    assert not [row for row in rows if address in row["said"]]


async def test_who_followed_is_forgotten_a_day_after_it_is_over(world: World, process: Process) -> None:
    await say(world, process, DOWN)
    await follower(world, process)
    await process.notices.end(world.lead(), "nll26", "it plays")
    await process.store.forget_old()
    assert await world.value("SELECT count(*) FROM notice_follower") == 1
    await later(world, timedelta(days=1, minutes=1))
    await process.store.forget_old()
    assert await world.value("SELECT count(*) FROM notice_follower") == 0


async def test_the_sweep_reads_an_index_of_what_there_is_to_tell(world: World) -> None:
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch("EXPLAIN SELECT * FROM notice WHERE tell_at <= (SELECT app_now()) ORDER BY tell_at LIMIT 1")
    assert "notice_to_tell" in str(plan)
