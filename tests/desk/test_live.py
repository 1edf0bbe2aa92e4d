"""The live feed of the desk: everything once, then what changed, across restarts, lost hints, processes and platforms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio

from service.api import desk_live as routes
from service.app import Application
from service.callers import Caller
from service.desk_live import DeskLive, Reading, Told
from service.keys import Keys
from service.store import desk_live as desk_live_store
from service.store.keys import KeyStore
from service.store.queue import RowRecord
from tests import copies
from tests.desk.console import Office, browsing, installation, open_case, open_office
from tests.patience import PATIENCE_SECONDS


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(postgres_dsn: str, template_database: str) -> AsyncIterator[str]:
    async with copies.copy_of(template_database, postgres_dsn) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(database: str) -> AsyncIterator[Application]:
    """One process for all tests of this file; each has a platform of its own."""
    async with installation(database) as opened:
        yield opened


@pytest.fixture
async def office(app: Application) -> AsyncIterator[Office]:
    usual = app.desk_live.stream_seconds
    await app.pool.execute("DELETE FROM rate")  # all browsers here have one address
    yield await open_office(app)
    app.desk_live.stream_seconds = usual


class Console:
    """What one agent's page shows, kept as the page keeps it."""

    def __init__(self, stream: AsyncIterator[Told]) -> None:
        self._stream = stream
        self.rows: dict[str, dict[str, Any]] = {}
        self.place = ""
        self.wholes = 0
        self.tellings = 0

    async def hears(self) -> Told:
        told = await anext(self._stream)
        rows = {row["id"]: row for row in (msgspec.json.decode(one) for one in told.rows)}
        self.rows = rows if told.whole else {**self.rows, **rows}
        for case in told.gone:
            self.rows.pop(case, None)
        self.place, self.wholes, self.tellings = told.place, self.wholes + told.whole, self.tellings + 1
        return told

    async def until(self, case: UUID, **fields: object) -> dict[str, Any]:
        """Hears until the row of the case says so."""
        while True:
            row = self.rows.get(f"case_{case.hex}")
            if row is not None and all(row[name] == value for name, value in fields.items()):
                return row
            await self.hears()

    async def until_gone(self, case: UUID) -> None:
        while f"case_{case.hex}" in self.rows:
            await self.hears()


@asynccontextmanager
async def following(office: Office, name: str, *, app: Application | None = None, place: str | None = None) -> AsyncIterator[Console]:
    caller = await Keys(KeyStore(office.pool)).caller_for(office.tokens[name])
    assert isinstance(caller, Caller)
    live = (app or office.app).desk_live
    live.stream_seconds = PATIENCE_SECONDS  # how long it may take is no matter of these tests
    async with aclosing(live.follow(caller, place)) as stream:
        yield Console(stream)


async def take(office: Office, name: str, case: UUID) -> None:
    async with browsing(office.app, page=None) as http:
        headers = {"Authorization": f"Bearer {office.tokens[name]}", "Idempotency-Key": uuid4().hex}
        answer = await http.post("/v1/queue/take", json={"case": f"case_{case.hex}"}, headers=headers)
        assert answer.status_code == 200, answer.text


async def end(office: Office, name: str, case: UUID) -> None:
    async with browsing(office.app, page=None) as http:
        headers = {"Authorization": f"Bearer {office.tokens[name]}", "Idempotency-Key": uuid4().hex}
        answer = await http.post(f"/v1/cases/case_{case.hex}/resolve", json={"reason": "done by hand"}, headers=headers)
        assert answer.status_code == 200, answer.text


async def test_a_console_has_everything_once_and_then_hears_what_changed(office: Office) -> None:
    first = await open_case(office)
    async with following(office, "Mira") as mira, following(office, "Ben") as ben:
        assert (await mira.hears()).whole
        await mira.until(first, state="waiting", mine=False)
        await ben.until(first)
        await take(office, "Mira", first)
        await mira.until(first, state="taken", agent="Mira", mine=True)
        await ben.until(first, state="taken", agent="Mira", mine=False)
        second = await open_case(office)
        await mira.until(second, state="waiting")
        await end(office, "Mira", first)
        await mira.until_gone(first)
        assert list(mira.rows) == [f"case_{second.hex}"]
        assert mira.wholes == 1
    assert await office.pool.fetchval("SELECT seen_at IS NOT NULL FROM agent WHERE name = 'Ben' AND platform_id = $1", office.id)


async def test_a_telling_holds_only_what_changed(office: Office) -> None:
    cases = [await open_case(office) for _ in range(3)]
    async with following(office, "Mira") as mira:
        for case in cases:
            await mira.until(case)
        await take(office, "Ben", cases[1])
        told = await mira.hears()
        while not told.rows:
            told = await mira.hears()
        assert [msgspec.json.decode(one)["id"] for one in told.rows] == [f"case_{cases[1].hex}"]


