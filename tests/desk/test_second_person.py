"""Above a limit another person agrees: to what the first one saw, with what has moved since before their eyes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tests.desk.acting import AHEAD, REASON, AtDesk, at_desk, code_of, person, refund
from tests.promises.house import House, all_holds, stream

MUCH: Final = 48000


async def _proposed(house: House, amount: int = MUCH, **more: Any) -> tuple[AtDesk, str]:
    """What an agent has proposed and may not send alone."""
    at = await at_desk(house, prices=(MUCH,))
    seen = await at.preview(refund(amount, **more))
    assert (seen["people_needed"], [one["id"] for one in seen["guards"]]) == (2, ["second_person"])
    assert (await at.confirm(seen["id"])).status_code == 200
    (held,) = (await house.case(at.case))["operations"]
    assert (held["status"], held["approvals"], held["approvals_needed"]) == ("held", 1, 2)
    return at, held["id"]


async def test_a_second_person_sees_what_the_first_saw_and_sends_480(house: House) -> None:
    at, operation = await _proposed(house)
    shown = await at.shown(operation)
    assert shown["proposed"]["reason"] == REASON
    assert shown["proposed"]["preview"]["sentence"] == "Send back €480.00 for Stream pass: the customer gives it back."
    assert (shown["moved"], shown["now"]["can_confirm"], shown["now"]["amount"]) == ([], True, MUCH)
    assert any(one.startswith("Ends access") for one in shown["now"]["effects"])
    answer = await at.approve(operation, shown["now"]["facts_hash"])
    assert (answer.status_code, answer.json()["status"]) == (200, "released")
    made = await house.until_operation(at.case, lambda one: one["state"] == "DONE")
    assert made["amount"] == MUCH
    assert len(await at.operations()) == 1
    agreed = next(one for one in await at.timeline() if one["kind"] == "operation_approved")
    assert (agreed["data"]["facts_hash"], agreed["data"]["reason"]) == (shown["now"]["facts_hash"], REASON)
    await all_holds(house)


async def test_the_first_persons_own_reservation_is_nothing_that_moved(house: House) -> None:
    """What was promised by this very proposal is not held against it."""
    at, operation = await _proposed(house)
    shown = await at.shown(operation)
    was = {one["name"]: one["value"] for one in shown["proposed"]["preview"]["facts"]}
    now = {one["name"]: one["value"] for one in shown["now"]["facts"]}
    assert {name: now[name] for name in was} == was


async def test_a_second_person_sees_what_moved_since(house: House) -> None:
    at, operation = await _proposed(house, MUCH - 8000)
    await at.refunded_elsewhere(1000)
    shown = await at.shown(operation)
    assert shown["moved"] == ["payment.P1.elsewhere"]
    assert shown["now"]["can_confirm"]
    assert (await at.approve(operation, shown["now"]["facts_hash"])).json()["status"] == "released"
    await all_holds(house)


async def test_a_second_person_sees_that_somebody_got_in_with_the_ticket(house: House) -> None:
    at, operation = await _proposed(house)
    stale = (await at.shown(operation))["now"]["facts_hash"]
    await at.row("UPDATE pass SET checked_in_at = app_now()", "order_id = $1")
    assert (await at.shown(operation))["moved"] == ["ticket.1.checked_in"]
    refused = await at.approve(operation, stale)
    assert (refused.status_code, code_of(refused)) == (409, "facts_moved")
    assert [one["state"] for one in await at.operations()] == ["HELD"]


async def test_a_yes_to_what_is_not_so_any_more_is_refused(house: House) -> None:
    at, operation = await _proposed(house)
    stale = (await at.shown(operation))["now"]["facts_hash"]
    await at.refunded_elsewhere(1000)
    refused = await at.approve(operation, stale)
    assert (refused.status_code, code_of(refused)) == (409, "facts_moved")
    now = refused.json()["preview"]
    assert (now["can_confirm"], now["guards"][0]["id"]) == (False, "excess")
    assert [one["state"] for one in await at.operations()] == ["HELD"]
    await all_holds(house)


async def test_a_yes_is_theirs_who_looked(house: House) -> None:
    """What one person has seen, nobody says yes to under another's name."""
    at, operation = await _proposed(house)
    looked, other = await person(house, "lead"), await person(house, "lead")
    seen = (await at.shown(operation, token=looked))["now"]
    refused = await at.approve(operation, seen["facts_hash"], token=other)
    assert (refused.status_code, code_of(refused)) == (409, "facts_moved")
    assert [one["state"] for one in await at.operations()] == ["HELD"]
    own = (await at.shown(operation, token=other))["now"]
    assert own["facts_hash"] != seen["facts_hash"]
    assert own["facts"] == seen["facts"]
    assert (await at.approve(operation, seen["facts_hash"], token=looked)).json()["status"] == "released"
    await all_holds(house)


