from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import pytest_asyncio

from integrations.sandbox import SandboxRail
from integrations.sandbox_webhook import SandboxNotifications
from service import serving
from service.ports import Notifications
from service.settings import Settings
from service.vendors import Vendors, open_vendors
from tests.promises.house import House, databases, open_house, settings_for
from tests.webhooks.stub import POSTING_SECRET, StubWebhook


@asynccontextmanager
async def _serving(dsn: str, template: str, webhook: Callable[[Vendors], Notifications]) -> AsyncIterator[House]:
    async with databases(dsn, template) as (ours, theirs), open_house(settings_for(ours, theirs)) as opened:

        @asynccontextmanager
        async def vendors(settings: Settings) -> AsyncIterator[Vendors]:
            async with open_vendors(settings) as outside:
                changed = {"mailer": opened.mails.mailer, "issuers": {"": opened.issuer}, "notifications": {"sandbox": webhook(outside)}}
                yield msgspec.structs.replace(outside, **changed)

        listen = (opened.settings.bind_host, opened.settings.bind_port)
        async with serving.running(opened.settings, vendors=vendors, listen=listen) as app:
            opened.app = app
            yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(postgres_dsn: str, template_database: str, stub: StubWebhook) -> AsyncIterator[House]:
    """A running installation whose sandbox rail has the stub's webhook."""
    async with _serving(postgres_dsn, template_database, lambda _: stub) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def posting_house(postgres_dsn: str, template_database: str) -> AsyncIterator[House]:
    """One whose sandbox signs and tells what happens to its charges and refunds."""

    def webhook(outside: Vendors) -> Notifications:
        rail = outside.rails["sandbox"]
        assert isinstance(rail, SandboxRail)
        return SandboxNotifications(rail, [POSTING_SECRET])

    async with _serving(postgres_dsn, template_database, webhook) as opened:
        await opened.books.subscribe()
        yield opened


@pytest.fixture(scope="module")
def stub() -> StubWebhook:
    return StubWebhook()
