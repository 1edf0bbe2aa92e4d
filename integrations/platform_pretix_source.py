"""Reads a running pretix's orders as our feed: one by its code, and what changed, event by event."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import httpx
import msgspec

from integrations.orders_pretix import NotTranslatable, Translator, questions
from integrations.orders_pretix_http import Cursor, PretixReader
from integrations.orders_pretix_mapping import PretixMapping, Unanswered
from integrations.orders_pretix_wire import PretixEvent, PretixItem, PretixOrder
from service.feed import ShowFeed
from service.ports import ChangedPage, Declined, FetchedOrder, Unavailable

_T = TypeVar("_T")

# Events and items change by a person's hand, an order in each purchase.
_KEPT_SECONDS: Final = 300.0
# Pretix dates a change when it makes it, and shows it when its transaction ends: a slow one would be dated before a reading that missed it.
_OVERLAP: Final = timedelta(minutes=2)


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to understand an event's orders."""

    event: PretixEvent
    items: tuple[PretixItem, ...]
    read_at: float


class PretixOrders:
    """`OrderSource`. `events`: those that are ours to read; an order of another one does not exist for us."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        token: str,
        organizer: str,
        events: Sequence[str],
        mapping: PretixMapping,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        # Each is asked again by whoever needs it, or by the next look: no waiting inside.
        self._readers = {event: PretixReader(client, token=token, organizer=organizer, event=event, tries_max=1) for event in events}
        self._mapping = mapping
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}

    async def fetch(self, ref: str) -> FetchedOrder | None:
        found = await _asked(next(iter(self._readers.values())).order(ref.upper()))
        if found is None or found.testmode or found.event not in self._readers:
            return None
        try:
            return await self._understood(found)
        except (NotTranslatable, Unanswered) as error:
            raise Declined("unsupported", str(error)) from None

    async def changed(self, cursor: str) -> AsyncIterator[ChangedPage]:
        kept = _cursors(cursor)
        for event, reader in self._readers.items():
            pages = aiter(reader.orders(kept.get(event, Cursor())))
            while (page := await _asked(anext(pages, None))) is not None:
                orders: list[FetchedOrder] = []
                not_understood: dict[str, str] = {}
                for order in page.orders:
                    # An order of a shop in test mode is nobody's money.
                    if order.testmode:
                        continue
                    try:
                        orders.append(await self._understood(order))
                    except (NotTranslatable, Unanswered) as error:
                        not_understood[order.code] = str(error)
                kept[event] = page.after if page.after.next else Cursor(since=_earlier(page.after.since))
                yield ChangedPage(orders=tuple(orders), cursor=msgspec.json.encode(kept).decode(), not_understood=not_understood)

    async def _understood(self, order: PretixOrder) -> FetchedOrder:
        known = await self._about(order.event)
        items = {item.id for item in known.items}
        if any(position.item not in items for position in order.positions):
            known = await self._about(order.event, afresh_after=0.0)
        translator = Translator(known.event, known.items, self._mapping.for_event(questions(known.event, (), [order])))
        shows: Mapping[str, ShowFeed] = {}
        # What pretix does not say of the show, the platform tells us itself; without it the order is not taken in.
        with contextlib.suppress(NotTranslatable):
            shows = {known.event.slug: translator.show()}
        return FetchedOrder(ref=order.code, order=translator.order(order), shows=shows)

    async def _about(self, event: str, *, afresh_after: float = _KEPT_SECONDS) -> _Known:
        kept = self._known.get(event)
        if kept is None or self._monotonic() - kept.read_at >= afresh_after:
            reader = self._readers[event]
            found, items = await _asked(reader.event()), await _asked(reader.items())
            kept = self._known[event] = _Known(event=found, items=items, read_at=self._monotonic())
        return kept


async def _asked(reading: Awaitable[_T]) -> _T:
    """Whatever keeps a whole event from being read is a setting here or a right there. Raises Unavailable alone."""
    try:
        return await reading
    except Declined as error:
        raise Unavailable(f"pretix: {error}", configuration=True) from None


def _cursors(text: str) -> dict[str, Cursor]:
    """What cannot be read, of an older release perhaps, means: everything again, which is slow and right."""
    try:
        return msgspec.json.decode(text, type=dict[str, Cursor]) if text else {}
    except msgspec.DecodeError:
        return {}


def _earlier(since: str | None) -> str | None:
    return None if since is None else (datetime.fromisoformat(since) - _OVERLAP).isoformat()
