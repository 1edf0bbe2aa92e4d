"""How the Stripe SDK reaches the network here: httpx with our limits, and nothing said about this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx
import stripe

# One connection for each operation that a process carries out at once (64), and all kept: a new one costs two round trips.
_CONNECTIONS_MAX: Final = 64
# How long earlier calls took, and what machine and runtime this is: of use to Stripe, and to nobody whose money it is.
_UNSAID: Final = frozenset({"x-stripe-client-telemetry", "x-stripe-client-user-agent"})


class QuietHttpx(stripe.HTTPClient):
    """The SDK's own httpx client has a fixed pool, and hands over bodies in a way that httpx has deprecated.

    Errors of transport become `stripe.APIConnectionError` with httpx's as the cause, as the SDK's client does it.
    """

    name = "httpx"

    def __init__(self, timeout: httpx.Timeout) -> None:
        super().__init__()
        limits = httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_CONNECTIONS_MAX)
        self._httpx = httpx.AsyncClient(timeout=timeout, limits=limits)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | bytes | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send once. Raises stripe.APIConnectionError."""
        said = {name: value for name, value in headers.items() if name.lower() not in _UNSAID}
        try:
            response = await self._httpx.request(method, url, headers=said, content=post_data or None)
        except httpx.TransportError as error:
            raise stripe.APIConnectionError(type(error).__name__) from error  # type: ignore[no-untyped-call]
        return response.content, response.status_code, response.headers

    async def close_async(self) -> None:
        """Close the connections."""
        await self._httpx.aclose()
