"""Fetches a platform's JSON Web Key Set over HTTPS."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Final

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from service.ports import Unavailable

# A customer is waiting for the sign-in that needs the key; key servers answer in well under a second.
_DEADLINE_SECONDS: Final = 5.0
# Fifty RSA keys with certificate chains; a real set has two or three kilobytes.
_BODY_BYTES_MAX: Final = 64 * 1024
# A lost packet or one restarting machine is worth a second look; what lasts longer is for the cache to bridge.
_TRIES_MAX: Final = 2


class _Again(Exception):  # noqa: N818 - never leaves this module
    """The other side may answer when asked again."""


class HttpJwks:
    """`JwksSource` over a client of the caller's. `retry_wait_seconds` is the longest pause before the second try."""

    def __init__(self, client: httpx.AsyncClient, *, retry_wait_seconds: float = 0.3) -> None:
        self._client = client
        self._retry_wait_seconds = retry_wait_seconds

    async def fetch(self, url: str) -> bytes:
        """The bytes at that address. Raises Unavailable; `configuration` when the address is not one that we ask."""
        check_address(url)
        retrying = AsyncRetrying(
            stop=stop_after_attempt(_TRIES_MAX),
            wait=wait_random_exponential(max=self._retry_wait_seconds),
            retry=retry_if_exception_type(_Again),
            reraise=True,
        )
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                return await retrying(self._get, url)
        except _Again as failure:
            raise Unavailable(f"the key set could not be fetched: {failure}") from None
        except TimeoutError:
            raise Unavailable(f"the key set could not be fetched within {_DEADLINE_SECONDS:g} s") from None

    async def _get(self, url: str) -> bytes:
        # Unpacked by nobody: a small compressed body could grow past every limit.
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        try:
            # No redirects: where the keys come from is for the platform's settings to say, not for whoever answers there.
            request = self._client.stream("GET", url, headers=headers, follow_redirects=False, timeout=_DEADLINE_SECONDS)
            async with request as response:
                if response.status_code >= 500:
                    raise _Again(f"status {response.status_code}")
                if response.status_code != 200:
                    raise Unavailable(f"the key set could not be fetched: status {response.status_code}")
                return await bounded(response)
        except httpx.HTTPError as failure:
            raise _Again(type(failure).__name__) from None


async def bounded(response: httpx.Response) -> bytes:
    """The body, as long as a key set may be. Raises Unavailable."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise Unavailable(f"the answer is longer than {_BODY_BYTES_MAX} bytes")
    return bytes(body)


def check_address(url: str) -> None:
    """HTTPS, or HTTP to this very machine: whoever can change the keys on their way can be any customer."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise Unavailable("the address of the key set is no URL", never_sent=True, configuration=True) from None
    if not parsed.host or not (parsed.scheme == "https" or (parsed.scheme == "http" and _is_this_machine(parsed.host))):
        raise Unavailable("the address of the key set does not start with https://", never_sent=True, configuration=True)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
