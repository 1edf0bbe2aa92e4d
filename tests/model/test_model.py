"""The law of money, held against drawn worlds: whatever breaks, in whatever order, the processors' ledgers show each refund once."""

from __future__ import annotations

import secrets
import time

import pytest

from tests.model import run
from tests.model.machine import Model
from tests.promises.house import FULL, figures

# Two batches or so, in which each kind below happens some times, a third if one was left out; `make chaos MINUTES=60` plays hundreds.
STEPS_MAX = 5_000
STEPS = STEPS_MAX if FULL else 1_000


# What is drawn reaches far: each of these is a way in which money is paid twice by those who get it wrong.
KINDS = (
    "try UNKNOWN again",
    "refund_returned",
    "refund_needs_review",
    "refund_choice_made",
    "refund_held",
    "refund_seen_elsewhere",
)


def _missing() -> list[str]:
    """What has never happened yet."""
    return [kind for kind in KINDS if not Model.happened[kind]]


@pytest.mark.xdist_group("model")
def test_no_refund_is_paid_twice_or_lost_or_stuck_whatever_is_drawn(postgres_dsn: str) -> None:
    seed, began = secrets.randbelow(10**6), time.monotonic()
    played = run.Played()
    with run.model(postgres_dsn):
        while played.steps < STEPS or (_missing() and played.steps < STEPS_MAX):
            figures(f"model, --seed {seed} --from-batch {played.batches} --batches 1: {played.line()}")
            played += run.batch(run.seed_of(seed, played.batches))
    figures(f"model: {played.line()} in {time.monotonic() - began:.0f} s")
    assert not _missing()
