"""The console's pages and what they load, as Vite has built them: nothing inline, nothing from elsewhere, in no frame but the demo's."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.api.auth import open_to_anyone

BUILT: Final = Path(__file__).parents[1] / "ui" / "dist"

Framing = Literal["none", "self"]
"""whose pages may show the console in a frame: nobody's, or (the demo alone) those of the same origin"""

# `blob:` is a picture that an agent is about to send. Styles are files of ours, or set through the object model, which this allows.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors '{framing}'"
)
# Their names change with what is in them.
_ASSETS_KEPT: Final = "public, max-age=31536000, immutable"
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", re.ASCII)
_PACKED: Final = frozenset({".css", ".html", ".js", ".json", ".svg", ".webmanifest"})
# A build has a few dozen files; one that is built again beside us adds as many.
_KEPT_MAX: Final = 500
_NOT_BUILT: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Makegood</title></head>
<body><h1>The console has not been built here</h1>
<p>The service works without it. Run <code>make setup</code>, which builds it, and load this page again.</p></body></html>
"""


class File(msgspec.Struct, frozen=True, kw_only=True):
    body: bytes
    packed: bytes | None
    media_type: str


class ConsoleFiles:
    """The built files below a folder, packed once and kept until they change."""

    def __init__(self, folder: Path = BUILT, *, framing: Framing = "none") -> None:
        self._folder = folder
        self.page_headers = _page_headers(framing)
        self._kept: dict[tuple[str, int, int], File] = {}

    def find(self, name: str, *, below: str = "") -> File | None:
        """None: there is none of that name. Whatever the name, nothing outside the folder is read."""
        path = self._folder / below / name
        if not _NAME.fullmatch(name) or not path.is_file() or path.is_symlink():
            return None
        about = path.stat()
        key = (f"{below}/{name}", about.st_mtime_ns, about.st_size)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            kept = self._kept[key] = _read(path)
        return kept


class Console(Controller):
    """Not part of the contract: pages for people, which call it."""

    include_in_schema = False
    opt = open_to_anyone("a page, which shows nothing before somebody has signed in")

    @get(["/desk", "/desk/{path:path}"])
    async def console(self, request: Request[Any, Any, Any], console_files: NamedDependency[ConsoleFiles]) -> Response[bytes]:
        """The one page of the console, whichever of its addresses was asked for: it reads its address itself."""
        name = request.scope["path"].removeprefix("/desk").strip("/")
        beside = console_files.find(name) if Path(name).suffix in _TYPES else None
        return (
            _page(request, console_files, "index.html") if beside is None else answer_file(request, beside, {"Cache-Control": "no-cache"})
        )

    @get("/desk/assets/{name:str}")
    async def console_asset(
        self, name: FromPath[str], request: Request[Any, Any, Any], console_files: NamedDependency[ConsoleFiles]
    ) -> Response[bytes]:
        file = console_files.find(name, below="assets") if Path(name).suffix in _TYPES else None
        if file is None:
            return Response(b"There is no such file.\n", status_code=404, media_type="text/plain")
        return answer_file(request, file, {"Cache-Control": _ASSETS_KEPT, "Vary": "Accept-Encoding"})

    @get("/feedback")
    async def feedback_page(self, request: Request[Any, Any, Any], console_files: NamedDependency[ConsoleFiles]) -> Response[bytes]:
        """Where a letter's link leads: how it was, in one tap."""
        return _page(request, console_files, "feedback.html")


def _page_headers(framing: Framing) -> Mapping[str, str]:
    return {
        "Content-Security-Policy": _POLICY.format(framing=framing),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        # Asked again on each visit: after an upgrade it names other files.
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
    }


def _page(request: Request[Any, Any, Any], files: ConsoleFiles, name: str) -> Response[bytes]:
    file = files.find(name)
    if file is None:
        return Response(_NOT_BUILT, status_code=404, media_type="text/html", headers=files.page_headers)
    return answer_file(request, file, files.page_headers)


def answer_file(request: Request[Any, Any, Any], file: File, headers: Mapping[str, str]) -> Response[bytes]:
    """Packed, where the browser takes that."""
    wanted = {part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").lower().split(",")}
    if file.packed is not None and "gzip" in wanted:
        return Response(file.packed, media_type=file.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(file.body, media_type=file.media_type, headers=headers)


def _read(path: Path) -> File:
    body = path.read_bytes()
    packed = gzip.compress(body, 9, mtime=0) if path.suffix in _PACKED else None
    return File(body=body, packed=packed, media_type=_TYPES.get(path.suffix, "text/html"))
