"""What every route can count on: strict bodies, problems that name the field, nothing shown that is not the caller's, safe headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from service.api import contract, headers
from service.api.auth import open_to_anyone, opens_to
from service.keys import MadeKey
from service.store.idempotency import IdempotencyKey, reserve
from service.store.pool import Pool, open_connection
from tests.identity.world import TESTING, Shop, World, calling

MADE: Final[list[IdempotencyKey]] = []
TWO: Final = UUID(int=2)


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    price: int
    name: Annotated[str, msgspec.Meta(max_length=20)] = ""


class Basket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    items: Annotated[list[Item], msgspec.Meta(max_length=3)]
    notes: dict[str, str] = {}
    paid: bool = False


class Things(Controller):
    """Routes as other modules write them."""

    @post("/v1/things", opt={**opens_to("platform", scope="orders:write"), **contract.examples(request={"items": []})})
    async def make_thing(self, data: JSONBody[Basket], idempotency: NamedDependency[IdempotencyKey]) -> Basket:
        """Makes a thing."""
        MADE.append(idempotency)
        return data

    @get("/v1/things/{number:int}", opt=open_to_anyone("a test"))
    async def show_thing(self, number: FromPath[int], wait: NamedDependency[headers.Wait], size: FromQuery[int] = 3) -> dict[str, float]:
        """Shows a thing."""
        if number == 7:
            raise RuntimeError("mira@example.org")
        return {"size": size, "wait": wait.seconds_max}

    @get("/v1/forgotten")
    async def forgotten(self) -> None:
        """Declares no callers."""


@pytest.fixture
async def things(world: World) -> AsyncIterator[httpx.AsyncClient]:
    MADE.clear()
    async with calling(world.app([Things])) as http:
        yield http


@pytest.fixture
async def key(world: World, shop: Shop) -> MadeKey:
    return await world.keys.make_platform_key(shop.id, name="shop", scopes=(), days=1, change=TESTING)


def signed(key: MadeKey, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.token}", "Idempotency-Key": "one", "Content-Type": "application/json", **more}


HOSTILE: Final[list[tuple[bytes, int, str]]] = [
    (b"", 400, ""),
    (b"nope", 400, ""),
    (b"{", 400, ""),
    (b"[]", 400, ""),
    (b"null", 400, ""),
    (b'"{}"', 400, ""),
    (b"{}", 400, "/items"),
    (b'{"items":{}}', 400, "/items"),
    (b'{"items":[{}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":"1"}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":1.5}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":true}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":null}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":1,"cost":2}]}', 400, "/items/0/cost"),
    (b'{"items":[{"price":1},{"price":[]}]}', 400, "/items/1/price"),
    (b'{"items":[],"admin":true}', 400, "/admin"),
    (b'{"items":[],"a/b~c":true}', 400, "/a~1b~0c"),
    (b'{"items":[],"paid":1}', 400, "/paid"),
    (b'{"items":[],"paid":"true"}', 400, "/paid"),
    (b'{"items":[],"notes":{"a":1}}', 400, "/notes/*"),
    (b'{"items":[{"price":1},{"price":1},{"price":1},{"price":1}]}', 400, "/items"),
    (b'{"items":[{"price":1,"name":"' + b"x" * 21 + b'"}]}', 400, "/items/0/name"),
    (b'{"items":[{"price":9223372036854775808}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":-9223372036854775809}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":' + b"9" * 5000 + b"}]}", 400, "/items/0/price"),
    (b'{"items":[{"price":1e400}]}', 400, "/items/0/price"),
    (b'{"items":[{"price":NaN}]}', 400, ""),
    (b'{"items":[{"price":1,"name":"a\\u0000b"}]}', 400, "/items/0/name"),
    (b'{"items":[],"notes":{"a\\u0000":"b"}}', 400, "/notes"),
    (b'{"items":[{"price":1,"name":"a\x00b"}]}', 400, ""),
    (b'{"items":[{"price":1,"name":"\xff"}]}', 400, ""),
    (b'{"items":[{"price":1,"name":"\\ud800"}]}', 400, ""),
    (b'{"items":[{"price":1,"name":"\xed\xa0\x80"}]}', 400, ""),
    (b'{"items":' + b"[" * 100_000, 400, ""),
    (b"[" * 100_000, 400, ""),
    (b'{"items":[]} {"items":[]}', 400, ""),
    (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", 400, ""),
    (b'{"notes":"' + b"x" * (1024 * 1024) + b'"}', 413, ""),
]


@pytest.mark.parametrize(("body", "status", "field"), HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
async def test_a_hostile_body_is_a_problem_that_names_the_place(
    things: httpx.AsyncClient, key: MadeKey, body: bytes, status: int, field: str
) -> None:
    answer = await things.post("/v1/things", content=body, headers=signed(key))
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"].startswith("urn:makegood:problem:")
    if status == 400:
        assert [error["field"] for error in problem["errors"]][:1] == [field] or problem["errors"][0]["field"].startswith("/items")
    assert MADE == []


async def test_an_escaped_backslash_is_not_mistaken_for_nul(things: httpx.AsyncClient, key: MadeKey) -> None:
    answer = await things.post("/v1/things", content=b'{"items":[{"price":1,"name":"\\\\u0000"}]}', headers=signed(key))
    assert (answer.status_code, answer.json()["items"][0]["name"]) == (201, "\\u0000")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""])
async def test_only_json_is_read(things: httpx.AsyncClient, key: MadeKey, kind: str) -> None:
    answer = await things.post("/v1/things", content=b'{"items":[]}', headers=signed(key, **{"Content-Type": kind}))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (415, "Content-Type")
    assert MADE == []


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 256, "ü", "a\x7f"])
async def test_a_post_that_creates_needs_a_decent_idempotency_key(things: httpx.AsyncClient, key: MadeKey, text: str) -> None:
    sent = {name.encode(): value.encode() for name, value in signed(key, **{"Idempotency-Key": text}).items()}
    answer = await things.post("/v1/things", content=b'{"items":[]}', headers=sent)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert MADE == []


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v1/nothing", 404, None),
        ("/v1/things/x", 404, None),
        ("/v1/things/3?size=big", 400, "size"),
        ("/v1/things/3?size=%00", 400, "size"),
        ("/v1/things/3?size=%ff", 400, "size"),
        ("/v1/things/3?%ed%a0%80=1", 400, None),
        ("/v1/th%ffngs/3", 404, None),
        ("/v1/things/3%00", 404, None),
        ("/" + "a" * 5000, 404, None),
        ("/../../etc/passwd", 404, None),
    ],
)
async def test_a_hostile_address_is_a_problem_too(things: httpx.AsyncClient, path: str, status: int, field: str | None) -> None:
    answer = await things.get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    if field is not None:
        assert answer.json()["errors"][0]["field"] == field


async def test_an_unknown_method_says_which_there_are(things: httpx.AsyncClient) -> None:
    answer = await things.put("/v1/things/3")
    assert (answer.status_code, answer.json()["type"]) == (405, "urn:makegood:problem:method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "OPTIONS"}


async def test_a_bug_is_a_500_that_tells_nothing_but_the_request(things: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]) -> None:
    answer = await things.get("/v1/things/7", headers={"X-Request-Id": "trace-0815"})
    assert answer.status_code == 500
    assert answer.headers["X-Request-Id"] == "trace-0815"
    assert answer.json() == {
        "type": "urn:makegood:problem:internal_error",
        "title": "Something went wrong on our side",
        "status": 500,
        "instance": "urn:makegood:request:trace-0815",
    }
    logged = capsys.readouterr().out
    assert "trace-0815" in logged
    assert "mira@example.org" not in logged


@pytest.mark.parametrize("sent", ["short", "with space here", 'quote"quote"', "x" * 129])
async def test_a_request_id_that_could_confuse_a_log_is_replaced(things: httpx.AsyncClient, sent: str) -> None:
    answer = await things.get("/livez", headers={"X-Request-Id": sent})
    assert answer.headers["X-Request-Id"] != sent
    assert len(answer.headers["X-Request-Id"]) == 32


async def test_a_route_that_forgot_to_declare_its_callers_is_closed(things: httpx.AsyncClient, key: MadeKey) -> None:
    assert (await things.get("/v1/forgotten", headers=signed(key))).status_code == 500


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 10),
        ("wait=3", 3),
        ("respond-async, wait=7", 7),
        ('wait="5"', 5),
        ("wait=90", 25),
        ("wait=-1", 10),
        ("waiting=3", 10),
        ("wait", 10),
    ],
)
async def test_the_preference_to_wait_is_read_and_bounded(things: httpx.AsyncClient, prefer: str | None, seconds: float) -> None:
    answer = await things.get("/v1/things/3", headers={} if prefer is None else {"Prefer": prefer})
    assert answer.json()["wait"] == seconds


@pytest.mark.parametrize("path", ["/livez", "/v1/nothing", "/v1/things/7", "/openapi.json"])
async def test_every_answer_carries_the_safe_headers(things: httpx.AsyncClient, path: str) -> None:
    answer = await things.get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "X-Request-Id" in answer.headers


async def test_the_contract_says_of_every_operation_what_can_go_wrong_and_who_may(things: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await things.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    make = document["paths"]["/v1/things"]["post"]
    assert (make["operationId"], make["summary"], make["security"]) == ("make_thing", "Make thing", [{"key": []}])
    assert {"400", "401", "403", "413", "415", "422", "429", "500"} <= set(make["responses"])
    assert [parameter["name"] for parameter in make["parameters"]] == ["Idempotency-Key"]
    assert make["requestBody"]["content"]["application/json"]["example"] == {"items": []}
    assert document["paths"]["/v1/things/{number}"]["get"]["security"] == []
    for names in document["components"]["responses"].values():
        assert names["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/ProblemBody"}
    assert "/docs" not in document["paths"]
    assert "/livez" not in document["paths"]


async def test_the_contract_is_the_same_bytes_each_time(world: World) -> None:
    assert contract.render(contract.contract(world.app([Things]))) == contract.render(contract.contract(world.app([Things])))


async def test_the_page_loads_nothing_from_elsewhere(things: httpx.AsyncClient) -> None:
    page = await things.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "//" not in page.text.replace("<!doctype", "")
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert (await things.get(f"/docs/{name}")).status_code == 200, name
    assert (await things.get("/docs/swagger-ui-bundle.js.map")).status_code == 404


async def test_ready_means_migrated(world: World, things: httpx.AsyncClient) -> None:
    assert (await things.get("/readyz")).json() == {"status": "ok"}
    await world.pool.execute("DELETE FROM schema_migration WHERE number = (SELECT max(number) FROM schema_migration)")
    answer = await things.get("/readyz")
    assert (answer.status_code, "makegood migrate" in answer.json()["status"]) == (503, True)
    assert (await things.get("/livez")).status_code == 200


async def test_a_key_makes_one_thing_and_tells_another_body_apart(pool: Pool) -> None:
    shop = await Shop.opens(pool)
    key = IdempotencyKey(platform_id=shop.id, caller="platform:1", method="POST", path="/v1/things", key="k", body_hash=b"1")
    async with pool.acquire() as connection, connection.transaction():
        assert await reserve(connection, key, shop.id) is None
    async with pool.acquire() as connection, connection.transaction():
        again = await reserve(connection, key, TWO)
        other = await reserve(connection, msgspec.structs.replace(key, body_hash=b"2"), TWO)
        elsewhere = await reserve(connection, msgspec.structs.replace(key, caller="platform:2"), TWO)
    assert again is not None
    assert (again.resource_id, again.same_body) == (shop.id, True)
    assert other is not None
    assert (other.resource_id, other.same_body) == (shop.id, False)
    assert elsewhere is None


async def test_while_the_database_is_away_the_caller_is_asked_to_come_back(
    world: World, things: httpx.AsyncClient, key: MadeKey, postgres_dsn: str
) -> None:
    name = await world.pool.fetchval("SELECT current_database()")
    server = await open_connection(postgres_dsn)
    try:
        # As in a shutdown: those who are in are sent away, and nobody else is let in.
        await server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        answer = await things.post("/v1/things", content=b'{"items":[]}', headers=signed(key))
    finally:
        await server.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        await server.close()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert MADE == []
