from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import pytest_asyncio

from service import serving
from service.settings import Settings
from service.vendors import Vendors, open_vendors
from tests.promises.house import House, databases, open_house, settings_for
from tests.webhooks.stub import StubWebhook


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(postgres_dsn: str, template_database: str, worker_id: str, stub: StubWebhook) -> AsyncIterator[House]:
    """A running installation whose sandbox rail has the stub's webhook, and a second one that has none."""
    async with databases(postgres_dsn, template_database) as (ours, theirs), open_house(settings_for(ours, theirs, worker_id)) as opened:

        @asynccontextmanager
        async def vendors(settings: Settings) -> AsyncIterator[Vendors]:
            async with open_vendors(settings) as outside:
                yield msgspec.structs.replace(
                    outside, mailer=opened.mails.mailer, issuers={"": opened.issuer}, notifications={"sandbox": stub}
                )

        listen = (opened.settings.bind_host, opened.settings.bind_port)
        async with serving.running(opened.settings, vendors=vendors, listen=listen) as app:
            opened.app = app
            yield opened


@pytest.fixture(scope="module")
def stub() -> StubWebhook:
    return StubWebhook()
