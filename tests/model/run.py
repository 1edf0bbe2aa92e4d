"""Runs the model in batches, each with a seed of its own, on a database of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

import hypothesis
import msgspec
import structlog
from hypothesis.stateful import run_state_machine_as_test

from service.store import embedded
from service.store.pool import open_pool
from tests import postgres
from tests.model.ground import Ground
from tests.model.machine import Model

STEPS_AN_EXAMPLE: Final = 50
# Twenty seconds or so: what is lost when a run is ended, and what a failure takes to be played again.
EXAMPLES_A_BATCH: Final = 40

# Seeds of batches lie apart, so that two seeds of runs never play the same batch.
BATCHES_MAX: Final = 100_000


def seed_of(seed: int, number: int) -> int:
    """Of one batch: what `--seed` and `--from-batch` name."""
    return seed * BATCHES_MAX + number


class Played(msgspec.Struct, frozen=True, kw_only=True):
    steps: int = 0
    examples: int = 0
    batches: int = 0

    def __add__(self, other: Played) -> Played:
        return Played(steps=self.steps + other.steps, examples=self.examples + other.examples, batches=self.batches + other.batches)

    def line(self) -> str:
        return f"{self.steps} steps, {self.examples} examples"


@contextmanager
def model(maintenance_dsn: str) -> Iterator[None]:
    """Sets the model on a database of its own, with one event loop for all its examples."""
    configured = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    name = f"model_{uuid4().hex[:12]}"
    with asyncio.Runner() as runner:
        template = runner.run(postgres.migrated_template(maintenance_dsn))
        url = runner.run(embedded.create_database(maintenance_dsn, name, template=template))
        runner.run(_hurries(maintenance_dsn, name))
        pool = runner.run(open_pool(url, size=4))
        Model.runner, Model.ground = runner, runner.run(Ground.opens(pool))
        Model.steps = Model.examples = 0
        Model.happened.clear()
        try:
            yield
        finally:
            runner.run(pool.close())
            runner.run(embedded.drop_database(maintenance_dsn, name))
            structlog.configure(**configured)


async def _hurries(dsn: str, name: str) -> None:
    """Nothing here is about a machine that loses its disk: commits need not wait for it."""
    async with await open_pool(dsn, size=1) as pool:
        await pool.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")


def batch(seed: int, *, examples: int = EXAMPLES_A_BATCH, shrinks: bool = False) -> Played:
    """Plays so many examples from a seed. Raises what the model found.

    `shrinks`: the shortest way to it is looked for as well, which takes minutes.
    """
    steps, played = Model.steps, Model.examples
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS_AN_EXAMPLE,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink] if shrinks else [hypothesis.Phase.generate],
        report_multiple_bugs=False,
        print_blob=True,
        derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    violations = Model.violations
    try:
        # A class of its own: hypothesis keeps the seed on it.
        run_state_machine_as_test(hypothesis.seed(seed)(type("Seeded", (Model,), {})), settings=settings)
    except hypothesis.errors.FlakyStrategyDefinition:
        # The same draws were offered other rules than before, which says nothing of money: the batch ends here.
        if Model.violations > violations:
            raise
    return Played(steps=Model.steps - steps, examples=Model.examples - played, batches=1)
