"""Platforms with endpoints, receivers that answer as they are told to, workers as processes have them, and a clock moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest

from service import outbox as sending
from service.callers import Caller
from service.endpoints import Endpoints
from service.model import IdentityLevel, WireId, unwire
from service.outbox import Outbox, Sender
from service.ports import HookAnswer, Told
from service.sealing import Vault
from service.store.endpoints import EndpointStore
from service.store.idempotency import IdempotencyKey
from service.store.outbox import OutboxStore
from service.store.pool import Pool
from tests.identity.world import SECRET, Shop
from tests.patience import PATIENCE_SECONDS

VAULT: Final = Vault(SECRET, purpose="endpoints")
# Rounds of a test: more than any needs, so that one that never ends is seen.
_ROUNDS_MAX: Final = 400

Answers = Callable[["Post"], Awaitable[int | HookAnswer]]


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook as its receiver saw it."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    @property
    def number(self) -> int:
        """-1: it is none of the test's own."""
        found: int = self.event["data"].get("about", {}).get("n", -1)
        return found


async def well(_: Post) -> int:
    return 204


class Receivers:
    """`Hooks`: whoever is posted to. `answers`: by address; all else takes everything."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answers: dict[str, Answers] = {}
        self.at_once = 0
        self.at_once_most = 0

    def refusal(self, url: str) -> str | None:
        return None if url.startswith("https://") else "has to start with https://"

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookAnswer:
        post = Post(url=url, headers=headers, body=body)
        self.posts.append(post)
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        try:
            answer = await self.answers.get(url, well)(post)
        finally:
            self.at_once -= 1
        return answer if isinstance(answer, HookAnswer) else HookAnswer(status=answer)

    def at(self, url: str) -> list[Post]:
        return [post for post in self.posts if post.url == url]

    def numbers(self, url: str) -> list[int]:
        return [post.number for post in self.at(url) if post.number >= 0]


class Town:
    """One platform on a database of its own."""

    def __init__(self, pool: Pool, shop: Shop) -> None:
        self.pool = pool
        self.platform = shop.id
        self.shop = shop
        self.receivers = Receivers()
        self.adapters: dict[str, Told] = {}
        self.sender = Sender(self.receivers, VAULT, adapters=self.adapters, clock=lambda: datetime.now(UTC))
        self.store = EndpointStore(pool)
        self.endpoints = Endpoints(self.store, self.sender, self.receivers, VAULT)
        self.passed = 0.0
        """seconds of a process's own clock, by which rounds look again"""
        self.outbox = self.process()
        self.caller = Caller(
            kind="platform",
            platform_id=shop.id,
            platform=shop.slug,
            id=uuid4(),
            name="key:shop",
            scopes=frozenset({"endpoints:write", "events:read"}),
            level=IdentityLevel.VERIFIED,
        )

    def process(self) -> Outbox:
        return Outbox(OutboxStore(self.pool), self.store, self.sender, chance=lambda: 0.5, monotonic=lambda: self.passed)

    def key(self) -> IdempotencyKey:
        return IdempotencyKey(
            platform_id=self.platform, caller=self.caller.key, method="POST", path="/v1/endpoints", key=uuid4().hex, body_hash=b""
        )

    async def endpoint(self, url: str, types: Sequence[str] | None = None) -> tuple[UUID, str]:
        """Its id and its secret."""
        made = await self.endpoints.make(self.caller, self.key(), name="shop", url=url, types=types, why="")
        assert made.secret is not None
        found = unwire(WireId.ENDPOINT, made.endpoint.id)
        assert found is not None
        return found, made.secret

    async def order(self) -> UUID:
        return (await self.shop.sells("mia@example.org")).id

    async def tell(self, order: UUID | None, n: int, kind: str = "order.changed") -> None:
        await self.pool.execute(
            "SELECT tell($1, $2, NULL, $3, $4::jsonb, app_now())", self.platform, order, kind, {"what": "test", "about": {"n": n}}
        )

    async def turn(self, outbox: Outbox | None = None) -> None:
        """One look of a process, and all that it starts."""
        outbox = outbox or self.outbox
        await outbox.once()
        await outbox.finish()

    async def until_still(self, outbox: Outbox | None = None) -> None:
        """Until nothing is due any more."""
        for _ in range(_ROUNDS_MAX):
            before = await self._standing()
            await self.turn(outbox)
            if before == await self._standing():
                return
        raise AssertionError("there is always more to do")

    async def _standing(self) -> Any:
        return await self.pool.fetch(
            "SELECT lease_epoch, (SELECT count(*) FROM outbox WHERE position IS NULL) AS unplaced FROM endpoint ORDER BY id"
        )

    async def pass_seconds(self, seconds: float) -> None:
        await self.pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", seconds)

    async def row(self, endpoint: UUID) -> dict[str, Any]:
        found = await self.pool.fetchrow("SELECT * FROM endpoint WHERE platform_id = $1 AND id = $2", self.platform, endpoint)
        assert found is not None
        return dict(found)

    async def waiting(self, endpoint: UUID) -> list[tuple[int, str]]:
        """Numbers and states of what an endpoint has not taken."""
        rows = await self.pool.fetch(
            "SELECT (e.data->'about'->>'n')::int AS n, d.state FROM endpoint_delivery d JOIN outbox e USING (platform_id, event_id)"
            " WHERE d.platform_id = $1 AND d.endpoint_id = $2 ORDER BY d.position",
            self.platform,
            endpoint,
        )
        return [(row["n"], row["state"]) for row in rows]


@pytest.fixture
async def town(still_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Town:
    # Who is kept waiting by a test is no receiver that does not answer.
    monkeypatch.setattr(sending, "SEND_SECONDS_MAX", PATIENCE_SECONDS)
    return Town(still_pool, await Shop.opens(still_pool))


class Gate:
    """An answer that is kept back until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _: Post) -> int:
        self.reached.set()
        await self.open.wait()
        return 204
