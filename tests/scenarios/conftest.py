"""A running application over real HTTP, one for each file of scenarios, with databases of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest_asyncio

from service.demo.night import HOST, Night, night_settings, open_night
from service.serving import first_free_port
from service.store import embedded

# Far from the ports that people use; each worker of a run looks from its own place on.
_PORTS_FROM = 21_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(postgres_dsn: str, template_database: str, worker_id: str) -> AsyncIterator[Night]:
    """The platform `demo` with its shop, its desk and its mailbox, and the sandbox's own books: nothing is in them yet."""
    run = uuid4().hex[:12]
    database = await embedded.create_database(postgres_dsn, f"night_{run}", template=template_database)
    sandbox = await embedded.create_database(postgres_dsn, f"night_{run}_sandbox")
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    port = first_free_port(HOST, _PORTS_FROM + 200 * number)
    async with open_night(night_settings(database_url=database, sandbox_database_url=sandbox, port=port)) as opened:
        yield opened
    for name in (f"night_{run}", f"night_{run}_sandbox"):
        await embedded.drop_database(postgres_dsn, name)
