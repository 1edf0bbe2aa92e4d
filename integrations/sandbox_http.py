"""The little HTTP that a sandbox on this machine needs: one request a connection, with answers that can be slow or lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

_HOST: Final = "127.0.0.1"
# A request's head has some hundred bytes; a body of ours at most an event of some kilobytes.
_HEAD_BYTES_MAX: Final = 64 * 1024
_BODY_BYTES_MAX: Final = 1024 * 1024
# Only ends what hangs.
_REQUEST_SECONDS_MAX: Final = 30.0
# SO_LINGER with nothing to wait for: the connection is reset instead of closed (socket(7)).
_RESET: Final = struct.pack("ii", 1, 0)


class Asked(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    method: str
    path: str
    """as it was sent, quoted"""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


Answer = Callable[[Asked], Awaitable[Reply | None]]
"""None: the connection is reset without one"""


class LoopbackServer:
    """Keeps its port from start to start."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: dict[Asked, asyncio.StreamReader] = {}

    @property
    def address(self) -> str:
        return f"http://{_HOST}:{self._port}"

    async def start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, _HOST, self._port, limit=_HEAD_BYTES_MAX)
            self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    async def until_gone(self, asked: Asked) -> None:
        """Returns once whoever asked has hung up."""
        await self._open[asked].read()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS_MAX):
                asked = await _read(reader)
                self._open[asked] = reader
                try:
                    reply = await self._answer(asked)
                finally:
                    del self._open[asked]
            if reply is None:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                writer.write(_raw(reply))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, TimeoutError, ValueError):
            pass  # a client that went away, or none of ours
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    length = int(headers.get("content-length", "0"))
    if length > _BODY_BYTES_MAX:
        raise ValueError("a body that is too long")
    url = urlsplit(target)
    body = await reader.readexactly(length)
    return Asked(method=method, path=url.path, query=dict(parse_qsl(url.query)), headers=headers, body=body)


def _raw(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} -", f"content-length: {len(reply.body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body
