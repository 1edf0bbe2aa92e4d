"""`python -m tests.chaos [--seed N] [--operations N] [--kills N] [--minutes M]`: exit 1 when anything was doubled, lost or stuck."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
from typing import Final

from tests.chaos.run import chaos

# A full run takes some ten minutes on two cores; beyond half an hour something hangs.
_MINUTES_MAX: Final = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Refunds while everything fails, counted at the processors.")
    parser.add_argument("--seed", type=int, help="the same wishes and faults again; drawn anew without one")
    parser.add_argument("--operations", type=int, default=2000, help="refunds that are asked for")
    parser.add_argument("--kills", type=int, default=40, help="processes that are killed with SIGKILL")
    parser.add_argument("--minutes", type=float, default=_MINUTES_MAX, help="the longest that the storm may last")
    chosen = parser.parse_args()
    # The pools of this process tell of each crash of PostgreSQL; crashes are what happens here.
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
    seed = secrets.randbelow(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}: {chosen.operations} refunds, {chosen.kills} kills", flush=True)
    report = asyncio.run(chaos(seed=seed, operations=chosen.operations, kills=chosen.kills, seconds_max=chosen.minutes * 60))
    print(report.text())
    print(report.last_line())
    return 0 if report.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
