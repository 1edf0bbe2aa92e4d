"""`makegood demo` as somebody at a terminal meets it: plays again in the same folder, says so in one line, and stops when told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A loaded machine starts slowly; this only ends what hangs.
_SECONDS_MAX = 120


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One folder for all tests here; short, since a socket's path holds about a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="mg-demo-") as folder:
        yield Path(folder)


def _environment(data: Path) -> dict[str, str]:
    """A rail and a database of somebody's own are set, and the demo leaves them alone."""
    return {**os.environ, "MAKEGOOD_DATA": str(data), "MAKEGOOD_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


def test_it_plays_twice_in_the_same_folder(data: Path) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "service", "demo", "--once"],
            env=_environment(data),
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        sums = json.loads(done.stdout.splitlines()[-1])
        assert list(sums) == ["scenarios", "resolved", "handed_over", "denied", "waiting", "failed", "p50_ms", "p99_ms"]
        assert sums["failed"] == 0
        assert sums["scenarios"] == sums["resolved"] + sums["handed_over"] + sums["denied"] + sums["waiting"]
        assert 0 < sums["p50_ms"] <= sums["p99_ms"]
        assert done.stderr == ""


def test_ctrl_c_stops_it_cleanly_and_reset_starts_over(data: Path) -> None:
    playing = subprocess.Popen(
        [sys.executable, "-m", "service", "demo", "--reset"],
        env=_environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert playing.stdout is not None
    for line in playing.stdout:
        if "Makegood answers at" in line:
            break
    # As a terminal does: everybody in the foreground is told.
    os.killpg(playing.pid, signal.SIGINT)
    _, errors = playing.communicate(timeout=_SECONDS_MAX)
    assert (playing.returncode, errors) == (130, "")
