"""A platform's settings: every mistake told at once, nothing dangerous by default, secrets sealed; and the commands that set them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click.testing
import pytest

from service.cli import main
from service.limits import Limits
from service.model import ActionKind, Mode
from service.platform_checks import read_settings
from service.settings_reading import SettingsError
from service.store.pool import Pool, open_pool
from tests.identity.world import SECRET, Shop, World

GOOD: dict[str, Any] = {
    "name": "Moonlight Live",
    "languages": ["en", "de"],
    "zone": "Europe/Berlin",
    "sender": "help@moonlight.example",
    "contacts": {"support": "help@moonlight.example", "phone": "+49 30 123456"},
    "desk_hours": {"days": ["mon", "tue"], "opens": "09:00", "closes": "18:00"},
    "origins": ["https://shop.moonlight.example"],
    "legal": {"de": "Moonlight GmbH, Berlin"},
    "proof": {"issuer": "https://id.example", "audience": "makegood", "jwks_url": "https://id.example/keys", "algorithms": ["ES256"]},
    "modes": {"refund": "act"},
    "caps": {"per_rail_and_day": {"EUR": 100000}},
    "parameters": {"refund": {"remorse_hours": 24}},
    "issuer": {"kind": "platform", "url": "sandbox"},
}
RAILS = {"shop": "stripe", "play": "sandbox"}


def test_good_settings_are_taken_as_they_are() -> None:
    settings = read_settings(GOOD, rails=RAILS)
    assert settings.modes == {ActionKind.REFUND: Mode.ACT}
    assert settings.look.support == "help@moonlight.example"


def test_every_mistake_is_told_at_once() -> None:
    bad = {
        **GOOD,
        "zone": 7,
        "colour": "red",
        "contacts": {"support": "", "mobile": "x"},
        "modes": {"refund": "yolo"},
        "proof": {"issuer": "x", "audience": "y", "max_age_seconds": 0},
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(bad, rails=RAILS)
    told = "\n".join(caught.value.mistakes)
    for place in ("zone", "colour", "contacts.support", "contacts.mobile", "modes", "proof.max_age_seconds"):
        assert place in told, place


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"origins": ["https://shop.example/path"]}, "origins"),
        ({"origins": ["http://shop.example"]}, "origins"),
        ({"origins": ["*"]}, "origins"),
        ({"legal": {"fr": "x"}}, "legal.fr"),
        ({"desk_hours": {"opens": "18:00", "closes": "09:00"}}, "desk_hours"),
        ({"issuer": {"kind": "platform"}}, "issuer.url"),
        ({"issuer": {"kind": "platform", "url": "https://gate.example"}}, "issuer.url"),
        ({"proof": {"issuer": "i", "audience": "a"}}, "proof"),
        ({"proof": {"issuer": "i", "audience": "a", "secret": "short"}}, "proof"),
        ({"proof": {"issuer": "i", "audience": "a", "jwks_url": "https://a.example", "secret": "x" * 40}}, "proof"),
        ({"proof": {"issuer": "i", "audience": "a", "jwks_url": "http://a.example", "algorithms": ["ES256"]}}, "proof.jwks_url"),
        ({"proof": {"issuer": "i", "audience": "a", "jwks_url": "https://a.example", "algorithms": []}}, "proof"),
        ({"proof": {"issuer": "i", "audience": "a", "jwks_url": "https://a.example", "algorithms": ["HS256"]}}, "proof.algorithms"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change: dict[str, Any], place: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**GOOD, **change}, rails=RAILS)
    assert any(mistake.startswith(place) for mistake in caught.value.mistakes), caught.value.mistakes


def test_acting_on_a_real_rail_needs_a_cap() -> None:
    without = {**GOOD, "caps": {}}
    with pytest.raises(SettingsError, match="per_rail_and_day"):
        read_settings(without, rails=RAILS)
    assert read_settings(without, rails={"play": "sandbox"}).modes == {ActionKind.REFUND: Mode.ACT}
    assert read_settings({**without, "modes": {"refund": "suggest"}}, rails=RAILS).modes == {ActionKind.REFUND: Mode.SUGGEST}


def test_nobody_is_paid_out_unless_the_platform_has_said_by_which_rails() -> None:
    rails = {**RAILS, "out": "paypal_payout", "voucher": "store_credit"}
    assert read_settings(GOOD, rails=rails).payouts.rails == ()
    named = {**GOOD, "payouts": {"rails": ["out", "voucher"]}}
    assert read_settings(named, rails=rails).payouts.rails == ("out", "voucher")


def test_only_rails_that_pay_out_are_allowed_to() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**GOOD, "payouts": {"rails": ["shop", "elsewhere", "out", "out"]}}, rails={**RAILS, "out": "sandbox_payout"})
    assert [mistake.partition(";")[0] for mistake in caught.value.mistakes] == [
        "payouts.rails: shop is of kind stripe, which does not pay out",
        "payouts.rails: elsewhere is no rail of this installation",
        "payouts.rails: out stands twice",
    ]


def test_no_mistake_quotes_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**GOOD, "proof": {"issuer": "i", "audience": "a", "secret": "hunter2"}}, rails=RAILS)
    assert "hunter2" not in "\n".join(caught.value.mistakes)


async def test_a_setting_of_a_newer_release_does_not_stop_this_one(pool: Pool) -> None:
    shop = await Shop.opens(pool, {"hologram": True, "contacts": {"support": "desk", "telepathy": "yes"}})
    platform = await World(pool, limits=Limits()).platforms.by_slug(shop.slug)
    assert platform is not None
    assert platform.settings.contacts.support == "desk"


class Terminal:
    def __init__(self, dsn: str) -> None:
        self._runner = click.testing.CliRunner()
        self._environment = {"MAKEGOOD_DATABASE_URL": dsn, "MAKEGOOD_SECRET": SECRET.decode()}

    def run(self, *arguments: str) -> click.testing.Result:
        return self._runner.invoke(main, arguments, env=self._environment)


@pytest.fixture
def terminal(fresh_database_url: str) -> Terminal:
    return Terminal(fresh_database_url)


def test_from_a_terminal_a_platform_gets_its_first_key_and_loses_it(terminal: Terminal, tmp_path: Path, fresh_database_url: str) -> None:
    import asyncio  # noqa: PLC0415 - commands run event loops of their own; so does this test

    file = tmp_path / "moonlight.yaml"
    file.write_text(json.dumps({**GOOD, "modes": {}, "proof": {"issuer": "i", "audience": "a", "secret": "s" * 40}}))
    added = terminal.run("platform", "add", "moonlight", "--settings", str(file), "--why", "launch")
    assert added.exit_code == 0, added.output
    assert terminal.run("platform", "add", "moonlight").exit_code == 1
    assert "Moonlight Live" in terminal.run("platform", "list").stdout
    made = terminal.run("keys", "make", "platform", "--platform", "moonlight", "--name", "shop")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert token.startswith("mgk_")
    agent = terminal.run("keys", "make", "agent", "--platform", "moonlight", "--name", "Mira", "--role", "lead", "--skill", "trust")
    assert agent.exit_code == 0, agent.output
    listed = terminal.run("keys", "list", "--platform", "moonlight")
    assert token not in listed.stdout
    key_id = listed.stdout.split()[0]
    assert terminal.run("keys", "revoke", key_id, "--platform", "moonlight", "--why", "leaked").exit_code == 0
    assert "revoked" in terminal.run("keys", "list", "--platform", "moonlight").stdout

    async def kept() -> tuple[str, bool]:
        async with await open_pool(fresh_database_url, size=2) as pool:
            stored = await pool.fetchval("SELECT settings::text FROM platform WHERE slug = 'moonlight'")
            return str(stored), await World(pool).keys.caller_for(token) is None

    settings, gone = asyncio.run(kept())
    assert "s" * 40 not in settings
    assert gone


@pytest.mark.parametrize(
    "arguments",
    [
        ("platform", "add", "Not A Slug"),
        ("keys", "list", "--platform", "nobody"),
        ("keys", "make", "platform", "--platform", "nobody", "--name", "x"),
        ("keys", "revoke", "nonsense", "--platform", "nobody"),
    ],
)
def test_a_mistake_at_the_terminal_is_told_in_words(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    result = terminal.run(*arguments)
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
    assert result.output.strip()


def test_a_broken_settings_file_is_not_quoted(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("name: Moonlight\nproof: {secret: hunter2\n")
    result = terminal.run("platform", "add", "moonlight", "--settings", str(file))
    assert result.exit_code == 1
    assert "hunter2" not in result.output
