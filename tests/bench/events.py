"""Ten thousand facts at once, told to five endpoints, one of them dead and one slow: when the other three have them all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from tests.bench import cpu
from tests.bench.ground import HOST, Ground, line, serving
from tests.bench.receivers import Count
from tests.ports import free_port

SETTINGS: Final = {"MAKEGOOD_WEBHOOK_PRIVATE_ADDRESSES": "yes"}
EVENTS: Final = 10_000
ORDERS: Final = 2_000
_WELL: Final = 3
SECONDS_MAX: Final = 60.0
# Ends a wait for what never comes.
_PATIENCE_SECONDS: Final = 180.0

# In bits, as a busy evening writes them: each fact belongs to the next of the orders.
_TELL: Final = """
SELECT tell($1, o.id, NULL, 'order.changed', jsonb_build_object('what', 'bench', 'about', jsonb_build_object('n', $2 + o.n)), now())
FROM (SELECT id, row_number() OVER (ORDER BY ref) - 1 AS n FROM orders WHERE platform_id = $1 ORDER BY ref LIMIT $3) AS o ORDER BY o.n
"""


async def measure(at: Ground) -> AsyncIterator[str]:
    """The three that are well alone, then with the dead and the slow one beside them: one line."""
    async with (
        _receivers(at) as address,
        serving(at) as server,
        httpx.AsyncClient(base_url=f"http://{HOST}:{server.port}", timeout=60) as http,
    ):
        alone = await _told(at, http, address, [f"alone{n}" for n in range(_WELL)], beside=())
        before = [cpu.seconds_of(one.pid for one in server.processes), cpu.seconds_of(cpu.family(server.postmaster))]
        dead = f"http://{HOST}:{free_port()}/"
        together = await _told(at, http, address, [f"well{n}" for n in range(_WELL)], beside=(dead, f"{address}/slow"))
        spent = [cpu.seconds_of(one.pid for one in server.processes), cpu.seconds_of(cpu.family(server.postmaster))]
    api_ms, database_ms = (round((after - first) * 1000 / (EVENTS * _WELL), 2) for first, after in zip(before, spent, strict=True))
    seconds, least = together.seconds, min(one.events for one in together.counts)
    yield line(
        "events_per_second_at_each_healthy_endpoint",
        round(least / seconds),
        "events/s",
        events=EVENTS,
        arrived_at_each=least,
        orders=ORDERS,
        endpoints=_WELL + 2,
        seconds_to_the_last=round(seconds, 1),
        limit=SECONDS_MAX,
        holds=seconds <= SECONDS_MAX and together.is_whole,
        repeats=sum(one.repeats for one in together.counts),
        disordered=sum(one.disordered for one in together.counts),
        slow_has=together.slow,
        dead_was_tried=together.dead_tries,
        api_cpu_ms_each=api_ms,
        database_cpu_ms_each=database_ms,
        processes=1,
        peer="the three healthy ones alone",
        peer_arrived_at_each=min(one.events for one in alone.counts),
        peer_seconds=round(alone.seconds, 1),
        ratio=round(least / seconds / (min(one.events for one in alone.counts) / alone.seconds), 2),
    )


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took from the first fact's commit until each of the healthy ones had the last."""

    seconds: float
    counts: Sequence[Count]
    slow: int = 0
    dead_tries: int = 0

    @property
    def is_whole(self) -> bool:
        return all(one.events == EVENTS and not one.disordered for one in self.counts)


async def _told(at: Ground, http: httpx.AsyncClient, address: str, well: Sequence[str], *, beside: Sequence[str]) -> Told:
    made = [await _endpoint(at, http, f"{address}/{name}") for name in well]
    others = [await _endpoint(at, http, url) for url in beside]
    await at.pool.execute("ANALYZE")
    started = time.monotonic()
    for first in range(0, EVENTS, ORDERS):
        await at.pool.execute(_TELL, at.platform, first, ORDERS)
    give_up = started + _PATIENCE_SECONDS
    counts: Mapping[str, Count] = {}
    async with httpx.AsyncClient(timeout=60) as receivers:
        while time.monotonic() < give_up and any(name not in counts or counts[name].events < EVENTS for name in well):
            await asyncio.sleep(0.25)
            counts = msgspec.json.decode((await receivers.get(address)).content, type=dict[str, Count])
    tries: int = await at.pool.fetchval("SELECT count(*) FROM delivery_log WHERE platform_id = $1", at.platform)
    for one in (*made, *others):
        await http.delete(f"/v1/endpoints/{one}", headers=_headers(at))
    found = [counts[name] for name in well]
    return Told(
        seconds=max(one.last_at for one in found) - started,
        counts=found,
        slow=counts["slow"].events if "slow" in counts else 0,
        dead_tries=tries,
    )


async def _endpoint(at: Ground, http: httpx.AsyncClient, url: str) -> str:
    body = {"name": "bench", "url": url, "types": ["order.*"], "reason": "the bench"}
    answer = await http.post("/v1/endpoints", json=body, headers=_headers(at))
    answer.raise_for_status()
    found: str = answer.json()["endpoint"]["id"]
    return found


def _headers(at: Ground) -> dict[str, Any]:
    return {"Authorization": f"Bearer {at.key}", "Idempotency-Key": uuid4().hex}


def _process(ready: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.bench.receivers", str(ready)])


@asynccontextmanager
async def _receivers(at: Ground) -> AsyncIterator[str]:
    """The address of a process that receives."""
    ready = at.folder / f"receivers-{uuid4().hex[:8]}"
    process = _process(ready)
    try:
        give_up = time.monotonic() + 60
        while not (ready.exists() and ready.read_text()):
            if time.monotonic() > give_up or process.poll() is not None:
                raise RuntimeError("the receivers did not start")
            await asyncio.sleep(0.05)
        yield f"http://{HOST}:{ready.read_text()}"
    finally:
        process.terminate()
        process.wait(timeout=10)
