"""What processors tell is taken in once, whoever sends it how often, in whatever order; what is not theirs leaves no trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from service.api.webhooks import WEBHOOK_BYTES_MAX
from service.crew import Crew
from service.inbox import ALERT_TRIES, TRIES_MAX, UNKNOWN_WAITS_SECONDS, Inbox, retry_seconds
from service.model import Money
from service.ports import DisputeNews, Event, Unavailable
from service.sealing import Vault
from service.store.inbox import InboxStore
from service.store.pool import Pool
from tests.post.world import Deaf
from tests.promises.house import House
from tests.webhooks.stub import StubWebhook, signed

PATH: Final = "/webhooks/sandbox/sandbox"
NOBODYS: Final = DisputeNews(payment_ref="ch_nobody", dispute_ref="dp_1", state="open", amount=Money(minor=100, currency="EUR"))


async def rows(pool: Pool, *events: Event) -> list[dict[str, Any]]:
    found = await pool.fetch(
        "SELECT rail, event_id, kind, tries, outcome, next_try_at, about FROM webhook_inbox WHERE event_id = ANY($1) ORDER BY event_id",
        [event.id for event in events],
    )
    return [dict(row) for row in found]


async def count(house: House) -> int:
    found: int = await house.value("SELECT count(*) FROM webhook_inbox")
    return found


async def until_taken(house: House, event: Event) -> dict[str, Any]:
    """The event's row as soon as it was looked at."""
    return (await house.until(lambda: rows(house.pool, event), lambda found: bool(found) and found[0]["outcome"] is not None))[0]


# ------------------------------------------------------------------------------------------------------------- over HTTP


async def test_a_notification_is_kept_answered_and_looked_at_afterwards(house: House, stub: StubWebhook) -> None:
    event = stub.told()
    answer = await house.client.post(PATH, **signed(event))
    assert (answer.status_code, answer.content) == (200, stub.reply)
    row = await until_taken(house, event)
    assert (row["rail"], row["kind"], row["about"]) == ("sandbox", event.kind, {"object": "x"})


async def test_the_only_webhook_of_a_kind_needs_no_name(house: House, stub: StubWebhook) -> None:
    event = stub.told()
    assert (await house.client.post("/webhooks/sandbox", **signed(event))).status_code == 200
    assert len(await rows(house.pool, event)) == 1


async def test_a_duplicate_is_answered_the_same_and_applied_once(house: House, stub: StubWebhook) -> None:
    event = stub.told()
    answers = await asyncio.gather(*(house.client.post(PATH, **signed(event)) for _ in range(20)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, stub.reply)}
    await until_taken(house, event)
    assert (await house.client.post(PATH, **signed(event))).status_code == 200
    assert len(await rows(house.pool, event)) == 1
    assert stub.reads.count(event.id) == 1


async def test_a_kind_that_nobody_knows_is_kept_and_means_nothing(house: House, stub: StubWebhook) -> None:
    event = stub.told(kind="price.created")
    await house.client.post(PATH, **signed(event))
    row = await until_taken(house, event)
    assert (row["outcome"], row["next_try_at"]) == ("nothing", None)


async def test_what_is_forged_stale_or_unreadable_reads_the_same_and_leaves_no_trace(house: House, stub: StubWebhook) -> None:
    event = stub.told()
    good = signed(event)
    before = await count(house)
    wrong = [
        {**good, "headers": {**good["headers"], "Stub-Signature": "0" * 64}},
        {**good, "headers": {}},
        {**good, "content": good["content"].replace(b"happened", b"happenex")},
        signed(event, at=datetime.now(UTC) - timedelta(minutes=6)),
        signed(event, at=datetime.now(UTC) + timedelta(minutes=6)),
        signed(Event(id="x" * 256, kind="k", happened_at=None, about={})),
        signed(Event(id="", kind="k", happened_at=None, about={})),
        signed(Event(id="nul", kind="k", happened_at=None, about={"a": "\x00"})),
        signed(Event(id="big", kind="k", happened_at=None, about={"a": "x" * 9000})),
        signed(*(Event(id=str(n), kind="k", happened_at=None, about={}) for n in range(1001))),
    ]
    answers = [await house.client.post(PATH, **one) for one in wrong]
    told = [{name: value for name, value in answer.json().items() if name != "instance"} for answer in answers]
    assert [answer.status_code for answer in answers] == [400] * len(wrong)
    assert told == [told[0]] * len(wrong)
    assert await count(house) == before


