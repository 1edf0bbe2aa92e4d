"""Key sets come whole, from where the settings say, or not at all."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from integrations import jwks_http
from integrations.jwks_http import HttpJwks
from service.ports import Unavailable
from tests.patience import PATIENCE_SECONDS
from tests.ports import deaf_port

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


class Server:
    """A real HTTP server on this machine that gives scripted answers, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks.json"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass  # The client hung up on us, as it should on too much.


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpJwks]:
    monkeypatch.setattr(jwks_http, "_DEADLINE_SECONDS", PATIENCE_SECONDS)
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as client:
        yield HttpJwks(client, retry_wait_seconds=0)


async def test_the_bytes_come_as_they_are(server: Server, source: HttpJwks) -> None:
    server.answers = [OK + b'{"keys":[]}']
    assert await source.fetch(server.url) == b'{"keys":[]}'
    assert server.requests[0].startswith(b"GET /jwks.json HTTP/1.1\r\n")


@pytest.mark.parametrize("first", [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"", b"HTTP/1.1 2"])
async def test_one_stumble_is_forgiven(server: Server, source: HttpJwks, first: bytes) -> None:
    server.answers = [first, OK + b"{}"]
    assert await source.fetch(server.url) == b"{}"
    assert len(server.requests) == 2


async def test_a_server_that_stays_broken_is_asked_twice_and_left_alone(server: Server, source: HttpJwks) -> None:
    server.answers = [b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
    with pytest.raises(Unavailable, match="status 500"):
        await source.fetch(server.url)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "404 Not Found", "401 No", "204 Nothing"])
async def test_redirects_and_refusals_are_not_followed_or_repeated(server: Server, source: HttpJwks, status: str) -> None:
    server.answers = [f"HTTP/1.1 {status}\r\nLocation: {server.url}?again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()]
    with pytest.raises(Unavailable, match=status[:3]):
        await source.fetch(server.url)
    assert len(server.requests) == 1


async def test_a_body_of_64_kilobytes_is_read_and_one_byte_more_is_not(server: Server, source: HttpJwks) -> None:
    server.answers = [OK + b"k" * 65536, OK + b"k" * 65537]
    assert len(await source.fetch(server.url)) == 65536
    with pytest.raises(Unavailable, match="longer than 65536"):
        await source.fetch(server.url)


async def test_a_compressed_body_is_not_unpacked(server: Server, source: HttpJwks) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + bomb]
    assert await source.fetch(server.url) == bomb
    assert b"accept-encoding: identity" in server.requests[0].lower()


async def test_nobody_at_the_address_is_unavailable(source: HttpJwks) -> None:
    with deaf_port() as port, pytest.raises(Unavailable, match="ConnectError"):
        await source.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example/jwks",
        "http://127.0.0.1.evil.example/jwks",
        "http://localhost.evil.example/jwks",
        "http://user@evil.example:80/",
        "ftp://127.0.0.1/jwks",
        "file:///etc/passwd",
        "https://",
        "/jwks",
        "",
        "https://a\nb",
    ],
)
async def test_keys_come_over_https_or_from_this_machine(source: HttpJwks, url: str) -> None:
    with pytest.raises(Unavailable) as refused:
        await source.fetch(url)
    assert refused.value.configuration
    assert refused.value.never_sent
