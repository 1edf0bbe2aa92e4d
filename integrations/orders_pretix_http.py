"""Reads events, items and orders from a running pretix, page by page, and can go on where it was interrupted.

Source: https://docs.pretix.eu/dev/api/fundamentals.html (tokens, pagination, rate limits) and the resource `order` (`modified_since`).
"""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import httpx
import msgspec
import tenacity

from integrations.orders_pretix_wire import PretixEvent, PretixItem, PretixOrder
from service.ports import Declined, Unavailable

_T = TypeVar("_T")

# A page of fifty large orders is about 400 kB; a hundred times that is not a page of orders.
_PAGE_BYTES_MAX: Final = 40 * 1024 * 1024

# At fifty orders a page: five million orders of one event.
_PAGES_MAX: Final = 100_000

# With the pauses below: about a minute of trouble at the other side is sat out, then a person decides. The import can go on from there.
_TRIES_MAX: Final = 6
_PAUSE_SECONDS_MAX: Final = 30.0

# pretix.eu asks for at most a minute when it limits a client; longer is not waited for inside one run.
_RETRY_AFTER_SECONDS_MAX: Final = 120.0
# A year of seconds has eight.
_RETRY_AFTER_DIGITS_MAX: Final = 9

# A list of a busy event takes pretix a few seconds.
TIMEOUT_SECONDS: Final = 30.0

# What was cancelled is part of an order: money may have been taken for it.
_WHOLE: Final = {"include_canceled_positions": "true", "include_canceled_fees": "true"}

Sleep = Callable[[float], Awaitable[None]]


class Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a reading stands: kept after each page, so that an interruption costs one page."""

    since: str | None = None
    """what changed since then is read; null: everything"""
    next: str | None = None
    """path and query of the page that comes next; null: a new reading starts"""
    started: str | None = None
    """the server's time when this reading began: `since` of the next one"""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    orders: tuple[PretixOrder, ...]
    total: int
    """orders in the whole reading"""
    after: Cursor
    """to keep once these orders are stored"""


class _Orders(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    next: str | None
    results: tuple[PretixOrder, ...]


class _Items(msgspec.Struct, frozen=True, kw_only=True):
    next: str | None
    results: tuple[PretixItem, ...]


class PretixReader:
    """One event of one organizer. `client` brings the address; redirects are not followed, so the token stays with the host it is for."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        token: str,
        organizer: str,
        event: str,
        sleep: Sleep = asyncio.sleep,
        tries_max: int = _TRIES_MAX,
    ) -> None:
        self._client = client
        self._headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        self._organizer = f"/api/v1/organizers/{organizer}/"
        self._root = f"{self._organizer}events/{event}/"
        self._sleep = sleep
        self._tries_max = tries_max

    async def event(self) -> PretixEvent:
        """Raises Declined, Unavailable; so do all readings here."""
        found, _ = await self._read(self._root, PretixEvent)
        return found

    async def items(self) -> tuple[PretixItem, ...]:
        url: str | None = f"{self._root}items/"
        found: list[PretixItem] = []
        for _ in range(_PAGES_MAX):
            if url is None:
                break
            page, _ = await self._read(url, _Items)
            found += page.results
            url = _local(page.next)
        return tuple(found)

    async def order(self, code: str) -> PretixOrder | None:
        """One order of the organizer, of whichever event; pretix gives no code twice."""
        page, _ = await self._read(f"{self._organizer}orders/?{httpx.QueryParams({**_WHOLE, 'code': code})}", _Orders)
        return next((order for order in page.results if order.code == code), None)

    async def orders(self, cursor: Cursor) -> AsyncIterator[Page]:
        """The orders in the order in which they were placed, from the cursor on.

        An order that changes while we read moves nothing that is still to come to an earlier page: at worst it is read twice.
        """
        url, started = cursor.next, cursor.started
        for _ in range(_PAGES_MAX):
            page, headers = await self._read(url or self._first(cursor.since), _Orders)
            # The proxy's clock is not the database's: without the server's own word, the next reading is a whole one.
            started = started or headers.get("x-page-generated")
            url = _local(page.next)
            after = Cursor(since=cursor.since, next=url, started=started) if url else Cursor(since=started)
            yield Page(orders=page.results, total=page.count, after=after)
            if url is None:
                return

    def _first(self, since: str | None) -> str:
        asked = {"ordering": "datetime", **_WHOLE}
        return f"{self._root}orders/?{httpx.QueryParams(asked if since is None else {**asked, 'modified_since': since})}"

    async def _read(self, url: str, kind: type[_T]) -> tuple[_T, Mapping[str, str]]:
        """One GET, again while the other side has a passing trouble: cut off, overloaded, or saying "later"."""
        async for attempt in tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(self._tries_max),
            wait=_pause,
            retry=tenacity.retry_if_exception(_is_passing),
            reraise=True,
        ):
            with attempt:
                return await self._read_once(url, kind)
        raise AssertionError("unreachable")  # pragma: no cover - the last attempt returned or raised

    async def _read_once(self, url: str, kind: type[_T]) -> tuple[_T, Mapping[str, str]]:
        try:
            async with self._client.stream("GET", url, headers=self._headers) as response:
                _check(response)
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _PAGE_BYTES_MAX:
                        raise Declined("too_large", "a page of pretix is larger than any page of orders")
        except httpx.HTTPError as error:
            raise Unavailable(f"pretix: {type(error).__name__}") from error
        try:
            return msgspec.json.decode(bytes(body), type=kind), response.headers
        except msgspec.ValidationError as error:
            raise Declined("unsupported", f"pretix answered in a shape that we do not know: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unavailable("pretix: the answer is not JSON, or ends in the middle") from None


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status in (401, 403):
        raise Unavailable(f"pretix: {status}: the token is wrong, or may not read this event", configuration=True)
    if status == 404:
        raise Declined("not_found", "pretix has no such organizer or event")
    if status == 429 or status >= 500:
        raise Unavailable(f"pretix: {status}", retry_after_seconds=_retry_after(response.headers.get("retry-after")))
    if status != 200:
        raise Declined("unsupported", f"pretix: {status}")


def _retry_after(text: str | None) -> float | None:
    """Seconds or a date (RFC 9110, section 10.2.3); nonsense counts as nothing said."""
    if text is None:
        return None
    if text.isascii() and text.strip().isdigit() and len(text) < _RETRY_AFTER_DIGITS_MAX:
        return float(text)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and not error.configuration and (error.retry_after_seconds or 0) <= _RETRY_AFTER_SECONDS_MAX


def _pause(state: tenacity.RetryCallState) -> float:
    """What the other side asked for, else 1, 2, 4, … seconds."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, Unavailable) else None
    return min(2.0 ** (state.attempt_number - 1), _PAUSE_SECONDS_MAX) if asked is None else asked


def _local(url: str | None) -> str | None:
    """Path and query alone: wherever a page says that the next one is, we ask the host that the token is for."""
    return None if url is None else httpx.URL(url).raw_path.decode("ascii")
