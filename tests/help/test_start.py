"""What the widget shows before anything is asked: the show to anybody, to a customer what is theirs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from service.demo.world import Bought, Item, bearer
from tests.promises.house import House, stream
from tests.promises.test_attacks import Stranger, held_by, somebody

AHEAD: Final = timedelta(days=20)


async def orders_of(one: Stranger, **more: str) -> Any:
    answer = await one.house.client.get("/v1/help/orders", params=more, headers=bearer(one.token))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_anybody_reads_the_show_and_where_people_are(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-10), name={"en": "Northern Lights", "de": "Nordlicht"})
    answer = await house.client.get("/v1/help", params={"show": show}, headers={"Makegood-Platform": house.desk.slug})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, max-age=5"
    assert {"Origin", "Makegood-Platform"} <= {one.strip() for one in answer.headers["vary"].split(",")}
    body = answer.json()
    assert (body["platform"], body["name"], body["accent"]) == ("demo", "Demo", "#1f4fd8")
    assert body["show"]["phase"] == "live"
    assert body["show"]["name"] == {"en": "Northern Lights", "de": "Nordlicht"}
    assert body["desk"] == {"open": True, "opens_at": None}
    assert body["words"]["de"]["team"] == "unser Team"
    assert body["notice"] is None


_NOBODY: Final = {"support": "", "email": None, "phone": None, "url": None}


@pytest.mark.parametrize(
    ("contacts", "shown"),
    [
        (None, {}),
        ({"support": "our team"}, {"support": "our team"}),
        ({"support": "our team, help@shop.example."}, {"support": "our team, help@shop.example.", "email": "help@shop.example"}),
        ({"support": "call +49 30 1234567"}, {"support": "call +49 30 1234567", "phone": "+49 30 1234567"}),
        ({"support": "https://shop.example/help"}, {"support": "https://shop.example/help", "url": "https://shop.example/help"}),
        ({"email": "help@shop.example"}, {"email": "help@shop.example"}),
    ],
)
async def test_a_show_that_is_not_known_leaves_the_contacts_that_can_be_used(
    house: House, ref: str, contacts: dict[str, str] | None, shown: dict[str, str]
) -> None:
    """Also what stands within the line that is written for letters; where nothing was set, nothing is made up."""
    before = await house.value("SELECT settings FROM platform WHERE id = $1", house.desk.platform_id)
    settings = {name: value for name, value in before.items() if name != "contacts"} | ({} if contacts is None else {"contacts": contacts})
    slug = f"p{uuid4().hex[:8]}"
    await house.pool.execute("INSERT INTO platform (id, slug, settings) VALUES ($1, $2, $3)", uuid4(), slug, settings)
    body = (await house.client.get("/v1/help", params={"show": ref}, headers={"Makegood-Platform": slug})).json()
    assert body["show"] is None
    assert body["contacts"] == {**_NOBODY, **shown}


async def test_a_platform_that_is_not_there_is_not_found(house: House) -> None:
    answer = await house.client.get("/v1/help", headers={"Makegood-Platform": "nobody-has-this"})
    assert answer.status_code == 404
    assert (await house.client.get("/v1/help")).status_code == 400


async def test_a_closed_desk_says_when_it_opens(house: House) -> None:
    # Open in an hour that has passed or comes: whenever the test runs, only on the day after today's day of the week.
    now = await house.value("SELECT app_now() AT TIME ZONE 'Europe/Berlin'")
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    hours = {"days": [days[(now.weekday() + 1) % 7]], "opens": "09:00", "closes": "17:00"}
    before = await house.value("SELECT settings FROM platform WHERE id = $1", house.desk.platform_id)
    slug = f"p{uuid4().hex[:8]}"
    await house.pool.execute(
        "INSERT INTO platform (id, slug, settings) VALUES ($1, $2, $3)",
        uuid4(),
        slug,
        {**before, "desk_hours": hours, "zone": "Europe/Berlin"},
    )
    desk = (await house.client.get("/v1/help", headers={"Makegood-Platform": slug})).json()["desk"]
    assert desk["open"] is False
    opens = await house.value("SELECT to_char($1::text::timestamptz AT TIME ZONE 'Europe/Berlin', 'HH24:MI')", desk["opens_at"])
    assert opens == "09:00"


async def test_who_has_proven_nothing_sees_no_order_but_the_cases_of_their_session(house: House, ref: str) -> None:
    order = await house.shop.order(await house.shop.show(ref, starts_in=AHEAD), [stream()])
    one = await somebody(house)
    case = await one.reports("pass_missing", order=order.ref, show=order.show)
    found = await orders_of(one)
    assert found["orders"] == []
    assert [(line["id"], line["status"]) for line in found["cases"]] == [(case["id"], "asked")]
    assert (await orders_of(await somebody(house)))["cases"] == []


async def test_a_buyer_sees_their_orders_by_show_and_what_became_of_them(house: House, ref: str) -> None:
    order = await house.shop.order(
        await house.shop.show(ref, starts_in=AHEAD, name={"en": "Lights", "de": "Lichter"}),
        [stream(), Item(kind="merchandise", name="T-shirt", price=2000)],
    )
    one = await (await somebody(house)).proves(order.email)
    case = await one.reports("pass_missing", order=order.ref, show=order.show)
    found = await orders_of(one, locale="de-AT")
    (entry,) = found["orders"]
    assert (entry["order"], entry["role"], entry["total"], entry["currency"]) == (order.ref, "buyer", 4500, "EUR")
    assert (entry["show"]["ref"], entry["show"]["name"], entry["show"]["phase"]) == (ref, "Lichter", "before")
    assert [item["name"] for item in entry["items"]] == ["Stream pass", "T-shirt"]
    assert entry["items"][0]["pass_id"].startswith("pass_")
    assert entry["case"]["id"] == case["id"] == found["cases"][0]["id"]


async def test_a_holder_sees_their_own_ticket_and_no_price(house: House, ref: str) -> None:
    email = f"holder-{uuid4().hex[:8]}@example.org"
    order = await house.shop.order(await house.shop.show(ref, starts_in=AHEAD), [stream(2500), held_by(email, 1000)])
    buyer = await (await somebody(house)).proves(order.email)
    await buyer.reports("other", order=order.ref, show=order.show, message="about everything")
    holder = await (await somebody(house)).proves(email)
    found = await orders_of(holder)
    (entry,) = found["orders"]
    assert (entry["role"], entry["total"], entry["currency"]) == ("holder", None, None)
    assert len(entry["items"]) == 1
    assert found["cases"] == []
    assert "2500" not in str(found)


async def test_orders_of_another_show_are_left_out_when_one_is_named(house: House, ref: str) -> None:
    email = f"two-{uuid4().hex[:8]}@example.org"
    first: Bought = await house.shop.order(await house.shop.show(ref, starts_in=AHEAD), [stream()], email=email)
    second = await house.shop.order(await house.shop.show(f"{ref}b", starts_in=AHEAD), [stream()], email=email)
    one = await (await somebody(house)).proves(email)
    assert {entry["order"] for entry in (await orders_of(one))["orders"]} == {first.ref, second.ref}
    assert [entry["order"] for entry in (await orders_of(one, show=f"{ref}b"))["orders"]] == [second.ref]
