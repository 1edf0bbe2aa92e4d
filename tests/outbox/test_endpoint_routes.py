"""What a platform may ask of its endpoints, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from standardwebhooks import Webhook

from service.api import headers as header_values
from service.api.endpoints import FAILURES, EndpointRoutes
from service.api.frame import build_app
from service.store.endpoints import ENDPOINTS_MAX
from tests.identity.world import TESTING, World, calling
from tests.outbox.conftest import Post, Town

URL: Final = "https://shop.example/hooks"
REASON: Final = {"reason": "because a test says so"}


class Shop:
    """A platform that calls."""

    def __init__(self, http: httpx.AsyncClient, town: Town, token: str) -> None:
        self.town = town
        self._http = http
        self._token = token

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": key or uuid4().hex}
        return await self._http.request(method, f"/v1/endpoints{path}", json=body, headers=headers)

    async def makes(self, **more: Any) -> dict[str, Any]:
        answer = await self.call("POST", "", {"name": "shop", "url": URL, **REASON, **more})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def audited(self) -> list[tuple[str, str, str]]:
        rows = await self.town.pool.fetch(
            "SELECT what, actor, why FROM audit WHERE platform_id = $1 AND what LIKE 'endpoint%' ORDER BY id", self.town.platform
        )
        return [(row["what"], row["actor"], row["why"]) for row in rows]


@pytest.fixture
async def shop(town: Town) -> AsyncIterator[Shop]:
    world = World(town.pool)
    made = await world.keys.make_platform_key(town.platform, name="shop", scopes=(), days=1, change=TESTING)
    parts = msgspec.structs.replace(
        world.parts(), domain={**world.parts().domain, "endpoints": town.endpoints}, failures={**FAILURES, **header_values.FAILURES}
    )
    async with calling(build_app(parts, (EndpointRoutes,), version="test")) as http:
        yield Shop(http, town, made.token)


async def test_a_secret_is_shown_once_and_signs(shop: Shop) -> None:
    made = await shop.makes(types=["order.*"])
    assert made["secret"].startswith("whsec_")
    assert made["endpoint"]["types"] == ["order.*"]
    path = f"/{made['endpoint']['id']}"
    for answer in (await shop.call("GET", ""), await shop.call("GET", path), await shop.call("GET", f"{path}/deliveries")):
        assert answer.status_code == 200
        assert "whsec_" not in answer.text
    assert (
        await shop.town.pool.fetchval(
            "SELECT count(*) FROM endpoint WHERE position($1::bytea in sealed_secret) > 0", made["secret"].encode()
        )
        == 0
    )
    tried = await shop.call("POST", f"{path}/test")
    assert (tried.status_code, tried.json()["delivered"], tried.json()["status"]) == (200, True, 204)
    (post,) = shop.town.receivers.at(URL)
    assert Webhook(made["secret"]).verify(post.body, dict(post.headers))["type"] == "ping"


async def test_a_request_that_is_repeated_makes_one_endpoint_and_shows_no_secret_again(shop: Shop) -> None:
    body = {"name": "shop", "url": URL, **REASON}
    first = await shop.call("POST", "", body, key="a")
    again = await shop.call("POST", "", body, key="a")
    assert again.json() == {"endpoint": first.json()["endpoint"], "secret": None}
    assert (await shop.call("POST", "", {**body, "name": "other"}, key="a")).status_code == 422
    assert len((await shop.call("GET", "")).json()["endpoints"]) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "http://shop.example"}, "/url"),
        ({"types": ["refund.sent", "refund.stolen"]}, "/types/1"),
        ({"types": ["refund"]}, "/types/0"),
        ({"types": ["re*"]}, "/types/0"),
        ({"types": []}, "/types"),
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"secret": "whsec_mine"}, "/secret"),
        ({"reason": ""}, "/reason"),
    ],
)
async def test_what_is_wrong_is_named_by_its_field(shop: Shop, wrong: dict[str, Any], field: str) -> None:
    answer = await shop.call("POST", "", {"name": "shop", "url": URL, **REASON, **wrong})
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, [field]), answer.text


async def test_a_platform_has_so_many_endpoints_and_no_more(shop: Shop) -> None:
    for _ in range(ENDPOINTS_MAX):
        made = await shop.makes()
    body = {"name": "shop", "url": URL, **REASON}
    answer = await shop.call("POST", "", body, key="one-more")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:makegood:problem:too_many_endpoints")
    assert (await shop.call("DELETE", f"/{made['endpoint']['id']}?reason=no+longer")).status_code == 204
    assert (await shop.call("POST", "", body, key="one-more")).status_code == 201


async def test_every_change_is_kept_with_who_and_why_and_no_address(shop: Shop) -> None:
    path = f"/{(await shop.makes())['endpoint']['id']}"
    changed = await shop.call("PATCH", path, {"url": "https://new.example/?key=hidden", "types": ["case.*"], "reason": "we moved"})
    assert (changed.json()["url"], changed.json()["types"]) == ("https://new.example/?key=hidden", ["case.*"])
    assert (await shop.call("PATCH", path, {"state": "paused", "reason": "we rest"})).json()["why"] == "we rest"
    assert (await shop.call("POST", f"{path}/rotate", {"reason": "every year"})).json()["endpoint"]["former_secret_until"] is not None
    assert (await shop.call("POST", f"{path}/replay", {"after": 0, "reason": "again"})).json() == {"events": 0}
    assert (await shop.call("POST", f"{path}/enable", {"reason": "go on"})).json()["state"] == "active"
    assert (await shop.call("DELETE", f"{path}?reason=no+longer")).status_code == 204
    assert [(what, why) for what, _, why in await shop.audited()] == [
        ("endpoint_made", "because a test says so"),
        ("endpoint_changed", "we moved"),
        ("endpoint_changed", "we rest"),
        ("endpoint_secret_rotated", "every year"),
        ("endpoint_replayed", "again"),
        ("endpoint_enabled", "go on"),
        ("endpoint_removed", "no longer"),
    ]
    assert {actor for _, actor, _ in await shop.audited()} == {"key:shop"}
    assert await shop.town.pool.fetchval("SELECT count(*) FROM audit WHERE data::text LIKE '%hidden%'") == 0


async def test_what_waits_and_why_is_shown_and_sent_again_when_asked(shop: Shop) -> None:
    path = f"/{(await shop.makes())['endpoint']['id']}"

    async def broken(_: Post) -> int:
        return 500

    shop.town.receivers.answers[URL] = broken
    order = await shop.town.order()
    await shop.town.tell(order, 1)
    await shop.town.tell(order, 2)
    await shop.town.until_still()
    shown = (await shop.call("GET", f"{path}/deliveries")).json()
    assert [(one["position"], one["state"], one["tries"], one["detail"]) for one in shown["waiting"]] == [
        (1, "parked", 1, "status 500"),
        (2, "parked", 0, ""),
    ]
    assert [one["next_try_at"] is None for one in shown["waiting"]] == [False, True]
    assert [(one["status"], one["type"]) for one in shown["tries"]] == [(500, "order.changed")]
    assert (await shop.call("GET", f"{path}/deliveries?only=dead")).json()["waiting"] == []
    shop.town.receivers.answers.clear()
    body = {"events": [shown["waiting"][0]["id"]], "reason": "mended"}
    assert (await shop.call("POST", f"{path}/replay", body, key="again")).json() == {"events": 1}
    assert (await shop.call("POST", f"{path}/replay", body, key="again")).json() == {"events": 0}
    await shop.town.until_still()
    assert shop.town.receivers.numbers(URL) == [1, 1, 2]
    assert (await shop.call("GET", f"{path}/deliveries")).json()["waiting"] == []


@pytest.mark.parametrize(
    "asked", [{}, {"after": 1, "from": 1, "to": 2}, {"from": 1}, {"to": 1}, {"from": 2, "to": 1}, {"events": ["evt_1"]}, {"after": -1}]
)
async def test_a_replay_says_exactly_what(shop: Shop, asked: dict[str, Any]) -> None:
    path = f"/{(await shop.makes())['endpoint']['id']}"
    assert (await shop.call("POST", f"{path}/replay", {**asked, **REASON})).status_code == 400


async def test_a_replay_from_beyond_the_feed_s_end_is_refused_and_loses_nothing(shop: Shop) -> None:
    path = f"/{(await shop.makes())['endpoint']['id']}"
    await shop.town.tell(await shop.town.order(), 1)
    await shop.town.until_still()
    for after in (2, 10**15, 2**63 - 1):
        answer = await shop.call("POST", f"{path}/replay", {"after": after, **REASON})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/after"), answer.text
    assert (await shop.call("POST", f"{path}/replay", {"after": 1, **REASON})).json() == {"events": 0}
    await shop.town.tell(await shop.town.order(), 2)
    await shop.town.until_still()
    assert shop.town.receivers.numbers(URL) == [1, 2]


async def test_a_disabled_endpoint_is_enabled_by_saying_so_and_not_by_a_change_of_state(shop: Shop) -> None:
    made = await shop.makes()
    path = f"/{made['endpoint']['id']}"
    await shop.town.pool.execute("UPDATE endpoint SET state = 'disabled' WHERE id = $1", UUID(made["endpoint"]["id"][3:]))
    answer = await shop.call("PATCH", path, {"state": "active", **REASON})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:makegood:problem:not_by_hand")
    assert (await shop.call("PATCH", path, {"url": "https://new.example/", **REASON})).status_code == 200
    assert (await shop.call("POST", f"{path}/enable", REASON)).json()["state"] == "active"


async def test_an_adapter_s_endpoint_is_shown_and_paused_and_not_taken_apart(shop: Shop) -> None:
    endpoint = await shop.town.endpoints.ensure_adapter(shop.town.platform, "source:shop", ["refund.*"], TESTING)
    path = f"/ep_{endpoint.hex}"
    assert (await shop.call("GET", path)).json()["kind"] == "adapter"
    assert (await shop.call("PATCH", path, {"state": "paused", **REASON})).json()["state"] == "paused"
    for method, where, body in (
        ("PATCH", "", {"url": URL, **REASON}),
        ("DELETE", "", None),
        ("POST", "/rotate", REASON),
    ):
        assert (await shop.call(method, path + where, body)).status_code == 409, (method, where)
