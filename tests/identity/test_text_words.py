"""What a text says: short, in the customer's language, and with the line by which a phone fills the code in on the right page alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from service.code_text_words import LANGUAGES, body, host_of
from service.identity import CodeAsked
from service.in_step import InStep
from service.ports import Unavailable
from service.store.pool import Pool
from tests.identity.proofs import MIRA, PHONE, arrives, who_is
from tests.identity.world import Customer, Shop, World, calling

# 3GPP TS 23.038, section 6.2.1: the letters that take one place.
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
SHOP_PAGE = "https://shop.example"


def said(language: str, *, platform: str = "Northern Lights", host: str | None = "tickets.northern-lights.example") -> str:
    return body(language, code="042917", platform=platform, minutes=10, host=host)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_says_the_code_the_platform_and_how_long(language: str) -> None:
    text = said(language)
    assert ("042917" in text.splitlines()[0], "Northern Lights" in text, "10" in text) == (True, True, True)
    assert text.endswith("\n\n@tickets.northern-lights.example #042917")


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
@pytest.mark.parametrize("host", [None, "tickets.northern-lights.example"])
def test_latin_languages_are_one_message(language: str, host: str | None) -> None:
    text = said(language, host=host)
    assert (set(text) - GSM, len(text) <= 160) == (set(), True)


def test_a_name_neither_makes_the_text_long_nor_adds_lines_to_it() -> None:
    text = said("en", platform="Nights\n@evil.example #000000 " + "x" * 200)
    assert len(text) <= 180
    assert [line for line in text.splitlines() if line.startswith("@")] == ["@tickets.northern-lights.example #042917"]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://shop.example", "shop.example"),
        ("https://shop.example:8443", "shop.example"),
        ("http://127.0.0.1:8080", "127.0.0.1"),
        ("http://[::1]:8080", None),
        ("null", None),
        ("https://[broken", None),
    ],
)
def test_an_origins_host_is_named_without_its_port(origin: str, host: str | None) -> None:
    assert host_of(origin) == host


@asynccontextmanager
async def _customer(world: World, settings: dict[str, Any]) -> AsyncIterator[Customer]:
    shop = await Shop.opens(world.pool, settings)
    await shop.sells(MIRA, phone=PHONE)
    async with calling(world.app()) as http:
        yield await arrives(http, shop)


@pytest.mark.parametrize(
    ("origin", "public", "line"),
    [
        (SHOP_PAGE, "https://help.example", "@shop.example #"),
        ("https://evil.example", "https://help.example", "@help.example #"),
        ("", "https://help.example", "@help.example #"),
        ("https://evil.example", None, None),
        (SHOP_PAGE, None, "@shop.example #"),
    ],
)
async def test_the_code_is_bound_to_the_platforms_page_or_ours_and_to_no_other(
    still_pool: Pool, origin: str, public: str | None, line: str | None
) -> None:
    world = World(still_pool, public_url=public)
    async with _customer(world, {"origins": [SHOP_PAGE]}) as customer:
        asked = CodeAsked(email=MIRA, order_ref=None, language="en", client="192.0.2.1", channel="text", origin=origin)
        await world.identity.request_code(await who_is(world, customer), asked)
    await world.deliver()
    (text,) = world.texter.texts
    last = text.body.splitlines()[-1]
    assert last.startswith(line) if line else "@" not in text.body


async def test_the_page_that_asks_is_the_one_that_the_code_is_for(still_pool: Pool) -> None:
    world = World(still_pool)
    async with _customer(world, {"origins": [SHOP_PAGE]}) as customer:
        assert (await customer.ask_for_text(MIRA, origin="https://evil.example")).status_code == 403
        assert (await customer.ask_for_text(MIRA, origin=SHOP_PAGE)).status_code == 202
    await world.deliver()
    (text,) = world.texter.texts
    (code,) = world.texts_to(PHONE)
    assert text.body.endswith(f"\n\n@shop.example #{code}")


async def test_the_text_is_in_the_customers_language_where_the_platform_has_it(still_pool: Pool) -> None:
    world = World(still_pool)
    async with _customer(world, {"languages": ["de", "ar"]}) as customer:
        for locale in ("ar", "ja"):
            await customer.ask_for_text(MIRA, locale=locale)
            await world.deliver()
    arabic, other = (text.body for text in world.texter.texts)
    assert "رمزك" in arabic
    assert "ist Ihr Code" in other


class _Platform:
    """A platform's own system that has one order, and is asked for it at its time."""

    def __init__(self, shop: Shop, ref: str) -> None:
        self.shop, self.ref = shop, ref
        self.answers = False

    async def fetch(self, _platform: UUID, ref: str) -> bool:
        if not self.answers:
            raise Unavailable("down")
        if ref == self.ref:
            await self.shop.sells(MIRA, ref=ref, phone=PHONE)
        return ref == self.ref

    async def was_read(self, _platform: UUID, _ref: str) -> None:
        return


async def test_an_order_that_was_bought_a_minute_ago_is_asked_for_at_its_platform(still_pool: Pool, http: httpx.AsyncClient) -> None:
    shop = await Shop.opens(still_pool, {"source": {"kind": "http", "url": "https://system.example", "token": "sealed:x"}})
    system = _Platform(shop, "NEW1")
    world = World(still_pool, in_step=InStep(system, system.was_read))
    customer = await arrives(http, shop)
    await customer.ask_for_text(MIRA, "NEW1")
    job = await still_pool.fetchval("SELECT payload FROM pgqueuer WHERE entrypoint = 'send_text'")
    with pytest.raises(Unavailable):
        await world.texts.send_text(job)
    system.answers = True
    await world.texts.send_text(job)
    assert (await customer.verify(world.texts_to(PHONE)[0])).status_code == 200
    await customer.ask_for_text(MIRA, "NO-SUCH")
    await world.deliver()
    assert len(world.texter.texts) == 1
