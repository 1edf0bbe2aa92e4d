"""What is said of a question to another team: why a case came back, and who has said so by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import service
from tests.desk.acting import SKILLS, at_desk, person
from tests.promises.house import House

QUESTION = {
    "team": "fraud",
    "reason": "chargeback_risk",
    "question": "Is this buyer known to you?",
    "evidence": [{"kind": "payment", "ref": "P1"}],
    "holds": False,
}
_WORDS = Path(service.__file__).parent / "ui" / "src" / "desk" / "timeline-words.ts"


async def _asked(house: House) -> tuple[Any, Any]:
    at = await at_desk(house)
    asked = await house.post(f"/v1/cases/{at.case}/referrals", QUESTION, token=at.agent)
    assert asked.status_code == 201, asked.text
    return at, asked.json()["id"]


async def _why(at: Any) -> list[str]:
    return [one["data"]["why"] for one in await at.timeline() if one["kind"] == "came_back"]


async def test_a_case_whose_question_was_taken_back_says_so_when_it_comes_back(house: House) -> None:
    at, referral = await _asked(house)
    back = await house.post(f"/v1/referrals/{referral}/withdraw", {"reason": "the buyer called"}, token=at.agent)
    assert back.status_code == 200, back.text
    assert await _why(at) == ["referral_withdrawn"]
    name = await house.value("SELECT asked_by FROM referral ORDER BY created_at DESC LIMIT 1")
    said = back.json()["answer"]
    assert (said["words"], said["by"]) == ("the buyer called", name.removeprefix("agent:"))


async def test_a_person_who_answers_is_named_as_people_are(house: House) -> None:
    at, referral = await _asked(house)
    judge = await person(house)
    answer = {"answer": "cleared", "words": "known since 2024"}
    said = await house.post(f"/v1/referrals/{referral}/answer", answer, token=judge)
    assert said.status_code == 200, said.text
    assert "trust" in SKILLS
    assert re.fullmatch(r"agent-[0-9a-f]{8}", said.json()["answer"]["by"]), "a name and no kind of caller before it"
    assert await _why(at) == ["referral_answered"]


def test_the_console_has_words_for_every_way_in_which_a_case_comes_back() -> None:
    functions = Path(service.__file__).parent / "store" / "functions"
    sql = "".join(one.read_text() for one in functions.glob("*.sql"))
    whys = set(re.findall(r"case_comes_back\([^;]*?'([a-z_]+)'\)", sql)) | set(re.findall(r"p_why text DEFAULT '([a-z_]+)'", sql))
    assert whys >= {"customer_wrote", "referral_withdrawn", "referral_answered"}
    listed = _WORDS.read_text().partition("const CAME_BACK")[2].partition("};")[0]
    assert whys <= set(re.findall(r"^  ([a-z_]+):", listed, re.MULTILINE))
