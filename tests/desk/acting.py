"""An order at the desk: fed, charged, taken by an agent, and fed again with something changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from integrations.sandbox_books import Charge
from service.demo.night import RAIL
from service.demo.world import bearer
from service.keys import Keys, Role
from service.model import Money
from service.store.keys import Change, KeyStore
from tests.promises.house import House

TESTING: Final = Change(actor="test", why="a test")
SKILLS: Final = ("support", "payments", "operations", "trust")
AHEAD: Final = timedelta(days=20)
PRICE: Final = 4500
REASON: Final = "it is right"


class AtDesk(msgspec.Struct, kw_only=True):
    """One case of one order. `agent`: a person who has this case and no other; `document`: what the feed said last."""

    house: House
    case: str
    order: str
    show: str
    agent: str
    document: dict[str, Any]

    # ------------------------------------------------------------------------------------------------ as an agent

    async def take(self, *, token: str | None = None) -> None:
        answer = await self.house.post("/v1/queue/take", {"case": self.case}, token=token or self.agent)
        assert answer.status_code == 200, answer.text

    async def preview(self, action: Mapping[str, Any], *, token: str | None = None) -> Any:
        answer = await self.house.post(f"/v1/cases/{self.case}/previews", action, token=token or self.agent)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def confirm(self, preview: str, *, token: str | None = None, key: str | None = None, reason: str = REASON) -> httpx.Response:
        body = {"preview": preview, "reason": reason}
        return await self.house.post(f"/v1/cases/{self.case}/actions", body, token=token or self.agent, key=key)

    async def shown(self, operation: str, *, token: str | None = None) -> Any:
        return await self.house.get(f"/v1/operations/{operation}/preview", token=token or self.house.desk.lead)

    async def approve(self, operation: str, facts_hash: str, *, token: str | None = None, key: str | None = None) -> httpx.Response:
        body = {"reason": REASON, "facts_hash": facts_hash}
        return await self.house.post(f"/v1/operations/{operation}/approve", body, token=token or self.house.desk.lead, key=key)

    async def operations(self) -> list[dict[str, Any]]:
        return await self.house.operations(self.case)

    async def timeline(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.house.get(f"/v1/cases/{self.case}/timeline?limit=200"))["entries"]
        return found

    async def suggestions(self, *, token: str | None = None) -> list[dict[str, Any]]:
        found = await self.house.get(f"/v1/cases/{self.case}/suggestions", token=token or self.agent)
        suggestions: list[dict[str, Any]] = found["suggestions"]
        return suggestions

    # ------------------------------------------------------------------------------------------ as the platform

    async def feed(self, **changes: Any) -> None:
        """The order once more, with these parts replaced."""
        self.document = {**self.document, **changes, "version": self.document["version"] + 1}
        answer = await self.house.client.put(f"/v1/orders/{self.order}", json=self.document, headers=bearer(self.house.desk.platform))
        assert answer.status_code == 200, answer.text

    async def refunded_elsewhere(self, amount: int, payment: int = -1) -> None:
        payments = deepcopy(self.document["payments"])
        payments[payment]["refunds_elsewhere"] = [{"ref": f"R{uuid4().hex[:6]}", "amount": amount, "state": "done"}]
        await self.feed(payments=payments)

    async def row(self, change: str, where: str) -> None:
        """Of this order ($1) or its show ($2), past the feed."""
        row = await self.house.case_row(self.case)
        both = "($1::uuid IS NOT NULL AND $2::uuid IS NOT NULL)"
        await self.house.pool.execute(f"{change} WHERE {where} AND {both}", row["order_id"], row["show_id"])

    async def replaced(self) -> None:
        """The first ticket, by somebody else's hand."""
        first = "id = (SELECT id FROM pass WHERE order_id = $1 ORDER BY (SELECT ref FROM line WHERE line.id = line_id), created_at LIMIT 1)"
        await self.row("UPDATE pass SET status = 'void'", first)
        await self.row(
            "INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, replaces, created_at)"
            " SELECT platform_id, gen_random_uuid(), order_id, line_id, issuer, 'valid', gen_random_uuid(), id, app_now() FROM pass",
            first,
        )

    async def disputed(self) -> None:
        payments = deepcopy(self.document["payments"])
        payments[-1]["dispute"] = "open"
        await self.feed(payments=payments)

    async def brake(self, *, on: bool) -> None:
        path, headers = "/v1/brakes/action/refund", bearer(self.house.desk.lead)
        if on:
            answer = await self.house.client.put(path, json={"reason": "while we look"}, headers=headers)
        else:
            answer = await self.house.client.delete(path, headers=headers)
        assert answer.is_success, answer.text

    async def everything(self) -> Any:
        """Every row of this order, its case, its money and what is told of it, but previews: what a look must not change.

        Without what goes on beside: places in the queue and in the feed are given in the background.
        """
        of = {
            "order_id": ("operation", "order_fact", "harm", "line", "payment", "pass", "outbox", "case_subject"),
            "case_id": ("timeline", "message"),
            "operation_id": ("operation_part", "approval", "attempt"),
            "payment_id": ("book",),
            "pass_id": ("access_token",),
        }
        mine = {
            "order_id": "SELECT $2::uuid",
            "case_id": "SELECT $3::uuid",
            "operation_id": "SELECT id FROM operation WHERE order_id = $2",
            "payment_id": "SELECT id FROM payment WHERE order_id = $2",
            "pass_id": "SELECT id FROM pass WHERE order_id = $2",
        }
        parts = [
            f"(SELECT coalesce(jsonb_agg(to_jsonb(t) - 'position' ORDER BY to_jsonb(t)::text), '[]') FROM {table} AS t"
            f" WHERE platform_id = $1 AND {column} IN ({mine[column]}))"
            for column, tables in of.items()
            for table in tables
        ]
        parts.append("(SELECT jsonb_build_array(owner, agent_id, version, state) FROM cases WHERE platform_id = $1 AND id = $3)")
        parts.append("(SELECT coalesce(sum(used), 0) FROM cap_use WHERE platform_id = $1)")
        row = await self.house.case_row(self.case)
        return await self.house.value(
            f"SELECT jsonb_build_array({', '.join(parts)})", self.house.desk.platform_id, row["order_id"], row["id"]
        )


