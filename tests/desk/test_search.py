"""Finding a case by a name that somebody gave: which names find what, whose, and what is kept of the search."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog

from service.api.platform_examples import ORDER, SHOW
from service.app import Application
from tests.desk.console import Office, audited, browsing, installation, open_case, open_office

BUYER = "mira@example.org"
HOLDER = "ben@example.org"


@pytest.fixture(scope="module")
async def app(database_url: str) -> AsyncIterator[Application]:
    async with installation(database_url) as opened:
        yield opened


@pytest.fixture
async def office(app: Application) -> Office:
    return await open_office(app)


async def sell(office: Office, ref: str, *, buyer: str = BUYER, holder: str = HOLDER, charge: str = "") -> None:
    headers = {"Authorization": f"Bearer {office.platform}"}
    payments = [{**payment, "rail": "play", "provider_ref": charge or f"ch_{office.slug}"} for payment in ORDER["payments"]]
    positions = [{**position, "holder": {"name": "Ben", "email": holder}} for position in ORDER["positions"]]
    positions[0] = {**positions[0], "pass": {**positions[0]["pass"], "barcode": f"{ref}-1"}}
    order = {**ORDER, "buyer": {**ORDER["buyer"], "email": buyer}, "payments": payments, "positions": positions}
    async with browsing(office.app, page=None) as http:
        for path, body in (("/v1/shows/nll26", SHOW), (f"/v1/orders/{ref}", order)):
            answer = await http.put(path, json=body, headers=headers)
            assert answer.status_code in (200, 201), answer.text


async def find(office: Office, q: str, *, name: str = "Mira") -> dict[str, Any]:
    async with browsing(office.app, page=None) as http:
        answer = await http.get("/v1/search", params={"q": q}, headers={"Authorization": f"Bearer {office.tokens[name]}"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.mark.parametrize("q", ["M0VLU", " M0VLU ", "{charge}", BUYER, BUYER.upper(), HOLDER, "{case}", "{operation}"])
async def test_each_name_finds_the_order_with_its_cases(office: Office, q: str) -> None:
    await sell(office, "M0VLU")
    await sell(office, "OTHER", buyer="else@example.org", holder="else@example.org", charge=f"other_{office.slug}")
    case = await open_case(office, order="M0VLU", show="nll26")
    operation = uuid4()
    await office.pool.execute(
        "INSERT INTO operation (platform_id, id, case_id, order_id, action, state, amount, currency, holds, due_at, created_at)"
        " SELECT platform_id, $2, id, order_id, 'goodwill_credit', 'HELD', 700, 'EUR', '{mode}', now() + interval '1 hour', now()"
        " FROM cases WHERE id = $1",
        case,
        operation,
    )
    found = await find(office, q.format(case=f"case_{case.hex}", operation=f"op_{operation.hex}", charge=f"ch_{office.slug}"))
    (order,) = found["orders"]
    assert (order["ref"], order["show"], order["shows"], order["cases"]) == ("M0VLU", "nll26", ["nll26"], [f"case_{case.hex}"])
    (row,) = found["cases"]
    assert (row["id"], row["order"], row["state"], row["money_at_stake"]) == (f"case_{case.hex}", "M0VLU", "waiting", 700)


@pytest.mark.parametrize(
    "q", ["M0VL", "m0vlu", "VLU", "%", "_____", "please look", "mira", "mira@", "@example.org", "case_x", f"case_{'7' * 32}", "'--"]
)
async def test_only_the_exact_name_finds(office: Office, q: str) -> None:
    await sell(office, "M0VLU")
    await open_case(office, order="M0VLU", show="nll26")
    assert await find(office, q) == {"cases": [], "orders": []}


async def test_a_case_that_has_ended_and_one_that_only_claims_the_order_are_found_too(office: Office) -> None:
    await sell(office, "M0VLU")
    ended, claims = await open_case(office, order="M0VLU", show="nll26"), await open_case(office, order="NEW")
    await office.pool.execute(
        "UPDATE cases SET state = 'resolved', owner = NULL, due_at = NULL, agent_id = NULL, ended_at = now() WHERE id = $1", ended
    )
    await office.pool.execute("UPDATE cases SET order_id = NULL, claimed_order = 'NEW' WHERE id = $1", claims)
    assert [(one["id"], one["state"]) for one in (await find(office, "M0VLU"))["cases"]] == [(f"case_{ended.hex}", "resolved")]
    found = await find(office, "NEW")
    assert ([one["id"] for one in found["cases"]], found["orders"]) == ([f"case_{claims.hex}"], [])


async def test_nothing_of_another_platform_is_found(office: Office) -> None:
    other = await open_office(office.app)
    await sell(office, "M0VLU")
    case = await open_case(office, order="M0VLU", show="nll26")
    for q in ("M0VLU", f"ch_{office.slug}", BUYER, HOLDER, f"case_{case.hex}"):
        async with browsing(office.app, page=None) as http:
            answer = await http.get("/v1/search", params={"q": q}, headers={"Authorization": f"Bearer {other.tokens['Leo']}"})
        assert answer.json() == {"cases": [], "orders": []}, q


async def test_who_looked_is_kept_with_the_name_that_found_something_and_its_kind(office: Office) -> None:
    await sell(office, "M0VLU")
    case, claims = await open_case(office, order="M0VLU", show="nll26"), await open_case(office)
    await office.pool.execute("UPDATE cases SET order_id = NULL, claimed_order = 'what they said' WHERE id = $1", claims)
    order = str(await office.pool.fetchval("SELECT id FROM orders WHERE platform_id = $1", office.id))
    for q in ("M0VLU", f"ch_{office.slug}", f"case_{case.hex}", "what they said"):
        await find(office, q)
    await find(office, BUYER, name="Leo")
    assert [(one["actor"], one["data"]) for one in await audited(office, "searched")] == [
        ("agent:Mira", {"by": "order", "for": "M0VLU", "found": True, "orders": [order], "cases": 1}),
        ("agent:Mira", {"by": "payment", "for": f"ch_{office.slug}", "found": True, "orders": [order], "cases": 1}),
        ("agent:Mira", {"by": "case", "for": str(case), "found": True, "orders": [order], "cases": 1}),
        ("agent:Mira", {"by": "claimed", "found": True, "orders": [], "cases": 1}),
        ("agent:Leo", {"by": "email", "found": True, "orders": [order], "cases": 1}),
    ]


FULL_WIDTH = "mira\uff20example.org"  # as a keyboard for Japanese types it


@pytest.mark.parametrize(
    ("q", "by"),
    [
        ("mgk_" + "A" * 43, "unknown"),
        ("Jane Doe +49 30 1234567", "unknown"),
        ("nobody@example.org", "email"),
        ("nobody\uff20example.org", "email"),
        ("\ufe6b example.org", "email"),
        (f"case_{'7' * 32}", "case"),
    ],
)
async def test_what_finds_nothing_is_kept_nowhere(office: Office, q: str, by: str) -> None:
    with structlog.testing.capture_logs() as logs:
        assert await find(office, q) == {"cases": [], "orders": []}
    (note,) = await audited(office, "searched")
    assert note["data"] == {"by": by, "found": False, "orders": [], "cases": 0}
    assert q not in str(logs)


@pytest.mark.parametrize("q", [BUYER, FULL_WIDTH, HOLDER.upper()])
async def test_an_address_is_found_however_it_is_typed_and_never_kept(office: Office, q: str) -> None:
    await sell(office, "M0VLU")
    with structlog.testing.capture_logs() as logs:
        assert [one["ref"] for one in (await find(office, q))["orders"]] == ["M0VLU"]
    kept = await office.pool.fetchval(
        "SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]')::text FROM audit AS a WHERE platform_id = $1 AND what = 'searched'", office.id
    )
    assert "example.org" not in kept + str(logs)


@pytest.mark.parametrize("q", ["", "   ", "x" * 255, "a\x00b"])
async def test_a_name_has_a_length(office: Office, q: str) -> None:
    async with browsing(office.app, page=None) as http:
        answer = await http.get("/v1/search", params={"q": q}, headers={"Authorization": f"Bearer {office.tokens['Mira']}"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "q")


async def test_customers_and_platforms_do_not_search(office: Office) -> None:
    async with browsing(office.app, page=None) as http:
        session = (await http.post("/v1/sessions", headers={"Makegood-Platform": office.slug})).json()["token"]
        for token in (session, office.platform):
            answer: httpx.Response = await http.get("/v1/search", params={"q": "M0VLU"}, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 403
