"""The installation that a storm hits: two PostgreSQL servers, real processes, a peer behind the fault proxy, a sandbox, and orders."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import SandboxBooks, SandboxPool
from service.demo.night import HOST
from service.demo.world import Item, make_platform
from service.settings import Settings
from service.store import embedded, migrate
from tests.chaos.members import Crew, Member, Postgres
from tests.chaos.proxy import FaultProxy
from tests.chaos.wishes import BACKUP, FAILOVER_AFTER_SECONDS, OUTAGE_MINUTES, SHOW_MINUTES, Kind, Wish
from tests.contracts.rails.benches import TEST_KEY
from tests.peers import stateful_mock
from tests.ports import free_port
from tests.promises.house import House, environment, open_house, settings_for

# Orders go in side by side; more would only queue in one process.
_FEEDERS: Final = 8
# A refund takes this long at the sandbox, so that a kill finds some on their way.
_LATENCY_MS: Final = 30
# Refunds on a real kind of rail are only suggested unless the platform says `act` and sets a cap; this one stands in nobody's way.
# Whose card is closed may choose to be paid out by the backup.
_PLATFORM: Final = {
    "modes": {"refund": "act"},
    "caps": {"per_rail_and_day": {"EUR": 50_000_000}},
    "payouts": {"rails": [BACKUP], "failover_after_seconds": FAILOVER_AFTER_SECONDS},
}
_ITEMS: Final = ("stream", "venue")


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path
    house: House
    crew: Crew
    ours: Postgres
    ledger: SandboxPool
    """the sandbox's own books, on a server that never crashes: nothing that happens to us can hide what it did"""
    backup: SandboxBooks
    """of the rail that pays out"""
    peer: str
    proxy: FaultProxy
    charges: dict[str, str]
    """payments at the peer -> their order"""

    async def accepted(self) -> Sequence[tuple[str, str]]:
        """Refunds of which the sandbox's bank has not said what became of them, each with its order."""
        rows = await self.ledger.fetch("SELECT ref, payment_ref FROM sandbox.refund WHERE state = 'ACCEPTED' ORDER BY ref")
        return [(row["ref"], row["payment_ref"].split("_")[1]) for row in rows]

    async def end_outages(self) -> None:
        """The sandbox can be reached again; what is meant for single payments stays."""
        await self.ledger.execute("DELETE FROM sandbox.script WHERE payment_ref = ''")

    async def script_left(self) -> int:
        """Faults of the sandbox that nobody has met yet."""
        left: int = await self.ledger.fetchval("SELECT coalesce(sum(times), 0) FROM sandbox.script")
        return left


@asynccontextmanager
async def opened(seed: int) -> AsyncIterator[Ground]:
    """Everything at work, in a folder of its own that is gone afterwards."""
    folder = Path(tempfile.gettempdir()) / f"mg-chaos-{os.getuid()}-{secrets.token_hex(4)}"
    # PostgreSQL runs as another user where we are root, and has to get in.
    folder.mkdir(mode=0o755)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # One after the other: the library that starts them has one lock for a process.
        ours = Postgres(folder / "ours")
        stack.callback(ours.discard)
        theirs = Postgres(folder / "theirs")
        stack.callback(theirs.discard)
        url = await embedded.create_database(ours.dsn, "chaos")
        await migrate.migrate(url)
        sandbox_url = await embedded.create_database(theirs.dsn, "chaos_sandbox")
        settings = settings_for(url, sandbox_url)
        peer = stack.enter_context(stateful_mock.running())
        charges: dict[str, str] = {}
        proxy = await stack.enter_async_context(FaultProxy(peer, seed=seed, names=charges).serving())
        house = await stack.enter_async_context(open_house(settings))
        house.desk = await make_platform(house.pool, "demo", _PLATFORM)
        more = {
            f"MAKEGOOD_RAIL_{BACKUP.upper()}_KIND": "sandbox_payout",
            "MAKEGOOD_RAIL_STRIPE_KIND": "stripe",
            "MAKEGOOD_RAIL_STRIPE_API_KEY": TEST_KEY,
            "MAKEGOOD_RAIL_STRIPE_BASE_URL": proxy.base_url,
            "MAKEGOOD_SMTP_HOST": HOST,
            "MAKEGOOD_SMTP_PORT": str(await stack.enter_async_context(_post_office())),
            "MAKEGOOD_SMTP_TLS": "none",
            "MAKEGOOD_SMTP_SENDER": "help@chaos.example",
        }
        ledger = await stack.enter_async_context(await open_sandbox(sandbox_url, connections_max=4))
        yield Ground(
            folder=folder,
            house=house,
            crew=await stack.enter_async_context(Crew(_members(settings, folder, more)).at_work()),
            ours=ours,
            ledger=ledger,
            backup=SandboxBooks(BACKUP, ledger),
            peer=peer,
            proxy=proxy,
            charges=charges,
        )


