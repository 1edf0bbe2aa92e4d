"""`python -m tests.sweep [--sample N] [--seed N]`: exit 1 when anything is wrong, with the orders it is wrong with."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from service.store import embedded, migrate
from tests.ports import free_port
from tests.sweep.installation import sweep_settings
from tests.sweep.run import SEED, last_line, sweep, table

# As many lines as a person reads; the count says how many there were.
_SHOWN_MAX = 100


async def _run(folder: Path, sample: int | None, seed: int) -> int:
    with embedded.running(folder) as server:
        database = await embedded.create_database(server.dsn, "sweep")
        await migrate.migrate(database)
        sandbox = await embedded.create_database(server.dsn, "sweep_sandbox")
        settings = sweep_settings(database_url=database, sandbox_url=sandbox, port=free_port())
        swept = await sweep(settings, sample=sample, seed=seed)
    print(table(swept))
    for one in swept.violations[:_SHOWN_MAX]:
        print(f"{one.order}: {one.text}")
    print(last_line(swept))
    return 1 if swept.violations else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sweep", description="Every imported order against every problem.")
    parser.add_argument("--sample", type=int, help="so many orders, drawn from the seed, instead of all")
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    # Short: a socket's path holds about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="mg-sweep-", ignore_cleanup_errors=True) as folder:
        return asyncio.run(_run(Path(folder) / "pg", chosen.sample, chosen.seed))


if __name__ == "__main__":
    sys.exit(main())
