"""What the tests of orders share: a platform of their own, and the 420 real orders loaded in one call."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from rich.console import Console
from rich.progress import Progress

from service.cli.pretix_import import MappingFile, PretixImport
from service.feed import IncidentFeed, OrderFeed, ShowFeed
from service.imports import Importer
from service.orders import Orders
from service.shows import Shows
from service.store.orders import OrderStore
from service.store.pool import Pool
from service.store.shows import ShowStore

DATA: Final = Path(__file__).parents[1] / "data"
MAPPING: Final = DATA / "pretix-mapping.yaml"
SHOWS: Final = ("nll26", "kyoto26", "gulf26", "clock26")
EXPONENTS: Final = {"EUR": 2, "JPY": 0, "KWD": 3}
FOLDERS: Final = tuple(DATA / "pretix" / show for show in SHOWS)


def shows_of(pool: Pool) -> Shows:
    return Shows(ShowStore(pool))


def orders_of(pool: Pool) -> Orders:
    return Orders(OrderStore(pool))


async def new_platform(pool: Pool) -> UUID:
    """Charges that earlier tests fed are nobody's: all tests of a database name the same few."""
    platform = uuid4()
    await pool.execute("DELETE FROM charge_owner")
    await pool.execute("INSERT INTO platform (id, slug) VALUES ($1, $2)", platform, f"test-{platform.hex}")
    return platform


def importer_for(pool: Pool, platform: UUID) -> Importer:
    return Importer(shows=shows_of(pool), orders=orders_of(pool), platform_id=platform, source="import:pretix")


def quiet() -> Progress:
    return Progress(console=Console(quiet=True), disable=True)


async def load_pretix(pool: Pool, platform: UUID, *, folders: tuple[Path, ...] = FOLDERS, mapping: Path = MAPPING) -> Counter[str]:
    """All of tests/data/pretix in one call: what became of the orders, by result."""
    importer = importer_for(pool, platform)
    await PretixImport(importer, MappingFile(mapping), quiet()).folders(folders)
    return importer.counts


def raw_orders(show: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / "pretix" / show / "orders.json").read_text())
    return found


def raw_event(show: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "pretix" / show / "event.json").read_text())
    return found


# ------------------------------------------------------------------------------------- documents by hand

SHOW: Final[dict[str, Any]] = {
    "version": 1,
    "name": {"en": "Northern Lights"},
    "zone": "Europe/Berlin",
    "starts_at": "2026-11-20T19:00:00Z",
    "ends_at": "2026-11-20T20:30:00Z",
}

INCIDENT: Final[dict[str, Any]] = {"version": 1, "kind": "stream_outage", "from": "2026-11-20T19:20:00Z"}


def order_body(**changes: Any) -> dict[str, Any]:
    """An order of one stream position and one T-shirt with a fee, paid by card; `changes` replace fields."""
    token = uuid4().hex
    return {
        "version": 10,
        "status": "paid",
        "currency": "EUR",
        "total": 5750,
        "buyer": {"name": "Ada Lovelace", "email": "ada@example.org", "phone": "+491700000000", "customer_ref": "c-1"},
        "locale": "de",
        "placed_at": "2026-10-01T10:00:00Z",
        "positions": [
            {"ref": "1", "kind": "stream", "name": "Stream pass", "shows": ["show"], "price": 2500, "tax": 399, "pass": {"barcode": token}},
            {"ref": "2", "kind": "merchandise", "name": "T-shirt", "price": 3000},
        ],
        "fees": [{"ref": "1", "name": "Service fee", "amount": 250}],
        "payments": [payment_body()],
        **changes,
    }


def payment_body(**changes: Any) -> dict[str, Any]:
    return {
        "ref": "P-1",
        "rail": "stripe",
        "provider_ref": "pi_1",
        "status": "confirmed",
        "amount": 5750,
        "captured": 5750,
        "created_at": "2026-10-01T10:00:00Z",
        "paid_at": "2026-10-01T10:01:00Z",
        **changes,
    }


def order_feed(body: dict[str, Any]) -> OrderFeed:
    return msgspec.convert(body, OrderFeed)


def show_feed(**changes: Any) -> ShowFeed:
    return msgspec.convert({**SHOW, **changes}, ShowFeed)


def incident_feed(**changes: Any) -> IncidentFeed:
    return msgspec.convert({**INCIDENT, **changes}, IncidentFeed)


async def platform_with_show(pool: Pool) -> UUID:
    platform = await new_platform(pool)
    await shows_of(pool).put(platform, "show", show_feed())
    return platform


async def everything_of(pool: Pool, platform: UUID) -> dict[str, list[dict[str, Any]]]:
    """Every row that the feed can touch, to prove that nothing changed."""
    tables = ("show", "incident", "orders", "line", "line_show", "payment", "refund_elsewhere", "pass", "person", "order_fact", "outbox")
    return {
        table: [
            dict(row)
            for row in await pool.fetch(f'SELECT to_jsonb(t) AS row FROM "{table}" t WHERE platform_id = $1 ORDER BY t::text', platform)
        ]
        for table in tables
    }
