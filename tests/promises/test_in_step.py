"""A platform's own system and Makegood agree: what it alone knows is read in time, and nothing is paid against what it knows better."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec
import pytest

from integrations.sandbox_platform import PlatformFault, PlatformScript, SandboxPlatform
from service.demo.night import AUDIENCE, ISSUER, RAIL
from service.demo.people import signed_in
from service.demo.world import Bought, Desk, Item, Shop, bearer, make_platform
from service.model import PLATFORM_ANSWERS
from service.platforms import VAULT_PURPOSE, PlatformSettings, sealed
from service.sealing import Vault
from service.settings import Settings
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import House, all_holds, open_house, serving_process, settled, stream

TOKEN: Final = "t0ken-of-tests"
HOOK: Final = "h" * 24
SIGNS: Final = "a shared secret of the tests, 32 bytes and more"
PRICE: Final = 2500


class Place:
    """One platform with a system of its own, and its people."""

    def __init__(self, house: House, desk: Desk, system: SandboxPlatform) -> None:
        self.house = house
        self.desk = desk
        self.system = system
        self.shop = Shop(house.client, desk, house.books, RAIL, system=system)

    async def bought(self, ref: str, *items: Item, status: str = "scheduled", **more: Any) -> Bought:
        """An order that its platform alone knows."""
        show = await self.shop.show(ref, starts_in=timedelta(days=60), status=status)
        return await self.shop.order(show, list(items) or [stream(PRICE)], customer_ref=f"customer-{ref}", ref=ref.upper(), **more)

    async def known(self, ref: str, *items: Item, **more: Any) -> Bought:
        """One that Makegood has read already."""
        order = await self.bought(ref, *items, **more)
        answer = await self.house.client.put(
            f"/v1/orders/{order.ref}", json=self.system.order(order.ref), headers=bearer(self.desk.platform)
        )
        assert answer.status_code == 201, answer.text
        return order

    async def ask(self, problem: str, order: Bought, *, token: str | None = None, wait: int | None = None, **more: Any) -> Any:
        body = {"problem": problem, "order": order.ref, "show": order.show, "channel": "api", **more}
        answer = await self.house.post("/v1/cases", body, token=token or self.desk.platform, wait=wait)
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer.json()

    async def ask_as(self, headers: Mapping[str, str], problem: str, order: Bought) -> Any:
        body = {"problem": problem, "order": order.ref, "show": order.show, "channel": "widget"}
        answer = await self.house.client.post("/v1/cases", json=body, headers={**headers, "Idempotency-Key": uuid4().hex})
        assert answer.status_code in {200, 201, 202}, answer.text
        return (await settled(answer, partial(self.seen_by, headers))).json()

    async def seen_by(self, headers: Mapping[str, str], case: str) -> Any:
        answer = await self.house.client.get(f"/v1/cases/{case}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def customer(self, order: Bought) -> dict[str, str]:
        token = signed_in(SIGNS, subject=order.customer_ref, issuer=ISSUER, audience=AUDIENCE)
        return {**bearer(token), "Makegood-Platform": self.desk.slug}

    async def anyone(self) -> dict[str, str]:
        answer = await self.house.client.post(
            "/v1/sessions", json={}, headers={"Makegood-Platform": self.desk.slug, "Idempotency-Key": uuid4().hex}
        )
        return bearer(answer.json()["token"])

    async def case(self, case: Any) -> Any:
        return await self.house.case(case["id"], token=self.desk.platform)

    async def until(self, case: Any, *statuses: str) -> Any:
        return await self.house.until(lambda: self.case(case), lambda one: one["status"] in statuses)

    async def paid_back(self, order: Bought) -> list[tuple[int, int]]:
        """What the sandbox's own books say of each payment: how much, in how many refunds."""
        lines = [await self.house.books.line(one) for one in order.payments]
        return [(one.refunded_minor, one.refunds) for one in lines]

    def asked_for(self, order: Bought) -> int:
        return self.system.count("GET", f"/orders/{order.ref}")


