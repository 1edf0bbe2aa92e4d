"""Posts webhooks: over HTTPS, to the outside only, each address checked when it is connected to, no redirect followed, no proxy asked."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from socket import AI_NUMERICHOST, SOCK_STREAM, gaierror, getaddrinfo
from typing import Final
from urllib.parse import urlsplit

import httpcore

from integrations.webhooks_addresses import is_outside
from service.ports import HookAnswer, OutcomeUnknown, Unavailable

# Long enough for a query with a token in it; browsers and proxies take no more either.
URL_LENGTH_MAX: Final = 2_000
_VISIBLE: Final = re.compile(rf"[!-~]{{1,{URL_LENGTH_MAX}}}")
# Connecting is a few round trips; nothing was sent yet.
_CONNECT_SECONDS_MAX: Final = 5.0
# Of the fifteen seconds that whoever calls allows.
_CALL_SECONDS_MAX: Final = 15.0
# What an answer may have behind it and its connection still be used again; nobody reads it.
_BODY_BYTES_MAX: Final = 4_096
# As many as one endpoint is sent at once are kept.
_CONNECTIONS_MAX: Final = 16
# Shorter than servers keep an idle connection, so that we end it and not they, just as we write.
_IDLE_SECONDS: Final = 4.0
# Endpoints whose connections are kept; one that is pushed out connects anew.
_POOLS_MAX: Final = 256
# Name servers that do not answer hold a thread each, for as long as the resolver waits.
_RESOLVERS: Final = 16
# A name with several addresses is tried at the first few.
_ADDRESSES_MAX: Final = 4

_NOT_OUTSIDE: Final = "the address is not on the public network"
_NO_NAME: Final = "its name is not known"
_NO_NAME_SERVER: Final = "its name server does not answer"
_REASONS: Final = frozenset({_NOT_OUTSIDE, _NO_NAME, _NO_NAME_SERVER})
_WORDS: Final[Mapping[type[BaseException], str]] = {
    httpcore.ConnectError: "nobody takes the connection, or its certificate is not trusted",
    httpcore.ConnectTimeout: "nobody takes the connection",
    httpcore.ReadTimeout: "no answer in time",
    TimeoutError: "no answer in time",
}

Resolve = Callable[[str, int], Sequence[str]]
"""the addresses of a name; raises OSError"""


class HttpHooks:
    """`Hooks`. `private`: also http, and addresses inside a private network: for installations that say so, and for the demo."""

    def __init__(
        self,
        *,
        private: bool,
        resolve: Resolve | None = None,
        trusted: ssl.SSLContext | None = None,
        call_seconds_max: float = _CALL_SECONDS_MAX,
    ) -> None:
        self._private = private
        self._call_seconds_max = call_seconds_max
        self._trusted = trusted or ssl.create_default_context()
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")
        allowed = (lambda _: True) if private else is_outside
        self._network = _Network(self._resolvers, resolve or _resolved, allowed)
        self._pools: OrderedDict[str, _Connections] = OrderedDict()

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def refusal(self, url: str) -> str | None:
        """What can be said of an address without looking its name up: that is done each time it is connected to."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "is no address"
        rules = {
            f"has to be at most {URL_LENGTH_MAX} visible ASCII characters": _VISIBLE.fullmatch(url) is not None,
            "has to start with https://": parts.scheme == "https" or (self._private and parts.scheme == "http"),
            "has to name a host": bool(parts.hostname) and port != 0,
            "cannot hold a user, a password or a fragment: what is sent is signed": "@" not in parts.netloc and "#" not in url,
            "has to be an address on the public network": self._private or not _is_inside(parts.hostname or ""),
        }
        return next((rule for rule, is_kept in rules.items() if not is_kept), None)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookAnswer:
        refusal = self.refusal(url)
        if refusal is not None:
            raise Unavailable(f"the address {refusal}", never_sent=True)
        pool = await self._pool(url)
        pool.users += 1
        try:
            async with asyncio.timeout(self._call_seconds_max):
                return await self._post(pool, url, body, headers)
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout, httpcore.UnsupportedProtocol) as failure:
            raise Unavailable(_said(failure), never_sent=True) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError) as failure:
            raise OutcomeUnknown(_said(failure)) from None
        finally:
            pool.users -= 1

    async def _post(self, pool: _Connections, url: str, body: bytes, headers: Mapping[str, str]) -> HookAnswer:
        waits = {
            "connect": _CONNECT_SECONDS_MAX,
            "read": self._call_seconds_max,
            "write": self._call_seconds_max,
            "pool": self._call_seconds_max,
        }
        all_headers = {"host": urlsplit(url).netloc, "user-agent": "Makegood", "accept-encoding": "identity", **headers}
        sent = [(name.encode(), value.encode()) for name, value in {**all_headers, "content-length": str(len(body))}.items()]
        request = httpcore.Request("POST", url, headers=sent, content=body, extensions={"timeout": waits})
        async with pool.connection() as connection:
            response = await connection.handle_async_request(request)
            try:
                read = 0
                async for chunk in response.aiter_stream():
                    read += len(chunk)
                    if read > _BODY_BYTES_MAX:
                        break
            finally:
                await response.aclose()
        # What was taken in is, whatever else is said beside it: only who did not take it may say when to come again.
        if 200 <= response.status < 300:
            return HookAnswer(status=response.status)
        answered = {name.lower(): value for name, value in response.headers}
        return HookAnswer(status=response.status, retry_after_seconds=retry_after(answered.get(b"retry-after", b""), datetime.now(UTC)))

    async def _pool(self, url: str) -> _Connections:
        """Connections of this endpoint alone: many slow ones of another's do not make its own wait."""
        pool = self._pools.get(url)
        if pool is None:
            pool = self._pools[url] = _Connections(httpcore.URL(url).origin, self._trusted, self._network)
        self._pools.move_to_end(url)
        idle = [name for name, one in self._pools.items() if not one.users and one is not pool] if len(self._pools) > _POOLS_MAX else []
        if idle:
            await self._pools.pop(idle[0]).close()
        return pool


