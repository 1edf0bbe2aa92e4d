"""Orders, shows and incidents over HTTP: versions, repeats, platforms kept apart, and who may."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.api.platform import OrderPut, ShowPut
from service.api.platform_examples import INCIDENT as INCIDENT_EXAMPLE
from service.api.platform_examples import ORDER as ORDER_EXAMPLE
from service.api.platform_examples import ORDER_SHOWN, SHOW_SHOWN
from service.api.platform_examples import SHOW as SHOW_EXAMPLE
from service.store.pool import Pool
from tests.orders.loading import (
    INCIDENT,
    SHOW,
    everything_of,
    new_platform,
    order_body,
    order_feed,
    orders_of,
    payment_body,
    show_feed,
    shows_of,
)


async def put(client: httpx.AsyncClient, body: dict[str, Any], *, ref: str = "A1") -> httpx.Response:
    return await client.put(f"/v1/orders/{ref}", json=body)


async def test_a_new_order_is_created_and_read_back_without_names(client: httpx.AsyncClient) -> None:
    created = await put(client, order_body())

    assert created.status_code == 201
    assert (created.json()["applied"], created.json()["result"]) == (True, "created")
    read = await client.get("/v1/orders/A1")
    assert (read.status_code, read.json()) == (200, created.json()["order"])
    assert [(line["ref"], line["kind"], line["price"]) for line in read.json()["lines"]] == [
        ("1", "stream", 2500),
        ("2", "merchandise", 3000),
        ("1", "fee", 250),
    ]
    assert "Ada" not in read.text
    assert "example.org" not in read.text


async def test_the_same_document_again_changes_nothing(client: httpx.AsyncClient, pool: Pool, platform_id: UUID) -> None:
    body = order_body()
    await put(client, body)
    before = await everything_of(pool, platform_id)

    again = await put(client, body)

    assert (again.status_code, again.json()["applied"], again.json()["result"]) == (200, False, "unchanged")
    assert await everything_of(pool, platform_id) == before


async def test_fields_in_another_order_are_the_same_document(client: httpx.AsyncClient) -> None:
    body = order_body()
    await put(client, body)
    assert (await put(client, dict(reversed(body.items())))).json()["result"] == "unchanged"


async def test_an_older_version_never_replaces_a_newer(client: httpx.AsyncClient, pool: Pool, platform_id: UUID) -> None:
    body = order_body()
    await put(client, body)
    before = await everything_of(pool, platform_id)

    older = await put(client, {**body, "version": 9, "status": "cancelled"})

    assert (older.status_code, older.json()["applied"], older.json()["result"]) == (200, False, "older")
    assert (older.json()["order"]["version"], older.json()["order"]["status"]) == (10, "paid")
    assert await everything_of(pool, platform_id) == before


async def test_a_version_is_never_used_for_two_documents(client: httpx.AsyncClient, pool: Pool, platform_id: UUID) -> None:
    body = order_body()
    await put(client, body)
    before = await everything_of(pool, platform_id)

    reused = await put(client, {**body, "locale": "fr"})

    assert (reused.status_code, reused.json()["type"]) == (409, "urn:makegood:problem:version_reused")
    assert await everything_of(pool, platform_id) == before


async def test_the_currency_of_an_order_never_changes(client: httpx.AsyncClient) -> None:
    await put(client, order_body())
    changed = await put(client, order_body(version=11, currency="USD"))
    assert (changed.status_code, changed.json()["type"]) == (409, "urn:makegood:problem:currency_changed")


async def test_the_same_reference_at_another_platform_is_another_order(client: httpx.AsyncClient, other_client: httpx.AsyncClient) -> None:
    # the charge differs: on a rail that both use, one charge is one platform's
    mine, theirs = (
        await put(client, order_body()),
        await put(other_client, order_body(locale="fr", payments=[payment_body(provider_ref="pi_2")])),
    )

    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["order"]["id"] != theirs.json()["order"]["id"]
    assert (await client.get("/v1/orders/A1")).json()["locale"] == "de"


async def test_an_order_of_another_platform_is_not_there(client: httpx.AsyncClient, other_client: httpx.AsyncClient) -> None:
    await put(client, order_body())
    hidden, missing = await other_client.get("/v1/orders/A1"), await other_client.get("/v1/orders/NEVER")
    assert (hidden.status_code, hidden.json()["detail"]) == (404, missing.json()["detail"])


async def test_a_key_that_may_only_read_writes_nothing(client: httpx.AsyncClient, pool: Pool, platform_id: UUID) -> None:
    before = await everything_of(pool, platform_id)
    reader = {"Authorization": "Bearer mgk_reader"}
    refused = [
        await client.put("/v1/orders/A1", json=order_body(), headers=reader),
        await client.put("/v1/shows/other", json=SHOW, headers=reader),
        await client.put("/v1/shows/show/incidents/one", json=INCIDENT, headers=reader),
        await client.post("/v1/orders/bulk", content=b"{}", headers={**reader, "Content-Type": "application/x-ndjson"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * 4
    assert await everything_of(pool, platform_id) == before


async def test_twenty_writers_of_one_order_leave_the_newest(client: httpx.AsyncClient) -> None:
    body = order_body()
    answers = await asyncio.gather(*(put(client, {**body, "version": version, "total": 5750}) for version in range(1, 21)))
    assert all(answer.status_code in (200, 201) for answer in answers)
    assert [answer.status_code for answer in answers].count(201) == 1
    assert (await client.get("/v1/orders/A1")).json()["version"] == 20


VERSIONS = st.lists(st.integers(min_value=1, max_value=6), min_size=1, max_size=8)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(versions=VERSIONS)
async def test_documents_in_any_order_end_in_the_newest(pool: Pool, versions: list[int]) -> None:
    platform = await new_platform(pool)
    await shows_of(pool).put(platform, "show", show_feed())
    base = order_body()
    bodies = {version: document(base, version) for version in versions}
    for version in versions:
        await orders_of(pool).put(platform, "A1", order_feed(bodies[version]), source="key:shop")

    newest = max(versions)
    found = await orders_of(pool).get(platform, "A1")
    assert found is not None
    assert (found.version, found.total) == (newest, bodies[newest]["total"])
    standing = {line.ref: line.price for line in found.lines if not line.canceled}
    assert standing == {position["ref"]: position["price"] for position in bodies[newest]["positions"]}
    assert [payment.captured for payment in found.payments] == [bodies[newest]["total"]]


def document(base: dict[str, Any], version: int) -> dict[str, Any]:
    """The order at that version: another number of shirts each time."""
    shirt = {"kind": "merchandise", "name": "T-shirt", "price": 3000 + version}
    shirts = [{**shirt, "ref": str(number)} for number in range(version % 3)]
    total = len(shirts) * (3000 + version)
    payments = [payment_body(amount=total, captured=total)]
    return {**base, "version": version, "positions": shirts, "fees": [], "total": total, "payments": payments}


async def test_a_show_says_how_long_it_really_lasts(client: httpx.AsyncClient) -> None:
    body = {**SHOW, "starts_at": "2026-10-25T00:30:00+02:00", "ends_at": "2026-10-25T03:30:00+01:00"}
    made = await client.put("/v1/shows/clock", json=body)
    assert (made.status_code, made.json()["show"]["minutes"]) == (201, 240)
    assert (await client.get("/v1/shows/clock")).json() == made.json()["show"]


async def test_a_show_and_an_incident_are_versioned_too(client: httpx.AsyncClient) -> None:
    path = "/v1/shows/show/incidents/one"
    sent = [
        await client.put("/v1/shows/show", json=SHOW),
        await client.put("/v1/shows/show", json={**SHOW, "status": "cancelled"}),
        await client.put("/v1/shows/show", json={**SHOW, "version": 2, "status": "cancelled"}),
        await client.put("/v1/shows/show", json=SHOW),
        await client.put(path, json={**INCIDENT, "version": 2}),
        await client.put(path, json={**INCIDENT, "version": 2}),
        await client.put(path, json={**INCIDENT, "version": 2, "to": "2026-11-20T19:45:00Z"}),
        await client.put(path, json={**INCIDENT, "version": 3, "to": "2026-11-20T19:45:00Z"}),
        await client.put(path, json=INCIDENT),
    ]
    assert [(answer.status_code, answer.json().get("result")) for answer in sent] == [
        (200, "unchanged"),
        (409, None),
        (200, "updated"),
        (200, "older"),
        (201, "created"),
        (200, "unchanged"),
        (409, None),
        (200, "updated"),
        (200, "older"),
    ]
    show = (await client.get("/v1/shows/show")).json()
    assert (show["status"], [(one["ref"], one["to"]) for one in show["incidents"]]) == ("cancelled", [("one", "2026-11-20T19:45:00Z")])


@pytest.mark.parametrize("path", ["/v1/orders/NEVER", "/v1/shows/NEVER"])
async def test_what_was_never_told_of_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_an_incident_on_a_show_nobody_knows_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.put("/v1/shows/NEVER/incidents/one", json=INCIDENT)).status_code == 404


async def test_the_contract_shows_examples_that_are_accepted(client: httpx.AsyncClient) -> None:
    shows = [
        await client.put("/v1/shows/nll26", json=SHOW_EXAMPLE),
        await client.put("/v1/shows/nll26/incidents/one", json=INCIDENT_EXAMPLE),
    ]
    order = await client.put("/v1/orders/M0VLU", json=ORDER_EXAMPLE)
    assert [answer.status_code for answer in (*shows, order)] == [201, 201, 201]
    assert msgspec.convert(ORDER_SHOWN, OrderPut).order.ref == order.json()["order"]["ref"]
    assert msgspec.convert(SHOW_SHOWN, ShowPut).show.minutes == shows[1].json()["show"]["minutes"]
