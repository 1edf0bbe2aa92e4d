"""Reads what pretix answered from a folder: event.json, items.json, orders.json, each as the API sent it, or the list of its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from integrations.orders_pretix_wire import PretixEvent, PretixItem, PretixOrder

# A hundred thousand orders; above this the running pretix should be asked, page by page.
_FILE_BYTES_MAX: Final = 512 * 1024 * 1024


class FolderError(Exception):
    """The folder does not hold an export; the message names the file and the place."""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    event: PretixEvent
    items: tuple[PretixItem, ...]
    orders: tuple[PretixOrder, ...]


class _Results(msgspec.Struct, frozen=True, kw_only=True):
    results: msgspec.Raw


def read_folder(folder: Path) -> Export:
    """Raises FolderError."""
    return Export(
        event=_read(folder / "event.json", PretixEvent),
        items=_read(folder / "items.json", tuple[PretixItem, ...]),
        orders=_read(folder / "orders.json", tuple[PretixOrder, ...]),
    )


def _read(path: Path, kind: Any) -> Any:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise FolderError(f"{path}: is larger than {_FILE_BYTES_MAX} bytes")
        text = path.read_bytes()
        if text.lstrip()[:1] == b"{" and kind is not PretixEvent:
            text = bytes(msgspec.json.decode(text, type=_Results).results)
        return msgspec.json.decode(text, type=kind)
    except OSError as error:
        raise FolderError(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FolderError(f"{path}: {error}") from None
