"""A preview tells what would happen and does nothing; a yes holds for what was seen, once, for one agent and one case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.demo.world import bearer
from service.model import WireId, unwire
from tests.desk.acting import PRICE, AtDesk, at_desk, code_of, refund
from tests.promises.house import FULL, House, all_holds

ROUNDS: Final = 40 if FULL else 8
Moves = Callable[[AtDesk], Awaitable[object]]


async def _pass_id(at: AtDesk) -> str:
    rows = await at.house.rows(
        "SELECT p.id FROM pass p JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id WHERE o.ref = $1", at.order
    )
    return f"pass_{rows[0]['id'].hex}"


def _guards(seen: Mapping[str, Any]) -> list[str]:
    return [one["id"] for one in seen["guards"]]


# ------------------------------------------------------------------------------------------------------------ it is a look


@pytest.mark.parametrize("action", ["refund", "reissue_access", "resend_pass", "replace_pass", "void_pass"])
async def test_a_preview_changes_nothing(house: House, action: str) -> None:
    at = await at_desk(house)
    asked = refund() if action == "refund" else {"action": action, "pass_id": await _pass_id(at)}
    before = await at.everything()
    seen = await at.preview(asked)
    assert seen["can_confirm"], seen
    assert await at.everything() == before


async def test_a_preview_that_is_refused_changes_nothing_either(house: House) -> None:
    at = await at_desk(house)
    before = await at.everything()
    answer = await house.post(f"/v1/cases/{at.case}/previews", refund(PRICE + 1), token=at.agent)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/amount")
    assert await at.everything() == before


_ACTIONS: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "a second charge": ({"charges": 2}, refund(cause="duplicate_charge")),
    "a part of a ticket": ({}, refund(1000)),
    "a whole ticket": ({}, refund()),
    "a cancelled show": ({"status": "cancelled"}, refund(cause="show_cancelled")),
    "more than one person sends": ({"prices": (48000,)}, refund(48000)),
    "goodwill": ({}, refund(500, "goodwill")),
    "what no rail took": ({"rail": None}, refund()),
    "what two payments bear together": ({"prices": (4500,), "charges": 2}, refund(4500)),
}


@pytest.mark.parametrize("name", sorted(_ACTIONS))
async def test_a_preview_is_what_the_confirmation_then_does(house: House, name: str) -> None:
    how, action = _ACTIONS[name]
    at = await at_desk(house, **how)
    seen = await at.preview(action)
    done = await at.confirm(seen["id"])
    assert done.status_code == 200, done.text
    made = [one for one in await at.operations() if one["action"] == "refund"]
    assert sum(one["amount"] for one in made) == seen["amount"] == action["amount"]
    assert ", ".join(dict.fromkeys(one["rail"] or "people" for one in made)) == seen["rail"]
    holds = {hold for one in made for hold in one["holds"]}
    assert holds == set(_guards(seen))
    assert max(max(one["approvals_needed"], 1) for one in made) == seen["people_needed"]
    await all_holds(house)


async def test_a_whole_refund_says_that_it_ends_access_and_does(house: House) -> None:
    at = await at_desk(house)
    assert "Tickets and access stay as they are." in (await at.preview(refund(PRICE - 1)))["effects"]
    seen = await at.preview(refund())
    assert any(one.startswith("Ends access: Stream pass (1)") for one in seen["effects"])
    assert (await at.confirm(seen["id"])).status_code == 200
    status = "SELECT p.status FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1"
    await house.until(lambda: house.value(status, at.order), lambda found: found == "void")


async def test_the_rest_of_a_ticket_ends_access_too(house: House) -> None:
    """What counts is what was paid back in all, not by this action."""
    at = await at_desk(house)
    first = await at.preview(refund(PRICE - 1000))
    assert (await at.confirm(first["id"])).status_code == 200
    rest = await at.preview(refund(1000, "goodwill"))
    assert any(one.startswith("Ends access") for one in rest["effects"])


async def test_a_preview_says_how_much_is_left_of_what_was_asked(house: House) -> None:
    at = await at_desk(house)
    first = await at.preview(refund(1000))
    assert (await at.confirm(first["id"])).status_code == 200
    seen = await at.preview(refund(4000))
    assert (seen["amount"], seen["sentence"]) == (3000, "Send back €30.00 for Stream pass: the customer gives it back.")
    assert "Asked for €40.00; €30.00 is left to give." in seen["effects"]


# ------------------------------------------------------------------------------------------------------- what stands in the way


async def test_who_has_not_taken_the_case_sees_it_all_and_cannot_confirm(house: House) -> None:
    at = await at_desk(house, taken=False)
    seen = await at.preview(refund())
    assert (seen["can_confirm"], _guards(seen), seen["amount"]) == (False, ["not_yours"], PRICE)
    assert code_of(await at.confirm(seen["id"])) == "not_yours"
    assert await at.operations() == []
    await at.take()
    assert (await at.confirm(seen["id"])).status_code == 200


async def test_what_was_given_is_seen_as_given(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund())
    assert (await at.confirm(seen["id"])).status_code == 200
    again = await at.preview(refund())
    assert (again["can_confirm"], _guards(again), again["amount"]) == (False, ["already_paid"], 0)
    assert code_of(await at.confirm(again["id"])) == "already_paid"
    await all_holds(house)


async def test_a_dispute_is_seen_and_stops_it(house: House) -> None:
    at = await at_desk(house)
    await at.disputed()
    seen = await at.preview(refund())
    assert (seen["can_confirm"], _guards(seen)) == (False, ["disputed"])
    assert code_of(await at.confirm(seen["id"])) == "disputed"


async def test_what_the_payments_cannot_bear_is_seen(house: House) -> None:
    at = await at_desk(house)
    await at.refunded_elsewhere(PRICE)
    seen = await at.preview(refund())
    assert (seen["can_confirm"], _guards(seen)) == (False, ["no_room"])


async def test_a_brake_is_seen_and_delays_it(house: House) -> None:
    at = await at_desk(house)
    await at.brake(on=True)
    try:
        seen = await at.preview(refund())
        assert (seen["can_confirm"], _guards(seen)) == (True, ["brake"])
        assert (await at.confirm(seen["id"])).status_code == 200
        (one,) = await at.operations()
        assert (one["state"], one["accepted_at"]) == ("READY", None)
    finally:
        await at.brake(on=False)


async def test_a_cap_is_seen_and_holds_it(house: House) -> None:
    """A customer's most for a day is 1,000.00, whatever the orders."""
    email = "often@example.org"
    for _ in range(4):
        one = await at_desk(house, prices=(25000,), email=email)
        assert (await one.confirm((await one.preview(refund(25000)))["id"])).status_code == 200
    at = await at_desk(house, email=email)
    seen = await at.preview(refund())
    assert _guards(seen) == ["cap_customer_day"]
    assert (await at.confirm(seen["id"])).status_code == 200
    (made,) = await at.operations()
    assert (made["state"], list(made["holds"])) == ("HELD", ["cap_customer_day"])


