"""Two addresses that a computer may take for one are two: who has the one proves nothing of the other."""

from __future__ import annotations

import sys
from typing import Final
from unicodedata import normalize
from uuid import UUID

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.addresses import folded, provable
from service.callers import Caller
from service.in_step import InStep
from service.model import IdentityLevel
from service.store.pool import Pool
from tests.identity.proofs import MIRA, PHONE, arrives, by_mail, who_is
from tests.identity.world import Shop, World

KIM: Final = "kim.s@example.org"
# The kelvin sign, the long s, I with a dot, i without one, full-width letters, a ligature, a roman numeral.
_LETTERS: Final = "kKsSiI\u212a\u017f\u0130\u0131\uff4b\uff33\uff49\ufb06\u2170\u00e4\u00c4\u03c2\u03a3a@."
# What is read as "kim.s@example.org" by one part of a computer or another.
_CONFUSED: Final = (
    "\u212aim.s@example.org",
    "kim.\u017f@example.org",
    "k\u0130m.s@example.org",
    "k\u0131m.s@example.org",
    "\uff4bim.s@example.org",
    "kim.s@example\uff0eorg",
)
addresses = st.text(alphabet=_LETTERS, min_size=1, max_size=12)


@given(one=addresses, other=addresses)
@example(one=KIM, other=_CONFUSED[0])
def test_provable_addresses_that_anybody_takes_for_one_are_one(one: str, other: str) -> None:
    if provable(one) and provable(other) and normalize("NFKC", one).lower() == normalize("NFKC", other).lower():
        assert folded(one) == folded(other)


@given(address=addresses)
def test_folding_changes_nothing_but_capitals_of_ascii(address: str) -> None:
    assert folded(folded(address)) == folded(address)
    changed = [(was, now) for was, now in zip(address, folded(address), strict=True) if was != now]
    assert all(was.isascii() and was.lower() == now for was, now in changed)


@pytest.mark.parametrize(
    ("address", "proves"),
    [(KIM, True), (KIM.upper(), True), ("j\u00e4ger@example.org", True), ("J\u00c4GER@example.org", False)]
    + [(one, one[1] == "\u0131") for one in _CONFUSED],
)
def test_letters_with_a_plainer_form_and_capitals_beyond_ascii_prove_nothing(address: str, proves: bool) -> None:  # noqa: FBT001 - one case each
    assert provable(address) is proves


async def test_the_database_folds_every_letter_as_we_do(still_pool: Pool) -> None:
    letters = [chr(code) for code in range(1, sys.maxunicode // 8) if not 0xD800 <= code <= 0xDFFF]
    assert await still_pool.fetchval(
        "SELECT array_agg(address_folded(c) ORDER BY n) FROM unnest($1::text[]) WITH ORDINALITY AS a (c, n)", letters
    ) == [folded(letter) for letter in letters]


@pytest.mark.parametrize("typed", _CONFUSED)
async def test_nobody_is_written_to_for_an_address_that_only_looks_like_theirs(
    world: World, shop: Shop, http: httpx.AsyncClient, typed: str
) -> None:
    order = await shop.sells(KIM, holders=[KIM], phone=PHONE)
    thief = await arrives(http, shop)
    honest = await arrives(http, shop)
    for ref in (None, order.ref):
        right = await honest.ask_for_code(KIM, ref)
        wrong = await thief.ask_for_code(typed, ref)
        assert (wrong.status_code, wrong.json()) == (right.status_code, right.json()) == (202, right.json())
    assert (await thief.ask_for_text(typed)).status_code == 202
    # the letter before goes nowhere: a session's newer one has replaced it
    assert await world.deliver() == 5
    assert (len(world.codes_to(KIM)), len(world.mailer.messages), len(world.texter.texts)) == (1, 1, 0)


async def test_who_bought_under_an_address_that_looks_like_anothers_opens_nothing_of_theirs(
    world: World, shop: Shop, http: httpx.AsyncClient
) -> None:
    own = await shop.sells(KIM, holders=[KIM])
    for one in _CONFUSED:
        await shop.sells(one, holders=[one], phone=PHONE)
    customer = await arrives(http, shop)
    await by_mail(world, customer, KIM)
    assert len(world.mailer.messages) == 1
    assert {one.order_id for one in await world.identity.orders_open_to(await who_is(world, customer))} == {own.id}
    assert (await customer.ask_for_text(KIM)).status_code == 202
    await world.deliver()
    assert world.texter.texts == ()


@pytest.mark.parametrize("address", _CONFUSED)
async def test_a_caller_with_such_an_address_sees_no_order_of_the_other(world: World, shop: Shop, address: str) -> None:
    await shop.sells(KIM, holders=[KIM])
    caller = Caller(
        kind="customer",
        platform_id=shop.id,
        platform=shop.slug,
        id=shop.id,
        name="customer",
        level=IdentityLevel.VERIFIED,
        email=address,
    )
    assert await world.identity.orders_open_to(caller) == []


async def test_a_letter_goes_to_the_address_as_it_stands_with_the_order(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.sells("Mira@Example.org")
    customer = await arrives(http, shop)
    assert (await customer.ask_for_code(MIRA)).status_code == 202
    await world.deliver()
    assert world.codes_to(MIRA) == []
    (code,) = world.codes_to("Mira@Example.org")
    assert (await customer.verify(code)).status_code == 200
    assert (await who_is(world, customer)).email == "Mira@Example.org"


class _Platform:
    """A platform's own system with one order of Mira's, written her way."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def fetch(self, _platform: UUID, ref: str) -> bool:
        await self._shop.sells("Mira@Example.org", ref=ref)
        return True

    async def was_read(self, _platform: UUID, _ref: str) -> None:
        return


@pytest.mark.parametrize(("typed", "letters"), [(MIRA, 1), ("M\u0131ra@example.org", 0), ("M\u0130ra@example.org", 0)])
async def test_so_does_one_for_an_order_that_was_bought_a_minute_ago(
    still_pool: Pool, http: httpx.AsyncClient, typed: str, letters: int
) -> None:
    shop = await Shop.opens(still_pool, {"source": {"kind": "http", "url": "https://system.example", "token": "sealed:x"}})
    system = _Platform(shop)
    world = World(still_pool, in_step=InStep(system, system.was_read))
    assert (await (await arrives(http, shop)).ask_for_code(typed, "NEW1")).status_code == 202
    await world.deliver()
    assert (len(world.codes_to("Mira@Example.org")), len(world.mailer.messages)) == (letters, letters)
