"""Keeps up with platforms' own systems: what they say has changed, and what they told us of, is read and taken in, as often as it takes."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
import structlog

from service.feed import ShowFeed
from service.feed_rules import FeedInvalid
from service.orders import FeedConflict, Orders
from service.ports import ChangedPage, Declined, FetchedOrder, Unavailable
from service.shows import Shows
from service.sources import Followed, Sources
from service.store.sources import ClaimedNews, ClaimedSource, SourceStore

log: Final = structlog.get_logger()

# Twice a minute: so a purchase is here within a minute also when it was made just after a look, and no webhook tells of it.
POLL_SECONDS: Final = 30.0
# What a webhook told of is looked at at once in the process that took it, and by the others within this.
_LOOK_SECONDS: Final = 1.0
# A change of settings holds in every process within five seconds, of which the platforms' own cache takes two.
_REFRESH_SECONDS: Final = 2.5
# The database is away: look again this often.
_AWAY_SECONDS: Final = 2.0

# A rush at a sale's start is some fifty purchases a second, each told of twice or three times; what is more is found by looking.
HEARD_MAX: Final = (6000, 60)

# Mostly they wait for the other side: more at once than there are slow ones, and still few connections.
_PLATFORMS_AT_ONCE: Final = 12
_ORDERS_AT_ONCE: Final = 16
# Of one platform: claimed together, and under way when more are claimed; so four at most, and the other places are the others'.
_ORDERS_OF_ONE: Final = 2
# A page is two calls of 30 s at most, and storing its fifty orders.
_LEASE_SECONDS: Final = 120.0
# A first reading of a large shop gives its place to others in between.
_PAGES_AT_ONCE: Final = 20
# A slow one gives its place up after the page at which this is over; its other pages come when the others had their turn.
_TURN_SECONDS: Final = 60.0
_FETCH_SECONDS_MAX: Final = 20.0
_NEWS_LEASE_SECONDS: Final = 40.0

# A shop that is being restarted is back soon; one that is down for a night is asked each minute.
_RETRY_SECONDS_FIRST: Final = 2.0
_RETRY_SECONDS_LAST: Final = 60.0
# By then it is no restart any more, and people should know.
ALERT_SECONDS: Final = 900.0
# A mapping is completed, a show is fed: by people, within hours.
_REFUSED_SECONDS: Final = 1800.0
# With half an hour between them a week; then somebody has to tell us of the order again.
_REFUSED_TRIES_MAX: Final = 340
_WHY_LENGTH_MAX: Final = 300


class NotTaken(Exception):  # noqa: N818 - says what happened
    """An order of a platform's system that cannot be taken in. Names fields, never people."""


