"""A fault proxy in front of a peer of Stripe's API: what becomes of a request follows from the seed, the payment and the sighting."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tests.contracts.rails.faults import Answer, error, hang_up, read_message, reset

# The peer answers from memory; what takes longer than this has hung.
_UPSTREAM_SECONDS_MAX: Final = 20.0
# A call ends after ten seconds: an answer that is held back for longer reaches nobody.
_SILENT_SECONDS: Final = 11.0
# Up to longer than a lease: the caller has given up and somebody else has asked again when it arrives.
_LATE_SECONDS_MAX: Final = 18.0
_SLOW_SECONDS_MAX: Final = 1.5
_RETRY_AFTER_SECONDS: Final = 1
# A draw is a number below this.
_DRAWS: Final = 10_000


class Trouble(StrEnum):
    """What becomes of one request."""

    LOST = "lost"
    """executed; the connection is reset instead of an answer"""
    HALF = "half"
    """executed; the answer breaks off"""
    NEVER = "never"
    """read, and reset: the peer never sees it"""
    LATE = "late"
    """reset now; the peer sees it seconds later"""
    SILENT = "silent"
    """executed; the answer comes when nobody waits any more"""
    SLOW = "slow"
    """executed and answered, after a while"""
    ERROR = "error"
    """executed; answered 500, which is what this key is answered from now on"""
    STUMBLE = "stumble"
    """answered 500, not executed, and not remembered"""
    BUSY = "busy"
    """429 with Retry-After, not executed"""
    GARBAGE = "garbage"
    """executed; something in between answers 502 and no JSON"""
    REPLAYED = "replayed"
    """never drawn: the 500 that a key was answered once, again"""


# Of 10,000 refunds, how many meet what. About every second one meets something, so that most operations need several tries.
REFUNDS: Final[Mapping[Trouble, int]] = {
    Trouble.LOST: 1100,
    Trouble.HALF: 300,
    Trouble.NEVER: 500,
    Trouble.LATE: 500,
    Trouble.SILENT: 60,
    Trouble.SLOW: 700,
    Trouble.ERROR: 400,
    Trouble.STUMBLE: 200,
    Trouble.BUSY: 400,
    Trouble.GARBAGE: 400,
}
# And of 10,000 reads: they decide what is believed of a lost answer.
READS: Final[Mapping[Trouble, int]] = {
    Trouble.NEVER: 300,
    Trouble.SLOW: 300,
    Trouble.STUMBLE: 300,
    Trouble.BUSY: 300,
    Trouble.GARBAGE: 200,
}
_BROKEN: Final = error(500, type="api_error", message="An unknown error occurred")
_BUSY: Final = error(429, headers={"Retry-After": str(_RETRY_AFTER_SECONDS)}, type="invalid_request_error", code="rate_limit")
_GARBAGE: Final = Answer(status=502, body=b"<html><h1>502 Bad Gateway</h1></html>", headers={"Content-Type": "text/html"})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as far as it matters here."""

    head: bytes
    body: bytes

    @property
    def is_refund(self) -> bool:
        return self.head.startswith(b"POST /v1/refunds ")

    @property
    def key(self) -> str:
        found = re.search(rb"(?im)^idempotency-key: (.*?)\r$", self.head)
        return found[1].decode() if found else ""

    @property
    def payment(self) -> str:
        """The charge it is about, wherever it is named."""
        found = re.search(rb"\bch_\w+", self.head.partition(b"\r\n")[0] + b" " + self.body)
        return found[0].decode() if found else ""


def draw(seed: int, *about: object) -> int:
    """The same number below 10,000 for the same words, in every run."""
    digest = hashlib.sha256(" ".join(map(str, (seed, *about))).encode()).digest()
    return int.from_bytes(digest[:8]) % _DRAWS


def drawn(chances: Mapping[Trouble, int], number: int) -> Trouble | None:
    for trouble, chance in chances.items():
        if number < chance:
            return trouble
        number -= chance
    return None


