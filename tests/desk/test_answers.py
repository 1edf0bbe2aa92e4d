"""An answer reaches the customer by the way they came, and theirs comes back to the same case and the same agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from service.answering import WRITING_SECONDS
from service.store.pool import Connection
from tests.desk.talking import PNG, talk
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import House, uuid_of


async def test_a_reply_is_live_in_the_widget_and_goes_by_mail(house: House, ref: str) -> None:
    said = await talk(house, ref)
    async with said.followed(said.customer) as events, asyncio.timeout(PATIENCE_SECONDS):
        await said.reply("It is on its way.")
        kinds, shown = await _until_message(events, "It is on its way.")
    assert "replied" in kinds
    message = shown["messages"][-1]
    assert (message["author"], message["kind"], message["via"]) == ("Mira", "reply", ["widget", "mail"])
    mail = await house.mails.until(said.order.email, lambda one: "Mira" in one.subject)
    assert "It is on its way." in mail.text


async def _until_message(events: AsyncIterator[tuple[str, Any]], body: str) -> tuple[set[str], Any]:
    kinds: set[str] = set()
    async for event, data in events:
        if event == "entry":
            kinds.add(data["kind"])
        elif any(one["body"] == body for one in data["messages"]):
            return kinds, data
    raise AssertionError(kinds)


async def _told(house: House, case: str) -> list[dict[str, Any]]:
    rows = await house.rows("SELECT data FROM outbox WHERE type = 'case.replied' AND case_id = $1", uuid_of(case))
    if not rows:
        return []
    page = await house.until(
        lambda: house.get("/v1/events?limit=200&after=0&types=case.replied"),
        lambda found: any(one["data"].get("case") == case and one["type"] == "case.replied" for one in found["events"]),
    )
    return [one["data"] for one in page["events"] if one["type"] == "case.replied" and one["data"]["case"] == case]


@pytest.mark.parametrize("channel", ["chat", "api", "social", "phone"])
async def test_where_the_platform_speaks_to_its_customer_it_is_told_the_words(house: House, ref: str, channel: str) -> None:
    said = await talk(house, ref, channel=channel)
    attachment = await said.attached(name="receipt.png")
    shown = await said.reply("We looked again.", attachments=[attachment])
    # Nobody takes the event here, so the customer gets a mail as well.
    assert shown["messages"][-1]["via"] == ["api", "mail"]
    (told,) = await _told(house, said.case)
    assert (told["channel"], told["words"], told["agent"], told["order"]) == (channel, "We looked again.", "Mira", said.order.ref)
    assert told["message"] == shown["messages"][-1]["id"]
    assert told["attachments"] == [{"id": attachment, "name": "receipt.png", "type": "image/png", "bytes": len(PNG)}]
    assert (await said.file(attachment, house.desk.platform)).content == PNG
    await house.mails.until(said.order.email, lambda one: "We looked again." in one.text)


async def test_words_for_a_customer_of_the_widget_are_no_event(house: House, ref: str) -> None:
    said = await talk(house, ref)
    await said.reply("Only for you.")
    assert await _told(house, said.case) == []
    assert await house.value("SELECT count(*) FROM outbox WHERE data::text LIKE '%Only for you.%'") == 0


@pytest.mark.parametrize(
    ("channel", "types", "address", "via"),
    [
        ("widget", None, True, ["widget", "mail"]),
        ("widget", None, False, ["widget"]),
        ("email", None, True, ["mail"]),
        ("email", None, False, ["api"]),
        ("chat", None, True, ["api", "mail"]),
        ("chat", None, False, ["api"]),
        ("chat", ["case.replied"], True, ["api"]),
        ("api", ["case.*"], True, ["api"]),
        ("api", ["refund.*"], True, ["api", "mail"]),
        ("api", [], True, ["api"]),
    ],
)
async def test_nobody_is_left_without_an_answer(
    house: House, ref: str, channel: str, types: list[str] | None, *, address: bool, via: list[str]
) -> None:
    """`types`: what an endpoint of the platform takes; None: there is none; empty: all."""
    said = await talk(house, ref, take=False)
    async with house.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            if not address:
                await connection.execute("UPDATE person SET email = NULL WHERE email = $1", said.order.email)
            if types is not None:
                await _endpoint(connection, house, types or None)
            found = await connection.fetchval("SELECT reply_via($1, $2, $3)", house.desk.platform_id, uuid_of(said.case), channel)
        finally:
            await transaction.rollback()
    assert found == via


async def _endpoint(connection: Connection, house: House, types: list[str] | None) -> None:
    await connection.execute(
        """
        INSERT INTO endpoint (platform_id, id, kind, name, url, types, sealed_secret, state_since, position, next_try_at, created_at,
            changed_at)
        VALUES ($1, gen_random_uuid(), 'webhook', 'shop', 'https://shop.example/', $2, 'x', now(), 0, now(), now(), now())
        """,
        house.desk.platform_id,
        types,
    )


async def test_the_channel_is_the_one_that_the_customer_used_last(house: House, ref: str) -> None:
    said = await talk(house, ref, channel="widget")
    assert (await said.reply("first"))["messages"][-1]["via"] == ["widget", "mail"]
    await said.says("I write by mail now", "email")
    assert (await said.reply("second"))["messages"][-1]["via"] == ["mail"]


async def test_the_customers_words_wait_for_an_answer_until_there_is_one(house: House, ref: str) -> None:
    said = await talk(house, ref)
    await said.reply("We are at it.")
    assert (await house.case_row(said.case))["unanswered_at"] is None
    await said.says("And now?")
    first = (await house.case_row(said.case))["unanswered_at"]
    assert first is not None
    await said.says("Hello?")
    await said.post("notes", {"body": "she is impatient"})
    assert (await house.case_row(said.case))["unanswered_at"] == first
    await said.reply("Done.")
    assert (await house.case_row(said.case))["unanswered_at"] is None


async def test_a_customer_who_writes_on_a_taken_case_reaches_who_has_it(house: House, ref: str) -> None:
    said = await talk(house, ref)
    async with said.followed(said.agent) as events, asyncio.timeout(PATIENCE_SECONDS):
        await said.says("one thing more")
        await _until_message(events, "one thing more")
    row = await house.case_row(said.case)
    assert (row["owner"], row["agent_id"]) == ("agent", await _mira(house))


async def _mira(house: House) -> Any:
    return await house.value("SELECT id FROM agent WHERE platform_id = $1 AND name = 'Mira'", house.desk.platform_id)


async def _was_seen(house: House, ago: str) -> None:
    await house.pool.execute(
        "UPDATE agent SET seen_at = app_now() - $2::text::interval WHERE platform_id = $1 AND name = 'Mira'", house.desk.platform_id, ago
    )


@pytest.mark.parametrize(("ago", "owner"), [("5 seconds", "agent"), ("10 minutes", "queue")])
async def test_an_ended_case_opens_again_where_it_was_left(house: House, ref: str, ago: str, owner: str) -> None:
    said = await talk(house, ref)
    await said.reply("Anything else?")
    ended = await said.post("resolve", {"reason": "all is well again"})
    assert ended.status_code == 200, ended.text
    await _was_seen(house, ago)
    shown = await said.says("Yes: it is odd again")
    row = await house.case_row(said.case)
    assert shown["id"] == said.case
    assert (row["state"], row["owner"]) == ("open", owner)
    assert row["agent_id"] == (await _mira(house) if owner == "agent" else None)
    assert row["unanswered_at"] is not None


async def _parked(house: House, case: str, wait_for: str) -> None:
    await house.pool.execute(
        """
        UPDATE cases SET owner = 'timer', agent_id = NULL, for_agent = $2, wait_for = $3, wait_until = app_now() + interval '1 day',
            due_at = app_now() + interval '1 day' WHERE id = $1
        """,
        uuid_of(case),
        await _mira(house),
        wait_for,
    )


@pytest.mark.parametrize("wait_for", ["customer", "hold", "referral"])
@pytest.mark.parametrize(("ago", "owner"), [("5 seconds", "agent"), ("10 minutes", "queue")])
async def test_a_parked_case_comes_back_when_its_customer_writes(house: House, ref: str, wait_for: str, ago: str, owner: str) -> None:
    said = await talk(house, ref)
    await _was_seen(house, ago)
    await _parked(house, said.case, wait_for)
    await said.says("here is what you asked for")
    row = await house.case_row(said.case)
    assert (row["owner"], row["wait_for"], row["unanswered_at"] is None) == (owner, None, False)


async def test_a_wish_for_a_person_on_a_parked_case_brings_it_back_too(house: House, ref: str) -> None:
    said = await talk(house, ref)
    await _was_seen(house, "5 seconds")
    await _parked(house, said.case, "customer")
    assert (await said.post("person", {}, token=said.customer)).status_code == 200
    assert (await house.case_row(said.case))["owner"] == "agent"


async def test_a_reply_on_a_case_that_joined_another_reaches_its_customer(house: House, ref: str) -> None:
    said = await talk(house, ref)
    body = {"problem": "other", "order": said.order.ref, "show": said.order.show, "channel": "widget", "message": "again"}
    second = (await house.post("/v1/cases", body, token=said.customer)).json()
    assert second["joined_to"] == said.case
    answer = await house.post(f"/v1/cases/{second['id']}/replies", {"body": "on both"}, token=said.agent)
    assert answer.json()["messages"][-1]["body"] == "on both"
    assert (await said.seen_by(said.customer))["messages"][-1]["body"] == "on both"


async def test_writing_keeps_a_claim_and_anothers_writing_does_not(house: House, ref: str) -> None:
    said = await talk(house, ref)
    # Less than writing gives, and long enough that it does not end by itself meanwhile.
    await house.pool.execute("UPDATE cases SET due_at = app_now() + interval '60 seconds' WHERE id = $1", uuid_of(said.case))
    left = (await house.case_row(said.case))["due_at"]
    await said.post("notes", {"body": "theirs"}, token=house.desk.lead)
    assert (await house.case_row(said.case))["due_at"] == left
    await said.post("notes", {"body": "mine"})
    assert (await house.case_row(said.case))["due_at"] - left >= timedelta(seconds=WRITING_SECONDS - 60)
