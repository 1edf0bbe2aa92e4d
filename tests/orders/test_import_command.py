"""`makegood import pretix` as an operator types it."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner, Result

from service.cli import main
from tests.orders import pretix_server
from tests.orders.loading import DATA, FOLDERS, MAPPING
from tests.orders.pretix_server import TOKEN


@pytest.fixture
def slug(database_url: str) -> str:
    """A platform of this test's own."""
    made = f"test-{uuid4().hex}"

    async def add() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute("DELETE FROM charge_owner")  # what earlier tests fed is nobody's: all feed the same shop
        await connection.execute("INSERT INTO platform (id, slug) VALUES ($1, $2)", uuid4(), made)
        await connection.close()

    asyncio.run(add())
    return made


def run(database_url: str, *arguments: str | Path, token: str = "") -> Result:
    env = {"MAKEGOOD_DATABASE_URL": database_url, "MAKEGOOD_SECRET": secrets.token_hex(32), "PRETIX_TOKEN": token}
    return CliRunner(env=env).invoke(main, ["import", "pretix", *map(str, arguments)])


def test_all_orders_from_folders_and_again(database_url: str, slug: str) -> None:
    # Three of the four; test_pretix_orders reads them all.
    arguments: tuple[str | Path, ...] = (*FOLDERS[1:], "--platform", slug, "--mapping", MAPPING)
    first, second = run(database_url, *arguments), run(database_url, *arguments)
    assert (first.exit_code, first.stdout) == (0, "180 created\n")
    assert (second.exit_code, second.stdout) == (0, "180 unchanged\n")


def test_the_first_run_asks_and_says_where_to_answer(database_url: str, slug: str, tmp_path: Path) -> None:
    mapping = tmp_path / "pretix-mapping.yaml"
    result = run(database_url, FOLDERS[0], "--platform", slug, "--mapping", mapping)
    assert result.exit_code == 1
    assert f"answer every ? in {mapping}" in result.output
    assert "items: nll26: 13 (Tour T-shirt): shows?" in result.output
    assert mapping.exists()


def test_live_orders_and_then_only_what_changed(database_url: str, slug: str, tmp_path: Path) -> None:
    with pretix_server.running("clock26") as server:
        live = ("--url", server.url, "--organizer", "org", "--event", "clock26")
        arguments = (*live, "--platform", slug, "--mapping", MAPPING, "--state", tmp_path)
        first, second = run(database_url, *arguments, token=TOKEN), run(database_url, *arguments, token=TOKEN)
        wrong = run(database_url, *arguments, token="wrong")
    assert (first.exit_code, first.stdout) == (0, "60 created\n")
    assert (second.exit_code, second.stdout) == (0, "no orders\n")
    assert (wrong.exit_code, "wrong" in wrong.output.partition("pretix: 401")[0]) == (1, False)
    assert json.loads((tmp_path / f"pretix-{slug}-org-clock26.cursor.json").read_text())["since"] == pretix_server.STARTED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--platform", "nobody"), "one of them"),
        ((DATA / "pretix" / "clock26", "--platform", "nobody", "--mapping", MAPPING), "there is no platform nobody"),
        (("--url", "http://127.0.0.1:1", "--platform", "nobody"), "--url needs"),
        ((DATA, "--platform", "{slug}", "--mapping", MAPPING), "event.json"),
        ((DATA / "pretix" / "clock26", "--platform", "{slug}", "--mapping", DATA / "README.md"), "README.md"),
    ],
)
def test_what_an_operator_can_mend_is_said_in_words(database_url: str, slug: str, arguments: tuple[str | Path, ...], said: str) -> None:
    result = run(database_url, *(str(argument).replace("{slug}", slug) for argument in arguments))
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output