async def test_the_first_person_is_no_second(house: House) -> None:
    at, operation = await _proposed(house)
    shown = (await at.shown(operation, token=at.agent))["now"]
    assert (shown["can_confirm"], shown["guards"][0]["id"]) == (False, "same_person")
    assert code_of(await at.approve(operation, shown["facts_hash"], token=at.agent)) == "same_person"


async def test_a_program_is_no_second_person(house: House) -> None:
    at, operation = await _proposed(house)
    machine = await person(house, "machine")
    shown = (await at.shown(operation, token=machine))["now"]
    assert (shown["can_confirm"], shown["guards"][0]["id"]) == (False, "machine")
    assert (await at.approve(operation, shown["facts_hash"], token=machine)).status_code == 403
    assert [one["state"] for one in await at.operations()] == ["HELD"]


async def test_of_three_who_agree_at_once_two_count_and_it_is_sent_once(house: House, ref: str) -> None:
    order = await house.shop.order(await house.shop.show(ref, starts_in=AHEAD), [stream(MUCH)])
    await house.shop.show(order.show, starts_in=AHEAD, status="cancelled")
    reported = await house.report("show_cancelled", order)
    case = await house.until_case(reported["id"], lambda one: one["status"] == "with_people")
    (held,) = case["operations"]
    leads = [await person(house, "lead") for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(house.agree(held["id"], REASON, token=token) for token in leads))
    await house.until_operation(case["id"], lambda one: one["state"] == "DONE")
    assert len(await house.operations(case["id"])) == 1
    assert (await house.books.line(order.payments[0])).refunded_minor == MUCH
    await all_holds(house)


async def test_what_the_policy_proposed_has_no_first_person(house: House) -> None:
    at = await at_desk(house, prices=(MUCH,), status="cancelled", problem="show_cancelled", taken=False)
    (held,) = (await house.case(at.case))["operations"]
    shown = await at.shown(held["id"])
    assert (shown["proposed"], shown["moved"], shown["now"]["people_needed"]) == (None, [], 2)
    assert shown["sentence"] == "Send back €480.00 for Stream pass: the show was cancelled."
    assert (await at.approve(held["id"], shown["now"]["facts_hash"])).json() == {"status": "approved", "given": 1, "needed": 2}


async def test_nobody_agrees_while_somebody_else_has_the_case(house: House) -> None:
    at = await at_desk(house, prices=(MUCH,), status="cancelled", problem="show_cancelled")
    (held,) = (await house.case(at.case))["operations"]
    shown = (await at.shown(held["id"]))["now"]
    assert (shown["can_confirm"], shown["guards"][0]["id"]) == (False, "not_yours")
    assert code_of(await at.approve(held["id"], shown["facts_hash"])) == "not_yours"


async def test_what_waits_for_a_yes_stands_in_the_queue_with_money_or_without(house: House) -> None:
    at = await at_desk(house, taken=False)
    program = await person(house, "machine")
    await at.take(token=program)
    ticket = await house.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", at.order)
    held = []
    for action in ({"action": "replace_pass", "pass_id": f"pass_{ticket.hex}"}, refund(1000)):
        await at.take(token=program)
        seen = await at.preview(action, token=program)
        assert (await at.confirm(seen["id"], token=program)).status_code == 200
        (row,) = (await house.get(f"/v1/queue?show={at.show}&state=all", token=house.desk.lead))["cases"]
        held.append((row["held"], row["money_at_stake"]))
    assert held == [(1, 0), (2, 1000)]
    shown = await house.get(f"/v1/cases/{at.case}")
    for one in [one["id"] for one in shown["operations"] if one["status"] == "held"]:
        assert (await house.post(f"/v1/operations/{one}/refuse", {"reason": REASON}, token=house.desk.lead)).status_code == 204
    assert {one["kind"] for one in await at.timeline()} >= {"replace_pass_refused", "refund_refused"}
    rows = (await house.get(f"/v1/queue?show={at.show}&state=all", token=house.desk.lead))["cases"]
    assert [(row["held"], row["money_at_stake"]) for row in rows] == [(0, 0)] * len(rows)
