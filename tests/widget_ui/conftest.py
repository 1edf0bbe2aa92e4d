"""A browser for each worker, a running application for each file that asks for one, and a platform that speaks six languages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest_asyncio

from service.demo.night import Night, night_settings, open_night
from service.store import embedded
from tests.console.conftest import browser
from tests.ports import free_port

__all__ = ["browser"]

_PLATFORM: Final[dict[str, Any]] = {
    "name": "Northern Lights Live",
    "languages": ["en", "de", "fr", "es", "ja", "ar"],
    "zone": "Europe/Berlin",
    "contacts": {"support": "our team", "email": "help@northern.example", "phone": "+49 30 1234567"},
    "accent": "#0b6e5f",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(postgres_dsn: str, template_database: str) -> AsyncIterator[Night]:
    """The platform `demo` with its shop, its desk and its mailbox: nothing is in them yet."""
    run = uuid4().hex[:12]
    database = await embedded.create_database(postgres_dsn, f"widget_{run}", template=template_database)
    sandbox = await embedded.create_database(postgres_dsn, f"widget_{run}_sandbox")
    settings = night_settings(database_url=database, sandbox_database_url=sandbox, port=free_port())
    async with open_night(settings, platform=_PLATFORM) as opened:
        yield opened
    for name in (f"widget_{run}", f"widget_{run}_sandbox"):
        await embedded.drop_database(postgres_dsn, name)
