"""`python -m tests.guards [words]`: breaks every guard on purpose (or those whose names hold the words), and says who noticed."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import click
import msgspec

from service.store import embedded
from tests import postgres
from tests.guards.broken import ROOT, Guard, Rotten, Verdict, copy_without, judge, run_tests
from tests.guards.catalogue import ALL

# As many as make sense on the two cores of the smallest machine that we build on.
_PROCESSES: Final = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.guards", description=__doc__)
    parser.add_argument("words", nargs="?", default="", help="only the guards whose names hold these words")
    guards = [guard for guard in ALL if parser.parse_args().words in guard.name]
    postgres.sweep()
    server = embedded.start(postgres.folder_of_run())
    try:
        green = _all_green(guards)
        with ThreadPoolExecutor(_PROCESSES) as pool:
            verdicts = list(pool.map(lambda guard: _one(guard, server.dsn), guards))
    finally:
        postgres.finish(server)
    noticed = sum(verdict.noticed for verdict in verdicts)
    click.echo(msgspec.json.encode({"guards": len(guards), "noticed": noticed, "missed": len(guards) - noticed}).decode())
    return 0 if green and noticed == len(guards) > 0 else 1


def _all_green(guards: list[Guard]) -> bool:
    """With all guards in place every test that stands for one of them is green."""
    tests = sorted({test for guard in guards for test in guard.tests})
    with tempfile.TemporaryDirectory() as folder:
        done = run_tests(tests, ROOT, Path(folder) / "report.xml")
    if done.returncode != 0:
        click.echo(f"with all guards in place their tests are not green:\n{done.stdout[-6000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def _one(guard: Guard, dsn: str) -> Verdict:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="makegood-guard-") as folder:
        try:
            copy = copy_without(guard, Path(folder) / "copy")
        except Rotten as error:
            click.echo(f"ROTTEN           {error}")
            return Verdict(missed=guard.tests, said=str(error))
        verdict = judge(guard, copy)
        template = postgres.template_name(copy / "service" / "store")
        if template != postgres.template_name():  # that one is for all guards outside SQL
            asyncio.run(embedded.drop_database(dsn, template))
    tests = ", ".join(test.rpartition("::")[2].removeprefix("test_") for test in guard.tests)
    click.echo(f"{'noticed' if verdict.noticed else 'MISSED '} {time.monotonic() - began:5.1f} s  {guard.name}: {tests}")
    if not verdict.noticed:
        click.echo(f"  stayed green: {', '.join(verdict.missed)}\n{verdict.said}")
    return verdict


if __name__ == "__main__":
    sys.exit(main())
