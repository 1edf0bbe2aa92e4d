"""Counts the messages to the database before the first external call: a proxy stands between them and counts every exchange."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec

from integrations.sandbox_memory import MemorySandboxRail
from service.app import open_application
from service.ports import RefundRequest, RefundSeen
from service.settings import Secret
from tests.bench.ground import RAIL, Ground
from tests.bench.server import memory_rail, vendors

_ROUNDS: Final = 20
# Messages of the client that ask for an answer (PostgreSQL, "Message Formats"): Sync, Query, Flush.
_ASKING: Final = frozenset(b"SQH")


class Proxy:
    """Passes on what clients send to PostgreSQL, and counts how often they wait for an answer. Its socket is in a folder of its own."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.exchanges = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._target))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self._count(reader, up_writer), self._pass(up_reader, writer))

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            length = await reader.readexactly(4)  # the first message has no type
            writer.write(length + await reader.readexactly(int.from_bytes(length, "big") - 4))
            while True:
                head = await reader.readexactly(5)
                writer.write(head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4))
                self.exchanges += head[0] in _ASKING
        finally:
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()


class MarkedRail(MemorySandboxRail):
    """Notes how many messages had gone to the database when it was called."""

    proxy: Proxy
    at_call: int = 0

    async def refund(self, request: RefundRequest, *, key: str) -> RefundSeen:
        self.at_call = self.proxy.exchanges
        return await super().refund(request, key=key)


@asynccontextmanager
async def _proxied(at: Ground) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy, and the address of the same database through it."""
    socket = Path(parse_qs(urlsplit(at.dsn).query)["host"][0]) / ".s.PGSQL.5432"
    folder = at.folder / "proxy"
    folder.mkdir()
    proxy = Proxy(socket)
    async with await asyncio.start_unix_server(proxy.serve, str(folder / ".s.PGSQL.5432")):
        yield proxy, at.dsn.replace(str(socket.parent), str(folder))


async def measure(at: Ground) -> int:
    """The median over customers who have the platform's JWT. Nothing works in the background, so each message is of the request."""
    async with _proxied(at) as (proxy, dsn):
        settings = msgspec.structs.replace(at.settings, database_url=Secret(dsn), pool_size=2)
        os.environ["BENCH_LEDGER"] = "memory"
        async with vendors(at.settings) as outside:
            rail = MarkedRail(RAIL)
            rail.__dict__.update((await memory_rail(at.settings)).__dict__)
            rail.proxy = proxy
            async with open_application(settings, msgspec.structs.replace(outside, rails={RAIL: rail})) as app:
                transport = httpx.ASGITransport(app=app.http)  # type: ignore[arg-type]  # Litestar's own type for an ASGI application
                async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
                    return int(median([await _one(at, client, proxy, rail) for _ in range(_ROUNDS)]))


async def _one(at: Ground, client: httpx.AsyncClient, proxy: Proxy, rail: MarkedRail) -> int:
    (ask,) = at.asks("stream_outage", 1)
    before = proxy.exchanges
    headers = {"Authorization": f"Bearer {ask.token}", "Idempotency-Key": ask.key, **ask.headers}
    answer = await client.post(ask.path, json=ask.body, headers=headers)
    if answer.status_code != 201:
        raise RuntimeError(answer.text)
    return rail.at_call - before
