"""Which files may be attached: by what they are, not by what they say they are; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

# A phone's screenshot is 1 to 3 MB, a receipt as PDF less.
BYTES_MAX: Final = 5 * 1024 * 1024
# What one message carries; more is a folder, and nobody reads it.
OF_MESSAGE_MAX: Final = 5
# Longer names are cut: file systems take 255 bytes, and each character may be four of them.
_NAME_LENGTH_MAX: Final = 60

# Media type -> the endings that its files have. None of them runs anything, and SVG and HTML are not among them.
TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/webp": (".webp",),
    "application/pdf": (".pdf",),
    "text/plain": (".txt", ".log"),
}

# What file systems and headers trip over; a name is a name, and never a path.
_UNFIT: Final = re.compile(r"[\\/:*?\"<>|\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Control characters that text has: tab, line feed, form feed, carriage return.
_TEXT_CONTROLS: Final = frozenset("\t\n\f\r")


class NotThatType(Exception):  # noqa: N818 - says what is wrong
    """The content is not of the type that it came with. `type`: the one that it came with."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.type = kind


def checked(name: str, kind: str, content: bytes) -> str:
    """The name under which it may be kept: no path, and with an ending of its type. Raises NotThatType."""
    if not _looks_like(kind, content):
        raise NotThatType(kind)
    return _fit(name, TYPES[kind])


def _looks_like(kind: str, content: bytes) -> bool:
    """By the first bytes of each format: PNG (ISO/IEC 15948), JPEG (ISO/IEC 10918), WebP (RFC 9649), PDF (ISO 32000); text is UTF-8."""
    if kind == "image/png":
        return content.startswith(b"\x89PNG\r\n\x1a\n")
    if kind == "image/jpeg":
        return content.startswith(b"\xff\xd8\xff")
    if kind == "image/webp":
        return content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    if kind == "application/pdf":
        return content.startswith(b"%PDF-")
    return kind == "text/plain" and _is_text(content)


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return bool(text) and not any(unicodedata.category(one) == "Cc" and one not in _TEXT_CONTROLS for one in set(text))


def _fit(name: str, endings: tuple[str, ...]) -> str:
    shown = "".join(one for one in _UNFIT.sub(" ", name) if unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    words = " ".join(shown.split()).strip(". ")
    stem, dot, ending = words.rpartition(".")
    if dot and f".{ending.lower()}" in endings:
        return f"{stem.strip('. ')[:_NAME_LENGTH_MAX] or 'file'}.{ending.lower()}"
    return f"{words[:_NAME_LENGTH_MAX].strip('. ') or 'file'}{endings[0]}"
