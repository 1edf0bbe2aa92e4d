"""What is said on a show reaches every open widget, from one reading, also where a hint is lost or the database was away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from service import notice_live
from service.notice_live import NoSuchShow, NoticeLive
from service.notices import as_told
from service.store.notices import Reading
from tests.notices.world import CAUSE, DOWN, WHY, Process, later
from tests.patience import PATIENCE_SECONDS
from tests.post.world import World

# Streams end by themselves, after seconds that a busy machine takes for one change. Here they do where a test is about that.
_FOR_EVER = 1e6


class Widget:
    def __init__(self, stream: AsyncIterator[str]) -> None:
        self._stream = stream

    async def hears(self) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return msgspec.json.decode(await anext(self._stream))

    async def ends(self) -> bool:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await anext(self._stream, None) is None


@asynccontextmanager
async def open_widget(world: World, live: NoticeLive, show: str = "nll26", *, seconds: float = _FOR_EVER) -> AsyncIterator[Widget]:
    live.stream_seconds = seconds
    async with aclosing(await live.follow(world.id, show)) as stream:
        yield Widget(stream)


async def test_a_widget_hears_what_is_said_now_and_then_each_change(world: World, process: Process) -> None:
    async with open_widget(world, process.live) as widget:
        assert await widget.hears() is None
        await process.notices.say(world.lead(), "nll26", DOWN, WHY)
        said = await widget.hears()
        assert (said["show"], said["text"], said["over"], said["updates"]) == ("nll26", DOWN, False, [])
        await process.notices.say(world.lead(), "nll26", CAUSE, WHY)
        said = await widget.hears()
        assert (said["text"], [one["text"] for one in said["updates"]]) == (CAUSE, [DOWN])
        assert said["updates"][0]["at"] == said["since"]
        await process.notices.end(world.lead(), "nll26", "it plays")
        said = await widget.hears()
        assert (said["text"], said["over"], [one["text"] for one in said["updates"]]) == (CAUSE, True, [DOWN])
    async with open_widget(world, process.live) as late:
        assert (await late.hears())["over"]
        await later(world, timedelta(minutes=11))
        assert await late.hears() is None


async def test_a_change_in_another_process_is_heard_without_its_hint(world: World, process: Process) -> None:
    async with open_widget(world, process.live) as widget:
        await widget.hears()
        await Process(world).notices.say(world.lead(), "nll26", DOWN, WHY)
        assert (await widget.hears())["text"] == DOWN


async def test_a_thousand_widgets_cost_as_many_readings_as_one(world: World, process: Process) -> None:
    readings = 0

    async def read(platform: UUID, show: str) -> Reading | None:
        nonlocal readings
        readings += 1
        return await process.store.now(platform, show)

    live = NoticeLive(read, as_told, process.watch)
    async with AsyncExitStack() as stack:
        widgets = []
        for _ in range(1_000):
            widgets.append(await stack.enter_async_context(open_widget(world, live)))
            # One that nobody reads for long is over.
            assert await widgets[-1].hears() is None
        before = readings
        await process.notices.say(world.lead(), "nll26", DOWN, WHY)
        heard = await asyncio.gather(*(one.hears() for one in widgets))
        assert all(one["text"] == DOWN for one in heard)
        assert before <= readings < 50
    await live.close()


async def test_shows_and_platforms_are_told_apart(world: World, process: Process) -> None:
    await world.show("other")
    elsewhere = await World.opens(world.pool, world.dsn)
    await elsewhere.show("nll26")
    await process.notices.say(world.lead(), "nll26", DOWN, WHY)
    async with open_widget(world, process.live, "other") as other, open_widget(elsewhere, process.live) as theirs:
        assert (await other.hears(), await theirs.hears()) == (None, None)
    assert await process.notices.now(elsewhere.id, "nll26") is None
    assert await process.notices.now(world.id, "other") is None
    here = await process.notices.now(world.id, "nll26")
    assert here is not None
    assert here.text == DOWN


async def test_a_show_that_nobody_told_us_of_is_no_stream_and_costs_one_reading(world: World, process: Process) -> None:
    with pytest.raises(NoSuchShow):
        await process.live.follow(world.id, "nothing")
    await world.show("nothing")
    async with open_widget(world, process.live, "nothing") as widget:
        assert await widget.hears() is None


async def test_a_database_that_is_away_for_a_moment_ends_no_stream(world: World, process: Process) -> None:
    is_away = False

    async def read(platform: UUID, show: str) -> Reading | None:
        if is_away:
            raise ConnectionError
        return await process.store.now(platform, show)

    live = NoticeLive(read, as_told, process.watch)
    async with open_widget(world, live) as widget:
        await widget.hears()
        is_away = True
        await process.notices.say(world.lead(), "nll26", DOWN, WHY)
        with pytest.raises(ConnectionError):
            await live.follow(world.id, "another")
        is_away = False
        assert (await widget.hears())["text"] == DOWN
    await live.close()


async def test_what_is_said_is_told_though_it_took_longer_to_read_than_a_reading_is_kept(
    world: World, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow database, or a process that stood still: the reading has ended by itself before anybody listened."""
    monkeypatch.setattr(notice_live, "_KEPT_SECONDS", 0.0)
    await process.notices.say(world.lead(), "nll26", DOWN, WHY)
    async with open_widget(world, process.live) as widget:
        assert (await widget.hears())["text"] == DOWN
        assert await widget.ends()


async def test_streams_end_by_themselves_and_with_their_process(world: World, process: Process) -> None:
    async with open_widget(world, process.live, seconds=0.02) as widget:
        assert await widget.hears() is None
        assert await widget.ends()
    async with open_widget(world, process.live) as widget:
        assert await widget.hears() is None
        process.watch.close()
        assert await widget.ends()
