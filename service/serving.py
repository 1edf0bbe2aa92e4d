"""Runs processes: one that serves and works, one that only works, or several side by side; and stops them without losing anything."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import structlog
from granian.constants import Interfaces
from granian.server.embed import Server

from service.api.frame import NOTHING_MORE, More
from service.app import Application, open_application
from service.settings import Settings, overrides
from service.vendors import Vendors, open_vendors

log: Final = structlog.get_logger()

# A child that dies is started again after this; one that dies at once does not spin.
RESTART_SECONDS: Final = 1.0
# Longer than a process may take to finish what is under way (service.app.STOP_SECONDS_MAX and its streams).
CHILD_STOP_SECONDS_MAX: Final = 30.0

# M_MMAP_THRESHOLD of mallopt(3), and where glibc begins with it.
_MMAP_THRESHOLD: Final = -3
_MMAP_BYTES: Final = 128 * 1024

# Connections that a process holds at once, idle ones among them: 7,000 customers with a page and a stream each, and room for probes and the
# desk. Each takes a file; granian would hold no more than its backlog, and let everybody else wait, `/livez` too.
CONNECTIONS_MAX: Final = 20_000
_BACKLOG: Final = 2048
# With fewer, a crowd that stays connected is felt: worth a word in the log.
_CONNECTIONS_FEW: Final = 8_000
# What else a process opens: the pool, mail, processors.
_FILES_BESIDE: Final = 500

# Searches of the younger objects, before all of them are searched; Python's own is 10.
_SEARCHES_BETWEEN: Final = 100

OpenVendors = Callable[[Settings], AbstractAsyncContextManager[Vendors]]


@asynccontextmanager
async def running(
    settings: Settings, *, vendors: OpenVendors = open_vendors, listen: tuple[str, int] | None, more: More = NOTHING_MORE
) -> AsyncIterator[Application]:
    """One process's application at work; over HTTP too where it listens. On leaving, what is under way is finished."""
    stop = asyncio.Event()
    async with vendors(settings) as outside, open_application(settings, outside, more) as application:
        work = asyncio.create_task(application.work(stop))
        server = None if listen is None else _server(application, listen)
        serving = None if server is None else asyncio.create_task(server.serve())
        try:
            if listen is not None:
                await _answers(*listen)
            yield application
        finally:
            stop.set()
            application.watch.close()
            if server is not None and serving is not None:
                server.stop()  # type: ignore[no-untyped-call]  # granian types the rest
                await serving
            await application.finish()
            await work


def _server(application: Application, listen: tuple[str, int]) -> Server:
    host, port = listen
    with warnings.catch_warnings():
        return Server(
            application.http,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            log_enabled=False,
            backlog=_BACKLOG,
            backpressure=_connections(),
            websockets=False,
        )


def _connections() -> int:
    """As many as there may be, or fewer where the system lets a process open fewer files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    found = CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else max(1, min(CONNECTIONS_MAX, soft - _FILES_BESIDE))
    if found < _CONNECTIONS_FEW:
        log.warning("few_connections", files=soft, connections=found)
    return found


async def _answers(host: str, port: int) -> None:
    """Returns once the socket takes connections."""
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host if host not in {"0.0.0.0", "::"} else "127.0.0.1", port)  # noqa: S104 - what was asked
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"nothing answers at {host}:{port}")


async def until_told(settings: Settings, *, listen: tuple[str, int] | None) -> None:
    """Runs one process until SIGTERM or SIGINT."""
    _map_large_blocks()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running(settings, listen=listen):
        search_garbage_seldom()
        log.info("process_started", listen=None if listen is None else f"{listen[0]}:{listen[1]}")
        await told.wait()
        log.info("process_stopping")
    log.info("process_stopped")


def search_garbage_seldom() -> None:
    """Once a process serves: what it has made so far is never searched, and all that came since a tenth as often as Python would by itself.

    With 2,000 streams open, each such search held everybody up for 0.3 s, every 14 s. What refers to itself, and only that, waits longer:
    for some hundred thousand objects more.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _SEARCHES_BETWEEN)


def _map_large_blocks() -> None:
    """Keeps a process that reads from sockets for days as small as it was after the first minute.

    asyncio takes 256 KiB for each read and gives back all but what came. glibc moves blocks of that size from mappings of their own into
    the heap as soon as one was freed (mallopt(3), "dynamic mmap threshold"), where the little that came lies between ever new holes: some
    megabytes more with every ten thousand refunds. A threshold that was set does not move.
    """
    with contextlib.suppress(AttributeError):  # other C libraries have no such thing, and no such trouble
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)


def side_by_side(settings: Settings, arguments: Sequence[str]) -> None:
    """Runs `makegood` with these arguments in as many processes as the settings say; they share the port. Returns when told to stop."""
    environment = {**os.environ, **overrides(settings), "MAKEGOOD_PROCESSES": "1"}
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: told.append(got))
    children = [_child(arguments, environment) for _ in range(settings.processes)]
    while not told:
        for index, child in enumerate(children):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=RESTART_SECONDS / len(children))
                if not told:
                    log.error("process_died", status=child.returncode)
                    children[index] = _child(arguments, environment)
    for child in children:
        child.terminate()
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=CHILD_STOP_SECONDS_MAX)


def _child(arguments: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "service", *arguments], env=environment)  # noqa: S603 - our own program


def first_free_port(host: str, start: int) -> int:
    """The first port from `start` on which nobody listens. (Binding would not tell: the server shares ports with its own processes.)"""
    for port in range(start, start + 200):
        if not is_taken(host, port):
            return port
    raise OSError(f"no free port from {start} to {start + 199}")


def is_taken(host: str, port: int) -> bool:
    """Somebody answers there already. A server of ours would not be refused the port: it would get half of the other's requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
