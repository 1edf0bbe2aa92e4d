"""The interface's document is what the code reads: generated, committed, with examples that the code itself takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner

from integrations import platform_http_contract as document
from integrations.platform_http_errors import CODES
from integrations.platform_http_wire import ChangedOrders, OrderHint, PlatformOrder, ReplacedPass
from service.api.contract import render
from service.cli.openapi import command
from service.feed_rules import check_order, check_show

_ROOT: Final = Path(__file__).parents[3]
_COMMITTED: Final = _ROOT / "openapi" / "platform.json"
_PAGE: Final = (_ROOT / "docs" / "platform.md").read_text(encoding="utf-8")


def test_the_committed_document_is_what_the_code_says() -> None:
    assert render(document.contract()) == _COMMITTED.read_bytes(), (
        "`makegood openapi --platform --out openapi/platform.json` writes it anew"
    )
    assert CliRunner().invoke(command, ["--platform", "--check", str(_COMMITTED)]).exit_code == 0


def test_a_document_that_differs_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "platform.json"
    other.write_bytes(_COMMITTED.read_bytes().replace(b"orders", b"sales"))
    assert CliRunner().invoke(command, ["--platform", "--check", str(other)]).exit_code == 1


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        (PlatformOrder, document.PLATFORM_ORDER),
        (ChangedOrders, document.CHANGED),
        (ReplacedPass, document.REPLACED),
        (OrderHint, document.HINT),
    ],
)
def test_its_examples_are_taken(kind: type[Any], example: Any) -> None:
    msgspec.json.decode(msgspec.json.encode(example), type=kind)


def test_its_order_makes_sense() -> None:
    found = msgspec.convert(document.PLATFORM_ORDER, PlatformOrder)
    check_order(found.order)
    for show in found.shows.values():
        check_show(show)


def test_every_reference_in_it_leads_somewhere() -> None:
    whole = document.contract()
    for ref in re.findall(rb'"#/components/(\w+)/(\w+)"', render(whole)):
        assert ref[1].decode() in whole["components"][ref[0].decode()]


def test_the_page_names_every_path_and_every_code_and_its_examples_are_the_documents() -> None:
    for path in document.contract()["paths"]:
        assert path in _PAGE
    for code in CODES:
        assert f"`{code}`" in _PAGE
    examples = [msgspec.json.decode(one) for one in re.findall(r"```json\n(.*?)```", _PAGE, re.DOTALL)]
    for example in (document.PLATFORM_ORDER, document.CHANGED, document.REPLACED, document.HINT):
        shown = {**example, "orders": ["…"]} if "orders" in example else example
        assert shown in examples
