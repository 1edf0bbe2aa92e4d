"""The platform behind the show page: an order for each visitor, troubles that really come about, and none of it in an installation."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from service import serving
from service.api.frame import NOTHING_MORE, More
from service.api.routes import ROUTES
from service.app import contract_app
from service.demo import host as host_module
from service.demo.world import bearer
from service.settings import Settings
from service.vendors import Vendors
from tests.demo_host.conftest import Demo
from tests.patience import PATIENCE_SECONDS
from tests.promises.house import until

Json = dict[str, Any]


async def post(demo: Demo, path: str, **body: Any) -> Json:
    answer = await demo.night.client.post(f"/demo/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def newcomer(demo: Demo) -> tuple[str, Json]:
    visitor = secrets.token_hex(16)
    return visitor, await post(demo, "visitor", visitor=visitor)


async def likely(demo: Demo, visitor: str) -> Json:
    """What the widget shows of this visitor's order before anything is asked, by problem."""
    token = (await post(demo, "token", visitor=visitor))["token"]
    headers = {**bearer(token), "Makegood-Platform": demo.night.desk.slug}
    answer = await demo.night.client.get("/v1/help/orders", params={"locale": "en", "show": host_module.SHOW}, headers=headers)
    assert answer.status_code == 200, answer.text
    (order,) = answer.json()["orders"]
    return {one["problem"]: one for one in order["likely"]}


async def asks(demo: Demo, visitor: str, problem: str) -> Json:
    token = (await post(demo, "token", visitor=visitor))["token"]
    order = (await post(demo, "visitor", visitor=visitor))["bought"]["order"]
    headers = {**bearer(token, secrets.token_hex(16)), "Makegood-Platform": demo.night.desk.slug, "Prefer": "wait=20"}
    body = {"problem": problem, "order": order, "show": host_module.SHOW, "channel": "widget"}
    answer = await demo.night.client.post("/v1/cases", json=body, headers=headers)
    assert answer.is_success, answer.text
    # A machine that stands still for a while answers before it is known what becomes of it.
    return await until(lambda: read(demo, answer.json()["id"]), lambda found: found["status"] != "working")


async def read(demo: Demo, case: str) -> Json:
    """As the platform reads it."""
    answer = await demo.night.client.get(f"/v1/cases/{case}", headers=bearer(demo.night.desk.platform))
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


# ------------------------------------------------------------------------------------------------------ only here


async def test_an_installation_serves_no_page_of_the_demo() -> None:
    asgi: Any = contract_app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=asgi), base_url="http://makegood.example") as http:
        for path in ("/demo", "/demo/", "/demo/both", "/demo/assets/index.js"):
            assert (await http.get(path)).status_code == 404, path
        assert (await http.post("/demo/api/visitor", json={"visitor": "0" * 32})).status_code == 404


async def test_serving_puts_together_nothing_but_the_routes_of_every_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[More] = []

    class Enough(Exception):  # noqa: N818 - says what is so
        pass

    @asynccontextmanager
    async def application(_: Settings, __: Vendors, more: More) -> AsyncIterator[None]:
        given.append(more)
        if given:
            raise Enough
        yield

    @asynccontextmanager
    async def vendors(_: Settings) -> AsyncIterator[Any]:
        yield None

    monkeypatch.setattr(serving, "open_application", application)
    settings: Any = None
    with pytest.raises(Enough):
        async with serving.running(settings, vendors=vendors, listen=None):
            pass
    assert given == [NOTHING_MORE]
    assert (NOTHING_MORE.controllers, NOTHING_MORE.domain) == ((), {})
    assert not any("demo" in one.__module__ for one in ROUTES)


async def test_the_console_may_stand_in_a_frame_of_the_demo_and_in_nobody_elses(demo: Demo) -> None:
    headers = (await demo.night.client.get("/desk")).headers
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers.get("x-frame-options") in {None, "SAMEORIGIN"}


# ------------------------------------------------------------------------------------------------------- visitors


async def test_a_page_names_its_widget_by_the_one_line_and_loads_nothing_else_from_outside_its_files(demo: Demo) -> None:
    answer = await demo.night.client.get("/demo/", params={"lang": "ar"})
    assert answer.status_code == 200
    assert demo.host.embed() in answer.text
    assert '<html lang="ar" dir="rtl">' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy


async def test_each_visitor_has_an_order_of_their_own_and_keeps_it(demo: Demo) -> None:
    # As the demo starts: an outage that somebody has played is everybody's.
    await demo.host.opens(demo.night)
    (ada, first), (_, second) = await newcomer(demo), await newcomer(demo)
    assert first["bought"]["order"] != second["bought"]["order"]
    assert (await post(demo, "visitor", visitor=ada))["bought"] == first["bought"]
    assert await likely(demo, ada) == {}
    assert (first["state"]["link"], set(first["state"]["switches"].values())) == ("open", {"off"})


