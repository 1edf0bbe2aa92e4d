"""What the widget says, in the language of a test: from its own message files, with anything where a value stands."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

_FOLDER: Final = Path(__file__).parents[2] / "service" / "ui" / "widget" / "messages"


@cache
def _messages(language: str) -> dict[str, str]:
    parts: dict[str, dict[str, str]] = msgspec.json.decode((_FOLDER / f"{language}.json").read_bytes())
    return {key: text for part in parts.values() for key, text in part.items()}


def says(language: str, key: str) -> re.Pattern[str]:
    """Raises KeyError for a text that is not there."""
    parts = re.split(r"(\{\w+\})", _messages(language)[key])
    return re.compile("".join(".+" if part.startswith("{") else re.escape(part) for part in parts))
