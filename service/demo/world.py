"""Makes a platform and its orders over the public API, and their charges in the sandbox: for the demo, tests and benches."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec

from integrations.sandbox_books import Charge, SandboxBooks
from integrations.sandbox_platform import SandboxPlatform
from service.keys import Keys
from service.model import Money, new_id
from service.platforms import PlatformSettings
from service.store.keys import Change, KeyStore
from service.store.platforms import PlatformStore
from service.store.pool import Pool

_CHANGE: Final = Change(actor="demo", why="made for the demo")

# Ofcom keeps 07700 900000 to 900999 for drama: nobody has them.
_NOBODYS_PHONES: Final = "+447700900"

STREAM, VENUE, MERCHANDISE = "stream", "venue", "merchandise"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One position to be bought."""

    kind: str
    name: str
    price: int
    holder: Mapping[str, str] | None = None


class Bought(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was fed, with what a client needs to talk about it."""

    ref: str
    email: str
    show: str
    payments: tuple[str, ...]
    """references at the processor"""
    buyer: str = "A. Fan"
    phone: str = ""
    customer_ref: str = ""
    """the platform's own id of the buyer"""
    barcodes: tuple[str, ...] = ()
    """of the tickets, in the order of the positions"""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one platform's callers."""

    slug: str
    platform_id: UUID
    platform: str
    agent: str
    lead: str
    edge: str = ""
    """of the stream's edge, which may check access and nothing else"""


async def make_platform(pool: Pool, slug: str, settings: Mapping[str, Any] | None = None) -> Desk:
    """A platform with a key of its own, an agent and a lead; or new keys for the platform that is there."""
    store, keys = PlatformStore(pool), Keys(KeyStore(pool))
    # Through the struct and back: what is stored has every default in it.
    document = msgspec.to_builtins(msgspec.convert({"name": slug.title(), "languages": ["en", "de"], **(settings or {})}, PlatformSettings))
    if not await store.add(new_id(), slug, document, _CHANGE) and settings is not None:
        await store.change(slug, document, _CHANGE)
    row = await store.by_slug(slug)
    if row is None:
        raise LookupError(slug)
    shop = await keys.make_platform_key(row.id, name="shop", scopes=(), days=30, change=_CHANGE)
    edge = await keys.make_platform_key(row.id, name="edge", scopes=("access:check",), days=30, change=_CHANGE)
    skills = ("support", "payments", "playback", "merchandise", "trust", "accessibility", "operations")
    agent = await keys.make_agent_key(row.id, name="Mira", role="agent", skills=skills, scopes=(), days=30, change=_CHANGE)
    lead = await keys.make_agent_key(row.id, name="Jonas", role="lead", skills=skills, scopes=(), days=30, change=_CHANGE)
    return Desk(slug=slug, platform_id=row.id, platform=shop.token, agent=agent.token, lead=lead.token, edge=edge.token)


class Shop:
    """The platform's side: shows, incidents and orders through its own key, charges through the sandbox's books.

    `system`: where the platform keeps its shows and orders instead, for Makegood to read them there when it needs them.
    """

    def __init__(
        self, client: httpx.AsyncClient, desk: Desk, books: SandboxBooks, rail: str = "sandbox", *, system: SandboxPlatform | None = None
    ) -> None:
        self._system = system
        self._client = client
        self._desk = desk
        self._books = books
        self._rail = rail

    async def show(self, ref: str, *, starts_in: timedelta, minutes: int = 90, **more: Any) -> str:
        starts = datetime.now(UTC).replace(microsecond=0) + starts_in
        body = {
            "version": _version(),
            "name": {"en": ref.replace("-", " ").title()},
            "zone": "Europe/Berlin",
            "starts_at": _text(starts),
            "ends_at": _text(starts + timedelta(minutes=minutes)),
            "status": "scheduled",
            **more,
        }
        if self._system is not None:
            self._system.keeps_show(ref, body)
        await self._put(f"/v1/shows/{ref}", body)
        return ref

    async def incident(self, show: str, ref: str, since: datetime, until: datetime | None = None, kind: str = "stream_outage") -> None:
        body = {"version": _version(), "kind": kind, "from": _text(since), "to": None if until is None else _text(until)}
        await self._put(f"/v1/shows/{show}/incidents/{ref}", body)

    async def order(self, show: str, items: Sequence[Item], **more: Any) -> Bought:
        """A paid order; `charges` (default 1) says how often it was paid in full, `dispute` how the last payment stands.

        `name`, `email`, `phone` and `customer_ref` are the buyer's; what else is named replaces that part of the document.
        """
        ref = more.pop("ref", None) or secrets.token_hex(4).upper()
        email = more.pop("email", None) or f"fan-{ref.lower()}@example.org"
        buyer = {
            "name": more.pop("name", "A. Fan"),
            "email": email,
            "phone": more.pop("phone", None) or f"{_NOBODYS_PHONES}{secrets.randbelow(1000):03}",
            "customer_ref": more.pop("customer_ref", None),
        }
        currency, charges, dispute = more.pop("currency", "EUR"), more.pop("charges", 1), more.pop("dispute", "none")
        total = sum(item.price for item in items)
        placed = datetime.now(UTC) - more.pop("age", timedelta(days=10))
        payments = [
            _payment(n, f"ch_{ref}_{n}", total, self._rail, placed) | {"dispute": dispute if n == charges else "none"}
            for n in range(1, charges + 1)
        ]
        positions = [_position(n, item, show, issuer=more.get("issuer", "makegood")) for n, item in enumerate(items, 1)]
        body = {
            "version": _version(),
            "status": "paid",
            "currency": currency,
            "total": total,
            "buyer": buyer,
            "placed_at": _text(placed),
            "positions": positions,
            "fees": [],
            "payments": payments,
            **{name: value for name, value in more.items() if name != "issuer"},
        }
        await self._books.load_charges(
            Charge(payment_ref=str(one["provider_ref"]), amount=Money(minor=total, currency=currency), disputed=one["dispute"] == "open")
            for one in payments
        )
        if self._system is None:
            await self._put(f"/v1/orders/{ref}", body)
        else:
            # Bought just now: the change log has not got to it yet.
            self._system.sells(ref, body, announced=False)
        return Bought(
            ref=ref,
            email=email,
            show=show,
            payments=tuple(str(one["provider_ref"]) for one in payments),
            buyer=buyer["name"],
            phone=buyer["phone"],
            customer_ref=buyer["customer_ref"] or "",
            barcodes=tuple(one["pass"]["barcode"] for one in positions if "pass" in one),
        )

    async def seen(self, ref: str) -> dict[str, Any]:
        """The order as Makegood has it now."""
        answer = await self._client.get(f"/v1/orders/{ref}", headers=bearer(self._desk.platform))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def _put(self, path: str, body: Mapping[str, Any]) -> None:
        answer = await self._client.put(path, json=body, headers=bearer(self._desk.platform))
        if answer.is_error:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")


def bearer(token: str, key: str | None = None) -> dict[str, str]:
    """Headers of a caller; with a key, of a request that creates."""
    return {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})


def _position(number: int, item: Item, show: str, *, issuer: str) -> dict[str, Any]:
    position: dict[str, Any] = {"ref": str(number), "kind": item.kind, "name": item.name, "price": item.price, "shows": []}
    if item.holder is not None:
        position["holder"] = dict(item.holder)
    if item.kind in {STREAM, VENUE}:
        position |= {"shows": [show], "pass": {"issuer": issuer, "barcode": secrets.token_hex(12), "status": "valid"}}
    return position


def _payment(number: int, provider_ref: str, amount: int, rail: str, placed: datetime) -> dict[str, Any]:
    at = _text(placed + timedelta(minutes=number - 1))
    return {
        "ref": f"P{number}",
        "rail": rail,
        "provider_ref": provider_ref,
        "status": "confirmed",
        "amount": amount,
        "captured": amount,
        "method": "Visa ·· 4242",
        "paid_at": at,
        "created_at": at,
    }


def _version() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
