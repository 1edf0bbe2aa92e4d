"""The queue as it is now, told to every console that is open: one reading for all of a platform in this process, and what changed since."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from service.callers import Caller
from service.model import WireId, wire
from service.queue_rows import row_shown
from service.store.queue import RowRecord
from service.watch import LOOK_SECONDS, Watch

log: Final = structlog.get_logger()

# Proxies commonly cut a silent request after 30 s; and a shutdown ends.
STREAM_SECONDS: Final = 25.0
# More than a desk can look through; what lies further back is in the lists and in what a search finds.
ROWS_MAX: Final = 2_000
# A thousand changes a second are told in two readings.
APART_SECONDS: Final = 0.5
# Who signs out in one window, or is shown the door, hears nothing more in another within two seconds; a read takes its part of them.
_SESSION_LOOK_SECONDS: Final = 1.5
# Consoles come back within a second or two of a stream's end; the reading goes on for them.
_KEPT_SECONDS: Final = 60.0
# What is remembered of rows that went, so that whoever was away a moment hears of them; beyond it they get the whole anew.
_GONE_MAX: Final = 10_000
_PLACE: Final = re.compile(r"(?P<boot>[0-9a-f]{16})-(?P<tick>[0-9]{1,15})", re.ASCII)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    rows: Sequence[RowRecord]
    wait: msgspec.Struct | None
    """what customers are quoted"""
    at: datetime


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a console is told. `place`: it goes on from there. A whole: `gone` has no meaning, what is not in `rows` is not there."""

    whole: bool
    place: str
    rows: Sequence[msgspec.Raw]
    gone: Sequence[str]
    wait: msgspec.Struct | None
    at: datetime


class _Seen(msgspec.Struct, frozen=True):
    record: RowRecord
    tick: int
    """when it became so"""
    shown: msgspec.Raw
    """as everybody sees it who does not have it"""


