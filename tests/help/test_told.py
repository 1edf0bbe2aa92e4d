"""What a customer tells of their player and of a purchase, and what they are told of who has their case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
import structlog

from service.demo.world import Bought, make_platform
from tests.help.test_likely import buyer_of, outage, preview
from tests.help.test_start import orders_of
from tests.promises.house import House, all_holds, stream
from tests.promises.test_attacks import held_by, somebody

PLAYER: Final = {
    "error": "shaka 3016",
    "device": "Pixel 9",
    "system": "Android 16",
    "app_version": "4.2.0",
    "network": "4g",
    "browser": "Chrome 141",
}
PURCHASE: Final = {
    "bought_at": "2026-11-20T18:02:00Z",
    "amount": 2500,
    "currency": "EUR",
    "last4": "4242",
    "email": "old-address@example.org",
}
BY_ERROR: Final = {"url": "https://help.example.org/3016", "title": {"en": "Error 3016", "de": "Fehler 3016"}}
BY_PROBLEM: Final = {"url": "https://help.example.org/player", "title": {"en": "The player stays black"}}


async def live_show(house: House, ref: str, **more: Any) -> str:
    return await house.shop.show(
        ref, starts_in=timedelta(minutes=-10), articles={"will_not_play": BY_PROBLEM}, known_errors={"shaka 3016": BY_ERROR}, **more
    )


async def test_the_players_error_finds_its_own_article_before_the_problems(house: House, ref: str) -> None:
    order = await house.shop.order(await live_show(house, ref), [stream()])
    one = await buyer_of(house, order)
    case = await one.reports("will_not_play", order=order.ref, show=order.show, player=PLAYER, locale="de")
    assert (case["status"], case["question"]["fact"]) == ("asked", "answer.works_now")
    assert case["article"] == {"url": BY_ERROR["url"], "title": "Fehler 3016"}
    # One tap; decided again from what was stored.
    answer = await one.asks(f"/v1/cases/{case['id']}/answers", {"fact": "answer.works_now", "value": "yes"})
    assert (answer.json()["status"], answer.json()["article"]) == ("resolved", None)


async def test_an_error_nobody_knows_falls_back_to_the_problems_article(house: House, ref: str) -> None:
    order = await house.shop.order(await live_show(house, ref), [stream()])
    one = await buyer_of(house, order)
    case = await one.reports("will_not_play", order=order.ref, show=order.show, player={"error": "E1"})
    assert case["article"] == {"url": BY_PROBLEM["url"], "title": "The player stays black"}


async def test_a_specialist_gets_all_that_the_player_said_and_the_customer_none_of_it(house: House, ref: str) -> None:
    order = await house.shop.order(await live_show(house, ref), [stream()])
    one = await buyer_of(house, order)
    case = await one.reports("will_not_play", order=order.ref, show=order.show, player=PLAYER)
    answered = await one.asks(f"/v1/cases/{case['id']}/answers", {"fact": "answer.works_now", "value": "no"})
    shown = answered.json()
    assert (shown["status"], shown["player"], shown["article"]) == ("with_people", None, None)
    assert (await house.case(case["id"], token=house.desk.agent))["player"] == PLAYER


async def test_what_the_player_said_goes_with_a_case_that_joins(house: House, ref: str) -> None:
    order = await house.shop.order(await house.shop.show(ref, starts_in=timedelta(minutes=-10)), [stream()])
    one = await buyer_of(house, order)
    first = await one.reports("will_not_play", order=order.ref, show=order.show)
    await one.reports("will_not_play", order=order.ref, show=order.show, player=PLAYER)
    assert (await house.case(first["id"], token=house.desk.agent))["player"] == PLAYER


@pytest.mark.parametrize(
    "player",
    [
        {"error": "x" * 101},
        {"error": ""},
        {"error": "two\nlines"},
        {"device": "bell\x07"},
        {"system": "c1 \x9b31m"},
        {"error": {"$ne": None}},
        {"error": ["a"]},
        {"error": 7},
        {"secret": "hunter2"},
        "everything",
        [],
    ],
)
async def test_odd_players_are_refused_by_the_field_and_repeated_nowhere(house: House, player: Any) -> None:
    one = await somebody(house)
    with structlog.testing.capture_logs() as logs:
        answer = await one.asks("/v1/cases", {"problem": "will_not_play", "channel": "widget", "player": player})
    assert answer.status_code == 400, answer.text
    assert "/player" in answer.text
    for said in ("hunter2", "x" * 101, "bell", "31m"):
        assert said not in answer.text
        assert said not in str(logs)


async def test_what_a_player_says_is_never_logged_and_never_run(house: House, ref: str) -> None:
    odd = "'; DROP TABLE cases; -- <script>alert(1)</script> ${jndi:x}"
    show = await live_show(house, ref)
    order = await house.shop.order(show, [stream()])
    one = await buyer_of(house, order)
    with structlog.testing.capture_logs() as logs:
        case = await one.reports("buffering", order=order.ref, show=show, player={"error": odd, "device": "مشغل 📺"})
    assert odd not in str(logs)
    assert (await house.case(case["id"], token=house.desk.agent))["player"] == {"error": odd, "device": "مشغل 📺"} | dict.fromkeys(
        ("system", "app_version", "network", "browser")
    )


async def test_a_purchase_comes_to_people_in_the_customers_own_words(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    one = await somebody(house)
    case = await one.reports("stream_outage", order=order.ref, show=order.show, purchase=PURCHASE, message="My mail is dead.", locale="de")
    assert (case["status"], case["operations"]) == ("with_people", [])
    (message,) = case["messages"]
    for said in ("My mail is dead.", "Letzte vier Ziffern: 4242", "25,00", "old-address@example.org", "2026-11-20 18:02 UTC"):
        assert said in message["body"]
    seen = await house.case(case["id"], token=house.desk.agent)
    assert (seen["desk"]["skill"], seen["identity"]) == ("trust", "anonymous")
    assert (await house.case_row(case["id"]))["order_id"] is None
    await all_holds(house)


async def test_a_purchase_never_acts_not_even_for_who_has_proven_the_order(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    one = await buyer_of(house, order)
    case = await one.reports("stream_outage", order=order.ref, show=order.show, purchase=PURCHASE)
    assert (case["status"], case["operations"], case["identity"]) == ("with_people", [], "claimed")
    assert await house.operations(case["id"]) == []
    assert await house.line_awarded(order) == 0


async def test_a_purchase_does_not_show_whether_such_an_order_exists(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    shown = []
    for named in (order.ref, "N0NE"):
        case = await (await somebody(house)).reports("stream_outage", order=named, show=order.show, purchase=PURCHASE)
        own = {"id", "created_at", "order", "messages", "handoff", "wait_quote"}
        shown.append({name: value for name, value in case.items() if name not in own})
        # The quoted wait is one for everybody's cases of a skill, read anew every few seconds.
        assert (case["order"], case["wait_quote"] is not None) == (named, True)
        assert case["handoff"]["agent"] is None
    assert shown[0] == shown[1]


async def test_only_customers_tell_of_a_purchase(house: House) -> None:
    body = {"problem": "other", "channel": "api", "purchase": PURCHASE}
    for token in (house.desk.platform, house.desk.agent):
        answer = await house.post("/v1/cases", body, token=token)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/purchase")


@pytest.mark.parametrize(
    "odd", [{"last4": "42424"}, {"last4": "\uff14\uff12\uff14\uff12"}, {"amount": -1}, {"bought_at": "yesterday"}, {"email": "no"}]
)
async def test_odd_purchases_are_refused_by_the_field(house: House, odd: Any) -> None:
    one = await somebody(house)
    answer = await one.asks("/v1/cases", {"problem": "other", "channel": "widget", "purchase": PURCHASE | odd})
    assert answer.status_code == 400
    assert f"/purchase/{next(iter(odd))}" in answer.text


async def test_a_customer_hears_who_has_their_case_by_the_first_name_alone(house: House, ref: str) -> None:
    order = await house.shop.order(await house.shop.show(ref, starts_in=timedelta(days=3)), [stream()])
    one = await buyer_of(house, order)
    case = await one.reports("other", order=order.ref, show=order.show, message="Who is there?")
    assert (case["handoff"]["agent"], case["handoff"]["desk_open"], case["handoff"]["opens_at"]) == (None, True, None)
    await house.pool.execute("UPDATE agent SET name = 'Mira van der Berg' WHERE name = 'Mira'")
    try:
        taken = await house.post("/v1/queue/take", {"case": case["id"]}, token=house.desk.agent)
        assert taken.status_code == 200, taken.text
        seen = await one.sees(f"/v1/cases/{case['id']}")
        assert seen["handoff"]["agent"] == "Mira"
        assert "van der Berg" not in str(seen)
        assert (await house.case(case["id"], token=house.desk.agent))["handoff"] is None
    finally:
        await house.pool.execute("UPDATE agent SET name = 'Mira' WHERE name = 'Mira van der Berg'")


async def test_a_refund_brings_its_buyer_the_reference_for_the_bank_and_nobody_else(house: House, ref: str) -> None:
    email = f"holder-{uuid4().hex[:8]}@example.org"
    order = await house.shop.order(await outage(house, ref), [held_by(email)])
    buyer, holder = await buyer_of(house, order), await (await somebody(house)).proves(email)
    case = await buyer.reports("stream_outage", order=order.ref, show=order.show)
    await house.until_operation(case["id"], lambda one: one["accepted_at"] is not None)
    (refund,) = (await buyer.sees(f"/v1/cases/{case['id']}"))["operations"]
    (stored,) = await house.operations(case["id"])
    assert refund["reference"] == stored["attempts"][0]["provider_ref"]
    assert refund["sent_at"] is not None
    for token in (house.desk.agent, house.desk.platform):
        assert [one["reference"] for one in (await house.case(case["id"], token=token))["operations"]] == [None]
    assert refund["reference"] not in str(await holder.sees(f"/v1/cases/{case['id']}"))


async def test_an_order_of_another_platform_is_none(house: House, ref: str) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    other = await make_platform(house.pool, f"other-{ref}")
    answer = await house.client.post("/v1/sessions", headers={"Makegood-Platform": other.slug})
    stranger = type(await somebody(house))(house, answer.json()["token"])
    nowhere = Bought(ref="N0NE", email="", show=order.show, payments=())
    assert await preview(stranger, "stream_outage", order) == await preview(stranger, "stream_outage", nowhere)
    found = await house.client.get(
        "/v1/help/orders", headers={"Authorization": f"Bearer {stranger.token}", "Makegood-Platform": house.desk.slug}
    )
    assert found.json() == {"orders": [], "cases": []}


async def test_who_cannot_sign_in_is_shown_the_page_first_and_gets_a_link_when_it_does_not_help(house: House, ref: str) -> None:
    page = {"url": "https://help.example.org/sign-in", "title": {"en": "Signing in"}}
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-10), articles={"cannot_sign_in": page})
    order = await house.shop.order(show, [stream(), stream()])
    one = await buyer_of(house, order)
    asked = await one.reports("cannot_sign_in", order=order.ref, show=show)
    assert (asked["question"]["fact"], asked["article"]["title"]) == ("answer.works_now", "Signing in")
    works = await one.asks(f"/v1/cases/{asked['id']}/answers", {"fact": "answer.works_now", "value": "yes"})
    assert (works.json()["status"], works.json()["operations"]) == ("resolved", [])
    (ticket, *_) = [item["pass_id"] for entry in (await orders_of(one))["orders"] for item in entry["items"]]
    again = await one.reports("cannot_sign_in", order=order.ref, show=show, passes=[ticket])
    helped = await one.asks(f"/v1/cases/{again['id']}/answers", {"fact": "answer.works_now", "value": "no"})
    assert [(done["action"], done["status"]) for done in helped.json()["operations"]] == [("reissue_access", "done")]
