"""Customers, agents and leads as they are: they ask again with the same key when nobody answers, and look before they act twice."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from service.demo.world import Desk, bearer
from tests.chaos.wishes import BACKUP, Wish, share
from tests.patience import PATIENCE_SECONDS

# A server holds an answer back for ten seconds at most; who hears nothing for longer asks the other one.
_ANSWER_SECONDS_MAX: Final = 13.0
# Every server may be down for a while, one after the other; who has not been answered by then never will be.
_PATIENCE_SECONDS: Final = 5 * PATIENCE_SECONDS
_AGAIN_SECONDS: Final = 0.25
# Who waits for a rail that is away is asked soon, or not at all: a try that was cut off in the middle may have been sent.
_AWAY_SECONDS: Final = 20.0
# Everything is plain HTTP; one context for all saves reading the certificates of the machine for each client.
_PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Unanswered(Exception):  # noqa: N818 - says what happened
    """Nobody answered within anybody's patience, or somebody answered what cannot be."""


class Caller:
    """One client that knows every address, and keeps to the one that answered last."""

    def __init__(self, addresses: Sequence[str], desk: Desk, number: int) -> None:
        self._addresses = addresses
        self._at = number
        self._http = httpx.AsyncClient(timeout=_ANSWER_SECONDS_MAX, trust_env=False, verify=_PLAIN)
        self.desk = desk
        self.repeats = 0

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self, path: str, body: Mapping[str, Any] | None = None, *, token: str | None = None, key: str | None = None, wait: int = 2
    ) -> httpx.Response:
        """A POST, or a GET without a body; the same again under one key, at another address, until somebody answers. Raises Unanswered."""
        key = key or uuid4().hex
        ends_at = time.monotonic() + _PATIENCE_SECONDS
        headers = bearer(token or self.desk.platform, key) | {"Prefer": f"wait={wait}"}
        while time.monotonic() < ends_at:
            address = self._addresses[self._at % len(self._addresses)]
            try:
                answer = await self._http.request("GET" if body is None else "POST", address + path, json=body, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                return answer
            self._at += 1
            self.repeats += 1
            await asyncio.sleep(_AGAIN_SECONDS)
        raise Unanswered(path)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One wish that was accepted, with the cases that its clients were given."""

    wish: Wish
    cases: frozenset[str]


_PROBLEMS: Final = {"share": "stream_outage", "same_again": "stream_outage", "whole": "show_cancelled", "twice": "charged_twice"}


async def ask(callers: Callable[[], Caller], wish: Wish, show: str) -> Asked:
    """Everything that this customer and the desk do. Raises Unanswered."""
    cases: set[str] = set()
    if wish.kind in {"by_agent", "goodwill"}:
        case = await _report(callers(), wish, show, "other", key=f"{wish.ref}-other")
        cases.add(case["id"])
        await _by_agent(callers(), wish, case["id"], wish.due)
        return Asked(wish=wish, cases=frozenset(cases))
    problem = _PROBLEMS.get(wish.kind, "wants_refund")
    keys = [f"{wish.ref}-first"] * wish.asks + ([f"{wish.ref}-anew"] if wish.asks_anew else [])
    cases |= {case["id"] for case in await asyncio.gather(*(_report(callers(), wish, show, problem, key=key) for key in keys))}
    if wish.chooses and wish.later is None:
        await choose(callers(), wish, min(cases))
    if wish.kind == "same_again":
        # The same amount once more on the same payment, for another reason: that is another refund, and is paid.
        case = await _report(callers(), wish, show, "other", key=f"{wish.ref}-other")
        cases.add(case["id"])
        await _by_agent(callers(), wish, case["id"], share(wish.prices[0]))
    return Asked(wish=wish, cases=frozenset(cases))


async def ask_once_more(caller: Caller, asked: Asked, show: str) -> str:
    """When it is all over, with a key of its own: nothing more is given. The case."""
    problem = _PROBLEMS.get(asked.wish.kind, "other")
    case = await _report(caller, asked.wish, show, problem, key=f"{asked.wish.ref}-late")
    found: str = case["id"]
    return found


async def _report(caller: Caller, wish: Wish, show: str, problem: str, *, key: str) -> Any:
    body = {"problem": problem, "order": wish.ref, "show": show, "channel": "api"}
    answer = await caller.call("/v1/cases", body, key=key, wait=wish.wait_seconds)
    return _expect(answer, {200, 201, 202})


def _expect(answer: httpx.Response, statuses: set[int]) -> Any:
    if answer.status_code not in statuses:
        raise Unanswered(f"{answer.request.url.path}: {answer.status_code} {answer.text[:500]}")
    return answer.json() if answer.content else None


# ----------------------------------------------------------------------------------------------------------------------- the desk


async def _by_agent(caller: Caller, wish: Wish, case: str, amount: int) -> None:
    """The agent takes the case, gives the money once, and lets a lead agree where two are needed."""
    goodwill = wish.kind == "goodwill"
    action = {
        "action": "refund",
        "cause": "goodwill" if goodwill else "remorse",
        "position": "1",
        "amount": amount,
    }
    await _with_people(caller, case)
    ends_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        if refunds := await _refunds(caller, case):
            break
        await caller.call("/v1/queue/take", {"case": case}, token=caller.desk.agent)
        # An action whose answer was lost, or that arrives late from a process that was frozen, is the same one by its key.
        await _act(caller, case, action)
    else:
        raise Unanswered(f"{case}: the action is not on the case")
    held = [one for one in refunds if one["status"] == "held"]
    for one in held:
        await _agree(caller, one["id"])


async def _act(caller: Caller, case: str, action: Mapping[str, Any]) -> None:
    """Looks and confirms what was seen; what was refused, or moved in between, is looked at anew by whoever asks again."""
    seen = await caller.call(f"/v1/cases/{case}/previews", action, token=caller.desk.agent)
    if seen.status_code == 201:
        # The same case, the same key: of two previews of one action at most one is confirmed.
        yes = {"preview": seen.json()["id"], "reason": "it is right"}
        await caller.call(f"/v1/cases/{case}/actions", yes, token=caller.desk.agent, key=f"action-{case}")


async def _agree(caller: Caller, operation: str) -> bool:
    seen = await caller.call(f"/v1/operations/{operation}/preview", token=caller.desk.lead)
    if seen.status_code != 200:
        return False
    yes = {"reason": "I agree", "facts_hash": seen.json()["now"]["facts_hash"]}
    return (await caller.call(f"/v1/operations/{operation}/approve", yes, token=caller.desk.lead)).status_code == 200


async def choose(caller: Caller, wish: Wish, case: str) -> None:
    """The customer says on the phone where the money should go; the agent passes it on, and a lead agrees."""
    ends_at = time.monotonic() + (_AWAY_SECONDS if wish.is_away else _PATIENCE_SECONDS)
    while time.monotonic() < ends_at:
        shown = _expect(await caller.call(f"/v1/cases/{case}"), {200})
        refund = next((one for one in shown["operations"] if one["action"] == "refund"), None)
        if refund is not None and (shown["question"] or {}).get("fact") == "destination":
            address = f"{wish.ref.lower()}@payout.example"
            chosen = {"operation": refund["id"], "to": BACKUP, "address": address, "checked": "asked for the purchase and the amount"}
            await caller.call(f"/v1/cases/{case}/payout", chosen, token=caller.desk.agent)
        elif refund is not None and refund["status"] == "held":
            # It shows as held for a moment before the ways out are worked out, too: then there is nothing to agree to yet.
            if await _agree(caller, refund["id"]):
                return
        elif refund is not None and refund["status"] in {"sent", "done"}:
            return  # the first rail was back sooner than anybody could ask, or its bank was never heard
        await asyncio.sleep(_AGAIN_SECONDS)
    if not wish.is_away:
        raise Unanswered(f"{case}: nobody asked where the money should go")


async def _with_people(caller: Caller, case: str) -> None:
    ends_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        shown = _expect(await caller.call(f"/v1/cases/{case}"), {200})
        if shown["status"] == "with_people":
            return
        await asyncio.sleep(_AGAIN_SECONDS)
    raise Unanswered(f"{case}: no person is asked")


async def _refunds(caller: Caller, case: str) -> list[Any]:
    shown = _expect(await caller.call(f"/v1/cases/{case}"), {200})
    return [one for one in shown["operations"] if one["action"] == "refund"]
