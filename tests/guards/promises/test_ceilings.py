"""A rail that pays out has a ceiling of its own for a day: what others cannot pay back does not pour out of it unseen."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio

from policies import GUARDS_FILE, RAILS_FILE, bundled_folder, load_guards, load_packs, load_rails
from service.callers import Caller
from service.caps import caps_of
from service.choices import Choices, Chosen
from service.model import IdentityLevel
from service.plan import Rules
from service.store import view as view_store
from tests.guards.ground import PRICE, Ground, Order, failed
from tests.keys import fresh_key

# Room for one refund a day, not for two.
MOST = PRICE + 1000
CAP = {"kind": "rail_day", "ref": "second", "rail": "second", "seconds": 86_400, "slots": 16, "most": MOST}


def _rules() -> Rules:
    folder = bundled_folder()
    return Rules(
        packs=load_packs(folder, ("en",)),
        guards=load_guards((folder / GUARDS_FILE).read_text(encoding="utf-8")),
        backups=load_rails((folder / RAILS_FILE).read_text(encoding="utf-8")),
        rails={"first": "sandbox", "second": "sandbox_payout"},
    )


@pytest_asyncio.fixture(loop_scope="session")
async def capped(ground: Ground) -> Ground:
    """The platform allows each rail so much a day, and `second` to pay out."""
    await ground.start_of_a_day()
    settings = {"payouts": {"rails": ["second"]}, "caps": {"per_rail_and_day": {"EUR": MOST}}}
    await ground.pool.execute("UPDATE platform SET settings = $2::jsonb WHERE id = $1", ground.platform, settings)
    return ground


async def _closed_card(ground: Ground) -> tuple[Order, UUID]:
    order, operation = await ground.refund()
    ground.first.answers = [failed("expired_or_canceled_card")]
    await ground.advance(operation)
    return order, operation


async def _chooses(ground: Ground, order: Order, operation: UUID) -> str:
    customer = Caller(
        kind="customer", platform_id=ground.platform, platform="shop", id=uuid4(), name="customer", level=IdentityLevel.STRONG
    )
    chosen = Chosen(operation=operation, rail="second", address="mira@example.org", checked=None)
    return await Choices(ground.store, _rules()).choose(customer, fresh_key(ground.platform), order.case, chosen, level=customer.level)


async def _holds(ground: Ground, operation: UUID) -> tuple[str, list[str]]:
    row = await ground.operation(operation)
    return row["state"], row["holds"]


async def test_a_choice_beyond_the_days_ceiling_waits_for_people(ground: Ground) -> None:
    await ground.start_of_a_day()
    said, states = [], []
    for _ in range(2):
        _, operation = await _closed_card(ground)
        said.append(await ground.choose(operation, caps=[CAP]))
        states.append(await _holds(ground, operation))
    assert said == ["chosen", "held"]
    assert states == [("READY", []), ("HELD", ["cap_rail_day"])]
    assert (await ground.operation(operation))["approvals_needed"] == 1
    await ground.operations.take(ground.platform, operation)
    assert ground.second.sent == []


async def test_money_that_people_send_by_hand_takes_nothing_from_a_rails_ceiling(ground: Ground) -> None:
    _, operation = await _closed_card(ground)
    assert await ground.choose(operation, None, caps=[CAP], approvals=1) == "held"
    assert await ground.value("SELECT count(*) FROM cap_use WHERE platform_id = $1", ground.platform) == 0


async def test_what_customers_choose_counts_against_the_ceiling_that_the_platform_has_set(capped: Ground) -> None:
    said = [await _chooses(capped, *await _closed_card(capped)) for _ in range(2)]
    assert said == ["chosen", "held"]
    used = "SELECT sum(used) FROM cap_use WHERE platform_id = $1 AND kind = 'rail_day' AND ref = 'second'"
    assert await capped.value(used, capped.platform) == PRICE


async def test_what_people_agree_to_counts_against_it_as_well(capped: Ground) -> None:
    """A held choice takes from the ceiling when it is let go, and not before."""
    said: list[Any] = []
    for _ in range(2):
        order, operation = await _closed_card(capped)
        assert await capped.choose(operation, holds=["payout"], approvals=1) == "held"
        caps = caps_of(_rules().guards, await view_store.read(capped.pool, capped.platform, order=order.id))
        approve = "SELECT operation_approve($1, $2, $3, 'Ana', 'it is right', 1, $4::jsonb)"
        said.append((await capped.value(approve, capped.platform, operation, capped.agent, list(caps)))["status"])
    assert said == ["released", "cap_reached"]
    assert (await _holds(capped, operation))[0] == "HELD"
