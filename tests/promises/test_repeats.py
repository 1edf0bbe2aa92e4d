"""A POST that is sent again, because its answer was lost or a client is impatient, does nothing a second time: route by route."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec
import pytest

from integrations.sandbox_books import Fault, Script
from service.demo.world import Bought
from service.keys import Keys, allowed_scopes
from service.model import WireId, unwire
from service.store.keys import Change, KeyStore
from tests.promises.house import House, broken_sums, stream

AHEAD: Final = timedelta(days=20)
_DOCUMENT: Final = msgspec.json.decode((Path(__file__).parents[2] / "openapi" / "openapi.json").read_bytes())
POSTS: Final = {path: methods["post"] for path, methods in _DOCUMENT["paths"].items() if "post" in methods}

# POSTs without a key, each with what keeps a repeat of it from doing harm.
BY_NATURE: Final[Mapping[str, str]] = {
    "/v1/sessions": "an anonymous session more opens nothing; a repeat could only be answered with a secret that is not kept",
    "/v1/sessions/codes": "a new code takes the place of the older one: a session has one at most, and a limit on mails",
    "/v1/sessions/verify": "a code works once",
    "/v1/desk/sessions": "a link's code works once; a session more of a token's is that token's",
    "/v1/help/preview": "a question: nothing is changed",
    "/v1/cases/{case_id}/preview": "a question: nothing is changed",
    "/v1/help/follow": "an address follows once, however often it is asked",
    "/v1/policies/{pack}/try": "a question: nothing is changed",
    "/v1/cases/{case_id}/identify": "a case gets its order once: then it asks for no proof any more",
    "/v1/queue/take": "who takes what they have keeps it; a case that was taken for a lost answer goes back by itself after ten minutes",
    "/v1/cases/{case_id}/give-back": "only who has the case gives it back, and then they have it no more",
    "/v1/cases/{case_id}/keep": "it says until when from now: the same again says nothing else",
    "/v1/cases/{case_id}/park": "only who has the case puts it aside, and then they have it no more",
    "/v1/cases/{case_id}/unpark": "a case that somebody has is not put aside",
    "/v1/cases/{case_id}/attachments": "a file more is nobody's until a message names it, and is forgotten within a day",
    "/v1/cases/{case_id}/previews": "it does nothing: one preview more is forgotten, and each is confirmed once",
    "/v1/cases/{case_id}/resolve": "only who has the case ends it, and then they have it no more",
    "/v1/operations/{operation_id}/refuse": "it ends what is held, and what has ended is held no more",
    "/v1/operations/{operation_id}/judge": "it ends what needs a review, and what has ended needs none any more",
    "/v1/referrals/{referral_id}/answer": "a question is answered once: the same answer again finds it given",
    "/v1/referrals/{referral_id}/withdraw": "what was withdrawn stays so",
    "/v1/cases/{case_id}/satisfaction": "a case is scored once for each time that it is asked: the same again finds it there",
    "/v1/satisfaction": "the token's case is scored once: the same again finds it there",
    "/v1/access/tokens": "a pass has one token for a show, and asking again gives the same",
    "/v1/access/check": "a question: nothing is changed",
    "/v1/access/playback": "a question: what it shows is made of the pass's token, which it leaves as it is",
    "/v1/agents/{agent_id}/disable": "who has no key any more loses none",
    "/v1/keys/{key_id}/revoke": "a key that was taken back stays so",
    "/v1/endpoints/{endpoint_id}/enable": "it is tried again, from where it was, however often that is said",
    "/v1/endpoints/{endpoint_id}/test": "a ping has no place in the feed and changes nothing",
    "/v1/platform/settings/rollback": "the version that is there already is not brought back again",
    "/v1/orders/bulk": "orders have versions: the same again is `unchanged`",
    "/webhooks/{kind}": "kept by the processor's own id of the event",
    "/webhooks/{kind}/{rail}": "kept by the processor's own id of the event",
}


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request, another body for it, and the rows that it makes when it is done once."""

    path: str
    body: dict[str, Any]
    other: dict[str, Any]
    token: str
    counted: str
    about: tuple[object, ...]
    key: str = msgspec.field(default_factory=lambda: uuid4().hex)


async def _sold(house: House, ref: str, *, price: int = 2500, status: str = "cancelled") -> Bought:
    show = await house.shop.show(ref, starts_in=AHEAD)
    order = await house.shop.order(show, [stream(price)])
    if status != "scheduled":
        await house.shop.show(show, starts_in=AHEAD, status=status)
    return order


async def _taken(house: House, ref: str) -> Any:
    """A case that the agent has taken."""
    case = await house.report("other", await _sold(house, ref, status="scheduled"))
    await house.post("/v1/queue/take", {"case": case["id"]}, token=house.desk.agent)
    return case