async def test_a_ticket_that_was_given_back_gets_nothing_new(house: House) -> None:
    at = await at_desk(house, prices=(48000,))
    held = await at.preview(refund(48000))
    assert (await at.confirm(held["id"])).status_code == 200
    seen = await at.preview({"action": "replace_pass", "pass_id": await _pass_id(at)})
    assert (seen["can_confirm"], _guards(seen)) == (False, ["given_back"])


# ------------------------------------------------------------------------------------------------------------ the facts moved


async def _second_position(at: AtDesk) -> None:
    other = await at.preview(refund(1000, position="2"))
    assert (await at.confirm(other["id"])).status_code == 200


_MOVES: Final[Mapping[str, Moves]] = {
    "somebody refunded a part elsewhere": lambda at: at.refunded_elsewhere(100),
    "somebody refunded it all elsewhere": lambda at: at.refunded_elsewhere(2 * PRICE),
    "the bank opened a dispute": lambda at: at.disputed(),
    "the order was cancelled": lambda at: at.feed(status="cancelled"),
    "the position was taken off the order": lambda at: at.feed(positions=at.document["positions"][1:], total=PRICE),
    "another position was given back": _second_position,
    "refunds are paused": lambda at: at.brake(on=True),
    "somebody got in with the ticket": lambda at: at.row("UPDATE pass SET checked_in_at = app_now()", "order_id = $1"),
    "the ticket was replaced": lambda at: at.replaced(),
    "the payment is another charge": lambda at: at.row("UPDATE payment SET provider_ref = 'ch_' || gen_random_uuid()", "order_id = $1"),
    "the show begins later": lambda at: at.row("UPDATE show SET starts_at = starts_at + interval '1 minute'", "id = $2"),
    "the show ends later": lambda at: at.row("UPDATE show SET ends_at = ends_at + interval '1 minute'", "id = $2"),
    "more was told of the show": lambda at: at.row("UPDATE show SET version = version + 1", "id = $2"),
    "the show was cancelled": lambda at: at.house.shop.show(at.show, starts_in=timedelta(days=20), status="cancelled"),
}


