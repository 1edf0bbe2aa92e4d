"""A bare HTTP/1.1 client: the load shares two cores with what it measures, and a friendly client would cost more than the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final

import msgspec

# The server answers within 25 s whatever happens; what takes longer is lost, and is counted as such.
ANSWER_SECONDS_MAX: Final = 60.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: bytes
    seconds: float

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `tag` is the asker's own. Bytes are sent as they are."""

    path: str
    token: str = ""
    body: Mapping[str, Any] | bytes | None = None
    key: str = ""
    headers: Mapping[str, str] = {}
    tag: Any = None

    def encoded(self) -> bytes:
        body = b"" if self.body is None else self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        lines = [
            f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1",
            "Host: makegood",
            *([f"Authorization: Bearer {self.token}"] if self.token else []),
            *([f"Idempotency-Key: {self.key}"] if self.key else []),
            *(f"{name}: {value}" for name, value in self.headers.items()),
            *([] if self.body is None else ["Content-Type: application/json"]),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One connection that is kept, with one request at a time on it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if len(rest) < length or self._waiting is None:
            return
        self._buffer = b""
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result((int(head[9:12]), rest[:length]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError())

    async def send(self, ask: Ask) -> Answer:
        """Raises OSError when the connection breaks, TimeoutError when nobody answers."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        started = perf_counter()
        self._transport.write(ask.encoded())
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            status, body = await self._waiting
        return Answer(status=status, body=body, seconds=perf_counter() - started)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


@asynccontextmanager
async def connections(port: int, count: int) -> AsyncIterator[list[Connection]]:
    opened = [await connect(port) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


async def each(
    opened: Iterable[Connection], asks: Iterable[Ask], then: Callable[[Ask, Answer | Exception], Awaitable[None] | None]
) -> None:
    """Sends every request, each connection the next one as soon as it is free; `then` hears of each answer, or of why there is none."""
    waiting = iter(asks)

    async def lane(connection: Connection) -> None:
        for ask in waiting:
            try:
                answer: Answer | Exception = await connection.send(ask)
            except (OSError, TimeoutError) as error:
                answer = error
            heard = then(ask, answer)
            if heard is not None:
                await heard
            if isinstance(answer, Exception):
                return

    async with asyncio.TaskGroup() as group:
        for connection in opened:
            group.create_task(lane(connection))
