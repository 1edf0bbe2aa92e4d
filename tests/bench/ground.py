"""What is measured: a PostgreSQL of its own, a platform with as many paid orders as the runs use up, and API processes beside this one."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import jwt
import msgspec

from service.demo.world import make_platform
from service.sealing import Vault
from service.settings import Settings, load, overrides
from service.store import embedded, migrate
from service.store.pool import Pool, open_pool
from tests.bench.client import Ask, connect
from tests.ports import free_port

HOST: Final = "127.0.0.1"
RAIL: Final = "sandbox"
SLUG: Final = "bench"
ISSUER: Final = "https://shop.example"
AUDIENCE: Final = "makegood"
# A process imports everything, opens its pools and reads the packs: a second or two on a quiet machine.
_START_SECONDS_MAX: Final = 60.0

# Orders of one stream pass each at 25.00, their buyers, charges and tickets, as the feed would have written them.
_SEED: Final = """
WITH n AS (SELECT n, gen_random_uuid() AS person, gen_random_uuid() AS id, gen_random_uuid() AS line
    FROM generate_series($2::int, $3::int) AS n),
person AS (INSERT INTO person (platform_id, id, name, email) SELECT $1, person, 'A. Fan', 'fan-' || n || '@example.org' FROM n),
orders AS (INSERT INTO orders (platform_id, id, ref, version, seq, status, currency, total, buyer_id, customer_ref, placed_at, body_hash)
    SELECT $1, id, 'B' || n, 1, 2, 'paid', 'EUR', 2500, person, 'c-' || n, now() - interval '10 days', '' FROM n),
line AS (INSERT INTO line (platform_id, id, order_id, ref, type, kind, name, price)
    SELECT $1, line, id, '1', 'position', 'stream', 'Stream pass', 2500 FROM n),
shows AS (INSERT INTO line_show (platform_id, line_id, show_id) SELECT $1, line, $4::uuid FROM n),
payment AS (INSERT INTO payment (platform_id, id, order_id, ref, rail, provider_ref, status, amount, currency, captured, method, paid_at,
        created_at)
    SELECT $1, gen_random_uuid(), id, 'P1', $5::text, 'ch_B' || n, 'confirmed', 2500, 'EUR', 2500, 'Visa ·· 4242',
        now() - interval '10 days', now() - interval '10 days' FROM n),
pass AS (INSERT INTO pass (platform_id, id, order_id, line_id, issuer, status, barcode, created_at)
    SELECT $1, gen_random_uuid(), id, line, 'makegood', 'valid', 'bench' || n, now() FROM n)
INSERT INTO order_fact (platform_id, order_id, seq, happened_at, source, kind, data)
SELECT $1, id, fact.seq, now() - interval '10 days', 'key:shop', fact.kind, '{"amount": 2500}' FROM n,
    (VALUES (1, 'order_received'), (2, 'payment_captured')) AS fact(seq, kind)
"""

# On stage for an hour, and the stream was down for 25 minutes of it: 694 of 2500 come back.
_SHOW: Final = """
WITH show AS (INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status)
    VALUES ($1, $2, 'live', 1, '{"en": "Live"}', 'Europe/Berlin', now() - interval '60 min', now() + interval '30 min', 'scheduled'))
