from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from service.cli import main

NAMES = main.list_commands(click.Context(main))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_there_and_says_what_it_does(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert all(name in shown for name in NAMES)


@pytest.mark.parametrize("name", ["serve", "worker"])
def test_nothing_serves_without_a_database(name: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "service", name], cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "MAKEGOOD_DATABASE_URL is not set" in done.stderr
    assert "MAKEGOOD_SECRET is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_migrate_says_what_it_applied_and_then_nothing(empty_database_url: str) -> None:
    runner = CliRunner(env={"MAKEGOOD_DATABASE_URL": empty_database_url})
    first, second = runner.invoke(main, ["migrate"]), runner.invoke(main, ["migrate"])
    assert "applied 0001_" in first.output
    assert second.output == "the database is up to date\n"
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_a_database_that_is_down_is_told_in_words() -> None:
    runner = CliRunner(env={"MAKEGOOD_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/none"})
    result = runner.invoke(main, ["migrate"])
    assert result.exit_code == 1
    assert "the database was not migrated" in result.output
    assert "hunter2" not in result.output


def test_a_database_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    environment = {
        "MAKEGOOD_SECRET": secrets.token_hex(32),
        "MAKEGOOD_DATABASE_URL": "postgresql://makegood:told-to-nobody@127.0.0.1:1/makegood",
    }
    command = [sys.executable, "-m", "service", "agents", "list", "--platform", "shop"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("Error: The database does not answer")) == (1, True), done.stderr
    assert "told-to-nobody" not in done.stderr