async def test_whoever_comes_back_hears_what_was_missed_and_no_more(office: Office) -> None:
    kept, ended = await open_case(office), await open_case(office)
    async with following(office, "Mira") as mira:
        await mira.until(kept)
        await mira.until(ended)
        await take(office, "Mira", ended)
        await mira.until(ended, state="taken")
    await end(office, "Mira", ended)
    new = await open_case(office)
    async with following(office, "Ben") as ben:  # somebody else follows meanwhile
        await ben.until(new)
    async with following(office, "Mira", place=mira.place) as again:
        again.rows = dict(mira.rows)
        await again.until(new)
        await again.until_gone(ended)
        assert again.wholes == 0
        assert set(again.rows) == {f"case_{kept.hex}", f"case_{new.hex}"}


@pytest.mark.parametrize("place", ["", "0000000000000000-1", "nonsense", "{boot}-999999", "{boot}-x"])
async def test_a_place_that_is_not_known_here_gives_everything_anew(office: Office, place: str) -> None:
    case = await open_case(office)
    async with following(office, "Mira") as mira:
        await mira.until(case)
    boot = mira.place.partition("-")[0]
    async with following(office, "Mira", place=place.format(boot=boot)) as again:
        assert (await again.hears()).whole
        await again.until(case)


async def test_after_a_restart_everything_is_told_anew(fresh_database_url: str) -> None:
    async with installation(fresh_database_url) as app:
        office = await open_office(app)
        case = await open_case(office)
        async with following(office, "Mira") as mira:
            await mira.until(case)
    async with installation(fresh_database_url) as app:
        office = msgspec.structs.replace(office, app=app)
        async with following(office, "Mira", place=mira.place) as again:
            assert (await again.hears()).whole
            await again.until(case)


async def test_what_no_hint_tells_of_is_seen_all_the_same(office: Office) -> None:
    case = await open_case(office)
    async with following(office, "Mira") as mira:
        await mira.until(case, priority=await office.pool.fetchval("SELECT priority FROM cases WHERE id = $1", case))
        await office.pool.execute("UPDATE cases SET priority = 4, version = version + 1 WHERE id = $1", case)
        await mira.until(case, priority=4)


async def test_what_another_process_does_is_told_in_this_one(office: Office, database: str) -> None:
    async with installation(database) as elsewhere, following(office, "Mira", app=elsewhere) as mira:
        await mira.hears()
        case = await open_case(office)
        await mira.until(case, state="waiting")
        await take(office, "Ben", case)
        await mira.until(case, state="taken", agent="Ben")


async def test_a_platform_hears_nothing_of_another(office: Office) -> None:
    other = await open_office(office.app)
    theirs = await open_case(other)
    async with following(office, "Mira") as mira, following(other, "Mira") as neighbour:
        await neighbour.until(theirs)
        ours = await open_case(office)
        await take(other, "Ben", theirs)
        await neighbour.until(theirs, state="taken")
        await mira.until(ours)
        assert list(mira.rows) == [f"case_{ours.hex}"]
        assert f"case_{ours.hex}" not in neighbour.rows


async def test_a_database_that_is_away_ends_no_stream(office: Office) -> None:
    case = await open_case(office)
    whole = await desk_live_store.now_and_rows(office.pool, office.id, 10)
    readings: list[OSError | tuple[Sequence[RowRecord], datetime]] = [
        OSError("away"),
        ((), whole[0]),
        OSError("away"),
        (whole[1], whole[0]),
    ]

    async def read(_: UUID) -> Reading:
        found = readings.pop(0) if len(readings) > 1 else readings[0]
        if isinstance(found, OSError):
            raise found
        return Reading(rows=found[0], wait=None, at=found[1])

    async def seen(_platform: UUID, _agent: UUID) -> None:
        return

    live = DeskLive(read, seen, office.app.watch)
    live.stream_seconds = PATIENCE_SECONDS
    caller = await Keys(KeyStore(office.pool)).caller_for(office.tokens["Mira"])
    assert caller is not None
    async with aclosing(live.follow(caller, None)) as stream:
        mira = Console(stream)
        assert (await mira.hears()).rows == []
        await mira.until(case)
    assert len(readings) == 1
    await live.close()


async def test_a_stop_ends_every_stream(database: str) -> None:
    async with installation(database) as stopping:
        office = await open_office(stopping)
        async with following(office, "Mira") as mira:
            await mira.hears()
            stopping.watch.close()
            with pytest.raises(StopAsyncIteration):
                await mira.until(UUID(int=0))


