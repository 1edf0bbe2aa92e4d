"""Whose pages may call from a browser: the service's own and the platform's, where customers call; nobody else's, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from service.app import Application
from service.limits import Limits
from service.platform_checks import read_settings
from service.platforms import is_origin
from service.settings import SettingsError
from tests.desk.console import HERE, Office, installation, open_office
from tests.promises.house import until

CORS: Final = "access-control-"
CODES_MAX: Final = Limits().codes_per_session[0]
# What is not the platform's: another site, a neighbour, another scheme or port, a frame without an origin, what somebody invents.
FOREIGN: Final = (
    "https://evil.example",
    "https://{shop}.evil.example",
    "https://x.{shop}",
    "http://{shop}",
    "https://{shop}:8443",
    "https://{shop}/",
    "https://{shop}.",
    "null",
    "",
    "*",
    f"{HERE}.evil.example",
    f"{HERE}:8080",
)


class Shop:
    """A platform whose pages are at an address of its own."""

    def __init__(self, office: Office, host: str) -> None:
        self.office = office
        self.host = host
        self.origin = f"https://{host}"
        self.slug = office.slug

    def asks(self, origin: str | None, token: str | None = None, **headers: str) -> dict[str, str]:
        named = {"Makegood-Platform": self.slug, "Idempotency-Key": uuid4().hex, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return named | ({"Origin": origin} if origin is not None else {}) | ({"Authorization": f"Bearer {token}"} if token else {})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(database_url: str) -> AsyncIterator[Application]:
    async with installation(database_url) as opened:
        yield opened


@pytest.fixture
async def shop(app: Application) -> Shop:
    host = f"shop-{uuid4().hex}.example"
    return Shop(await open_office(app, origins=[f"https://{host}", "http://localhost:3000"]), host)


@pytest.fixture
async def http(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    asgi: Any = app.http
    transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        yield client


def cors_of(answer: httpx.Response) -> Mapping[str, str]:
    return {name.removeprefix(CORS): value for name, value in answer.headers.items() if name.startswith(CORS)}


async def session(http: httpx.AsyncClient, shop: Shop) -> str:
    answer = await http.post("/v1/sessions", headers=shop.asks(shop.origin))
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


async def sessions_of(shop: Shop) -> int:
    count: int = await shop.office.pool.fetchval("SELECT count(*) FROM session WHERE platform_id = $1", shop.office.id)
    return count


async def test_a_page_of_the_platform_reads_what_customers_are_answered(http: httpx.AsyncClient, shop: Shop) -> None:
    for origin in (shop.origin, "http://localhost:3000"):
        answer = await http.post("/v1/sessions", headers=shop.asks(origin))
        assert answer.status_code == 201
        assert cors_of(answer) == {"allow-origin": origin, "expose-headers": "Location, Retry-After, X-Request-Id"}
        assert "origin" in answer.headers["vary"].lower()


async def test_what_anybody_may_ask_is_kept_apart_by_origin(http: httpx.AsyncClient, shop: Shop) -> None:
    answer = await http.get("/v1/help", headers=shop.asks(shop.origin))
    assert answer.status_code == 200, answer.text
    assert cors_of(answer)["allow-origin"] == shop.origin
    kept_apart = [one.strip().lower() for one in answer.headers["vary"].split(",")]
    assert sorted(kept_apart) == ["makegood-platform", "origin"]
    assert (await http.get("/v1/help", headers=shop.asks("https://evil.example"))).status_code == 403
    assert (await http.get("/v1/help/live", params={"show": "x"}, headers=shop.asks("https://evil.example"))).status_code == 403


async def test_problems_can_be_read_as_well(http: httpx.AsyncClient, shop: Shop) -> None:
    token = await session(http, shop)
    body = {"problem": "other", "channel": "widget"}
    once = shop.asks(shop.origin, token, Idempotency_Key="the-same-key")
    assert (await http.post("/v1/cases", json=body, headers=once)).status_code in (201, 202)
    refused = {
        "invalid_request": await http.post("/v1/sessions/codes", json={"email": "nobody"}, headers=shop.asks(shop.origin, token)),
        "not_authenticated": await http.get("/v1/session", headers=shop.asks(shop.origin, "mgs_unknown")),
        "not_found": await http.get(f"/v1/cases/case_{uuid4().hex}", headers=shop.asks(shop.origin, token)),
        "code_refused": await http.post("/v1/sessions/verify", json={"code": "000000"}, headers=shop.asks(shop.origin, token)),
        "idempotency_key_reused": await http.post("/v1/cases", json=body | {"message": "something else"}, headers=once),
    }
    for code, answer in refused.items():
        assert answer.json()["type"] == f"urn:makegood:problem:{code}", answer.text
        assert cors_of(answer)["allow-origin"] == shop.origin, answer.text


async def test_a_crowds_refusal_says_when_to_come_again(http: httpx.AsyncClient, shop: Shop) -> None:
    token = await session(http, shop)
    for _ in range(2 * CODES_MAX + 1):  # a quarter of an hour may begin anew in between, and with it another six
        answer = await http.post("/v1/sessions/codes", json={"email": "mira@example.org"}, headers=shop.asks(shop.origin, token))
        if answer.status_code != 202:
            break
    assert answer.status_code == 429
    assert cors_of(answer)["allow-origin"] == shop.origin
    assert "Retry-After" in cors_of(answer)["expose-headers"]
    assert int(answer.headers["retry-after"]) > 0


async def test_a_stream_is_read_like_any_answer(http: httpx.AsyncClient, shop: Shop) -> None:
    token = await session(http, shop)
    body = {"problem": "other", "channel": "widget", "message": "please look"}
    made = await http.post("/v1/cases", json=body, headers=shop.asks(shop.origin, token, Prefer="wait=5"))
    assert made.status_code in (200, 201, 202), made.text
    address = f"/v1/cases/{made.json()['id']}/progress"
    shop.office.app.watch.close()  # what is there is told, and the stream ends
    answer = await http.get(address, headers=shop.asks(shop.origin, token, Accept="text/event-stream"))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert cors_of(answer)["allow-origin"] == shop.origin


@pytest.mark.parametrize("template", FOREIGN)
async def test_a_foreign_page_is_refused_before_anything_is_done(http: httpx.AsyncClient, shop: Shop, template: str) -> None:
    token, before = await session(http, shop), await sessions_of(shop)
    origin = template.format(shop=shop.host)
    body = {"problem": "other", "channel": "widget"}
    answers = [
        await http.post("/v1/sessions", headers=shop.asks(origin)),
        await http.post("/v1/cases", json=body, headers=shop.asks(origin, token)),
        await http.get("/v1/session", headers=shop.asks(origin, token)),
        await http.get("/v1/session", headers=shop.asks(origin, "mgs_unknown")),
        await http.delete("/v1/session", headers=shop.asks(origin, token)),
    ]
    for answer in answers:
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"] == "urn:makegood:problem:origin_not_allowed"
        assert cors_of(answer) == {}
    assert await sessions_of(shop) == before
    assert (await http.get("/v1/session", headers=shop.asks(shop.origin, token))).status_code == 200


async def test_the_services_own_pages_pass_and_so_does_whoever_has_no_origin(http: httpx.AsyncClient, shop: Shop) -> None:
    for headers in (shop.asks(HERE), shop.asks(None), shop.asks("https://behind.proxy.example", Sec_Fetch_Site="same-origin")):
        answer = await http.post("/v1/sessions", headers=headers)
        assert answer.status_code == 201
        assert cors_of(answer) == {}
        assert "origin" in answer.headers["vary"].lower()


async def test_a_page_of_one_platform_does_not_act_for_a_customer_of_another(app: Application, http: httpx.AsyncClient, shop: Shop) -> None:
    other = Shop(await open_office(app, origins=["https://other.example"]), "other.example")
    token = await session(http, other)
    for answer in (
        await http.get("/v1/session", headers=shop.asks(shop.origin, token)),
        await http.get("/v1/session", headers=shop.asks(other.origin, token)),
        await http.get("/v1/session", headers=other.asks(shop.origin, token)),
    ):
        assert answer.status_code == 403
        assert cors_of(answer) == {}
    assert (await http.get("/v1/session", headers=other.asks(other.origin, token))).status_code == 200


async def test_no_page_reads_what_a_key_is_answered(http: httpx.AsyncClient, shop: Shop) -> None:
    for token in (shop.office.platform, *shop.office.tokens.values()):
        answer = await http.get("/v1/wait", headers=shop.asks(shop.origin, token))
        assert answer.status_code == 200
        assert cors_of(answer) == {}


def preflight(origin: str, method: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type"}


async def known(http: httpx.AsyncClient, shop: Shop) -> httpx.Response:
    """A new platform's pages are known within moments: the answer that its own are given then."""
    path, headers = "/v1/cases/case_1/messages", preflight(shop.origin, "POST")
    return await until(lambda: http.options(path, headers=headers), lambda answer: bool(cors_of(answer)))


