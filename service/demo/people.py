"""Who takes part in the play, each a client of their own: a connection, a token, and what such a person does over HTTP."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import jwt
import msgspec

from service.demo.journal import Journal
from service.demo.night import Mailbox
from service.demo.world import Bought

Json = dict[str, Any]

# A stream of progress ends itself after 25 s and is taken up again; a demo that waits longer than this has lost something.
_STREAMS_MAX: Final = 4
# What a request did not wait for is looked at again, for as long as a stream is followed.
_LOOK_SECONDS: Final = 0.25
_LOOKS_MAX: Final = 400
_CODE: Final = re.compile(r"\b\d{6}\b", re.ASCII)


class Refused(Exception):  # noqa: N818 - says what happened
    """The answer was a problem (RFC 9457); `code` says which."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}: {text}")
        self.status = status
        self.code = code


async def refusal(doing: Awaitable[object]) -> str:
    """The code with which it was refused, such as `same_person`; empty when it was done."""
    try:
        await doing
    except Refused as refused:
        return refused.code
    return ""


class Client:
    """One caller's connection. `headers` are made anew for each request, since some tokens are short-lived."""

    def __init__(self, http: httpx.AsyncClient, headers: Callable[[], Mapping[str, str]]) -> None:
        self._http = http
        self._headers = headers

    async def get(self, path: str) -> Json:
        return await self._send("GET", path, None, {})

    async def has(self, path: str) -> bool:
        """Whether there is such a thing."""
        return (await self._http.get(path, headers=self._headers())).status_code != httpx.codes.NOT_FOUND

    async def put(self, path: str, body: Mapping[str, Any]) -> Json:
        return await self._send("PUT", path, body, {})

    async def post(self, path: str, body: Mapping[str, Any], *, key: str | None = None, wait_seconds: int = 20) -> Json:
        """Every thing to be done has a key of its own; the same key again is the same thing. Raises Refused."""
        headers = {"Idempotency-Key": key or secrets.token_hex(16), "Prefer": f"wait={wait_seconds}"}
        return await self._send("POST", path, body, headers)

    async def outcome(self, path: str, body: Mapping[str, Any], *, key: str | None = None, wait_seconds: int = 20) -> Json:
        """The same, and what becomes of the case: a request waits so long for it, and a busy machine may take longer. Not so with no wait.

        Raises Refused, and TimeoutError when nothing becomes of it.
        """
        case = await self.post(path, body, key=key, wait_seconds=wait_seconds)
        for _ in range(_LOOKS_MAX if wait_seconds else 0):
            if case["status"] != "working":
                return case
            await asyncio.sleep(_LOOK_SECONDS)
            case = await self.get(f"/v1/cases/{case['id']}")
        if wait_seconds:
            raise TimeoutError("nothing became of the case")
        return case

    async def delete(self, path: str) -> None:
        await self._send("DELETE", path, None, {})

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Json:
        answer = await self._http.request(method, path, json=body, headers={**self._headers(), **headers})
        if answer.is_error:
            raise Refused(answer.status_code, str(answer.json()["type"]).rpartition(":")[2], answer.text)
        found: Json = answer.json() if answer.content else {}
        return found

    async def follow(self, case: Json, *statuses: str) -> Json:
        """The case, as soon as it has one of these statuses, from its stream of progress. Raises TimeoutError when it never has."""
        headers = {**self._headers(), "Accept": "text/event-stream"}
        for _ in range(_STREAMS_MAX):
            async with self._http.stream("GET", f"/v1/cases/{case['id']}/progress", headers=headers) as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data:") and (shown := msgspec.json.decode(line[5:])).get("status") in statuses:
                        found: Json = shown
                        return found
        raise TimeoutError(f"the case did not become {' or '.join(statuses)}")


class Fan:
    """A customer on the platform's site or in its app, asking in the help widget there."""

    def __init__(self, name: str, client: Client, journal: Journal, seen: Callable[[Json], Any]) -> None:
        self.name = name
        self.client = client
        self._journal = journal
        self._seen = seen

    async def asks(self, problem: str, order: Bought, says: str, *, wait_seconds: int = 20, **more: Any) -> Json:
        """Opens a case and waits for the outcome."""
        self._journal.asked(f"{self.name} (widget)", says)
        started = time.perf_counter()
        case = await self.sends(problem, order, says, wait_seconds=wait_seconds, **more)
        waited_ms = _ms_since(started)
        self._journal.answered(waited_ms)
        self._journal.stands(await self._seen(case), waited_ms)
        return case

    async def sends(self, problem: str, order: Bought, says: str, *, key: str | None = None, wait_seconds: int = 20, **more: Any) -> Json:
        """The same, without a word of it in the journal."""
        body = {"problem": problem, "order": order.ref, "show": order.show, "channel": "widget", "message": says, **more}
        return await self.client.outcome("/v1/cases", body, key=key, wait_seconds=wait_seconds)

    async def follows(self, case: Json, *statuses: str) -> Json:
        """Keeps the page open until the case has one of these statuses."""
        case = await self.client.follow(case, *statuses)
        self._journal.stands(await self._seen(case))
        return case

    async def chooses(self, case: Json, to: str, address: str) -> Json:
        """Says where a refund should go that cannot go back. Raises Refused, for example `not_strong`."""
        self._journal.asked(f"{self.name} (widget)", f"Send it to my {to} account.")
        operation = next(one for one in case["operations"] if one["status"] == "choose")
        started = time.perf_counter()
        case = await self.client.outcome(f"/v1/cases/{case['id']}/payout", {"operation": operation["id"], "to": to, "address": address})
        waited_ms = _ms_since(started)
        self._journal.answered(waited_ms)
        self._journal.stands(await self._seen(case), waited_ms)
        return case

    async def wants_a_person(self, case: Json, says: str) -> Json:
        self._journal.asked(f"{self.name} (widget)", says)
        return await self.client.post(f"/v1/cases/{case['id']}/person", {"message": says})


