"""The processes of an installation under chaos: started, killed, frozen, and started again as whoever runs them would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from service.store import embedded
from tests.patience import PATIENCE_SECONDS

# A loaded machine imports slowly, and a database that recovers makes a process start more than once.
_START_SECONDS_MAX: Final = 3 * PATIENCE_SECONDS
_STARTS_MAX: Final = 60
_LOOK_SECONDS: Final = 0.05
# How soon whoever runs the processes sees that one has died by itself.
_WATCH_SECONDS: Final = 0.5
_STOP_SECONDS_MAX: Final = PATIENCE_SECONDS


class Member:
    """One process: `serve` at an address of its own, or `worker`. Whoever does something to it holds `busy`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *, name: str, address: str | None) -> None:
        self._arguments = arguments
        self._environment = environment
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._child: asyncio.subprocess.Process | None = None
        self.name = name
        self.address = address
        self.busy = asyncio.Lock()

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.returncode is None

    async def start(self, *, tries: int = _STARTS_MAX) -> None:
        """Returns when it works. One that ends at once (the database is away) is started again, so often. Raises TimeoutError."""
        ends_at = time.monotonic() + _START_SECONDS_MAX
        for _ in range(tries):
            with self._log.open("ab") as log:
                begins = log.tell()
                self._child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "service",
                    *self._arguments,
                    cwd=self._folder,
                    env=dict(self._environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            while self._child.returncode is None and time.monotonic() < ends_at:
                if await self._works(begins):
                    return
                await asyncio.sleep(_LOOK_SECONDS)
            if time.monotonic() > ends_at:
                break
            await asyncio.sleep(_WATCH_SECONDS)
        raise TimeoutError(f"{self.name} does not start:\n{self.log()[-4000:]}")

    async def _works(self, begins: int) -> bool:
        with self._log.open("rb") as log:
            log.seek(begins)
            return b"process_started" in log.read()

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def kill(self) -> None:
        """As a power cut would end it."""
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signal.SIGKILL)
            await self._child.wait()

    async def freeze(self, seconds: float) -> None:
        """As a machine that swaps, or a virtual one that is moved: it does nothing, and then goes on as if no time had passed."""
        if self._child is None or self._child.returncode is not None:
            return
        self._child.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGCONT)


class Crew:
    """All processes, and the restarts of those that died by themselves."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self.falls = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(one.address for one in self.members if one.address is not None)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Crew]:
        watch: asyncio.Task[None] | None = None
        try:
            await asyncio.gather(*(one.start(tries=1) for one in self.members))
            watch = asyncio.create_task(self._watch())
            yield self
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
            await asyncio.gather(*(one.kill() for one in self.members))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for one in self.members:
                if not one.busy.locked() and not one.is_alive:
                    async with one.busy:
                        self.falls += 1
                        await one.start()


class Postgres:
    """A PostgreSQL of our own that can be made to crash. Short paths: a socket's holds about a hundred characters."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = embedded.start(folder)
        self.busy = asyncio.Lock()

    @property
    def dsn(self) -> str:
        return self._server.dsn

    async def crash(self, *, down_seconds: float) -> None:
        """Every connection is cut and nothing is written (`pg_ctl stop -m immediate`); the next start recovers from the log."""
        pid = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        ends_at = time.monotonic() + _STOP_SECONDS_MAX
        while (self._folder / "postmaster.pid").exists():
            assert time.monotonic() < ends_at, "PostgreSQL does not stop"
            await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.sleep(down_seconds)
        before, self._server = self._server, await asyncio.to_thread(embedded.start, self._folder)
        before.stop()

    def discard(self) -> None:
        self._server.stop()
        embedded.discard(self._folder)