class FaultProxy:
    """One address in front of one peer. `names` says what the seed knows a payment by, since the peer makes its references at random.

    `holds`: how an answer is held back that nobody waits for.
    """

    def __init__(
        self,
        upstream: str,
        *,
        seed: int,
        names: Mapping[str, str],
        refunds: Mapping[Trouble, int] = REFUNDS,
        late_seconds_max: float = _LATE_SECONDS_MAX,
        holds: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 0)
        self._seed = seed
        self._names = names
        self._refunds = refunds
        self._late_seconds_max = late_seconds_max
        self._holds = holds
        self._is_calm = False
        self._seen: Counter[tuple[str, bool]] = Counter()
        self._replies: MutableMapping[str, bytes] = {}
        self._late: set[asyncio.Task[bytes]] = set()
        self._open: set[asyncio.Task[None]] = set()
        self.met: Counter[Trouble] = Counter()
        self.base_url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FaultProxy]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in (*self._late, *self._open):
                task.cancel()
            await asyncio.gather(*self._late, *self._open, return_exceptions=True)

    async def calm(self) -> None:
        """From now on everything passes; what is late has arrived when this returns. What a key was answered stays its answer."""
        self._is_calm = True
        await asyncio.gather(*self._late, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head, body = await read_message(reader)
            request = Request(head=head, body=body)
            await self._answer(request, self._trouble(request), writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            reset(writer)  # the caller was killed, or the peer is gone: either way nobody is answered
        finally:
            await hang_up(writer)

    def _trouble(self, request: Request) -> Trouble | None:
        if request.is_refund and request.key in self._replies:
            return self._count(Trouble.REPLAYED)
        if self._is_calm:
            return None
        name = self._name(request)
        self._seen[name, request.is_refund] += 1
        number = draw(self._seed, name, request.is_refund, self._seen[name, request.is_refund])
        return self._count(drawn(self._refunds if request.is_refund else READS, number))

    def _name(self, request: Request) -> str:
        return self._names.get(request.payment, request.payment)

    def _count(self, trouble: Trouble | None) -> Trouble | None:
        if trouble is not None:
            self.met[trouble] += 1
        return trouble

    async def _answer(self, request: Request, trouble: Trouble | None, writer: asyncio.StreamWriter) -> None:
        if trouble in _WITHOUT_THE_PEER:
            self._turn_away(request, trouble, writer)
            return
        answer = await self._forward(request)
        match trouble:
            case Trouble.LOST:
                reset(writer)
            case Trouble.HALF:
                writer.write(answer[: len(answer) * 2 // 3])
            case Trouble.SILENT:
                await self._holds(_SILENT_SECONDS)
            case Trouble.ERROR:
                self._replies[request.key] = _replayed(_BROKEN)
                writer.write(_BROKEN.raw())
            case Trouble.GARBAGE:
                writer.write(_GARBAGE.raw())
            case Trouble.SLOW:
                await asyncio.sleep(self._share(request) * _SLOW_SECONDS_MAX)
                writer.write(answer)
            case _:
                writer.write(answer)

    def _turn_away(self, request: Request, trouble: Trouble | None, writer: asyncio.StreamWriter) -> None:
        match trouble:
            case Trouble.STUMBLE:
                writer.write(_BROKEN.raw())
            case Trouble.BUSY:
                writer.write(_BUSY.raw())
            case Trouble.REPLAYED:
                writer.write(self._replies[request.key])
            case Trouble.LATE:
                task = asyncio.get_running_loop().create_task(self._forward(request, after=self._share(request) * self._late_seconds_max))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                reset(writer)
            case _:
                reset(writer)

    def _share(self, request: Request) -> float:
        """From nothing to all of a delay."""
        return draw(self._seed, self._name(request), "delay") / _DRAWS

    async def _forward(self, request: Request, *, after: float = 0.0) -> bytes:
        """The peer's whole answer."""
        await asyncio.sleep(after)
        async with asyncio.timeout(_UPSTREAM_SECONDS_MAX):
            from_upstream, to_upstream = await asyncio.open_connection(*self._upstream)
            lines = [line for line in request.head.rstrip(b"\r\n").split(b"\r\n") if not line.lower().startswith(b"connection:")]
            to_upstream.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + request.body)
            answer = await from_upstream.read()
            await hang_up(to_upstream)
            return answer

    def troubles(self) -> Iterator[str]:
        """What was met how often, for people to read."""
        return (f"{trouble} {count}" for trouble, count in sorted(self.met.items()))


_WITHOUT_THE_PEER: Final = frozenset({Trouble.NEVER, Trouble.LATE, Trouble.STUMBLE, Trouble.BUSY, Trouble.REPLAYED})


def _replayed(answer: Answer) -> bytes:
    """Stripe's own header on what a key was answered before."""
    return msgspec.structs.replace(answer, headers={"Idempotent-Replayed": "true"}).raw()
