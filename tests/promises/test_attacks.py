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
    for named in ([], mine):
        case = await house.report("show_cancelled", order, show=other, passes=named)
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
    refund = {"action": "refund", "cause": "show_cancelled", "position": "1", "amount": 2500}
    reissue = {"action": "reissue_access", "pass_id": (await passes(house, order))[0]}
    for wanted, field in ((refund, "/position"), (reissue, "/action")):
        answer = await house.act(case["id"], wanted, "it is right", token=agent)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    await all_holds(house)


# -------------------------------------------------------------------------------------------------------- another's things


async def test_a_holder_acts_on_no_ticket_but_their_own(house: House, ref: str) -> None:
    order = await house.shop.order(
        await house.shop.show(ref, starts_in=AHEAD), [held_by(f"one@{ref}.example"), held_by(f"two@{ref}.example")]
    )
    own, other = await passes(house, order)
    holder = await (await somebody(house)).proves(f"one@{ref}.example")
    body = {"problem": "pass_lost", "channel": "widget", "order": order.ref, "show": order.show}
    answer = await holder.asks("/v1/cases", {**body, "passes": [other]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/passes")
    case = await holder.reports("pass_lost", order=order.ref, show=order.show, passes=[own])
    assert {one["pass_id"] for one in case["operations"] if one["action"] == "replace_pass"} == {own}
    assert other in await passes(house, order)


async def test_a_ticket_of_another_order_reads_like_one_that_is_not_there(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=AHEAD)
    order, theirs = [await house.shop.order(show, [stream()]) for _ in range(2)]
    customer = await (await somebody(house)).proves(order.email)
    body = {"problem": "wants_refund", "channel": "widget", "order": order.ref, "show": show}
    answers = [await customer.asks("/v1/cases", {**body, "passes": [one]}) for one in (*await passes(house, theirs), f"pass_{'0' * 32}")]
    assert [(one.status_code, one.json()["errors"]) for one in answers] == [(400, answers[0].json()["errors"])] * 2


async def test_the_tickets_that_were_named_before_the_proof_are_those_that_are_given_back(house: House, ref: str) -> None:
    order = await house.shop.order(await house.shop.show(ref, starts_in=AHEAD), [stream(), stream()], age=timedelta(hours=1))
    named = (await passes(house, order))[:1]
    customer = await somebody(house)
    case = await customer.reports("wants_refund", order=order.ref, show=order.show, passes=named)
    await customer.proves(order.email)
    done = (await customer.asks(f"/v1/cases/{case['id']}/identify", {})).json()
    assert [one["amount"] for one in done["operations"]] == [2500]
    assert [await house.line_awarded(order, number) for number in ("1", "2")] == [2500, 0]


async def test_who_has_proved_nothing_cannot_tell_whether_an_order_exists(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(days=-2))
    order = await house.shop.order(show, [stream()])
    stranger = await somebody(house)

    def comparable(case: Any) -> Any:
        # The quoted wait is one for everybody's cases of a skill, read anew every few seconds.
        times = {"handoff": case["handoff"] and {**case["handoff"], "since": "now"}, "wait_quote": case["wait_quote"] is not None}
        return {name: value for name, value in (case | times).items() if name not in {"id", "order", "created_at", "ended_at"}}

    for problem in ("will_not_play", "merch_missing", "other", "wants_refund", "link_dead", "charged_twice"):
        for named in ({}, {"show": show}):
            there, nowhere = [await stranger.reports(problem, order=one, **named) for one in (order.ref, f"{order.ref}X")]
            assert comparable(there) == comparable(nowhere)
            assert len({(await house.case_row(one["id"]))["skill"] for one in (there, nowhere)}) == 1


async def test_a_holder_hears_nothing_of_the_money_of_others(house: House, ref: str) -> None:
    address = f"one@{ref}.example"
    show = await house.shop.show(ref, starts_in=AHEAD)
    order = await house.shop.order(show, [held_by(address)], age=timedelta(hours=1))
    holder = await (await somebody(house)).proves(address)
    case = await holder.reports("abuse", order=order.ref, show=show)
    assert (await house.report("wants_refund", order))["status"] == "resolved"
    told = await holder.sees(f"/v1/cases/{case['id']}/timeline")
    assert [one for one in told["entries"] if "amount" in one["data"] or one["kind"].startswith("refund")] == []
    everything = await house.get(f"/v1/cases/{case['id']}/timeline")
    assert [one for one in everything["entries"] if one["kind"].startswith("refund")] != []


async def test_a_holder_does_not_decide_about_the_money_of_the_buyer(house: House, ref: str) -> None:
    address = f"one@{ref}.example"
    show = await house.shop.show(ref, starts_in=AHEAD)
    order = await house.shop.order(show, [held_by(address)])
    await house.shop.show(show, starts_in=AHEAD, status="postponed")
    asked = await house.report("show_postponed", order, passes=await passes(house, order))
    assert asked["question"]["fact"] == "answer.postponed"
    holder = await (await somebody(house)).proves(address)
    joined = await holder.reports("show_postponed", order=order.ref, show=show)
    assert (joined["joined_to"], joined["question"]) == (asked["id"], None)
    answer = await holder.asks(f"/v1/cases/{joined['id']}/answers", {"fact": "answer.postponed", "value": "refund"})
    assert answer.status_code == 409
    assert await house.line_awarded(order) == 0


async def test_nobody_is_let_in_anew_while_their_money_is_on_its_way_back(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=AHEAD)
    order = await house.shop.order(show, [stream(25000)], age=timedelta(hours=1))
    case = await house.report("wants_refund", order)
    assert [one["status"] for one in case["operations"]] == ["held"]
    answer = await house.post("/v1/access/tokens", {"pass_id": (await passes(house, order))[0], "show": show})
    assert answer.status_code == 404
    await all_holds(house)


# ------------------------------------------------------------------------------------------------- more than is due, in small pieces


async def test_minutes_that_two_incidents_share_are_paid_once(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(hours=-3), minutes=100)
    start = await house.value("SELECT starts_at FROM show WHERE ref = $1", show)
    order = await house.shop.order(show, [stream(10000)])
    await house.shop.incident(show, "A", start, start + timedelta(minutes=40))
    await house.shop.incident(show, "B", start + timedelta(minutes=20), start + timedelta(minutes=60))
    for incident in ("A", "B", "A"):
        await house.report("stream_outage", order, incident=incident)
    assert await house.line_awarded(order) == 6000
    await all_holds(house)


async def test_a_large_order_asked_for_ticket_by_ticket_still_goes_to_people(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=AHEAD, status="cancelled")
    order = await house.shop.order(show, [stream(9000) for _ in range(5)])
    for one in await passes(house, order):
        await house.report("show_cancelled", order, passes=[one])
    rows = await house.rows(
        "SELECT x.amount, x.state, x.approvals_needed AS needed FROM operation x JOIN orders o ON o.id = x.order_id"
        " WHERE o.ref = $1 AND x.action = 'refund' ORDER BY x.created_at, x.id",
        order.ref,
    )
    assert [(row["state"], row["needed"]) for row in rows] == [("DONE", 0), ("DONE", 0), ("HELD", 1), ("HELD", 1), ("HELD", 1)]
    await all_holds(house)


async def test_an_agent_does_not_get_past_their_limit_by_another_name_for_it(house: House, ref: str) -> None:
    order = await house.shop.order(await house.shop.show(ref, starts_in=AHEAD), [stream(60000)])
    case = await house.report("other", order)
    agent = house.desk.agent
    await house.post("/v1/queue/take", {"case": case["id"]}, token=agent)
    first = {"action": "refund", "cause": "remorse", "position": "1", "amount": 30000}
    assert (await house.act(case["id"], first, "changed their mind")).status_code == 200
    second = {"action": "refund", "cause": "no_pass", "payment": "P1", "amount": 30000}
    answer = await house.act(case["id"], second, "no ticket came")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/cause")
    goodwill = {"action": "refund", "cause": "goodwill", "position": "1", "amount": 1000}
    assert (await house.act(case["id"], goodwill, "a long evening")).status_code == 200
    await house.until_operation(case["id"], lambda one: one["state"] == "DONE")
    assert [one["state"] for one in await house.operations(case["id"])] == ["DONE", "HELD"]
    await all_holds(house)


async def test_one_night_of_a_ticket_for_several_is_worth_what_people_say(house: House, ref: str) -> None:
    shows_of_it = [await house.shop.show(f"{ref}{one}", starts_in=AHEAD) for one in "ab"]
    ticket = {"ref": "1", "kind": "stream", "name": "Both nights", "price": 9000}
    order = await house.shop.order(shows_of_it[0], [stream(9000)], positions=[{**ticket, "shows": shows_of_it}])
    await house.shop.show(shows_of_it[0], starts_in=AHEAD, status="cancelled")
    case = await house.report("show_cancelled", order)
    assert (case["status"], case["operations"]) == ("with_people", [])


async def test_words_on_a_case_that_asks_are_read_by_people(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=AHEAD)
    await house.shop.order(show, [stream(2500)])
    asked = await (customer := await somebody(house)).reports("wants_refund", show=show)
    assert asked["status"] == "asked"
    answer = await customer.asks(f"/v1/cases/{asked['id']}/messages", {"message": "I have no code, what now?"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "with_people"


async def test_one_customer_does_not_fill_a_case_with_words(house: House, ref: str) -> None:
    del ref
    # Words are counted by the full hour: it has just begun.
    await house.pass_time(await house.value("SELECT date_bin('1 hour', app_now(), '2020-01-01Z') + interval '1 hour' - app_now()"))
    customer = await somebody(house)
    case = await customer.reports("other", message="help")
    answers = [(await customer.asks(f"/v1/cases/{case['id']}/messages", {"message": "again"})).status_code for _ in range(61)]
    assert answers == [201] * 60 + [429]
