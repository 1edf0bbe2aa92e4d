"""The help widget's files: the script under one short-lived name, everything under names that never change, for pages of any origin."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.api.auth import open_to_anyone
from service.api.console import File, answer_file
from service.store.widget_files import WidgetFileStore
from service.widget_build import BUILT, NAME, Build, BuildError, read_build

SCRIPT: Final = "v1.js"

# They hold nothing of anybody's, and pages of any origin load them, also those that isolate themselves (HTML, section 7.1.4).
_SHARED: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Accept-Encoding",
}
# An upgrade reaches every page within five minutes, and a crowd that opens a show's page loads it once each.
_SCRIPT_KEPT: Final = "public, max-age=300"
_HASHED_KEPT: Final = "public, max-age=31536000, immutable"
_TYPES: Final[Mapping[str, str]] = {".js": "text/javascript", ".json": "application/json", ".css": "text/css"}

# Files of earlier releases in memory. After an hour one is read again, so that the table knows that it is in use.
_OLD_KEPT_MAX: Final = 60
_OLD_KEPT_SECONDS: Final = 3600.0

log: Final = structlog.get_logger(__name__)


class WidgetFiles:
    """Files of this release come from the folder, those of earlier ones from the table. `monotonic` counts how long in memory."""

    def __init__(self, store: WidgetFileStore, *, folder: Path = BUILT, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._folder = folder
        self._monotonic = monotonic
        self._read: tuple[int, Build | None] = (-1, None)
        self._packed: dict[str, File] = {}
        self._old: dict[str, tuple[float, File]] = {}

    def build(self) -> Build | None:
        """As it is now; the one before while another is being written. None: nothing was built here."""
        path = self._folder / "manifest.json"
        written = path.stat().st_mtime_ns if path.is_file() else 0
        if written != self._read[0]:
            try:
                self._read = (written, read_build(self._folder))
            except (BuildError, OSError) as error:
                log.warning("widget_build_unreadable", error=str(error))
                self._read = (written, self._read[1])
            build = self._read[1]
            self._packed = {name: _packed(name, body) for name, body in build.files.items()} if build is not None else {}
        return self._read[1]

    async def keep(self) -> None:
        """For whoever starts: from now on these files are served, whichever release comes next."""
        build = self.build()
        if build is not None:
            await self._store.keep(build.files)

    def script(self) -> tuple[Build, File] | None:
        build = self.build()
        return None if build is None else (build, self._packed[build.script])

    async def find(self, name: str) -> File | None:
        if not NAME.fullmatch(name):
            return None
        self.build()
        return self._packed.get(name) or await self._earlier(name)

    async def _earlier(self, name: str) -> File | None:
        kept = self._old.get(name)
        if kept is not None and self._monotonic() - kept[0] < _OLD_KEPT_SECONDS:
            return kept[1]
        body = await self._store.find(name)
        if body is None:
            return None
        if len(self._old) >= _OLD_KEPT_MAX:
            self._old.clear()
        self._old[name] = (self._monotonic(), _packed(name, body))
        return self._old[name][1]


class WidgetRoutes(Controller):
    """Not part of the contract: what browsers load."""

    include_in_schema = False
    opt = open_to_anyone("files that are the same for everybody")

    @get("/widget/{name:str}")
    async def widget_file(
        self, name: FromPath[str], request: Request[Any, Any, Any], widget_files: NamedDependency[WidgetFiles]
    ) -> Response[bytes]:
        if name == SCRIPT:
            return _script(request, widget_files.script())
        file = await widget_files.find(name)
        return _nothing() if file is None else answer_file(request, file, {**_SHARED, "Cache-Control": _HASHED_KEPT})


def _script(request: Request[Any, Any, Any], found: tuple[Build, File] | None) -> Response[bytes]:
    if found is None:
        return _nothing()
    tag = f'"{found[0].script}"'
    headers = {**_SHARED, "Cache-Control": _SCRIPT_KEPT, "ETag": tag}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Response(b"", status_code=304, media_type="text/javascript", headers=headers)
    return answer_file(request, found[1], headers)


def _nothing() -> Response[bytes]:
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    return Response(b"There is no such file.\n", status_code=404, media_type="text/plain", headers=headers)


def _packed(name: str, body: bytes) -> File:
    return File(body=body, packed=gzip.compress(body, 9, mtime=0), media_type=_TYPES[Path(name).suffix])
