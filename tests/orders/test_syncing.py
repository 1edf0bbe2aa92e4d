"""A platform's own system is kept up with: by looking, by being told, through its troubles, and beside the platform's own feed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
import yaml

from service.api.auth import Authenticator
from service.api.frame import Parts, build_app
from service.api.requests import ClientAddress
from service.api.webhooks_pretix import PretixWebhook
from service.model import Json
from service.orders import OrderState
from service.platform_checks import read_settings
from service.platforms import Platforms, sealed
from service.ports import ChangedPage, FetchedOrder, OrderSource, Unavailable
from service.sealing import Vault
from service.settings_reading import SettingsError
from service.sources import Sources, System
from service.store.keys import Change
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from service.store.sources import SourceStore
from service.syncing import HEARD_MAX, NotTaken, Syncing
from service.vendors import systems
from tests.orders.conftest import AlwaysReady
from tests.orders.loading import MAPPING, orders_of, shows_of
from tests.orders.test_pretix_platform import paid
from tests.patience import PATIENCE_SECONDS
from tests.peers.loopback import Fault, json
from tests.peers.pretix_stub import EVENT, ORGANIZER, TOKEN, PretixStub

VAULT: Final = Vault(b"an installation secret of the tests, 32 bytes and more", purpose="platform")
HOOK: Final = "w" * 24
CHANGE: Final = Change(actor="test", why="a test")


def source_at(address: str, **changes: Any) -> dict[str, Any]:
    said = {"kind": "pretix", "url": address, "organizer": ORGANIZER, "events": [EVENT], "token": TOKEN, "webhook_token": HOOK}
    return {**said, "mapping": yaml.safe_load(MAPPING.read_text()), **changes}


class Kept:
    """One process that keeps up with one platform on a pretix."""

    def __init__(self, pool: Pool, stub: PretixStub) -> None:
        self.pool = pool
        self.stub = stub
        self.slug = f"sync-{uuid4().hex[:12]}"
        self.platform = uuid4()
        self.told: list[tuple[UUID, str]] = []
        self.platforms = Platforms(PlatformStore(pool), VAULT, monotonic=time.monotonic, kept_seconds=0.0)
        self.sources = Sources(SourceStore(pool), self.platforms, openers=systems(private=True))
        self.syncing = Syncing(SourceStore(pool), self.sources, shows=shows_of(pool), orders=orders_of(pool), told=self._tell)

    async def _tell(self, platform: UUID, adapter: str) -> None:
        self.told.append((platform, adapter))

    async def set(self, **changes: Any) -> None:
        """The platform's settings, as they would be stored."""
        document = {"name": "Shop", "source": source_at(self.stub.base_url, **changes)}
        stored: Json = msgspec.to_builtins(sealed(read_settings(document, rails={"stripe": "sandbox"}), VAULT, self.slug))
        if not await PlatformStore(self.pool).add(self.platform, self.slug, stored, CHANGE):
            await PlatformStore(self.pool).change(self.slug, stored, CHANGE)
        await self.syncing.refresh()

    async def look(self, *, later: timedelta = timedelta()) -> None:
        """What is due is read now; `later` lets so much time pass before."""
        await self.pool.execute("UPDATE source_cursor SET due_at = due_at - $2::interval WHERE platform_id = $1", self.platform, later)
        await self.syncing.poll()

    async def order(self, ref: str) -> OrderState | None:
        return await orders_of(self.pool).get(self.platform, ref)

    async def count(self, table: str) -> int:
        number: int = await self.pool.fetchval(f"SELECT count(*) FROM {table} WHERE platform_id = $1", self.platform)
        return number

    async def alerts(self) -> int:
        number: int = await self.pool.fetchval("SELECT count(*) FROM cases WHERE platform_id = $1 AND skill = 'operations'", self.platform)
        return number


@pytest.fixture
async def kept(still_pool: Pool) -> AsyncIterator[Kept]:
    """What is due is a matter of the test alone."""
    async with PretixStub().serving() as stub:
        made = Kept(still_pool, stub)
        await made.set()
        yield made
        await made.sources.close()


@pytest.fixture
async def pretix(kept: Kept) -> AsyncIterator[httpx.AsyncClient]:
    """Posts to the route as pretix would."""

    async def nobody(*_: str) -> None:
        return None

    parts = Parts(
        authenticator=Authenticator(key=nobody, session=nobody, platform_token=nobody),
        readiness=AlwaysReady(),
        client_address=ClientAddress(proxies=0),
        domain={"platforms": kept.platforms, "syncing": kept.syncing},
    )
    app: Any = build_app(parts, [PretixWebhook], version="0")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def note(code: str, **changes: Any) -> dict[str, Any]:
    return {"notification_id": 7, "organizer": ORGANIZER, "event": EVENT, "code": code, "action": "pretix.event.order.paid", **changes}


