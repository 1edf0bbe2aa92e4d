"""How soon an edge refuses what was replaced, with 10,000 live tokens about; and how many tokens its verifier checks in a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter, process_time
from typing import Any, Final

import httpx
import jwt

from clients.edge_verifier.makegood_edge import Edge, Refused
from service.demo.world import bearer
from service.model import WireId, wire
from tests.bench.ground import HOST, SLUG, Ground, line, serving

LIVE: Final = 10_000
_REISSUES: Final = 100
_CLIENTS: Final = 16
_VERIFICATIONS: Final = 20_000
# What is promised of a reissue (docs/edge.md).
_SECONDS_MAX: Final = 1.0
# Only ends a wait for what never comes.
_PATIENCE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.002

_PASSES: Final = """
SELECT p.id, o.ref FROM pass p JOIN orders o ON o.platform_id = $1 AND o.id = p.order_id WHERE p.platform_id = $1 ORDER BY o.ref LIMIT $2
"""


async def measure(at: Ground) -> AsyncIterator[str]:
    """From sending the request for a new link to the refusal of the old one; then verifications alone, on one core."""
    async with serving(at) as server, httpx.AsyncClient(base_url=f"http://{HOST}:{server.port}", timeout=60, trust_env=False) as http:
        tokens = await _tokens(at, http)
        issuer = jwt.decode(next(iter(tokens.values())), options={"verify_signature": False})["iss"]
        async with (
            httpx.AsyncClient(base_url=http.base_url, headers=bearer(at.key), trust_env=False) as own,
            Edge(own, issuer=issuer, audience=SLUG, when_stale="refuse") as edge,
        ):
            took = sorted([await _reissue(at, http, edge, ref, tokens[ref]) for ref in list(tokens)[:_REISSUES]])
            p99 = took[int(len(took) * 0.99) - 1]
            yield line(
                "edge_refuses_after_reissue_p99",
                round(p99, 3),
                "s",
                limit=_SECONDS_MAX,
                holds=p99 <= _SECONDS_MAX,
                median=round(took[len(took) // 2], 3),
                worst=round(took[-1], 3),
                reissues=len(took),
                live_tokens=len(tokens),
            )
            yield _verifications(edge, list(tokens.values())[_REISSUES:])


async def _tokens(at: Ground, http: httpx.AsyncClient) -> dict[str, str]:
    """Order -> its token."""
    places, found = asyncio.Semaphore(_CLIENTS), dict[str, str]()

    async def one(row: Any) -> None:
        async with places:
            answer = await http.post(
                "/v1/access/tokens", json={"pass_id": wire(WireId.PASS, row["id"]), "show": "live"}, headers=bearer(at.key)
            )
        found[row["ref"]] = answer.raise_for_status().json()["token"]

    await asyncio.gather(*(one(row) for row in await at.pool.fetch(_PASSES, at.platform, LIVE)))
    return found


async def _reissue(at: Ground, http: httpx.AsyncClient, edge: Edge, ref: str, old: str) -> float:
    edge.check(old)
    ask = at.ask("wrong_device", int(ref.removeprefix("B")))
    began = perf_counter()
    asked = asyncio.create_task(http.post(ask.path, json=ask.body, headers={**bearer(ask.token, ask.key), **ask.headers}))
    while _opens(edge, old):
        if perf_counter() - began > _PATIENCE_SECONDS:
            raise RuntimeError(f"the old token still opens: {(await asked).text}")
        await asyncio.sleep(_LOOK_SECONDS)
    took = perf_counter() - began
    case = (await asked).raise_for_status().json()
    await edge.admit(case["access"][-1]["token"], show="live")
    return took


def _opens(edge: Edge, token: str) -> bool:
    try:
        edge.check(token)
    except Refused:
        return False
    return True


def _verifications(edge: Edge, tokens: list[str]) -> str:
    """By the processor's time, so that other work on the machine says nothing."""
    began = process_time()
    for number in range(_VERIFICATIONS):
        edge.check(tokens[number % len(tokens)], show="live")
    each = (process_time() - began) / _VERIFICATIONS
    return line("edge_verifications", round(1 / each), "checks/s", cpu_microseconds=round(each * 1e6, 1), cores=1)