async def _held(house: House, ref: str, status: str = "cancelled") -> tuple[Any, Any]:
    """A refund that is too large for the rules alone: its case, and its operation."""
    case = await house.report("show_cancelled", await _sold(house, ref, price=48000, status=status))
    (operation,) = case["operations"]
    assert operation["status"] == "held"
    return case, operation


async def _new_case(house: House, ref: str) -> Ask:
    order = await _sold(house, ref)
    body = {"problem": "show_cancelled", "order": order.ref, "show": ref, "channel": "api"}
    counted = "SELECT count(*) FROM contact c JOIN cases USING (platform_id) JOIN orders o ON o.id = order_id"
    counted += " WHERE c.case_id = cases.id AND o.ref = $1"
    return Ask(path="/v1/cases", body=body, other=body | {"message": "now"}, token=house.desk.platform, counted=counted, about=(order.ref,))


def _words(case: Any, route: str, body: dict[str, Any], token: str, table: str = "message") -> Ask:
    return Ask(
        path=f"/v1/cases/{case['id']}/{route}",
        body=body,
        other={name: f"{text}, and more" for name, text in body.items()},
        token=token,
        counted=f"SELECT count(*) FROM {table} WHERE case_id = $1",
        about=(unwire(WireId.CASE, case["id"]),),
    )


async def _message(house: House, ref: str) -> Ask:
    return _words(await _taken(house, ref), "messages", {"message": "are you there"}, house.desk.platform)


async def _person(house: House, ref: str) -> Ask:
    return _words(await _taken(house, ref), "person", {"message": "somebody, please"}, house.desk.platform)


async def _note(house: House, ref: str) -> Ask:
    return _words(await _taken(house, ref), "notes", {"body": "looks odd"}, house.desk.agent)


async def _reply(house: House, ref: str) -> Ask:
    return _words(await _taken(house, ref), "replies", {"body": "we are at it"}, house.desk.agent)


async def _referral(house: House, ref: str) -> Ask:
    case = await _taken(house, ref)
    body = {"team": "fraud", "reason": "other", "question": "is this one known", "holds": True}
    body |= {"evidence": [{"kind": "timeline", "ref": "1"}]}
    asked = _words(case, "referrals", body, house.desk.agent, "referral")
    return msgspec.structs.replace(asked, other=body | {"question": "is this other one known"})


async def _answer(house: House, ref: str) -> Ask:
    order = await _sold(house, ref, status="postponed")
    ticket = await house.value("SELECT p.id FROM pass p JOIN orders o ON o.id = p.order_id WHERE o.ref = $1", order.ref)
    case = await house.report("show_postponed", order, passes=[f"pass_{ticket.hex}"])
    body = {"fact": "answer.postponed", "value": "refund"}
    counted = "SELECT count(*) FROM timeline WHERE kind = 'answered' AND case_id = $1"
    asked = _words(case, "answers", body, house.desk.platform)
    return msgspec.structs.replace(asked, other=body | {"value": "keep"}, counted=counted)


async def _action(house: House, ref: str) -> Ask:
    """Goodwill has no cause that would be paid once: without a key, twice is twice."""
    case = await _taken(house, ref)
    action = {"action": "refund", "cause": "goodwill", "position": "1", "amount": 500}
    seen = await house.post(f"/v1/cases/{case['id']}/previews", action, token=house.desk.agent)
    body = {"preview": seen.json()["id"], "reason": "a long evening"}
    asked = _words(case, "actions", body, house.desk.agent, "operation")
    return msgspec.structs.replace(asked, other=body | {"reason": "a short one"})


async def _approval(house: House, ref: str) -> Ask:
    _, operation = await _held(house, ref)
    seen = await house.get(f"/v1/operations/{operation['id']}/preview", token=house.desk.lead)
    body = {"reason": "looked at it", "facts_hash": seen["now"]["facts_hash"]}
    return Ask(
        path=f"/v1/operations/{operation['id']}/approve",
        body=body,
        other=body | {"reason": "not looked at it"},
        token=house.desk.lead,
        counted="SELECT count(*) FROM approval WHERE operation_id = $1",
        about=(unwire(WireId.OPERATION, operation["id"]),),
    )


async def _settlement(house: House, ref: str) -> Ask:
    """Of a payment that no rail took."""
    _, operation = await _held(house, ref)
    about = unwire(WireId.OPERATION, operation["id"])
    await house.pool.execute("UPDATE operation SET rail = NULL, holds = '{outside}', approvals_needed = 0 WHERE id = $1", about)
    return Ask(
        path=f"/v1/operations/{operation['id']}/settle",
        body={"reference": "SEPA 1"},
        other={"reference": "SEPA 2"},
        token=house.desk.agent,
        counted="SELECT count(*) FROM attempt WHERE operation_id = $1",
        about=(about,),
    )


