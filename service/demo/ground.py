"""Where the demo stands: a PostgreSQL in a folder, and in it two databases that no other demo is using."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from service.demo.night import HOST, night_settings
from service.serving import first_free_port, is_taken
from service.settings import Settings, embedded_secret
from service.store import embedded, migrate

# Each demo that runs beside others in one folder has databases of its own; more than this at once is a mistake.
_DEMOS_MAX: Final = 9
_PORTS_FROM: Final = 8080
_PORTS_MAX: Final = 100
_HEARD: Final = frozenset({"MAKEGOOD_DATA", "MAKEGOOD_BIND"})


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """One demo's place in a folder, for as long as it runs."""

    dsn: str
    """of the server's maintenance database"""
    data: Path
    name: str
    """of its database, and of its log"""
    host: str
    port: int

    @property
    def log(self) -> Path:
        return self.data / f"{self.name}.log"

    async def clear(self) -> None:
        """Forgets every play before this one."""
        for name in (self.name, f"{self.name}_sandbox"):
            await embedded.drop_database(self.dsn, name)

    async def prepare(self) -> Settings:
        """Makes the databases, or finds them, with this release's tables. Raises MigrationError."""
        url = await embedded.create_database(self.dsn, self.name)
        sandbox = await embedded.create_database(self.dsn, f"{self.name}_sandbox")
        await migrate.migrate(url)
        secret = await asyncio.to_thread(embedded_secret, self.data)
        return night_settings(database_url=url, sandbox_database_url=sandbox, host=self.host, port=self.port, secret=secret.reveal())


@contextlib.contextmanager
def hold_ground(data: Path, bind: tuple[str, int] | None = None) -> Iterator[Ground]:
    """Starts the folder's PostgreSQL, or joins it. `bind`: there and nowhere else; without it on the first free port.

    Raises TimeoutError when PostgreSQL does not start, OSError when nine demos run already or somebody answers at `bind`.
    """
    data.mkdir(parents=True, exist_ok=True)
    with _own_place(data) as name, _own_port(bind) as (host, port), embedded.running(data / "pg") as server:
        yield Ground(dsn=server.dsn, data=data, name=name, host=host, port=port)


def without_settings(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with its folder and where to listen, and nothing else: the demo never touches a real rail, mailbox or database."""
    return {name: value for name, value in environment.items() if name in _HEARD}


@contextlib.contextmanager
def _own_place(data: Path) -> Iterator[str]:
    """The first name that no running demo has."""
    for number in range(1, _DEMOS_MAX + 1):
        name = "makegood_demo" if number == 1 else f"makegood_demo_{number}"
        with _locked(data / f"{name}.lock") as is_ours:
            if is_ours:
                yield name
                return
    raise OSError(f"{_DEMOS_MAX} demos run in {data} already")


@contextlib.contextmanager
def _own_port(bind: tuple[str, int] | None) -> Iterator[tuple[str, int]]:
    """`bind`, or the first free port, which no demo in another folder takes at the same moment (servers share ports silently)."""
    if bind is not None:
        if bind[1] == 0:
            raise OSError("MAKEGOOD_BIND must name the port, as in 127.0.0.1:8480")
        with _locked(_lock_of(bind[1])) as is_ours:
            if not is_ours or is_taken(*bind):
                raise OSError(f"something answers at {bind[0]}:{bind[1]} already; MAKEGOOD_BIND names another address")
            yield bind
            return
    for candidate in range(_PORTS_FROM, _PORTS_FROM + _PORTS_MAX):
        port = first_free_port(HOST, candidate)
        with _locked(_lock_of(port)) as is_ours:
            if is_ours:
                yield HOST, port
                return
    raise OSError(f"no free port from {_PORTS_FROM} on")


def _lock_of(port: int) -> Path:
    return Path(tempfile.gettempdir()) / f"makegood-{os.getuid()}-{port}.lock"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether the lock is ours until the block ends; the kernel drops it when the process ends, however it ends."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
