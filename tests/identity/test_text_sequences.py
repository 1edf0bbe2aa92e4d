"""Whatever is proven in whatever order, and whatever changes meanwhile: each place opens exactly what a plain table of the proofs says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

import httpx
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.model import IdentityLevel
from tests.identity.proofs import LEO, MIRA, OTHER, PHONE, Opens, a_case, arrives, closed, opened, opens, who_is
from tests.identity.timing import BOUNDLESS
from tests.identity.world import Customer, Order, Shop, World, calling, time_passes

ADDRESSES: Final = (MIRA, LEO)
PHONES: Final = (PHONE, OTHER, None)
ORDERS: Final = 3
VERIFIED: Final = 30
STRONG: Final = 10


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens: `mail` and `text` are a code asked for and given back; `moves` is the platform saying who bought an order."""

    what: str
    email: str
    order: int
    phone: str | None
    minutes: int


STEP: Final = st.builds(
    Step,
    what=st.sampled_from(("mail", "text", "text of an order", "moves", "time", "leaves")),
    email=st.sampled_from(ADDRESSES),
    order=st.integers(0, ORDERS - 1),
    phone=st.sampled_from(PHONES),
    # Each side of both limits, and sums of them.
    minutes=st.sampled_from((1, 4, 9, 11, 19, 29, 31)),
)
BUYERS: Final = st.tuples(*(st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(PHONES)) for _ in range(ORDERS)))


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    of: tuple[str, ...]
    at: int


class Table:
    """What should be open: the buyers as they are, the last proof of each kind and when it was made. Minutes."""

    def __init__(self, buyers: tuple[tuple[str, str | None], ...]) -> None:
        self.now = 0
        self.buyers = list(buyers)
        self.mail: Proof | None = None
        self.text: Proof | None = None
        self.last = 0
        """when the last of them was made"""
        self.anonymous = True

    def texted(self, email: str, order: int | None) -> str | None:
        """The phone that a text goes to: orders are placed in their order, the newest last."""
        fits = [phone for number, (of, phone) in enumerate(self.buyers) if of == email and phone and order in {None, number}]
        return fits[-1] if fits else None

    def mailed(self, email: str) -> bool:
        return any(of == email for of, _ in self.buyers)

    def proves(self, kind: str, *of: str) -> None:
        setattr(self, kind, Proof(of=of, at=self.now))
        self.last = self.now

    def expected(self, order: int) -> Opens:
        mail = self.mail if self.mail and self.now - self.mail.at < VERIFIED else None
        text = self.text if self.text and self.now - self.text.at < VERIFIED else None
        email, phone = self.buyers[order]
        by_mail = mail is not None and mail.of == (email,)
        by_text = text is not None and phone is not None and text.of == (email, phone)
        if by_mail and by_text and self.now - self.last < STRONG:
            return opened(IdentityLevel.STRONG)
        if by_mail or by_text:
            return opened(IdentityLevel.VERIFIED)
        return closed(IdentityLevel.ANONYMOUS if self.anonymous else IdentityLevel.CLAIMED)


class Play:
    """The same on both sides: the application, and the table."""

    def __init__(self, world: World, http: httpx.AsyncClient, shop: Shop, table: Table) -> None:
        self.world, self.http, self.shop, self.table = world, http, shop, table
        self.orders: list[tuple[Order, UUID]] = []

    async def begins(self) -> Customer:
        for email, phone in self.table.buyers:
            order = await self.shop.sells(email, phone=phone)
            self.orders.append((order, await a_case(self.world.pool, self.shop, order)))
        return await arrives(self.http, self.shop)

    async def does(self, customer: Customer, step: Step) -> Customer:
        table = self.table
        if step.what == "mail":
            await customer.ask_for_code(step.email)
            if await self._gives_back(customer, self.world.codes_to, step.email if table.mailed(step.email) else None):
                table.proves("mail", step.email)
            table.anonymous = False
        elif step.what.startswith("text"):
            named = step.order if step.what == "text of an order" else None
            await customer.ask_for_text(step.email, None if named is None else self.orders[named][0].ref)
            phone = table.texted(step.email, named)
            if await self._gives_back(customer, self.world.texts_to, phone) and phone is not None:
                table.proves("text", step.email, phone)
            table.anonymous = False
        elif step.what == "moves":
            await self._moves(step)
        elif step.what == "time":
            await time_passes(self.world.pool, step.minutes * 60)
            table.now += step.minutes
        else:
            assert (await customer.leave()).status_code == 204
            table.mail, table.text, table.anonymous = None, None, True
            return await arrives(self.http, self.shop)
        return customer

    async def _gives_back(self, customer: Customer, codes: Callable[[str], list[str]], to: str | None) -> bool:
        before = len(codes(to)) if to else 0
        await self.world.deliver()
        if to is None:
            return False
        assert len(codes(to)) == before + 1
        assert (await customer.verify(codes(to)[-1])).status_code == 200
        return True

    async def _moves(self, step: Step) -> None:
        await self.world.pool.execute(
            "UPDATE person SET email = $3, phone = $4 WHERE platform_id = $1 AND id = (SELECT buyer_id FROM orders"
            " WHERE platform_id = $1 AND id = $2)",
            self.shop.id,
            self.orders[step.order][0].id,
            step.email,
            step.phone,
        )
        self.table.buyers[step.order] = (step.email, step.phone)

    async def agrees(self, customer: Customer) -> None:
        who = await who_is(self.world, customer)
        seen = [await opens(self.world, who, self.shop, order, case) for order, case in self.orders]
        assert seen == [self.table.expected(number) for number in range(ORDERS)]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(buyers=BUYERS, steps=st.lists(STEP, min_size=1, max_size=7))
async def test_every_sequence_of_proofs_opens_what_the_table_says(
    world: World, buyers: tuple[tuple[str, str | None], ...], steps: list[Step]
) -> None:
    await _plays(world, buyers, steps)


def _step(what: str, **more: object) -> Step:
    plain = {"email": MIRA, "order": 0, "phone": PHONE, "minutes": 9} | more
    return msgspec.convert({"what": what, **plain}, Step)


async def test_a_long_sequence_in_which_everything_happens(world: World) -> None:
    """What luck may not draw: strong, moved away, moved back, run out one after the other, proven again."""
    steps = [
        _step("text of an order"),
        _step("mail"),
        _step("moves", phone=OTHER),
        _step("moves", phone=PHONE),
        _step("moves", email=LEO),
        _step("moves"),
        _step("time", minutes=9),
        _step("time", minutes=11),
        _step("mail"),
        _step("time", minutes=11),
        _step("text of an order", order=1),
        _step("mail", email=LEO),
        _step("leaves"),
    ]
    await _plays(world, ((MIRA, PHONE), (MIRA, OTHER), (LEO, PHONE)), steps)


async def _plays(world: World, buyers: tuple[tuple[str, str | None], ...], steps: list[Step]) -> None:
    boundless = World(world.pool, limits=BOUNDLESS)
    async with calling(boundless.app()) as http:
        play = Play(boundless, http, await Shop.opens(world.pool), Table(buyers))
        customer = await play.begins()
        for step in steps:
            customer = await play.does(customer, step)
            await play.agrees(customer)
