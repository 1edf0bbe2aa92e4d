"""A running pretix is read page by page, with patience, and from where the last import stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from integrations.orders_pretix_http import Cursor, PretixReader
from service.cli.pretix_import import CursorFile, MappingFile, PretixImport
from service.ports import Declined, Unavailable
from service.store.pool import Pool
from tests.orders import pretix_server
from tests.orders.loading import MAPPING, importer_for, new_platform, orders_of, quiet
from tests.orders.pretix_server import STARTED, TOKEN, PretixServer, Trouble


class Live:
    """Imports from the server as the command does; `slept` is what it would have waited."""

    def __init__(self, pool: Pool, platform: UUID, server: PretixServer, folder: Path) -> None:
        self.pool = pool
        self.platform = platform
        self.server = server
        self.cursor = CursorFile(folder / "cursor.json")
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def run(self, *, token: str = TOKEN, event: str | None = None, mapping: Path = MAPPING) -> Counter[str]:
        importer = importer_for(self.pool, self.platform)
        async with httpx.AsyncClient(base_url=self.server.url) as client:
            reader = PretixReader(client, token=token, organizer="org", event=event or self.server.event["slug"], sleep=self.sleep)
            await PretixImport(importer, MappingFile(mapping), quiet()).live(reader, self.cursor)
        return importer.counts

    async def stored(self) -> int:
        number: int = await self.pool.fetchval("SELECT count(*) FROM orders WHERE platform_id = $1", self.platform)
        return number


@pytest.fixture
def server() -> Iterator[PretixServer]:
    with pretix_server.running("clock26") as started:
        yield started


@pytest.fixture
async def live(pool: Pool, server: PretixServer, tmp_path: Path) -> Live:
    return Live(pool, await new_platform(pool), server, tmp_path)


def pages(server: PretixServer) -> list[str]:
    return [query.get("page", "1") for query in server.asked]


async def test_all_pages_are_read_from_our_host_whatever_they_call_themselves(live: Live) -> None:
    assert await live.run() == {"created": 60}
    assert pages(live.server) == ["1", "2", "3"]
    assert {query["include_canceled_positions"] for query in live.server.asked} == {"true"}
    assert live.slept == []


async def test_the_next_import_asks_only_for_what_changed(live: Live) -> None:
    await live.run()
    assert live.cursor.read() == Cursor(since=STARTED)
    changed = live.server.orders[7]
    live.server.orders[7] = {**changed, "last_modified": "2026-11-22T11:00:00Z", "locale": "fr"}

    assert await live.run() == {"updated": 1}

    order = await orders_of(live.pool).get(live.platform, changed["code"])
    assert order is not None
    assert order.locale == "fr"


async def test_an_interruption_costs_one_page(live: Live) -> None:
    live.server.troubles.extend([None, *[Trouble(status=503)] * 6])
    with pytest.raises(Unavailable):
        await live.run()
    assert await live.stored() == 20
    live.server.asked.clear()

    assert await live.run() == {"created": 40}

    assert pages(live.server) == ["2", "3"]
    assert await live.stored() == 60


async def test_a_page_that_breaks_off_in_the_middle_is_read_again(live: Live) -> None:
    live.server.troubles.extend([None, Trouble()])
    assert await live.run() == {"created": 60}
    assert pages(live.server) == ["1", "2", "2", "3"]


async def test_a_limit_is_waited_out_as_long_as_the_server_says(live: Live) -> None:
    live.server.troubles.extend([Trouble(status=429, headers={"Retry-After": "17"}), None, Trouble(status=502), Trouble(status=502)])
    assert await live.run() == {"created": 60}
    assert live.slept == [17.0, 1.0, 2.0]


async def test_an_hour_is_not_waited_inside_one_run(live: Live) -> None:
    live.server.troubles.append(Trouble(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(Unavailable) as caught:
        await live.run()
    assert (caught.value.retry_after_seconds, live.slept) == (3600.0, [])


async def test_a_wrong_token_is_told_at_once(live: Live) -> None:
    with pytest.raises(Unavailable) as caught:
        await live.run(token="wrong")
    assert (caught.value.configuration, live.slept) == (True, [])


async def test_an_event_that_is_not_there_is_told_at_once(live: Live) -> None:
    with pytest.raises(Declined, match="not_found"):
        await live.run(event="never")


async def test_a_server_that_answers_something_else_is_not_understood(live: Live) -> None:
    live.server.orders[0] = {"code": "X"}
    with pytest.raises(Declined, match="shape"):
        await live.run()
    assert await live.stored() == 0
