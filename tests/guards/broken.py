"""Takes a guard out of a copy of this project, and says which of its tests notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import msgspec

ROOT: Final = Path(__file__).parents[2]
# What tests need of the project, without the thousands of files of Node's packages; hard links where the file system allows, so that a
# copy costs milliseconds.
_COPIED: Final = ("service", "policies", "integrations", "openapi", "tests")
# The plugins that these tests need: without the others a run starts in half the time.
_PLUGINS: Final = ("pytest_asyncio.plugin", "xdist")
# A loaded machine is slow; a guard's tests take seconds.
_SECONDS_MAX: Final = 300
# A patch that breaks more than the guard proves nothing: these say that the code does not run at all.
_BEYOND_A_GUARD: Final = re.compile(
    r"\b(PostgresSyntaxError|Undefined\w+Error|Ambiguous\w+Error|DatatypeMismatchError|SyntaxError|NameError|ImportError|ModuleNotFoundError"
    r"|UnboundLocalError|AttributeError)\b"
)


class Rotten(Exception):  # noqa: N818 - says what became of the patch
    """The words that a patch replaces are not where it expects them, once: the guard has moved, and the patch has to follow."""


class Edit(msgspec.Struct, frozen=True):
    """These words, found exactly once in this file, become others."""

    file: str
    old: str
    new: str


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    why: str
    """what would happen to whose money without it"""
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    """pytest's node ids; each has to go red"""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    missed: tuple[str, ...]
    """tests that stayed green or did not run"""
    said: str

    @property
    def noticed(self) -> bool:
        return not self.missed


def patched(guard: Guard, root: Path = ROOT) -> dict[str, str]:
    """The guard's files without it. Raises Rotten."""
    texts: dict[str, str] = {}
    for edit in guard.edits:
        text = texts.get(edit.file) or (root / edit.file).read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise Rotten(f"{guard.name}: found {text.count(edit.old)} times in {edit.file}: {edit.old!r}")
        texts[edit.file] = text.replace(edit.old, edit.new)
    return texts


def copy_without(guard: Guard, folder: Path) -> Path:
    """A copy of the project that lacks the guard."""
    texts = patched(guard)
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, copy_function=_link, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy2(ROOT / "pyproject.toml", folder)
    for name, text in texts.items():
        (folder / name).unlink()  # a link: the file itself stays as it is
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def judge(guard: Guard, folder: Path) -> Verdict:
    """Runs the guard's tests in that copy: each has to fail where it asserts, and not because the code is broken altogether."""
    report = folder / "report.xml"
    done = run_tests(guard.tests, folder, report)
    said = f"exit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-1000:]}"
    if done.returncode != 1 or not report.exists():
        return Verdict(missed=guard.tests, said=said)
    cases = ET.parse(report).iter("testcase")  # noqa: S314 - our own run has written it
    failed = [_node(case) for case in cases if any(_is_notice(one) for one in case.findall("failure"))]
    missed = tuple(test for test in guard.tests if not any(_belongs(one, test) for one in failed))
    return Verdict(missed=missed, said=said)


def run_tests(tests: Sequence[str], folder: Path, report: Path) -> subprocess.CompletedProcess[str]:
    """Of the copy in that folder, on the PostgreSQL server of this run."""
    plugins = [word for plugin in _PLUGINS for word in ("-p", plugin)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "-p", "no:cacheprovider", f"--junitxml={report}", "--tb=short", *tests],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )


def _is_notice(failure: ET.Element) -> bool:
    return _BEYOND_A_GUARD.search(failure.get("message", "")) is None


def _node(case: ET.Element) -> str:
    return f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}"


def _belongs(node: str, test: str) -> bool:
    """Whether it is that test, or a case of it."""
    return node == test or node.startswith(f"{test}[")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
