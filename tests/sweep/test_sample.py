from __future__ import annotations

from uuid import uuid4

from service.serving import first_free_port
from service.store import embedded
from tests.sweep.installation import HOST, sweep_settings
from tests.sweep.run import last_line, sweep

# Far from the ports that people use; each worker of a run looks from its own place on.
_PORTS_FROM = 26_000


async def test_thirty_real_orders_with_every_problem_end_well_and_the_books_agree_with_the_ledger(
    postgres_dsn: str, template_database: str, worker_id: str
) -> None:
    run = uuid4().hex[:12]
    database = await embedded.create_database(postgres_dsn, f"sweep_{run}", template=template_database)
    sandbox = await embedded.create_database(postgres_dsn, f"sweep_{run}_sandbox")
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    port = first_free_port(HOST, _PORTS_FROM + 200 * number)
    swept = await sweep(sweep_settings(database_url=database, sandbox_url=sandbox, port=port), sample=30)
    assert swept.violations == (), last_line(swept)
    assert swept.cases == 30 * 24
    for name in (f"sweep_{run}", f"sweep_{run}_sandbox"):
        await embedded.drop_database(postgres_dsn, name)
