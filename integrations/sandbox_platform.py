"""A platform's own system that stands in for a real one: it implements our interface in memory, over HTTP on this machine, and fails
as it is told to.

What it was asked to do is done before it answers, so that an answer which is lost hides nothing. It is told what happened here like
every platform, by signed webhooks, which it checks.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final, Self
from urllib.parse import unquote

import msgspec
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from integrations.sandbox_http import Asked, LoopbackServer, Reply

_PAGE_MAX: Final = 50
_JSON: Final = {"content-type": "application/json"}
_PASS: Final = re.compile(r"/orders/([^/]+)/positions/([^/]+)/pass/(replace|void)", re.ASCII)
_ORDER: Final = re.compile(r"/orders/([^/]+)", re.ASCII)
# A test waits no longer for an event.
_TOLD_SECONDS_MAX: Final = 120.0


class PlatformFault(StrEnum):
    """What comes over a request."""

    ERROR = "error"
    """500, and nothing is done"""
    SLOW = "slow"
    """carried out, and answered only after whoever asked has gone"""
    LOST_ANSWER = "lost_answer"
    """carried out, and the connection breaks before the answer"""
    GARBAGE = "garbage"
    """a page of something in between"""
    REFUSED = "refused"
    """401: the token is no longer good"""


class PlatformScript(msgspec.Struct, frozen=True, kw_only=True):
    """`path`: where it begins to apply. `times` None: until it is cleared."""

    fault: PlatformFault
    method: str = ""
    path: str = "/orders"
    times: int | None = 1


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An event that came by webhook, and whose signature was right."""

    id: str
    type: str
    data: Mapping[str, Any]