class Mirror:
    """One platform's queue in this process. It is read while somebody follows it, and a minute longer."""

    def __init__(self, read: Callable[[], Awaitable[Reading]], watch: Watch) -> None:
        self._read = read
        self._watch = watch
        self._boot = secrets.token_hex(8)
        self._tick = 0
        self._rows: Mapping[UUID, _Seen] = {}
        self._gone: dict[UUID, int] = {}
        self._remembers_from = 0
        self._last: Reading | None = None
        self._news = asyncio.Event()
        self._followers = 0
        self._left_at = 0.0
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def followed(self) -> Iterator[None]:
        self._followers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._followers -= 1
            self._left_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        return self._task is None or self._task.done()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def tick_of(self, place: str | None) -> int | None:
        """Where somebody was who comes back. None: in another process, before a restart, or too long ago."""
        found = _PLACE.fullmatch(place or "")
        if found is None or found["boot"] != self._boot:
            return None
        tick = int(found["tick"])
        return tick if self._remembers_from <= tick <= self._tick else None

    async def after(self, tick: int, seconds_max: float) -> bool:
        """Whether there is something newer, waiting for it at most so long."""
        ends_at = time.monotonic() + seconds_max
        while self._last is None or self._tick <= tick:
            left = ends_at - time.monotonic()
            if left <= 0 or self._watch.closing:
                return False
            news = self._news
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                return False
        return True

    def told(self, since: int | None, agent: UUID | None) -> tuple[Told, int]:
        """What became so after that tick (None: everything), as this agent sees it, and the tick that it brings them to."""
        if self._last is None:
            raise RuntimeError("nothing was read yet")
        rows = [_raw(one, agent) for one in self._rows.values() if since is None or one.tick > since]
        gone = [] if since is None else [wire(WireId.CASE, case) for case, tick in self._gone.items() if tick > since]
        place = f"{self._boot}-{self._tick}"
        return Told(whole=since is None, place=place, rows=rows, gone=gone, wait=self._last.wait, at=self._last.at), self._tick

    async def _run(self) -> None:
        with self._watch.listening_to_all() as heard:
            while not self._watch.closing and (self._followers or time.monotonic() - self._left_at < _KEPT_SECONDS):
                try:
                    self._take(await self._read())
                except Exception as error:  # noqa: BLE001 - a database that is away comes back, and the consoles are told then
                    log.warning("desk_not_read", error=type(error).__qualname__)
                await asyncio.sleep(APART_SECONDS)
                await heard.wait(LOOK_SECONDS - APART_SECONDS)
        self._wake()

    def _take(self, reading: Reading) -> None:
        tick = self._tick + 1
        rows = {}
        for record in reading.rows:
            was = self._rows.get(record.id)
            rows[record.id] = was if was is not None and was.record == record else _seen(record, tick)
        went = self._rows.keys() - rows.keys()
        changed = bool(went) or any(one.tick == tick for one in rows.values())
        changed = changed or self._last is None or self._last.wait != reading.wait
        self._last = reading
        if not changed:
            return
        self._rows, self._tick = rows, tick
        self._gone = {case: when for case, when in self._gone.items() if case not in rows} | dict.fromkeys(went, tick)
        if len(self._gone) > _GONE_MAX:
            self._gone, self._remembers_from = {}, tick
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class DeskLive:
    """One a process. `seen`: notes that an agent's console is open; `read`: the queue of a platform."""

    def __init__(self, read: Callable[[UUID], Awaitable[Reading]], seen: Callable[[UUID, UUID], Awaitable[None]], watch: Watch) -> None:
        self._read = read
        self._seen = seen
        self._watch = watch
        self.stream_seconds = STREAM_SECONDS
        self._mirrors: dict[UUID, Mirror] = {}

    async def follow(
        self, caller: Caller, place: str | None, *, still: Callable[[], Awaitable[bool]] | None = None
    ) -> AsyncGenerator[Told, None]:
        """What there is, or what changed since `place`; then each change. Ends itself, or when `still` says that the caller's session
        has ended: it is asked before everything that is told.
        """
        if caller.agent_id is not None:
            await self._seen(caller.platform_id, caller.agent_id)
        mirror = self._mirror(caller.platform_id)
        ends_at = time.monotonic() + self.stream_seconds
        since, tick = mirror.tick_of(place), 0
        has_told = False
        with mirror.followed():
            while (left := ends_at - time.monotonic()) > 0 and not self._watch.closing:
                is_news = await mirror.after(tick, min(left, _SESSION_LOOK_SECONDS))
                stands = await _asked(still)
                if stands is False:
                    return
                if stands and is_news:
                    told, tick = mirror.told(tick if has_told else since, caller.agent_id)
                    has_told = True
                    yield told

    async def close(self) -> None:
        for mirror in self._mirrors.values():
            await mirror.close()
        self._mirrors.clear()

    def _mirror(self, platform: UUID) -> Mirror:
        self._mirrors = {name: one for name, one in self._mirrors.items() if name == platform or not one.is_over}

        async def read() -> Reading:
            return await self._read(platform)

        return self._mirrors.setdefault(platform, Mirror(read, self._watch))


async def _asked(still: Callable[[], Awaitable[bool]] | None) -> bool | None:
    """None: the database that knows is away; it comes back, and until then nothing is told."""
    try:
        return True if still is None else await still()
    except Exception as error:  # noqa: BLE001 - whatever it was, the stream goes on when it is over
        log.warning("session_not_read", error=type(error).__qualname__)
        await asyncio.sleep(APART_SECONDS)
        return None


def _seen(record: RowRecord, tick: int) -> _Seen:
    return _Seen(record, tick, msgspec.Raw(msgspec.json.encode(row_shown(record, None))))


def _raw(one: _Seen, agent: UUID | None) -> msgspec.Raw:
    if agent is None or one.record.agent_id != agent:
        return one.shown
    return msgspec.Raw(msgspec.json.encode(row_shown(one.record, agent)))
