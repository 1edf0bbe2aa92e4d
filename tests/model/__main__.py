"""`python -m tests.model [--minutes M] [--seed N] [--processes P] [--from-batch K] [--batches B] [--shrink]`: 1 if it found any.

Batch k of seed N is always the same: `--seed N --from-batch k --batches 1` plays it again.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import json
import multiprocessing
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from service.store import embedded
from tests import postgres
from tests.model.play import Said, play, prepare
from tests.model.run import BATCHES_MAX, Played, seed_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description="Refunds in drawn worlds, counted at the processors.")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long to play")
    parser.add_argument("--seed", type=int, help="the same worlds again; drawn anew without one")
    parser.add_argument("--processes", type=int, default=1, help="each with a database of its own")
    parser.add_argument("--from-batch", type=int, default=0, help="go on where a run ended")
    parser.add_argument("--batches", type=int, default=BATCHES_MAX, help="play no more than these")
    parser.add_argument("--shrink", action="store_true", help="look for the shortest way to what was found; takes minutes")
    chosen = parser.parse_args()
    seed = secrets.randbelow(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}: {chosen.minutes:g} minutes, {chosen.processes} processes, from batch {chosen.from_batch}", flush=True)
    server = embedded.start(postgres.folder_of_run())
    try:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(chosen.processes, mp_context=spawn, initializer=prepare, initargs=(server.dsn,)) as pool:
            return _plays(pool, seed, chosen)
    finally:
        postgres.finish(server)


def _plays(pool: ProcessPoolExecutor, seed: int, chosen: argparse.Namespace) -> int:
    ends_at = time.monotonic() + chosen.minutes * 60
    played, violations, happened = Played(), 0, Counter[str]()
    following = iter(range(chosen.from_batch, min(chosen.from_batch + chosen.batches, BATCHES_MAX)))

    def start() -> set[Future[Said]]:
        number = next(following, None)
        if number is None:
            return set()
        return {pool.submit(play, seed_of(seed, number), number, shrinks=chosen.shrink)}

    waiting = set[Future[Said]]().union(*(start() for _ in range(chosen.processes)))
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for said in (one.result() for one in done):
            played += said.played
            happened.update(said.happened)
            if said.found:
                violations += 1
                print(f"{said.found}\nplay it again: --seed {seed} --from-batch {said.number} --batches 1 [--shrink]", flush=True)
            else:
                print(f"batch {said.number}: {said.played.line()}; in all {played.line()}", flush=True)
            if time.monotonic() < ends_at:
                waiting |= start()
    print(json.dumps(dict(sorted(happened.items()))))
    print(json.dumps({"steps": played.steps, "examples": played.examples, "violations": violations, "seed": seed}))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
