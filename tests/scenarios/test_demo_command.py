"""`makegood demo` as somebody at a terminal meets it: plays again in the same folder, says so in one line, and stops when told."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.demo.night import HOST
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

# A whole play, and the start before it; this only ends what hangs.
_SECONDS_MAX = 3 * PATIENCE_SECONDS


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One folder for all tests here; short, since a socket's path holds about a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="mg-demo-") as folder:
        yield Path(folder)


def _environment(data: Path) -> dict[str, str]:
    """A rail and a database of somebody's own are set, and the demo leaves them alone."""
    somebody = {name: value for name, value in os.environ.items() if name != "MAKEGOOD_BIND"}
    return {**somebody, "MAKEGOOD_DATA": str(data), "MAKEGOOD_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


def test_it_plays_once_and_says_so_in_one_line(data: Path) -> None:
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


def test_it_plays_again_in_the_same_folder_and_ends_with_links_that_sign_in(data: Path) -> None:
    playing = subprocess.Popen(
        [sys.executable, "-m", "service", "demo"], env=_environment(data), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert playing.stdout is not None
    links, more, said = [], "", []
    for line in playing.stdout:
        said.append(line)
        links += re.findall(r"^(http\S+)#code=(\S+)$", line)
        if "makegood agents link" in line:
            more = line.strip()
            break
    # Out of a second terminal, as it is printed.
    printed = subprocess.run(
        ["sh", "-c", more],
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr
    links += re.findall(r"^(http\S+)#code=(\S+)$", printed.stdout)
    assert len(links) == 3
    names = []
    for page, code in links:
        address = page.removesuffix("/desk/sign-in")
        headers = {"Makegood-Desk": "1", "Origin": address, "Sec-Fetch-Site": "same-origin"}
        answer = httpx.post(f"{address}/v1/desk/sessions", json={"code": code}, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False)
        assert answer.status_code == 201, answer.text
        names.append(answer.json()["agent"]["name"])
    playing.send_signal(signal.SIGINT)
    rest, errors = playing.communicate(timeout=_SECONDS_MAX)
    assert (playing.returncode, errors) == (0, "")
    assert names == ["Mira", "Jonas", "Mira"]
    assert " 0 not as they should be" in "".join(said)
    assert "mail (sandbox)" not in rest


def test_where_it_cannot_listen_it_says_so_and_plays_nothing(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        for given, said in {
            bind: f"something answers at {bind} already; MAKEGOOD_BIND names another address",
            "nowhere": "MAKEGOOD_BIND must be host:port, not 'nowhere'",
            "127.0.0.1:0": "MAKEGOOD_BIND must name the port",
        }.items():
            done = subprocess.run(
                [sys.executable, "-m", "service", "demo", "--once"],
                env={**_environment(data), "MAKEGOOD_BIND": given},
                capture_output=True,
                text=True,
                timeout=_SECONDS_MAX,
                check=False,
            )
            assert done.returncode != 0
            assert said in done.stderr, given
            assert "Makegood answers at" not in done.stdout


def test_it_listens_where_it_is_told_to_ctrl_c_stops_it_cleanly_and_reset_starts_over(data: Path) -> None:
    port = free_port()
    playing = subprocess.Popen(
        [sys.executable, "-m", "service", "demo", "--reset"],
        env={**_environment(data), "MAKEGOOD_BIND": f"{HOST}:{port}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert playing.stdout is not None
    for line in playing.stdout:
        if "Makegood answers at" in line:
            break
    assert f"http://{HOST}:{port}" in line
    # As a terminal does: everybody in the foreground is told.
    os.killpg(playing.pid, signal.SIGINT)
    _, errors = playing.communicate(timeout=_SECONDS_MAX)
    assert (playing.returncode, errors) == (130, "")
