"""Runs the model in batches, each with a seed of its own, on a database of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import hypothesis
import structlog
from hypothesis.stateful import run_state_machine_as_test

from service.store import embedded
from service.store.pool import open_pool
from tests import postgres
from tests.model.ground import Ground
from tests.model.machine import Model

STEPS_AN_EXAMPLE: Final = 50
EXAMPLES_A_BATCH: Final = 25


@contextmanager
def grounds(maintenance_dsn: str, name: str) -> Iterator[None]:
    """Sets the model on a database of its own, and one event loop for all its examples."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with asyncio.Runner() as runner:
        template = runner.run(postgres.migrated_template(maintenance_dsn))
        url = runner.run(embedded.create_database(maintenance_dsn, name, template=template))
        pool = runner.run(open_pool(url, size=4))
        # Nothing here is about a machine that loses its disk.
        runner.run(pool.execute(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        runner.run(pool.close())
        pool = runner.run(open_pool(url, size=4))
        Model.runner, Model.ground = runner, runner.run(Ground.opens(pool))
        try:
            yield
        finally:
            runner.run(pool.close())
            runner.run(embedded.drop_database(maintenance_dsn, name))


def batch(seed: int, *, examples: int = EXAMPLES_A_BATCH) -> tuple[int, int, float]:
    """Plays so many examples from a seed: steps, examples, seconds. Raises what the model found."""
    steps, played, began = Model.steps, Model.examples, time.monotonic()
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS_AN_EXAMPLE,
        deadline=None,
        database=None,
        print_blob=True,
        derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(seed)(type("Seeded", (Model,), {})), settings=settings)
    return Model.steps - steps, Model.examples - played, time.monotonic() - began
