"""Rounds of a process: the same work again and again, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

log: Final = structlog.get_logger()


async def rounds(once: Callable[[], Awaitable[bool | None]], stop: asyncio.Event, *, every_seconds: float, failed: str) -> None:
    """Calls `once` every so many seconds, and again at once when it says that more may be due, until `stop` is set.

    A failure (the database is away) is logged under `failed`, and the next round tries again.
    """
    while not stop.is_set():
        is_busy: bool | None = False
        try:
            is_busy = await once()
        except Exception:
            log.exception(failed)
        if is_busy:
            continue
        try:
            async with asyncio.timeout(every_seconds):
                await stop.wait()
        except TimeoutError:
            continue