async def test_who_has_not_come_gets_nothing(demo: Demo) -> None:
    for path, body in {"token": {}, "state": {}, "mailbox": {}, "desk": {}, "switch": {"name": "link_dead", "on": True}}.items():
        answer = await demo.night.client.post(f"/demo/api/{path}", json={"visitor": secrets.token_hex(16), **body})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:makegood:problem:not_found"), path
    assert (await demo.night.client.post("/demo/api/visitor", json={"visitor": "short"})).status_code == 400


async def test_the_oldest_visitors_are_forgotten(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor, _ = await newcomer(demo)
    monkeypatch.setattr(host_module, "VISITORS_MAX", 2)
    for _ in range(2):
        await newcomer(demo)
    assert (await demo.night.client.post("/demo/api/state", json={"visitor": visitor})).status_code == 404


# ----------------------------------------------------------------------------------------------------- the troubles


async def test_a_dead_link_is_refused_by_the_edge_until_makegood_has_made_another(demo: Demo) -> None:
    visitor, entered = await newcomer(demo)
    state = await post(demo, "switch", visitor=visitor, name="link_dead", on=True)
    assert (state["link"], state["switches"]["link_dead"]) == ("dead", "on")
    assert (await likely(demo, visitor))["link_dead"]["actions"] == ["reissue_access"]

    case = await asks(demo, visitor, "link_dead")
    assert case["status"] == "resolved"
    # The platform hears of it as events are given their places: a moment later, where somebody else is just giving them.
    state = await until(lambda: post(demo, "state", visitor=visitor), lambda found: found["link"] == "open")
    assert (state["switches"]["link_dead"], state["case"]) == ("off", case["id"])
    assert state["token"] != entered["state"]["token"]
    old = await post(demo, "state", visitor=visitor, token=entered["state"]["token"])
    assert old["link"] == "dead"


async def test_a_second_charge_is_at_the_processor_and_goes_back_once(demo: Demo) -> None:
    visitor, entered = await newcomer(demo)
    await post(demo, "switch", visitor=visitor, name="charged_twice", on=True)
    again = await post(demo, "switch", visitor=visitor, name="charged_twice", on=True)
    assert again["switches"]["charged_twice"] == "on"
    assert (await likely(demo, visitor))["charged_twice"]["amount"] == host_module.PRICE

    assert (await asks(demo, visitor, "charged_twice"))["status"] == "resolved"
    order = entered["bought"]["order"]
    first, second = [await demo.night.books.line(f"ch_{order}_{number}") for number in (1, 2)]
    assert (first.refunds, second.refunds, second.refunded_minor) == (0, 1, host_module.PRICE)
    assert (await post(demo, "state", visitor=visitor))["switches"]["charged_twice"] == "made_good"


async def test_a_closed_card_takes_nothing_back_and_the_customer_is_asked_where_it_should_go(demo: Demo) -> None:
    visitor, entered = await newcomer(demo)
    state = await post(demo, "switch", visitor=visitor, name="card_closed", on=True)
    assert (state["switches"]["card_closed"], state["switches"]["charged_twice"]) == ("on", "on")

    case = await asks(demo, visitor, "charged_twice")
    assert case["question"]["fact"] == "destination"
    second = await demo.night.books.line(f"ch_{entered['bought']['order']}_2")
    assert (second.refunds, second.dead) == (0, 1)


async def test_a_card_that_is_open_again_takes_its_refund(demo: Demo) -> None:
    visitor, _ = await newcomer(demo)
    await post(demo, "switch", visitor=visitor, name="card_closed", on=True)
    await post(demo, "switch", visitor=visitor, name="card_closed", on=False)
    assert (await asks(demo, visitor, "charged_twice"))["status"] == "resolved"


async def test_an_outage_stops_the_stream_for_everybody_and_its_end_gives_each_their_share(demo: Demo) -> None:
    (ada, entered), (ben, _) = await newcomer(demo), await newcomer(demo)
    try:
        await post(demo, "switch", visitor=ada, name="stream_down", on=True)
        assert (await post(demo, "state", visitor=ben))["switches"]["stream_down"] == "on"
        case = await asks(demo, ada, "stream_outage")
        assert case["wait"]["waiting_for"] == "incident_end"
    finally:
        await post(demo, "switch", visitor=ada, name="stream_down", on=False)
    assert (await likely(demo, ben))["stream_outage"]["amount"] == 694

    await until(lambda: read(demo, case["id"]), lambda found: found["status"] == "resolved")
    assert (await demo.night.books.line(f"ch_{entered['bought']['order']}_1")).refunded_minor == 694


async def test_the_stream_is_down_from_the_moment_that_is_pressed_and_the_clock_that_is_set_back_is_told(demo: Demo) -> None:
    """What the widget says of it is what the platform tells: while it is down, nothing that the visitor did not see."""
    visitor, _ = await newcomer(demo)
    before = datetime.now(UTC).replace(microsecond=0)
    try:
        state = await post(demo, "switch", visitor=visitor, name="stream_down", on=True)
        since = datetime.fromisoformat(state["outage"]["since"])
        assert before <= since <= datetime.now(UTC)
        assert state["outage"]["until"] is None
        assert await incident(demo) == (since, None)
    finally:
        state = await post(demo, "switch", visitor=visitor, name="stream_down", on=False)
    told = (datetime.fromisoformat(state["outage"]["since"]), datetime.fromisoformat(state["outage"]["until"]))
    assert told[1] - told[0] == host_module.OUTAGE
    assert before <= told[1] <= datetime.now(UTC)
    assert await incident(demo) == told
    later, entered = await newcomer(demo)
    assert entered["state"]["outage"] == state["outage"]
    assert (await likely(demo, later))["stream_outage"]["amount"] == 694


async def test_a_demo_that_starts_anew_offers_nobody_a_share_of_what_was_before_it(demo: Demo) -> None:
    visitor, _ = await newcomer(demo)
    await post(demo, "switch", visitor=visitor, name="stream_down", on=True)
    try:
        again = host_module.Host()
        await again.opens(demo.night)
        newest = secrets.token_hex(16)
        state = (await again.come(newest)).state
        assert (state.switches["stream_down"], state.outage) == ("off", None)
        headers = {**bearer(await again.sign_in(newest)), "Makegood-Platform": demo.night.desk.slug}
        answer = await demo.night.client.get("/v1/help/orders", params={"locale": "en", "show": host_module.SHOW}, headers=headers)
        assert [order["likely"] for order in answer.json()["orders"]] == [[]]
    finally:
        await post(demo, "switch", visitor=visitor, name="stream_down", on=False)


async def incident(demo: Demo) -> tuple[datetime, datetime | None]:
    """From when to when the stream was down, as Makegood has it."""
    show = (await demo.night.client.get(f"/v1/shows/{host_module.SHOW}", headers=bearer(demo.night.desk.platform))).json()
    (one,) = show["incidents"]
    return datetime.fromisoformat(one["from"]), None if one["to"] is None else datetime.fromisoformat(one["to"])


async def test_a_notice_is_on_every_widget_of_the_show(demo: Demo) -> None:
    visitor, _ = await newcomer(demo)
    headers = {"Makegood-Platform": demo.night.desk.slug}

    async def read_help() -> Json:
        found: Json = (await demo.night.client.get("/v1/help", params={"show": host_module.SHOW}, headers=headers)).json()
        return found

    await post(demo, "switch", visitor=visitor, name="notice", on=True)
    # What another test's widget has asked for a moment before is kept for a second.
    shown = await until(read_help, lambda found: found["notice"] is not None)
    assert set(shown["notice"]["text"]) == {"en", "de", "fr", "es", "ja", "ar"}
    state = await post(demo, "switch", visitor=visitor, name="notice", on=False)
    assert state["switches"]["notice"] == "off"


async def test_codes_come_to_the_mailbox_of_that_visitor_alone(demo: Demo) -> None:
    (ada, entered), (ben, _) = await newcomer(demo), await newcomer(demo)
    http, headers = demo.night.client, {"Makegood-Platform": demo.night.desk.slug}
    session = (await http.post("/v1/sessions", headers=headers)).json()["token"]
    asked = await http.post("/v1/sessions/codes", json={"email": entered["bought"]["email"]}, headers={**headers, **bearer(session)})
    assert asked.status_code == 202, asked.text
    await demo.night.mails.until(entered["bought"]["email"])
    by_text = {"email": entered["bought"]["email"], "by": "text"}
    asked = await http.post("/v1/sessions/codes", json=by_text, headers={**headers, **bearer(session)})
    assert asked.status_code == 202, asked.text
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (state := await post(demo, "state", visitor=ada))["mails"] < 2:
            await asyncio.sleep(0.05)
    letters = (await post(demo, "mailbox", visitor=ada))["letters"]
    assert [(one["kind"], one["to"]) for one in letters] == [("text", entered["bought"]["phone"]), ("mail", entered["bought"]["email"])]
    assert state["mails"] == len(letters)
    assert (await post(demo, "mailbox", visitor=ben))["letters"] == []
