"""`python -m tests.bulk [--operations N] [--pace P] [--workers W] [--minutes M]`: exit 1 when anything is not as it should be."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import msgspec
import structlog

from service.store import embedded
from tests.bulk.run import Report, Wanted, bulk


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bulk", description="Refunds that are all due at once.")
    parser.add_argument("--operations", type=int, default=100_000, help="refunds that are due")
    parser.add_argument("--pace", type=float, default=200.0, help="calls a second to the processor; 0: none")
    parser.add_argument("--workers", type=int, default=2, choices=(1, 2), help="`makegood worker` processes beside the one that serves")
    parser.add_argument("--minutes", type=float, default=40.0, help="the longest that it may take; the rest is left")
    chosen = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    wanted = Wanted(operations=chosen.operations, workers=chosen.workers, pace=chosen.pace, seconds_max=chosen.minutes * 60)
    report = _run(wanted)
    print(msgspec.json.encode(report).decode())
    return 0 if report.is_well else 1


def _run(wanted: Wanted) -> Report:
    # Short: a socket's path holds about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="mg-", ignore_cleanup_errors=True) as folder, embedded.running(Path(folder) / "pg") as server:
        return asyncio.run(bulk(server.dsn, Path(folder), wanted))


if __name__ == "__main__":
    sys.exit(main())
