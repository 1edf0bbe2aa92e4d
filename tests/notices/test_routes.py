"""Notices over HTTP: who may say something, what the desk and the platform hear of it, and how customers follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import jwt
import msgspec
import pytest
import pytest_asyncio

from service.app import Application
from service.store.outbox import OutboxStore
from tests import copies
from tests.desk.console import Office, browsing, installation, open_office
from tests.notices.world import CAUSE, DOWN, WHY
from tests.promises.house import until

SHARED: Final = "a secret that the platform shares, 32 bytes and more"
ISSUER: Final = "https://shop.example"
SAID: Final = {"text": DOWN, "reason": WHY}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(postgres_dsn: str, template_database: str) -> AsyncIterator[Application]:
    """One process for all tests of this file; each has a platform of its own."""
    async with copies.copy_of(template_database, postgres_dsn) as url, installation(url) as opened:
        yield opened


@pytest.fixture
async def office(app: Application) -> Office:
    await app.pool.execute("DELETE FROM rate")  # all come from one address
    proof = {"issuer": ISSUER, "audience": "makegood", "secret": SHARED}
    opened = await open_office(app, languages=["en", "de"], proof=proof)
    await feed(opened)
    return opened


async def feed(office: Office) -> None:
    """A show, and an order that the platform's own customer `c-1` has for it."""
    now = datetime.now(UTC).replace(microsecond=0)
    show = {
        "version": 1,
        "name": {"en": "Northern Lights"},
        "zone": "Europe/Berlin",
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(hours=2)).isoformat(),
    }
    order = {
        "version": 1,
        "status": "paid",
        "currency": "EUR",
        "total": 0,
        "buyer": {"name": "Mira", "email": "mira@example.org", "customer_ref": "c-1"},
        "locale": "en",
        "placed_at": (now - timedelta(days=1)).isoformat(),
        "positions": [{"ref": "1", "kind": "merchandise", "name": "Shirt", "price": 0, "shows": []}],
        "payments": [],
    }
    assert (await call(office, "PUT", "/v1/shows/nll26", office.platform, show)).status_code == 201
    answer = await call(office, "PUT", "/v1/orders/M1", office.platform, order)
    assert answer.status_code == 201, answer.text


async def call(office: Office, method: str, path: str, token: str | None, body: Any = None) -> httpx.Response:
    headers = {"Makegood-Platform": office.slug} | ({"Authorization": f"Bearer {token}"} if token else {})
    async with browsing(office.app, page=None) as http:
        return await http.request(method, path, headers=headers, json=body)


def customer(subject: str = "c-1") -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": ISSUER, "aud": "makegood", "sub": subject, "iat": now, "exp": now + 600}
    if subject == "c-1":
        claims |= {"email": "mira@example.org", "email_verified": True}
    return jwt.encode(claims, SHARED, algorithm="HS256")


async def listed(office: Office) -> list[dict[str, Any]]:
    answer = await call(office, "GET", "/v1/notices", office.tokens["Mira"])
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["notices"]
    return found


async def live(office: Office, show: str = "nll26") -> tuple[int, list[Any]]:
    """The first stream as a widget reads it, to its end."""
    office.app.notice_live.stream_seconds = 0.02
    answer = await call(office, "GET", f"/v1/help/live?show={show}", None)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return answer.status_code, [msgspec.json.decode(line) for line in lines] if answer.status_code == 200 else []


async def test_a_lead_says_something_and_the_desk_sees_who_and_why(office: Office) -> None:
    assert (await call(office, "PUT", "/v1/shows/nll26/notice", office.tokens["Leo"], SAID)).status_code == 200
    (said,) = await listed(office)
    assert (said["show"], said["text"], said["actor"], said["reason"], said["over"], said["followers"]) == (
        "nll26",
        DOWN,
        "agent:Leo",
        WHY,
        False,
        0,
    )
    assert await live(office) == (200, [await _shown(office)])
    assert (await call(office, "DELETE", "/v1/shows/nll26/notice?reason=it+plays", office.platform)).status_code == 204
    (said,) = await listed(office)
    assert (said["over"], said["actor"], said["reason"]) == (True, "key:shop", "it plays")
    rows = await office.pool.fetch(
        "SELECT what, actor, why, data->>'show' AS show FROM audit WHERE platform_id = $1 AND what LIKE 'notice%' ORDER BY id", office.id
    )
    assert [tuple(row.values()) for row in rows] == [
        ("notice_begun", "agent:Leo", WHY, "nll26"),
        ("notice_over", "key:shop", "it plays", "nll26"),
    ]


async def _shown(office: Office) -> dict[str, Any]:
    (said,) = await listed(office)
    return {name: said[name] for name in ("show", "text", "since", "updated_at", "over")} | {"updates": []}


async def test_the_same_again_changes_nothing(office: Office) -> None:
    for _ in range(3):
        assert (await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, SAID)).status_code == 200
    for _ in range(3):
        assert (await call(office, "DELETE", "/v1/shows/nll26/notice", office.platform)).status_code == 204
    assert await office.pool.fetchval("SELECT count(*) FROM notice_update WHERE platform_id = $1", office.id) == 2
    types = await office.pool.fetchval(
        "SELECT array_agg(type ORDER BY id) FROM outbox WHERE platform_id = $1 AND type LIKE 'notice%'", office.id
    )
    assert types == ["notice.begun", "notice.over"]


