"""Nothing that a request of the desk carries makes the service fail: every parameter and header with what nobody should send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import pytest

from service.app import contract_app
from tests.desk.console import Office, browsing, installation, open_case, open_office
from tests.promises.house import FULL

_TAGS: Final = frozenset({"desk", "figures", "referrals", "policies"})
_METHODS: Final = ("get", "post", "put", "delete")

# As they stand in an address: text that is none, numbers and dates beyond any calendar or column, more than anybody would write.
_VALUES: Final = (
    "",
    "%00",
    "a%00b",
    "%FF%FE",
    "%ED%A0%80",  # half of a surrogate pair
    quote("é\uff20\u0661"),
    quote("\u202e\ufeff"),
    "x" * 5_000,
    "-1",
    "0",
    "1_0",
    quote("\u0661\u0662"),
    "9" * 30,
    "1e400",
    "NaN",
    "null",
    "%5B",
    "%7B%7D",
    "%27--",
    "..%2F..%2Fetc%2Fpasswd",
    f"case_{'f' * 32}",
    f"case_{'é' * 32}".replace("é", quote("é")),
    "0001-01-01T00:00:00Z",
    quote("0001-01-01T00:00:00+14:00"),
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z",
    "2026-11-20",
    "999999999999",
    "-99999999999999",
)
_HEADERS: Final = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Cookie",
    "Host",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Makegood-Agent",
    "Makegood-Desk",
    "Makegood-Platform",
    "Origin",
    "Prefer",
    "Range",
    "Sec-Fetch-Site",
    "X-Forwarded-For",
    "X-Request-Id",
)
_SAID: Final = (
    b"",
    b"\x00",
    b"\xff\xfe",
    "é\uff20".encode(),
    b"x" * 5_000,
    b"-1",
    b"9" * 30,
    b"null",
    b"http://[evil",
    b"http://a:port",
    b"http://a:99999999",
    b"http://\xe2\x84\x80.example",  # what NFKC turns into a slash: urlsplit refuses it
    b"Bearer \xff",
    b"Bearer mgd_\xff",
    b"Bearer a.b.c",
    b'"',
    b"*/*;q=x",
    b";=,",
    b"makegood_desk=\xff",
    b'makegood_desk="\\777',
    b"agent_" + b"f" * 32,
    b"agent_\xff",
    b"0000000000000000-" + b"9" * 15,
    b"bytes=9-1",
    b"application/json; charset=\xff",
    b"text/plain; charset=nonsense",
    b"multipart/form-data",
)
# Everything everywhere with MAKEGOOD_FULL=1. Otherwise each parameter and each route is sent a third of the values, another third at the
# next one; so every value is sent in every header, and as many kinds of parameters.
EVERY: Final = 1 if FULL else 3


@pytest.fixture(scope="module")
async def office(database_url: str) -> AsyncIterator[Office]:
    async with installation(database_url) as app:
        app.desk_live.stream_seconds = 0.01
        yield await open_office(app)


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str, list[Mapping[str, Any]]]]:
    """Method, path and parameters of each route of the desk, from the contract."""
    schema = contract_app().openapi_schema.to_schema()
    return [
        (method, path, _at_route(schema, found[method].get("parameters", [])))
        for path, found in schema["paths"].items()
        for method in _METHODS
        if method in found and _TAGS & set(found[method].get("tags", ()))
    ]


def _at_route(schema: Mapping[str, Any], parameters: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [schema["components"]["parameters"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in parameters]


def _filled(path: str, ids: Mapping[str, str]) -> str:
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def _addresses(path: str, parameters: list[Mapping[str, Any]], ids: Mapping[str, str]) -> Iterator[str]:
    for one in parameters:
        if one["in"] == "path":
            for value in _VALUES:
                yield _filled(path.replace(f"{{{one['name']}}}", value), ids)
        elif one["in"] == "query":
            for value in _VALUES:
                yield f"{_filled(path, ids)}?{one['name']}={value}"


async def _fails(browser: httpx.AsyncClient, method: str, address: str, **more: Any) -> str:
    """How it failed; empty when it did not."""
    base = httpx.URL(str(browser.base_url))
    content = b"{}" if method in {"post", "put"} else None
    request = browser.build_request(method, base.copy_with(raw_path=address.encode()), content=content, **more)
    if content and "content-type" not in request.headers:
        request.headers["Content-Type"] = "application/json"
    answer = await browser.send(request)
    if answer.status_code >= 500:
        return f"{answer.status_code} {method} {address[:120]} {more}"
    if answer.status_code >= 400 and "problem+json" not in answer.headers.get("content-type", ""):
        return f"no problem: {answer.status_code} {method} {address[:120]} {more}"
    return ""


def test_the_table_has_every_route_of_the_desk(routes: list[tuple[str, str, list[Mapping[str, Any]]]]) -> None:
    known = {(method, path) for method, path, _ in routes}
    assert {
        ("get", "/v1/figures"),
        ("get", "/v1/queue"),
        ("get", "/v1/search"),
        ("get", "/v1/desk/live"),
        ("get", "/v1/referrals"),
    } <= known
    assert len(routes) > 30


async def test_no_parameter_makes_it_fail(office: Office, routes: list[tuple[str, str, list[Mapping[str, Any]]]]) -> None:
    case = await open_case(office)
    ids = {
        "case_id": f"case_{case.hex}",
        "attachment_id": f"att_{'0' * 32}",
        "operation_id": f"op_{'0' * 32}",
        "referral_id": f"ref_{'0' * 32}",
        "pack": "refunds",
    }
    wrong = []
    headers = {"Authorization": f"Bearer {office.tokens['Leo']}", "Idempotency-Key": "strange"}
    async with browsing(office.app) as browser:
        for number, (method, path, parameters) in enumerate(routes):
            addresses = [*_addresses(path, parameters, ids)]
            wrong += [await _fails(browser, method, one, headers=headers) for one in addresses[number % EVERY :: EVERY]]
    assert [one for one in wrong if one] == []


# One of each kind: read, written, streamed, a page, the ways in and out, open to anybody.
_ROUTES: Final = (
    ("get", "/v1/queue"),
    ("get", "/v1/desk/session"),
    ("get", "/v1/desk/live"),
    ("get", "/desk"),
    ("get", "/desk/oidc/callback?state=x&code=y"),
    ("get", "/v1/figures"),
    ("put", "/v1/desk/availability"),
    ("post", "/v1/cases/{case_id}/attachments?name=x"),
    ("post", "/v1/cases/{case_id}/replies"),
    ("post", "/v1/desk/sessions"),
    ("post", "/v1/satisfaction"),
)


@pytest.mark.parametrize("name", _HEADERS)
async def test_no_header_makes_it_fail(office: Office, name: str) -> None:
    case = await open_case(office)
    wrong = []
    async with browsing(office.app) as browser:
        await office.signed_in(browser, "Mira")
        usual = {"Idempotency-Key": "strange", "Cookie": f"makegood_desk={browser.cookies['makegood_desk']}"}
        browser.cookies.clear()
        for number, (method, path) in enumerate(_ROUTES):
            address = path.replace("{case_id}", f"case_{case.hex}")
            for said in _SAID[number % EVERY :: EVERY]:
                sent = {key: value for key, value in {**browser.headers, **usual}.items() if key.lower() != name.lower()}
                headers = [(key.encode(), value.encode()) for key, value in sent.items()] + [(name.encode(), said)]
                wrong.append(await _fails(browser, method, address, headers=headers))
    assert [one for one in wrong if one] == []


_BODIES: Final[tuple[tuple[str, str, dict[str, int]], ...]] = (
    ("/v1/satisfaction", "token", {"score": 5}),
    ("/v1/desk/sessions", "token", {}),
    ("/v1/desk/sessions", "code", {}),
)


@pytest.mark.parametrize(("path", "field", "more"), _BODIES, ids=[f"{path} {field}" for path, field, _ in _BODIES])
async def test_what_anybody_may_send_makes_it_fail_least_of_all(office: Office, path: str, field: str, more: Mapping[str, Any]) -> None:
    wrong = []
    async with browsing(office.app) as browser:
        for prefix in ("", "mgf_", "mgl_", "mgd_", "mgk_"):
            for value in ("é", "é" * 43, "\x00", "=", "====", "A", "A" * 43, "A" * 116, "\uff20", "\u202e", " ", "x" * 5_000):
                answer = await browser.post(path, json={field: prefix + value, **more})
                if answer.status_code not in {400, 404, 422}:
                    wrong.append((prefix, value[:20], answer.status_code))
    assert wrong == []


@pytest.mark.parametrize(
    ("field", "at"),
    [
        ("to", "0001-01-01T00:00:00Z"),
        ("to", "0001-01-01T00:00:00+14:00"),
        ("to", "1999-12-31T23:59:59Z"),
        ("to", "9999-12-31T23:59:59-14:00"),
        ("to", "2101-01-01T00:00:00Z"),
        ("from", "0001-01-01T00:00:00Z"),
        ("from", "9999-12-31T23:59:59-14:00"),
    ],
)
async def test_figures_of_a_time_that_nobody_sold_tickets_in_are_refused_by_name(office: Office, field: str, at: str) -> None:
    async with browsing(office.app, page=None) as http:
        answer = await http.get("/v1/figures", params={field: at}, headers={"Authorization": f"Bearer {office.tokens['Leo']}"})
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, [field]), answer.text


async def test_figures_of_the_first_and_the_last_day_there_are_can_be_had(office: Office) -> None:
    async with browsing(office.app, page=None) as http:
        for params in ({"to": "2000-01-01T00:00:00Z"}, {"from": "2000-01-01T00:00:00Z"}, {"to": "2100-12-31T23:59:59Z"}):
            answer = await http.get("/v1/figures", params=params, headers={"Authorization": f"Bearer {office.tokens['Leo']}"})
            assert answer.status_code == 200, answer.text


def test_every_value_is_one_that_an_address_can_carry() -> None:
    assert all(urlsplit(f"http://x/?q={value}").query == f"q={value}" for value in _VALUES)