def settings_at(system: SandboxPlatform, house: House, slug: str) -> dict[str, Any]:
    """As the platform would have set them, with the secrets sealed."""
    assert house.settings.secret is not None
    said = {
        "name": "Aurora",
        "source": {"kind": "http", "url": system.address, "token": TOKEN, "webhook_token": HOOK},
        "issuer": {"kind": "platform", "url": "http"},
        "proof": {"issuer": ISSUER, "audience": AUDIENCE, "secret": SIGNS},
        "payouts": {"rails": []},
    }
    vault = Vault(house.settings.secret.reveal().encode(), purpose=VAULT_PURPOSE)
    document: dict[str, Any] = msgspec.to_builtins(sealed(msgspec.convert(said, PlatformSettings), vault, slug))
    return document


@asynccontextmanager
async def open_place(house: House) -> AsyncIterator[Place]:
    slug = f"aurora-{uuid4().hex[:10]}"
    async with SandboxPlatform(token=TOKEN).running() as system:
        desk = await make_platform(house.pool, slug, settings_at(system, house, slug))
        yield Place(house, desk, system)
        await house.pool.execute("UPDATE platform SET settings = settings - 'source' WHERE id = $1", desk.platform_id)


@pytest.fixture
async def place(house: House) -> AsyncIterator[Place]:
    async with open_place(house) as opened:
        yield opened


# ---------------------------------------------------------------------------------------------- bought a minute ago


