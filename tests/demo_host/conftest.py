"""The demo as `make demo` serves it, without its evening: one for a worker, with databases of its own, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio
from playwright.async_api import Browser

from service.api.host_demo import mounted
from service.demo.host import Host
from service.demo.night import Night, night_settings, open_night
from service.demo.stage import PLATFORM
from tests.console.conftest import browser
from tests.demo_host.people import Audience, open_audience
from tests.ports import free_port
from tests.promises.house import databases

__all__ = ["browser"]


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    night: Night
    host: Host


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def demo(postgres_dsn: str, template_database: str) -> AsyncIterator[Demo]:
    """Each test comes as a visitor of its own; what it does to the show it undoes."""
    port = free_port()
    host = Host()
    async with databases(postgres_dsn, template_database) as (database, sandbox):
        settings = night_settings(database_url=database, sandbox_database_url=sandbox, port=port)
        async with open_night(settings, platform=PLATFORM, more=mounted(host)) as night:
            await host.opens(night)
            yield Demo(night=night, host=host)


@pytest_asyncio.fixture(loop_scope="session")
async def audience(browser: Browser, demo: Demo) -> AsyncIterator[Audience]:
    async with open_audience(browser, demo.night.address) as opened:
        yield opened
