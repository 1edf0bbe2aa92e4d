"""What we write into a running pretix, and the one order that it is about: each request once, under our key.

Source: https://docs.pretix.eu/dev/api/resources/orders.html; `X-Idempotency-Key` as in https://docs.pretix.eu/dev/api/fundamentals.html:
for 24 hours the same key is answered the same. Observed with pretix 2026.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import httpx
import msgspec

from integrations import http_errors as errors
from integrations.http_errors import Row, Trouble
from integrations.orders_pretix_http import PretixReader
from integrations.orders_pretix_wire import PretixOrder
from integrations.outside_http import OutsideTransport
from service.ports import Declined, OutcomeUnknown

# Whoever calls has ten seconds; pretix sends its own webhooks inside a request where it runs without a queue.
CALL_SECONDS_MAX: Final = 9.0
_CONNECT_SECONDS_MAX: Final = 3.0
# An order has some kilobytes, one of a hundred tickets some two hundred.
_BODY_BYTES_MAX: Final = 8 * 1024 * 1024
# pretix.eu lets a client make 360 requests a minute; more than a few at once only wait there.
_CONNECTIONS_MAX: Final = 8

_DOCS: Final = "pretix, REST API, 'Fundamentals'"
_TABLE: Final[tuple[Row[Trouble], ...]] = (
    errors.NEVER_CONNECTED,
    errors.NO_ANSWER,
    errors.key_in_use(f"{_DOCS}: 409, also while a request with the same key runs"),
    errors.NO_REFUSAL,
    errors.server_error(f"{_DOCS}: 5xx"),
    errors.too_many_requests(f"{_DOCS}: 429 with Retry-After"),
    errors.not_allowed(f"{_DOCS}: 401 and 403"),
    errors.not_their_words("a 4xx of something in between"),
    Row(name="not there", applies=lambda t: t.status == 404, failure=errors.declined("not_found"), source=f"{_DOCS}: 404"),
    Row(name="refused", applies=lambda t: t.status in {400, 422}, failure=errors.declined("declined"), source=f"{_DOCS}: 400"),
    errors.unreadable(f"{_DOCS}: other 4xx"),
)


class PretixApi:
    """One organizer. `client` brings the address, and follows no redirects: the token stays with the host that it is for."""

    def __init__(self, client: httpx.AsyncClient, *, token: str, organizer: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        self._root = f"/api/v1/organizers/{organizer}/events/"
        # Whoever waits for an answer comes again later by himself.
        self._reader = PretixReader(client, token=token, organizer=organizer, event="-", tries_max=1)

    async def order(self, code: str) -> PretixOrder:
        """The order now. Raises Declined("not_found"), Declined("unsupported"), Unavailable."""
        found = await self._reader.order(code)
        if found is None:
            raise Declined("not_found", "pretix has no such order")
        return found

    async def post(self, event: str, path: str, body: Mapping[str, Any], *, key: str) -> bytes:
        """What pretix answered. Raises Declined, Unavailable, OutcomeUnknown."""
        return await self._send("POST", f"{self._root}{event}/{path}", body, key=key)

    async def delete(self, event: str, path: str, *, key: str) -> None:
        """Raises Declined, Unavailable, OutcomeUnknown."""
        await self._send("DELETE", f"{self._root}{event}/{path}", None, key=key)

    async def _send(self, method: Literal["POST", "DELETE"], path: str, body: Mapping[str, Any] | None, *, key: str) -> bytes:
        headers = {**self._headers, "X-Idempotency-Key": key}
        try:
            async with self._client.stream(method, path, json=body, headers=headers, timeout=CALL_SECONDS_MAX) as response:
                answer = await _bounded(response)
        except httpx.HTTPError as error:
            raise errors.failure_by(_TABLE, Trouble(cause=error)) from None
        if response.status_code in {200, 201, 204}:
            return answer
        trouble = Trouble(
            status=response.status_code,
            theirs=_is_theirs(response.headers),
            retry_after_seconds=errors.retry_after(response.headers),
        )
        raise errors.failure_by(_TABLE, trouble)


def client_for(url: str, *, private: bool) -> httpx.AsyncClient:
    """The connections to one pretix; close it. `private`: also to one inside a private network."""
    direct = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_CONNECTIONS_MAX))
    return httpx.AsyncClient(
        base_url=url,
        transport=direct if private else OutsideTransport(direct),
        timeout=httpx.Timeout(CALL_SECONDS_MAX, connect=_CONNECT_SECONDS_MAX),
        follow_redirects=False,
        trust_env=False,
    )


def decoded(answer: bytes, kind: type[Any]) -> Any:
    """What was carried out, as pretix told it. Raises OutcomeUnknown: it was done, and we cannot read what."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except ValueError:
        raise OutcomeUnknown("pretix's answer cannot be read") from None


def _is_theirs(headers: Mapping[str, str]) -> bool:
    """Pretix refuses in JSON; whatever stands before it, in HTML."""
    return headers.get("content-type", "").partition(";")[0].strip() == "application/json"


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise httpx.ReadError(f"an answer longer than {_BODY_BYTES_MAX} bytes")
    return bytes(body)
