"""Signing in to the console by a link or a token: who is let in, what the cookie opens, and what ends a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from service.app import Application
from service.keys import scopes_of
from service.store.keys import AgentChanged, KeyStore
from tests import copies
from tests.desk.console import HERE, Office, audited, browsing, installation, open_case, open_office
from tests.identity.world import TESTING


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(postgres_dsn: str, template_database: str) -> AsyncIterator[Application]:
    """One installation for all tests of this file; each has a platform of its own."""
    async with copies.copy_of(template_database, postgres_dsn) as url, installation(url) as opened:
        yield opened


@pytest.fixture
async def office(app: Application) -> Office:
    # All browsers here have one address, and some tests count what is there.
    await app.pool.execute("DELETE FROM rate; DELETE FROM desk_session; DELETE FROM sign_in_once")
    return await open_office(app)


@pytest.fixture
async def browser(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with browsing(office.app) as client:
        yield client


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


async def later(office: Office, seconds: float) -> None:
    await office.pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", seconds)


async def test_a_link_signs_its_agent_in_once(office: Office, browser: httpx.AsyncClient) -> None:
    code = await office.link("Mira")
    answer = await browser.post("/v1/desk/sessions", json={"code": code})
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["agent"]["name"], shown["agent"]["role"]) == ("Mira", "agent")
    assert shown["platform"] == {"slug": office.slug, "name": "Moonlight", "languages": ["en"], "zone": "UTC", "accent": "#1f4fd8"}
    assert shown["scopes"] == sorted(scopes_of((), "agent"))
    again = await browser.post("/v1/desk/sessions", json={"code": code})
    assert (again.status_code, code_of(again)) == (422, "sign_in_refused")
    assert (await browser.get("/v1/desk/session")).json() == shown
    assert [one["data"]["way"] for one in await audited(office, "signed_in")] == ["link"]
    assert len(await audited(office, "sign_in_link_made")) == 1


async def test_two_who_use_one_link_at_once_get_one_session(office: Office, browser: httpx.AsyncClient) -> None:
    code = await office.link("Mira")
    tries = [await browser.post("/v1/desk/sessions", json={"code": code}) for _ in range(3)]
    assert sorted(one.status_code for one in tries) == [201, 422, 422]
    assert await office.pool.fetchval("SELECT count(*) FROM desk_session WHERE platform_id = $1", office.id) == 1


async def test_a_link_is_dead_after_two_minutes(office: Office, browser: httpx.AsyncClient) -> None:
    code = await office.link("Mira")
    await later(office, 121)
    answer = await browser.post("/v1/desk/sessions", json={"code": code})
    assert (answer.status_code, code_of(answer)) == (422, "sign_in_refused")
    await office.sessions.forget_old()
    assert await office.pool.fetchval("SELECT count(*) FROM sign_in_once") == 0


@pytest.mark.parametrize(
    "body",
    [
        {"code": "mgl_" + "A" * 43},
        {"code": "mgk_" + "A" * 43},
        {"code": "' OR true --"},
        {"token": "mgk_" + "A" * 43},
        {"token": "mgd_" + "A" * 43},
    ],
)
async def test_what_is_unknown_signs_nobody_in(browser: httpx.AsyncClient, body: dict[str, str]) -> None:
    answer = await browser.post("/v1/desk/sessions", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "sign_in_refused")
    assert "set-cookie" not in answer.headers


async def test_the_console_is_for_people(office: Office, browser: httpx.AsyncClient) -> None:
    for token in (office.tokens["Bot"], office.platform):
        answer = await browser.post("/v1/desk/sessions", json={"token": token})
        assert (answer.status_code, code_of(answer)) == (403, "not_for_programs")
    assert await office.sessions.link(office.id, (await office.agent("Bot")).id, TESTING) is None


async def test_a_token_gives_no_more_than_it_may_do_and_takes_its_session_with_it(office: Office, browser: httpx.AsyncClient) -> None:
    store = KeyStore(office.pool)
    (key,) = [one for one in await store.listed(office.id) if one.name == "Mira"]
    await office.pool.execute("UPDATE api_key SET scopes = '{cases:read,settings:write}' WHERE id = $1", key.id)
    answer = await browser.post("/v1/desk/sessions", json={"token": office.tokens["Mira"]})
    assert (answer.status_code, answer.json()["scopes"]) == (201, ["cases:read"])
    await store.revoke(office.id, key.id, TESTING)
    assert (await browser.get("/v1/desk/session")).status_code == 401


async def test_the_cookie_is_kept_from_scripts_and_from_other_sites(office: Office, browser: httpx.AsyncClient) -> None:
    answer = await office.signed_in(browser, "Mira")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("makegood_desk=mgd_")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
    assert "Secure" not in cookie  # this installation is known under http


async def test_on_https_the_cookie_is_secure_and_no_neighbour_can_set_it(fresh_database_url: str) -> None:
    async with installation(fresh_database_url, MAKEGOOD_PUBLIC_URL="https://help.example") as app:
        office = await open_office(app)
        async with browsing(app, page="https://help.example") as browser:
            answer = await browser.post("/v1/desk/sessions", json={"code": await office.link("Leo")})
            cookie = answer.headers["set-cookie"]
            token = cookie.partition(";")[0].partition("=")[2]
            plain = await browser.get("/v1/desk/session", headers={"Cookie": f"makegood_desk={token}"})
    assert cookie.startswith("__Host-makegood_desk=mgd_")
    assert "Secure" in cookie
    assert plain.status_code == 401


async def test_a_session_is_always_a_new_one(office: Office, browser: httpx.AsyncClient) -> None:
    """Whatever cookie a browser was given before somebody signs in, it is worth nothing after."""
    planted = "mgd_" + "P" * 43
    browser.cookies.set("makegood_desk", planted)
    first = await office.signed_in(browser, "Mira")
    assert planted not in first.headers["set-cookie"]
    before = first.headers["set-cookie"].partition(";")[0]
    await browser.post("/v1/desk/sessions", json={"code": await office.link("Ben")}, headers={"Cookie": before})
    stale = await browser.get("/v1/desk/session", headers={"Cookie": before})
    assert stale.status_code == 401
    assert await office.pool.fetchval("SELECT count(*) FROM desk_session") == 1


ATTACKS = [
    ({}, None, "neither says where it comes from"),
    ({"Makegood-Desk": "1"}, None, "no origin"),
    ({"Origin": HERE}, None, "no header"),
    ({"Makegood-Desk": "1", "Origin": "https://evil.example"}, None, "another site"),
    ({"Makegood-Desk": "1", "Origin": "null"}, None, "a sandboxed frame"),
    ({"Makegood-Desk": "1", "Origin": HERE, "Sec-Fetch-Site": "same-site"}, None, "a neighbour"),
    ({"Makegood-Desk": "1", "Origin": HERE, "Sec-Fetch-Site": "cross-site"}, None, "another site"),
    ({"Makegood-Desk": "1", "Sec-Fetch-Site": "none"}, None, "no page at all"),
    ({"Makegood-Desk": "yes", "Origin": HERE}, None, "another header"),
    ({"Makegood-Desk": "1", "Origin": HERE.replace("http:", "https:")}, None, "another scheme"),
    ({"Makegood-Desk": "1", "Origin": f"{HERE}:8080"}, None, "another port"),
    ({"Makegood-Desk": "1", "Origin": "http://evil.example", "Host": "evil.example"}, None, "a host that the request itself names"),
    ({"Makegood-Desk": "1", "Origin": "null", "Host": ""}, None, "no host at all"),
    ({"Makegood-Desk": "1", "Origin": "http://[evil"}, None, "an origin that is none"),
    ({"Makegood-Desk": "1", "Origin": f"{HERE}:port"}, None, "a port that is none"),
    ({"Makegood-Desk": "1", "Origin": f"{HERE}@evil.example"}, None, "an address with somebody before it"),
    ({"Makegood-Desk": "1", "Origin": ""}, None, "an empty origin"),
]


@pytest.mark.parametrize(("headers", "_", "why"), ATTACKS, ids=[why + str(number) for number, (_, _, why) in enumerate(ATTACKS)])
async def test_another_page_cannot_act_with_the_cookie(office: Office, headers: dict[str, str], _: None, why: str) -> None:
    case = await open_case(office)
    async with browsing(office.app) as own:
        await office.signed_in(own, "Mira")
        cookies = dict(own.cookies)
    async with browsing(office.app, page=None) as other:
        del other.headers["Makegood-Desk"]
        other.cookies.update(cookies)
        for path, body in (("/v1/queue/take", {"case": f"case_{case.hex}"}), ("/v1/desk/sessions", {"code": await office.link("Ben")})):
            answer = await other.post(path, json=body, headers=headers)
            assert (answer.status_code, code_of(answer)) == (403, "not_from_the_console"), why
        assert (await other.delete("/v1/desk/session", headers=headers)).status_code == 403
    assert await office.pool.fetchval("SELECT owner FROM cases WHERE id = $1", case) == "queue"
    assert await office.pool.fetchval("SELECT count(*) FROM desk_session") == 1


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8080", 201),
        ("http://desk.lan:9000", 201),
        ("http://DESK.lan:9000", 201),
        ("https://desk.lan:9000", 403),
        ("http://desk.lan", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
async def test_an_installation_that_was_told_no_address_is_known_by_the_one_it_is_asked_under(
    fresh_database_url: str, origin: str, status: int
) -> None:
    async with installation(fresh_database_url, MAKEGOOD_PUBLIC_URL="") as app:
        office = await open_office(app)
        async with browsing(app, page=origin) as browser:
            answer = await browser.post("/v1/desk/sessions", json={"code": await office.link("Mira")}, headers={"Host": "desk.lan:9000"})
    assert answer.status_code == status, answer.text


async def test_the_usual_port_is_the_same_address_with_and_without_its_number(fresh_database_url: str) -> None:
    async with installation(fresh_database_url, MAKEGOOD_PUBLIC_URL="https://help.example:443") as app:
        office = await open_office(app)
        async with browsing(app, page="https://help.example") as browser:
            answer = await browser.post("/v1/desk/sessions", json={"code": await office.link("Mira")})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"Sec-Fetch-Site": "none"}, 200), ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": "https://evil.example"}, 403)],
)
async def test_reading_needs_no_header_but_no_other_page_reads(office: Office, headers: dict[str, str], status: int) -> None:
    async with browsing(office.app) as own:
        await office.signed_in(own, "Mira")
        cookies = dict(own.cookies)
    async with browsing(office.app, page=None) as other:
        del other.headers["Makegood-Desk"]
        other.cookies.update(cookies)
        assert (await other.get("/v1/queue", headers=headers)).status_code == status


async def test_the_cookie_gives_what_the_role_gives_and_a_token_beside_it_counts_alone(office: Office, browser: httpx.AsyncClient) -> None:
    case = await open_case(office)
    await office.signed_in(browser, "Mira")
    taken = await browser.post("/v1/queue/take", json={"case": f"case_{case.hex}"})
    assert taken.status_code == 200, taken.text
    assert (await browser.get("/v1/agents")).status_code == 403
    assert (await browser.get("/v1/platform/settings")).status_code == 403
    wrong = await browser.get("/v1/desk/session", headers={"Authorization": "Bearer mgk_" + "A" * 43})
    assert wrong.status_code == 401
    leads = await browser.get("/v1/agents", headers={"Authorization": f"Bearer {office.tokens['Leo']}"})
    assert leads.status_code == 200
    noted = await browser.post(f"/v1/cases/case_{case.hex}/notes", json={"body": "seen"}, headers={"Idempotency-Key": uuid4().hex})
    assert noted.status_code == 200, noted.text
    assert await office.pool.fetchval("SELECT author FROM message WHERE case_id = $1 AND kind = 'note'", case) == "agent:Mira"


PAGE_OF_MIRA: list[tuple[str, str, dict[str, object] | None]] = [
    ("POST", "/v1/queue/take", {"case": "{case}"}),
    ("POST", "/v1/cases/{case}/notes", {"body": "between us"}),
    ("POST", "/v1/cases/{case}/replies", {"body": "hello"}),
    ("PUT", "/v1/cases/{case}/draft", {"kind": "note", "body": "between"}),
    ("PUT", "/v1/desk/availability", {"available": False}),
    ("GET", "/v1/queue", None),
    ("GET", "/v1/desk/live", None),
    ("DELETE", "/v1/desk/session", None),
]


@pytest.mark.parametrize("desk", ["1", "background"])
async def test_nothing_of_one_persons_page_goes_out_under_anothers_name(office: Office, browser: httpx.AsyncClient, desk: str) -> None:
    case = f"case_{(await open_case(office)).hex}"
    mira = (await office.signed_in(browser, "Mira")).json()["agent"]["id"]
    await office.signed_in(browser, "Ben")
    for method, path, body in PAGE_OF_MIRA:
        filled = None if body is None else {name: case if value == "{case}" else value for name, value in body.items()}
        headers = {"Makegood-Agent": mira, "Makegood-Desk": desk, "Idempotency-Key": uuid4().hex}
        answer = await browser.request(method, path.format(case=case), json=filled, headers=headers)
        assert (answer.status_code, code_of(answer)) == (409, "another_person"), (method, path)
    assert (await browser.get("/v1/desk/session")).json()["agent"]["name"] == "Ben"
    for nothing in (
        "SELECT count(*) FROM message WHERE platform_id = $1 AND kind <> 'customer'",
        "SELECT count(*) FROM draft WHERE platform_id = $1",
        "SELECT count(*) FROM agent WHERE platform_id = $1 AND NOT available",
    ):
        assert await office.pool.fetchval(nothing, office.id) == 0, nothing


async def test_a_page_goes_on_when_its_own_person_signs_in_again(office: Office, browser: httpx.AsyncClient) -> None:
    mira = (await office.signed_in(browser, "Mira")).json()["agent"]["id"]
    await office.signed_in(browser, "Mira")
    assert (await browser.get("/v1/queue", headers={"Makegood-Agent": mira})).status_code == 200


@pytest.mark.parametrize("said", ["", "Mira", "agent_", f"agent_{'0' * 32}"])
async def test_a_page_of_nobody_is_nobodys(office: Office, browser: httpx.AsyncClient, said: str) -> None:
    await office.signed_in(browser, "Mira")
    answer = await browser.put("/v1/desk/availability", json={"available": False}, headers={"Makegood-Agent": said})
    assert (answer.status_code, code_of(answer)) == (409, "another_person")


async def test_an_hour_of_silence_ends_a_session_and_what_the_page_does_by_itself_is_silence(
    office: Office, browser: httpx.AsyncClient
) -> None:
    await office.signed_in(browser, "Mira")
    await later(office, 3000)
    assert (await browser.get("/v1/queue")).status_code == 200
    await later(office, 3000)
    assert (await browser.get("/v1/queue", headers={"Makegood-Desk": "background"})).status_code == 200
    assert (await browser.get("/v1/desk/session")).status_code == 200
    await later(office, 700)
    assert (await browser.get("/v1/queue")).status_code == 401


async def test_a_page_that_keeps_its_case_keeps_no_session(office: Office, browser: httpx.AsyncClient) -> None:
    case = await open_case(office)
    await office.signed_in(browser, "Mira")
    assert (await browser.post("/v1/queue/take", json={"case": f"case_{case.hex}"})).status_code == 200
    ends = (await browser.get("/v1/desk/session")).json()["signs_out_at"]
    await later(office, 500)
    kept = await browser.post(f"/v1/cases/case_{case.hex}/keep", json={"lease_seconds": 90})
    assert kept.status_code == 200, kept.text
    assert (await browser.get("/v1/desk/session")).json()["signs_out_at"] == ends
    await later(office, 3200)
    assert (await browser.post(f"/v1/cases/case_{case.hex}/keep", json={"lease_seconds": 90})).status_code == 401


async def test_twelve_hours_end_a_session_whatever_is_done(office: Office, browser: httpx.AsyncClient) -> None:
    shown = (await office.signed_in(browser, "Mira")).json()
    assert shown["signs_out_at"] < shown["expires_at"]
    for _ in range(13):
        assert (await browser.get("/v1/queue")).status_code == 200
        await later(office, 3300)
    now = (await browser.get("/v1/desk/session")).json()
    assert now["signs_out_at"] <= now["expires_at"] == shown["expires_at"]
    await later(office, 600)
    assert (await browser.get("/v1/queue")).status_code == 401


async def test_signing_out_ends_the_session_in_every_window(office: Office, browser: httpx.AsyncClient) -> None:
    await office.signed_in(browser, "Mira")
    cookie = f"makegood_desk={browser.cookies['makegood_desk']}"
    out = await browser.delete("/v1/desk/session")
    assert out.status_code == 204
    assert "makegood_desk" not in browser.cookies
    assert (await browser.get("/v1/desk/session", headers={"Cookie": cookie})).status_code == 401
    assert len(await audited(office, "signed_out")) == 1


async def test_a_disabled_agent_is_out_at_once_and_stays_out_when_they_come_back(office: Office, browser: httpx.AsyncClient) -> None:
    await office.signed_in(browser, "Mira")
    unused = await office.link("Mira")
    store, mira = KeyStore(office.pool), await office.agent("Mira")
    await store.disable_agent(office.id, mira.id, TESTING)
    assert (await browser.get("/v1/queue")).status_code == 401
    await office.pool.execute("UPDATE agent SET disabled_at = NULL WHERE id = $1", mira.id)
    assert (await browser.get("/v1/queue")).status_code == 401
    assert (await browser.post("/v1/desk/sessions", json={"code": unused})).status_code == 422


async def test_another_role_ends_the_session(office: Office, browser: httpx.AsyncClient) -> None:
    await office.signed_in(browser, "Leo")
    assert (await browser.get("/v1/agents")).status_code == 200
    leo = await office.agent("Leo")
    await office.pool.execute("UPDATE agent SET role = 'agent' WHERE id = $1", leo.id)  # whatever changed it
    assert (await browser.get("/v1/queue")).status_code == 401
    await office.pool.execute("UPDATE agent SET role = 'lead' WHERE id = $1", leo.id)
    await KeyStore(office.pool).change_agent(office.id, leo.id, AgentChanged(role="agent"), TESTING)
    assert await office.pool.fetchval("SELECT count(*) FROM desk_session") == 0


async def test_a_platforms_ways_to_sign_in_are_told_to_anyone(fresh_database_url: str) -> None:
    async with installation(fresh_database_url) as app, browsing(app) as browser:
        office = await open_office(app)
        only = (await browser.get("/v1/desk/sign-in")).json()
        assert only == {"platform": office.slug, "name": "Moonlight", "accent": "#1f4fd8", "ways": ["link", "token"]}
        other = await open_office(app, sign_in={"issuer": "https://id.example", "client_id": "makegood"})
        named = (await browser.get("/v1/desk/sign-in", params={"platform": other.slug})).json()
        assert named["ways"] == ["oidc", "link", "token"]
        assert (await browser.get("/v1/desk/sign-in")).json()["platform"] is None
        assert (await browser.get("/v1/desk/sign-in", params={"platform": "nobody"})).status_code == 404


async def test_a_lead_says_what_agents_can_do_but_not_how_they_sign_in(office: Office) -> None:
    mira = await office.agent("Mira")
    path, lead = f"/v1/agents/agent_{mira.id.hex}", {"Authorization": f"Bearer {office.tokens['Leo']}"}
    async with browsing(office.app, page=None) as http:
        body = {"languages": ["de", "en"], "capacity": 8, "reason": "speaks both"}
        changed = await http.put(path, json=body, headers=lead)
        assert (changed.status_code, changed.json()["languages"], changed.json()["capacity"]) == (200, ["de", "en"], 8)
        refused = await http.put(path, json={"sign_in": "leo@shop.example", "reason": "to be her"}, headers=lead)
        assert (refused.status_code, code_of(refused)) == (403, "not_for_leads")
    await KeyStore(office.pool).change_agent(office.id, mira.id, AgentChanged(sign_in="mira@shop.example"), TESTING)
    assert (await office.agent("Mira")).sign_in == "mira@shop.example"
    (_, given) = await audited(office, "agent_changed")
    assert given["data"]["sign_in"] == "given"
    assert "mira@shop.example" not in str(await office.pool.fetchval("SELECT jsonb_agg(data) FROM audit"))
