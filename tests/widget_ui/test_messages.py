"""What the widget says: complete in six languages, in the platform's own words, and all of it within 15 kB at the first view."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Final

import pytest

from tests.widget_ui.stub import BUILT, manifest

WIDGET: Final = Path(__file__).parents[2] / "service" / "ui" / "widget"
LANGUAGES: Final = ("ar", "de", "en", "es", "fr", "ja")
FIRST_VIEW_BYTES_MAX: Final = 15_000
_PLACE: Final = re.compile(r"\{(\w+)\}")
# Words of ours that no customer knows (UI.md).
_OURS: Final = re.compile(r"\b(pass(es)?|reissue\w*|handoffs?|cases?|receipts?|rails?|refunded|oops|unfortunately)\b|!", re.IGNORECASE)
# Written the same in both languages, on purpose.
_SAME: Final = {"de": {"g_ticket"}, "fr": {"g_ticket", "message"}, "es": {"g_ticket", "no"}, "ja": {"g_ticket"}, "ar": {"g_ticket"}}
# Where a language says "my ticket" in one word, the platform's word cannot stand alone.
_IN_ONE_WORD: Final = {("ar", "p_pass_leaked")}
# Made of two parts where they are used; and texts for what a newer service may say.
_MADE: Final = re.compile(r"^(l|p|g|b|o|st)_")


def texts(language: str) -> dict[str, str]:
    parts: dict[str, dict[str, str]] = json.loads((WIDGET / "messages" / f"{language}.json").read_text())
    assert list(parts) == ["first", "rest"]
    assert not parts["first"].keys() & parts["rest"].keys()
    return parts["first"] | parts["rest"]


def test_there_are_six_languages() -> None:
    assert tuple(sorted(one.stem for one in (WIDGET / "messages").iterdir())) == LANGUAGES


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_each_language_says_everything_and_with_the_same_values(language: str) -> None:
    english, said = texts("en"), texts(language)
    assert said.keys() == english.keys()
    assert [key for key, text in said.items() if not text.strip() or text != text.strip()] == []
    assert {key for key, text in said.items() if text == english[key]} <= _SAME[language]
    other = {key for key, text in said.items() if sorted(_PLACE.findall(text)) != sorted(_PLACE.findall(english[key]))}
    assert other == {key for lang, key in _IN_ONE_WORD if lang == language}


def test_customers_read_none_of_our_own_words() -> None:
    assert {key: text for key, text in texts("en").items() if _OURS.search(text)} == {}


def test_nothing_is_written_that_nobody_reads() -> None:
    sources = "".join(one.read_text() for one in WIDGET.rglob("*.ts*"))
    unread = [key for key in texts("en") if not _MADE.match(key) and f'"{key}"' not in sources]
    assert unread == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_view_is_at_most_15_kb(language: str) -> None:
    built = manifest()
    sizes = {name: len(gzip.compress((BUILT / name).read_bytes(), 9)) for name in (built["file"], built["languages"][language])}
    assert sum(sizes.values()) <= FIRST_VIEW_BYTES_MAX, sizes


def test_the_script_writes_no_markup_and_makes_no_code() -> None:
    for name in manifest()["files"]:
        # `.innerHTML` stands once in Preact itself, for a property that nothing of ours sets.
        found = re.findall(r"\beval\(|new Function|document\.write|outerHTML|insertAdjacentHTML", (BUILT / name).read_text())
        assert found == [], name
    ours = "".join(one.read_text() for one in WIDGET.rglob("*.ts*"))
    assert re.findall(r"innerHTML|\bstyle=", ours) == []
