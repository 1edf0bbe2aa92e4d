"""PayPal's webhook for pay-outs: PayPal itself says whether a notification is its own, and the batch what it means now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec

from integrations.payouts_paypal import PayPalPayoutRail
from integrations.payouts_paypal_errors import failure_of
from integrations.payouts_paypal_http import Failed
from integrations.payouts_paypal_wire import instant
from service.ports import Declined, Event, Forged, News, RefundNews, Unavailable

# PayPal delivers for three days (25 tries); a day more for clocks and for a try that is under way. Whether a repeated try carries a
# new time is not documented, so the limit must not be shorter. Within it, a replayed delivery is an event we have.
_AGE_MAX: Final = timedelta(days=4)
# As much as clocks of well-kept machines may differ.
_AHEAD_MAX: Final = timedelta(minutes=5)
# The webhook's answer is due within eight seconds; asking for each of the ids has to be over before that.
_VERIFY_SECONDS_MAX: Final = 6.0
# Anybody can send us something to ask PayPal about. Four questions at once are far more than genuine deliveries need, and leave
# most of the connections, and of PayPal's patience, to pay-outs; who has to wait too long is told to come again.
_QUESTIONS_AT_ONCE: Final = 4
# One in use, one to replace it, and one more.
_WEBHOOK_IDS_MAX: Final = 3
# PayPal's notifications have two to five kilobytes.
_BODY_BYTES_MAX: Final = 256 * 1024
# Header -> field of the question, and how long it may be (Webhooks Management v1, verify_webhook_signature).
_HEADERS: Final[Mapping[str, tuple[str, int]]] = {
    "paypal-auth-algo": ("auth_algo", 100),
    "paypal-cert-url": ("cert_url", 500),
    "paypal-transmission-id": ("transmission_id", 50),
    "paypal-transmission-sig": ("transmission_sig", 500),
    "paypal-transmission-time": ("transmission_time", 100),
}
_ITEM: Final = "PAYMENT.PAYOUTS-ITEM."
_BATCH: Final = "PAYMENT.PAYOUTSBATCH."
_EVENTS_PATH: Final = "/v1/notifications/webhooks-events"
# A hundred events are some 300 KB; a hundred pages are more pay-outs than a month of our pace at one a minute brings.
_PAGE_SIZE: Final = 100
_PAGES_MAX: Final = 100
# Longer than any reference or amount of PayPal's; what is longer is neither.
_ABOUT_CHARACTERS_MAX: Final = 100


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """A notification. `summary` and the receiver in `resource` are not read."""

    id: str
    event_type: str
    create_time: str | None = None
    resource: dict[str, Any] = {}


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    href: str
    rel: str = ""


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    events: list[_Told] = []
    links: list[_Link] = []


class _Verdict(msgspec.Struct, frozen=True, kw_only=True):
    verification_status: str


class PayPalNotifications:
    """`webhook_ids`: as the developer portal shows them, up to three while one replaces another.

    The certificate's address in a delivery is passed on to PayPal and never fetched by us.
    """

    reply = b""

    def __init__(self, rail: PayPalPayoutRail, webhook_ids: Sequence[str]) -> None:
        if not 0 < len(webhook_ids) <= _WEBHOOK_IDS_MAX or not all(one.isascii() and one.isalnum() for one in webhook_ids):
            raise ValueError(f"one to {_WEBHOOK_IDS_MAX} webhook ids, letters and digits each")
        self._rail = rail
        self._webhook_ids = tuple(webhook_ids)
        self._few = asyncio.Semaphore(_QUESTIONS_AT_ONCE)

    def worth_asking(self, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
        """Spares PayPal what no delivery of its own looks like. Raises Forged, ValueError."""
        _question(headers, now)
        _read(body)

    async def opened(self, body: bytes, headers: Mapping[str, str], now: datetime) -> Sequence[Event]:
        """The event, once PayPal vouches for it. Raises Forged, ValueError, Unavailable when PayPal cannot be asked."""
        asked = _question(headers, now)
        told = _read(body)
        try:
            async with asyncio.timeout(_VERIFY_SECONDS_MAX), self._few:
                for webhook_id in self._webhook_ids:
                    if await self._vouched(msgspec.json.encode(asked | {"webhook_id": webhook_id, "webhook_event": msgspec.Raw(body)})):
                        return (_event(told),)
        except TimeoutError:
            raise Unavailable("PayPal did not say in time whether it sent that") from None
        raise Forged("PayPal does not vouch for it")

    async def news(self, event: Event) -> Sequence[News]:
        """The pay-out as its batch tells it now; none for batches that are not one of our attempts. Raises Unavailable."""
        batch = event.about.get("payout_batch_id", "")
        if not event.kind.startswith((_ITEM, _BATCH)) or not batch:
            return ()
        try:
            seen = await self._rail.read_batch(batch)
        except Declined as refused:
            if refused.code == "not_found":  # they told us of it: it is to come, or it is behind another of their machines
                raise Unavailable("PayPal does not know the batch that it told of") from None
            return ()
        return (RefundNews(payment_ref="", refund=seen),) if seen.attempt_id else ()

    async def missed(self, since: datetime) -> AsyncIterator[Event]:
        """Every event about pay-outs from then on, delivered or not: PayPal does not list them apart, and having one twice is harmless.

        PayPal keeps them for 30 days. They came over TLS for our credentials, so they need no signature. Raises Unavailable.
        """
        query = urlencode({"page_size": _PAGE_SIZE, "start_time": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
        for _ in range(_PAGES_MAX):
            page = await self._page(query)
            for told in page.events:
                if told.event_type.startswith((_ITEM, _BATCH)):
                    yield _event(told)
            query = _next(page.links)
            if not query:
                return
        raise Unavailable(f"more than {_PAGES_MAX * _PAGE_SIZE} events")

    async def _vouched(self, question: bytes) -> bool:
        try:
            answer = await self._rail.http.call("POST", "/v1/notifications/verify-webhook-signature", body=question)
            return msgspec.json.decode(answer, type=_Verdict).verification_status == "SUCCESS"
        except Failed as failed:
            trouble = failed.trouble
            if trouble.theirs and trouble.status in {400, 404, 422}:  # they cannot make sense of what was to be vouched for
                return False
            failure = failure_of(trouble)
            raise (failure if isinstance(failure, Unavailable) else Unavailable(str(failure))) from None
        except ValueError:
            raise Unavailable("PayPal's verdict cannot be read") from None

    async def _page(self, query: str) -> _Page:
        try:
            return msgspec.json.decode(await self._rail.http.call("GET", f"{_EVENTS_PATH}?{query}"), type=_Page)
        except Failed as failed:
            failure = failure_of(failed.trouble)
            raise (failure if isinstance(failure, Unavailable) else Unavailable(str(failure))) from None
        except ValueError:
            raise Unavailable("PayPal's list of events cannot be read") from None


def _question(headers: Mapping[str, str], now: datetime) -> dict[str, str]:
    """What PayPal is asked, without webhook and body. Raises Forged for what needs no asking."""
    asked = {}
    for header, (field, longest) in _HEADERS.items():
        value = headers.get(header, "")
        if not 0 < len(value) <= longest or not value.isascii() or not value.isprintable():
            raise Forged(f"{header} is missing or is not one")
        asked[field] = value
    if not _is_paypals(asked["cert_url"]):
        raise Forged("the certificate is not PayPal's")
    at = instant(asked["transmission_time"])
    if at is None or not now - _AGE_MAX <= at <= now + _AHEAD_MAX:
        raise Forged("its time is missing, too old or in the future")
    return asked


def _is_paypals(cert_url: str) -> bool:
    """Spares PayPal and us the question about plain forgeries; what counts is PayPal's own word."""
    try:
        url = httpx.URL(cert_url)
    except httpx.InvalidURL:
        return False
    return url.scheme == "https" and url.host.endswith(".paypal.com")


