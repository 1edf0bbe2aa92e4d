"""CPU time that processes have used: on a shared machine it says more than the clock on the wall."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def seconds_of(pids: Iterable[int]) -> float:
    """User and system time of these processes so far; nothing for those that have ended, and on systems without /proc."""
    return sum(_seconds(pid) for pid in pids)


def family(parent: int) -> list[int]:
    """A process and its children: a PostgreSQL with its backends."""
    found = [parent]
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _fields(path)
        if len(fields) > 1 and int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found


def seconds_of_ended(parent: int) -> float:
    """The time of the children that a process has waited for."""
    fields = _fields(Path(f"/proc/{parent}/stat"))
    return (int(fields[13]) + int(fields[14])) / _TICKS if len(fields) > 14 else 0.0


def stolen_seconds() -> float:
    """What the machine's cores wanted to work and were not let, because of its neighbours; 0 on systems without /proc."""
    try:
        first = Path("/proc/stat").read_text().partition("\n")[0].split()
    except OSError:
        return 0.0
    return int(first[8]) / _TICKS if len(first) > 8 else 0.0


def _seconds(pid: int) -> float:
    fields = _fields(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / _TICKS if len(fields) > 12 else 0.0


def _fields(path: Path) -> list[str]:
    """What follows the name, which may hold blanks: state, parent, … (man 5 proc_pid_stat)."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
