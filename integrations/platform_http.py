"""A platform's own system over the small HTTP interface that anyone can implement (docs/platform.md): its orders read, its passes made.

What happened here it is told like every platform, by webhooks to its endpoints: they are signed, kept for days and told again on request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
import tenacity

from integrations.http_errors import Trouble
from integrations.outside_http import OutsideTransport
from integrations.platform_http_errors import failure_of, read_failure_of, trouble_of
from integrations.platform_http_wire import ORDERS_MAX, OrderUnread, PageUnread, ReplacedPass
from service.feed import OrderFeed, ShowFeed
from service.ports import ChangedPage, Declined, EventTold, FetchedOrder, NewPass, OutcomeUnknown, Unavailable

# A case waits eight seconds for its order to be read, tries together.
READ_SECONDS_MAX: Final = 7.0
# A page is asked for in the background, under a lease of two minutes.
PAGE_SECONDS_MAX: Final = 30.0
# A call that does something is over well before the fifteen seconds of its lease are.
CALL_SECONDS_MAX: Final = 9.0
# Connecting is a few round trips; whoever needs longer would not have answered in time either, and nothing was sent yet.
_CONNECT_SECONDS_MAX: Final = 3.0
# Orders of eight cases at once, and some passes.
_CONNECTIONS_MAX: Final = 16
# An order of a hundred tickets has some two hundred kilobytes; of a thousand, which is the most, two megabytes.
ORDER_BYTES_MAX: Final = 4 * 1024 * 1024
# Fifty orders, of which a few may be of the largest.
PAGE_BYTES_MAX: Final = 16 * 1024 * 1024
_PASS_BYTES_MAX: Final = 64 * 1024
# At fifty orders a page: five million orders.
_PAGES_MAX: Final = 100_000
# A kept connection that the other side has just closed costs one more try; a server that is down is asked again by whoever waits for it.
_TRIES_MAX: Final = 2
_PAUSE_SECONDS: Final = 0.2
# As in service/feed.py; what a customer typed and is none of these is no order of anybody's, and nobody is asked.
_REF: Final = re.compile(r"[A-Za-z0-9._:~@+-]{1,100}", re.ASCII)
# They would be taken for folders of the path.
_DOTS: Final = frozenset({".", ".."})


class HttpPlatform:
    """`url` is what the interface's paths are put behind. `private`: also an address inside a private network."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        private: bool,
        read_seconds_max: float = READ_SECONDS_MAX,
        call_seconds_max: float = CALL_SECONDS_MAX,
    ) -> None:
        limits = httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_CONNECTIONS_MAX)
        direct = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
        client = httpx.AsyncClient(
            transport=direct if private else OutsideTransport(direct),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json", "Accept-Encoding": "identity"},
            follow_redirects=False,  # the token goes where the settings say, or nowhere
        )
        self._calls = Calls(client, url.rstrip("/"))
        self.orders = HttpOrders(self._calls, read_seconds_max=read_seconds_max)
        self.passes = HttpPasses(self._calls, call_seconds_max=call_seconds_max)
        self.told = ToldByWebhook()

    async def close(self) -> None:
        await self._calls.close()


