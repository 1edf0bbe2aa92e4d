"""Takes over what another system has: shows and orders, again and again, without ever mixing up two systems' orders."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from service.feed import OrderFeed, ShowFeed
from service.orders import Orders
from service.shows import Shows


class OrderClash(Exception):  # noqa: N818 - says what was found
    """Two different orders under one reference: two events, or the platform's own feed. Nothing more is imported then."""


class Importer:
    """One platform's import. `counts`: what became of the orders so far, by result (`created`, `updated`, `unchanged`, `older`)."""

    def __init__(self, *, shows: Shows, orders: Orders, platform_id: UUID, source: str) -> None:
        self._shows = shows
        self._orders = orders
        self._platform_id = platform_id
        self._source = source
        self._seen: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    async def show(self, ref: str, feed: ShowFeed) -> None:
        """Raises FeedInvalid. The mapping may have been corrected since the last time, so the same version is taken again."""
        await self._shows.put(self._platform_id, ref, feed, same_version="replace")

    async def order(self, ref: str, feed: OrderFeed, *, origin: str) -> None:
        """Takes one order of `origin` (an event) in. Raises FeedInvalid, FeedConflict, OrderClash.

        An order is known by its reference and by when it was placed, which never changes.
        """
        other = self._seen.setdefault(ref, origin)
        if other != origin:
            raise OrderClash(f"order {ref} is in {other} and in {origin}: import them into two platforms")
        known = await self._orders.get(self._platform_id, ref)
        if known is not None and known.placed_at != feed.placed_at:
            raise OrderClash(f"order {ref} of {origin} is here already and was placed at another time: it is not the same order")
        written = await self._orders.put(self._platform_id, ref, feed, source=self._source, same_version="replace")
        self.counts[written.result] += 1
