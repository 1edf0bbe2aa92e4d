"""What a widget waits for at its start: a customer with one order, and one with twenty, each due a refund; a look before the yes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from time import perf_counter
from typing import Any, Final

import httpx

from service.demo.world import bearer
from tests.bench.ground import HOST, SLUG, Ground, line, serving

ORDERS: Final = 21
_MANY: Final = 20
_ROUNDS: Final = 200
# Before the process has planned its statements.
_WARM: Final = 20

# All but the first are one customer's.
_ONE_CUSTOMER: Final = """
UPDATE orders SET customer_ref = 'c-2' WHERE platform_id = $1 AND ref <> 'B1'
"""


async def measure(at: Ground) -> AsyncIterator[str]:
    """One request after the other, as one customer waits for theirs; the stream was down for 25 minutes."""
    await at.pool.execute(_ONE_CUSTOMER, at.platform)
    async with serving(at) as server, httpx.AsyncClient(base_url=f"http://{HOST}:{server.port}", timeout=60, trust_env=False) as http:

        async def start(_: Mapping[str, str]) -> httpx.Response:
            return await http.get("/v1/help", params={"show": "live"}, headers={"Makegood-Platform": SLUG})

        async def orders(headers: Mapping[str, str]) -> httpx.Response:
            return await http.get("/v1/help/orders", headers=headers)

        async def look(headers: Mapping[str, str]) -> httpx.Response:
            body = {"problem": "stream_outage", "order": "B1", "show": "live"}
            return await http.post("/v1/help/preview", json=body, headers=headers)

        yield await _line(at, "help_start", start, number=1)
        yield await _line(at, "help_orders_of_one", orders, number=1, likely=1)
        yield await _line(at, "help_orders_of_twenty", orders, number=2, likely=_MANY)
        yield await _line(at, "help_preview", look, number=1)


async def _line(at: Ground, name: str, ask: Callable[[Mapping[str, str]], Any], *, number: int, likely: int = 0) -> str:
    headers = {**bearer(at.token(number)), "Makegood-Platform": SLUG}
    # Each customer looks a few times an hour; nobody of them is in the way of the next here.
    took = []
    for _ in range(_WARM + _ROUNDS):
        await at.pool.execute("DELETE FROM rate WHERE platform_id = $1 AND bucket LIKE 'look-customer:%'", at.platform)
        began = perf_counter()
        answer: httpx.Response = await ask(headers)
        took.append((perf_counter() - began) * 1000)
        answer.raise_for_status()
    found = sum(len(one["likely"]) for one in answer.json().get("orders", ()))
    took = sorted(took[_WARM:])
    return line(
        f"{name}_p99",
        round(took[int(len(took) * 0.99) - 1], 1),
        "ms",
        median=round(took[len(took) // 2], 1),
        requests=len(took),
        likely=found,
        holds=found == likely,
    )