async def test_a_webhook_that_is_off_reads_like_one_that_is_not_there(house: House, stub: StubWebhook) -> None:
    good = signed(stub.told())
    before = await count(house)
    paths = ("/webhooks/stripe", "/webhooks/stripe/sandbox", "/webhooks/sandbox/other", "/webhooks/nothing", "/webhooks/adyen/x")
    answers = [await house.client.post(path, **good) for path in paths]
    told = [{name: value for name, value in answer.json().items() if name != "instance"} for answer in answers]
    assert [answer.status_code for answer in answers] == [404] * len(paths)
    assert told == [told[0]] * len(paths)
    assert await count(house) == before


async def test_an_enormous_body_is_refused_before_it_is_read(house: House) -> None:
    pieces = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pieces
        while pieces < 64:
            pieces += 1
            yield b"x" * WEBHOOK_BYTES_MAX

    said = await house.client.post(PATH, content=b"x" * (WEBHOOK_BYTES_MAX + 1))
    assert said.status_code == 413
    try:
        unsaid = await house.client.post(PATH, content=endless())
        assert unsaid.status_code == 413
    except httpx.TransportError:
        pass  # the connection was cut before all was sent
    assert pieces < 64


async def test_where_the_processor_cannot_be_asked_it_is_told_to_come_again(house: House, stub: StubWebhook) -> None:
    event = stub.told()
    stub.cannot_verify = True
    try:
        answer = await house.client.post(PATH, **signed(event))
    finally:
        stub.cannot_verify = False
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert await rows(house.pool, event) == []


async def test_what_was_kept_before_a_crash_is_applied_by_the_loop(house: House, stub: StubWebhook) -> None:
    event = stub.told()
    await InboxStore(house.pool).keep("sandbox", [event])  # as a process that dies right after its answer leaves it
    row = await until_taken(house, event)
    assert (row["outcome"], row["tries"]) == ("nothing", 1)


# ---------------------------------------------------------------------------------------------- by hand, the clock too


@pytest.fixture
async def inbox(still_pool: Pool) -> Inbox:
    return inbox_on(still_pool, StubWebhook())


def inbox_on(pool: Pool, webhook: StubWebhook) -> Inbox:
    return Inbox(
        InboxStore(pool),
        Deaf(),
        notifications={"play": webhook},
        kinds={"play": "sandbox"},
        crew=Crew(places=0),
        clock=lambda: datetime.now(UTC),
        vault=Vault(b"a secret of 32 bytes, of a test's", purpose="identity"),
    )


async def pass_seconds(pool: Pool, seconds: float) -> None:
    await pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", seconds)


async def test_a_payment_that_nobody_knows_is_asked_for_again_over_a_day_and_then_kept(still_pool: Pool) -> None:
    stub = StubWebhook()
    inbox, event = inbox_on(still_pool, stub), stub.told(NOBODYS)
    await InboxStore(still_pool).keep("play", [event])
    for tries, seconds in enumerate(UNKNOWN_WAITS_SECONDS, 1):
        assert await inbox.apply_due() == 1
        (row,) = await rows(still_pool, event)
        assert (row["outcome"], row["tries"]) == ("unknown_payment", tries)
        assert await inbox.apply_due() == 0
        await pass_seconds(still_pool, seconds + 1)
    assert await inbox.apply_due() == 1
    (row,) = await rows(still_pool, event)
    assert (row["outcome"], row["next_try_at"]) == ("unknown_payment", None)
    assert sum(UNKNOWN_WAITS_SECONDS) == pytest.approx(86_400)


