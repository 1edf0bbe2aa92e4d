"""What a browser loads before it shows the console: small enough for a phone in a dark venue."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Final

import pytest

BUILT: Final = Path(__file__).parents[2] / "service" / "ui" / "dist"
FIRST_VIEW_BYTES_MAX: Final = 150_000
_LOADED: Final = re.compile(r'<(?:script|link)\b[^>]*?\b(?:src|href)="/desk/([^"]+)"', re.DOTALL)
_IMPORTED: Final = re.compile(r'(?:\bfrom|\bimport)\s*"\./([^"]+\.js)"')


def loaded(page: str) -> dict[str, int]:
    """Bytes of everything that the page names and of what that imports in turn, each as it goes over the wire (gzip -9)."""
    found: dict[str, int] = {}
    waiting = [page]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        body = (BUILT / name).read_bytes()
        found[name] = len(gzip.compress(body, 9))
        if name.endswith(".html"):
            waiting += _LOADED.findall(body.decode())
        elif name.endswith(".js"):
            waiting += [str(Path(name).parent / one) for one in _IMPORTED.findall(body.decode())]
    return found


@pytest.mark.parametrize("page", ["index.html", "feedback.html"])
def test_the_first_view_is_at_most_150_kb(page: str) -> None:
    assert (BUILT / page).exists(), "the console has not been built: make setup"
    sizes = loaded(page)
    assert {Path(name).suffix for name in sizes} >= {".html", ".js", ".css"}
    assert sum(sizes.values()) <= FIRST_VIEW_BYTES_MAX, sizes


@pytest.mark.parametrize("page", ["index.html", "feedback.html"])
def test_a_page_has_nothing_inline_and_asks_nobody_else(page: str) -> None:
    text = (BUILT / page).read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []
    assert re.findall(r'(?:src|href)="(?!/desk/)[^"]*"', text) == []
