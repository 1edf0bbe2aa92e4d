"""The typed parts of both clients are what the generators make of the contract as it is now."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

_CLIENTS: Final = Path(__file__).parents[2] / "clients"


@pytest.fixture(scope="module")
def generator() -> Mapping[str, Any]:
    return runpy.run_path(str(_CLIENTS / "generate.py"))


def test_the_clients_are_what_the_contract_says(generator: Mapping[str, Any]) -> None:
    generated: Callable[[], Mapping[Path, str]] = generator["generated"]
    for place, text in generated().items():
        assert (_CLIENTS / place).read_text(encoding="utf-8") == text, f"{place} is stale: run `make clients`"


def test_names_of_fields_survive_where_they_are_words_of_the_contract_format(generator: Mapping[str, Any]) -> None:
    schema = {"components": {"schemas": {"A": {"title": "A", "properties": {"title": {"type": "string", "default": ""}}}}}, "paths": {}}
    slimmed = generator["slim"](schema)
    assert slimmed["components"]["schemas"]["A"] == {"properties": {"title": {"type": "string"}}}