@pytest.mark.parametrize("move", sorted(_MOVES))
async def test_when_the_facts_move_nothing_is_done_and_it_is_shown_anew(house: House, move: str) -> None:
    at = await at_desk(house, prices=(PRICE, PRICE))
    seen = await at.preview(refund())
    before = {one["id"] for one in await at.operations()}
    try:
        await _MOVES[move](at)
        between = {one["id"] for one in await at.operations()}
        refused = await at.confirm(seen["id"])
    finally:
        await at.brake(on=False)
    assert (refused.status_code, code_of(refused)) == (409, "facts_moved"), refused.text
    assert {one["id"] for one in await at.operations()} == between >= before
    now = refused.json()["preview"]
    assert now["facts_hash"] != seen["facts_hash"]
    await all_holds(house)


@pytest.mark.parametrize("span", ["starts_at", "ends_at"])
async def test_an_incident_of_another_length_is_another_fact(house: House, span: str) -> None:
    at = await at_desk(house)
    now = datetime.now(UTC).replace(microsecond=0)
    told = {"version": 1, "kind": "video_lost", "from": (now - timedelta(minutes=30)).isoformat(), "to": now.isoformat(), "scope": {}}
    headers = bearer(house.desk.platform)
    fed = await house.client.put(f"/v1/shows/{at.show}/incidents/I1", json=told, headers=headers)
    assert fed.is_success, fed.text
    seen = await at.preview(refund(1000, cause="incident", incident="I1"))
    key, by = ("from", -31) if span == "starts_at" else ("to", 1)
    moved = told | {"version": 2, key: (now + timedelta(minutes=by)).isoformat()}
    assert (await house.client.put(f"/v1/shows/{at.show}/incidents/I1", json=moved, headers=headers)).is_success
    refused = await at.confirm(seen["id"])
    assert (refused.status_code, code_of(refused)) == (409, "facts_moved"), refused.text
    was, is_now = ({one["name"]: one["value"] for one in each["facts"]} for each in (seen, refused.json()["preview"]))
    assert [name for name in was if was[name] != is_now[name]] == [f"incident.I1.{span}"]


async def test_what_was_shown_anew_can_be_confirmed(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund())
    await at.refunded_elsewhere(100)
    refused = await at.confirm(seen["id"])
    now = refused.json()["preview"]
    # A ticket of which 1.00 went back elsewhere cannot bear the whole price any more.
    assert (now["can_confirm"], [one["id"] for one in now["guards"]]) == (False, ["no_room"])
    part = await at.preview(refund(1000))
    await at.refunded_elsewhere(50)
    again = await at.confirm(part["id"])
    assert (await at.confirm(again.json()["preview"]["id"])).status_code == 200
    await all_holds(house)


async def test_what_is_told_of_the_order_and_moves_no_fact_is_in_nobodys_way(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund())
    await at.feed(locale="de")
    assert (await at.confirm(seen["id"])).status_code == 200


# ------------------------------------------------------------------------------------------------ one agent, one case, once, soon


async def test_a_preview_is_one_agents(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund())
    assert (await at.confirm(seen["id"], token=house.desk.lead)).status_code == 404
    assert await at.operations() == []


async def test_a_preview_is_for_one_case(house: House) -> None:
    at, other = await at_desk(house), await at_desk(house)
    seen = await at.preview(refund())
    assert (await other.confirm(seen["id"], token=at.agent)).status_code == 404
    assert await other.operations() == []