class _Connections:
    """The connections of one endpoint: as many as are asked for at once, each used again as long as it may be.

    httpcore's own pool looks at every connection for every request, which costs more than the request.
    """

    def __init__(self, origin: httpcore.Origin, trusted: ssl.SSLContext, network: httpcore.AsyncNetworkBackend) -> None:
        self._origin = origin
        self._trusted = trusted
        self._network = network
        self._idle: list[httpcore.AsyncHTTPConnection] = []
        self.users = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[httpcore.AsyncHTTPConnection]:
        one = await self._taken()
        try:
            yield one
        finally:
            if one.is_idle() and len(self._idle) < _CONNECTIONS_MAX:
                self._idle.append(one)
            else:
                await one.aclose()

    async def _taken(self) -> httpcore.AsyncHTTPConnection:
        while self._idle:
            one = self._idle.pop()
            if not one.has_expired():
                return one
            await one.aclose()
        return httpcore.AsyncHTTPConnection(
            self._origin, ssl_context=self._trusted, keepalive_expiry=_IDLE_SECONDS, network_backend=self._network
        )

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()


class _Network(httpcore.AsyncNetworkBackend):
    """Looks a name up, and connects to the very addresses that were found allowed: a name that changes in between changes nothing."""

    def __init__(self, threads: ThreadPoolExecutor, resolve: Resolve, allowed: Callable[[str], bool]) -> None:
        self._threads = threads
        self._resolve = resolve
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = [one for one in await self._addresses(host, port, timeout) if self._allowed(one)]
        if not addresses:
            raise httpcore.ConnectError(_NOT_OUTSIDE)
        for address in addresses[:_ADDRESSES_MAX][:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[:_ADDRESSES_MAX][-1], port, timeout, local_address, socket_options)

    async def _addresses(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                return await loop.run_in_executor(self._threads, self._resolve, host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(_NO_NAME_SERVER) from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError(_NO_NAME) from None

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def retry_after(text: bytes, now: datetime) -> float | None:
    """Seconds, or a date (RFC 9110, section 10.2.3); None for anything else."""
    said = text.strip()
    if said.isdigit() and len(said) <= 9:
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said.decode("ascii")) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _resolved(host: str, port: int) -> Sequence[str]:
    return list(dict.fromkeys(str(found[4][0]) for found in getaddrinfo(host, port, type=SOCK_STREAM)))


def _is_inside(host: str) -> bool:
    """An address that is written out, in whichever way the resolver reads (`127.1`, `0x7f000001`), or this machine's own name."""
    if host.lower().rstrip(".") == "localhost" or host.lower().rstrip(".").endswith(".localhost"):
        return True
    if ":" in host:
        return not is_outside(host)
    try:
        literal = [str(found[4][0]) for found in getaddrinfo(host, None, type=SOCK_STREAM, flags=AI_NUMERICHOST)]
    except (gaierror, UnicodeError):
        return False
    return not all(is_outside(one) for one in literal)


def _said(failure: BaseException) -> str:
    """Words of ours: an error's own text may quote what the other side sent."""
    return str(failure) if str(failure) in _REASONS else _WORDS.get(type(failure), "the connection broke")
