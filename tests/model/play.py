"""One of the processes of a long run: a database of its own, and batch after batch."""

from __future__ import annotations

import atexit
import traceback
from contextlib import ExitStack

import msgspec

from tests.model import run
from tests.model.machine import Model


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one batch came to."""

    number: int
    played: run.Played = run.Played()
    found: str = ""
    happened: dict[str, int] = {}


def prepare(dsn: str) -> None:
    """Once in each process; its database goes when it ends."""
    stack = ExitStack()
    stack.enter_context(run.model(dsn))
    atexit.register(stack.close)


def play(seed: int, number: int, *, shrinks: bool) -> Said:
    Model.happened.clear()
    try:
        played = run.batch(seed, shrinks=shrinks)
    except Exception as found:  # noqa: BLE001 - whatever it is, it is told, and the next batch is played
        return Said(number=number, found="".join([*traceback.format_exception(found), *getattr(found, "__notes__", ())]))
    return Said(number=number, played=played, happened=dict(Model.happened))
