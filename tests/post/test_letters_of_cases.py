"""Letters about cases say what happened, what it means and what is next, to the person it concerns."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from service.model import Problem, WireId, wire
from service.platforms import DeskHours
from service.post import CaseMail
from service.post_words import answered_by
from service.store.pool import Pool
from service.texts import LANGUAGES
from tests.post.world import PUBLIC_URL, World, said

VENUE = {"kind": "venue", "price": 4500}


async def test_a_customer_who_waits_for_an_outage_hears_that_nothing_need_be_done(world: World) -> None:
    show = await world.show("live")
    await world.incident(show, version=1, until=None)
    case = await world.case(Problem.STREAM_OUTAGE, show, await world.order(show))
    text = said(await world.letter(case))
    assert "We are on it: Northern Lights" in text
    assert "You need do nothing. You hear from us by" in text
    assert f"{PUBLIC_URL}/help/{world.slug}/{wire(WireId.CASE, case)}" in text


async def test_when_the_outage_ends_the_letter_says_what_was_sent_back_and_where(world: World) -> None:
    show = await world.show("live")
    await world.incident(show, version=1, until=None)
    order = await world.order(show)
    case = await world.case(Problem.STREAM_OUTAGE, show, order)
    await world.incident(show, version=2, until=world.now - timedelta(minutes=25))
    await world.settle()
    mail = await world.letter(case)
    assert mail is not None
    assert mail.to == f"mira-{order.lower()}@example.org"
    assert (mail.sender, mail.reply_to) == ("tickets@moonlight.example", "help@moonlight.example")
    assert "€6.94 sent back: Northern Lights" in said(mail)
    assert "€6.94 sent back to Visa ·· 4242. Banks take 5 to 10 days to show it." in said(mail)
    assert "no longer admits" not in said(mail)


async def test_a_full_refund_says_that_the_ticket_admits_nobody_any_more(world: World) -> None:
    show = await world.show("off", starts_in=timedelta(days=2), status="cancelled")
    case = await world.case(Problem.SHOW_CANCELLED, show, await world.order(show, positions=(VENUE,)))
    text = said(await world.letter(case))
    assert "€45.00 sent back to Visa ·· 4242" in text
    assert "no longer admits anyone" in text


async def test_a_letter_is_in_the_customers_language_from_greeting_to_reason(world: World) -> None:
    show = await world.show("off", starts_in=timedelta(days=2), status="cancelled")
    case = await world.case(Problem.SHOW_CANCELLED, show, await world.order(show), locale="de-AT")
    mail = await world.letter(case)
    assert mail is not None
    assert mail.language == "de"
    assert "Guten Tag Mira" in said(mail)
    assert "abgesagt" in said(mail)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_customer_of_each_language_reads_nothing_in_another(world: World, language: str) -> None:
    show = await world.show("off", starts_in=timedelta(days=2), status="cancelled")
    case = await world.case(
        Problem.SHOW_CANCELLED, show, await world.order(show, positions=[VENUE, {"kind": "merchandise"}]), locale=language
    )
    mail = await world.letter(case)
    assert mail is not None
    assert mail.language == language
    refund = {rule.id: rule.answer.because for rule in world.packs.for_problem("show_cancelled").rules}
    for why in ("show-cancelled", "show-cancelled-goods"):
        assert _plain(refund[why][language]) in _plain(said(mail))
    others = set(LANGUAGES) - {language}
    assert not [other for other in others if _plain(refund["show-cancelled"][other]) in _plain(said(mail))]
    if language in {"ja", "ar"}:
        # Names, an address, a currency and links are all that is left in Latin letters.
        left = set(re.findall(r"[A-Za-z]{3,}", re.sub(r"\S+@\S+|https://\S+", "", said(mail))))
        assert left <= {"Mira", "Northern", "Lights", "Moonlight", "Visa"}


def _plain(text: str) -> str:
    return " ".join(text.split())


async def test_a_denial_has_its_four_parts(world: World) -> None:
    show = await world.show("next", starts_in=timedelta(days=2))
    case = await world.case(Problem.WANTS_REFUND, show, await world.order(show))
    assert await world.value("SELECT state FROM cases WHERE id = $1", case) == "denied"
    text = said(await world.letter(case))
    assert "We do not send money back for this. Why:" in text
    assert "What would change it:" in text
    assert "Ask a person to look again" in text


async def test_a_hand_over_says_who_has_it_what_they_know_and_by_when(world: World) -> None:
    show = await world.show("live")
    order = await world.order(show, positions=({}, {"kind": "merchandise", "name": "T-shirt"}))
    case = await world.case(Problem.MERCH_WRONG, show, order, message="It is blue, and I ordered red.")
    text = said(await world.letter(case))
    assert "Our team has this now, and answers by" in text
    assert "What went wrong: what arrived is not what you ordered." in text
    assert f"Your order: {order}." in text
    assert "What you wrote to us." in text
    assert "It is blue" not in text


async def test_a_question_is_asked_with_what_there_is_to_choose(world: World) -> None:
    show = await world.show("live")
    case = await world.case(Problem.PASS_LOST, show, await world.order(show, positions=({}, {})))
    text = said(await world.letter(case))
    assert "One question about Northern Lights" in text
    assert "Seat 1" in text
    assert "Seat 2" in text


async def test_a_holder_gets_their_own_letter_and_hears_nothing_of_money(world: World) -> None:
    show = await world.show("off", starts_in=timedelta(days=2), status="cancelled")
    order = await world.order(show, positions=({"holder": {"name": "Ada", "email": "ada@example.org"}}, {}))
    case = await world.case(Problem.SHOW_CANCELLED, show, order, caller=world.customer("ada@example.org"))
    mail = await world.letter(case)
    assert mail is not None
    assert mail.to == "ada@example.org"
    assert "Hello Ada" in said(mail)
    assert "€" not in said(mail)
    assert "25.00" not in said(mail)


async def test_nobody_is_written_to_while_it_is_not_known_whose_order_it_is(world: World) -> None:
    show = await world.show("live")
    case = await world.case(Problem.LINK_DEAD, show, await world.order(show), caller=world.customer("stranger@example.org"))
    assert await world.letter(case) is None


async def test_the_same_news_is_the_same_mail_and_later_news_another(world: World) -> None:
    """Two letters that fell due together, of before a case ended and of its end, find the same end, and neither knows of the other."""
    show = await world.show("next", starts_in=timedelta(days=2))
    case = await world.case(Problem.WANTS_REFUND, show, await world.order(show))
    version = await world.value("SELECT version FROM cases WHERE id = $1", case)
    once, beside = [await world.post.case_letter(world.id, case, one) for one in (version - 1, version)]
    await world.pool.execute("UPDATE cases SET ended_at = ended_at + interval '1 hour' WHERE id = $1", case)
    later = await world.post.case_letter(world.id, case, version + 1)
    assert once is not None
    assert beside is not None
    assert later is not None
    assert once.mail.message_key == beside.mail.message_key != later.mail.message_key
    for one in (once, beside):
        await _note(world, case, one)
    assert len(await world.entries(case, "customer_told")) == 1


@pytest.mark.parametrize(
    ("due", "answer"),
    [
        ("2026-11-23T10:00", "2026-11-23T10:00"),
        ("2026-11-23T22:00", "2026-11-24T10:00"),
        ("2026-11-27T22:00", "2026-11-30T10:00"),
        ("2026-11-23T05:00", "2026-11-23T10:00"),
    ],
)
def test_an_answer_is_promised_for_when_somebody_is_at_the_desk(due: str, answer: str) -> None:
    """Monday to Friday, 9 to 18 o'clock; an hour after opening."""
    hours = DeskHours(days=("mon", "tue", "wed", "thu", "fri"), opens="09:00", closes="18:00")
    assert answered_by(datetime.fromisoformat(due).replace(tzinfo=UTC), hours, "UTC") == datetime.fromisoformat(answer).replace(tzinfo=UTC)


