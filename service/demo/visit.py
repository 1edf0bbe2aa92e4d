"""What there is to open and to try once the play is over; and a live show that stays live while somebody looks."""

from __future__ import annotations

import asyncio
import json
import secrets
import shlex
from collections.abc import Mapping
from typing import Any, Final

from service.demo.night import Night
from service.demo.stage import LIVE, set_shows, ticket

# The live show begins 40 minutes before and lasts 90: it is told anew long before it would be over.
_LIVE_AGAIN_SECONDS: Final = 1200.0


async def curl_lines(night: Night) -> list[tuple[str, str]]:
    """What each does, and the line to paste. The order that the first one names is fresh."""
    order = await night.shop.order(LIVE, [ticket()], charges=2)
    case = {"problem": "charged_twice", "order": order.ref, "show": LIVE, "channel": "api"}
    return [
        ("charged twice: the second charge goes back", _curl(night, "/v1/cases", night.desk.platform, case)),
        ("what waits for people", _curl(night, "/v1/queue", night.desk.agent)),
        ("an agent takes the first of them", _curl(night, "/v1/queue/take", night.desk.agent, {})),
    ]


def places(night: Night) -> list[tuple[str, str]]:
    """What each is, and its address in a browser."""
    return [
        ("the contract, to browse", f"{night.address}/docs"),
        ("the contract as a document", f"{night.address}/openapi.json"),
        ("the keys that links to the stream are signed with", f"{night.address}/.well-known/jwks.json"),
    ]


async def stay_live(night: Night) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(_LIVE_AGAIN_SECONDS)
        await set_shows(night)


def _curl(night: Night, path: str, token: str, body: Mapping[str, Any] | None = None) -> str:
    words = ["curl", "-sS", f"{night.address}{path}", "-H", f"Authorization: Bearer {token}"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-H", f"Idempotency-Key: try-{secrets.token_hex(4)}", "-d", json.dumps(body)]
    return shlex.join(words)
