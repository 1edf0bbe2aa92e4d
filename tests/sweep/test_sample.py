from __future__ import annotations

from tests.ports import free_port
from tests.promises.house import FULL, databases
from tests.sweep.installation import sweep_settings
from tests.sweep.run import last_line, sweep


async def test_real_orders_with_every_problem_end_well_and_the_books_agree_with_the_ledger(
    postgres_dsn: str, template_database: str
) -> None:
    port = free_port()
    orders = 30 if FULL else 10
    async with databases(postgres_dsn, template_database) as (database, sandbox):
        swept = await sweep(sweep_settings(database_url=database, sandbox_url=sandbox, port=port), sample=orders)
    assert swept.violations == (), last_line(swept)
    assert swept.cases == orders * 24