async def at_desk(
    house: House,
    *,
    prices: Sequence[int] = (PRICE,),
    charges: int = 1,
    status: str = "scheduled",
    rail: str | None = RAIL,
    problem: str = "other",
    taken: bool = True,
    message: str | None = None,
    email: str | None = None,
    issuer: str = "makegood",
) -> AtDesk:
    """A case of a new order that the agent has taken; `charges`: how often it was paid in full."""
    name, show = uuid4().hex[:8].upper(), f"s{uuid4().hex[:10]}"
    await house.shop.show(show, starts_in=AHEAD)
    total, placed = sum(prices), datetime.now(UTC) - timedelta(days=3)
    payments = []
    for number in range(1, charges + 1):
        on = (placed + timedelta(minutes=number)).isoformat()
        paid: dict[str, Any] = {"ref": f"P{number}", "status": "confirmed", "amount": total, "captured": total, "method": "Visa ·· 4242"}
        paid |= {"paid_at": on, "created_at": on}
        if rail is not None:
            paid |= {"rail": rail, "provider_ref": f"ch_{name}_{number}"}
            await house.books.load_charges([Charge(payment_ref=f"ch_{name}_{number}", amount=Money(minor=total, currency="EUR"))])
        payments.append(paid)
    positions = [
        {
            "ref": str(number),
            "kind": "stream",
            "name": "Stream pass",
            "price": price,
            "shows": [show],
            "pass": {"issuer": issuer, "barcode": uuid4().hex, "status": "valid"},
        }
        for number, price in enumerate(prices, 1)
    ]
    document = {
        "version": 1,
        "status": "paid",
        "currency": "EUR",
        "total": total,
        "buyer": {"email": email or f"{name.lower()}@example.org"},
        "placed_at": placed.isoformat(),
        "positions": positions,
        "fees": [],
        "payments": payments,
    }
    fed = await house.client.put(f"/v1/orders/{name}", json=document, headers=bearer(house.desk.platform))
    assert fed.status_code == 201, fed.text
    if status != "scheduled":
        await house.shop.show(show, starts_in=AHEAD, status=status)
    asked = {"problem": problem, "order": name, "show": show, "channel": "api"} | ({"message": message} if message else {})
    opened = await house.post("/v1/cases", asked)
    assert opened.status_code in {200, 201, 202}, opened.text
    if opened.status_code == 202:
        await house.until_case(opened.json()["id"], lambda one: one["status"] != "working")
    at = AtDesk(house=house, case=opened.json()["id"], order=name, show=show, agent=await person(house), document=document)
    if taken:
        await at.take()
    return at


async def person(house: House, role: Role = "agent", *, scopes: Sequence[str] = ()) -> str:
    """The token of somebody new at the desk."""
    made = await Keys(KeyStore(house.pool)).make_agent_key(
        house.desk.platform_id, name=f"{role}-{uuid4().hex[:8]}", role=role, skills=SKILLS, scopes=scopes, days=1, change=TESTING
    )
    return made.token


def refund(amount: int = PRICE, cause: str = "remorse", **more: Any) -> dict[str, Any]:
    target = {"payment": "P2"} if cause == "duplicate_charge" else {"position": "1"}
    return {"action": "refund", "amount": amount, "cause": cause, **target, **more}


def code_of(answer: httpx.Response) -> str:
    """Of a problem."""
    return str(answer.json()["type"]).rpartition(":")[2]
