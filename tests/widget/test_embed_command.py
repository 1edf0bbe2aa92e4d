"""`makegood widget embed` prints the line that a page needs, and tells what is still in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.cli import main, widget
from service.store.pool import Pool
from service.widget_build import read_build
from tests.identity.world import SECRET, Shop
from tests.widget.built import build


async def embedding(database_url: str, *arguments: str, public_url: str = "https://help.example") -> Result:
    environment = {"MAKEGOOD_DATABASE_URL": database_url, "MAKEGOOD_SECRET": SECRET.decode(), "MAKEGOOD_PUBLIC_URL": public_url}
    return await asyncio.to_thread(CliRunner().invoke, main, ["widget", "embed", *arguments], env=environment)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    made = build(tmp_path, "one")
    monkeypatch.setattr(widget, "read_build", lambda: read_build(tmp_path))
    return made


async def test_the_line_stands_alone_on_standard_output(database_url: str, pool: Pool, names: dict[str, str]) -> None:
    assert names
    shop = await Shop.opens(pool, {"origins": ["https://shop.example"]})
    said = await embedding(database_url, "--platform", shop.slug)
    assert said.exit_code == 0, said.output
    assert said.stdout == f'<script src="https://help.example/widget/v1.js" data-platform="{shop.slug}" async></script>\n'
    assert said.stderr == ""


async def test_a_pinned_line_names_this_release_and_what_is_in_it(
    database_url: str, pool: Pool, names: dict[str, str], tmp_path: Path
) -> None:
    shop = await Shop.opens(pool, {"origins": ["https://shop.example"]})
    made = read_build(tmp_path)
    assert made is not None
    said = await embedding(database_url, "--platform", shop.slug, "--show", "nll26", "--pinned")
    assert said.stdout == (
        f'<script src="https://help.example/widget/{names["script"]}" data-platform="{shop.slug}" data-show="nll26" '
        f'integrity="{made.integrity}" crossorigin="anonymous" async></script>\n'
    )


async def test_it_tells_what_keeps_the_widget_from_working(database_url: str, pool: Pool, names: dict[str, str]) -> None:
    assert names
    shop = await Shop.opens(pool)
    said = await embedding(database_url, "--platform", shop.slug, public_url="")
    assert said.exit_code == 0
    assert "origins" in said.stderr
    assert "MAKEGOOD_PUBLIC_URL" in said.stderr
    nobody = await embedding(database_url, "--platform", "nobody")
    assert nobody.exit_code == 1
    assert nobody.stdout == ""


async def test_what_was_not_built_cannot_be_embedded(
    database_url: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widget, "read_build", lambda: read_build(tmp_path))
    shop = await Shop.opens(pool)
    said = await embedding(database_url, "--platform", shop.slug)
    assert said.exit_code == 1
    assert "make setup" in said.stderr
