"""The little HTTP that our own stub peers need: one request a connection, on the loopback, with answers that can be lost."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tests.contracts.rails.faults import hang_up, read_message, reset


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    def raw(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(self.body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


def json(status: int, body: Any) -> Reply:
    return Reply(status=status, body=msgspec.json.encode(body), headers={"Content-Type": "application/json"})


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What comes over one request to `method` `path`: an `instead` of carrying it out, or its answer is lost after it was."""

    method: str
    path: str
    instead: Reply | Literal["reset"] | None = None
    times: int = 1


class Stub(ABC):
    """Answers requests from memory; faults are taken in the order in which they were added, the first that fits."""

    def __init__(self) -> None:
        self.base_url = ""
        self.asked: list[Asked] = []
        self._faults: list[Fault] = []

    @abstractmethod
    def answer(self, asked: Asked) -> Reply: ...

    def fail(self, fault: Fault) -> None:
        self._faults.append(fault)

    def count(self, method: str, path: str) -> int:
        return sum(asked.method == method and asked.path.startswith(path) for asked in self.asked)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = _read(*await read_message(reader))
        except (asyncio.IncompleteReadError, ConnectionError):  # a client that went away
            return await hang_up(writer)
        self.asked.append(asked)
        fault = self._fault(asked)
        if fault is not None and isinstance(fault.instead, Reply):
            writer.write(fault.instead.raw())
        elif fault is not None:
            if fault.instead is None:
                self.answer(asked)
            reset(writer)
        else:
            writer.write(self.answer(asked).raw())
        return await hang_up(writer)

    def _fault(self, asked: Asked) -> Fault | None:
        for index, fault in enumerate(self._faults):
            if fault.method == asked.method and asked.path.startswith(fault.path):
                self._faults[index : index + 1] = [msgspec.structs.replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                return fault
        return None


def _read(head: bytes, body: bytes) -> Asked:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Asked(method=method, path=url.path, query=dict(parse_qsl(url.query)), headers=headers, body=body)