# ----------------------------------------------------------------------------------------------------- looking


async def test_all_orders_come_first_and_then_what_changed(kept: Kept) -> None:
    await kept.look()
    assert await kept.count("orders") == len(kept.stub.orders)
    order = kept.stub.order_where(paid)
    order["locale"] = "fr"
    kept.stub.touch(order)
    await kept.look(later=timedelta(minutes=1))
    seen = await kept.order(order["code"])
    assert seen is not None
    assert seen.locale == "fr"


async def test_it_looks_twice_a_minute_and_not_more(kept: Kept) -> None:
    await kept.look()
    asked = len(kept.stub.asked)
    await kept.look(later=timedelta(seconds=20))
    assert len(kept.stub.asked) == asked
    await kept.look(later=timedelta(seconds=15))
    assert len(kept.stub.asked) > asked


async def test_its_system_is_told_what_happens_here(kept: Kept) -> None:
    await kept.syncing.refresh()
    assert kept.told == [(kept.platform, f"source:{kept.slug}")]
    assert f"source:{kept.slug}" in kept.sources.adapters


async def test_a_pretix_that_is_away_is_looked_at_again_and_nothing_is_skipped(kept: Kept) -> None:
    kept.stub.fail(Fault(method="GET", path="/api", instead="reset", times=1))
    await kept.look()
    assert await kept.count("orders") == 0
    await kept.look(later=timedelta(minutes=1))
    assert await kept.count("orders") == len(kept.stub.orders)


async def test_a_wrong_token_is_a_case_for_people_and_one_is_enough(kept: Kept) -> None:
    await kept.set(token="wrong")
    await kept.look()
    await kept.look(later=timedelta(minutes=1))
    assert await kept.alerts() == 1
    assert kept.stub.asked
    await kept.set()
    await kept.look(later=timedelta(minutes=1))
    assert await kept.count("orders") == len(kept.stub.orders)


async def test_an_order_that_cannot_be_taken_in_is_told_and_comes_when_it_is_mended(kept: Kept) -> None:
    order = kept.stub.order_where(paid)
    total, order["total"] = order["total"], "1.001"
    await kept.look()
    assert (await kept.order(order["code"]), await kept.alerts(), await kept.count("source_news")) == (None, 1, 1)
    order["total"] = total
    await kept.pool.execute("UPDATE source_news SET due_at = due_at - interval '1 hour' WHERE platform_id = $1", kept.platform)
    await kept.syncing.listen()
    assert (await kept.order(order["code"]) is not None, await kept.count("source_news")) == (True, 0)


async def test_another_mapping_reads_all_again(kept: Kept) -> None:
    await kept.look()
    mapping = yaml.safe_load(MAPPING.read_text())
    for item in mapping["items"][EVENT].values():
        item["kind"] = "other"
    await kept.set(mapping=mapping)
    await kept.look()
    kinds = {line.kind for ref in kept.stub.orders for line in getattr(await kept.order(ref), "lines", ()) if line.kind != "fee"}
    assert kinds == {"other"}


async def test_what_the_platform_says_of_its_show_stays(kept: Kept) -> None:
    await kept.look()
    shows = shows_of(kept.pool)
    known = await shows.get(kept.platform, EVENT)
    assert known is not None
    await kept.pool.execute("UPDATE show SET version = 2, status = 'cancelled' WHERE platform_id = $1 AND ref = $2", kept.platform, EVENT)
    order = kept.stub.order_where(paid)
    kept.stub.event["name"] = {"en": "Another name"}
    kept.stub.touch(order)
    await kept.sources.close()
    await kept.look(later=timedelta(minutes=1))
    after = await shows.get(kept.platform, EVENT)
    assert after is not None
    assert (after.status, after.name) == ("cancelled", known.name)


# ----------------------------------------------------------------------------------------------------- being told


async def test_an_order_that_pretix_told_of_is_here_at_once(kept: Kept, pretix: httpx.AsyncClient) -> None:
    order = kept.stub.order_where(paid)
    answer = await pretix.post(f"/webhooks/pretix/{kept.slug}/{HOOK}", json=note(order["code"]))
    assert answer.status_code == 204
    await kept.syncing.listen()
    assert await kept.order(order["code"]) is not None
    assert (await kept.count("orders"), await kept.count("source_news")) == (1, 0)


async def test_nothing_of_what_it_says_is_believed_but_the_code(kept: Kept, pretix: httpx.AsyncClient) -> None:
    order = kept.stub.order_where(paid)
    order.update({"status": "n", "payments": []})
    await pretix.post(f"/webhooks/pretix/{kept.slug}/{HOOK}", json=note(order["code"], status="p", total="0.00"))
    await kept.syncing.listen()
    seen = await kept.order(order["code"])
    assert seen is not None
    assert seen.status == "pending"


