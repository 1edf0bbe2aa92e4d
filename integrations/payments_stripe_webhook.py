"""Stripe's webhook: signed bytes in, references out; what they mean is read from the API afresh and never taken from the body."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from integrations.payments_stripe import StripeRail
from integrations.payments_stripe_wire import names
from service.ports import Declined, Event, Forged, News, RefundNews, Unavailable, WarningNews

# Stripe, "Receive events in your webhook endpoint", replay attacks: what its own libraries allow. A delivery that is tried again is
# signed again, so nothing honest is ever older.
_TOLERANCE_SECONDS: Final = 300
# While a secret is rolled Stripe signs with both, and each scheme is one more item; nobody needs more than a handful.
_HEADER_ITEMS_MAX: Final = 20
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
# What Stripe's ids and words look like; anything else is not a reference and is not kept.
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")

_REFUND: Final = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})
_CHARGE: Final = frozenset({"charge.refunded"})
_DISPUTE: Final = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    }
)
_WARNING: Final = frozenset({"radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"})
KINDS: Final = tuple(sorted(_REFUND | _CHARGE | _DISPUTE | _WARNING))
"""What the endpoint has to be subscribed to; another kind is kept and means nothing."""


class _Related(msgspec.Struct, frozen=True, kw_only=True):
    id: str


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    object: dict[str, Any]


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot event, or of a thin one (`v2.core.event`) what the two have in common."""

    id: str
    type: str
    created: int | str
    livemode: bool = False
    account: str | None = None
    context: str | None = None
    data: _Data | None = None
    related_object: _Related | None = None

    def of_account(self) -> str | None:
        """The connected account it happened in; None: our own."""
        return self.account or self.context or None

    def event(self) -> Event:
        return Event(id=self.id, kind=self.type, happened_at=_happened_at(self.created), about=self._about())

    def _about(self) -> dict[str, str]:
        """References and amounts. Objects hold names and card details too, which stay out."""
        if self.data is None:
            return _references({"object": self.related_object.id if self.related_object else None})
        said = self.data.object
        kept = {name: said.get(name) for name in ("charge", "payment_intent", "amount", "currency", "status")}
        return _references({"object": said.get("id"), "type": said.get("object"), **kept})


class StripeNotifications:
    """The webhook of one Stripe rail. `secrets`: every one that may sign now, so that a secret can be rolled."""

    reply = b""

    def __init__(self, rail: StripeRail, secrets: Sequence[str], tolerance_seconds: int = _TOLERANCE_SECONDS) -> None:
        if not secrets or not all(secret.strip() for secret in secrets):
            raise ValueError("a webhook needs a secret")
        if tolerance_seconds <= 0:
            raise ValueError("without a tolerance every age would do")
        self._rail = rail
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._tolerance_seconds = tolerance_seconds

    async def opened(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Sequence[Event]:
        """The one event of a post; none when it is another account's or of the other mode. Raises Forged, ValueError."""
        self._verify(body, headers.get("stripe-signature", ""), now)
        event = msgspec.json.decode(body, type=_Event)
        # The endpoint of a platform hears of all its connected accounts, and a live one of their test mode too.
        return [event.event()] if self._ours(event) else []

    def _ours(self, event: _Event) -> bool:
        return event.of_account() == self._rail.stripe_account and event.livemode is self._rail.live

    async def news(self, event: Event) -> Sequence[News]:
        """The object as it is now. Told under each name that our books may have for the payment. Raises Unavailable."""
        ref = event.about.get("object", "")
        try:
            if event.kind in _REFUND:
                return await self._refund(ref)
            if event.kind in _CHARGE:
                return await self._charge(ref)
            if event.kind in _DISPUTE:
                return (await self._rail.reads.dispute(ref)).news() if ref else ()
            if event.kind in _WARNING:
                return await self._warning(ref)
        except Declined as error:
            if error.code == "not_found":
                return ()
            raise Unavailable(str(error), configuration=True) from error
        except ValueError as error:
            raise Unavailable("the answer cannot be read") from error
        return ()

    async def missed(self, since: datetime) -> AsyncIterator[Event]:
        """Of the last 30 days, which is how long Stripe keeps them. Raises Unavailable."""
        async for event in self._rail.reads.undelivered(KINDS, since, _Event):
            # asked with `Stripe-Account`, the list is the connected account's own, and need not say so
            if event.livemode is self._rail.live and event.of_account() in {None, self._rail.stripe_account}:
                yield event.event()

    def _verify(self, body: bytes, header: str, now: datetime) -> None:
        """Stripe, "Receive events in your webhook endpoint", verify manually.

        By hand, for the SDK takes the age from the machine's clock and lets signatures from the future pass. Raises Forged.
        """
        items = [item.strip().partition("=")[::2] for item in header.split(",", _HEADER_ITEMS_MAX)]
        stamps = [value for name, value in items if name == "t"]
        # v0 is only ever of test mode, and only for tests of the scheme itself
        signatures = [value.encode() for name, value in items if name == "v1"]
        if len(items) > _HEADER_ITEMS_MAX or len(stamps) != 1 or not _TIMESTAMP.fullmatch(stamps[0]):
            raise Forged("no signature")
        signed = stamps[0].encode() + b"." + body
        expected = [hmac.digest(secret, signed, hashlib.sha256).hex().encode() for secret in self._secrets]
        if not any(hmac.compare_digest(one, other) for one in expected for other in signatures):
            raise Forged("a wrong signature")
        if abs(now.timestamp() - int(stamps[0])) > self._tolerance_seconds:
            raise Forged("too old, or of the future")

    async def _refund(self, ref: str) -> Sequence[News]:
        if not ref:
            return ()
        refund = await self._rail.reads.refund(ref)
        return () if refund.released else [RefundNews(payment_ref=name, refund=refund.seen()) for name in refund.names]

    async def _charge(self, ref: str) -> Sequence[News]:
        """Every refund of the charge; none when a hold was let go of, which Stripe calls a refund too."""
        if not ref:
            return ()
        charge = await self._rail.reads.charge(ref)
        refunds = await self._rail.reads.refunds(ref) if charge.captured else []
        return [RefundNews(payment_ref=name, refund=refund.seen()) for refund in refunds for name in names(charge.payment_intent, ref)]

    async def _warning(self, ref: str) -> Sequence[News]:
        """Only while something can still be done: neither disputed nor wholly refunded."""
        if not ref:
            return ()
        warned = await self._rail.reads.warning(ref)
        known_as = names(warned.payment_intent, warned.charge) if warned.actionable else ()
        return [WarningNews(payment_ref=name, warning_ref=warned.id) for name in known_as]


def _references(said: Mapping[str, object]) -> dict[str, str]:
    texts = {name: str(value) for name, value in said.items() if isinstance(value, str | int)}
    return {name: text for name, text in texts.items() if _REFERENCE.fullmatch(text)}


def _happened_at(created: int | str) -> datetime | None:
    """Seconds since 1970; of a thin event RFC 3339. None for what is neither."""
    try:
        if isinstance(created, int):
            return datetime.fromtimestamp(created, UTC)
        at = datetime.fromisoformat(created)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else None
