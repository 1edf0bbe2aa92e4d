from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.store import embedded
from tests.patience import PATIENCE_SECONDS

_HOLDER = """
import sys, time
from pathlib import Path
from service.store import embedded
server = embedded.start(Path(sys.argv[1]))
print("up", flush=True)
sys.stdin.read()
print(server.stop(), flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, unlike tmp_path: a socket lies in it."""
    above = Path(tempfile.mkdtemp(prefix="mg-"))
    yield above / "pg"
    embedded.discard(above / "pg")
    shutil.rmtree(above)


def hold(folder: Path) -> subprocess.Popen[str]:
    (process,) = hold_at_once(folder, 1)
    return process


def hold_at_once(folder: Path, count: int) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _HOLDER, str(folder)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
    return processes


def leave(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return said.strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)


async def answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def test_programs_that_start_at_once_share_a_server_and_the_last_one_out_stops_it(folder: Path) -> None:
    first, second, third = hold_at_once(folder, 3)
    dsn = f"postgresql://postgres:@/postgres?host={folder}"
    assert [leave(first), leave(third)] == ["False", "False"]
    assert await answers(dsn)
    assert leave(second) == "True"
    assert not await answers(dsn)


async def test_on_a_new_machine_the_program_that_comes_second_to_make_the_servers_user_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = embedded._library()  # noqa: SLF001 - the wheel, where its warning on import is silenced
    too_late = iter([subprocess.CalledProcessError(9, ["useradd"])])

    class Raced:
        def get_server(self, *given: Any, **more: Any) -> Any:
            for error in too_late:
                raise error
            return library.get_server(*given, **more)

    monkeypatch.setattr(embedded, "_library", Raced)
    with embedded.running(folder) as server:
        assert await answers(server.dsn)
    assert not list(too_late)


async def test_a_killed_program_does_not_count_as_a_user(folder: Path) -> None:
    first, second = hold(folder), hold(folder)
    kill(first)
    assert leave(second) == "True"


async def test_a_killed_program_leaves_a_server_that_the_next_one_finds(folder: Path) -> None:
    kill(hold(folder))
    server = embedded.start(folder)
    assert await answers(server.dsn)
    assert server.stop()


async def test_it_is_as_durable_as_postgresql_is_and_a_killed_server_is_started_again_with_what_was_committed(folder: Path) -> None:
    server = embedded.start(folder)
    dsn = await embedded.create_database(server.dsn, "kept")
    connection = await asyncpg.connect(dsn)
    shown = [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
    assert shown == ["on", "on", "on"]
    assert int(await connection.fetchval("SHOW max_connections")) >= 200
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    os.kill(int((folder / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    connection.terminate()
    while await answers(server.dsn):  # the signal is delivered when the kernel gets to it
        await asyncio.sleep(0.01)
    again = embedded.start(folder)
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT one FROM kept") == 1
    await connection.close()
    assert not again.stop()
    assert server.stop()


async def test_a_server_that_is_being_started_keeps_its_pid_file(folder: Path) -> None:
    """Before it listens it looks like one that crashed."""
    server = embedded.start(folder)
    file = folder / "postmaster.pid"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:4], "/nowhere", *lines[5:]]) + "\n")
    embedded._drop_stale_pid_file(folder)  # noqa: SLF001 - between the start of a process and its first words nobody else can look
    assert file.exists()
    file.write_text("\n".join(lines) + "\n")
    assert server.stop()


async def test_another_programs_pid_in_the_pid_file_does_not_stop_a_start(folder: Path) -> None:
    embedded.start(folder).stop()
    lines = [str(os.getpid()), str(folder), "1700000000", "5432", str(folder), "", "  5432001         0", "ready   "]
    (folder / "postmaster.pid").write_text("\n".join(lines) + "\n")
    server = embedded.start(folder)
    assert await answers(server.dsn)
    assert server.stop()


def test_a_folder_that_somebody_uses_is_not_discarded(folder: Path) -> None:
    server = embedded.start(folder)
    assert not embedded.discard(folder)
    server.stop()
    assert embedded.discard(folder)
    assert not folder.exists()


def test_names_of_databases_are_quoted() -> None:
    assert embedded.database_dsn("postgresql://postgres:@/postgres?host=/tmp/x", "a b") == "postgresql://postgres:@/a%20b?host=/tmp/x"
    assert embedded.database_dsn("postgresql://u:p@h:1/old", "new") == "postgresql://u:p@h:1/new"