class SandboxPlatform:
    """One platform's orders, shows and tickets. Its change log says what changed since; `start` and `stop` are its being up and down."""

    def __init__(self, *, token: str) -> None:
        self.token = token
        self.asked: list[Asked] = []
        self.told: list[Told] = []
        self.secret = ""
        """of the endpoint by which it is told; empty: it takes no webhooks"""
        self._orders: dict[str, dict[str, Any]] = {}
        self._shows: dict[str, Mapping[str, Any]] = {}
        self._hidden: set[str] = set()
        self._log: list[str] = []
        self._answers: dict[str, tuple[str, Reply]] = {}
        self._scripts: list[PlatformScript] = []
        self._came = asyncio.Event()
        self._server = LoopbackServer(self._answer)

    # ------------------------------------------------------------------------------------------------- the shop's side

    @property
    def address(self) -> str:
        return self._server.address

    def keeps_show(self, ref: str, show: Mapping[str, Any]) -> None:
        self._shows[ref] = show

    def sells(self, ref: str, order: Mapping[str, Any], *, announced: bool = True) -> None:
        """The order as it is from now on. Where it is not `announced`, only whoever asks for it by name gets it yet."""
        self._orders[ref] = msgspec.json.decode(msgspec.json.encode(order))
        if announced:
            self._log.append(ref)

    def changes(self, ref: str, change: Callable[[dict[str, Any]], object], *, announced: bool = True) -> None:
        """Somebody changed the order in the shop itself; its version grows."""
        order = self._orders[ref]
        change(order)
        order["version"] += 1
        if announced:
            self._log.append(ref)

    def hides(self, ref: str) -> None:
        """Not there yet for whoever asks: as on a replica that lags."""
        self._hidden.add(ref)

    def order(self, ref: str) -> dict[str, Any]:
        return self._orders[ref]

    def gate(self, barcode: str) -> str:
        """What the gate says to a ticket: `ok`, `void` or `unknown`."""
        for order in self._orders.values():
            for position in order["positions"]:
                if position.get("pass", {}).get("barcode") == barcode:
                    return "void" if position["pass"].get("status") == "void" else "ok"
        return "unknown"

    def count(self, method: str, path: str) -> int:
        """How many requests came."""
        return sum(one.method == method and one.path.startswith(path) for one in self.asked)

    def script(self, script: PlatformScript) -> None:
        """Scripts are taken in the order in which they were given, the first that fits."""
        self._scripts.append(script)

    def clear(self) -> None:
        self._scripts.clear()

    async def start(self) -> None:
        """On the port that it had, where it has been up before."""
        await self._server.start()

    async def stop(self) -> None:
        """Nobody takes a connection there."""
        await self._server.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def until_told(self, order: str, kind: str) -> Told:
        """The first event of this type about that order, as soon as it is there. Raises TimeoutError."""
        async with asyncio.timeout(_TOLD_SECONDS_MAX):
            while True:
                self._came.clear()
                for one in self.told:
                    if one.type == kind and one.data.get("order") == order:
                        return one
                await self._came.wait()

    # -------------------------------------------------------------------------------------------------- over HTTP

    async def _answer(self, asked: Asked) -> Reply | None:
        """None: the connection breaks."""
        self.asked.append(asked)
        if asked.path == "/events" and asked.method == "POST":
            return self._take_event(asked)
        fault = self._fault(asked)
        if fault is PlatformFault.ERROR:
            return Reply(status=500)
        if fault is PlatformFault.GARBAGE:
            return Reply(status=200, body=b"<html>busy</html>", headers={"content-type": "text/html"})
        if fault is PlatformFault.REFUSED or asked.headers.get("authorization") != f"Bearer {self.token}":
            return _refusal(401, "unauthorized")
        reply = self._route(asked)
        if fault is PlatformFault.SLOW:
            await self._server.until_gone(asked)
            return None
        return None if fault is PlatformFault.LOST_ANSWER else reply

    def _fault(self, asked: Asked) -> PlatformFault | None:
        for index, one in enumerate(self._scripts):
            if one.method in {"", asked.method} and asked.path.startswith(one.path):
                if one.times is not None:
                    left = [] if one.times <= 1 else [msgspec.structs.replace(one, times=one.times - 1)]
                    self._scripts[index : index + 1] = left
                return one.fault
        return None

    def _route(self, asked: Asked) -> Reply:
        if asked.method == "GET" and asked.path == "/orders":
            return self._changed(asked)
        if asked.method == "GET" and (found := _ORDER.fullmatch(asked.path)):
            ref = unquote(found[1])
            return _refusal(404, "not_found") if not self._is_there(ref) else _json(200, self._shown(ref))
        if asked.method == "POST" and (found := _PASS.fullmatch(asked.path)):
            return self._once(asked, lambda: self._pass(unquote(found[1]), unquote(found[2]), found[3]))
        return _refusal(404, "not_found")

    def _is_there(self, ref: str) -> bool:
        return ref in self._orders and ref not in self._hidden

    def _shown(self, ref: str) -> dict[str, Any]:
        order = self._orders[ref]
        named = {show for position in order["positions"] for show in position.get("shows", ())}
        return {"ref": ref, "order": order, "shows": {show: self._shows[show] for show in sorted(named & self._shows.keys())}}

    def _changed(self, asked: Asked) -> Reply:
        """The cursor is a place in the change log. What is there is shown as it is now, so an order may come twice."""
        since, limit = int(asked.query.get("changed_since", "0")), min(int(asked.query["limit"]), _PAGE_MAX)
        refs = self._log[since : since + limit]
        orders = [self._shown(ref) for ref in dict.fromkeys(refs) if self._is_there(ref)]
        after = since + len(refs)
        return _json(200, {"orders": orders, "cursor": str(after), "more": after < len(self._log)})

    def _once(self, asked: Asked, act: Callable[[], Reply]) -> Reply:
        """The same key is answered the same, as long as this runs; with something else it is a mistake."""
        key = asked.headers.get("idempotency-key", "")
        if not key:
            return _refusal(400, "invalid")
        if key not in self._answers:
            reply = act()
            if reply.status >= 400:
                return reply
            self._answers[key] = (asked.path, reply)
        path, reply = self._answers[key]
        return reply if path == asked.path else _refusal(422, "idempotency_misuse")

    def _pass(self, ref: str, number: str, action: str) -> Reply:
        if not self._is_there(ref):
            return _refusal(404, "not_found")
        order = self._orders[ref]
        position = next((one for one in order["positions"] if one["ref"] == number), None)
        if position is None or "pass" not in position:
            return _refusal(404, "not_found")
        if action == "replace" and (order["status"] == "cancelled" or position.get("canceled")):
            return _refusal(422, "declined")
        if action == "void":
            self.changes(ref, lambda _: position["pass"].update(status="void"))
            return Reply(status=204)
        made = secrets.token_hex(12)
        self.changes(ref, lambda _: position["pass"].update(barcode=made, status="valid"))
        return _json(200, {"barcode": made, "issuer_ref": f"{ref}/{number}/{made[:6]}"})

    def _take_event(self, asked: Asked) -> Reply:
        """Standard Webhooks 1.0.0: what is not signed under our secret is refused; what was seen before is taken once."""
        try:
            Webhook(self.secret).verify(asked.body, dict(asked.headers))
        except (WebhookVerificationError, ValueError):
            return Reply(status=401)
        event = msgspec.json.decode(asked.body, type=_Event)
        event_id = asked.headers["webhook-id"]
        if all(one.id != event_id for one in self.told):
            self.told.append(Told(id=event_id, type=event.type, data=event.data))
            self._came.set()
        return Reply(status=204)


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    data: dict[str, Any]


def _json(status: int, body: Any) -> Reply:
    return Reply(status=status, body=msgspec.json.encode(body), headers=_JSON)


def _refusal(status: int, code: str) -> Reply:
    return _json(status, {"code": code})
