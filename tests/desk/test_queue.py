"""The queue over HTTP: who is first and why, taking and keeping, passing on and putting aside, and what leads through a case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from service.demo.world import bearer
from tests.desk.talking import Talk, talk
from tests.promises.house import House


async def _row(house: House, case: str, *, token: str | None = None, state: str = "all") -> Any:
    found = await house.get(f"/v1/queue?state={state}&limit=200", token=token or house.desk.agent)
    return next((one for one in found["cases"] if one["id"] == case), None)


async def _routed(house: House, case: str) -> Any:
    return await house.until(lambda: _row(house, case), lambda one: one is not None and one["why"] is not None)


async def _act(one: Talk, what: str, **body: Any) -> Any:
    answer = await one.post(what, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _refused(one: Talk, what: str, *, token: str | None = None, **body: Any) -> str:
    answer = await one.post(what, body, token=token)
    assert answer.status_code == 409, answer.text
    return str(answer.json()["type"]).rpartition(":")[2]


async def test_a_case_that_comes_says_within_a_second_or_two_by_when_it_is_looked_at_and_by_which_rule(house: House, ref: str) -> None:
    one = await talk(house, ref, take=False)
    row = await _routed(house, one.case)
    assert (row["why"], row["playbook"], row["state"], row["mine"]) == ("later", "any-case", "waiting", False)
    assert (row["order"], row["show"], row["currency"], row["locale"]) == (one.order.ref, one.order.show, "EUR", "en")
    assert row["show_name"] is not None
    assert row["unanswered_at"] is not None, "the customer's words wait"
    assert row["sla"]["kind"] == "acknowledge"
    assert not row["sla"]["warned"]


async def test_the_queue_shows_what_is_asked_for_and_counts_it(house: House, ref: str) -> None:
    one = await talk(house, ref, locale="de")
    of_show = f"/v1/queue?show={one.order.show}&state=all"
    both = await house.get(of_show)
    assert (both["total"], [row["id"] for row in both["cases"]], both["next_offset"]) == (1, [one.case], None)
    for query, fits in (
        ("mine=true", True),
        ("problem=other", True),
        ("problem=fraud", False),
        ("skill=core", True),
        ("skill=support", True),
        ("skill=trust", False),
        ("language=de", True),
        ("language=en", False),
        ("sla=breached", False),
    ):
        found = await house.get(f"{of_show}&{query}", token=house.desk.agent)
        assert found["total"] == int(fits), query
    for state, fits in (("taken", True), ("waiting", False), ("parked", False)):
        assert (await house.get(f"/v1/queue?show={one.order.show}&state={state}"))["total"] == int(fits), state
    assert (await house.get(f"{of_show}&mine=true", token=house.desk.lead))["total"] == 0
    wrong = await house.client.get("/v1/queue?state=lost", headers=bearer(house.desk.agent))
    assert wrong.status_code == 400


async def test_pages_of_the_queue_follow_one_another(house: House, ref: str) -> None:
    made = {(await talk(house, f"{ref}{n}", take=False)).case for n in range(3)}
    for case in made:
        await _routed(house, case)  # it is given its place once: what moves while pages are read may be on none
    seen, offset = set[str](), 0
    for _ in range(100):
        page = await house.get(f"/v1/queue?limit=2&offset={offset}")
        seen |= {row["id"] for row in page["cases"]}
        if page["next_offset"] is None:
            break
        offset = page["next_offset"]
    assert made <= seen


async def test_a_kept_case_lasts_and_a_vanished_agents_comes_back_to_its_place(house: House, ref: str) -> None:
    one = await talk(house, ref, take=False)
    before = await _routed(house, one.case)
    taken = await house.post("/v1/queue/take", {"case": one.case, "lease_seconds": 30}, token=house.desk.agent)
    assert taken.status_code == 200
    until = (await _act(one, "keep", lease_seconds=90))["until"]
    assert until > before["queued_at"]
    assert await _refused(one, "keep", token=house.desk.lead, lease_seconds=90) == "not_yours"
    await house.pass_time(timedelta(seconds=95))
    row = await house.until(lambda: _row(house, one.case), lambda found: found["state"] == "waiting")
    assert row["look_by"] <= before["look_by"]
    assert row["agent"] is None


async def test_an_agent_with_full_hands_gets_no_more(house: House, ref: str) -> None:
    held = await house.value("SELECT count(*) FROM cases c JOIN agent a ON a.id = c.agent_id WHERE a.name = 'Jonas'")
    await house.pool.execute("UPDATE agent SET capacity = $1 WHERE name = 'Jonas'", held + 1)
    first, second = [await talk(house, f"{ref}{n}", take=False) for n in range(2)]
    assert (await house.post("/v1/queue/take", {"case": first.case}, token=house.desk.lead)).status_code == 200
    for body in ({"case": second.case}, {}):
        answer = await house.post("/v1/queue/take", body, token=house.desk.lead)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:makegood:problem:at_capacity")
    again = await house.post("/v1/queue/take", {"case": first.case}, token=house.desk.lead)
    assert again.status_code == 200, "who has it keeps it"
    await house.pool.execute("UPDATE agent SET capacity = 100 WHERE name = 'Jonas'")


async def test_a_case_is_given_to_another_skill_or_to_somebody_who_is_there(house: House, ref: str) -> None:
    one = await talk(house, ref)
    await _act(one, "give-back", reason="this is about money", skill="payments")
    row = await _row(house, one.case)
    assert (row["state"], row["skill"]) == ("waiting", "payments")
    await house.post("/v1/queue/take", {"case": one.case}, token=one.agent)
    await house.client.put("/v1/desk/availability", json={"available": False}, headers=bearer(house.desk.lead))
    assert await _refused(one, "give-back", reason="you know them", agent="Jonas") == "agent_away"
    assert await _refused(one, "give-back", reason="you know them", agent="Nobody") == "agent_away"
    await house.client.put("/v1/desk/availability", json={"available": True}, headers=bearer(house.desk.lead))
    shift = await house.get("/v1/desk/shift", token=house.desk.agent)
    jonas = next(agent for agent in shift["agents"] if agent["name"] == "Jonas")
    assert jonas["available"] is True
    await _act(one, "give-back", reason="you know them", agent=jonas["id"])
    row = await _row(house, one.case, token=house.desk.lead)
    assert (row["state"], row["agent"], row["mine"]) == ("taken", "Jonas", True)
    assert await _refused(one, "give-back", reason="not mine any more") == "not_yours"


async def test_what_waits_for_the_customer_stands_and_their_answer_brings_it_back_to_who_asked(house: House, ref: str) -> None:
    one = await talk(house, ref)
    await one.reply("Which of the two charges is it?")
    await _act(one, "park", **{"for": "customer", "seconds": 86_400, "reason": "asked which charge"})
    row = await _row(house, one.case, state="parked")
    assert (row["state"], row["agent"], row["mine"], row["unanswered_at"]) == ("waits_for_customer", "Mira", True, None)
    assert (row["sla"]["kind"], row["sla"]["paused_for"], row["sla"]["due_at"]) == ("resolve", "customer", None)
    assert await _row(house, one.case, state="waiting") is None, "nobody else is bothered"
    await one.post("keep", {"lease_seconds": 90})
    await house.pool.execute("UPDATE agent SET seen_at = app_now() WHERE name = 'Mira'")
    await one.says("the second one")
    row = await _row(house, one.case)
    assert (row["state"], row["agent"], row["mine"], row["sla"]["kind"]) == ("taken", "Mira", True, "next_answer")


async def test_what_is_put_aside_comes_back_by_itself_to_the_queue_when_nobody_is_there(house: House, ref: str) -> None:
    one = await talk(house, ref)
    await _act(one, "park", **{"for": "hold", "seconds": 60, "reason": "the shop opens at ten"})
    assert (await _row(house, one.case))["state"] == "hold"
    await house.pool.execute("UPDATE agent SET seen_at = NULL WHERE name = 'Mira'")
    await house.pass_time(timedelta(seconds=61))
    row = await house.until(lambda: _row(house, one.case), lambda found: found["state"] != "hold")
    assert row["state"] == "waiting"
    again = await one.post("unpark", {})
    assert (again.status_code, again.json()["type"]) == (409, "urn:makegood:problem:not_parked")


async def test_a_case_put_aside_is_taken_again_before_its_time(house: House, ref: str) -> None:
    one = await talk(house, ref)
    await _act(one, "park", **{"for": "hold", "seconds": 3_600, "reason": "asked a colleague"})
    await _act(one, "unpark")
    assert (await _row(house, one.case))["state"] == "taken"


async def test_the_guide_leads_through_a_case_and_shows_its_clocks(house: House, ref: str) -> None:
    one = await talk(house, ref)
    guide = await house.get(f"/v1/cases/{one.case}/guide?language=de", token=one.agent)
    assert (guide["playbook"]["id"], guide["playbook"]["title"]) == ("any-case", "Jeder andere Fall")
    assert guide["escalates_to"] == "escalation"
    assert {step["macro"] for step in guide["steps"]} >= {"hello_looking"}
    clocks = {clock["kind"]: clock for clock in guide["clocks"]}
    assert clocks["acknowledge"]["met"] is True
    assert 0 < clocks["resolve"]["left_seconds"] <= clocks["resolve"]["target_seconds"]


async def test_a_broken_promise_is_told_and_goes_to_the_next_of_the_chain(house: House, ref: str) -> None:
    one = await talk(house, ref, take=False)
    await _routed(house, one.case)
    await house.pass_time(timedelta(hours=2, seconds=5))
    row = await house.until(lambda: _row(house, one.case), lambda found: found["skill"] == "escalation")
    assert row["state"] == "waiting"
    entries = await house.get(f"/v1/cases/{one.case}/timeline?limit=200", token=house.desk.agent)
    told = [entry["kind"] for entry in entries["entries"] if entry["kind"] in {"sla_warned", "sla_breached", "escalated"}]
    assert told[:3] == ["sla_warned", "sla_breached", "escalated"]
    assert (await house.get("/v1/queue?sla=breached&limit=200"))["total"] >= 0
    taken = await house.post("/v1/queue/take", {"case": one.case}, token=house.desk.lead, key=uuid4().hex)
    assert taken.status_code == 200