async def _payout(house: House, ref: str) -> Ask:
    order = await _sold(house, ref)
    await house.books.script(Script(fault=Fault.FAILED, payment_ref=order.payments[0], detail="expired_or_canceled_card"))
    case = await house.report("show_cancelled", order)
    (operation,) = case["operations"]
    body = {"operation": operation["id"], "to": "manual", "checked": "called the number on file"}
    return Ask(
        path=f"/v1/cases/{case['id']}/payout",
        body=body,
        other=body | {"checked": "did not call"},
        token=house.desk.agent,
        counted="SELECT count(*) FROM order_fact WHERE kind = 'refund_choice_made' AND data->>'operation' = $1",
        about=(str(unwire(WireId.OPERATION, operation["id"])),),
    )


async def _manager(house: House) -> str:
    """A key of the platform with every scope that one can have."""
    scopes = sorted(allowed_scopes("platform"))
    made = await Keys(KeyStore(house.pool)).make_platform_key(
        house.desk.platform_id, name=f"manager {uuid4().hex}", scopes=scopes, days=1, change=Change(actor="test", why="a test")
    )
    return made.token


async def _managed(house: House, path: str, counted: str, *about: object, **body: Any) -> Ask:
    body = {"reason": "because a test says so", **body}
    return Ask(path=path, body=body, other=body | {"reason": "another"}, token=await _manager(house), counted=counted, about=about)


async def _key(house: House, ref: str) -> Ask:
    return await _managed(house, "/v1/keys", "SELECT count(*) FROM api_key WHERE name = $1", ref, name=ref)


async def _agent(house: House, ref: str) -> Ask:
    """An agent of a name that is known gets a further key."""
    counted = "SELECT count(*) FROM api_key k JOIN agent a ON a.id = k.agent_id WHERE a.name = $1"
    return await _managed(house, "/v1/agents", counted, ref, name=ref)


async def _key_rotation(house: House, ref: str) -> Ask:
    made = await _key(house, ref)
    key = (await house.post(made.path, made.body, token=made.token)).json()["key"]["id"]
    counted = "SELECT count(*) FROM audit WHERE why = $1"
    asked = await _managed(house, f"/v1/keys/{key}/rotate", counted, ref, reason=ref)
    return msgspec.structs.replace(asked, token=made.token)


async def _endpoint(house: House, ref: str) -> Ask:
    # Of what does not happen here: nothing is sent anywhere.
    told = {"url": "https://shop.example/makegood", "types": ["pass.replaced"]}
    return await _managed(house, "/v1/endpoints", "SELECT count(*) FROM endpoint WHERE name = $1", ref, name=ref, **told)


async def _of_an_endpoint(house: House, ref: str, what: str, **body: Any) -> Ask:
    made = await _endpoint(house, f"{ref} endpoint")
    answer = await house.post(made.path, made.body, token=made.token)
    path = f"/v1/endpoints/{answer.json()['endpoint']['id']}/{what}"
    asked = await _managed(house, path, "SELECT count(*) FROM audit WHERE why = $1", ref, reason=ref, **body)
    return msgspec.structs.replace(asked, token=made.token)


async def _endpoint_rotation(house: House, ref: str) -> Ask:
    return await _of_an_endpoint(house, ref, "rotate")


async def _replay(house: House, ref: str) -> Ask:
    return await _of_an_endpoint(house, ref, "replay", after=0)


_READINGS_MAX: Final = 20  # a case's letters leave in the background and count its version up, a few times at most


KEYED: Final[Mapping[str, Callable[[House, str], Awaitable[Ask]]]] = {
    "/v1/cases": _new_case,
    "/v1/cases/{case_id}/messages": _message,
    "/v1/cases/{case_id}/person": _person,
    "/v1/cases/{case_id}/answers": _answer,
    "/v1/cases/{case_id}/referrals": _referral,
    "/v1/cases/{case_id}/payout": _payout,
    "/v1/cases/{case_id}/notes": _note,
    "/v1/cases/{case_id}/replies": _reply,
    "/v1/cases/{case_id}/actions": _action,
    "/v1/operations/{operation_id}/approve": _approval,
    "/v1/operations/{operation_id}/settle": _settlement,
    "/v1/keys": _key,
    "/v1/keys/{key_id}/rotate": _key_rotation,
    "/v1/agents": _agent,
    "/v1/endpoints": _endpoint,
    "/v1/endpoints/{endpoint_id}/rotate": _endpoint_rotation,
    "/v1/endpoints/{endpoint_id}/replay": _replay,
}


