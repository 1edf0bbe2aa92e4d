"""Whoever waits for a case hears of each change, and of a joined case those of the case it joined."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from service import glances as glancing
from service import watch as watching
from service.demo.night import Night
from service.demo.world import Item, bearer
from service.glances import Follower, Glances, Key
from service.model import WireId, unwire
from service.store import cases as store
from service.store.cases import Mark
from service.watch import Watch
from tests.desk.console import installation


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """One that never looks by itself: what it is not told of, it waits for in vain."""
    monkeypatch.setattr(watching, "LOOK_SECONDS", 1e6)

    async def nowhere(_: object) -> None:
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


async def test_of_what_changes_at_once_other_processes_hear_in_one_go_and_later_than_this_one() -> None:
    sent: list[Collection[UUID]] = []

    async def send(cases: Collection[UUID]) -> None:
        sent.append(cases)
        if len(sent) == 1:
            # While the first are on their way.
            watch.tell(many[3])

    watch, many = Watch(send), [uuid4() for _ in range(5)]
    with ExitStack() as stack:
        events = [stack.enter_context(watch.heard(case)) for case in many]
        watch.tell(*many[:2])
        watch.tell(many[2])
        watch.tell()
        assert [event.is_set() for event in events] == [True, True, True, False, False]
        assert sent == []
    await watch.told()
    assert sent == [set(many[:3]), {many[3]}]


async def test_a_hint_that_cannot_be_sent_fails_nobody_and_keeps_none_back() -> None:
    sent: list[Collection[UUID]] = []

    async def send(cases: Collection[UUID]) -> None:
        sent.append(cases)
        if len(sent) == 1:
            watch.tell(second)
            raise OSError("the database is away")

    watch, first, second, third = Watch(send), uuid4(), uuid4(), uuid4()
    with watch.heard(first) as event:
        watch.tell(first)
        assert event.is_set()
    await watch.told()
    watch.tell(third)
    await watch.told()
    assert sent == [{first}, {second}, {third}]


async def test_a_process_that_stops_tells_the_others_first(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Collection[UUID]] = []

    async def slowly(cases: Collection[UUID]) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        sent.append(cases)

    async with installation(fresh_database_url) as app:
        monkeypatch.setattr(app.watch, "_send", slowly)
        app.watch.tell(case := uuid4())
        await app.finish()
        assert sent == [{case}]


class Marks:
    """What a glance finds; counts how often it was asked."""

    def __init__(self) -> None:
        self.found: dict[Key, Mark] = {}
        self.asked = 0

    def put(self, key: Key, seq: int, state: str = "open") -> None:
        self.found[key] = Mark(platform_id=key[0], id=key[1], seq=seq, state=state)

    async def read(self, keys: Sequence[Key]) -> Sequence[Mark]:
        self.asked += 1
        return [self.found[key] for key in keys if key in self.found]


async def woken(follower: Follower) -> bool:
    """Whether it was told of something; only a wait for what never comes is cut short."""
    try:
        async with asyncio.timeout(0):
            await follower.wait(1e6, 1e6)
    except TimeoutError:
        return False
    return True


async def test_one_glance_wakes_the_streams_that_have_news_and_no_others(watch: Watch) -> None:
    marks = Marks()
    glances = Glances(marks.read, watch)
    keys = [(uuid4(), uuid4()) for _ in range(3)]
    with ExitStack() as stack:
        behind, abreast, ended, unknown = (stack.enter_context(glances.following(*key)) for key in (keys[0], *keys))
        behind.saw(3, "open")
        abreast.saw(4, "open")
        ended.saw(4, "open")
        marks.put(keys[0], 4)
        marks.put(keys[1], 4, "resolved")
        await glances.once()
        assert [await woken(one) for one in (behind, abreast, ended, unknown)] == [True, False, True, False]
        assert marks.asked == 1


async def test_a_stream_hears_of_a_change_that_nobody_hinted_at(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glancing, "LOOK_SECONDS", 0.0)
    marks, key = Marks(), (uuid4(), uuid4())
    with Glances(marks.read, watch).following(*key) as follower:
        follower.saw(1, "open")
        marks.put(key, 2)
        await follower.wait(1e6, 1e6)
    assert marks.asked


async def test_a_glance_that_fails_ends_no_stream(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glancing, "LOOK_SECONDS", 0.0)
    failures, key = 3, (uuid4(), uuid4())

    async def read(keys: Sequence[Key]) -> Sequence[Mark]:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise ConnectionError
        return [Mark(platform_id=one[0], id=one[1], seq=2, state="open") for one in keys]

    with Glances(read, watch).following(*key) as follower:
        follower.saw(1, "open")
        await follower.wait(1e6, 1e6)
    assert failures < 0


async def test_a_glance_reads_the_marks_of_many_cases_at_once(night: Night) -> None:
    body = {"problem": "other", "channel": "api"}
    opened = [(await night.client.post("/v1/cases", json=body, headers=bearer(night.desk.platform, uuid4().hex))).json() for _ in range(3)]
    ids = [unwire(WireId.CASE, one["id"]) for one in opened]
    keys = [(night.desk.platform_id, one) for one in ids if one is not None]
    last = "SELECT max(seq) FROM timeline WHERE platform_id = $1 AND case_id = $2"
    before = await night.pool.fetchval(last, *keys[0])
    found = {one.id: one for one in await store.marks(night.pool, [*keys, (uuid4(), keys[0][1])])}
    assert set(found) == {case for _, case in keys}
    assert 0 < before <= found[keys[0][1]].seq <= await night.pool.fetchval(last, *keys[0])


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
