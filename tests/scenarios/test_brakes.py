"""Everything paused for a moment, then resumed: nothing new goes out, nothing is lost, and it is known who did it and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from service.demo.night import Night
from service.demo.world import STREAM, Bought, Item, bearer
from tests.patience import PATIENCE_SECONDS

WHY: Final = {"reason": "refunds look too high since 20:10"}


@pytest.fixture(autouse=True)
async def _nothing_stays_paused(night: Night) -> AsyncIterator[None]:
    yield
    for brake in await paused(night):
        await brake_call(night, "DELETE", f"{brake['scope']}/{brake['ref']}")


async def brake_call(night: Night, method: str, path: str, *, token: str | None = None, body: object = None) -> httpx.Response:
    return await night.client.request(method, f"/v1/brakes/{path}", headers=bearer(token or night.desk.lead), json=body)


async def paused(night: Night) -> list[dict[str, Any]]:
    answer = await night.client.get("/v1/brakes", headers=bearer(night.desk.lead))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["brakes"]
    return found


async def cancelled_order(night: Night) -> Bought:
    show = await night.shop.show(f"off-{uuid4().hex[:8]}", starts_in=timedelta(days=2), status="cancelled")
    return await night.shop.order(show, [Item(kind=STREAM, name="Stream", price=2500)])


async def asks_for_money_back(night: Night, order: Bought) -> dict[str, Any]:
    body = {"problem": "show_cancelled", "show": order.show, "order": order.ref, "channel": "widget", "locale": "en"}
    headers = bearer(night.desk.platform, uuid4().hex) | {"Prefer": "wait=1"}
    answer = await night.client.post("/v1/cases", json=body, headers=headers)
    assert answer.status_code in {201, 202}, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def case_now(night: Night, case: str) -> dict[str, Any]:
    found: dict[str, Any] = (await night.client.get(f"/v1/cases/{case}", headers=bearer(night.desk.platform))).json()
    return found


async def paid_out(night: Night, order: Bought) -> int:
    return sum([(await night.books.line(ref)).refunded_minor for ref in order.payments])


async def resolved(night: Night, case: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await case_now(night, case))["state"] != "resolved":
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("brake", ["all/-", "action/refund", "rail/sandbox"])
async def test_what_is_paused_waits_and_goes_at_once_when_resumed(night: Night, brake: str) -> None:
    order = await cancelled_order(night)
    assert (await brake_call(night, "PUT", brake, body=WHY)).status_code == 200
    case = await asks_for_money_back(night, order)
    assert [one["status"] for one in case["operations"]] == ["working"]
    assert await paid_out(night, order) == 0
    assert (await brake_call(night, "DELETE", brake)).status_code == 204
    await resolved(night, case["id"])
    assert await paid_out(night, order) == 2500


async def test_one_show_is_paused_while_others_go_on(night: Night) -> None:
    held, free = await cancelled_order(night), await cancelled_order(night)
    assert (await brake_call(night, "PUT", f"show/{held.show}", body=WHY)).status_code == 200
    await resolved(night, (await asks_for_money_back(night, free))["id"])
    case = await asks_for_money_back(night, held)
    assert (await paid_out(night, free), await paid_out(night, held)) == (2500, 0)
    assert [brake["ref"] for brake in await paused(night)] == [held.show]
    await brake_call(night, "DELETE", f"show/{held.show}")
    await resolved(night, case["id"])


async def test_everybody_sees_who_paused_and_why_and_the_audit_keeps_it(night: Night) -> None:
    await brake_call(night, "PUT", "all/-", body=WHY)
    (brake,) = await paused(night)
    assert brake | {"created_at": ""} == {"scope": "all", "ref": "-", **WHY, "actor": "agent:Jonas", "created_at": ""}
    await night.client.delete("/v1/brakes/all/-", params={"reason": "the numbers were right"}, headers=bearer(night.desk.platform))
    rows = await night.pool.fetch("SELECT actor, what, why FROM audit WHERE what IN ('paused', 'resumed') ORDER BY id DESC LIMIT 2")
    assert [tuple(row) for row in rows] == [
        ("key:shop", "resumed", "the numbers were right"),
        ("agent:Jonas", "paused", WHY["reason"]),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("all/refund", WHY, 404),
        ("action/refunds", WHY, 404),
        ("rail/strpie", WHY, 404),
        ("show/nowhere", WHY, 404),
        ("everything/-", WHY, 400),
        ("all/-", {}, 400),
        ("all/-", {"reason": ""}, 400),
        ("all/-", {"reason": "x" * 501}, 400),
        ("all/-", {"reason": "a\nb"}, 400),
        ("all/-", {"reason": "fine", "until": "tomorrow"}, 400),
    ],
)
async def test_a_brake_that_would_hold_nothing_or_says_no_reason_is_refused(night: Night, path: str, body: object, status: int) -> None:
    answer = await brake_call(night, "PUT", path, body=body)
    assert answer.status_code == status, answer.text
    assert await paused(night) == []


async def test_pausing_is_for_leads(night: Night) -> None:
    answer = await brake_call(night, "PUT", "all/-", token=night.desk.agent, body=WHY)
    assert answer.status_code == 403
    assert await paused(night) == []


async def test_resuming_what_is_not_paused_changes_nothing(night: Night) -> None:
    assert (await brake_call(night, "DELETE", "all/-")).status_code == 204
    assert await paused(night) == []
