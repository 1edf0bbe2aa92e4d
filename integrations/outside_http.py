"""An HTTP client's way to addresses that platforms have named: to the outside only, each address checked when it is connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from socket import SOCK_STREAM
from typing import Final

import httpx

from integrations.webhooks_addresses import is_outside

# Of one name: the first few are tried, as for webhooks.
_ADDRESSES_MAX: Final = 4
# Where a request names no limit of its own: connecting is a few round trips.
_CONNECT_SECONDS_MAX: Final = 5.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""the addresses of a name; raises OSError"""


class NotOutside(httpx.ConnectError):
    """None of the name's addresses is on the public network: nothing was sent, and nothing ever is."""


class OutsideTransport(httpx.AsyncBaseTransport):
    """Looks each request's host up and connects to an address that was found allowed: a name that changes in between changes nothing.

    The certificate is still checked for the name (httpx, "Extensions": `sni_hostname`), which is also what stands in `Host`.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, resolve: Resolve | None = None) -> None:
        self._inner = inner
        self._resolve = resolve or _resolved

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        found = await self._addresses(request)
        allowed = [one for one in found if is_outside(one)][:_ADDRESSES_MAX]
        if not allowed:
            raise NotOutside("the address is not on the public network", request=request)
        for address in allowed[:-1]:
            try:
                return await self._inner.handle_async_request(_to(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_to(request, allowed[-1]))

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _addresses(self, request: httpx.Request) -> Sequence[str]:
        seconds = request.extensions.get("timeout", {}).get("connect") or _CONNECT_SECONDS_MAX
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            async with asyncio.timeout(seconds):
                return await self._resolve(request.url.host, port)
        except TimeoutError:
            raise httpx.ConnectTimeout("its name server does not answer", request=request) from None
        except (OSError, UnicodeError):
            raise httpx.ConnectError("its name is not known", request=request) from None


def _to(request: httpx.Request, address: str) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
    )


async def _resolved(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))