async def test_a_pretix_that_is_away_when_it_has_told_is_asked_again(kept: Kept, pretix: httpx.AsyncClient) -> None:
    order = kept.stub.order_where(paid)
    await pretix.post(f"/webhooks/pretix/{kept.slug}/{HOOK}", json=note(order["code"]))
    kept.stub.fail(Fault(method="GET", path="/api", instead=json(503, {})))
    await kept.syncing.listen()
    assert (await kept.order(order["code"]), await kept.count("source_news")) == (None, 1)
    await kept.pool.execute("UPDATE source_news SET due_at = due_at - interval '1 minute' WHERE platform_id = $1", kept.platform)
    await kept.syncing.listen()
    assert (await kept.order(order["code"]) is not None, await kept.count("source_news")) == (True, 0)


@pytest.mark.parametrize("path", ["{slug}/{wrong}", "nobody/{hook}", "{slug}/{short}", "{slug}/-----------------------"])
async def test_whoever_does_not_know_the_address_is_not_heard(kept: Kept, pretix: httpx.AsyncClient, path: str) -> None:
    there = path.format(slug=kept.slug, wrong="x" * 24, hook=HOOK, short=HOOK[:-1])
    answer = await pretix.post(f"/webhooks/pretix/{there}", json=note("ABCDE"))
    assert (answer.status_code, await kept.count("source_news")) == (404, 0)


_NOT_OURS: Final = [
    b"",
    b"[]",
    b"{",
    b"[" * 9000,
    b'{"organizer":"org","event":"clock26","code":"../../x"}',
    b'{"organizer":"org","event":"no","code":"ABCDE"}',
]


@pytest.mark.parametrize("body", _NOT_OURS)
async def test_what_is_not_about_an_order_of_ours_harms_nobody(kept: Kept, pretix: httpx.AsyncClient, body: bytes) -> None:
    answer = await pretix.post(f"/webhooks/pretix/{kept.slug}/{HOOK}", content=body)
    assert (answer.status_code, await kept.count("source_news")) == (204, 0)


async def test_more_than_a_sale_can_bring_is_put_off(kept: Kept, pretix: httpx.AsyncClient) -> None:
    most, seconds = HEARD_MAX
    now = await kept.pool.fetchval("SELECT date_bin(make_interval(secs => $1), app_now(), timestamptz '2020-01-01 00:00Z')", seconds)
    for window in (now, now + timedelta(seconds=seconds)):  # the minute may end meanwhile
        await kept.pool.execute(
            "INSERT INTO rate (platform_id, bucket, window_start, used) VALUES ($1, 'source-news', $2, $3)", kept.platform, window, most
        )
    answer = await pretix.post(f"/webhooks/pretix/{kept.slug}/{HOOK}", json=note("ABCDE"))
    assert (answer.status_code, await kept.count("source_news")) == (429, 0)


# ---------------------------------------------------------------------------------------------------- the flow


async def test_the_flow_can_ask_for_one_order(kept: Kept) -> None:
    order = kept.stub.order_where(paid)
    assert await kept.syncing.fetch(kept.platform, order["code"])
    assert await kept.order(order["code"]) is not None
    assert not await kept.syncing.fetch(kept.platform, "NEVER")
    kept.stub.fail(Fault(method="GET", path="/api", instead="reset"))
    with pytest.raises(Unavailable):
        await kept.syncing.fetch(kept.platform, order["code"])


class OneAnswer:
    """A system that gives the same order whichever it is asked for."""

    def __init__(self, order: FetchedOrder) -> None:
        self.order = order

    async def fetch(self, _: str) -> FetchedOrder:
        return self.order

    async def changed(self, _: str) -> AsyncIterator[ChangedPage]:
        yield ChangedPage(orders=(self.order,), cursor="1")


def a_system(orders: OrderSource | Stuck) -> System:
    return cast("System", SimpleNamespace(orders=orders))