async def test_an_order_that_the_platforms_key_names_is_read_before_it_does_not_exist(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    case = await place.ask("charged_twice", order)
    assert (case["status"], case["order"]) == ("resolved", order.ref)
    assert await place.paid_back(order) == [(0, 0), (PRICE, 1)]
    await all_holds(place.house)


async def test_an_order_that_an_agent_names_is_read(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    case = await place.ask("charged_twice", order, token=place.desk.agent, checked="name, order and the last four digits")
    assert case["status"] == "resolved"
    assert await place.paid_back(order) == [(0, 0), (PRICE, 1)]


async def test_an_order_that_its_signed_in_customer_names_is_read(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    case = await place.ask_as(place.customer(order), "charged_twice", order)
    assert (case["status"], case["order"]) == ("resolved", order.ref)
    assert await place.paid_back(order) == [(0, 0), (PRICE, 1)]


async def test_somebody_elses_order_is_read_and_not_opened(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    other = msgspec.structs.replace(order, customer_ref="somebody-else")
    case = await place.ask_as(place.customer(other), "charged_twice", order)
    assert case["status"] == "asked"
    assert place.asked_for(order) == 1
    assert (await place.house.case_row(case["id"]))["order_id"] is None
    assert await place.paid_back(order) == [(0, 0), (0, 0)]


async def test_who_is_not_known_never_has_the_platform_asked(place: Place, ref: str) -> None:
    order = await place.bought(ref, charges=2)
    case = await place.ask_as(await place.anyone(), "charged_twice", order)
    assert case["status"] == "asked"
    assert (place.asked_for(order), await _stored(place, order)) == (0, None)


async def test_an_order_that_nobody_knows_reads_as_ever(place: Place, ref: str) -> None:
    order = await place.bought(ref)
    nobodys = msgspec.structs.replace(order, ref="NEVER")
    case = await place.ask("charged_twice", nobodys)
    assert place.asked_for(nobodys) == 1
    assert (await place.house.case_row(case["id"]))["order_id"] is None
    assert case["operations"] == []


async def test_a_show_that_only_the_platform_knows_comes_with_its_order(place: Place, ref: str) -> None:
    order = await place.bought(ref)
    new = {
        "version": 1,
        "name": {"en": "New"},
        "zone": "Europe/Berlin",
        "starts_at": "2026-12-01T20:00:00Z",
        "ends_at": "2026-12-01T22:00:00Z",
    }
    place.system.keeps_show(f"new-{ref}", new)
    place.system.changes(order.ref, lambda one: one["positions"][0].update(shows=[f"new-{ref}"]), announced=False)
    body = {"problem": "pass_missing", "order": order.ref, "channel": "api"}
    await place.house.post("/v1/cases", body, token=place.desk.platform)
    seen = await place.house.get(f"/v1/shows/new-{ref}", token=place.desk.platform)
    assert seen["name"] == {"en": "New"}


async def test_the_platform_says_that_an_order_changed_and_it_is_read(place: Place, ref: str) -> None:
    order = await place.bought(ref)
    # The platform is taken up among those that are followed.
    await place.house.until(lambda: _polls(place), lambda count: count > 0)
    wrong = await place.house.client.post(f"/webhooks/http/{place.desk.slug}/{'x' * 24}", json={"order": order.ref})
    assert wrong.status_code == 404
    bad = await place.house.client.post(f"/webhooks/http/{place.desk.slug}/{HOOK}", json={"order": "a/../b"})
    assert bad.status_code == 400
    other_kind = await place.house.client.post(f"/webhooks/pretix/{place.desk.slug}/{HOOK}", json={"order": order.ref})
    assert other_kind.status_code == 404
    assert await _stored(place, order) is None
    said = await place.house.client.post(f"/webhooks/http/{place.desk.slug}/{HOOK}", json={"order": order.ref, "status": "paid twice"})
    assert said.status_code == 204
    await place.house.until(lambda: _stored(place, order), lambda found: found is not None)


async def test_what_the_change_log_tells_comes_by_itself(place: Place, ref: str) -> None:
    order = await place.bought(ref)
    place.system.changes(order.ref, lambda one: one.update(locale="fr"))
    await place.house.until(lambda: _stored(place, order), lambda found: found is not None)


async def _polls(place: Place) -> int:
    return place.system.count("GET", "/orders")


async def _stored(place: Place, order: Bought) -> str | None:
    found: str | None = await place.house.value(
        "SELECT ref FROM orders WHERE platform_id = $1 AND ref = $2", place.desk.platform_id, order.ref
    )
    return found


# ------------------------------------------------------------------------------------------ changed after our copy


def _refunded(order: dict[str, Any]) -> None:
    at = order["placed_at"]
    order["payments"][-1]["refunds_elsewhere"] = [{"ref": "R1", "amount": PRICE, "state": "done", "created_at": at}]


def _cancelled_and_refunded(order: dict[str, Any]) -> None:
    _refunded(order)
    order.update(status="cancelled")
    order["positions"][0]["canceled"] = True


@pytest.mark.parametrize(
    ("problem", "charges", "change"),
    [
        ("charged_twice", 2, _refunded),
        ("show_cancelled", 1, _refunded),
        ("show_cancelled", 1, _cancelled_and_refunded),
    ],
)
async def test_what_the_platform_gave_back_itself_is_not_given_back_again(
    place: Place, ref: str, problem: str, charges: int, change: Any
) -> None:
    order = await place.known(ref, charges=charges, status="cancelled" if problem == "show_cancelled" else "scheduled")
    place.system.changes(order.ref, change, announced=False)
    await place.ask(problem, order)
    assert await place.paid_back(order) == [(0, 0)] * charges
    assert await _elsewhere(place, order) == PRICE


async def test_what_the_platform_took_back_from_sale_is_not_paid_on_an_old_copy(place: Place, ref: str) -> None:
    """The second charge was reversed there and never captured."""
    order = await place.known(ref, charges=2)
    place.system.changes(order.ref, lambda one: one["payments"][-1].update(status="cancelled", captured=0), announced=False)
    case = await place.ask("charged_twice", order)
    assert case["status"] != "resolved"
    assert await place.paid_back(order) == [(0, 0), (0, 0)]


async def test_a_refund_that_waits_for_people_is_not_sent_beside_the_platforms_own(place: Place, ref: str) -> None:
    order = await place.known(ref, stream(48000), status="cancelled")
    case = await place.ask("show_cancelled", order)
    (held,) = case["operations"]
    assert held["status"] == "held"
    place.system.changes(
        order.ref,
        lambda one: one["payments"][0].update(refunds_elsewhere=[{"ref": "R1", "amount": 48000, "state": "done"}]),
        announced=False,
    )
    for token in (place.desk.agent, place.desk.lead):
        await place.house.agree(held["id"], "the show was cancelled", token=token)
    assert await place.paid_back(order) == [(0, 0)]


async def _elsewhere(place: Place, order: Bought) -> int:
    found: int = await place.house.value(
        """
        SELECT sum(p.refunded_elsewhere)::bigint FROM payment p JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id
        WHERE o.platform_id = $1 AND o.ref = $2
        """,
        place.desk.platform_id,
        order.ref,
    )
    return found


# --------------------------------------------------------------------------------------------- the platform is away


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_platform_that_is_down_makes_the_case_wait_and_not_fail(place: Place, ref: str, is_known: bool) -> None:  # noqa: FBT001 - drawn
    order = await (place.known if is_known else place.bought)(ref, charges=2)
    await place.system.stop()
    case = await place.ask("charged_twice", order)
    assert (case["status"], case["wait"]["waiting_for"]) == ("waiting", PLATFORM_ANSWERS)
    assert await place.paid_back(order) == [(0, 0), (0, 0)]

    await _look_again(place, 2)
    assert (await place.case(case))["status"] == "waiting"
    await place.system.start()
    await place.house.pass_time(timedelta(minutes=6))
    assert (await place.until(case, "resolved"))["order"] == order.ref
    assert await place.paid_back(order) == [(0, 0), (PRICE, 1)]
    await all_holds(place.house)


async def test_who_waits_for_a_platform_is_told_once_and_then_how_it_ended(place: Place, ref: str) -> None:
    order = await place.known(ref, charges=2)
    await place.system.stop()
    case = await place.ask_as(place.customer(order), "charged_twice", order)
    first = await place.house.mails.until(order.email)
    for _ in range(3):
        await _look_again(place, 1)
        await place.house.until(lambda: _to_write(place), lambda letters: letters == 0)
    await place.system.start()
    await place.house.pass_time(timedelta(minutes=6))
    await place.until(case, "resolved")
    last = await place.house.mails.until(order.email, lambda mail: "€25.00" in mail.text)
    # A letter whose process stood still may go out again, under its own id: in a mailbox it is one.
    assert [*{one.message_key: one for one in place.house.mails.to(order.email)}] == [first.message_key, last.message_key]


@pytest.mark.parametrize("fault", [PlatformFault.ERROR, PlatformFault.GARBAGE, PlatformFault.REFUSED])
async def test_a_platform_that_answers_badly_is_waited_for_as_one_that_is_down(place: Place, ref: str, fault: PlatformFault) -> None:
    order = await place.known(ref, charges=2)
    place.system.script(PlatformScript(fault=fault, method="GET", path=f"/orders/{order.ref}", times=None))
    case = await place.ask("charged_twice", order)
    assert (case["status"], case["wait"]["waiting_for"]) == ("waiting", PLATFORM_ANSWERS)
    place.system.clear()
    await place.house.pass_time(timedelta(minutes=6))
    await place.until(case, "resolved")
    assert await place.paid_back(order) == [(0, 0), (PRICE, 1)]


async def test_after_a_day_people_look(place: Place, ref: str) -> None:
    order = await place.known(ref, charges=2)
    await place.system.stop()
    case = await place.ask("charged_twice", order)
    assert case["status"] == "waiting"
    await place.house.pass_time(timedelta(hours=25))
    found = await place.until(case, "with_people")
    assert found["desk"]["skill"] == "support"
    assert await place.paid_back(order) == [(0, 0), (0, 0)]


async def test_an_order_that_cannot_be_understood_goes_to_people(place: Place, ref: str) -> None:
    order = await place.known(ref, charges=2)
    place.system.changes(order.ref, lambda one: one.update(currency="euro"), announced=False)
    case = await place.ask("charged_twice", order)
    assert (case["status"], case["desk"]["skill"]) == ("with_people", "payments")
    assert await place.paid_back(order) == [(0, 0), (0, 0)]


async def test_an_order_that_the_platform_has_no_more_goes_to_people(place: Place, ref: str) -> None:
    order = await place.known(ref, charges=2)
    place.system.hides(order.ref)
    case = await place.ask("charged_twice", order)
    assert (case["status"], case["desk"]["skill"]) == ("with_people", "payments")
    assert await place.paid_back(order) == [(0, 0), (0, 0)]


async def test_nobody_at_the_desk_acts_on_an_order_whose_platform_is_away(place: Place, ref: str) -> None:
    order = await place.known(ref, stream(48000), status="cancelled")
    case = await place.ask("show_cancelled", order)
    (held,) = case["operations"]
    await place.house.post("/v1/queue/take", {"case": case["id"]}, token=place.desk.agent)
    await place.system.stop()
    before = await _everything(place, case)

    approve = await place.house.agree(held["id"], "yes", token=place.desk.agent)
    credit = {"action": "refund", "position": "1", "amount": 100, "cause": "show_cancelled"}
    act = await place.house.act(case["id"], credit, "yes", token=place.desk.agent)
    for answer in (approve, act):
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
    assert await _everything(place, case) == before
    assert await place.paid_back(order) == [(0, 0)]

    await place.system.start()
    for token in (place.desk.agent, place.desk.lead):
        answer = await place.house.agree(held["id"], "yes", token=token)
        assert answer.status_code in {200, 201}, answer.text
    await place.until(case, "resolved")
    assert await place.paid_back(order) == [(48000, 1)]


@pytest.mark.parametrize("what", ["order_gone", "order_not_understood"])
async def test_nobody_at_the_desk_pays_what_the_platform_says_is_otherwise(place: Place, ref: str, what: str) -> None:
    order = await place.known(ref, stream(48000), status="cancelled")
    case = await place.ask("show_cancelled", order)
    (held,) = case["operations"]
    await place.house.post("/v1/queue/take", {"case": case["id"]}, token=place.desk.agent)
    if what == "order_gone":
        place.system.hides(order.ref)
    else:
        place.system.changes(order.ref, lambda one: one.update(total=-1))
    approve = await place.house.agree(held["id"], "yes", token=place.desk.agent)
    credit = {"action": "refund", "position": "1", "amount": 100, "cause": "show_cancelled"}
    act = await place.house.act(case["id"], credit, "yes", token=place.desk.agent)
    for answer in (approve, act):
        assert (answer.status_code, answer.json()["type"]) == (409, f"urn:makegood:problem:{what}")
    assert await place.paid_back(order) == [(0, 0)]


async def test_a_refund_that_waited_under_a_brake_is_read_again_before_it_leaves(place: Place, ref: str) -> None:
    order = await place.known(ref, charges=2)
    brake, lead = "/v1/brakes/action/refund", bearer(place.desk.lead)
    answer = await place.house.client.put(brake, json={"reason": "a test"}, headers=lead)
    assert answer.status_code in {200, 201, 204}, answer.text
    case = await place.ask("charged_twice", order, wait=0)
    await place.house.until(lambda: place.house.operations(case["id"]), lambda found: [one["state"] for one in found] == ["READY"])
    read = place.asked_for(order)
    place.system.hides(order.ref)
    await place.house.pass_time(timedelta(hours=30))
    answer = await place.house.client.delete(brake, headers=lead)
    assert answer.status_code in {200, 204}, answer.text
    await place.house.until(lambda: place.house.operations(case["id"]), lambda found: found[0]["holds"] == ["order_gone"])
    assert place.asked_for(order) > read
    assert await place.paid_back(order) == [(0, 0), (0, 0)]
    await place.until(case, "with_people")


async def test_how_long_an_answer_takes_does_not_tell_whose_order_it_is(place: Place, ref: str) -> None:
    """What is somebody else's is asked for at the platform as often as what is not there."""
    theirs, mine = await place.known(ref), await place.known(f"{ref}b")
    nobody = msgspec.structs.replace(theirs, ref="NOT-THERE")
    asked = []
    for order in (theirs, nobody):
        before = place.system.count("GET", f"/orders/{order.ref}")
        case = await place.ask_as(place.customer(mine), "charged_twice", order)
        assert case["status"] == "asked"
        asked.append(place.system.count("GET", f"/orders/{order.ref}") - before)
    assert asked == [1, 1]


async def _everything(place: Place, case: Any) -> Any:
    operations = await place.house.operations(case["id"])
    return [(one["state"], one["holds"], one["attempts"]) for one in operations], (await place.case(case))["status"]


async def _look_again(place: Place, times: int) -> None:
    """The longest pause between two looks goes by, so often; each look is taken before the next pause."""
    for _ in range(times):
        before = await place.house.value("SELECT max(due_at) FROM cases WHERE platform_id = $1 AND state = 'open'", place.desk.platform_id)
        await place.house.pass_time(timedelta(minutes=6))
        await place.house.until(lambda: _due(place), partial(_is_later, before))


async def _to_write(place: Place) -> int:
    """Letters about the platform's cases that are still to be looked at."""
    found: int = await place.house.value(
        """
        SELECT (SELECT count(*) FROM cases WHERE platform_id = $1 AND tell) + (SELECT count(*) FROM pgqueuer
            WHERE entrypoint = 'tell_customer' AND convert_from(payload, 'UTF8')::jsonb->>'platform' = $1::text)
        """,
        place.desk.platform_id,
    )
    return found


def _is_later(before: datetime, due: datetime | None) -> bool:
    return due is not None and due > before


async def _due(place: Place) -> Any:
    return await place.house.value(
        "SELECT max(due_at) FROM cases WHERE platform_id = $1 AND state = 'open' AND owner = 'timer'", place.desk.platform_id
    )


# ------------------------------------------------------------------------------------------------------- tickets


def _by_platform(order: dict[str, Any]) -> None:
    order["positions"][0]["pass"]["issuer"] = "platform"


async def _with_ticket(place: Place, ref: str) -> Bought:
    order = await place.bought(ref, Item(kind="venue", name="Seat", price=PRICE))
    place.system.changes(order.ref, _by_platform, announced=False)
    return order


async def test_a_lost_ticket_is_replaced_by_whoever_makes_them_and_the_gate_knows_it(place: Place, ref: str) -> None:
    order = await _with_ticket(place, ref)
    case = await place.ask("pass_lost", order)
    assert case["status"] == "resolved"
    made = place.system.order(order.ref)["positions"][0]["pass"]["barcode"]
    assert made != order.barcodes[0]
    assert (place.system.gate(order.barcodes[0]), place.system.gate(made)) == ("unknown", "ok")
    assert await _good_barcodes(place, order) == [made]
    # What the platform tells of it afterwards is the same ticket.
    place.system.changes(order.ref, lambda one: one.update(locale="fr"))
    # Its log was looked at a moment ago, and is again when that is long enough ago.
    await place.house.pass_time(timedelta(minutes=1))
    await place.house.until(lambda: _locale(place, order), lambda found: found == "fr")
    assert await _good_barcodes(place, order) == [made]


async def test_a_ticket_whose_answer_was_lost_is_made_once(place: Place, ref: str) -> None:
    order = await _with_ticket(place, ref)
    place.system.script(PlatformScript(fault=PlatformFault.LOST_ANSWER, method="POST"))
    case = await place.ask("pass_lost", order, wait=0)
    await place.house.until(lambda: _posts(place), lambda count: count >= 1)
    version = place.system.order(order.ref)["version"]
    await place.house.pass_time(timedelta(minutes=2))
    await place.until(case, "resolved")
    assert place.system.order(order.ref)["version"] == version
    assert await _good_barcodes(place, order) == [place.system.order(order.ref)["positions"][0]["pass"]["barcode"]]


async def test_a_ticket_waits_while_its_platform_is_down(place: Place, ref: str) -> None:
    order = await _with_ticket(place, ref)
    place.system.script(PlatformScript(fault=PlatformFault.ERROR, method="POST", times=None))
    case = await place.ask("pass_lost", order, wait=0)
    await place.house.until(lambda: _posts(place), lambda count: count >= 1)
    assert (await place.case(case))["status"] != "resolved"
    place.system.clear()
    await place.house.pass_time(timedelta(minutes=2))
    await place.until(case, "resolved")
    assert await _good_barcodes(place, order) == [place.system.order(order.ref)["positions"][0]["pass"]["barcode"]]


async def test_a_refund_in_full_voids_the_ticket_at_the_platform(place: Place, ref: str) -> None:
    show = await place.shop.show(ref, starts_in=timedelta(days=2), status="cancelled")
    order = await place.shop.order(show, [Item(kind="venue", name="Seat", price=PRICE)], customer_ref=f"customer-{ref}", ref=ref.upper())
    place.system.changes(order.ref, _by_platform, announced=False)
    await place.ask("show_cancelled", order)
    assert await place.paid_back(order) == [(PRICE, 1)]
    await place.house.until(lambda: _gate(place, order.barcodes[0]), lambda said: said == "void")


async def _gate(place: Place, barcode: str) -> str:
    return place.system.gate(barcode)


async def _posts(place: Place) -> int:
    return place.system.count("POST", "/orders")


async def _locale(place: Place, order: Bought) -> str | None:
    seen = await place.house.get(f"/v1/orders/{order.ref}", token=place.desk.platform)
    found: str = seen["locale"]
    return found


async def _good_barcodes(place: Place, order: Bought) -> list[str]:
    rows = await place.house.rows(
        "SELECT p.barcode FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.platform_id = $1 AND o.ref = $2 AND p.status = 'valid'",
        place.desk.platform_id,
        order.ref,
    )
    return [row["barcode"] for row in rows]


# ---------------------------------------------------------------------------------------------------------- kills


async def _asks_and_is_killed(place: Place, folder: Path, ref: str, *, problem: str, method: str) -> tuple[Bought, Any]:
    """A process is killed while the platform keeps it waiting, after whatever it asked for was done."""
    async with (
        serving_process(place.house.settings, folder) as process,
        httpx.AsyncClient(base_url=process.address, timeout=PATIENCE_SECONDS, trust_env=False) as client,
    ):
        order = await place.bought(ref, charges=2 if problem == "charged_twice" else 1)
        place.system.changes(order.ref, _by_platform, announced=False)
        place.system.script(PlatformScript(fault=PlatformFault.SLOW, method=method, path=f"/orders/{order.ref}"))
        body = {"problem": problem, "order": order.ref, "show": order.show, "channel": "api"}
        answer = await client.post("/v1/cases", json=body, headers={**bearer(place.desk.platform, "k1"), "Prefer": "wait=0"})
        assert answer.status_code in {201, 202}, answer.text
        await place.house.until(lambda: _asked(place, method, order), lambda count: count >= 1)
        await process.kill()
        return order, answer.json()


async def _asked(place: Place, method: str, order: Bought) -> int:
    return place.system.count(method, f"/orders/{order.ref}")


@pytest.mark.parametrize(("problem", "method"), [("charged_twice", "GET"), ("pass_lost", "POST")])
async def test_a_process_that_is_killed_while_the_platform_answers_does_nothing_twice(
    fresh_settings: Settings, tmp_path: Path, ref: str, problem: str, method: str
) -> None:
    async with open_house(fresh_settings) as house, open_place(house) as place:
        order, case = await _asks_and_is_killed(place, tmp_path, ref, problem=problem, method=method)
        version = place.system.order(order.ref)["version"]
        async with (
            serving_process(fresh_settings, tmp_path) as process,
            httpx.AsyncClient(base_url=process.address, timeout=PATIENCE_SECONDS, trust_env=False) as client,
        ):
            house.client = client
            await house.pass_time(timedelta(minutes=2))
            await place.until(case, "resolved")
            assert place.system.order(order.ref)["version"] == version
            if problem == "charged_twice":
                assert await place.paid_back(order) == [(0, 0), (PRICE, 1)]
            else:
                assert await _good_barcodes(place, order) == [place.system.order(order.ref)["positions"][0]["pass"]["barcode"]]
            await all_holds(house)
