"""The sandbox's webhook: as strict as those it stands for, and read afresh or taken at its word, as the rail can be read or not."""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from integrations.sandbox import SandboxRail
from integrations.sandbox_posts import Told, signature
from service.model import Money
from service.ports import DisputeNews, Event, Forged, News, RefundNews, RefundSeen, WarningNews

# As at the processor it stands for.
_TOLERANCE_SECONDS: Final = 300
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    """What a notification is about, in the types that it had before it was kept as text."""

    ref: str
    payment_ref: str
    state: Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED", "open", "won", "lost", ""] = ""
    amount: int = 0
    currency: str = ""
    attempt_id: UUID | None = None
    operation_id: UUID | None = None
    failure: str = ""
    waiting: Literal["", "insufficient_funds", "customer"] = ""
    made_at: datetime | None = None

    def refund(self) -> RefundSeen:
        if self.state not in {"ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED"}:
            raise ValueError(self.state)
        return RefundSeen(
            provider_ref=self.ref,
            state=self.state,
            amount=Money(minor=self.amount, currency=self.currency),
            attempt_id=self.attempt_id,
            operation_id=self.operation_id,
            failure=self.failure,
            waiting=self.waiting,
            at=self.made_at,
        )

    def dispute(self) -> DisputeNews:
        return _dispute(self, self.state, Money(minor=self.amount, currency=self.currency))


class SandboxNotifications:
    """The webhook of one sandbox account. `secrets`: every one that may sign now."""

    reply = b""

    def __init__(self, rail: SandboxRail, secrets: Sequence[str], tolerance_seconds: int = _TOLERANCE_SECONDS) -> None:
        if not secrets or not all(secret.strip() for secret in secrets):
            raise ValueError("a webhook needs a secret")
        self._rail = rail
        self._secrets = tuple(secrets)
        self._tolerance_seconds = tolerance_seconds

    async def opened(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Sequence[Event]:
        """The one event of a post; none when it is another account's. Raises Forged, ValueError."""
        self._verify(body, headers, now)
        told = msgspec.json.decode(body, type=Told)
        return [_event(told)] if told.account == self._rail.name else []

    async def news(self, event: Event) -> Sequence[News]:
        """From the books as they are now; where they cannot be read, from what was signed. Raises Unavailable, ValueError."""
        item = msgspec.convert(event.about, _Item, strict=False)
        match event.kind.partition(".")[0]:
            case "refund":
                return await self._refund(item)
            case "dispute":
                return await self._dispute(item)
            case "warning":
                return [WarningNews(payment_ref=item.payment_ref, warning_ref=item.ref)]
        return ()

    async def missed(self, since: datetime) -> AsyncIterator[Event]:
        """What nobody has taken yet. Raises Unavailable."""
        async for told in self._rail.undelivered(since):
            yield _event(told)

    async def _refund(self, item: _Item) -> Sequence[News]:
        if not self._rail.traits.reads:
            return [RefundNews(payment_ref=item.payment_ref, refund=item.refund())]
        movement = await self._rail.movement(item.ref)
        return [RefundNews(payment_ref=movement.payment_ref, refund=movement.refund)] if movement else ()

    async def _dispute(self, item: _Item) -> Sequence[News]:
        if not self._rail.traits.reads:
            return [item.dispute()]
        stands = await self._rail.disputed(item.payment_ref)
        return [_dispute(item, *stands)] if stands else ()

    def _verify(self, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
        """Standard Webhooks, "Verifying signatures"; the header may hold several, apart by spaces. Raises Forged."""
        message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not message_id or not _TIMESTAMP.fullmatch(stamp):
            raise Forged("no signature")
        said = [one.encode() for one in headers.get("webhook-signature", "").split(" ")]
        expected = [signature(secret, message_id, stamp, body).encode() for secret in self._secrets]
        if not any(hmac.compare_digest(one, other) for one in expected for other in said):
            raise Forged("a wrong signature")
        if abs(now.timestamp() - int(stamp)) > self._tolerance_seconds:
            raise Forged("too old, or of the future")


def _event(told: Told) -> Event:
    about: dict[str, Any] = {name: str(value) for name, value in told.item.items()}
    return Event(id=f"sandbox_{told.id}", kind=told.kind, happened_at=told.made_at, about=about)


def _dispute(item: _Item, state: str, amount: Money) -> DisputeNews:
    if state not in {"open", "won", "lost"}:
        raise ValueError(state)
    return DisputeNews(payment_ref=item.payment_ref, dispute_ref=item.ref, state=state, amount=amount)  # type: ignore[arg-type]  # just checked