class Guest:
    """A customer nobody knows yet: an anonymous session, and a mailbox."""

    def __init__(self, name: str, client: Client, journal: Journal, seen: Callable[[Json], Any], mails: Mailbox) -> None:
        self.name = name
        self._client = client
        self._journal = journal
        self._seen = seen
        self._mails = mails

    async def asks(self, problem: str, show: str, says: str) -> Json:
        """Opens a case that names no order and nobody."""
        self._journal.asked(f"{self.name} (widget)", says)
        return await self._answered("/v1/cases", {"problem": problem, "show": show, "channel": "widget", "message": says})

    async def proves(self, email: str) -> Json:
        """Asks for a code, reads it in the mail, and gives it back: the session is then verified."""
        await self._client.post("/v1/sessions/codes", {"email": email})
        # A letter about their case may come first.
        found = _CODE.search((await self._mails.until(email, lambda one: _CODE.search(one.text) is not None)).text)
        if found is None:
            raise LookupError("there is no code in the mail")
        self._journal.say("asked", f"{self.name} (widget)", "Here is the code from my mail.")
        return await self._client.post("/v1/sessions/verify", {"code": found[0]})

    async def goes_on(self, case: Json) -> Json:
        """Takes up the case that was opened before; the proof says whose order it is."""
        return await self._answered(f"/v1/cases/{case['id']}/identify", {})

    async def _answered(self, path: str, body: Mapping[str, Any]) -> Json:
        started = time.perf_counter()
        case = await self._client.outcome(path, body)
        waited_ms = _ms_since(started)
        self._journal.answered(waited_ms)
        self._journal.stands(await self._seen(case), waited_ms)
        return case


class Agent:
    """Somebody at the desk."""

    def __init__(self, name: str, client: Client, journal: Journal) -> None:
        self.name = name
        self._client = client
        self._journal = journal

    async def takes_call(self, order: Bought, says: str, checked: str) -> Json:
        """Opens a case for a customer on the phone, and records how it was made sure who is calling."""
        self._journal.asked(f"{order.buyer} (phone, to {self.name})", says)
        body = {"problem": "other", "order": order.ref, "show": order.show, "channel": "phone", "message": says, "checked": checked}
        return await self._client.outcome("/v1/cases", body)

    async def queue(self) -> list[Json]:
        found: list[Json] = (await self._client.get("/v1/queue?limit=200"))["cases"]
        return found

    async def takes(self, case: Json) -> Json:
        self._says("takes the case")
        return await self._client.post("/v1/queue/take", {"case": case["id"]})

    async def reads(self, case: Json) -> Json:
        """Everything that is known of the case, with its timeline."""
        bundle = await self._client.get(f"/v1/cases/{case['id']}/bundle")
        timeline = await self._client.get(f"/v1/cases/{case['id']}/timeline")
        return {**bundle, "timeline": timeline["entries"]}

    async def refunds(self, case: Json, reason: str, **what: Any) -> Json:
        """Raises Refused, for example `already_paid`."""
        self._says(f"tries a refund: {reason}")
        seen = await self._client.post(f"/v1/cases/{case['id']}/previews", {"action": "refund", **what})
        return await self._client.post(f"/v1/cases/{case['id']}/actions", {"preview": seen["id"], "reason": reason})

    async def replies(self, case: Json, body: str) -> Json:
        self._says(f"writes: {body}")
        return await self._client.post(f"/v1/cases/{case['id']}/replies", {"body": body})

    async def resolves(self, case: Json, reason: str) -> Json:
        self._says(f"ends the case: {reason}")
        return await self._client.post(f"/v1/cases/{case['id']}/resolve", {"outcome": "resolved", "reason": reason})

    async def approves(self, operation: Json, reason: str) -> Json:
        """Raises Refused, for example `same_person`."""
        seen = (await self._client.get(f"/v1/operations/{operation['id']}/preview"))["now"]
        yes = {"reason": reason, "facts_hash": seen["facts_hash"]}
        answer = await self._client.post(f"/v1/operations/{operation['id']}/approve", yes)
        self._says(f"agrees: {reason} ({answer['given']} of {answer['needed']})")
        return answer

    async def pauses_everything(self, reason: str) -> None:
        await self._client.put("/v1/brakes/all/-", {"reason": reason})
        self._says(f"pauses everything: {reason}")

    async def resumes_everything(self) -> None:
        """What is not paused stays as it is."""
        await self._client.delete("/v1/brakes/all/-")

    def _says(self, words: str) -> None:
        self._journal.say("people", self.name, words)


class Edge:
    """The machine at the edge of the stream, which lets viewers in or not."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def asked_to_admit(self, token: str, show: str) -> Json:
        """`{allowed, reason, …}`."""
        return await self._client.post("/v1/access/check", {"token": token, "show": show})


def signed_in(secret: str, *, subject: str, issuer: str, audience: str, second_factor: bool = False) -> str:
    """The JWT with which the platform says who its customer is, for ten minutes; or that they just signed in with a second factor."""
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": issuer, "aud": audience, "sub": subject, "iat": now, "exp": now + 600}
    if second_factor:
        claims |= {"auth_time": now, "amr": ["pwd", "otp"]}
    return jwt.encode(claims, secret, algorithm="HS256")


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
