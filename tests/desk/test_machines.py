"""A machine agent over plain HTTP: no more than its tools do, but what it was given at the command line, and that only on what it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from service.api import auth, contract
from service.app import contract_app
from service.demo.world import bearer
from service.keys import SCOPES, KeyRequestError, Keys, allowed_scopes, scopes_of
from service.store.keys import KeyStore
from tests.desk.acting import REASON, TESTING, AtDesk, at_desk, code_of, person
from tests.promises.house import House

WORK: Final = ("orders:read", "cases:read", "queue:work")
_READS: Final = {"get", "head", "options"}
# What the tools of `makegood mcp` send, and what a program says of itself: that it goes on, and whether it is there.
TOOLS: Final = {
    "POST /v1/queue/take",
    "POST /v1/cases/{case_id}/previews",
    "POST /v1/cases/{case_id}/actions",
    "POST /v1/cases/{case_id}/notes",
    "POST /v1/cases/{case_id}/give-back",
    "POST /v1/cases/{case_id}/keep",
    "PUT /v1/desk/availability",
    "POST /v1/policies/{pack}/try",
}
_REFERRAL: Final = {
    "team": "fraud",
    "reason": "other",
    "question": "is this one known",
    "evidence": [{"kind": "payment", "ref": "P1"}],
    "holds": True,
}
# What people do on a case with `queue:work`, with the scope that a program needs for it, and its body.
MORE: Final[Mapping[str, tuple[str, Any]]] = {
    "replies": ("replies:write", {"body": "go to http://shop.example"}),
    "draft": ("replies:write", {"kind": "reply", "body": "BUY AT http://shop.example"}),
    "attachments": ("replies:write", b"a text"),
    "resolve": ("cases:end", {"outcome": "denied", "reason": REASON}),
    "park": ("cases:park", {"for": "hold", "seconds": 600, "reason": REASON}),
    "referrals": ("cases:park", _REFERRAL),
}
_TABLES: Final = ("message", "draft", "attachment", "referral", "timeline", "contact")


async def _asks(at: AtDesk, what: str, token: str) -> httpx.Response:
    """One of MORE."""
    _, body = MORE[what]
    path = f"/v1/cases/{at.case}/{what}"
    if isinstance(body, bytes):
        return await at.house.client.post(path, content=body, headers=bearer(token) | {"Content-Type": "text/plain"})
    if what == "draft":
        return await at.house.client.put(path, json=body, headers=bearer(token))
    return await at.house.post(path, body, token=token)


async def _written(at: AtDesk) -> Any:
    """Everything of the case that somebody could have written."""
    row = await at.house.case_row(at.case)
    parts = [
        f"(SELECT coalesce(jsonb_agg(to_jsonb(t) - 'position' ORDER BY to_jsonb(t)::text), '[]') FROM {one} AS t WHERE case_id = $1)"
        for one in _TABLES
    ]
    parts.append("(SELECT jsonb_build_array(owner, agent_id, for_agent, state, wait_for, unanswered_at) FROM cases WHERE id = $1)")
    return await at.house.value(f"SELECT jsonb_build_array({', '.join(parts)})", row["id"])


def test_without_a_word_at_the_command_line_a_program_may_write_what_its_tools_write() -> None:
    given = set(scopes_of((), "machine"))
    may = set()
    for path, method, handler in contract.all_operations(contract_app()):
        access = auth.declared_access(handler)
        if access is None or method in _READS or "machine" not in access.callers:
            continue
        needed = access.scope_for("machine")
        assert needed in allowed_scopes("machine"), (method, path)
        if needed in given:
            may.add(f"{method.upper()} {path}")
    assert may == TOOLS


def test_more_is_given_by_name_and_to_programs_alone() -> None:
    more = {scope for scope, _ in MORE.values()} | {"cases:write", "vouch"}
    assert not more & set(scopes_of((), "machine"))
    assert more <= allowed_scopes("machine")
    assert more <= set(SCOPES)
    for scope in more - {"cases:write"}:
        for role in ("agent", "lead", "platform"):
            with pytest.raises(KeyRequestError):
                scopes_of((scope,), role)


@pytest.mark.parametrize("what", MORE)
async def test_a_program_that_was_not_given_it_is_told_what_it_lacks_and_nothing_is_written(house: House, what: str) -> None:
    at, token = await at_desk(house, taken=False), await person(house, "machine")
    await at.take(token=token)
    before = await _written(at)
    answer = await _asks(at, what, token)
    assert (answer.status_code, code_of(answer)) == (403, "scope_missing")
    assert MORE[what][0] in answer.json()["detail"]
    assert await _written(at) == before


@pytest.mark.parametrize("what", ["messages", "person", "answers"])
async def test_a_program_does_not_speak_as_the_customer(house: House, what: str) -> None:
    at, token = await at_desk(house, taken=False), await person(house, "machine")
    bodies = {"messages": {"message": "pay me"}, "person": {}, "answers": {"fact": "works_now", "value": "false"}}
    before = await _written(at)
    answer = await house.post(f"/v1/cases/{at.case}/{what}", bodies[what], token=token)
    assert (answer.status_code, code_of(answer)) == (403, "scope_missing")
    opened = await house.post("/v1/cases", {"problem": "other", "order": at.order, "show": at.show, "channel": "api"}, token=token)
    assert (opened.status_code, code_of(opened)) == (403, "scope_missing")
    assert await _written(at) == before


@pytest.mark.parametrize("what", MORE)
async def test_a_program_that_was_given_it_has_it_on_the_case_that_it_has_taken(house: House, what: str) -> None:
    at, token = await at_desk(house, taken=False), await person(house, "machine", scopes=(*WORK, MORE[what][0]))
    await at.take(token=token)
    answer = await _asks(at, what, token)
    assert answer.is_success, answer.text


@pytest.mark.parametrize("what", MORE)
@pytest.mark.parametrize("taken", [True, False], ids=["a-persons", "nobodys"])
async def test_and_on_no_other_case(house: House, what: str, taken: bool) -> None:  # noqa: FBT001 - pytest names parameters
    at, token = await at_desk(house, taken=taken), await person(house, "machine", scopes=(*WORK, MORE[what][0]))
    before = await _written(at)
    answer = await _asks(at, what, token)
    assert (answer.status_code, code_of(answer)) == (409, "cannot_end" if what == "resolve" else "not_yours")
    assert await _written(at) == before


async def test_a_program_takes_back_only_what_it_has_put_aside_itself(house: House) -> None:
    at, token = await at_desk(house), await person(house, "machine", scopes=(*WORK, "cases:park"))
    assert (await _asks(at, "park", at.agent)).is_success
    answer = await house.post(f"/v1/cases/{at.case}/unpark", {}, token=token)
    assert (answer.status_code, code_of(answer)) == (409, "not_parked")
    assert (await house.post(f"/v1/cases/{at.case}/unpark", {}, token=at.agent)).is_success
    own = await at_desk(house, taken=False)
    await own.take(token=token)
    assert (await _asks(own, "park", token)).is_success
    assert (await house.post(f"/v1/cases/{own.case}/unpark", {}, token=token)).is_success


async def test_an_answer_that_was_lost_is_given_again_to_a_program_that_has_the_case_no_more(house: House) -> None:
    at, token = await at_desk(house, taken=False), await person(house, "machine", scopes=(*WORK, "replies:write"))
    await at.take(token=token)
    key, body = uuid4().hex, {"body": "It is on its way."}
    assert (await house.post(f"/v1/cases/{at.case}/replies", body, token=token, key=key)).is_success
    assert (await house.post(f"/v1/cases/{at.case}/give-back", {"reason": REASON}, token=token)).is_success
    assert (await house.post(f"/v1/cases/{at.case}/replies", body, token=token, key=key)).is_success
    assert (await house.post(f"/v1/cases/{at.case}/replies", body, token=token)).status_code == 409
    row = await house.case_row(at.case)
    assert await house.value("SELECT count(*) FROM message WHERE case_id = $1 AND kind = 'reply'", row["id"]) == 1


@pytest.mark.parametrize("what", MORE)
async def test_a_persons_key_from_before_does_what_it_did(house: House, what: str) -> None:
    at, token = await at_desk(house, taken=False), await person(house, scopes=("cases:read", "queue:work"))
    await at.take(token=token)
    answer = await _asks(at, what, token)
    assert answer.is_success, answer.text


async def test_a_case_is_not_given_to_a_program(house: House) -> None:
    made = await Keys(KeyStore(house.pool)).make_agent_key(
        house.desk.platform_id, name=f"Bot {uuid4().hex[:8]}", role="machine", skills=("support",), scopes=(), days=1, change=TESTING
    )
    at = await at_desk(house)
    shift = (await house.get("/v1/desk/shift", token=at.agent))["agents"]
    name = await house.value("SELECT a.name FROM agent a JOIN api_key k ON k.agent_id = a.id WHERE k.id = $1", made.id)
    (bot,) = (one["id"] for one in shift if one["name"] == name)
    before = await _written(at)
    for called in (name, bot):
        answer = await house.post(f"/v1/cases/{at.case}/give-back", {"reason": REASON, "agent": called}, token=at.agent)
        assert (answer.status_code, code_of(answer)) == (409, "not_a_person")
    assert await _written(at) == before


async def test_a_program_gives_a_case_to_the_queue_or_a_skill_and_to_nobody_by_name(house: House) -> None:
    at, token = await at_desk(house, taken=False), await person(house, "machine")
    await at.take(token=token)
    before = await _written(at)
    answer = await house.post(f"/v1/cases/{at.case}/give-back", {"reason": REASON, "agent": "Mira"}, token=token)
    assert (answer.status_code, code_of(answer)) == (403, "caller_not_allowed")
    assert await _written(at) == before
    given = await house.post(f"/v1/cases/{at.case}/give-back", {"reason": REASON, "skill": "payments"}, token=token)
    assert given.status_code == 200, given.text
    row = await house.case_row(at.case)
    assert (row["owner"], row["skill"]) == ("queue", "payments")
