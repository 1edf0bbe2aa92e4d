"""What there is to open and to try once the play is over, and links that sign in to the console."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.demo.night import Night
from service.demo.stage import LIVE, ticket
from service.desk_sessions import DeskSessions, link_address
from service.keys import Keys
from service.store.desk_sessions import DeskSessionStore
from service.store.keys import Change, KeyStore

# Who may look around: an agent, and a lead, who sees the board and the brakes too.
VISITORS: Final = ("Mira", "Jonas")
_CHANGE: Final = Change(actor="demo", why="somebody looks at the demo's console")


async def curl_lines(night: Night) -> list[tuple[str, str]]:
    """What each does, and the line to paste. The order that the first one names is fresh."""
    order = await night.shop.order(LIVE, [ticket()], charges=2)
    case = {"problem": "charged_twice", "order": order.ref, "show": LIVE, "channel": "api"}
    return [
        ("charged twice: the second charge goes back", _curl(night, "/v1/cases", night.desk.platform, case)),
        ("what waits for people", _curl(night, "/v1/queue", night.desk.agent)),
        ("an agent takes the first of them", _curl(night, "/v1/queue/take", night.desk.agent, {})),
    ]


def more_links(night: Night, database_url: str, data: Path) -> str:
    """The command that prints another link, to be pasted into a second terminal."""
    settings = [f"MAKEGOOD_DATABASE_URL={shlex.quote(database_url)}", f"MAKEGOOD_PUBLIC_URL={night.address}"]
    # The secret stays in its file: it is in no history and on no screen.
    secret = f'MAKEGOOD_SECRET="$(cat {shlex.quote(str(data / "secret"))})"'
    return " ".join([*settings, secret, f"makegood agents link {VISITORS[0]} --platform {night.desk.slug}"])


def places(night: Night) -> list[tuple[str, str]]:
    """What each is, and its address in a browser."""
    return [
        ("a show's page: be its customer, with switches for what goes wrong", f"{night.address}/demo/"),
        ("the same beside the console: both sides at once", f"{night.address}/demo/both"),
        ("the console: what people at the desk work with", f"{night.address}/desk"),
        ("the contract, to browse", f"{night.address}/docs"),
        ("the contract as a document", f"{night.address}/openapi.json"),
        ("the keys that links to the stream are signed with", f"{night.address}/.well-known/jwks.json"),
    ]


async def sign_in_links(night: Night) -> list[tuple[str, str]]:
    """Who each signs in, and the link: once, within two minutes. Raises LookupError."""
    known = {one.name: one for one in await KeyStore(night.pool).agents(night.desk.platform_id)}
    return [(f"{name}, {'a lead' if known[name].role == 'lead' else 'an agent'}", await sign_in_link(night, name)) for name in VISITORS]


async def sign_in_link(night: Night, name: str) -> str:
    """For this agent: once, within two minutes. Raises LookupError."""
    keys = KeyStore(night.pool)
    agents = [one.id for one in await keys.agents(night.desk.platform_id) if one.name == name]
    code = await DeskSessions(DeskSessionStore(night.pool), Keys(keys)).link(night.desk.platform_id, agents[0], _CHANGE) if agents else None
    if code is None:
        raise LookupError(name)
    return link_address(night.address, code)


def _curl(night: Night, path: str, token: str, body: Mapping[str, Any] | None = None) -> str:
    words = ["curl", "-sS", f"{night.address}{path}", "-H", f"Authorization: Bearer {token}"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-H", f"Idempotency-Key: try-{secrets.token_hex(4)}", "-d", json.dumps(body)]
    return shlex.join(words)
