"""A platform's settings: every version kept with who and why, changed whole, never over another's head, brought back by one command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from policies import bundled_folder, load_packs
from service.api import frame
from service.api import settings as settings_routes
from service.api.settings import SettingsRoutes
from service.pack_desk import PackDesk
from service.sealing import Vault
from service.settings_desk import SettingsDesk, UnknownVersion
from service.settings_reading import SettingsError
from service.store.keys import Change
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from tests.identity.world import SECRET, Shop, World, calling

BY_MIRA = Change(actor="cli:mira", why="a reason")
KINDS = {"shop": "stripe", "play": "sandbox", "wallet": "sandbox_payout"}
SOURCE = {"kind": "http", "url": "https://shop.example/api", "token": "a-token-of-the-platform"}
PROOF = {"issuer": "https://id.example", "audience": "makegood", "secret": "x" * 40}


class Town(msgspec.Struct, frozen=True):
    world: World
    shop: Shop
    other: Shop
    http: httpx.AsyncClient
    desk: SettingsDesk
    token: str

    async def call(self, method: str, path: str = "", body: Any = None, *, match: str | None = None) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": uuid4().hex}
        return await self.http.request(
            method, f"/v1/platform/settings{path}", json=body, headers=sent if match is None else {**sent, "If-Match": match}
        )

    async def put(self, **settings: Any) -> httpx.Response:
        tag = (await self.call("GET")).headers["ETag"]
        return await self.call("PUT", body={"settings": {"name": "Moonlight", **settings}, "reason": "a test"}, match=tag)


@pytest.fixture
async def town(fresh_pool: Pool) -> AsyncIterator[Town]:
    world = World(fresh_pool)
    shop, other = await Shop.opens(fresh_pool), await Shop.opens(fresh_pool)
    packs = PackDesk(fresh_pool, load_packs(bundled_folder(), ("en", "de")))
    desk = SettingsDesk(PlatformStore(fresh_pool), Vault(SECRET, purpose="platform"), KINDS, packs.mistakes)
    given = world.parts()
    parts = msgspec.structs.replace(
        given, domain={**given.domain, "settings_desk": desk}, failures={**given.failures, **settings_routes.FAILURES}
    )
    made = await world.keys.make_platform_key(shop.id, name="console", scopes=("settings:write",), days=1, change=BY_MIRA)
    async with calling(frame.build_app(parts, (SettingsRoutes,), version="test")) as http:
        yield Town(world, shop, other, http, desk, made.token)


async def test_what_is_read_can_be_sent_back_and_changes_nothing(town: Town) -> None:
    await town.put(languages=["en", "de"], zone="Europe/Berlin", proof=PROOF, caps={"per_rail_and_day": {"EUR": 500}})
    read = await town.call("GET")
    again = await town.call("PUT", body={"settings": read.json()["settings"], "reason": "a test"}, match=read.headers["ETag"])
    assert (again.status_code, again.headers["ETag"], again.json()) == (200, read.headers["ETag"], read.json())


@pytest.mark.parametrize("before", ["0", "-1", "99999999999999999999"])
async def test_history_before_no_version_is_a_mistake_of_who_asks(town: Town, before: str) -> None:
    answer = await town.call("GET", f"/history?before={before}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "before")
    assert (await town.call("GET", "/history?before=5")).status_code == 200
    assert (await town.call("GET", "/history")).status_code == 200


async def test_an_address_that_is_none_is_a_mistake_that_names_its_field(town: Town) -> None:
    answer = await town.put(source={**SOURCE, "url": "https://["})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/settings/source/url")


async def test_of_two_who_change_at_once_the_second_is_told(town: Town) -> None:
    tag = (await town.call("GET")).headers["ETag"]
    body = {"settings": {"name": "First"}, "reason": "a test"}
    assert (await town.call("PUT", body=body, match=tag)).status_code == 200
    late = await town.call("PUT", body={**body, "settings": {"name": "Second"}}, match=tag)
    assert (late.status_code, late.json()["type"]) == (412, "urn:makegood:problem:settings_moved")
    assert (await town.call("GET")).json()["settings"]["name"] == "First"
    assert (await town.call("PUT", body=body)).status_code == 428
    for nonsense in ("7", "*", 'W/"1"', '"1", "2"'):
        assert (await town.call("PUT", body=body, match=nonsense)).status_code == 400


async def test_every_mistake_names_its_field_and_nothing_is_taken(town: Town) -> None:
    before = (await town.call("GET")).json()
    answer = await town.put(zone="Mars/Olympus", colour="red", contacts={"support": ""}, rails=["nobody"], modes={"refund": "yolo"})
    fields = {error["field"] for error in answer.json()["errors"]}
    assert answer.status_code == 400
    assert {"/settings/colour", "/settings/contacts/support"} <= fields, fields
    answer = await town.put(zone="Mars/Olympus", rails=["nobody"], payouts={"rails": ["play"]})
    assert {error["field"] for error in answer.json()["errors"]} >= {"/settings/zone", "/settings/rails", "/settings/payouts/rails"}
    answer = await town.put(parameters={"refund": {"remorse_hours": "two", "nonsense": 1}, "nobody": {}})
    assert {error["field"] for error in answer.json()["errors"]} == {
        "/settings/parameters/refund/remorse_hours",
        "/settings/parameters/refund/nonsense",
        "/settings/parameters/nobody",
    }
    assert (await town.call("GET")).json() == before


async def test_a_secret_is_given_kept_and_never_shown(town: Town) -> None:
    await town.put(proof=PROOF, source=SOURCE)
    shown = await town.call("GET")
    assert shown.json()["secrets"] == ["proof.secret", "source.token"]
    history = await town.call("GET", "/history")
    for text in (shown.text, history.text):
        assert PROOF["secret"] not in text
        assert SOURCE["token"] not in text
        assert "sealed_" not in text
    stored = await town.world.pool.fetchval("SELECT settings FROM platform WHERE id = $1", town.shop.id)
    await town.put(**{**shown.json()["settings"], "accent": "#000000"})
    kept = await town.world.pool.fetchval("SELECT settings FROM platform WHERE id = $1", town.shop.id)
    assert (kept["proof"], kept["source"]) == (stored["proof"], stored["source"])
    changes = (await town.call("GET", "/history")).json()["versions"][0]["changes"]
    assert changes == [{"field": "accent", "was": None, "became": "#000000"}]


@pytest.mark.parametrize("change", [{"url": "https://attacker.example/api"}, {"kind": "pretix"}])
async def test_a_secret_that_nobody_was_shown_is_not_sent_elsewhere(town: Town, change: dict[str, str]) -> None:
    await town.put(source=SOURCE)
    source = (await town.call("GET")).json()["settings"]["source"]
    answer = await town.put(source={**source, **change})
    assert answer.status_code == 400, answer.text
    assert any(error["field"].startswith("/settings/source") for error in answer.json()["errors"])


async def test_a_sealed_secret_is_not_taken_from_outside(town: Town) -> None:
    answer = await town.put(proof={"issuer": "i", "audience": "a", "sealed_secret": "AAAA"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/settings/proof/secret")


async def test_history_says_who_changed_what_and_why_and_is_the_platforms_own(town: Town) -> None:
    await town.put(accent="#000000")
    await town.desk.put(town.other.id, {"name": "Other"}, BY_MIRA, expected=None)
    (newest, first) = (await town.call("GET", "/history")).json()["versions"]
    assert (newest["version"], newest["actor"], newest["why"]) == (2, "key:console", "a test")
    assert newest["changes"] == [{"field": "accent", "was": None, "became": "#000000"}]
    assert (first["version"], first["actor"]) == (1, "test")
    page = (await town.call("GET", "/history?limit=1")).json()
    assert (len(page["versions"]), page["before"]) == (1, 2)
    page = (await town.call("GET", "/history?limit=1&before=2")).json()
    assert ([one["version"] for one in page["versions"]], page["before"]) == ([1], None)


async def test_an_earlier_version_comes_back_as_a_new_one(town: Town) -> None:
    await town.put(accent="#000000", modes={"refund": "suggest"})
    await town.put(accent="#ffffff")
    answer = await town.call("POST", "/rollback", {"to": 2, "reason": "as before"})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"4"')
    assert answer.json()["settings"] == {"name": "Moonlight", "accent": "#000000", "modes": {"refund": "suggest"}}
    newest = (await town.call("GET", "/history")).json()["versions"][0]
    assert (newest["back_to"], newest["why"]) == (2, "as before")
    again = await town.call("POST", "/rollback", {"to": 2, "reason": "as before"})
    assert again.headers["ETag"] == '"4"'
    assert (await town.call("POST", "/rollback", {"to": 99, "reason": "as before"})).status_code == 404


async def test_a_rollback_brings_no_replaced_secret_back(town: Town) -> None:
    await town.put(proof=PROOF)
    await town.put(proof={**PROOF, "secret": "y" * 40})
    await town.desk.rollback(town.shop.id, 2, BY_MIRA)
    platform = await town.world.platforms.by_id(town.shop.id)
    assert platform is not None
    assert platform.proof is not None
    assert getattr(platform.proof.keys, "secret", None) == b"y" * 40


async def test_a_platform_gives_up_rails_and_takes_none(town: Town) -> None:
    names = sorted(KINDS)
    given = await town.put(rails=names[:1])
    assert given.status_code == 200, given.text
    for more in (names, None):
        answer = await town.put(**({} if more is None else {"rails": more}))
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/settings/rails")
        assert not [name for name in names[1:] if f"there are {name}" in answer.text or f", {name}" in answer.text]
    back = await town.call("POST", "/rollback", {"to": 1, "reason": "a test"})
    assert back.status_code == 400, back.text
    kept = (await town.call("GET")).json()["settings"]
    assert kept["rails"] == names[:1]
    widened = await town.desk.put(town.shop.id, {"name": "Moonlight", "rails": names}, BY_MIRA, expected=None)
    assert list(widened.settings["rails"]) == names


async def test_a_way_to_be_paid_out_is_for_the_installation_to_give(town: Town) -> None:
    payout = "wallet"
    answer = await town.put(payouts={"rails": [payout]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/settings/payouts/rails")
    await town.desk.put(town.shop.id, {"name": "Moonlight", "payouts": {"rails": [payout]}}, BY_MIRA, expected=None)
    assert (await town.put(payouts={"rails": [payout]}, zone="Europe/Berlin")).status_code == 200


async def test_an_earlier_version_that_no_longer_holds_is_not_brought_back(town: Town) -> None:
    await town.put(modes={"refund": "act"}, caps={"per_rail_and_day": {"EUR": 500}})
    await town.put()
    without = SettingsDesk(PlatformStore(town.world.pool), Vault(SECRET, purpose="platform"), {"new": "stripe"}, _fine)
    await town.put(payouts={}, rails=["play"])
    await town.put(rails=[])
    with pytest.raises(SettingsError, match="play"):
        await without.rollback(town.shop.id, 4, BY_MIRA)
    with pytest.raises(UnknownVersion):
        await without.rollback(town.other.id, None, BY_MIRA)


async def _fine(_packs: object, _settings: object) -> tuple[str, ...]:
    return ()
