"""A stub of a rail's webhook: signed as many processors sign, and what each event means is what the test says it means now."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import msgspec

from service.ports import Event, Forged, News, Unavailable

SECRET: Final = b"the webhook's secret"
# What the sandbox signs its own posts with.
POSTING_SECRET: Final = "the sandbox's webhook secret"
# What most processors' libraries allow.
_AGE_SECONDS_MAX: Final = 300


class StubWebhook:
    """`tells`: event id -> what it means now, or the failure to read it. `reads`: which events were read, in order."""

    reply = b"[stub took it]"

    def __init__(self) -> None:
        self.tells: dict[str, Sequence[News] | Exception] = {}
        self.reads: list[str] = []
        self.undelivered: list[Event] = []
        self.cannot_verify = False

    async def opened(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Sequence[Event]:
        if self.cannot_verify:
            raise Unavailable("nobody to ask", retry_after_seconds=7)
        at = headers.get("stub-at", "")
        if not hmac.compare_digest(signature(body, at), headers.get("stub-signature", "")):
            raise Forged("signature")
        if abs(now.timestamp() - float(at)) > _AGE_SECONDS_MAX:
            raise Forged("age")
        return msgspec.json.decode(body, type=list[Event])

    async def news(self, event: Event) -> Sequence[News]:
        self.reads.append(event.id)
        told = self.tells.get(event.id, ())
        if isinstance(told, Exception):
            raise told
        return told

    async def missed(self, since: datetime) -> AsyncIterator[Event]:
        for event in self.undelivered:
            if event.happened_at is None or event.happened_at >= since:
                yield event

    def told(self, *news: News, kind: str = "stub.happened", at: datetime | None = None) -> Event:
        """An event that means this."""
        event = Event(id=f"evt_{uuid4().hex}", kind=kind, happened_at=at or datetime.now(UTC), about={"object": "x"})
        self.tells[event.id] = news
        return event


def signed(*events: Event, at: datetime | None = None) -> dict[str, Any]:
    """`content` and `headers` of the post that brings them."""
    body = msgspec.json.encode(events)
    moment = str((at or datetime.now(UTC)).timestamp())
    return {"content": body, "headers": {"Stub-At": moment, "Stub-Signature": signature(body, moment), "Content-Type": "application/json"}}


def signature(body: bytes, at: str) -> str:
    return hmac.new(SECRET, at.encode() + b"." + body, hashlib.sha256).hexdigest()