def test_every_post_demands_a_key_or_says_why_it_needs_none() -> None:
    demanded = {
        path: [(one["name"], one["required"]) for one in operation.get("parameters", ()) if one["name"] == "Idempotency-Key"]
        for path, operation in POSTS.items()
    }
    assert {path for path, found in demanded.items() if found} == set(KEYED)
    assert {path for path, found in demanded.items() if not found} == set(BY_NATURE)
    assert all(found == [("Idempotency-Key", True)] for found in demanded.values() if found)
    assert all(BY_NATURE.values())


async def _send(house: House, ask: Ask) -> httpx.Response:
    return await house.post(ask.path, ask.body, token=ask.token, key=ask.key)


async def _between_two_like_readings(house: House, ask: Ask) -> bool | None:
    """Whether a repeat shows what readings before and after it both show; None while work in the background moves the case."""
    for _ in range(_READINGS_MAX):
        again = (await _send(house, ask)).json()
        before = await house.case(again["id"], token=ask.token)
        again = (await _send(house, ask)).json()
        if before == await house.case(again["id"], token=ask.token):
            return bool(again == before)
    return None


@pytest.mark.parametrize("route", sorted(KEYED))
async def test_the_same_key_does_it_once_however_often_and_at_once(house: House, ref: str, route: str) -> None:
    ask = await KEYED[route](house, ref)
    before = await house.value(ask.counted, *ask.about)
    together = await asyncio.gather(*(_send(house, ask) for _ in range(3)))
    again = await _send(house, ask)
    assert {one.status_code for one in (*together, again)} <= {200, 201, 204}, [one.text for one in (*together, again)]
    assert await house.value(ask.counted, *ask.about) == before + 1
    # What a repeat shows is the resource as it is now, and nothing that was kept.
    if again.content and str(again.json().get("id")).startswith("case_"):
        assert await _between_two_like_readings(house, ask) is True
    assert await broken_sums(house) == {}


@pytest.mark.parametrize("route", sorted(KEYED))
async def test_the_same_key_with_another_body_is_a_mistake_and_does_nothing(house: House, ref: str, route: str) -> None:
    ask = await KEYED[route](house, ref)
    await _send(house, ask)
    before = await house.value(ask.counted, *ask.about)
    answer = await house.post(ask.path, ask.other, token=ask.token, key=ask.key)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "idempotency_key_reused"), answer.text
    assert await house.value(ask.counted, *ask.about) == before


@pytest.mark.parametrize("route", sorted(KEYED))
async def test_without_a_key_nothing_is_done(house: House, ref: str, route: str) -> None:
    ask = await KEYED[route](house, ref)
    before = await house.value(ask.counted, *ask.about)
    answer = await house.client.post(ask.path, json=ask.body, headers={"Authorization": f"Bearer {ask.token}"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert await house.value(ask.counted, *ask.about) == before


async def test_a_key_whose_request_was_refused_is_free_for_the_next_try(house: House, ref: str) -> None:
    """The agent forgot to take the case, takes it, and sends the very same again."""
    case = await house.report("other", await _sold(house, ref, status="scheduled"))
    path, action = f"/v1/cases/{case['id']}/actions", {"action": "refund", "cause": "goodwill", "position": "1", "amount": 500}
    seen = (await house.post(f"/v1/cases/{case['id']}/previews", action, token=house.desk.agent)).json()
    body = {"preview": seen["id"], "reason": "a long evening"}
    refused = await house.post(path, body, token=house.desk.agent, key=ref)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "not_yours")
    await house.post("/v1/queue/take", {"case": case["id"]}, token=house.desk.agent)
    assert (await house.post(path, body, token=house.desk.agent, key=ref)).status_code == 200
    assert len(await house.operations(case["id"])) == 1


async def test_a_key_is_its_callers_and_its_paths_alone(house: House, ref: str) -> None:
    ask = await _note(house, ref)
    assert (await _send(house, ask)).status_code == 200
    assert (await house.post(ask.path, ask.body, token=house.desk.lead, key=ask.key)).status_code == 200
    elsewhere = ask.path.replace("/notes", "/replies")
    assert (await house.post(elsewhere, ask.body, token=ask.token, key=ask.key)).status_code == 200
    assert await house.value(ask.counted, *ask.about) == 3


async def test_of_a_key_the_bodys_hash_is_kept_and_what_it_made_but_no_answer(house: House, ref: str) -> None:
    ask = await _note(house, ref)
    await _send(house, ask)
    kept = await house.rows("SELECT * FROM idempotency WHERE path = $1", ask.path)
    assert [set(row) for row in kept] == [{"platform_id", "caller", "method", "path", "key", "body_hash", "resource_id", "created_at"}]
    assert kept[0]["resource_id"] == await house.value("SELECT id FROM message WHERE case_id = $1", *ask.about)
