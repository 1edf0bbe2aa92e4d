from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
OURS: Final = ("service", "policies", "integrations")

# Long enough for one subject told whole; what is longer has two.
MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70

# Written in two parts, so that this file does not find itself.
MACHINE_PATHS: Final = (*(f"/{place}/" for place in ("work", "root", "home", "Users")), "../" + "shared")
REGISTRIES: Final = ("pypi" + ".org", "python" + "hosted.org", "registry.npmjs" + ".org", "crates" + ".io")
LOCK_FILES: Final = ("uv.lock", "package-lock.json")


def in_git() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in in_git():
        data = path.read_bytes()
        if b"\0" not in data:
            yield str(path.relative_to(ROOT)), data.decode("utf-8", errors="replace")


def modules() -> Iterator[tuple[str, str]]:
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = [(name, word) for name, text in texts() for word in MACHINE_PATHS if re.search(rf"(?<![\w.}}-]){re.escape(word)}", text)]
    assert found == []


def test_package_registries_are_named_in_lock_files_only() -> None:
    found = [(name, host) for name, text in texts() if Path(name).name not in LOCK_FILES for host in REGISTRIES if host in text]
    assert found == []


def test_every_rule_that_is_switched_off_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    silent = [line for line in lines if re.match(r'\s+"[A-Z]+[0-9]*",', line) and not re.search(r"#\s*\w+", line)]
    assert silent == []
    assert tomllib.loads("\n".join(lines))["tool"]["mypy"]["strict"] is True


def unexplained(text: str) -> Iterator[int]:
    """Lines that switch a rule off without a reason; one reason serves for all of the same rule in a file."""
    word = "no" + "qa"
    explained: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        found = re.search(rf"# {word}(?:: ([A-Z0-9, ]+[0-9])( - \w+)?)?", line)
        if found is None:
            continue
        codes = set(re.findall(r"[A-Z]+[0-9]+", found[1] or ""))
        if found[2]:
            explained |= codes
        elif not codes or not codes <= explained:
            yield number


def test_every_exception_from_a_rule_names_the_rule_and_says_why() -> None:
    assert [f"{name}:{number}" for name, text in texts() if name.endswith(".py") for number in unexplained(text)] == []


def test_every_module_opens_with_what_it_is_for() -> None:
    assert [name for name, text in modules() if text.strip() and not ast.get_docstring(ast.parse(text))] == []


def test_no_module_is_longer_than_a_subject() -> None:
    assert [(name, lines) for name, text in modules() if (lines := len(text.splitlines())) > MODULE_LINES_MAX] == []


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{name}:{node.lineno} {node.name}"
        for name, text in modules()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


@pytest.mark.parametrize("package", OURS)
def test_structs_that_leave_their_module_are_frozen_and_take_their_fields_by_name(package: str) -> None:
    loose = [
        f"{name}:{node.lineno} {node.name}"
        for name, text in modules()
        if name.startswith(f"{package}/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(ast.unparse(base) in {"msgspec.Struct", "Struct"} for base in node.bases)
        and not {"frozen", "kw_only"} <= {keyword.arg for keyword in node.keywords}
    ]
    assert loose == []