async def test_money_of_an_earlier_letter_is_not_told_again(world: World, still_pool: Pool) -> None:
    show = await world.show("off", starts_in=timedelta(days=2), status="cancelled")
    case = await world.case(Problem.SHOW_CANCELLED, show, await world.order(show, positions=(VENUE,)))
    await still_pool.execute("UPDATE cases SET tell = true WHERE id = $1", case)
    first = await world.post.case_letter(world.id, case, 1)
    assert first is not None
    await _note(world, case, first)
    assert await world.post.case_letter(world.id, case, 1) is None
    after = await world.post.case_letter(world.id, case, int(first.told["version"]) + 1)
    assert after is not None
    assert "€45.00" not in said(after.mail)


async def test_a_wait_is_told_once_however_often_it_is_looked_at(world: World) -> None:
    show = await world.show("live")
    await world.incident(show, version=1, until=None)
    case = await world.case(Problem.STREAM_OUTAGE, show, await world.order(show))
    first, beside = [await world.post.case_letter(world.id, case, version) for version in (7, 8)]
    assert first is not None
    assert beside is not None
    assert first.mail.message_key == beside.mail.message_key, "two processes that write at once write the same mail"
    await _note(world, case, first)
    assert await world.post.case_letter(world.id, case, 9) is None

    await world.pool.execute("UPDATE cases SET wait_until = wait_until + interval '1 hour' WHERE id = $1", case)
    longer = await world.post.case_letter(world.id, case, 10)
    assert longer is not None
    assert longer.mail.message_key != first.mail.message_key


