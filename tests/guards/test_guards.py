"""Every guard can still be broken on purpose, and when it is, its tests notice: a sample here, all of them by `make guards`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.guards.broken import ROOT, Edit, Guard, Rotten, copy_without, judge, patched
from tests.guards.catalogue import ALL, SAMPLE


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


_PACK: Final = "policies/rails.py"
_PACK_TEST: Final = "tests/policies/test_rails_pack.py::test_store_credit_is_never_the_only_choice"


@pytest.mark.parametrize(
    ("edit", "noticed"),
    [
        (Edit(_PACK, "return reason in self.reasons and", "return True and reason in self.reasons and"), False),
        (Edit(_PACK, "return reason in self.reasons and", "return nobody_knows_this in self.reasons and"), False),
        (Edit(_PACK, "import hashlib", "import hashlib_is_gone"), False),
        (Edit(_PACK, "return reason in self.reasons and", "return reason not in self.reasons and"), True),
    ],
    ids=["it changes nothing", "the code breaks where it runs", "the code does not load", "it changes what is promised"],
)
def test_only_a_broken_promise_is_noticed(edit: Edit, noticed: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case of the table above
    guard = Guard(name="x", why="y", edits=(edit,), tests=(_PACK_TEST,))
    assert judge(guard, copy_without(guard, tmp_path / "copy")).noticed is noticed


@pytest.mark.parametrize("guard", [one for one in ALL if one.name in SAMPLE], ids=lambda guard: guard.name)
def test_without_it_its_tests_go_red(guard: Guard, postgres_dsn: str, tmp_path: Path) -> None:
    """On the server of this run, `postgres_dsn`; that the same tests are green with the guard is seen by running them beside."""
    assert postgres_dsn
    verdict = judge(guard, copy_without(guard, tmp_path / "copy"))
    assert verdict.noticed, f"nobody notices: {verdict.missed}\n{verdict.said}"
