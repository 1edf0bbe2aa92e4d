"""Visitors who stay connected keep nobody out: a page that is left open, and streams beyond what a process holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from service.api.problems import Problem
from service.api.streams import Streams
from tests.promises.house import House, stream

# More than the server's queue of new connections is long; below what a machine lets a process open.
VISITORS = 2_300
_AT_ONCE = 100


@asynccontextmanager
async def _visitors(house: House) -> AsyncIterator[list[bytes]]:
    """Each is answered once, and stays."""
    at = urlsplit(str(house.client.base_url))
    ask = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    writers: list[asyncio.StreamWriter] = []

    async def one() -> bytes:
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        writers.append(writer)
        writer.write(ask)
        return await reader.readline()

    try:
        answers: list[bytes] = []
        for _ in range(VISITORS // _AT_ONCE):
            answers += await asyncio.gather(*(one() for _ in range(_AT_ONCE)))
        yield answers
    finally:
        for writer in writers:
            writer.close()


async def test_thousands_who_stay_connected_keep_nobody_out(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=20), status="cancelled")
    order = await house.shop.order(show, [stream()])
    async with _visitors(house) as answers:
        assert {one.split()[1] for one in answers} == {b"200"}
        assert (await house.client.get("/livez")).status_code == 200
        assert (await house.report("show_cancelled", order))["status"] == "resolved"


async def test_streams_beyond_what_is_held_are_told_to_come_back() -> None:
    streams, go = Streams(most=2), asyncio.Event()

    async def steps() -> AsyncIterator[int]:
        yield 1
        await go.wait()

    held = [streams.hold(steps()) for _ in range(2)]
    for one in held:
        streams.check()
        assert await anext(one) == 1
    with pytest.raises(Problem) as refused:
        streams.check()
    assert (refused.value.status, "Retry-After" in refused.value.headers) == (503, True)
    go.set()
    assert [one async for one in held[0]] == []
    streams.check()
