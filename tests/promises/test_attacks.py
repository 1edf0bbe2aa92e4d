"""What somebody who knows every route and every word of the code still cannot do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from service.demo.world import Bought, Item, bearer
from service.model import WireId, wire
from tests.promises.house import House, all_holds, stream

AHEAD: Final = timedelta(days=20)
_CODE: Final = re.compile(r"\b\d{6}\b", re.ASCII)


class Stranger:
    """A session of our own: anonymous, or known by the address that it proves."""

    def __init__(self, house: House, token: str) -> None:
        self.house = house
        self.token = token

    async def proves(self, email: str) -> Stranger:
        headers = bearer(self.token)
        answer = await self.house.client.post("/v1/sessions/codes", json={"email": email}, headers=headers)
        assert answer.status_code == 202, answer.text
        before = len(self.house.mails.to(email))
        mail = await self.house.mails.until(email, lambda one: _CODE.search(one.text) is not None and before <= 1)
        digits = _CODE.search(mail.text)
        assert digits is not None
        answer = await self.house.client.post("/v1/sessions/verify", json={"code": digits[0]}, headers=headers)
        assert answer.status_code == 200, answer.text
        return self

    async def reports(self, problem: str, **more: Any) -> Any:
        answer = await self.asks("/v1/cases", {"problem": problem, "channel": "widget", **more})
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer.json()

    async def asks(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self.house.post(path, body, token=self.token)

    async def sees(self, path: str) -> Any:
        return await self.house.get(path, token=self.token)


async def somebody(house: House) -> Stranger:
    answer = await house.client.post("/v1/sessions", headers={"Makegood-Platform": house.desk.slug})
    assert answer.status_code == 201, answer.text
    return Stranger(house, answer.json()["token"])


async def passes(house: House, order: Bought) -> list[str]:
    rows = await house.rows(
        "SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id JOIN line l ON l.id = p.line_id WHERE o.ref = $1 ORDER BY l.ref",
        order.ref,
    )
    return [wire(WireId.PASS, row["id"]) for row in rows]


async def shows(house: House, ref: str, **of_the_other: Any) -> tuple[Bought, str]:
    """An order for one show, and another show that it has nothing to do with."""
    order = await house.shop.order(await house.shop.show(ref, starts_in=AHEAD), [stream(2500)])
    return order, await house.shop.show(f"{ref}x", starts_in=AHEAD, **of_the_other)


def held_by(email: str, price: int = 2500) -> Item:
    return Item(kind="stream", name="Stream pass", price=price, holder={"name": "H. Older", "email": email})


# ------------------------------------------------------------------------------------------------------------- another show


async def test_nobody_is_paid_for_the_end_of_a_show_they_have_no_ticket_for(house: House, ref: str) -> None:
    order, other = await shows(house, ref, status="cancelled")
    mine = await passes(house, order)
    for named in ({}, {"passes": mine}):
        case = await house.report("show_cancelled", order, show=other, **named)
        assert (case["status"], case["operations"]) == ("denied", [])
    assert await house.line_awarded(order) == 0


async def test_nobody_is_paid_for_an_outage_of_a_show_they_have_no_ticket_for(house: House, ref: str) -> None:
    order, other = await shows(house, ref)
    now = datetime.now(UTC)
    await house.shop.show(other, starts_in=timedelta(hours=-2))
    await house.shop.incident(other, "INC", now - timedelta(hours=2), now - timedelta(hours=1))
    case = await house.report("stream_outage", order, show=other, passes=await passes(house, order), incident="INC")
    assert (case["status"], case["operations"]) == ("denied", [])
    assert await house.line_awarded(order) == 0


async def test_a_ticket_for_one_show_opens_no_other(house: House, ref: str) -> None:
    order, other = await shows(house, ref)
    case = await house.report("link_dead", order, show=other, passes=await passes(house, order))
    assert case["access"] == []
    assert await house.value("SELECT count(*) FROM access_token t JOIN show s ON s.id = t.show_id WHERE s.ref = $1", other) == 0


async def test_an_agent_cannot_pay_or_admit_for_a_show_the_ticket_is_not_for(house: House, ref: str) -> None:
    order, other = await shows(house, ref, status="cancelled")
    case = await house.report("other", order, show=other)
    agent = house.desk.agent
    await house.post("/v1/queue/take", {"case": case["id"]}, token=agent)
    path = f"/v1/cases/{case['id']}/actions"
    refund = {"action": "refund", "reason": "cancelled", "cause": "show_cancelled", "position": "1", "amount": 2500}
    reissue = {"action": "reissue_access", "reason": "lets in", "pass_id": (await passes(house, order))[0]}
    for wanted, field in ((refund, "/position"), (reissue, "/action")):
        answer = await house.post(path, wanted, token=agent)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    await all_holds(house)