async def test_an_order_that_is_known_is_not_read_as_another_one(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    code = kept.stub.order_where(paid)["code"]
    # One that is new to us may be written the system's own way.
    assert await kept.syncing.fetch(kept.platform, code.lower())
    assert await kept.order(code) is not None
    system = await kept.sources.of(kept.platform)
    assert system is not None
    fetched = await system.orders.fetch(code)
    assert fetched is not None
    swapped = OneAnswer(msgspec.structs.replace(fetched, ref=code.lower()))

    async def of(_: UUID) -> System:
        return a_system(swapped)

    monkeypatch.setattr(kept.sources, "of", of)
    with pytest.raises(NotTaken, match="another order"):
        await kept.syncing.fetch(kept.platform, code)
    assert await kept.count("orders") == 1


class Stuck:
    """A system that does not answer before it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def fetch(self, _: str) -> None:
        self.asked.set()
        await self.go.wait()

    async def changed(self, _: str) -> AsyncIterator[ChangedPage]:
        self.asked.set()
        await self.go.wait()
        yield ChangedPage(orders=(), cursor="1")


@pytest.fixture
async def beside(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Kept, Stuck]]:
    """Another platform in the process of `kept`, whose system is stuck."""
    other, stuck, of = Kept(kept.pool, kept.stub), Stuck(), kept.sources.of
    await other.set()

    async def one_is_stuck(platform: UUID) -> System | None:
        return a_system(stuck) if platform == other.platform else await of(platform)

    monkeypatch.setattr(kept.sources, "of", one_is_stuck)
    await kept.syncing.refresh()
    yield other, stuck
    stuck.go.set()
    await other.sources.close()


async def test_a_system_that_is_stuck_keeps_nobody_else_waiting(kept: Kept, beside: tuple[Kept, Stuck]) -> None:
    other, stuck = beside
    await kept.pool.execute("UPDATE source_cursor SET due_at = due_at + interval '1 hour' WHERE platform_id = $1", kept.platform)
    held = asyncio.create_task(kept.syncing.poll())
    await stuck.asked.wait()
    await kept.look(later=timedelta(hours=2))
    assert await kept.count("orders") == len(kept.stub.orders)
    assert not held.done()
    stuck.go.set()
    await held
    assert await other.count("orders") == 0


async def test_by_itself_it_goes_on_with_others_beside_one_that_is_stuck(kept: Kept, beside: tuple[Kept, Stuck]) -> None:
    _, stuck = beside
    stop = asyncio.Event()
    running = asyncio.create_task(kept.syncing.run(stop))
    await stuck.asked.wait()
    code = kept.stub.order_where(paid)["code"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await kept.order(code) is None:
            await asyncio.sleep(0)
    stop.set()
    stuck.go.set()
    await running


async def test_hints_of_one_platform_leave_room_for_the_others(kept: Kept, beside: tuple[Kept, Stuck]) -> None:
    other, stuck = beside
    for number in range(40):
        await kept.syncing.hear(other.platform, f"N{number}")
    first = asyncio.create_task(kept.syncing.listen())
    await stuck.asked.wait()
    code = kept.stub.order_where(paid)["code"]
    await kept.syncing.hear(kept.platform, code)
    later = asyncio.create_task(kept.syncing.listen())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await kept.count("source_news"):
            await asyncio.sleep(0)
    assert await kept.order(code) is not None
    tried = await kept.pool.fetchval("SELECT count(*) FROM source_news WHERE platform_id = $1 AND tries > 0", other.platform)
    assert 0 < tried <= 4
    stuck.go.set()
    await asyncio.gather(first, later)


async def test_pretix_makes_the_passes_unless_the_settings_name_somebody_else(kept: Kept) -> None:
    assert await kept.sources.issuer(kept.platform, "") is not None
    assert await kept.sources.issuer(kept.platform, "pretix") is not None
    assert await kept.sources.issuer(kept.platform, "sandbox") is None
    assert await kept.sources.issuer(uuid4(), "") is None


# ---------------------------------------------------------------------------------------------------- settings


async def test_tokens_are_sealed_and_stand_nowhere(kept: Kept) -> None:
    stored = await kept.pool.fetchval("SELECT settings::text FROM platform WHERE id = $1", kept.platform)
    assert TOKEN not in stored
    assert HOOK not in stored
    platform = await kept.platforms.by_id(kept.platform)
    assert platform is not None
    assert (platform.source_token, platform.webhook_token) == (TOKEN, HOOK)


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        ({"url": "http://shop.example"}, "source.url: has to start with https://"),
        ({"url": "https://["}, "source.url: is not a URL"),
        ({"url": "https://a:b@shop.example"}, "source.url: holds a name"),
        ({"token": None}, "source.token: is missing"),
        ({"organizer": ""}, "source.organizer"),
        ({"events": []}, "source.events: is missing"),
        ({"events": ["../x"]}, "is not the short form"),
        ({"mapping": {}}, "source.mapping: is missing"),
        ({"webhook_token": "short"}, "source.webhook_token"),
        ({"kind": "fax"}, "source.kind"),
    ],
)
def test_settings_that_cannot_work_are_told_before_they_are_kept(change: dict[str, Any], mistake: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"name": "Shop", "source": source_at("https://shop.example", **change)}, rails={})
    assert any(mistake in one for one in caught.value.mistakes)
    assert not any(TOKEN in one for one in caught.value.mistakes)