async def test_what_cannot_be_read_is_tried_again_ever_later_until_it_is_given_up(still_pool: Pool) -> None:
    stub = StubWebhook()
    inbox, event = inbox_on(still_pool, stub), stub.told()
    stub.tells[event.id] = Unavailable("away")
    await InboxStore(still_pool).keep("play", [event])
    for tries in range(1, TRIES_MAX + 1):
        assert await inbox.apply_due() == 1
        assert await inbox.apply_due() == 0
        await pass_seconds(still_pool, retry_seconds(tries) + 1)
    (row,) = await rows(still_pool, event)
    assert (row["outcome"], row["next_try_at"], row["tries"]) == ("failed", None, TRIES_MAX)
    assert await inbox.apply_due() == 0
    assert 0.5 < sum(map(retry_seconds, range(1, ALERT_TRIES))) / 3600 < 1


async def test_one_that_fails_holds_up_no_other(still_pool: Pool) -> None:
    stub = StubWebhook()
    inbox, bad, good = inbox_on(still_pool, stub), stub.told(), stub.told()
    stub.tells[bad.id] = ZeroDivisionError()
    await InboxStore(still_pool).keep("play", [bad, good])
    await inbox.apply_due()
    assert {row["event_id"]: row["outcome"] for row in await rows(still_pool, bad, good)} == {bad.id: None, good.id: "nothing"}


async def test_two_processes_look_at_an_event_once(still_pool: Pool) -> None:
    stub = StubWebhook()
    events = [stub.told() for _ in range(40)]
    await InboxStore(still_pool).keep("play", events)
    both = [inbox_on(still_pool, stub), inbox_on(still_pool, stub)]
    for _ in range(5):
        await asyncio.gather(*(one.apply_due() for one in both))
    assert sorted(stub.reads) == sorted(event.id for event in events)


async def test_what_dies_with_its_process_is_taken_up_when_its_lease_ends(still_pool: Pool) -> None:
    stub = StubWebhook()
    inbox, event, store = inbox_on(still_pool, stub), stub.told(), InboxStore(still_pool)
    await store.keep("play", [event])
    (dead,) = await store.claim(["play"], 1, 40.0)
    assert await inbox.apply_due() == 0
    await pass_seconds(still_pool, 41)
    assert await inbox.apply_due() == 1
    await store.mark(dead, None, 0.0)  # it was only asleep, and is not believed
    (row,) = await rows(still_pool, event)
    assert (row["outcome"], row["next_try_at"]) == ("nothing", None)


async def test_what_was_missed_is_caught_up_with_once(still_pool: Pool) -> None:
    stub = StubWebhook()
    inbox, now = inbox_on(still_pool, stub), datetime.now(UTC)
    stub.undelivered = [stub.told(at=now - timedelta(hours=hours)) for hours in (1, 2, 50)]
    await InboxStore(still_pool).keep("play", stub.undelivered[:1])
    assert await inbox.catch_up(now - timedelta(days=1)) == 1
    assert await inbox.catch_up(now - timedelta(days=1)) == 0
    assert len(await rows(still_pool, *stub.undelivered)) == 2


async def test_what_is_older_than_ninety_days_is_forgotten(still_pool: Pool) -> None:
    stub = StubWebhook()
    inbox, old, new = inbox_on(still_pool, stub), stub.told(), stub.told()
    await InboxStore(still_pool).keep("play", [old])
    await pass_seconds(still_pool, 91 * 86_400)
    await InboxStore(still_pool).keep("play", [new])
    await inbox.forget_old()
    assert [row["event_id"] for row in await rows(still_pool, old, new)] == [new.id]