async def test_a_browser_may_ask_first_where_customers_call(http: httpx.AsyncClient, shop: Shop) -> None:
    answer = await known(http, shop)
    assert answer.status_code == 204
    assert cors_of(answer) == {
        "allow-origin": shop.origin,
        "allow-methods": "POST",
        "allow-headers": "Authorization, Content-Type, Idempotency-Key, Prefer, Makegood-Platform, Last-Event-ID",
        "max-age": "600",
    }
    assert cors_of(await http.options("/v1/session", headers=preflight(shop.origin, "DELETE")))["allow-methods"] == "DELETE, GET"
    assert cors_of(await http.options("/v1/sessions", headers=preflight(shop.origin, "POST")))["allow-methods"] == "POST"


@pytest.mark.parametrize(
    ("path", "method", "origin"),
    [
        ("/v1/orders/M0VLU", "PUT", "{own}"),
        ("/v1/queue", "GET", "{own}"),
        ("/v1/desk/session", "GET", "{own}"),
        ("/livez", "GET", "{own}"),
        ("/v1/cases/case_1/messages", "DELETE", "{own}"),
        ("/v1/cases/case_1/messages", "POST", "https://evil.example"),
        ("/v1/cases/case_1/messages", "POST", "null"),
        ("/v1/nothing", "GET", "{own}"),
    ],
)
async def test_a_browser_that_may_not_is_told_nothing(http: httpx.AsyncClient, shop: Shop, path: str, method: str, origin: str) -> None:
    await known(http, shop)
    answer = await http.options(path, headers=preflight(origin.format(own=shop.origin), method))
    assert cors_of(answer) == {}


