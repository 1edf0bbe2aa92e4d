"""Two platforms that call everything by the same names stay apart: money, tickets, letters, cases, the queue, and what each is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import msgspec

from integrations.sandbox_books import Charge
from service.demo.night import RAIL, Night
from service.demo.world import Desk, bearer, make_platform
from service.model import Money
from service.ports import Mail
from tests.promises.house import settled, until

ORDER, SHOW, BARCODE, FAN = "SAME-1", "same-night", "same-barcode-0001", "fan@both.example"

# Ahead, whenever the tests run.
_STARTS: Final = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "moonlight": {
        "name": "Moonlight Live",
        "languages": ["en"],
        "zone": "America/New_York",
        "sender": "help@moonlight.example",
        "contacts": {"support": "call Moonlight"},
        "legal": {"en": "Moonlight Inc., Delaware"},
        "accent": "#102030",
    },
    "nordlicht": {
        "name": "Nordlicht Bühne",
        "languages": ["de"],
        "zone": "Europe/Berlin",
        "sender": "hilfe@nordlicht.example",
        "contacts": {"support": "Nordlicht anrufen"},
        "legal": {"de": "Nordlicht GmbH, Berlin"},
        "accent": "#a0b0c0",
    },
}


class Side(msgspec.Struct, frozen=True):
    night: Night
    desk: Desk
    price: int

    async def put(self, path: str, body: dict[str, Any]) -> None:
        answer = await self.night.client.put(path, json=body, headers=bearer(self.desk.platform))
        assert answer.status_code in {200, 201}, answer.text

    async def post(self, path: str, body: dict[str, Any], *, token: str | None = None) -> Any:
        headers = bearer(token or self.desk.platform, uuid4().hex) | {"Prefer": "wait=20"}
        answer = await self.night.client.post(path, json=body, headers=headers)
        assert answer.status_code in {200, 201, 202}, answer.text
        return (await settled(answer, lambda case: self.get(f"/v1/cases/{case}", token=token))).json()

    async def get(self, path: str, *, token: str | None = None) -> Any:
        answer = await self.night.client.get(path, headers=bearer(token or self.desk.platform))
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    async def show(self, version: int, status: str) -> None:
        starts = _STARTS
        zone = LOOKS[self.desk.slug]["zone"]
        body = {
            "version": version,
            "name": {"en": f"{self.desk.slug} night", "de": f"{self.desk.slug} Nacht"},
            "zone": zone,
            "starts_at": starts.isoformat(),
            "ends_at": (starts + timedelta(hours=2)).isoformat(),
            "status": status,
        }
        await self.put(f"/v1/shows/{SHOW}", body)

    async def sell(self) -> None:
        """The same order in every name; only the price and the charge differ."""
        charge = f"ch_{self.desk.slug}_{uuid4().hex[:8]}"
        await self.night.books.load_charges([Charge(payment_ref=charge, amount=Money(minor=self.price, currency="EUR"))])
        placed = (datetime.now(UTC) - timedelta(days=10)).isoformat()
        position = {"ref": "1", "kind": "venue", "name": "Seat", "price": self.price, "shows": [SHOW]}
        stream = {"ref": "2", "kind": "stream", "name": "Stream", "price": 0, "shows": [SHOW]}
        payment = {"ref": "P1", "rail": RAIL, "provider_ref": charge, "status": "confirmed", "amount": self.price, "captured": self.price}
        body = {
            "version": 1,
            "status": "paid",
            "currency": "EUR",
            "total": self.price,
            "buyer": {"name": "A. Fan", "email": FAN, "customer_ref": "c-1"},
            "locale": LOOKS[self.desk.slug]["languages"][0],
            "placed_at": placed,
            "positions": [
                {**position, "pass": {"issuer": "makegood", "barcode": BARCODE, "status": "valid"}},
                {**stream, "pass": {"issuer": "makegood", "barcode": f"{BARCODE}-s", "status": "valid"}},
            ],
            "fees": [],
            "payments": [{**payment, "method": "Visa 4242", "created_at": placed, "paid_at": placed}],
        }
        await self.put(f"/v1/orders/{ORDER}", body)

    async def report(self, problem: str) -> Any:
        return await self.post("/v1/cases", {"problem": problem, "order": ORDER, "show": SHOW, "channel": "api"})


async def sides(night: Night) -> tuple[Side, Side]:
    ours = Side(night, await make_platform(night.pool, "moonlight", LOOKS["moonlight"]), 2500)
    theirs = Side(night, await make_platform(night.pool, "nordlicht", LOOKS["nordlicht"]), 4000)
    for side in (ours, theirs):
        await side.show(1, "scheduled")
        await side.sell()
    return ours, theirs


async def test_the_same_names_on_two_platforms_are_two_things(night: Night) -> None:
    ours, theirs = await sides(night)
    before = await theirs.get(f"/v1/orders/{ORDER}")
    token = await ours.post("/v1/access/tokens", {"pass_id": _stream_pass(await ours.get(f"/v1/orders/{ORDER}")), "show": SHOW})
    for side, opens in ((ours, True), (theirs, False)):
        assert (await side.post("/v1/access/check", {"token": token["token"]}))["allowed"] is opens

    # the show is cancelled on one of them, and its money goes back there
    await ours.show(2, "cancelled")
    case = await ours.report("show_cancelled")
    assert case["state"] == "resolved", case
    mine = await ours.get(f"/v1/orders/{ORDER}")
    assert sum(line["awarded"] for line in mine["lines"]) == 2500
    assert await theirs.get(f"/v1/orders/{ORDER}") == before
    assert (await theirs.get(f"/v1/shows/{SHOW}"))["status"] == "scheduled"
    denied = await theirs.report("show_cancelled")
    assert denied["state"] == "denied", denied

    # the desk of each sees its own cases, and its own queue
    waiting = await theirs.report("accessibility")
    assert [one["id"] for one in (await theirs.get("/v1/queue", token=theirs.desk.agent))["cases"]] == [waiting["id"]]
    assert (await ours.get("/v1/queue", token=ours.desk.agent))["cases"] == []
    # each customer hears from their own platform, in its language, with its sender, look and legal text
    for side, report in ((ours, await ours.report("accessibility")), (theirs, waiting)):
        await side.post(f"/v1/cases/{report['id']}/replies", {"body": f"{side.desk.slug} 🎟 answers"}, token=side.desk.agent)
    letters = {side.desk.slug: await night.mails.until(FAN, _from(side.desk.slug)) for side in (ours, theirs)}
    for slug, letter in letters.items():
        text = _text(letter)
        other = LOOKS["nordlicht" if slug == "moonlight" else "moonlight"]
        assert f"{slug} 🎟 answers" in text
        assert LOOKS[slug]["name"] in text
        assert next(iter(LOOKS[slug]["legal"].values())) in text
        assert not any(word in text for word in (other["name"], other["sender"], next(iter(other["legal"].values())), other["accent"]))

    assert {mail.sender for mail in night.mails.to(FAN)} == {"help@moonlight.example", "hilfe@nordlicht.example"}

    # and each platform is told its own
    # (Once no older transaction runs on the server, other tests' among them.)
    mine_told = await until(lambda: _events(ours), lambda told: "refund.created" in {one["type"] for one in told})
    theirs_told = await until(lambda: _events(theirs), lambda told: "case.opened" in {one["type"] for one in told})
    assert not {one["id"] for one in mine_told} & {one["id"] for one in theirs_told}
    assert not any(one["type"].startswith("refund.") for one in theirs_told)
    for path in (f"/v1/cases/{waiting['id']}", f"/v1/cases/{waiting['id']}/timeline"):
        for token_of_ours in (ours.desk.platform, ours.desk.lead):
            assert (await night.client.get(path, headers=bearer(token_of_ours))).status_code == 404


async def _events(side: Side) -> list[Any]:
    found: list[Any] = (await side.get("/v1/events?limit=100"))["events"]
    return found


def _stream_pass(order: dict[str, Any]) -> str:
    """The pass of the order's stream."""
    return next(str(line["passes"][0]["id"]) for line in order["lines"] if line["kind"] == "stream")


def _from(slug: str) -> Callable[[Mail], bool]:
    return lambda mail: LOOKS[slug]["sender"] in (mail.sender or "")


def _text(mail: Mail) -> str:
    return f"{mail.subject}\n{mail.text}\n{mail.html}"
