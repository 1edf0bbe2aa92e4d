"""How customers judge it: one tap after the resolution, one letter a day after the show, never twice, by a link that opens nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from service.model import Channel, Problem
from service.satisfaction import VALID_FOR, NotAsked, NotYet, Satisfactions, ScoredBefore
from service.sealing import Vault
from service.store.figures import FigureStore
from service.store.pool import Pool
from tests.post.world import SECRET, World, said


@pytest.fixture
async def world(still_pool: Pool, fresh_database_url: str) -> World:
    return await World.opens(still_pool, fresh_database_url)


def tapping(world: World, *, later: timedelta = timedelta()) -> Satisfactions:
    return Satisfactions(FigureStore(world.pool), Vault(SECRET, purpose="satisfaction"), clock=lambda: datetime.now(UTC) + later)


async def helped(world: World, *, ended: timedelta = timedelta(hours=25), show: str | None = None, locale: str = "en", **more: Any) -> UUID:
    """A case that is over, for a show that ended so long ago."""
    shown = await world.show(show or f"s{uuid4().hex[:8]}", starts_in=-ended - timedelta(minutes=90))
    case = await world.case(Problem.PASS_MISSING, shown, await world.order(shown, locale=locale), locale=locale, **more)
    await world.settle()
    await world.pool.execute(
        "UPDATE cases SET state = 'resolved', owner = NULL, due_at = NULL, agent_id = NULL, ended_at = app_now() WHERE id = $1", case
    )
    return case


async def letters(world: World) -> list[dict[str, Any]]:
    """Carries out the jobs that a pass has made; what each said."""
    jobs = await world.pool.fetch("DELETE FROM pgqueuer WHERE entrypoint = 'ask_after_show' RETURNING payload")
    for job in jobs:
        await world.office.jobs.ask_after_show(job["payload"], 0)
    return [msgspec.json.decode(job["payload"]) for job in jobs]


def questions(world: World) -> list[str]:
    return [said(mail) for mail in world.mailer.mails if "/feedback#" in mail.text]


def token_in(text: str) -> str:
    return text.partition("/feedback#")[2].split()[0]


async def scores(world: World, case: UUID) -> dict[str, int | None]:
    rows = await world.pool.fetch("SELECT asked, score FROM satisfaction WHERE case_id = $1", case)
    return {row["asked"]: row["score"] for row in rows}


async def test_a_day_after_the_show_one_letter_asks_once_with_one_link(world: World) -> None:
    case = await helped(world)
    assert await tapping(world).ask_after_shows() == 1
    (job,) = await letters(world)
    assert job["case"] == str(case)
    ((text),) = questions(world)
    assert text.startswith("How did we do? Northern Lights")
    # Neither a further pass nor a job that runs twice asks again.
    assert await tapping(world).ask_after_shows() == 0
    await world.office.jobs.ask_after_show(msgspec.json.encode(job), 1)
    assert len(questions(world)) == 1
    await tapping(world).by_token(token_in(text), 4)
    assert await scores(world, case) == {"after_show": 4}


async def test_it_asks_in_german_where_the_case_is_german(world: World) -> None:
    await helped(world, locale="de")
    await tapping(world).ask_after_shows()
    await letters(world)
    ((text),) = questions(world)
    assert text.startswith("Wie haben wir das gemacht? Northern Lights")


@pytest.mark.parametrize(
    ("ended", "asked"),
    [(timedelta(hours=23), 0), (timedelta(hours=24, minutes=1), 1), (timedelta(hours=71), 1), (timedelta(hours=73), 0)],
)
async def test_it_asks_neither_early_nor_after_everybody_has_forgotten(world: World, ended: timedelta, asked: int) -> None:
    await helped(world, ended=ended)
    assert await tapping(world).ask_after_shows() == asked


async def test_nobody_is_asked_who_has_no_address_is_waiting_still_or_was_paid_back_in_bulk(world: World) -> None:
    nowhere, waiting, cancelled, bulk = [await helped(world) for _ in range(4)]
    await world.pool.execute(
        "UPDATE person SET email = NULL WHERE id = (SELECT buyer_id FROM orders JOIN cases ON order_id = orders.id WHERE cases.id = $1)",
        nowhere,
    )
    await world.pool.execute(
        "UPDATE cases SET state = 'open', owner = 'process', due_at = app_now(), ended_at = NULL WHERE id = $1", waiting
    )
    await world.pool.execute("UPDATE show SET status = 'cancelled' WHERE id = (SELECT show_id FROM cases WHERE id = $1)", cancelled)
    await world.pool.execute("UPDATE cases SET channel = 'api', requester = 'platform' WHERE id = $1", bulk)
    assert await tapping(world).ask_after_shows() == 0
    assert await world.value("SELECT count(*) FROM satisfaction") == 0


async def test_a_pass_is_bounded_and_the_next_goes_on(world: World) -> None:
    for _ in range(3):
        await helped(world)
    store = FigureStore(world.pool)
    taken = [await store.ask_after_shows(2, after_seconds=86_400, late_seconds=259_200) for _ in range(3)]
    assert taken == [2, 1, 0]


async def test_who_has_answered_on_the_page_gets_no_letter(world: World) -> None:
    case = await helped(world)
    await tapping(world).ask_after_shows()
    await tapping(world).by_token(tapping(world).token(world.id, case), 5)
    await letters(world)
    assert questions(world) == []


async def test_the_first_tap_stands(world: World) -> None:
    case = await helped(world)
    token = tapping(world).token(world.id, case)
    await tapping(world).by_token(token, 2)
    await tapping(world).by_token(token, 2)
    with pytest.raises(ScoredBefore):
        await tapping(world).by_token(token, 5)
    assert await scores(world, case) == {"after_show": 2}


async def test_a_token_is_nobodys_to_make_and_ends(world: World) -> None:
    case = await helped(world)
    token = tapping(world).token(world.id, case)
    forged = Satisfactions(
        FigureStore(world.pool), Vault(b"another secret of 32 bytes, or more", purpose="satisfaction"), clock=lambda: datetime.now(UTC)
    )
    swapped = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for bad in (
        "",
        "mgf_",
        "mgf_???",
        "mgf_" + "A" * 150,
        token[:-1],
        token + "A",
        swapped,
        token.upper(),
        "x" * 300,
        forged.token(world.id, case),
    ):
        with pytest.raises(NotAsked):
            await tapping(world).by_token(bad, 5)
    with pytest.raises(NotAsked):
        await tapping(world, later=VALID_FOR + timedelta(seconds=1)).by_token(token, 5)
    assert str(case) not in token
    assert await scores(world, case) == {}


async def test_nothing_is_judged_before_it_is_over(world: World) -> None:
    show = await world.show("later", starts_in=timedelta(days=9))
    order = await world.order(show)
    case = await world.case(Problem.OTHER, show, order, channel=Channel.WIDGET)
    email = f"mira-{order.lower()}@example.org"
    for asked in ("resolution", "after_show"):
        with pytest.raises(NotYet):
            await tapping(world).by_customer(world.customer(email), case, asked, 5)
    assert await scores(world, case) == {}