async def test_a_preview_expires_after_five_minutes(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund())
    await house.pass_time(timedelta(minutes=5, seconds=1))
    refused = await at.confirm(seen["id"])
    assert (refused.status_code, code_of(refused)) == (409, "preview_expired")
    assert await at.operations() == []


async def test_a_preview_is_used_once(house: House) -> None:
    at = await at_desk(house)
    seen = await at.preview(refund(500, "goodwill"))
    answers = await asyncio.gather(*(at.confirm(seen["id"]) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 409, 409, 409, 409]
    assert {code_of(one) for one in answers if one.status_code == 409} <= {"preview_used", "facts_moved"}
    assert len(await at.operations()) == 1
    assert code_of(await at.confirm(seen["id"])) == "preview_used"


async def test_what_nobody_confirmed_is_forgotten_and_what_was_confirmed_is_kept(house: House) -> None:
    at = await at_desk(house)
    kept, dropped = await at.preview(refund(500)), await at.preview(refund(600))
    assert (await at.confirm(kept["id"])).status_code == 200
    await house.pass_time(timedelta(days=2))
    assert house.app is not None
    await house.app.jobs.forget_old()
    left = {row["id"] for row in await house.rows("SELECT id FROM preview")}
    assert unwire(WireId.PREVIEW, kept["id"]) in left
    assert unwire(WireId.PREVIEW, dropped["id"]) not in left


# ----------------------------------------------------------------------------------------------------------------- the timeline


async def test_what_was_confirmed_stands_on_the_timeline_and_what_was_looked_at_does_not(house: House) -> None:
    at = await at_desk(house)
    before = await at.timeline()
    seen = await at.preview(refund())
    assert await at.timeline() == before
    assert (await at.confirm(seen["id"], reason="they gave it back")).status_code == 200
    acted = next(one for one in await at.timeline() if one["kind"] == "acted")
    assert acted["data"]["reason"] == "they gave it back"
    assert acted["data"]["facts_hash"] == seen["facts_hash"]
    assert acted["actor"].startswith("agent:")


# --------------------------------------------------------------------------------------------------------------------- at once


ROUND: Final = st.fixed_dictionaries(
    {
        "amounts": st.lists(st.sampled_from([500, 1500, 2500, PRICE]), min_size=2, max_size=5),
        "causes": st.lists(st.sampled_from(["remorse", "goodwill"]), min_size=5, max_size=5),
        "elsewhere": st.none() | st.sampled_from([100, 2000, PRICE]),
        "brake": st.booleans(),
    }
)


@settings(max_examples=ROUNDS, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=ROUND)
async def test_whatever_happens_at_once_each_yes_does_what_was_seen_or_nothing(house: House, drawn: Mapping[str, Any]) -> None:
    at = await at_desk(house)
    wanted = [
        refund(min(amount, 2000) if cause == "goodwill" else amount, cause)
        for amount, cause in zip(drawn["amounts"], drawn["causes"], strict=False)
    ]
    seen = [await at.preview(one) for one in wanted]
    meanwhile: list[Awaitable[Any]] = [] if drawn["elsewhere"] is None else [at.refunded_elsewhere(drawn["elsewhere"])]
    if drawn["brake"]:
        meanwhile.append(at.brake(on=True))
    try:
        answers = await asyncio.gather(*(at.confirm(one["id"]) for one in seen), *meanwhile)
    finally:
        await at.brake(on=False)
    for one, answer in zip(seen, answers, strict=False):
        made = await house.rows("SELECT amount, holds FROM operation WHERE preview_id = $1", unwire(WireId.PREVIEW, one["id"]))
        if answer.status_code == 200:
            assert sum(row["amount"] for row in made) == one["amount"]
            assert {hold for row in made for hold in row["holds"]} == {guard["id"] for guard in one["guards"]} - {"brake"}
        else:
            assert (answer.status_code, made) == (409, []), answer.text
    assert await house.value("SELECT max(l.awarded) FROM line l JOIN orders o ON o.id = l.order_id WHERE o.ref = $1", at.order) <= PRICE
