"""The platform's own gift cards, over a small HTTP contract that the platform implements.

`POST {url}/gift-cards` with `Authorization: Bearer <secret>`, `Idempotency-Key` and the body

    {"reference": "<uuid>", "amount": 694, "currency": "EUR", "customer": "<as the customer chose, may be missing>"}

issues a card of `amount` minor units (ISO 4217) and answers 201, or 200 when the reference was issued before, with

    {"id": "gc_81", "reference": "<uuid>", "amount": 694, "currency": "EUR", "issued_at": "2026-05-01T20:00:00Z", "status": "issued"}

`status` is `issued` or `voided`, `issued` when it is missing. `id` names the card to people and must not redeem it. The platform
shows the code to its own customer and does not send it here; what else stands in an answer (`code_hint`, say) is not read.

A reference is issued once for ever: the same amount again gives the same card; another amount, or a key that came with another
reference, is 422 with `{"code": "idempotency_misuse"}`. `GET {url}/gift-cards?reference=<uuid>` answers 200 with
`{"cards": [<at most one>]}`. Errors are JSON objects with a `code`; `credit_platform_errors` says which are understood.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import httpx
import msgspec
from msgspec import Meta

from integrations.credit_platform_errors import Trouble, failure_of, trouble_of
from integrations.credit_rail import Card
from service.model import Money
from service.ports import OutcomeUnknown, Unavailable

# A call is over well before the fifteen seconds of its lease are.
_CALL_SECONDS_MAX: Final = 10.0
# Connecting is a few round trips; whoever needs longer would not have answered in ten seconds either, and nothing was sent yet.
_CONNECT_SECONDS_MAX: Final = 3.0
# As many calls at once as our pace starts in a second and a half.
_CONNECTIONS_MAX: Final = 16
# A card has three hundred bytes.
_BODY_BYTES_MAX: Final = 64 * 1024
# A reference that nobody has: the nil UUID (RFC 9562, 5.9).
_NOBODYS_REFERENCE: Final = "00000000-0000-0000-0000-000000000000"

# Printable and short enough for a reference of ours; what may be a page of text is no name of a card.
_CardId = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[!-~]+$(?!\n)")]
_Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """A card as the platform tells it. A code, should there be one, has no field and is dropped unread."""

    id: _CardId
    reference: str
    amount: Annotated[int, Meta(ge=1)]
    currency: _Currency
    issued_at: Annotated[datetime, Meta(tz=True)] | None = None
    status: Literal["issued", "voided"] = "issued"


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    cards: Annotated[list[_Told], Meta(max_length=1)]


class PlatformGiftCards:
    """`GiftCards` at the platform. `url` is what `/gift-cards` is put behind."""

    def __init__(self, url: str, secret: str, *, call_seconds_max: float = _CALL_SECONDS_MAX) -> None:
        self._address = f"{_checked(url)}/gift-cards"
        self._call_seconds_max = call_seconds_max
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {secret}", "Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(call_seconds_max, connect=min(_CONNECT_SECONDS_MAX, call_seconds_max)),
            limits=httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_CONNECTIONS_MAX),
            follow_redirects=False,  # the secret goes where the settings say, or nowhere
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def issue(self, reference: str, amount: Money, *, key: str, customer: str) -> Card:
        """Send once, under our key."""
        body = {"reference": reference, "amount": amount.minor, "currency": amount.currency}
        if customer:
            body["customer"] = customer
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer, trouble = await self._call("POST", self._address, msgspec.json.encode(body), headers)
        if trouble is not None:
            raise failure_of(trouble)
        try:
            return _card(msgspec.json.decode(answer, type=_Told))
        except ValueError:  # it was carried out, and told in a way we cannot read
            raise OutcomeUnknown("the platform's answer cannot be read") from None

    async def find(self, reference: str) -> Card | None:
        address = f"{self._address}?{urlencode({'reference': reference})}"
        answer, trouble = await self._call("GET", address, None, {})
        if trouble is not None:  # a read changes nothing, so an unknown outcome is none
            failure = failure_of(trouble)
            raise failure if isinstance(failure, Unavailable) else Unavailable(str(failure))
        try:
            cards = msgspec.json.decode(answer, type=_Found).cards
        except ValueError:
            raise Unavailable("the platform's answer cannot be read") from None
        return _card(cards[0]) if cards else None

    async def check(self) -> str:
        """Looks for a card that nobody has."""
        await self.find(_NOBODYS_REFERENCE)
        return "the platform answers"

    async def _call(
        self, method: Literal["GET", "POST"], address: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[bytes, Trouble | None]:
        """The body of a success, or what went wrong."""
        request = self._client.build_request(method, address, content=body, headers=dict(headers))
        try:
            async with asyncio.timeout(self._call_seconds_max):
                response = await self._client.send(request, stream=True)
                try:
                    answer = await _bounded(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            return b"", Trouble(cause=error)
        if response.status_code in {200, 201}:
            return answer, None
        return b"", trouble_of(response.status_code, response.headers, answer)


def _card(told: _Told) -> Card:
    return Card(
        id=told.id,
        reference=told.reference,
        amount=Money(minor=told.amount, currency=told.currency),
        voided=told.status == "voided",
        issued_at=told.issued_at,
    )


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise httpx.ReadError(f"an answer longer than {_BODY_BYTES_MAX} bytes")
    return bytes(body)


def _checked(url: str) -> str:
    """HTTPS, or HTTP to this very machine (tests): the secret goes there. Raises ValueError."""
    parsed = httpx.URL(url)
    if not parsed.host or parsed.query or not (parsed.scheme == "https" or (parsed.scheme == "http" and _is_this_machine(parsed.host))):
        raise ValueError("the address of the gift cards has to start with https://")
    return url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