class Syncing:
    """One a process. `told`: sees to it that the endpoint of that name is told what happens on the platform."""

    def __init__(
        self,
        store: SourceStore,
        sources: Sources,
        *,
        shows: Shows,
        orders: Orders,
        told: Callable[[UUID, str], Awaitable[object]] | None = None,
    ) -> None:
        self._store = store
        self._sources = sources
        self._shows = shows
        self._orders = orders
        self._told = told
        self._known: Mapping[UUID, Followed] = {}
        self._refreshed_at = float("-inf")
        self._wake = asyncio.Event()
        self._reading: dict[asyncio.Task[None], UUID] = {}
        self._hearing: dict[asyncio.Task[None], UUID] = {}

    # ------------------------------------------------------------------------------------------------- for the flow

    async def fetch(self, platform: UUID, ref: str) -> bool:
        """Reads one order afresh and takes it in. False: the platform has none of that name, or no system to be asked.

        Raises NotTaken, Unavailable.
        """
        system = await self._sources.of(platform)
        if system is None:
            return False
        try:
            fetched = await system.orders.fetch(ref)
        except Declined as error:
            raise NotTaken(str(error)) from None
        if fetched is None:
            return False
        # A system may write a code that is new to us its own way; one that we know it has given us itself.
        if fetched.ref != ref and await self._orders.get(platform, ref) is not None:
            raise NotTaken("the platform's system answered with another order")
        await self.take(platform, fetched)
        return True

    async def take(self, platform: UUID, fetched: FetchedOrder) -> None:
        """Stores an order that was read, and the shows that came with it. Raises NotTaken."""
        for ref, show in fetched.shows.items():
            await self._take_show(platform, ref, show)
        known = await self._orders.get(platform, fetched.ref)
        if known is not None and known.placed_at != fetched.order.placed_at:
            raise NotTaken("an order of this reference is here already and was placed at another time")
        try:
            await self._orders.put(platform, fetched.ref, fetched.order, source="source", same_version="replace")
        except (FeedInvalid, FeedConflict) as error:
            raise NotTaken(str(error)) from None

    async def hear(self, platform: UUID, ref: str) -> int:
        """Somebody says that there is something new of this order: it is read as soon as possible. Returns at once.

        Not 0: too much was heard lately, and this was not kept; the seconds after which it would be.
        """
        seconds = await self._store.may_hear(platform, *HEARD_MAX)
        if seconds == 0:
            await self._store.hear(platform, ref)
            self._wake.set()
        return seconds

    # ------------------------------------------------------------------------------------------------- by itself

    async def run(self, stop: asyncio.Event) -> None:
        """Works until told to stop."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat(stop, self._start_reading))
                group.create_task(self._repeat(stop, self._start_hearing))
            await asyncio.gather(*self._reading, *self._hearing)
        finally:
            for task in (*self._reading, *self._hearing):
                task.cancel()

    async def _repeat(self, stop: asyncio.Event, work: Callable[[], Awaitable[object]]) -> None:
        while not stop.is_set():
            seconds = _LOOK_SECONDS
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next look tries again
                log.error("syncing_interrupted", error=type(error).__qualname__)  # noqa: TRY400 - its text may quote an order
                seconds = _AWAY_SECONDS
            await self._rest(stop, seconds, is_woken=work == self._start_hearing)

    async def _rest(self, stop: asyncio.Event, seconds: float, *, is_woken: bool) -> None:
        waits = [asyncio.create_task(stop.wait())]
        if is_woken:
            waits.append(asyncio.create_task(self._wake.wait()))
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def refresh(self) -> None:
        """Learns which systems there are now."""
        known = await self._sources.known()
        for platform, followed in known.items():
            if self._known.get(platform) != followed:
                await self._store.follow(platform, followed.identity)
                if self._told is not None:
                    await self._told(platform, followed.adapter)
        self._known = known
        self._refreshed_at = time.monotonic()

    async def poll(self) -> None:
        """Reads what changed in the systems that are due, and waits for it."""
        await asyncio.gather(*await self._start_reading())

    async def listen(self) -> None:
        """Reads the orders that we were told of and that have their turn, and waits for them."""
        await asyncio.gather(*await self._start_hearing())

    async def _start_reading(self) -> Sequence[asyncio.Task[None]]:
        """Each system is read for itself: a slow one keeps its own place and nobody else's."""
        if time.monotonic() - self._refreshed_at >= _REFRESH_SECONDS:
            await self.refresh()
        idle = self._known.keys() - set(self._reading.values())
        free = _PLATFORMS_AT_ONCE - len(self._reading)
        due = await self._store.claim(idle, free, _LEASE_SECONDS) if idle and free else ()
        return [self._started(self._reading, one.platform, self._read(one)) for one in due]

    async def _start_hearing(self) -> Sequence[asyncio.Task[None]]:
        self._wake.clear()
        busy = Counter(self._hearing.values())
        idle = [one for one in self._known if busy[one] <= _ORDERS_OF_ONE]
        free = _ORDERS_AT_ONCE - len(self._hearing)
        due = await self._store.news(idle, free, _NEWS_LEASE_SECONDS, of_one=_ORDERS_OF_ONE) if idle and free else ()
        return [self._started(self._hearing, one.platform, self._hear_of(one)) for one in due]

    def _started(self, running: dict[asyncio.Task[None], UUID], platform: UUID, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        running[task] = platform

        def ended(task: asyncio.Task[None]) -> None:
            del running[task]
            self._wake.set()  # there is a place, and there may be more for it

        task.add_done_callback(ended)
        return task

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it was, the lease ends and the next look tries again
            log.error("syncing_interrupted", error=type(error).__qualname__)  # noqa: TRY400 - its text may quote an order

    async def _read(self, one: ClaimedSource) -> None:
        system = await self._sources.of(one.platform)
        if system is None:
            await self._store.read(one, POLL_SECONDS)
            return
        pages, ends = 0, time.monotonic() + _TURN_SECONDS
        try:
            async for page in system.orders.changed(one.cursor):
                await self._take_page(one.platform, page)
                pages += 1
                if not await self._store.keep(one, page.cursor, _LEASE_SECONDS):
                    return
                if pages >= _PAGES_AT_ONCE or time.monotonic() >= ends:
                    await self._store.read(one, 0)
                    return
        except Unavailable as failure:
            seconds = max(failure.retry_after_seconds or 0.0, POLL_SECONDS)
            failing = await self._store.failed(one, seconds, failure.detail[:_WHY_LENGTH_MAX])
            log.warning("source_unavailable", platform_id=str(one.platform), detail=failure.detail, seconds=round(failing))
            if failure.configuration or failing > ALERT_SECONDS:
                await self._store.alert(one.platform, "source_unavailable", {"ref": "source", "detail": failure.detail[:_WHY_LENGTH_MAX]})
            return
        await self._store.read(one, POLL_SECONDS)

    async def _take_page(self, platform: UUID, page: ChangedPage) -> None:
        refused = dict(page.not_understood)
        for fetched in page.orders:
            try:
                await self.take(platform, fetched)
            except NotTaken as error:
                refused[fetched.ref] = str(error)
        for ref, why in refused.items():
            await self._refuse(platform, ref, why)

    async def _refuse(self, platform: UUID, ref: str, why: str) -> None:
        log.warning("order_not_taken", platform_id=str(platform), order=ref, why=why)
        await self._store.refused(platform, ref, _REFUSED_SECONDS, why[:_WHY_LENGTH_MAX])
        await self._store.alert(platform, "orders_not_taken", {"ref": "source", "order": ref, "why": why[:_WHY_LENGTH_MAX]})

    async def _hear_of(self, one: ClaimedNews) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS_MAX):
                await self.fetch(one.platform, one.ref)
        except NotTaken as error:
            if one.tries >= _REFUSED_TRIES_MAX:
                await self._store.done(one)
            else:
                await self._store.later(one, _REFUSED_SECONDS, str(error)[:_WHY_LENGTH_MAX])
                log.warning("order_not_taken", platform_id=str(one.platform), order=one.ref, why=str(error))
            return
        except (Unavailable, TimeoutError) as failure:
            asked = failure.retry_after_seconds if isinstance(failure, Unavailable) else None
            seconds = min(_RETRY_SECONDS_LAST, _RETRY_SECONDS_FIRST * 2.0 ** min(one.tries - 1, 10))
            await self._store.later(one, max(asked or 0.0, seconds), type(failure).__name__)
            return
        await self._store.done(one)

    async def _take_show(self, platform: UUID, ref: str, show: ShowFeed) -> None:
        """What the platform itself has fed of a show under a higher version stays; so does it all until its system says something new."""
        digest = hashlib.sha256(msgspec.json.encode(show, order="deterministic")).digest()
        if not await self._store.show_is_new(platform, ref, digest):
            return
        try:
            await self._shows.put(platform, ref, show, same_version="replace")
        except (FeedInvalid, FeedConflict) as error:
            raise NotTaken(f"show {ref}: {error}") from None
        await self._store.show_taken(platform, ref, digest)
