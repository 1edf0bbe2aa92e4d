"""Ports that the tests listen at. Servers share ports silently: two at one would each get half of the other's requests."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from service.demo.night import HOST
from service.serving import is_taken

# Far from the ports that people use, and below those that the system gives away (32768 and up).
_FROM: Final = 20_000
_SIZE: Final = 200
_BLOCKS: Final = 60


def free_port() -> int:
    """One that nobody listens at, and that no other process of any run is given. This one gives it again when it has given all others."""
    for port in islice(_own(), _SIZE):
        if not is_taken(HOST, port):
            return port
    raise OSError("every port of this process is taken")


@contextmanager
def deaf_port() -> Iterator[int]:
    """One that takes no connection, and that nobody else can listen at meanwhile: it is bound, and not listened at."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield held.getsockname()[1]


@cache
def _own() -> Iterator[int]:
    """This process's ports, over and over. The kernel drops the lock on them when it ends, however it ends."""
    for number in range(_BLOCKS):
        path = Path(tempfile.gettempdir()) / f"makegood-tests-{os.getuid()}-{number}.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return cycle(range(_FROM + _SIZE * number, _FROM + _SIZE * (number + 1)))
    raise OSError(f"{_BLOCKS} processes have all ports that the tests may use")