async def test_the_platform_is_told_what_its_widgets_say(office: Office) -> None:
    for text in (DOWN, CAUSE):
        await call(office, "PUT", "/v1/shows/nll26/notice", office.tokens["Leo"], {"text": text, "reason": WHY})
    await call(office, "DELETE", "/v1/shows/nll26/notice", office.tokens["Leo"])
    await until(lambda: unplaced(office), lambda left: left == 0)
    page = (await call(office, "GET", "/v1/events", office.platform)).json()
    told = [(one["type"], one["data"]["show"], one["data"].get("text")) for one in page["events"] if one["type"].startswith("notice")]
    assert told == [("notice.begun", "nll26", DOWN), ("notice.updated", "nll26", CAUSE), ("notice.over", "nll26", None)]
    assert WHY not in str(page)


async def unplaced(office: Office) -> int:
    """A fact is placed once no older transaction of the whole server runs, those of other tests included."""
    await OutboxStore(office.pool).place(100)
    left: int = await office.pool.fetchval("SELECT count(*) FROM outbox WHERE position IS NULL")
    return left


@pytest.mark.parametrize("who", ["Mira", "Bot", "customer", None])
async def test_only_leads_and_the_platform_say_something(office: Office, who: str | None) -> None:
    token = customer() if who == "customer" else office.tokens[who] if who else None
    for method, body in (("PUT", SAID), ("DELETE", None)):
        assert (await call(office, method, "/v1/shows/nll26/notice", token, body)).status_code in {401, 403}
    assert await listed(office) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": {"de": "Hallo"}, "reason": WHY}, "/text"),
        ({"text": DOWN | {"fr": "Bonjour"}, "reason": WHY}, "/text/fr"),
        ({"text": {}, "reason": WHY}, "/text"),
        ({"text": {"en": " \n "}, "reason": WHY}, "/text"),
        ({"text": {"en": "x" * 501}, "reason": WHY}, "/text"),
        ({"text": {"en": "a\x1bb"}, "reason": WHY}, "/text"),
        ({"text": DOWN, "reason": ""}, "/reason"),
        ({"text": DOWN}, ""),
    ],
)
async def test_what_cannot_be_said_is_refused_by_its_field(office: Office, body: Any, field: str) -> None:
    answer = await call(office, "PUT", "/v1/shows/nll26/notice", office.tokens["Leo"], body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert await listed(office) == []


async def test_what_is_not_there_or_anothers_reads_the_same(office: Office) -> None:
    another = await open_office(office.app)
    for token in (another.platform, another.tokens["Leo"]):
        assert (await call(another, "PUT", "/v1/shows/nll26/notice", token, {"text": {"en": "x"}, "reason": WHY})).status_code == 404
        assert (await call(another, "DELETE", "/v1/shows/nll26/notice", token)).status_code == 404
    assert (await live(another))[0] == (await live(office, "nothing"))[0] == 404
    assert await listed(another) == []


async def test_a_customer_follows_and_takes_it_back(office: Office) -> None:
    follow = {"show": "nll26"}
    assert (await call(office, "POST", "/v1/help/follow", customer(), follow)).json()["type"].endswith("no_notice")
    await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, SAID)
    for _ in range(2):
        assert (await call(office, "POST", "/v1/help/follow", customer(), follow)).status_code == 204
    assert await follows(office) is True
    assert (await listed(office))[0]["followers"] == 1
    assert await followed_by(office, customer()) == {"following": True, "possible": True}
    assert await followed_by(office, customer("c-2")) == {"following": False, "possible": False}
    assert (await call(office, "POST", "/v1/help/follow", customer("c-2"), follow)).json()["type"].endswith("no_address")
    for _ in range(2):
        assert (await call(office, "DELETE", "/v1/help/follow?show=nll26", customer())).status_code == 204
    assert await follows(office) is False
    assert (await listed(office))[0]["followers"] == 0


async def followed_by(office: Office, who: str) -> Mapping[str, bool]:
    answer = await call(office, "GET", "/v1/help/follow?show=nll26", who)
    assert answer.status_code == 200, answer.text
    found: Mapping[str, bool] = answer.json()
    return found


async def follows(office: Office) -> bool:
    return (await followed_by(office, customer()))["following"]


async def test_what_is_over_is_followed_by_nobody(office: Office) -> None:
    await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, SAID)
    await call(office, "POST", "/v1/help/follow", customer(), {"show": "nll26"})
    await call(office, "DELETE", "/v1/shows/nll26/notice", office.platform)
    assert await follows(office) is False
    await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, SAID)
    assert await follows(office) is False


async def test_whoever_has_proven_nothing_hears_it_in_the_widget_and_is_not_written_to(office: Office) -> None:
    await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, SAID)
    session = (await call(office, "POST", "/v1/sessions", None)).json()["token"]
    assert (await call(office, "GET", "/v1/help/follow?show=nll26", session)).status_code == 403
    answer = await call(office, "POST", "/v1/help/follow", session, {"show": "nll26"})
    assert (answer.status_code, answer.json()["type"].endswith("not_proven")) == (403, True)
    assert [one["text"] for one in (await live(office))[1]] == [DOWN]


async def test_a_show_can_be_told_of_so_often_and_no_more(office: Office) -> None:
    for number in range(200):
        body = {"text": {"en": f"part {number}"}, "reason": WHY}
        assert (await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, body)).status_code == 200
    refused = await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, SAID)
    assert (refused.status_code, refused.json()["type"].endswith("changed_too_often")) == (409, True)
    assert len((await live(office))[1][0]["updates"]) == 5
    assert (await call(office, "DELETE", "/v1/shows/nll26/notice", office.platform)).status_code == 204
    assert (await call(office, "PUT", "/v1/shows/nll26/notice", office.platform, SAID)).status_code == 200


async def test_a_name_that_no_show_can_have_is_refused(office: Office) -> None:
    name = uuid4().hex * 4
    assert (await live(office, name))[0] == 400
    assert (await call(office, "GET", "/v1/help/live", None)).status_code == 400
