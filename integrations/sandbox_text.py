"""A texter that keeps its texts instead of sending them: for the demo, for tests, and for trying codes by text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from service.ports import Declined, OutcomeUnknown, Text, Unavailable

# Enough to look back on an evening of trying things.
_KEPT_MAX: Final = 1000
# A script longer than this is a mistake in a test.
_SCRIPTED_MAX: Final = 1000
# As many as a person who tries things looks through.
_FILES_MAX: Final = 200
# ITU-T E.164, section 6.2: a country code and at most 15 digits in all.
_E164: Final = re.compile(r"\+[1-9][0-9]{7,14}", re.ASCII)


class TextFolder:
    """Where somebody who tries Makegood reads the texts: one file each, the newest two hundred."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, text: Text) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{text.message_key.hex}.txt"
        (self._folder / name).write_text(f"To: {text.to}\n\n{text.body}\n", encoding="utf-8")
        for old in sorted(self._folder.glob("*.txt"))[:-_FILES_MAX]:
            old.unlink(missing_ok=True)


class SandboxTexter:
    """`Texter` in memory: the newest thousand texts, and an optional listener that sees each as it arrives.

    `fail_next` scripts failures, one a sending: after Declined and Unavailable nothing was kept; an OutcomeUnknown is kept, since
    the cruel case is the text that did arrive.
    """

    def __init__(self, *, on_text: Callable[[Text], None] | None = None) -> None:
        self._on_text = on_text
        self._kept: deque[Text] = deque(maxlen=_KEPT_MAX)
        self._failures: deque[Declined | Unavailable | OutcomeUnknown] = deque()

    def fail_next(self, *failures: Declined | Unavailable | OutcomeUnknown) -> None:
        if len(self._failures) + len(failures) > _SCRIPTED_MAX:
            raise ValueError(f"at most {_SCRIPTED_MAX} failures can be scripted")
        self._failures.extend(failures)

    async def send(self, text: Text) -> str:
        if _E164.fullmatch(text.to) is None:
            raise Declined("not_found")
        failure = self._failures.popleft() if self._failures else None
        if isinstance(failure, Declined | Unavailable):
            raise failure
        self._kept.append(text)
        if self._on_text is not None:
            self._on_text(text)
        if failure is not None:
            raise failure
        return f"sandbox {text.message_key.hex}"

    async def check(self) -> str:
        return f"sandbox: texts are kept, not sent ({len(self._kept)} kept)"

    @property
    def texts(self) -> tuple[Text, ...]:
        """What was sent, oldest first."""
        return tuple(self._kept)
