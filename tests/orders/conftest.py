"""The feed's routes on the test's database, and a client for each of two platforms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest

from service.api import platform
from service.api.auth import Authenticator
from service.api.frame import Parts, build_app
from service.api.requests import ClientAddress
from service.callers import Caller
from service.store.pool import Pool
from tests.orders.loading import orders_of, platform_with_show, shows_of

SCOPES: Final = frozenset({"orders:read", "orders:write"})


class AlwaysReady:
    async def missing(self) -> Sequence[str]:
        return ()


def caller_for(platform_id: UUID, *, scopes: frozenset[str] = SCOPES) -> Caller:
    return Caller(kind="platform", platform_id=platform_id, platform="shop", id=uuid4(), name="key:shop", scopes=scopes)


def app_client(pool: Pool, callers: Mapping[str, Caller]) -> httpx.AsyncClient:
    """Sends to the routes without a network; the token `mgk_<name>` is the caller of that name."""

    async def key(token: str) -> Caller | None:
        return callers.get(token.removeprefix("mgk_"))

    async def nobody(*_parts: str) -> Caller | None:
        return None

    parts = Parts(
        authenticator=Authenticator(key=key, session=nobody, platform_token=nobody),
        readiness=AlwaysReady(),
        client_address=ClientAddress(proxies=0),
        domain={"orders": orders_of(pool), "shows": shows_of(pool)},
        failures=platform.FAILURES,
    )
    app: Any = build_app(parts, [platform.PlatformFeed], version="0")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers={"Authorization": "Bearer mgk_shop"})


@pytest.fixture
async def platform_id(pool: Pool) -> UUID:
    """A platform with one show, `show`."""
    return await platform_with_show(pool)


@pytest.fixture
async def client(pool: Pool, platform_id: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks for the platform; the token `mgk_reader` may only read."""
    callers = {"shop": caller_for(platform_id), "reader": caller_for(platform_id, scopes=frozenset({"orders:read"}))}
    async with app_client(pool, callers) as opened:
        yield opened


@pytest.fixture
async def other_client(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks for another platform, with a show of the same name."""
    async with app_client(pool, {"shop": caller_for(await platform_with_show(pool))}) as opened:
        yield opened