async def test_a_place_that_was_taken_back_is_refused(database_url: str, http: httpx.AsyncClient, shop: Shop) -> None:
    token = await session(http, shop)
    await shop.office.pool.execute("UPDATE platform SET settings = settings - 'origins' WHERE id = $1", shop.office.id)
    async with installation(database_url) as later:  # one that has not just read the settings of before
        asgi: Any = later.http
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=asgi), base_url=HERE) as fresh:
            assert (await fresh.get("/v1/session", headers=shop.asks(shop.origin, token))).status_code == 403
            assert (await fresh.get("/v1/session", headers=shop.asks(HERE, token))).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example",
        "https://shop.example:8443",
        "https://xn--bhne-5qa.example",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
    ],
)
def test_what_a_browser_says_of_a_page_is_an_origin(text: str) -> None:
    assert is_origin(text)
    assert read_settings({"name": "x", "origins": [text]}, rails={}).origins == (text,)


@pytest.mark.parametrize(
    "text",
    [
        "https://Shop.example",
        "https://shop.example:443",
        "http://localhost:80",
        "http://shop.example",
        "http://localhost.evil.example",
        "https://shop.example/",
        "https://*.example",
        "https://shop.example; script-src *",
        "https://shop.example https://evil.example",
        "https://shop.example\n",
        "https://user@shop.example",
        "https://bühne.example",
        "ftp://shop.example",
        "null",
        "*",
        "'self'",
    ],
)
def test_what_no_browser_says_is_none(text: str) -> None:
    assert not is_origin(text)
    with pytest.raises(SettingsError):
        read_settings({"name": "x", "origins": [text]}, rails={})


def test_a_platforms_origins_fit_in_one_header() -> None:
    many = [f"https://{'shop' * 20}-{number}.example" for number in range(30)]
    with pytest.raises(SettingsError, match="together"):
        read_settings({"name": "x", "origins": many}, rails={})
