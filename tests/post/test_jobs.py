"""Whoever is not watching is told by mail, once, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest

from service import jobs
from service.jobs import MAIL_TRIES_MAX, Jobs, retry_seconds
from service.model import Problem
from service.ports import Declined, OutcomeUnknown, Unavailable
from tests.patience import PATIENCE_SECONDS
from tests.post.world import World

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def nobody_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stands still for some seconds passes for dead, and its letters are another's; here each is only slow."""
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", PATIENCE_SECONDS)


@asynccontextmanager
async def working(*offices: Jobs) -> AsyncIterator[None]:
    """These consumers run, each as in a process of its own; all end when the block does."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for one in offices:
            group.create_task(one.run(stop))
        try:
            yield
        finally:
            stop.set()


async def until(world: World, sql: str, expected: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await world.value(sql) != expected:
            await asyncio.sleep(0.05)


async def denied(world: World) -> tuple[UUID, str]:
    """A case with an answer that its customer has not seen."""
    show = await world.show(f"next-{uuid4().hex}", starts_in=timedelta(days=2))
    order = await world.order(show)
    case = await world.case(Problem.WANTS_REFUND, show, order)
    await world.pool.execute("UPDATE cases SET tell = true WHERE id = $1", case)
    return case, f"mira-{order.lower()}@example.org"


async def payload(world: World) -> bytes:
    found: bytes = await world.value("SELECT payload FROM pgqueuer WHERE entrypoint = 'tell_customer'")
    return found


async def test_a_case_with_news_is_told_once_though_two_processes_sweep_at_once(world: World) -> None:
    made = {await denied(world) for _ in range(12)}
    told = await asyncio.gather(*(world.office.jobs.tell_waiting(4) for _ in range(8)))
    assert sum(told) == len(made)
    assert await world.office.jobs.tell_waiting(100) == 0
    rows = await world.pool.fetch("SELECT payload FROM pgqueuer WHERE entrypoint = 'tell_customer'")
    assert {UUID(msgspec.json.decode(row["payload"])["case"]) for row in rows} == {case for case, _ in made}
    assert len(rows) == len(made)


async def test_a_case_that_somebody_works_on_is_told_when_that_is_over(world: World) -> None:
    case, _ = await denied(world)
    await world.pool.execute("UPDATE cases SET state = 'open', owner = 'process', due_at = now() WHERE id = $1", case)
    assert await world.office.jobs.tell_waiting(10) == 0
    await world.pool.execute("UPDATE cases SET state = 'denied', owner = NULL, due_at = NULL WHERE id = $1", case)
    assert await world.office.jobs.tell_waiting(10) == 1


async def test_the_sweep_reads_an_index_of_what_there_is_to_tell(world: World) -> None:
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT id FROM cases WHERE tell AND (state <> 'open' OR owner IN ('timer', 'queue')) LIMIT 10"
        )
    assert "cases_to_tell" in str(plan)


@pytest.mark.usefixtures("nobody_is_dead")
async def test_the_customer_is_told_and_the_timeline_says_so_without_an_address(world: World) -> None:
    case, address = await denied(world)
    async with working(world.office.jobs):
        await world.office.jobs.tell_waiting(10)
        await until(world, "SELECT count(*) FROM timeline WHERE kind = 'customer_told'", 1)
    assert len(world.mails_to(address)) == 1
    (entry,) = await world.entries(case, "customer_told")
    assert entry["letter"] == "case_denied"
    rows = await world.pool.fetch("SELECT data::text AS data FROM timeline UNION ALL SELECT convert_from(payload, 'UTF8') FROM pgqueuer")
    assert not [row for row in rows if address in row["data"]]


async def test_a_job_that_runs_twice_writes_once(world: World) -> None:
    case, address = await denied(world)
    await world.office.jobs.tell_waiting(10)
    job = await payload(world)
    for _ in range(2):
        await world.office.jobs.tell_customer(job, 0)
    assert len(world.mails_to(address)) == 1
    assert len(await world.entries(case, "customer_told")) == 1


@pytest.mark.usefixtures("nobody_is_dead")
async def test_a_mail_server_that_is_away_is_tried_again_until_it_takes_the_letter(world: World) -> None:
    case, address = await denied(world)
    world.mailer.fail_next(Unavailable("450", never_sent=True))
    async with working(world.office.jobs):
        await world.office.jobs.tell_waiting(10)
        await until(world, "SELECT count(*) FROM timeline WHERE kind = 'customer_told'", 1)
    assert len(world.mails_to(address)) == 1
    assert await world.entries(case, "mail_refused") == []


async def test_a_letter_that_may_have_arrived_is_sent_again_as_the_same_mail(world: World) -> None:
    await denied(world)
    await world.office.jobs.tell_waiting(10)
    job = await payload(world)
    world.mailer.fail_next(OutcomeUnknown("lost"))
    with pytest.raises(OutcomeUnknown):
        await world.office.jobs.tell_customer(job, 0)
    await world.office.jobs.tell_customer(job, 1)
    one, two = world.mailer.mails
    assert one.message_key == two.message_key


async def test_an_address_that_refuses_ends_the_job_and_shows_on_the_timeline(world: World) -> None:
    case, _ = await denied(world)
    world.mailer.fail_next(Declined("declined", "550"))
    async with working(world.office.jobs):
        await world.office.jobs.tell_waiting(10)
        await until(world, "SELECT count(*) FROM timeline WHERE kind = 'mail_refused'", 1)
        await until(world, "SELECT count(*) FROM pgqueuer", 0)
    assert await world.entries(case, "mail_refused") == [{"letter": "case_denied", "reason": "declined"}]


async def test_an_address_that_refuses_is_not_told_of_the_same_wait_again(world: World) -> None:
    show = await world.show("live")
    await world.incident(show, version=1, until=None)
    case = await world.case(Problem.STREAM_OUTAGE, show, await world.order(show))
    for looks in (1, 2):
        await world.pool.execute("UPDATE cases SET tell = true, version = version + 1 WHERE id = $1", case)
        assert await world.office.jobs.tell_waiting(10) == 1
        world.mailer.fail_next(Declined("declined", "550"))
        await world.office.jobs.tell_customer(await payload(world), 0)
        await world.pool.execute("DELETE FROM pgqueuer")
        assert [one["reason"] for one in await world.entries(case, "mail_refused")] == ["declined"], looks
    assert await world.letter(case) is None


async def test_after_a_day_of_trying_people_can_see_that_nobody_was_reached(world: World) -> None:
    case, _ = await denied(world)
    await world.office.jobs.tell_waiting(10)
    world.mailer.fail_next(Unavailable("450"))
    await world.office.jobs.tell_customer(await payload(world), MAIL_TRIES_MAX)
    assert await world.entries(case, "mail_refused") == [{"letter": "case_denied", "reason": "unreachable"}]
    assert sum(retry_seconds(tries) for tries in range(MAIL_TRIES_MAX)) > 23 * 3600


async def test_a_job_that_is_a_mistake_of_ours_is_kept_for_people_and_quotes_nothing(world: World) -> None:
    await world.pool.execute("SELECT job_add('tell_customer', '{\"case\": \"mira@example.org\"}', 0)")
    await world.pool.execute("UPDATE pgqueuer SET attempts = 10")
    async with working(world.office.jobs):
        await until(world, "SELECT status::text FROM pgqueuer", "failed")
    assert "mira@" not in str(await world.pool.fetch("SELECT traceback FROM pgqueuer_log"))


@pytest.mark.usefixtures("nobody_is_dead")
async def test_a_reply_reaches_the_customer_with_the_name_of_who_wrote_it(world: World) -> None:
    case, address = await denied(world)
    message = uuid4()
    async with working(world.office.jobs):
        await _send(world, case, message, "reply", "We looked again.\nIt is on its way.")
        await until(world, "SELECT count(*) FROM timeline WHERE kind = 'customer_told'", 1)
    (text,) = world.mails_to(address)
    assert "Jonas from Moonlight writes:" in text
    assert "We looked again." in text
    assert await world.entries(case, "replied") == [{"message": str(message), "via": ["widget", "mail"]}]


async def _send(world: World, case: UUID, message: UUID, kind: str, body: str) -> None:
    document = {
        "platform": world.id,
        "case": case,
        "message": message,
        "kind": kind,
        "actor": "agent:Jonas",
        "body": body,
        "attachments": [],
    }
    assert await world.pool.fetchval("SELECT message_send($1::jsonb)", document | {"agent": uuid4(), "lease_seconds": 90}) == "sent"


async def test_a_note_never_leaves(world: World) -> None:
    case, _ = await denied(world)
    await _send(world, case, uuid4(), "note", "rude")
    assert await world.post.reply_letter(world.id, await world.value("SELECT id FROM message WHERE kind = 'note'")) is None
    assert await world.value("SELECT count(*) FROM pgqueuer") == 0


@pytest.mark.usefixtures("nobody_is_dead")
async def test_two_processes_share_the_letters_and_none_is_written_twice(world: World) -> None:
    made = [await denied(world) for _ in range(10)]
    other = World(world.pool, world.dsn, world.id, world.slug, world.now)
    async with working(world.office.jobs, other.office.jobs):
        await asyncio.gather(world.office.jobs.tell_waiting(100), other.office.jobs.tell_waiting(100))
        await until(world, "SELECT count(*) FROM timeline WHERE kind = 'customer_told'", len(made))
    assert sorted(mail.to for one in (world, other) for mail in one.mailer.mails) == sorted(address for _, address in made)


async def test_the_letter_of_a_killed_process_is_sent_by_another(world: World) -> None:
    _, address = await denied(world)
    await world.office.jobs.tell_waiting(10)
    doomed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.post.stuck_worker",
        cwd=ROOT,
        env={**os.environ, "DSN": world.dsn},
        stdout=asyncio.subprocess.PIPE,
    )
    assert doomed.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await doomed.stdout.readline() == b"sending\n"
    doomed.kill()
    await doomed.wait()
    assert await world.value("SELECT status::text FROM pgqueuer") == "picked"
    async with working(world.office.jobs):
        await until(world, "SELECT count(*) FROM timeline WHERE kind = 'customer_told'", 1)
    # A process that stands still before it has said so on the timeline may send it once more, under its own id: in a mailbox it is one.
    assert len({mail.message_key for mail in world.mailer.mails if mail.to == address}) == 1


async def test_a_lost_connection_is_made_anew(world: World) -> None:
    case, _ = await denied(world)
    consumers = "FROM pg_stat_activity WHERE application_name = 'makegood jobs' AND datname = current_database()"
    async with working(world.office.jobs):
        await until(world, f"SELECT count(*) {consumers}", 1)
        await world.pool.execute(f"SELECT pg_terminate_backend(pid) {consumers}")
        await world.office.jobs.tell_waiting(10)
        await until(world, "SELECT count(*) FROM timeline WHERE kind = 'customer_told'", 1)
    assert len(await world.entries(case, "customer_told")) == 1


async def test_a_stop_ends_the_consumer_at_once_and_with_nothing_half_done(world: World) -> None:
    case, _ = await denied(world)
    async with asyncio.timeout(PATIENCE_SECONDS), working(world.office.jobs):
        await world.office.jobs.tell_waiting(10)
    rows = await world.pool.fetch("SELECT status::text FROM pgqueuer")
    told = await world.entries(case, "customer_told")
    assert ([row["status"] for row in rows], len(told)) in ((["queued"], 0), ([], 1))


async def test_what_is_old_is_forgotten(world: World) -> None:
    await world.pool.execute(
        "INSERT INTO idempotency (platform_id, caller, method, path, key, body_hash, resource_id, created_at)"
        " SELECT $1, 'key:x', 'POST', '/v1/cases', n::text, '', $2, now() - n * interval '2 days' FROM generate_series(1, 6) AS n",
        world.id,
        uuid4(),
    )
    await world.office.jobs.forget_old()
    assert await world.value("SELECT count(*) FROM idempotency") == 3
