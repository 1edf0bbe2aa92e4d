"""Receivers of webhooks in a process of their own: some take everything at once, one takes a second for each; they count."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import msgspec

HOST: Final = "127.0.0.1"
SLOW_SECONDS: Final = 1.0


class About(msgspec.Struct, frozen=True):
    n: int


class Data(msgspec.Struct, frozen=True):
    about: About
    order: str


class Event(msgspec.Struct, frozen=True):
    data: Data


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """What one receiver has seen. `disordered`: events that came after a later one of their order."""

    events: int
    repeats: int
    disordered: int
    last_at: float
    """seconds of the machine's monotonic clock"""


class Seen:
    def __init__(self) -> None:
        self._numbers: set[int] = set()
        self._of_order: dict[str, int] = {}
        self._repeats = 0
        self._disordered = 0
        self._last_at = 0.0

    def add(self, body: bytes) -> None:
        data = _EVENT.decode(body).data
        number = data.about.n
        if number in self._numbers:
            self._repeats += 1
            return
        self._numbers.add(number)
        self._disordered += number < self._of_order.get(data.order, -1)
        self._of_order[data.order] = number
        self._last_at = time.monotonic()

    def count(self) -> Count:
        return Count(events=len(self._numbers), repeats=self._repeats, disordered=self._disordered, last_at=self._last_at)


_EVENT: Final = msgspec.json.Decoder(Event)
_NO_CONTENT: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


def _say(ready: Path, port: str) -> None:
    ready.write_text(port)


async def main(ready: Path) -> None:
    seen: dict[str, Seen] = defaultdict(Seen)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = head.split(b" ", 2)[:2]
                if method == b"GET":
                    counts = msgspec.json.encode({name: one.count() for name, one in seen.items()})
                    writer.write(
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(counts), counts)
                    )
                    continue
                start = head.lower().index(b"content-length:") + len(b"content-length:")
                body = await reader.readexactly(int(head[start : head.index(b"\r\n", start)]))
                name = path.decode().rpartition("/")[2]
                if name.startswith("slow"):
                    await asyncio.sleep(SLOW_SECONDS)
                seen[name].add(body)
                writer.write(_NO_CONTENT)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    _say(ready, str(server.sockets[0].getsockname()[1]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