def _members(settings: Settings, folder: Path, more: Mapping[str, str]) -> list[Member]:
    """Two that serve, and work as well, and one that only works."""
    first = settings.bind_port
    second = free_port()
    found = []
    for name, port in (("serve-1", first), ("serve-2", second), ("worker", None)):
        address = None if port is None else f"{HOST}:{port}"
        told = {**environment(settings, address or f"{HOST}:{first}"), **more}
        arguments = ["worker"] if port is None else ["serve"]
        found.append(Member(arguments, told, folder, name=name, address=address and f"http://{address}"))
    return found


@asynccontextmanager
async def _post_office() -> AsyncIterator[int]:
    """The port of a mail server that takes everything and keeps nothing: letters are not what is counted here."""
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Sink(), hostname="localhost"), HOST, 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


# ------------------------------------------------------------------------------------------------------------------------ orders


async def feed(ground: Ground, wanted: Sequence[Wish]) -> Mapping[Kind, str]:
    """The shows by kind of wish, after all orders and their charges were made, in fair weather."""
    shows = await _shows(ground.house)
    waiting = iter(wanted)
    async with httpx.AsyncClient(base_url=ground.peer, headers={"Authorization": f"Bearer {TEST_KEY}"}, trust_env=False) as peer:
        await asyncio.gather(*(_feed_some(ground, shows, waiting, peer) for _ in range(_FEEDERS)))
    # As autovacuum does by itself after an import; until then the planner takes the tables for empty.
    await ground.house.pool.execute("ANALYZE")
    await ground.house.books.set_latency(_LATENCY_MS)
    return shows


async def _shows(house: House) -> Mapping[Kind, str]:
    now = datetime.now(UTC)
    over = await house.shop.show("chaos-outage", starts_in=timedelta(minutes=-60), minutes=SHOW_MINUTES)
    await house.shop.incident(over, "out1", now - timedelta(minutes=50), now - timedelta(minutes=50 - OUTAGE_MINUTES))
    gone = await house.shop.show("chaos-cancelled", starts_in=timedelta(days=3), status="cancelled")
    far = await house.shop.show("chaos-far", starts_in=timedelta(days=20))
    return {"share": over, "same_again": over, "whole": gone, "twice": far, "remorse": far, "by_agent": far, "goodwill": far}


async def _feed_some(ground: Ground, shows: Mapping[Kind, str], waiting: Iterator[Wish], peer: httpx.AsyncClient) -> None:
    for wish in waiting:
        items = [Item(kind=kind, name=kind.title(), price=price) for kind, price in zip(_ITEMS, wish.prices, strict=False)]
        more: dict[str, Any] = {"ref": wish.ref, "age": timedelta(hours=1), "charges": wish.charges}
        if wish.rail == "stripe":
            total = sum(wish.prices)
            refs = [await _charge(peer, total) for _ in range(wish.charges)]
            ground.charges.update(dict.fromkeys(refs, wish.ref))
            more |= {"charges": 0, "payments": [_payment(n, ref, total) for n, ref in enumerate(refs, 1)]}
        bought = await ground.house.shop.order(shows[wish.kind], items, **more)
        if wish.faults:
            # What was charged last is paid back first.
            await ground.house.books.script(*wish.scripts(bought.payments[-1]))
            await ground.backup.script(*wish.scripts_of_way_out(bought.payments[-1]))


async def _charge(peer: httpx.AsyncClient, amount: int) -> str:
    answer = await peer.post("/v1/charges", data={"amount": str(amount), "currency": "eur", "source": "tok_visa"})
    answer.raise_for_status()
    charge: str = answer.json()["id"]
    return charge


def _payment(number: int, provider_ref: str, amount: int) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(hours=1) + timedelta(minutes=number)).isoformat()
    return {
        "ref": f"P{number}",
        "rail": "stripe",
        "provider_ref": provider_ref,
        "status": "confirmed",
        "amount": amount,
        "captured": amount,
        "method": "Visa ·· 4242",
        "paid_at": at,
        "created_at": at,
    }
