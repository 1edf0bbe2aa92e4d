"""An installation with the 420 imported orders, whose rail `stripe` is a sandbox that knows their charges and the refunds made before;
some of the shows went wrong since.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import Charge, SandboxBooks
from service import serving
from service.demo.world import make_platform
from service.model import Money
from service.settings import Settings, load
from service.store.pool import Pool
from tests.orders.loading import FOLDERS, MAPPING, load_pretix

# The name that the import's mapping gives to what was paid by card.
RAIL: Final = "stripe"
HOST: Final = "127.0.0.1"

# The export knows of no trouble, and without any there is little to pay back: two shows lost 25 minutes, a third never took place.
_WENT_WRONG: Final = (
    """
    INSERT INTO incident (platform_id, id, show_id, ref, version, kind, starts_at, ends_at)
    SELECT platform_id, gen_random_uuid(), id, 'outage', 1, 'stream_outage', starts_at + interval '20 min', starts_at + interval '45 min'
    FROM show WHERE ref IN ('nll26', 'kyoto26')
    """,
    "UPDATE show SET status = 'cancelled' WHERE ref = 'clock26'",
)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    show: str


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    port: int
    token: str
    """the platform's key"""
    pool: Pool
    books: SandboxBooks
    orders: tuple[Order, ...]


def sweep_settings(*, database_url: str, sandbox_url: str, port: int) -> Settings:
    return load(
        {
            "MAKEGOOD_DATABASE_URL": database_url,
            "MAKEGOOD_SANDBOX_DATABASE_URL": sandbox_url,
            "MAKEGOOD_SECRET": secrets.token_hex(32),
            "MAKEGOOD_BIND": f"{HOST}:{port}",
            "MAKEGOOD_LANGUAGES": "en,de",
            f"MAKEGOOD_RAIL_{RAIL.upper()}_KIND": "sandbox",
        }
    )


@asynccontextmanager
async def installed(settings: Settings) -> AsyncIterator[Installation]:
    """Serves and works until the block ends. The databases are its own: one migrated, one for the ledger."""
    assert settings.sandbox_database_url is not None
    async with (
        await open_sandbox(settings.sandbox_database_url.reveal()) as ledger,
        serving.running(settings, listen=(settings.bind_host, settings.bind_port)) as app,
    ):
        desk = await make_platform(app.pool, "sweep")
        await load_pretix(app.pool, desk.platform_id, folders=FOLDERS, mapping=MAPPING)
        books = SandboxBooks(RAIL, ledger)
        await books.load_charges(await _charges(app.pool))
        for statement in _WENT_WRONG:
            await app.pool.execute(statement)
        # As autovacuum does within a minute of an import: without figures the planner takes one platform's rows for few.
        await app.pool.execute("ANALYZE")
        yield Installation(port=settings.bind_port, token=desk.platform, pool=app.pool, books=books, orders=tuple(await _orders(app.pool)))


async def _charges(pool: Pool) -> Sequence[Charge]:
    """What the processor would know: each charge that took money, with what others have refunded of it."""
    rows = await pool.fetch("SELECT * FROM payment WHERE rail = $1 AND captured > 0 AND provider_ref IS NOT NULL", RAIL)
    return [
        Charge(
            payment_ref=row["provider_ref"],
            amount=Money(minor=row["captured"], currency=row["currency"]),
            refunded_minor=row["refunded_elsewhere"],
            disputed=row["dispute"] == "open",
        )
        for row in rows
    ]


async def _orders(pool: Pool) -> Sequence[Order]:
    rows = await pool.fetch(
        """
        SELECT o.ref, (SELECT min(s.ref) FROM line l JOIN line_show ls ON ls.line_id = l.id JOIN show s ON s.id = ls.show_id
                       WHERE l.order_id = o.id) AS show
        FROM orders o ORDER BY o.ref
        """
    )
    return [Order(ref=row["ref"], show=row["show"] or "") for row in rows]
