"""Servers that go wrong on purpose: one answers what it is told, one swallows the answers of another.

Nobody sits out an answer that does not come: when the request was read, the time passes that a caller waits.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tests.loops import let_pass

# How long whoever asks these servers waits for an answer: far longer than a busy machine needs for one.
PATIENT_SECONDS: Final = 30.0
# Single reads end long before a whole call does, which takes some of these.
_DRIP_SECONDS: Final = PATIENT_SECONDS / 8


class Trick(Enum):
    """What may come instead of an answer."""

    SILENCE = auto()
    """the connection stays open and nothing comes"""
    DRIP = auto()
    """a header line now and then, for ever: no single read times out"""
    RESET = auto()
    """the request was read, then the connection is reset"""
    GOODBYE = auto()
    """the request was read, then the connection is closed"""
    HALF = auto()
    """the answer breaks off in the middle"""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: bytes
    headers: dict[str, str] = {}

    def raw(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(self.body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


def error(status: int, *, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    """An error object as Stripe writes it."""
    return Answer(status=status, body=msgspec.json.encode({"error": fields}), headers=headers or {})


class FaultServer:
    """Answers each request with the next of `replies`, and keeps the idempotency keys it was sent."""

    def __init__(self, *replies: Answer | Trick) -> None:
        self._replies = list(replies)
        self._over = asyncio.Event()
        self.keys: list[str] = []
        self.base_url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FaultServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self._over.set()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_message(reader)
        key = re.search(rb"(?im)^idempotency-key: (.*?)\r$", head)
        self.keys.append(key[1].decode() if key else "")
        if not self._replies:  # a request more than was planned: the client is hung up on, and the test counts `keys`
            await hang_up(writer)
            return
        reply = self._replies.pop(0)
        if isinstance(reply, Answer):
            writer.write(reply.raw())
        else:
            await self._trick(reply, writer)
        await hang_up(writer)

    async def _trick(self, trick: Trick, writer: asyncio.StreamWriter) -> None:
        match trick:
            case Trick.SILENCE:
                let_pass(PATIENT_SECONDS)
                await self._over.wait()
            case Trick.DRIP:
                writer.write(b"HTTP/1.1 200 X\r\n")
                while not self._over.is_set() and not writer.is_closing():
                    writer.write(b"X-Wait: a little\r\n")
                    await asyncio.sleep(0.05)
                    if not self._over.is_set():
                        let_pass(_DRIP_SECONDS)
            case Trick.RESET:
                reset(writer)
            case Trick.GOODBYE:
                pass
            case Trick.HALF:
                writer.write(Answer(status=200, body=b"{" * 200).raw()[:-150])


class LostAnswers:
    """Stands in front of a server, passes every request on, and loses the next `lose` answers."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 0)
        self.lose = 0
        self.base_url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[LostAnswers]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_message(reader)
        from_upstream, to_upstream = await asyncio.open_connection(*self._upstream)
        to_upstream.write(re.sub(rb"(?im)^connection: .*?\r$", b"Connection: close\r", head) + body)
        answer = await from_upstream.read()
        await hang_up(to_upstream)
        if self.lose:
            self.lose -= 1
            reset(writer)
        else:
            writer.write(answer)
        await hang_up(writer)


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of one HTTP/1.1 request with a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: (\d+)", head)
    return head, await reader.readexactly(int(length[1])) if length else b""


def reset(writer: asyncio.StreamWriter) -> None:
    """Makes the close to come an abrupt one: SO_LINGER with no time at all sends RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        return


def closed_port() -> int:
    """A port of 127.0.0.1 that nobody listens on: one was just given out and handed back."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