class Calls:
    """Single requests, bounded in time and size."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def close(self) -> None:
        await self._client.aclose()

    async def send(
        self, method: str, path: str, *, seconds_max: float, bytes_max: int, key: str | None = None
    ) -> tuple[bytes, Trouble | None]:
        """The body of a success, or what went wrong."""
        headers = {} if key is None else {"Idempotency-Key": key, "Content-Type": "application/json"}
        timeout = httpx.Timeout(seconds_max, connect=min(_CONNECT_SECONDS_MAX, seconds_max))
        request = self._client.build_request(
            method, f"{self._url}{path}", headers=headers, content=None if key is None else b"{}", timeout=timeout
        )
        try:
            async with asyncio.timeout(seconds_max):
                response = await self._client.send(request, stream=True)
                try:
                    answer = await _bounded(response, bytes_max)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            return b"", Trouble(cause=error)
        if response.status_code in {200, 201, 204}:
            return answer, None
        return b"", trouble_of(response.status_code, response.headers, answer)


class HttpOrders:
    """`OrderSource`."""

    def __init__(self, calls: Calls, *, read_seconds_max: float) -> None:
        self._calls = calls
        self._read_seconds_max = read_seconds_max

    async def fetch(self, ref: str) -> FetchedOrder | None:
        if not _REF.fullmatch(ref) or ref in _DOTS:
            return None
        try:
            async with asyncio.timeout(self._read_seconds_max):
                answer = await self._read(f"/orders/{quote(ref, safe='')}", seconds_max=self._read_seconds_max, bytes_max=ORDER_BYTES_MAX)
        except TimeoutError:
            raise Unavailable("no answer in time") from None
        if answer is None:
            return None
        try:
            unread: OrderUnread = _decoded(answer, OrderUnread)
            found = _understood(unread)
        except _NotUnderstood as error:
            raise Declined("unsupported", str(error)) from None
        # Platforms that do not tell capitals apart answer with the order's own name, which is the one that is kept.
        if found.ref.casefold() != ref.casefold():
            raise Declined("unsupported", "the answer is about another order")
        return found

    async def changed(self, cursor: str) -> AsyncIterator[ChangedPage]:
        for _ in range(_PAGES_MAX):
            asked = {"limit": str(ORDERS_MAX)} | ({"changed_since": cursor} if cursor else {})
            path = f"/orders?{httpx.QueryParams(asked)}"
            answer = await self._read(path, seconds_max=PAGE_SECONDS_MAX, bytes_max=PAGE_BYTES_MAX)
            try:
                page = _decoded(answer or b"", PageUnread)
            except _NotUnderstood as error:
                raise Unavailable(f"a page of orders: {error}", configuration=True) from None
            if page.more and page.cursor == cursor:
                raise Unavailable("a page of orders says that there is more, and its cursor is the one before", configuration=True)
            yield _page(page)
            cursor = page.cursor
            if not page.more:
                return

    async def _read(self, path: str, *, seconds_max: float, bytes_max: int) -> bytes | None:
        """One GET, once more after a passing trouble; None where the platform says that it has none. Raises Unavailable."""
        async for attempt in tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_TRIES_MAX),
            wait=tenacity.wait_fixed(_PAUSE_SECONDS),
            retry=tenacity.retry_if_exception(_is_passing),
            reraise=True,
        ):
            with attempt:
                answer, trouble = await self._calls.send("GET", path, seconds_max=seconds_max, bytes_max=bytes_max)
                if trouble is None:
                    return answer
                if trouble.status == 404 and trouble.code == "not_found":
                    return None
                raise read_failure_of(trouble)
        raise AssertionError("unreachable")  # pragma: no cover - the last attempt returned or raised


class HttpPasses:
    """`PassIssuer`. Each request is sent once under our key; the platform answers the same key the same."""

    def __init__(self, calls: Calls, *, call_seconds_max: float) -> None:
        self._calls = calls
        self._call_seconds_max = call_seconds_max

    async def replace(self, *, order_ref: str, position_ref: str, key: str) -> NewPass:
        answer = await self._post(order_ref, position_ref, "replace", key)
        try:
            made = msgspec.json.decode(answer, type=ReplacedPass)
        except (ValueError, RecursionError):  # it was carried out, and told in a way we cannot read
            raise OutcomeUnknown("the platform's answer cannot be read") from None
        return NewPass(barcode=made.barcode, issuer_ref=made.issuer_ref or "")

    async def void(self, *, order_ref: str, position_ref: str, key: str) -> None:
        await self._post(order_ref, position_ref, "void", key)

    async def _post(self, order_ref: str, position_ref: str, action: str, key: str) -> bytes:
        path = f"/orders/{quote(order_ref, safe='')}/positions/{quote(position_ref, safe='')}/pass/{action}"
        answer, trouble = await self._calls.send("POST", path, seconds_max=self._call_seconds_max, bytes_max=_PASS_BYTES_MAX, key=key)
        if trouble is not None:
            raise failure_of(trouble)
        return answer


class ToldByWebhook:
    """`Told`: nothing is told here. The platform's endpoints (`/v1/endpoints`) are, and say themselves what they took."""

    async def told(self, event: EventTold) -> None:
        del event


class _NotUnderstood(Exception):  # noqa: N818 - says what happened
    """Names fields, never what stands in them."""


def _page(page: PageUnread) -> ChangedPage:
    orders: list[FetchedOrder] = []
    not_understood: dict[str, str] = {}
    for unread in page.orders:
        try:
            orders.append(_understood(unread))
        except _NotUnderstood as error:
            not_understood[unread.ref] = str(error)
    return ChangedPage(orders=tuple(orders), cursor=page.cursor, not_understood=not_understood)


def _understood(unread: OrderUnread) -> FetchedOrder:
    shows: dict[str, ShowFeed] = _decoded(bytes(unread.shows), dict[str, ShowFeed])
    return FetchedOrder(ref=unread.ref, order=_decoded(bytes(unread.order), OrderFeed), shows=shows)


def _decoded(body: bytes, kind: Any) -> Any:
    """Raises _NotUnderstood for another shape, Unavailable for what is no JSON: something in between answered, or the answer broke off."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        said, at, where = str(error).partition(" - at ")
        # The one message of msgspec's that repeats what was sent.
        said = "Invalid enum value" if said.startswith("Invalid enum value") else said
        raise _NotUnderstood(f"{said}{at}{where}") from None
    except (ValueError, RecursionError):
        raise Unavailable("the answer is not JSON, or ends in the middle") from None


def _is_passing(error: BaseException) -> bool:
    """Worth one more try at once. Whoever never took a connection, or asked for time, is asked again later by whoever needs it."""
    return isinstance(error, Unavailable) and not (error.configuration or error.never_sent or error.retry_after_seconds)


async def _bounded(response: httpx.Response, bytes_max: int) -> bytes:
    if "content-encoding" in response.headers and response.headers["content-encoding"] != "identity":
        raise httpx.DecodingError("an encoding that nobody asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > bytes_max:
            raise httpx.ReadError(f"an answer longer than {bytes_max} bytes")
    return bytes(body)
