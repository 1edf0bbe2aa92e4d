"""Hand-over as a deed, over HTTP: an agent asks, the platform hears of it signed and answers with its own key; and what customers tap."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from service.demo.world import Bought, bearer
from service.keys import Keys
from service.model import WireId, unwire
from service.store.keys import Change, KeyStore
from tests.desk.talking import talk
from tests.promises.house import House, all_holds, stream


async def owed(house: House, ref: str) -> tuple[Bought, Any]:
    """An order of 480.00 that is owed back and waits for a person; and its case, which Mira has."""
    show = await house.shop.show(ref, starts_in=timedelta(days=20), status="cancelled")
    order = await house.shop.order(show, [stream(48000)])
    reported = await house.report("show_cancelled", order)
    case = await house.until_case(reported["id"], lambda one: one["status"] == "with_people")
    taken = await house.post("/v1/queue/take", {"case": case["id"]}, token=house.desk.agent)
    assert taken.status_code == 200, taken.text
    return order, case


async def team_key(house: House) -> str:
    made = await Keys(KeyStore(house.pool)).make_platform_key(
        house.desk.platform_id, name=f"trust {uuid4().hex}", scopes=("referrals:write",), days=1, change=Change(actor="test", why="a test")
    )
    return made.token


QUESTION: dict[str, Any] = {
    "team": "fraud",
    "reason": "chargeback_risk",
    "question": "Is this buyer known to you?",
    "evidence": [{"kind": "payment", "ref": "P1", "words": "a new card"}],
    "holds": True,
}


async def test_an_agent_asks_the_platform_hears_and_answers_and_a_person_may_agree_again(house: House, ref: str) -> None:
    _, case = await owed(house, ref)
    (operation,) = case["operations"]
    asked = await house.post(f"/v1/cases/{case['id']}/referrals", QUESTION, token=house.desk.agent)
    assert asked.status_code == 201, asked.text
    referral = asked.json()
    assert (referral["state"], referral["held"], referral["mine"]) == ("open", {"EUR": 48000}, True)
    # To the customer it is with people; whom they ask is not theirs to hear.
    row = await house.case(case["id"], token=house.desk.platform)
    assert (row["status"], row["wait"]) == ("with_people", None)

    async def told() -> list[Any]:
        events = await house.get("/v1/events?limit=200")
        return [one["data"] for one in events["events"] if one["type"] == "referral.opened" and one["data"]["referral"] == referral["id"]]

    ((event),) = await house.until(told, lambda found: len(found) == 1)
    assert (event["case"], event["question"], event["holds"]) == (case["id"], QUESTION["question"], True)
    assert event["evidence"] == [{"kind": "payment", "ref": "P1", "words": "a new card"}]
    key = await team_key(house)
    path = f"/v1/referrals/{referral['id']}/answer"
    judgement = {"answer": "cleared", "words": "a family, known since 2024", "by": "Noa", "reference": "FR-88"}
    own = await house.post(path, judgement, token=house.desk.agent)
    assert (own.status_code, own.json()["type"].rpartition(":")[2]) == (409, "own")
    answered = await house.post(path, judgement, token=key)
    assert answered.status_code == 200, answered.text
    assert answered.json()["answer"] == {"words": "a family, known since 2024", "by": "Noa", "reference": "FR-88"}
    assert (await house.post(path, judgement, token=key)).status_code == 200
    other = await house.post(path, judgement | {"answer": "confirmed"}, token=key)
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (409, "answered_before")
    (now,) = await house.operations(case["id"])
    assert (now["state"], now["holds"]) == ("HELD", ["amount"])
    assert operation["id"] == f"op_{now['id'].hex}"
    await all_holds(house)


async def test_a_case_with_an_open_question_says_what_to_do_first(house: House, ref: str) -> None:
    _, case = await owed(house, ref)
    asked = await house.post(f"/v1/cases/{case['id']}/referrals", QUESTION | {"holds": False}, token=house.desk.agent)
    (operation,) = await house.operations(case["id"])
    refused = await house.post(f"/v1/operations/op_{operation['id'].hex}/refuse", {"reason": "not owed"}, token=house.desk.lead)
    assert refused.status_code == 204, refused.text
    said = await house.post(f"/v1/cases/{case['id']}/messages", {"message": "are you there"}, token=house.desk.platform)
    assert said.is_success, said.text
    taken = await house.post("/v1/queue/take", {"case": case["id"]}, token=house.desk.agent)
    assert taken.status_code == 200, taken.text
    path = f"/v1/cases/{case['id']}/resolve"
    over = await house.post(path, {"reason": "it is done"}, token=house.desk.agent)
    assert (over.status_code, over.json()["type"].rpartition(":")[2]) == (409, "referral_open")
    assert "withdraw" in over.json()["detail"]
    back = await house.post(f"/v1/referrals/{asked.json()['id']}/withdraw", {"reason": "a mistake"}, token=house.desk.agent)
    assert back.status_code == 200, back.text
    over = await house.post(path, {"reason": "it is done"}, token=house.desk.agent)
    assert over.status_code == 200, over.text


async def test_what_is_no_evidence_is_said_by_its_place(house: House, ref: str) -> None:
    _, case = await owed(house, ref)
    wrong = QUESTION | {"evidence": [*QUESTION["evidence"], {"kind": "payment", "ref": "P9"}]}
    answer = await house.post(f"/v1/cases/{case['id']}/referrals", wrong, token=house.desk.agent)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/evidence/1")


async def test_a_note_is_named_and_never_told(house: House, ref: str) -> None:
    _, case = await owed(house, ref)
    noted = await house.post(f"/v1/cases/{case['id']}/notes", {"body": "the voice did not match"}, token=house.desk.agent)
    note = next(one["id"] for one in noted.json()["messages"] if one["kind"] == "note")
    body = QUESTION | {"evidence": [{"kind": "note", "ref": note}]}
    asked = await house.post(f"/v1/cases/{case['id']}/referrals", body, token=house.desk.agent)
    assert asked.status_code == 201, asked.text
    about = await house.value("SELECT string_agg(data::text, ' ') FROM outbox WHERE case_id = $1", unwire(WireId.CASE, case["id"]))
    assert (note in about, "the voice" in about) == (True, False)


async def test_questions_are_listed_for_the_desk_and_the_platform(house: House, ref: str) -> None:
    _, case = await owed(house, ref)
    referral = (await house.post(f"/v1/cases/{case['id']}/referrals", QUESTION, token=house.desk.agent)).json()
    for token in (house.desk.platform, house.desk.lead):
        page = await house.get(f"/v1/referrals?state=open&team=fraud&case={case['id']}", token=token)
        assert [one["id"] for one in page["referrals"]] == [referral["id"]]
        assert (await house.get(f"/v1/referrals/{referral['id']}", token=token))["question"] == QUESTION["question"]
    back = await house.post(f"/v1/referrals/{referral['id']}/withdraw", {"reason": "the buyer called"}, token=house.desk.lead)
    assert back.json()["state"] == "withdrawn"
    assert (await house.get(f"/v1/referrals?state=open&case={case['id']}"))["referrals"] == []


async def test_a_customer_taps_once_when_it_is_over(house: House, ref: str) -> None:
    spoken = await talk(house, ref)
    path = f"/v1/cases/{spoken.case}/satisfaction"
    early = await house.post(path, {"score": 5}, token=spoken.customer)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (409, "not_yet")
    ended = await spoken.post("resolve", {"reason": "put right"})
    assert ended.status_code == 200, ended.text
    stranger = await talk(house, f"{ref}b", take=False)
    assert (await house.post(path, {"score": 1}, token=stranger.customer)).status_code == 404
    assert (await house.post(path, {"score": 6}, token=spoken.customer)).status_code == 400
    assert [(await house.post(path, {"score": 4}, token=spoken.customer)).status_code for _ in range(2)] == [200, 200]
    again = await house.post(path, {"score": 1}, token=spoken.customer)
    assert (again.status_code, again.json()["type"].rpartition(":")[2]) == (409, "scored_before")
    shift = await house.get("/v1/shift", token=house.desk.agent)
    assert (shift["resolved_today"] >= 1, shift["satisfaction"]["answers"] >= 1) == (True, True)


async def test_a_made_up_token_scores_nothing(house: House) -> None:
    for token in ("mgf_x", "x" * 150, "mgf_" + "A" * 87):
        answer = await house.client.post("/v1/satisfaction", json={"token": token, "score": 5}, headers=bearer("nobody"))
        assert answer.status_code in {401, 404}, answer.text
        bare = await house.client.post("/v1/satisfaction", json={"token": token, "score": 5})
        assert bare.status_code == 404, bare.text


async def test_figures_and_board_are_for_the_desk_and_say_what_is_wrong_with_a_question(house: House, ref: str) -> None:
    await owed(house, ref)
    board = await house.get("/v1/board", token=house.desk.lead)
    assert (board["backlog"]["cases"] >= 1, len(board["arrivals"])) == (True, 60)
    assert (await house.get(f"/v1/figures?show={ref}", token=house.desk.lead))["cases"] == 1
    missing = await house.client.get("/v1/figures?show=never", headers=bearer(house.desk.lead))
    assert missing.status_code == 404
    upside = "/v1/figures?from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z"
    assert (await house.client.get(upside, headers=bearer(house.desk.lead))).status_code == 400