ENDS = {
    "signed out": "DELETE FROM desk_session WHERE agent_id = $1",
    "disabled": "UPDATE agent SET disabled_at = app_now() WHERE id = $1",
    "silent for an hour": "UPDATE desk_session SET seen_at = seen_at - interval '2 hours' WHERE agent_id = $1",
    "in another role": "UPDATE agent SET role = 'lead' WHERE id = $1",
}


async def streamed(office: Office, headers: dict[str, str], statement: str, *values: object) -> str:
    """What a console is told over HTTP when this happens as soon as it follows; the stream would go on for longer than anybody waits."""
    office.app.desk_live.stream_seconds = 2 * PATIENCE_SECONDS
    async with browsing(office.app, page=None) as browser, asyncio.TaskGroup() as tasks:
        stream = tasks.create_task(browser.get("/v1/desk/live", headers=headers))
        while not await office.pool.fetchval("SELECT bool_or(seen_at IS NOT NULL) FROM agent WHERE platform_id = $1", office.id):
            await asyncio.sleep(0.01)
        await office.pool.execute(statement, *values)
        await open_case(office)
    return stream.result().text


@pytest.mark.parametrize("how", ENDS)
async def test_a_session_that_has_ended_hears_nothing_more(office: Office, how: str) -> None:
    """Within two seconds, and not when the stream ends by itself: a case that comes to the desk after it is not told."""
    async with browsing(office.app) as browser:
        await office.signed_in(browser, "Mira")
        headers = {"Cookie": f"makegood_desk={browser.cookies['makegood_desk']}"}
    async with asyncio.timeout(PATIENCE_SECONDS):
        text = await streamed(office, headers, ENDS[how], (await office.agent("Mira")).id)
    assert "event: session" in text
    assert "event: changed" not in text


async def test_a_token_that_was_taken_back_hears_nothing_more(office: Office) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        headers = {"Authorization": f"Bearer {office.tokens['Mira']}"}
        text = await streamed(
            office, headers, "UPDATE api_key SET revoked_at = app_now() WHERE platform_id = $1 AND name = 'Mira'", office.id
        )
    assert "event: changed" not in text


async def hears_over_http(office: Office, most: int, **headers: str) -> list[dict[str, str]]:
    """The first so many events, as a browser hears them that goes away then, and not when the stream ends."""
    body, kinds, enough = bytearray(), list[bytes](), asyncio.Event()
    requests: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        kinds.extend(value for name, value in message.get("headers", ()) if name == b"content-type")
        body.extend(message.get("body", b""))
        if body.count(b"\r\n\r\n") >= most or not message.get("more_body", True):
            enough.set()

    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    place = {"path": "/v1/desk/live", "raw_path": b"/v1/desk/live", "query_string": b"", "root_path": "", "scheme": "http"}
    ends = {"client": ("127.0.0.1", 1), "server": ("makegood.test", 80), "http_version": "1.1", "method": "GET", "asgi": {"version": "3.0"}}
    asgi: Any = office.app.http
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asgi({"type": "http", "headers": [(b"host", b"makegood.test"), *sent], **place, **ends}, receive, send)
    assert kinds[0].startswith(b"text/event-stream"), bytes(body)
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in body.decode().strip().split("\r\n\r\n")[:most]]


async def test_over_http_it_is_a_stream_of_events_with_the_sessions_end(office: Office) -> None:
    case = await open_case(office)
    office.app.desk_live.stream_seconds = PATIENCE_SECONDS
    async with browsing(office.app) as browser:
        shown = (await office.signed_in(browser, "Mira")).json()
        cookie = f"makegood_desk={browser.cookies['makegood_desk']}"
        session, snapshot = await hears_over_http(office, 2, cookie=cookie)
        assert (session["event"], msgspec.json.decode(session["data"])) == ("session", {"signs_out_at": shown["signs_out_at"]})
        assert snapshot["event"] == "snapshot"
        data = msgspec.json.decode(snapshot["data"])
        assert [row["id"] for row in data["rows"]] == [f"case_{case.hex}"]
        assert set(data) == {"rows", "wait", "at"}
        assert data["wait"]["low_seconds"] < data["wait"]["high_seconds"]
        place = snapshot["id"]
        resumed = await hears_over_http(office, 2, cookie=cookie, last_event_id=place)
        assert [one["event"] for one in resumed] == ["session", "changed"]
        bad = await browser.get("/v1/desk/live", headers={"Last-Event-ID": "x" * 65})
        assert (bad.status_code, bad.json()["errors"][0]["field"]) == (400, "Last-Event-ID")
    assert routes.LiveEvent.__doc__
