"""What is refused: each mistake names its field, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from service.store.pool import Pool
from tests.orders.loading import INCIDENT, SHOW, everything_of, order_body, payment_body

Edit = Callable[[dict[str, Any]], object]


def position(**changes: Any) -> Edit:
    return lambda body: body["positions"][0].update(changes)


def admission(**changes: Any) -> Edit:
    return lambda body: body["positions"][0]["pass"].update(changes)


def payment(**changes: Any) -> Edit:
    return lambda body: body["payments"][0].update(changes)


def refunds(*of_payment: dict[str, Any]) -> Edit:
    return payment(refunds_elsewhere=list(of_payment))


def order(**changes: Any) -> Edit:
    return lambda body: body.update(changes)


def without(name: str) -> Edit:
    return lambda body: body.pop(name)


REFUND: Final = {"ref": "R-1", "amount": 100, "state": "done"}

ORDERS: Final[list[tuple[str, Edit, str]]] = [
    ("no version", without("version"), "/version"),
    ("version zero", order(version=0), "/version"),
    ("version as text", order(version="10"), "/version"),
    ("version with decimals", order(version=1.5), "/version"),
    ("version beyond a bigint", order(version=2**63), "/version"),
    ("unknown state", order(status="refunded"), "/status"),
    ("currency in small letters", order(currency="eur"), "/currency"),
    ("currency that does not exist", order(currency="EUX"), "/currency"),
    ("negative total", order(total=-1), "/total"),
    ("total that is no sum", order(total=9999), "/total"),
    ("no buyer", without("buyer"), "/buyer"),
    ("address without @", order(buyer={"email": "nobody"}), "/buyer/email"),
    ("newline in a name", order(buyer={"name": "Ada\nBcc: all@example.org"}), "/buyer/name"),
    ("newline at the end of a name", order(buyer={"name": "Ada\n"}), "/buyer/name"),
    ("NUL in a name", order(buyer={"name": "Ada\x00"}), "/buyer/name"),
    ("field we do not know", order(coupon="X"), "/coupon"),
    ("time without a zone", order(placed_at="2026-10-01T10:00:00"), "/placed_at"),
    ("time before tickets", order(placed_at="0001-01-01T00:00:00+14:00"), "/placed_at"),
    ("cancelled and not cancelled", order(cancelled_at="2026-10-02T10:00:00Z"), "/cancelled_at"),
    ("locale that is none", order(locale="deutsch!"), "/locale"),
    ("positions as an object", order(positions={}), "/positions"),
    ("kind we do not know", position(kind="vip"), "/positions/0/kind"),
    ("price with decimals", position(price=25.5), "/positions/0/price"),
    ("price of all the world", position(price=10**13), "/positions/0/price"),
    ("true as a price", position(price=True), "/positions/0/price"),
    ("tax above the price", position(tax=2501), "/positions/0/tax"),
    ("ticket for no show", position(shows=[]), "/positions/0/shows"),
    ("show nobody knows", position(shows=["show", "never"]), "/positions/0/shows/1"),
    ("show named twice", position(shows=["show", "show"]), "/positions/0/shows/1"),
    ("position named twice", position(ref="2"), "/positions/1/ref"),
    ("reference with a slash", position(ref="a/b"), "/positions/0/ref"),
    ("holder who is nobody", position(holder={}), "/positions/0/holder"),
    ("pass without a barcode", admission(barcode=""), "/positions/0/pass/barcode"),
    ("pass of an issuer we do not know", admission(issuer="gate"), "/positions/0/pass/issuer"),
    ("check-in in another century", admission(checked_in_at="2400-01-01T00:00:00Z"), "/positions/0/pass/checked_in_at"),
    ("fee with more tax than fee", order(fees=[{"ref": "1", "name": "Fee", "amount": 250, "tax": 251}]), "/fees/0/tax"),
    ("payment in another currency", payment(currency="USD"), "/payments/0/currency"),
    ("more captured than charged", payment(captured=5751), "/payments/0/captured"),
    ("captured by a payment that failed", payment(status="failed"), "/payments/0/captured"),
    ("processor's reference without a rail", payment(rail=None), "/payments/0/provider_ref"),
    ("dispute we do not know", payment(dispute="maybe"), "/payments/0/dispute"),
    ("disputed amount without a dispute", payment(disputed_amount=1), "/payments/0/disputed_amount"),
    ("payment named twice", order(payments=[payment_body(), payment_body()]), "/payments/1/ref"),
    ("refund of nothing", refunds({**REFUND, "amount": 0}), "/payments/0/refunds_elsewhere/0/amount"),
    ("refund in a state we do not know", refunds({**REFUND, "state": "lost"}), "/payments/0/refunds_elsewhere/0/state"),
    ("refund named twice", refunds(REFUND, REFUND), "/payments/0/refunds_elsewhere/1/ref"),
]


@pytest.mark.parametrize(("edit", "field"), [case[1:] for case in ORDERS], ids=[case[0] for case in ORDERS])
async def test_a_wrong_order_names_the_field_and_changes_nothing(
    client: httpx.AsyncClient, pool: Pool, platform_id: UUID, edit: Edit, field: str
) -> None:
    body = order_body()
    edit(body)
    before = await everything_of(pool, platform_id)

    answer = await client.put("/v1/orders/A1", json=body)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert await everything_of(pool, platform_id) == before


SHOWS: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("zone that is none", {"zone": "Mars/Olympus"}, "/zone"),
    ("zone as a path", {"zone": "../../etc/passwd"}, "/zone"),
    ("end before the start", {"ends_at": "2026-11-20T18:00:00Z"}, "/ends_at"),
    ("as long as a season", {"ends_at": "2027-11-20T18:00:00Z"}, "/ends_at"),
    ("no name", {"name": {}}, "/name"),
    ("mode we do not know", {"modes": {"refund": "maybe"}}, "/modes/*"),
    ("cap in a currency that does not exist", {"caps": {"per_show_and_hour": {"EUX": 1}}}, "/caps/per_show_and_hour/EUX"),
    ("article that is a script", {"articles": {"buffering": {"url": "javascript:alert(1)", "title": {"en": "x"}}}}, "/articles/*/url"),
    ("state we do not know", {"status": "over"}, "/status"),
]


@pytest.mark.parametrize(("changes", "field"), [case[1:] for case in SHOWS], ids=[case[0] for case in SHOWS])
async def test_a_wrong_show_names_the_field_and_changes_nothing(
    client: httpx.AsyncClient, pool: Pool, platform_id: UUID, changes: dict[str, Any], field: str
) -> None:
    before = await everything_of(pool, platform_id)
    answer = await client.put("/v1/shows/show", json={**SHOW, "version": 2, **changes})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert await everything_of(pool, platform_id) == before


@pytest.mark.parametrize("changes", [{"name": {"english!": "X"}}, {"modes": {"explode": "act"}}, {"parameters": {"a b": {}}}])
async def test_a_wrong_name_of_a_field_is_refused(
    client: httpx.AsyncClient, pool: Pool, platform_id: UUID, changes: dict[str, Any]
) -> None:
    before = await everything_of(pool, platform_id)
    assert (await client.put("/v1/shows/show", json={**SHOW, "version": 2, **changes})).status_code == 400
    assert await everything_of(pool, platform_id) == before


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": "2026-11-20T19:00:00Z"}, "/to"),
        ({"kind": "Stream Outage"}, "/kind"),
        ({"from": None}, "/from"),
        ({"scope": {"position_kinds": ["vip"]}}, "/scope/position_kinds/0"),
        ({"scope": {"planets": []}}, "/scope/planets"),
    ],
)
async def test_a_wrong_incident_names_the_field_and_changes_nothing(
    client: httpx.AsyncClient, pool: Pool, platform_id: UUID, changes: dict[str, Any], field: str
) -> None:
    before = await everything_of(pool, platform_id)
    answer = await client.put("/v1/shows/show/incidents/one", json={**INCIDENT, **changes})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert await everything_of(pool, platform_id) == before


async def test_every_mistake_of_a_document_is_named_at_once(client: httpx.AsyncClient) -> None:
    body = order_body(total=1, currency="EUX")
    body["positions"][0]["tax"] = 9999
    body["payments"][0]["captured"] = 9999
    answer = await client.put("/v1/orders/A1", json=body)
    assert [error["field"] for error in answer.json()["errors"]] == ["/currency", "/total", "/positions/0/tax", "/payments/0/captured"]


async def test_a_barcode_belongs_to_one_position(client: httpx.AsyncClient, pool: Pool, platform_id: UUID) -> None:
    first, second = order_body(), order_body()
    second["positions"][0]["pass"] = first["positions"][0]["pass"]
    await client.put("/v1/orders/A1", json=first)
    before = await everything_of(pool, platform_id)

    taken = await client.put("/v1/orders/A2", json=second)

    assert (taken.status_code, [error["field"] for error in taken.json()["errors"]]) == (400, ["/positions/0/pass/barcode"])
    assert await everything_of(pool, platform_id) == before


@pytest.mark.parametrize("path", ["/v1/orders/a%0Ab", "/v1/orders/" + "a" * 101, "/v1/orders/a%20b", "/v1/shows/a%25b"])
async def test_a_reference_that_needs_quoting_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.put(path, json=order_body() if "orders" in path else SHOW)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, ["ref"])