def _read(body: bytes) -> _Told:
    """The body is put as it is into a question of ours, so it has to be one JSON object and nothing beside it. Raises ValueError."""
    if len(body) > _BODY_BYTES_MAX:
        raise ValueError(f"a notification longer than {_BODY_BYTES_MAX} bytes")
    try:
        body.decode()  # text, all of it: also what is skipped below
        whole = msgspec.json.decode(body)
    except RecursionError:
        raise ValueError("a notification nested too deep") from None
    return msgspec.convert(whole, _Told)


def _event(told: _Told) -> Event:
    return Event(id=told.id, kind=told.event_type, happened_at=instant(told.create_time), about=dict(_about(told)))


def _about(told: _Told) -> Iterator[tuple[str, str]]:
    """References, states and amounts; never the receiver, their name or what PayPal writes about them."""
    if not told.event_type.startswith((_ITEM, _BATCH)):
        return
    sent = _object(told.resource.get("payout_item"))
    header = _object(told.resource.get("batch_header"))
    amount = _object(sent.get("amount"))
    fields = {
        "payout_batch_id": told.resource.get("payout_batch_id") or header.get("payout_batch_id"),
        "payout_item_id": told.resource.get("payout_item_id"),
        "sender_item_id": sent.get("sender_item_id"),
        "state": told.resource.get("transaction_status") or header.get("batch_status"),
        "amount": amount.get("value"),
        "currency": amount.get("currency"),
    }
    yield from ((name, text) for name, text in fields.items() if isinstance(text, str) and 0 < len(text) <= _ABOUT_CHARACTERS_MAX)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _next(links: Sequence[_Link]) -> str:
    """The question for the next page, asked at our own base address; empty on the last. Raises Unavailable for a link to elsewhere."""
    link = next((link for link in links if link.rel == "next"), None)
    if link is None:
        return ""
    try:
        url = httpx.URL(link.href)
    except httpx.InvalidURL:
        raise Unavailable("PayPal's link to the next page cannot be read") from None
    if url.path != _EVENTS_PATH or not url.query:
        raise Unavailable("PayPal's link to the next page leads elsewhere")
    return url.query.decode("ascii")