async def test_a_hand_over_is_told_once_and_again_when_people_answer_later(world: World) -> None:
    show = await world.show("live")
    order = await world.order(show, positions=({"kind": "merchandise", "name": "T-shirt"},))
    case = await world.case(Problem.MERCH_WRONG, show, order, message="It is blue, and I ordered red.")
    first = await world.post.case_letter(world.id, case, 7)
    assert first is not None
    await _note(world, case, first)
    assert await world.post.case_letter(world.id, case, 9) is None
    await world.pool.execute("UPDATE cases SET due_at = due_at + interval '3 days' WHERE id = $1", case)
    assert await world.post.case_letter(world.id, case, 10) is not None


async def test_money_that_went_out_before_a_wait_is_told_when_the_wait_is_over(world: World) -> None:
    """The letter about the wait says nothing of money: it must not count as told."""
    show = await world.show("off", starts_in=timedelta(days=2), status="cancelled")
    case = await world.case(Problem.SHOW_CANCELLED, show, await world.order(show, positions=(VENUE,)))
    waiting = "state = 'open', owner = 'timer', wait_for = 'incident_end', wait_until = $2, due_at = $2, ended_at = NULL"
    await world.pool.execute(f"UPDATE cases SET {waiting} WHERE id = $1", case, world.now + timedelta(days=1))
    wait = await world.post.case_letter(world.id, case, 7)
    assert wait is not None
    assert "€45.00" not in said(wait.mail)
    await _note(world, case, wait)
    over = "state = 'resolved', owner = NULL, wait_for = NULL, wait_until = NULL, due_at = NULL, ended_at = $2"
    await world.pool.execute(f"UPDATE cases SET {over} WHERE id = $1", case, world.now)
    last = await world.post.case_letter(world.id, case, int(wait.told["version"]) + 1)
    assert last is not None
    assert "€45.00" in said(last.mail)


async def _note(world: World, case: UUID, letter: CaseMail) -> None:
    await world.pool.execute("SELECT mail_noted($1, $2, 'customer_told', $3)", world.id, case, letter.told)
