"""The two sides of the proof, the shop's people at pretix and Makegood with its processor; and patience until one hears of the other."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

import httpx
import msgspec

from integrations.sandbox_books import Charge, SandboxBooks
from service.demo.world import Desk, bearer, make_platform
from service.feed import ShowFeed
from service.model import Money, exponent
from service.platform_checks import read_settings
from service.platforms import sealed
from service.sealing import Vault
from service.settings import Settings
from service.store.keys import Change
from service.store.platforms import PlatformStore
from service.store.pool import Pool
from tests.pretix.server import PretixServer
from tests.pretix.shop import ORGANIZER, PretixShop, pending_sum, refunded

_T = TypeVar("_T")

HOST: Final = "127.0.0.1"
SLUG: Final = "northern"
RAIL: Final = "stripe"

# A purchase has to be here within a minute; for everything else as well a minute is long.
SEEN_SECONDS_MAX: Final = 60.0
# A busy machine's pretix takes seconds for each request.
_SECONDS_MAX: Final = 120.0
_LOOK_SECONDS: Final = 0.1

_HOLD: Final = "UPDATE source_cursor SET due_at = app_now() + interval '1 day' WHERE lease_until IS NULL RETURNING true"


class Mailbox:
    """What pretix sent to its customers."""

    def __init__(self) -> None:
        self.to: list[str] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: ARG002, N802 - the name is the library's
        self.to += envelope.rcpt_tos
        return "250 kept"


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    pretix: PretixServer
    shop: PretixShop
    token: str
    """of the team that may do what Makegood needs, and no more"""
    settings: Settings
    mailbox: Mailbox


class Broken(Exception):  # noqa: N818 - says what happened to the promise
    """A promise that does not hold: what was seen instead."""


class World:
    """Answers questions about both sides, and does what people of either side would."""

    def __init__(self, ground: Ground, pool: Pool, client: httpx.AsyncClient, books: SandboxBooks) -> None:
        self._ground = ground
        self._shop = ground.shop
        self._pool = pool
        self._client = client
        self._books = books
        self._desk: Desk | None = None
        self._touched: dict[str, str] = {}
        self._replaced_order: Mapping[str, Any] = {}
        self._webhook_token = secrets.token_urlsafe(24)

    @property
    def desk(self) -> Desk:
        return given(self._desk)

    def _mapping(self) -> Mapping[str, Any]:
        """As a person would answer it."""
        kinds = {"stream": "stream", "venue": "venue", "shirt": "merchandise"}
        items: dict[str, dict[str, Any]] = {}
        for (event, name), number in self._shop.items.items():
            items.setdefault(event, {})[str(number)] = {"kind": kinds[name], "shows": [] if name == "shirt" else [event]}
        return {"items": items, "providers": {"stripe": RAIL, "manual": "outside"}, "fees": {"payment": "kept"}}

    async def _platform(self) -> Desk:
        source = {
            "kind": "pretix",
            "url": self._ground.pretix.url,
            "organizer": ORGANIZER,
            "events": sorted(self._shop.lists),
            "token": self._ground.token,
            "webhook_token": self._webhook_token,
            "mapping": self._mapping(),
        }
        desk = await make_platform(self._pool, SLUG)
        settings = read_settings(
            {"name": "Northern", "source": source, "issuer": {"kind": "platform", "url": "pretix"}}, rails={RAIL: "sandbox"}
        )
        vault = Vault(given(self._ground.settings.secret).reveal().encode(), purpose="platform")
        stored = msgspec.to_builtins(sealed(settings, vault, SLUG))
        await PlatformStore(self._pool).change(SLUG, stored, Change(actor="proof", why="a platform on pretix"))
        return desk

    async def _sell(self, event: str, names: list[str], **more: Any) -> dict[str, Any]:
        """A purchase, of whose payment the processor knows."""
        order = await asyncio.to_thread(lambda: self._shop.sell(event, names, **more))
        currency = "JPY" if event == "kyoto26" else "EUR"
        charge = Charge(
            payment_ref=order["payments"][0]["details"]["id"],
            amount=Money(minor=int(Decimal(order["total"]).scaleb(exponent(currency))), currency=currency),
        )
        await self._books.load_charges([charge])
        return order

    async def _seen(self, order: Mapping[str, Any], most: float = _SECONDS_MAX) -> str:
        started = time.monotonic()
        await self._until(
            lambda: self._pool.fetchval(
                "SELECT EXISTS (SELECT FROM orders WHERE platform_id = $1 AND ref = $2)", self.desk.platform_id, order["code"]
            ),
            "the order is here",
            most=most,
        )
        return f"{time.monotonic() - started:.1f} s after pretix had answered its buyer"

    async def _ask(self, order: Mapping[str, Any], problem: str) -> str:
        body = {"problem": problem, "order": order["code"], "channel": "api", "show": order["event"]}
        headers = {**bearer(self.desk.platform, secrets.token_hex(8)), "Prefer": "wait=10"}
        answer = await self._client.post("/v1/cases", json=body, headers=headers)
        if answer.status_code not in {201, 202}:
            raise Broken(f"{answer.status_code} {answer.text[:300]}")
        case: str = answer.json()["id"]
        return case

    async def _incident(self, show: str) -> None:
        """25 of 90 minutes were lost."""
        starts = await self._pool.fetchval("SELECT starts_at FROM show WHERE platform_id = $1 AND ref = $2", self.desk.platform_id, show)
        body = {
            "version": 1,
            "kind": "stream_outage",
            "from": (starts + timedelta(minutes=20)).isoformat(),
            "to": (starts + timedelta(minutes=45)).isoformat(),
        }
        await self._put(f"/v1/shows/{show}/incidents/outage", body)

    async def _call_off(self, show: str) -> None:
        row = await self._row("SELECT * FROM show WHERE platform_id = $1 AND ref = $2", self.desk.platform_id, show)
        feed = ShowFeed(
            version=2, name=row["name"], zone=row["zone"], starts_at=row["starts_at"], ends_at=row["ends_at"], status="cancelled"
        )
        await self._put(f"/v1/shows/{show}", msgspec.to_builtins(feed))

    async def _put(self, path: str, body: Mapping[str, Any]) -> None:
        answer = await self._client.put(path, json=body, headers=bearer(self.desk.platform))
        if answer.is_error:
            raise Broken(f"{path}: {answer.status_code} {answer.text[:300]}")

    async def _theirs(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self._shop.order, order["event"], order["code"])

    async def _shows_refund(self, order: Mapping[str, Any], amount: Decimal) -> bool:
        return refunded(await self._theirs(order)) == amount

    async def _all_done(self, order: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The refunds that stand, once all of them are done."""
        standing = [one for one in (await self._theirs(order))["refunds"] if one["state"] != "canceled"]
        return standing if all(one["state"] == "done" for one in standing) else []

    async def _owes(self, order: Mapping[str, Any], amount: Decimal) -> bool:
        return pending_sum(await self._theirs(order)) == amount

    async def _refused(self, event: str, secret: str) -> bool:
        status, _ = await asyncio.to_thread(self._shop.scan, event, secret)
        return status == "error"

    async def _currency(self, code: str) -> str:
        return str(
            await self._pool.fetchval("SELECT currency FROM orders WHERE platform_id = $1 AND ref = $2", self.desk.platform_id, code)
        )

    async def _known_as_ours(self, code: str, many: int) -> bool:
        found = await self._pool.fetchval(
            """
            SELECT count(*) FROM refund_elsewhere r JOIN payment p ON p.platform_id = r.platform_id AND p.id = r.payment_id
            JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id
            WHERE o.platform_id = $1 AND o.ref = $2 AND r.operation_id IS NOT NULL
            """,
            self.desk.platform_id,
            code,
        )
        return bool(found == many)

    async def _money(self, code: str, *, refunded: int, refunded_elsewhere: int) -> bool:
        row = await self._row(
            """
            SELECT sum(p.refunded + p.reserved)::bigint AS ours, sum(p.refunded_elsewhere)::bigint AS elsewhere FROM payment p
            JOIN orders o ON o.platform_id = p.platform_id AND o.id = p.order_id WHERE o.platform_id = $1 AND o.ref = $2
            """,
            self.desk.platform_id,
            code,
        )
        return (row["ours"], row["elsewhere"]) == (refunded, refunded_elsewhere)

    async def _row(self, statement: str, *arguments: object) -> Mapping[str, Any]:
        return dict(given(await self._pool.fetchrow(statement, *arguments)))

    async def _barcode_but(self, code: str, old: str) -> str | None:
        found: str | None = await self._pool.fetchval(
            """
            SELECT pass.barcode FROM pass JOIN orders o ON o.platform_id = pass.platform_id AND o.id = pass.order_id
            WHERE o.platform_id = $1 AND o.ref = $2 AND pass.status = 'valid' AND pass.barcode <> $3
            """,
            self.desk.platform_id,
            code,
            old,
        )
        return found

    async def _case_state(self, case: str) -> str:
        return str(await self._pool.fetchval("SELECT state FROM cases WHERE id = $1", UUID(case.partition("_")[2])))

    async def _is_case(self, case: str, state: str) -> bool:
        return await self._case_state(case) == state

    async def _until(self, look: Callable[[], Awaitable[Any]], what: str, most: float = _SECONDS_MAX) -> Any:
        """What was looked for. Raises Broken when it does not come."""
        ends_at = time.monotonic() + most
        while True:
            found = await look()
            if found:
                return found
            if time.monotonic() > ends_at:
                raise Broken(f"not within {most:.0f} s: {what}")
            await asyncio.sleep(_LOOK_SECONDS)

    @asynccontextmanager
    async def _not_looking(self) -> AsyncIterator[None]:
        """Whatever is seen meanwhile was not found by looking for changes."""
        await self._until(lambda: self._pool.fetchval(_HOLD), "nobody looks just now")
        try:
            yield
        finally:
            await self._pool.execute("UPDATE source_cursor SET due_at = app_now()")


async def as_is(value: bool) -> bool:  # noqa: FBT001 - what it is
    return value


def given(value: _T | None) -> _T:
    assert value is not None
    return value
