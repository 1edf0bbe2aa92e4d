"""Reads every SQL statement of the store: none may touch a platform's rows without naming the platform."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
STORE: Final = ROOT / "service" / "store"

# Work that is the installation's own (claiming what is due, forgetting what is old) says so in a comment in the statement, with the reason.
EVERY_PLATFORM: Final = re.compile(r"--\s*every platform: \w+")
_VERB: Final = re.compile(r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")
_TABLE: Final = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|USING)\s+(?:ONLY\s+)?([a-z_]+)\b(?!\s*\()")


def platform_tables() -> set[str]:
    """Tables of the migrations that have a platform_id; those of the installation itself have none."""
    text = "\n".join(path.read_text() for path in sorted((STORE / "migrations").glob("*.sql")))
    tables = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+) \((.*?)\);", text, re.DOTALL)
    return {name for name, body in tables if re.search(r"\bplatform_id\b", body)}


def statements(source: str) -> Iterator[tuple[int, str]]:
    """String literals with SQL in them, f-strings included; docstrings are prose."""
    tree = ast.parse(source)
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in prose or id(node) in inside:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        else:
            continue
        if _VERB.search(text):
            yield node.lineno, text


def careless(text: str, tables: set[str]) -> list[str]:
    """The platforms' tables of a statement when it names platform_id less often than it names them."""
    used = [name for name in _TABLE.findall(text) if name in tables]
    if EVERY_PLATFORM.search(text) or len(re.findall(r"platform_id", text)) >= len(used):
        return []
    return used


def test_every_statement_names_its_platform() -> None:
    tables = platform_tables()
    assert {"orders", "cases", "operation"} <= tables
    found = [
        f"{path.name}:{line} {careless(text, tables)}"
        for path in sorted(STORE.rglob("*.py"))
        for line, text in statements(path.read_text())
        if careless(text, tables)
    ]
    assert found == []


def test_every_function_of_the_database_names_its_platform() -> None:
    tables = platform_tables()
    functions = [
        (f"{path.name} {name}", body)
        for path in sorted((STORE / "functions").glob("*.sql"))
        for name, _, body in re.findall(r"CREATE (?:OR REPLACE )?FUNCTION ([a-z_]+).*?(\$\w*\$)(.*?)\2", path.read_text(), re.DOTALL)
    ]
    assert functions
    found = [
        f"{name}: {statement.strip().splitlines()[0]} {careless(statement, tables)}"
        for name, body in functions
        for statement in body.split(";")
        if careless(statement, tables)
    ]
    assert found == []


def test_a_careless_statement_is_noticed() -> None:
    assert careless("SELECT * FROM orders WHERE id = $1", {"orders"}) == ["orders"]
    assert careless("SELECT * FROM orders JOIN line USING (id) WHERE orders.platform_id = $1", {"orders", "line"}) == ["orders", "line"]
    assert careless("SELECT * FROM orders WHERE platform_id = $1", {"orders"}) == []
    assert careless("-- every platform: the sweep\nDELETE FROM orders", {"orders"}) == []
