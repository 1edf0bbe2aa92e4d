"""What is said on a show, told to every widget that is open: one reading a show in this process, however many listen."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog

from service.store.notices import Reading
from service.watch import LOOK_SECONDS, Watch

log: Final = structlog.get_logger()

# Proxies commonly cut a silent request after 30 s; and a shutdown ends.
STREAM_SECONDS: Final = 25.0
# A crowd comes within one minute: its streams end, and come back, one after the other, not all at once.
_SPREAD_SECONDS: Final = 10.0
# Widgets come back within a second or two of a stream's end; the reading goes on for them.
_KEPT_SECONDS: Final = 15.0

Read = Callable[[], Awaitable[Reading | None]]
Render = Callable[[Reading], str]


class NoSuchShow(Exception):  # noqa: N818 - says what happened
    """Nobody has told us of this show."""


class ShowNotice:
    """One show's notice in this process, as text that is made once for all. It is read while somebody listens, and a moment longer."""

    def __init__(self, read: Read, render: Render, watch: Watch) -> None:
        self._read = read
        self._render = render
        self._watch = watch
        self._tick = 0
        self._text = ""
        self._news = asyncio.Event()
        self._listeners = 0
        self._left_at = time.monotonic()
        self._first: asyncio.Future[Reading | None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    @property
    def is_over(self) -> bool:
        return self._task.done()

    async def known(self) -> bool:
        """Whether there is such a show; whoever asks is about to listen. Raises what the first reading raised."""
        self._left_at = time.monotonic()
        return await asyncio.shield(self._first) is not None

    async def told(self, seconds_max: float) -> AsyncGenerator[str, None]:
        """What is said now, at once; then each change; for at most so long."""
        ends_at, tick = time.monotonic() + seconds_max, 0
        self._listeners += 1
        try:
            while not self._watch.closing:
                # What is said is told also where it is no longer read: a process that stood still before it listened, or a slow database.
                if self._tick != tick:
                    tick = self._tick
                    yield self._text
                elif self.is_over or (left := ends_at - time.monotonic()) <= 0:
                    return
                else:
                    await _heard(self._news, left)
        finally:
            self._listeners -= 1
            self._left_at = time.monotonic()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            reading = await self._read()
        except Exception as error:  # noqa: BLE001 - whoever asked is told, and the next one asks anew
            self._first.set_exception(error)
            self._first.exception()  # seen, also where whoever asked is gone
            return
        if reading is None:
            self._first.set_result(None)
            return
        with self._watch.listening(reading.show_id) as heard:
            # What was said between the first reading and now is read here.
            await self._look()
            self._first.set_result(reading)
            while not self._watch.closing and (self._listeners or time.monotonic() - self._left_at < _KEPT_SECONDS):
                await heard.wait(LOOK_SECONDS)
                await self._look()
        self._wake()

    async def _look(self) -> None:
        """Takes up what is said now. A database that is away comes back, and the widgets are told then."""
        try:
            reading = await self._read()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is looked again
            log.warning("notice_not_read", error=type(error).__qualname__)
            return
        text = "null" if reading is None else self._render(reading)
        if text != self._text:
            self._text, self._tick = text, self._tick + 1
            self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class NoticeLive:
    """One a process. `read`: what is on a platform's show; `render`: what a widget is told of that, as JSON on one line."""

    def __init__(self, read: Callable[[UUID, str], Awaitable[Reading | None]], render: Render, watch: Watch) -> None:
        self._read = read
        self._render = render
        self._watch = watch
        self.stream_seconds = STREAM_SECONDS
        self._shows: dict[tuple[UUID, str], ShowNotice] = {}

    async def follow(self, platform: UUID, show: str) -> AsyncGenerator[str, None]:
        """A stream that ends by itself. Raises NoSuchShow, or what the database raises, before it begins."""
        notice = self._show(platform, show)
        if not await notice.known():
            raise NoSuchShow(show)
        seconds = self.stream_seconds - random.uniform(0, min(_SPREAD_SECONDS, self.stream_seconds / 2))  # noqa: S311 - spreads load, no secret
        return notice.told(seconds)

    async def close(self) -> None:
        for notice in self._shows.values():
            await notice.close()
        self._shows.clear()

    def _show(self, platform: UUID, show: str) -> ShowNotice:
        """Those that are read in this process are as many as the shows that somebody listens to; the others are dropped here."""
        found = self._shows.get((platform, show))
        if found is not None and not found.is_over:
            return found
        self._shows = {name: one for name, one in self._shows.items() if not one.is_over}

        async def read() -> Reading | None:
            return await self._read(platform, show)

        return self._shows.setdefault((platform, show), ShowNotice(read, self._render, self._watch))


async def _heard(news: asyncio.Event, seconds_max: float) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            await news.wait()
    except TimeoutError:
        return
