"""How customers of the tests prove themselves, and what each of the places that open something then says of an order."""

from __future__ import annotations

from uuid import UUID, uuid4

import httpx
import msgspec

from service.books import Books
from service.callers import Caller
from service.identity_of_case import proven
from service.model import IdentityLevel
from service.store import cases as case_store
from service.store import view as view_store
from service.store.pool import Pool
from tests.identity.world import Customer, Order, Shop, World

MIRA = "mira@example.org"
LEO = "leo@example.org"
# Ofcom keeps 07700 900000 to 900999 for drama: nobody has them.
PHONE = "+447700900101"
OTHER = "+447700900202"


async def who_is(world: World, customer: Customer) -> Caller:
    found = await world.identity.caller_for_session(customer.token)
    assert found is not None
    return found


async def by_mail(world: World, customer: Customer, email: str, order: str | None = None) -> None:
    assert (await customer.ask_for_code(email, order)).status_code == 202
    await world.deliver()
    answer = await customer.verify(world.codes_to(email)[-1])
    assert answer.status_code == 200, answer.text


async def by_text(world: World, customer: Customer, email: str, phone: str, order: str | None = None) -> None:
    assert (await customer.ask_for_text(email, order)).status_code == 202
    await world.deliver()
    answer = await customer.verify(world.texts_to(phone)[-1])
    assert answer.status_code == 200, answer.text


class Opens(msgspec.Struct, frozen=True, kw_only=True):
    """What each place that opens something says of one order; they have to agree."""

    listed: bool
    named: bool
    money: bool
    decided_as: str
    decided_level: IdentityLevel
    level: IdentityLevel
    looks_as: str
    """at a case of the order"""
    for_payout: IdentityLevel | None


async def opens(world: World, caller: Caller, shop: Shop, order: Order, case: UUID) -> Opens:
    view = await view_store.read(world.pool, shop.id, order_ref=order.ref, proofs=caller.proofs)
    asker = proven(caller, view, ())
    record = await case_store.read(world.pool, shop.id, case, caller.proofs)
    assert record is not None
    as_buyer = caller.as_buyer(proven=record.buyer_proven, customer_ref=record.customer_ref)
    return Opens(
        listed=order.id in {one.order_id for one in await world.identity.orders_open_to(caller) if one.role == "buyer"},
        named=caller.level.at_least(IdentityLevel.VERIFIED) and order.ref in await view_store.orders_open_to(world.pool, caller, None),
        money=await Books(world.pool).money(caller, order.ref) is not None,
        decided_as=asker.requester,
        decided_level=asker.level,
        level=await world.identity.level_for(caller, order.ref),
        looks_as="buyer" if as_buyer is not None else "holder" if record.holder_is_caller else "nobody",
        for_payout=as_buyer,
    )


def opened(level: IdentityLevel) -> Opens:
    """Every place says: its buyer, so sure."""
    return Opens(
        listed=True,
        named=True,
        money=True,
        decided_as="buyer",
        decided_level=level,
        level=level,
        looks_as="buyer",
        for_payout=level,
    )


def closed(claimed: IdentityLevel = IdentityLevel.CLAIMED) -> Opens:
    """Every place says: nobody that this order knows."""
    return Opens(
        listed=False,
        named=False,
        money=False,
        decided_as="nobody",
        decided_level=claimed,
        level=claimed,
        looks_as="nobody",
        for_payout=None,
    )


async def a_case(pool: Pool, shop: Shop, order: Order) -> UUID:
    """A case of the order that somebody else has opened."""
    case = uuid4()
    await pool.execute(
        "INSERT INTO cases (platform_id, id, order_id, problem, channel, locale, state, outcome, opened_by, requester, identity,"
        " created_at, ended_at)"
        " VALUES ($1, $2, $3, 'other', 'widget', 'en', 'resolved', 'approve', 'customer:nobody', 'buyer', 'verified', now(), now())",
        shop.id,
        case,
        order.id,
    )
    return case


async def arrives(http: httpx.AsyncClient, shop: Shop) -> Customer:
    return await Customer.arrives(http, shop.slug)
