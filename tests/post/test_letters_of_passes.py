"""A ticket that is sent again is the ticket that admits: the same barcode, or the new one where it was replaced."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from service.model import Problem, WireId, wire
from service.ports import Mail
from service.store.pool import Pool
from tests.mail.qr import read_qr
from tests.post.world import PUBLIC_URL, World, said

VENUE = {"kind": "venue", "price": 4500}


def the_mail(world: World) -> Mail:
    assert len(world.mailer.mails) == 1
    return world.mailer.mails[0]


async def test_a_ticket_sent_again_carries_the_same_barcode(world: World) -> None:
    show = await world.show("next", starts_in=timedelta(hours=5))
    order = await world.order(show, positions=(VENUE,))
    await world.case(Problem.PASS_MISSING, show, order)
    mail = the_mail(world)
    assert mail.to == f"mira-{order.lower()}@example.org"
    assert [read_qr(picture) for picture in mail.images.values()] == [f"{order}-1-barcode"]
    assert await world.value("SELECT barcode FROM pass WHERE status = 'valid'") == f"{order}-1-barcode"
    assert "The code is the same as before" in said(mail)


async def test_it_goes_to_its_holder_when_they_have_an_address(world: World) -> None:
    show = await world.show("next", starts_in=timedelta(hours=5))
    holder = {"name": "Ada", "email": "ada@example.org"}
    await world.case(Problem.PASS_MISSING, show, await world.order(show, positions=(VENUE | {"holder": holder},)))
    assert the_mail(world).to == "ada@example.org"
    assert "Hello Ada" in said(the_mail(world))


async def test_a_lost_ticket_is_sent_anew_with_the_barcode_that_now_admits(world: World) -> None:
    show = await world.show("next", starts_in=timedelta(hours=5))
    order = await world.order(show, positions=(VENUE,))
    await world.case(Problem.PASS_LOST, show, order)
    await world.settle()
    barcode = await world.value("SELECT barcode FROM pass WHERE status = 'valid'")
    assert barcode != f"{order}-1-barcode"
    assert [read_qr(picture) for picture in the_mail(world).images.values()] == [barcode]
    assert "The old code admits nobody any more" in said(the_mail(world))


async def test_a_stream_ticket_leads_to_the_page_of_the_case_where_no_address_of_the_stream_is_known(world: World) -> None:
    show = await world.show("live")
    case = await world.case(Problem.PASS_MISSING, show, await world.order(show))
    assert f"{PUBLIC_URL}/help/{world.slug}/{wire(WireId.CASE, case)}" in said(the_mail(world))
    assert await world.value("SELECT count(*) FROM access_token") == 0


async def test_a_stream_ticket_opens_the_stream_where_the_platform_says_where_it_is(still_pool: Pool, fresh_database_url: str) -> None:
    world = await World.opens(still_pool, fresh_database_url, stream_url="https://live.example/{show}?access={token}")
    show = await world.show("live")
    await world.case(Problem.PASS_MISSING, show, await world.order(show))
    assert "https://live.example/live?access=eyJ" in said(the_mail(world))


async def test_a_retry_is_the_same_mail(world: World) -> None:
    show = await world.show("next", starts_in=timedelta(hours=5))
    await world.case(Problem.PASS_MISSING, show, await world.order(show, positions=(VENUE,)))
    operation: UUID = await world.value("SELECT id FROM operation WHERE action = 'resend_pass'")
    again = await world.post.pass_letter(world.id, operation)
    assert again == the_mail(world)


async def test_there_is_no_letter_without_an_address_or_for_a_ticket_that_is_void(world: World) -> None:
    show = await world.show("next", starts_in=timedelta(hours=5))
    await world.case(Problem.PASS_MISSING, show, await world.order(show, positions=(VENUE,)))
    operation: UUID = await world.value("SELECT id FROM operation WHERE action = 'resend_pass'")
    await world.pool.execute("UPDATE person SET email = NULL")
    assert await world.post.pass_letter(world.id, operation) is None
    await world.pool.execute("UPDATE person SET email = 'mira@example.org'")
    await world.pool.execute("UPDATE pass SET status = 'void'")
    assert await world.post.pass_letter(world.id, operation) is None
