"""The commands with which an operator changes keys, settings, packs and signing keys, and brings what was before back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from policies import bundled_folder
from service.cli import main
from tests.identity.world import SECRET

Run = Callable[..., click.testing.Result]
WHY = ("--why", "a test", "--who", "mira")


@pytest.fixture
def run(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MAKEGOOD_DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("MAKEGOOD_SECRET", SECRET.decode())
    monkeypatch.setenv("MAKEGOOD_LANGUAGES", "en,de")

    def one(*arguments: str, code: int = 0) -> click.testing.Result:
        result = click.testing.CliRunner().invoke(main, list(arguments))
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result

    return one


def settings_file(folder: Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text)
    return str(path)


def test_settings_are_compared_and_brought_back(run: Run, tmp_path: Path) -> None:
    run("platform", "add", "moonlight", "--settings", settings_file(tmp_path, "{name: Moonlight, accent: '#000000'}"), *WHY)
    run("platform", "add", "moonlight", "--settings", settings_file(tmp_path, "{name: Moonlight, accent: '#ffffff'}"), "--change", *WHY)
    assert 'accent: "#000000" -> "#ffffff"' in run("platform", "diff", "moonlight").output
    assert "nothing differs" in run("platform", "diff", "moonlight", "2", "2").output
    assert 'accent: "#ffffff" -> "#000000"' in run("platform", "rollback", "moonlight", *WHY).output
    history = run("platform", "history", "moonlight").output.splitlines()
    assert ["platform_changed 3" in history[0], "platform_changed 2" in history[1], "platform_added 1" in history[2]] == [True] * 3
    assert all("by mira: a test" in line for line in history)
    run("platform", "rollback", "moonlight", "--to", "99", *WHY, code=1)
    run("platform", "rollback", "moonlight", code=2)  # without a reason


def test_packs_are_published_and_brought_back(run: Run, tmp_path: Path) -> None:
    run("platform", "add", "moonlight", *WHY)
    own = tmp_path / "own"
    own.mkdir()
    (own / "refund.yaml").write_text((bundled_folder() / "refund.yaml").read_text().replace("id: not-cancelled", "id: still-on"))
    assert "refund" in run("policy", "publish", str(own), "--platform", "moonlight", *WHY).output
    (own / "refund.yaml").write_text("pack: refund")
    assert "nothing was published" in run("policy", "publish", str(own), "--platform", "moonlight", *WHY, code=1).output
    (own / "guards.yaml").write_text("")
    assert "installation's" in run("policy", "publish", str(own), "--platform", "moonlight", *WHY, code=1).output
    assert "refund: " in run("platform", "diff", "moonlight", "--packs").output
    assert "-> (left out)" in run("platform", "rollback", "moonlight", "--packs", *WHY).output
    assert "packs_changed 2" in run("platform", "history", "moonlight").output


def test_keys_rotate_and_agents_leave(run: Run) -> None:
    run("platform", "add", "moonlight", *WHY)
    token = run("keys", "make", "platform", "--platform", "moonlight", "--name", "shop", *WHY).stdout.splitlines()[-1]
    key = run("keys", "list", "--platform", "moonlight").output.split()[0]
    again = run("keys", "rotate", key, "--platform", "moonlight", *WHY).stdout.splitlines()[-1]
    assert again.startswith("mgk_")
    assert again != token
    assert "two tokens until" in run("keys", "list", "--platform", "moonlight").output
    run("keys", "make", "agent", "--platform", "moonlight", "--name", "Nia", *WHY)
    run("keys", "agents", "change", "Nia", "--platform", "moonlight", "--role", "lead", "--skill", "trust", *WHY)
    assert "lead     Nia" in run("keys", "agents", "list", "--platform", "moonlight").output
    run("keys", "agents", "disable", "Nia", "--platform", "moonlight", *WHY)
    assert "disabled" in run("keys", "agents", "list", "--platform", "moonlight").output
    run("keys", "agents", "disable", "Nia", "--platform", "moonlight", *WHY, code=1)


def test_signing_keys_are_listed_rotated_and_withdrawn(run: Run) -> None:
    assert run("keys", "signing", "list").output == ""
    run("keys", "signing", "rotate", *WHY)
    assert "signs from" in run("keys", "signing", "list").output
    run("keys", "signing", "rotate", *WHY, code=1)
    assert "within" in run("keys", "signing", "rotate", "--now", *WHY).output
    listed = run("keys", "signing", "list").output.splitlines()
    assert len(listed) == 1
    assert " current " in listed[0]
    run("keys", "signing", "rotate", "--now", code=2)  # without a reason