INSERT INTO incident (platform_id, id, show_id, ref, version, kind, starts_at, ends_at)
VALUES ($1, gen_random_uuid(), $2, 'outage', 1, 'stream_outage', now() - interval '40 minutes', now() - interval '15 minutes')
"""


class Ground:
    """One database with its platform. Every order is used once: `asks` hands out the next ones."""

    def __init__(self, settings: Settings, pool: Pool, dsn: str, folder: Path) -> None:
        self.settings = settings
        self.pool = pool
        self.dsn = dsn
        self.folder = folder
        self.signing_secret = secrets.token_hex(32)
        self.platform = UUID(int=0)
        self.key = ""
        self._seeded = 0
        self._used = 0

    async def furnish(self) -> None:
        assert self.settings.secret is not None
        sealed = Vault(self.settings.secret.reveal().encode(), purpose="platform").seal(self.signing_secret.encode(), place=SLUG.encode())
        proof = {"issuer": ISSUER, "audience": AUDIENCE, "sealed_secret": base64.b64encode(sealed).decode("ascii"), "max_age_seconds": 1800}
        desk = await make_platform(self.pool, SLUG, {"proof": proof})
        self.platform, self.key = desk.platform_id, desk.platform
        self.show = UUID(bytes=secrets.token_bytes(16))
        await self.pool.execute(_SHOW, self.platform, self.show)

    async def seed(self, orders: int) -> None:
        await self.pool.execute(_SEED, self.platform, self._seeded + 1, self._seeded + orders, self.show, RAIL)
        self._seeded += orders
        # As autovacuum does within a minute: without figures the planner takes one platform's rows for few.
        await self.pool.execute("ANALYZE")

    async def postmaster(self) -> int:
        """The process whose children do PostgreSQL's work."""
        folder = await self.pool.fetchval("SELECT current_setting('data_directory')")
        return _first_number(Path(folder) / "postmaster.pid")

    def take(self, count: int) -> range:
        """Numbers of orders that nobody has used."""
        first, self._used = self._used + 1, self._used + count
        if self._used > self._seeded:
            raise RuntimeError(f"{self._used} orders are wanted, {self._seeded} are there")
        return range(first, self._used + 1)

    def asks(self, problem: str, count: int, *, wait: int = 25) -> list[Ask]:
        """One customer each, with the platform's own JWT (HS256)."""
        return [self.ask(problem, number, wait=wait) for number in self.take(count)]

    def ask(self, problem: str, number: int, *, wait: int = 25) -> Ask:
        return Ask(
            path="/v1/cases",
            token=self.token(number),
            key=f"{problem}-{number}",
            headers={"Prefer": f"wait={wait}", "Makegood-Platform": SLUG},
            body={"problem": problem, "order": f"B{number}", "show": "live", "channel": "widget"},
            tag=number,
        )

    def token(self, number: int) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"c-{number}", "iat": now, "exp": now + 1800}
        return jwt.encode(claims, self.signing_secret, algorithm="HS256")


@asynccontextmanager
async def ground(
    server_dsn: str, folder: Path, name: str, *, pool_size: int = 20, more: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Ground]:
    """A fresh database on the server, migrated and with a platform. `more`: settings besides those that are always there."""
    database = await embedded.create_database(server_dsn, name)
    await migrate.migrate(database)
    sandbox = await embedded.create_database(server_dsn, f"{name}_sandbox")
    settings = load(
        {
            "MAKEGOOD_DATABASE_URL": database,
            "MAKEGOOD_SANDBOX_DATABASE_URL": sandbox,
            "MAKEGOOD_SECRET": secrets.token_hex(32),
            "MAKEGOOD_LOG_LEVEL": "error",
            f"MAKEGOOD_RAIL_{RAIL.upper()}_KIND": "sandbox",
            f"MAKEGOOD_RAIL_{RAIL.upper()}_WEBHOOK_SECRETS": secrets.token_hex(32),
            **more,
        }
    )
    async with await open_pool(database, size=pool_size, application="bench") as pool:
        made = Ground(settings, pool, database, folder)
        await made.furnish()
        yield made


class Server:
    """API processes that share one port."""

    def __init__(self, port: int, processes: list[subprocess.Popen[bytes]], postmaster: int) -> None:
        self.port = port
        self.processes = processes
        self.postmaster = postmaster

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        for one in self.processes:
            one.send_signal(number)
        for one in self.processes:
            one.wait(timeout=60)


@asynccontextmanager
async def serving(at: Ground, *, processes: int = 1, ledger: str = "memory", latency_ms: int = 0) -> AsyncIterator[Server]:
    server = await start(at, processes=processes, ledger=ledger, latency_ms=latency_ms)
    try:
        yield server
    finally:
        server.end()


async def start(at: Ground, *, processes: int, ledger: str, latency_ms: int) -> Server:
    """Returns when every process answers."""
    port = free_port()
    environment = {**os.environ, **environment_of(at.settings), "BENCH_LEDGER": ledger, "BENCH_LATENCY_MS": str(latency_ms)}
    environment |= {"MAKEGOOD_BIND": f"{HOST}:{port}"}
    ready = [at.folder / f"ready-{secrets.token_hex(4)}" for _ in range(processes)]
    started = [_process(environment | {"BENCH_READY": str(path)}) for path in ready]
    give_up = time.monotonic() + _START_SECONDS_MAX
    while not all(path.exists() for path in ready):
        if time.monotonic() > give_up or any(one.poll() is not None for one in started):
            raise RuntimeError("an API process did not start")
        await asyncio.sleep(0.05)
    (await connect(port)).close()
    return Server(port, started, await at.postmaster())


def _process(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.bench.server"], env=environment)


def _first_number(path: Path) -> int:
    return int(path.read_text().split()[0])


def environment_of(settings: Settings) -> Mapping[str, str]:
    return overrides(settings)


def line(name: str, value: Any, unit: str, **more: Any) -> str:
    return msgspec.json.encode({"name": name, "value": value, "unit": unit, **more}).decode()
