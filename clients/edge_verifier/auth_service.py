"""Answers nginx's `auth_request`: 204 for a token that opens the stream, 403 for one that does not. An ASGI application; any ASGI server runs it.

    MAKEGOOD_URL=https://help.example MAKEGOOD_KEY=mgk_… MAKEGOOD_AUDIENCE=northern-lights EDGE_WHEN_STALE=refuse \\
        granian --interface asgi --host 127.0.0.1 --port 9090 auth_service:app

nginx hands the token over in `X-Stream-Token` and the show in `X-Stream-Show` (docs/edge/nginx.conf). The answer names the reason in
`X-Stream-Refused`; no token and no address is ever written anywhere. `GET /healthz` is 204 while revocations are known, 503 otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx

from makegood_edge import Edge, Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AuthService:
    """One edge verifier behind HTTP. `MAKEGOOD_ISSUER` is needed only where the public address is not `MAKEGOOD_URL`."""

    def __init__(self) -> None:
        self._edge: Edge | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            status, reason = await self._answer(scope)
            headers = [(b"x-stream-refused", reason.encode())] if reason else []
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        url = os.environ["MAKEGOOD_URL"]
        headers = {"Authorization": f"Bearer {os.environ['MAKEGOOD_KEY']}"}
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http,
            Edge(
                http,
                issuer=os.environ.get("MAKEGOOD_ISSUER", url),
                audience=os.environ["MAKEGOOD_AUDIENCE"],
                when_stale=os.environ["EDGE_WHEN_STALE"],  # type: ignore[arg-type]
            ) as self._edge,
        ):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Message) -> tuple[int, str]:
        if self._edge is None:
            return 503, "stale"
        if scope["path"] == "/healthz":
            return (204, "") if self._edge.fresh else (503, "stale")
        given = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"x-stream-token", b"x-stream-show")}
        try:
            await self._edge.admit(given.get(b"x-stream-token", ""), show=given.get(b"x-stream-show", ""))
        except Refused as refused:
            return 403, refused.reason
        return 204, ""


app = AuthService()
