"""Webhooks go to the outside and nowhere else: by name, by every way to write an address, and by whatever a name turns out to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import pytest

from integrations import webhooks_http
from integrations.webhooks_addresses import is_outside
from integrations.webhooks_http import HttpHooks, retry_after
from service.ports import OutcomeUnknown, Unavailable
from tests.patience import PATIENCE_SECONDS
from tests.ports import deaf_port

OUTSIDE: Final = (
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.0",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::808:808",
)
INSIDE: Final = (
    "0.0.0.0",  # noqa: S104 - a row of the table
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "nonsense",
    "",
)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is_one(address: str) -> None:
    assert is_outside(address)


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_none(address: str) -> None:
    assert not is_outside(address)


REFUSED: Final = (
    "http://shop.example/",
    "ftp://shop.example/",
    "file:///etc/passwd",
    "https://",
    "https:///path",
    "shop.example",
    "//shop.example/",
    "https://user@shop.example/",
    "https://user:password@shop.example/",
    "https://shop.example/#x",
    "https://shop.example:0/",
    "https://shop.example:99999/",
    "https://shop.example:port/",
    "https://shop.example/\r\nx: y",
    "https://shop.example/ x",
    "https://schöp.example/",
    f"https://shop.example/{'x' * 2000}",
    "https://[::1",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1:8443/",
    "https://[::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1%25eth0]/",
)


@pytest.fixture
async def strict() -> AsyncIterator[HttpHooks]:
    hooks = HttpHooks(private=False, resolve=lambda *_: ["127.0.0.1"])
    yield hooks
    await hooks.close()


@pytest.mark.parametrize("url", REFUSED)
async def test_what_is_no_address_outside_is_refused_when_it_is_named_and_when_it_is_posted_to(strict: HttpHooks, url: str) -> None:
    assert strict.refusal(url) is not None
    with pytest.raises(Unavailable) as refused:
        await strict.post(url, b"{}", {})
    assert refused.value.never_sent


@pytest.mark.parametrize(
    "url", ["https://shop.example/", "https://shop.example:8443/a?b=c", "https://8.8.8.8/", "https://[2606:4700::1111]/"]
)
async def test_an_address_outside_may_be_named(strict: HttpHooks, url: str) -> None:
    assert strict.refusal(url) is None


# ---------------------------------------------------------------------------------------------------- over the network


class Receiver:
    """Answers each request with the next of its answers, in plain HTTP; the last again and again."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")))
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def receiving(*answers: bytes) -> AsyncIterator[Receiver]:
    receiver = Receiver(*answers)
    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


@asynccontextmanager
async def hooks(
    *, private: bool = True, resolve: Callable[[str, int], Sequence[str]] | None = None, seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[HttpHooks]:
    opened = HttpHooks(private=private, resolve=resolve, call_seconds_max=seconds)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CONNECT_SECONDS_MAX", "_IDLE_SECONDS"):
        monkeypatch.setattr(webhooks_http, name, PATIENCE_SECONDS)


OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def test_a_webhook_arrives_whole_and_its_connection_is_used_again() -> None:
    async with receiving(OK) as receiver, hooks() as these:
        url = f"http://127.0.0.1:{receiver.port}/hooks?key=1"
        for number in range(3):
            answer = await these.post(url, b'{"n":1}', {"content-type": "application/json", "webhook-id": f"evt_{number}"})
            assert answer.status == 200
    assert receiver.connections == 1
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /hooks?key=1 http/1.1"
    assert f"host: 127.0.0.1:{receiver.port}".encode() in lines
    assert b"webhook-id: evt_0" in lines
    assert body == b'{"n":1}'


async def test_what_was_taken_in_is_whatever_is_said_beside_it() -> None:
    for wish in (b"120", b"Sun, 22 Nov 2026 20:01:00 +99999999999999999999", b"\xff"):
        taken = b"HTTP/1.1 204 No Content\r\nretry-after: " + wish + b"\r\n\r\n"
        async with receiving(taken) as receiver, hooks() as these:
            answer = await these.post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})
        assert (answer.status, answer.retry_after_seconds) == (204, None)


async def test_a_redirect_is_not_followed() -> None:
    async with receiving(OK) as inner, hooks() as these:
        there = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{inner.port}/\r\ncontent-length: 0\r\n\r\n"
        async with receiving(there.encode()) as receiver:
            answer = await these.post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})
    assert answer.status == 307
    assert inner.requests == []


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving(OK) as proxy, receiving(OK) as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with hooks() as these:
            await these.post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})
    assert (len(receiver.requests), len(proxy.requests)) == (1, 0)


async def test_what_an_answer_has_behind_it_is_not_read() -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 100_000
    async with receiving(endless) as receiver, hooks() as these:
        answer = await these.post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})  # who read on would wait for what never comes
        assert answer.status == 200


async def test_a_name_that_turns_out_to_be_inside_is_not_connected_to() -> None:
    asked: list[str] = []

    def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%lo"]

    async with receiving(OK) as receiver, hooks(private=False, resolve=resolve) as these:
        with pytest.raises(Unavailable, match="not on the public network") as refused:
            await these.post(f"https://shop.example:{receiver.port}/", b"{}", {})
    assert refused.value.never_sent
    assert asked == ["shop.example"]
    assert receiver.connections == 0


async def test_each_connection_looks_the_name_up_and_uses_what_it_found() -> None:
    asked: list[str] = []

    def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    closing = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    async with receiving(closing) as receiver, hooks(resolve=resolve) as these:
        for _ in range(2):
            assert (await these.post(f"http://shop.example:{receiver.port}/", b"{}", {})).status == 204
    assert asked == ["shop.example", "shop.example"]
    assert receiver.connections == 2


def _unknown(_: str, __: int) -> Sequence[str]:
    raise OSError("no such name")


async def test_what_never_left_is_told_apart_from_what_may_have_arrived() -> None:
    async with hooks(resolve=_unknown) as these:
        with pytest.raises(Unavailable, match="name is not known") as never:
            await these.post("http://shop.example/", b"{}", {})
        assert never.value.never_sent
    with deaf_port() as port:
        async with hooks() as these:
            with pytest.raises(Unavailable) as refused:
                await these.post(f"http://127.0.0.1:{port}/", b"{}", {})
        assert refused.value.never_sent
    async with receiving(b"nonsense\r\n\r\n") as receiver, hooks() as these:
        with pytest.raises(OutcomeUnknown):
            await these.post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})
    async with receiving(b"") as receiver, hooks(seconds=0.2) as these:
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await these.post(f"http://127.0.0.1:{receiver.port}/", b"{}", {})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"", None),
        (b"120", 120.0),
        (b" 0 ", 0.0),
        (b"-1", None),
        (b"1e9", None),
        (b"9999999999", None),
        (b"soon", None),
        (b"\xff", None),
        (b"Sun, 22 Nov 2026 20:01:00 GMT", 60.0),
        (b"Sun, 22 Nov 2026 19:00:00 GMT", 0.0),
        (b"Sun, 22 Nov 2026 20:01:00", None),
        (b"Sun, 22 Nov 2026 20:01:00 +99999999999999999999", None),
        (b"Sun, 22 Nov 99999999999999999999 20:01:00 GMT", None),
        (b"Sun, 22 Nov 2026 20:01:99999999999999999", None),
    ],
)
def test_the_wish_to_be_left_alone_is_read(text: bytes, seconds: float | None) -> None:
    assert retry_after(text, datetime(2026, 11, 22, 20, 0, tzinfo=UTC)) == seconds
