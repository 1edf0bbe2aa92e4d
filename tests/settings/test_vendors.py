"""Every kind of rail that settings know can be opened, and what is set is what it works with."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace

from service.cli.database import need_mail
from service.ports import Text, Unavailable
from service.settings import PAYOUT_KINDS, RAIL_KINDS, SettingsError, load
from service.vendors import OPENERS, open_key_sets, open_vendors

HEX = "ab" * 32
RAILS = {
    "MAIN_KIND": "stripe",
    "MAIN_API_KEY": "sk_test",
    "MAIN_PACE": "7",
    "MAIN_REVERSE_TRANSFER": "yes",
    "MAIN_WEBHOOK_SECRETS": "whsec_0123456789abcdef",
    "NORTH_KIND": "adyen",
    "NORTH_API_KEY": "k",
    "NORTH_MERCHANT_ACCOUNT": "Moonlight",
    "NORTH_BASE_URL": "http://127.0.0.1:1",
    "NORTH_WEBHOOK_SECRETS": HEX,
    "OUT_KIND": "paypal_payout",
    "OUT_CLIENT_ID": "us",
    "OUT_CLIENT_SECRET": "s",
    "OUT_WEBHOOK_IDS": "1AB",
    "CARDS_KIND": "store_credit",
    "CARDS_API_KEY": "k",
    "CARDS_BASE_URL": "https://shop.example/makegood",
}


def test_every_kind_has_somebody_to_open_it() -> None:
    assert OPENERS.keys() == RAIL_KINDS.keys()


async def test_each_rail_stands_under_its_name_with_its_pace_and_its_webhook(empty_database_url: str) -> None:
    play = {
        "PLAY_KIND": "sandbox",
        "PLAY_DATABASE_URL": empty_database_url,
        "PLAYOUT_KIND": "sandbox_payout",
        "PLAYOUT_DATABASE_URL": empty_database_url,
        "PLAYOUT_WEBHOOK_SECRETS": "0123456789abcdef",
    }
    settings = load({f"MAKEGOOD_RAIL_{name}": value for name, value in {**RAILS, **play}.items()})
    async with open_vendors(settings) as vendors:
        assert {name: rail.name for name, rail in vendors.rails.items()} == {name: name for name in vendors.kinds}
        assert {name for name, rail in vendors.rails.items() if rail.traits.pays == "out"} == {
            name for name, kind in vendors.kinds.items() if kind in PAYOUT_KINDS
        }
        assert vendors.paces["main"] == 7
        assert vendors.paces["north"] == vendors.rails["north"].traits.calls_per_second
        assert sorted(vendors.notifications) == ["main", "north", "out", "playout"]


async def test_no_webhook_is_on_without_what_signs_for_it() -> None:
    settings = load({f"MAKEGOOD_RAIL_{name}": value for name, value in RAILS.items() if "WEBHOOK" not in name})
    async with open_vendors(settings) as vendors:
        assert not vendors.notifications


@pytest.mark.parametrize("lacking", ["MAIN_API_KEY", "NORTH_API_KEY", "OUT_CLIENT_SECRET", "CARDS_BASE_URL"])
async def test_a_rail_whose_settings_nobody_checked_is_not_opened(lacking: str) -> None:
    settings = load({f"MAKEGOOD_RAIL_{name}": value for name, value in RAILS.items()})
    name, _, field = lacking.lower().partition("_")
    bare = replace(settings, rails=tuple(replace(one, **{field: None}) if one.name == name else one for one in settings.rails))
    with pytest.raises(ValueError, match=f"rail {name}"):
        async with open_vendors(bare):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"])
async def test_key_sets_come_from_the_public_network_alone(host: str) -> None:
    async with open_key_sets(private=False) as key_sets:
        with pytest.raises(Unavailable, match="NotOutside"):
            await key_sets.fetch(f"https://{host}/keys")


async def test_texts_go_nowhere_unless_somebody_is_named(tmp_path: Path) -> None:
    async with open_vendors(load({})) as vendors:
        assert vendors.texter is None
    settings = load({"MAKEGOOD_TEXT": "sandbox", "MAKEGOOD_DATA": str(tmp_path)})
    text = Text(to="+447700900101", body="042917 is your code", message_key=uuid4())
    async with open_vendors(settings) as vendors:
        assert vendors.texter is not None
        await vendors.texter.send(text)
    (kept,) = (tmp_path / "texts").iterdir()
    assert kept.read_text() == "To: +447700900101\n\n042917 is your code\n"
    with pytest.raises(SettingsError, match="MAKEGOOD_TEXT"):
        load({"MAKEGOOD_TEXT": "carrier-pigeon"})


def test_nobody_serves_real_money_with_texts_that_nobody_gets() -> None:
    mail = {"MAKEGOOD_SMTP_HOST": "localhost", "MAKEGOOD_SMTP_TLS": "none", "MAKEGOOD_SMTP_SENDER": "help@shop.example"}
    real = {f"MAKEGOOD_RAIL_{name}": value for name, value in RAILS.items()} | mail
    need_mail(load(real))
    with pytest.raises(SettingsError, match="MAKEGOOD_TEXT is sandbox"):
        need_mail(load(real | {"MAKEGOOD_TEXT": "sandbox"}))
