"""One import of pretix from end to end: ask what is not answered, check everything, then write, and remember how far it came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.progress import Progress

from integrations.orders_pretix import NotTranslatable, Translator, questions
from integrations.orders_pretix_files import Export, FolderError, read_folder
from integrations.orders_pretix_http import Cursor, PretixReader
from integrations.orders_pretix_mapping import EventMapping, EventQuestions, PretixMapping, Unanswered, load, render
from integrations.orders_pretix_wire import PretixOrder
from service.feed import OrderFeed
from service.feed_rules import FeedInvalid, check_order, check_show
from service.imports import Importer

# More lines than this are one mistake made many times.
_LINES_MAX: Final = 50


class Refused(Exception):  # noqa: N818 - says what happened to the import
    """Some orders cannot be understood: nothing of this folder or page was written. Names orders and fields, never people."""

    def __init__(self, lines: Sequence[str]) -> None:
        more = [f"… and {len(lines) - _LINES_MAX} more"] if len(lines) > _LINES_MAX else []
        super().__init__("\n".join([*lines[:_LINES_MAX], *more]))
        self.lines = tuple(lines)


class MappingFile:
    """The answers of a person, on disk. What is new is added with a `?`; what was answered stays."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def answers(self, asked: Sequence[EventQuestions]) -> Sequence[EventMapping]:
        """The answers for each event. Raises Unanswered, after writing the open questions down; MappingError when the file is broken."""
        mapping = load(self._path.read_text(encoding="utf-8")) if self._path.exists() else PretixMapping()
        missing = [line for one in asked for line in mapping.missing(one)]
        if missing:
            _replace(self._path, render(mapping, asked).encode())
            raise Unanswered(list(dict.fromkeys(missing)))
        return [mapping.for_event(one) for one in asked]


class CursorFile:
    """How far a live import came, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Cursor:
        """Raises FolderError; without the file, everything is read again."""
        if not self._path.exists():
            return Cursor()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Cursor)
        except msgspec.DecodeError as error:
            raise FolderError(f"{self._path}: {error}") from None

    def keep(self, cursor: Cursor) -> None:
        _replace(self._path, msgspec.json.encode(cursor))


class PretixImport:
    def __init__(self, importer: Importer, mapping: MappingFile, progress: Progress) -> None:
        self._importer = importer
        self._mapping = mapping
        self._progress = progress

    async def folders(self, folders: Sequence[Path]) -> None:
        """All folders, or none: everything is understood before anything is written.

        Raises FolderError, Unanswered, MappingError, Refused, and what Importer raises.
        """
        exports = [read_folder(folder) for folder in folders]
        answers = self._mapping.answers([questions(export.event, export.items, export.orders) for export in exports])
        prepared = [(export, Translator(export.event, export.items, answer)) for export, answer in zip(exports, answers, strict=True)]
        understood = [_understood(translator, export.orders) for export, translator in prepared]
        for (export, translator), orders in zip(prepared, understood, strict=True):
            await self._show(translator, export)
            task = self._progress.add_task(export.event.slug, total=len(orders))
            for ref, order in orders:
                await self._importer.order(ref, order, origin=export.event.slug)
                self._progress.advance(task)

    async def live(self, reader: PretixReader, cursor: CursorFile) -> None:
        """One event of a running pretix, from where the last import stopped. A page is understood before any of it is written.

        Raises Declined, Unavailable, Unanswered, MappingError, Refused, and what Importer raises.
        """
        event, items = await reader.event(), await reader.items()
        (answer,) = self._mapping.answers([questions(event, items, ())])
        await self._show(Translator(event, items, answer), Export(event=event, items=items, orders=()))
        task = self._progress.add_task(event.slug, total=None)
        async for page in reader.orders(cursor.read()):
            (answer,) = self._mapping.answers([questions(event, items, page.orders)])
            for ref, order in _understood(Translator(event, items, answer), page.orders):
                await self._importer.order(ref, order, origin=event.slug)
            cursor.keep(page.after)
            self._progress.update(task, total=page.total, advance=len(page.orders))

    async def _show(self, translator: Translator, export: Export) -> None:
        show = translator.show()
        check_show(show)
        await self._importer.show(export.event.slug, show)


def _understood(translator: Translator, orders: Iterable[PretixOrder]) -> Sequence[tuple[str, OrderFeed]]:
    """Orders of a shop in test mode are nobody's money, and are left out. Raises Refused."""
    found: list[tuple[str, OrderFeed]] = []
    lines: list[str] = []
    for order in orders:
        if order.testmode:
            continue
        try:
            made = translator.order(order)
            check_order(made)
        except NotTranslatable as error:
            lines.append(str(error))
        except FeedInvalid as error:
            lines.append(f"order {order.code}: {error}")
        else:
            found.append((order.code, made))
    if lines:
        raise Refused(lines)
    return found


def _replace(path: Path, content: bytes) -> None:
    """The old file or the new one, never half of one."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)
