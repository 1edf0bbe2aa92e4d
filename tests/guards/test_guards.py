"""Every guard can still be broken on purpose, and when it is, its tests notice: two of them here, all of them by `make guards`."""

from __future__ import annotations

import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from tests.guards.broken import ROOT, Edit, Guard, Rotten, copy_without, judge, patched
from tests.guards.catalogue import ALL, SAMPLE
from tests.postgres import template_name
from tests.promises.house import FULL


@pytest.mark.parametrize("guard", ALL, ids=lambda guard: guard.name)
def test_the_patch_of_each_guard_still_fits_and_its_tests_are_there(guard: Guard) -> None:
    assert patched(guard)
    for test in guard.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^(async )?def {name.partition('[')[0]}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test


def test_each_guard_has_a_name_of_its_own_and_the_sample_names_guards() -> None:
    names = [guard.name for guard in ALL]
    assert len(set(names)) == len(names)
    assert set(SAMPLE) <= set(names)


def test_a_patch_whose_words_are_gone_is_rotten() -> None:
    edit = ALL[0].edits[0]
    with pytest.raises(Rotten, match="found 0 times"):
        patched(Guard(name="x", why="y", edits=(Edit(edit.file, edit.old + "?", ""),), tests=()))


# A project that starts at once: what is asked here is what counts as noticed.
_PROMISE: Final = """
import hashlib

def may_leave(amount, limit):
    return amount <= limit

def test_no_more_leaves_than_may():
    assert may_leave(1, 1) and not may_leave(2, 1), hashlib.__name__
"""


@pytest.mark.parametrize(
    ("old", "new", "noticed"),
    [
        ("amount <= limit", "not amount > limit", False),
        ("amount <= limit", "amount <= nobody_knows_this", False),
        ("import hashlib", "import hashlib_is_gone", False),
        ("amount <= limit", "amount <= limit + 1", True),
    ],
    ids=["it changes nothing", "the code breaks where it runs", "the code does not load", "it changes what is promised"],
)
def test_only_a_broken_promise_is_noticed(old: str, new: str, noticed: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case of the table above
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "test_small.py").write_text(_PROMISE.replace(old, new))
    guard = Guard(name="x", why="y", edits=(), tests=("test_small.py::test_no_more_leaves_than_may",))
    assert judge(guard, tmp_path).noticed is noticed


# Each takes seconds to start: these few of the sample until some SQL changes, then others, and all of it with MAKEGOOD_FULL=1.
_TODAY: Final = len(SAMPLE) if FULL else 2


def _drawn() -> list[Guard]:
    """The same for the same tables and functions, so that red means changed."""
    return sorted((one for one in ALL if one.name in SAMPLE), key=lambda one: sha256(f"{template_name()} {one.name}".encode()).digest())[
        :_TODAY
    ]


@pytest.mark.parametrize("guard", _drawn(), ids=lambda guard: guard.name)
def test_without_it_its_tests_go_red(guard: Guard, postgres_dsn: str, tmp_path: Path) -> None:
    """On the server of this run, `postgres_dsn`; that the same tests are green with the guard is seen by running them beside."""
    assert postgres_dsn
    verdict = judge(guard, copy_without(guard, tmp_path / "copy"))
    assert verdict.noticed, f"nobody notices: {verdict.missed}\n{verdict.said}"
