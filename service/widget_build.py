"""The help widget as it was built: its script, the files of its languages, the help page, and how a host's page names them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

import msgspec

BUILT: Final = Path(__file__).parent / "ui" / "dist" / "widget"

# Each file's name holds the hash of what is in it, so that nothing under a name ever changes.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.[A-Za-z0-9_-]{8,64}\.(?:js|json|css)", re.ASCII)
_PAGE: Final = re.compile(r"[a-z]{1,20}\.html", re.ASCII)
# What the help page loads.
_LOADED: Final = re.compile(rf'"/widget/({NAME.pattern})"', re.ASCII)
# A first view is 15 kB; more than this is a mistake of the build. The table has the same limit.
FILE_BYTES_MAX: Final = 256 * 1024
# A script and a file for each of a few dozen languages.
_FILES_MAX: Final = 60


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the build says that it made."""

    file: str
    integrity: str
    languages: Mapping[str, str]
    page: str
    files: tuple[str, ...] = ()
    """all of them"""


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """`script`: the name of the one that pages load; `files`: its bytes, those of the languages and of the help page, by name.

    `page`: the help page, with `{{name}}` where the service has something to say.
    """

    script: str
    integrity: str
    page: str
    files: Mapping[str, bytes]


class BuildError(Exception):
    """The folder holds what no build of ours makes; the message says what."""


def read_build(folder: Path = BUILT) -> Build | None:
    """None: nothing was built here. Raises BuildError."""
    path = folder / "manifest.json"
    if not path.is_file():
        return None
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise BuildError(f"{path.name}: {error}") from error
    if not _PAGE.fullmatch(manifest.page):
        raise BuildError(f"{manifest.page}: is no page of the build")
    page = _read(folder, manifest.page).decode("utf-8", "replace")
    names = dict.fromkeys((manifest.file, *manifest.languages.values(), *manifest.files, *_LOADED.findall(page)))
    if len(names) > _FILES_MAX:
        raise BuildError(f"{path.name}: names more than {_FILES_MAX} files")
    if unfit := [name for name in names if not NAME.fullmatch(name)]:
        raise BuildError(f"{unfit[0]}: is not named by what is in it")
    files = {name: _read(folder, name) for name in names}
    if manifest.integrity != integrity_of(files[manifest.file]):
        raise BuildError(f"{manifest.file}: is not what its integrity says; build again")
    return Build(script=manifest.file, integrity=manifest.integrity, files=files, page=page)


def integrity_of(body: bytes) -> str:
    """As a page's `integrity` has it (Subresource Integrity, section 3.1)."""
    return f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode('ascii')}"


def embed_line(service: str, platform: str, *, show: str | None = None, pinned: Build | None = None) -> str:
    """The line that puts the widget into a page. `pinned`: exactly this build, whatever is released later."""
    address = f"{service.rstrip('/')}/widget/{pinned.script if pinned is not None else 'v1.js'}"
    attributes = {"src": address, "data-platform": platform}
    attributes |= {"data-show": show} if show is not None else {}
    # Without `crossorigin` a browser does not look at the bytes of another origin, and refuses them.
    # What the script loads later, it has the hash of.
    attributes |= {"integrity": pinned.integrity, "crossorigin": "anonymous"} if pinned is not None else {}
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<script {written} async></script>"


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise BuildError(f"{name}: is no file of the build")
    if not 0 < path.stat().st_size <= FILE_BYTES_MAX:
        raise BuildError(f"{name}: is empty or larger than {FILE_BYTES_MAX} bytes")
    return path.read_bytes()
