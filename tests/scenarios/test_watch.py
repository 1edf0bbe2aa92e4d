"""Whoever waits for a case hears of each change, and of a joined case those of the case it joined."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from service import watch as watching
from service.demo.night import Night
from service.demo.world import Item, bearer
from service.model import WireId, unwire
from service.store import cases as store
from service.watch import Watch


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """One that never looks by itself: what it is not told of, it waits for in vain."""
    monkeypatch.setattr(watching, "LOOK_SECONDS", 1e6)

    async def nowhere(_: UUID) -> None:
        return

    return Watch(nowhere)


async def test_a_change_between_the_look_and_the_wait_is_heard(watch: Watch) -> None:
    case, looks = uuid4(), 0

    async def holds() -> bool:
        nonlocal looks
        looks += 1
        # It changes just after we have looked, before anybody waits.
        watch.changed(case)
        return looks > 3

    assert await watch.until(case, 1e6, holds)
    assert looks == 4


async def test_a_shutdown_ends_every_wait_those_that_begin_later_too(watch: Watch) -> None:
    async def never() -> bool:
        return False

    waiting = asyncio.create_task(watch.until(uuid4(), 1e6, never))
    await asyncio.sleep(0)
    watch.close()
    assert not await waiting
    assert not await watch.until(uuid4(), 1e6, never)


async def test_of_a_joined_case_the_one_it_joined_is_waited_for(night: Night) -> None:
    show = await night.shop.show("joined", starts_in=-timedelta(minutes=10))
    order = await night.shop.order(show, [Item(kind="merchandise", name="T-shirt", price=3000)])
    body = {"problem": "merch_wrong", "order": order.ref, "show": show, "channel": "api"}
    first, second = [
        (await night.client.post("/v1/cases", json=body, headers=bearer(night.desk.platform, key))).json() for key in ("first", "second")
    ]
    assert second["joined_to"] == first["id"]
    ids = [unwire(WireId.CASE, one["id"]) for one in (first, second)]
    found = [await store.target(night.pool, night.desk.platform_id, one) for one in ids if one is not None]
    assert found == [ids[0], ids[0]]
