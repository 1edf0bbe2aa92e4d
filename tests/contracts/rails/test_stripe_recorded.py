"""Stripe's adapter keeps the contract of a rail against answers recorded from stripe-stateful-mock: no Node, no network."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from vcr.errors import CannotOverwriteExistingCassetteException  # type: ignore[import-untyped]

from tests.cassettes.recorder import BASE_URL, FOLDER, RECORDING_VARIABLE, recorder
from tests.contracts.rails.benches import StripeBench
from tests.contracts.rails.contract import PaysBackContract, RailContract, ReadableContract


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[StripeBench]:
    recording = RECORDING_VARIABLE in os.environ
    with recorder("all" if recording else "none").use_cassette(str(FOLDER / f"{request.node.name}.yaml")) as cassette:
        bench = StripeBench(f"recorded {request.node.name}", BASE_URL)
        yield bench
        await bench.close()
    assert recording or cassette.all_played


class TestStripeAgainstRecordedAnswers(RailContract, PaysBackContract, ReadableContract):
    pass


@pytest.mark.skipif(RECORDING_VARIABLE in os.environ, reason="says what replaying refuses")
async def test_the_same_request_under_another_key_is_not_answered(request: pytest.FixtureRequest) -> None:
    name = "test_the_same_key_twice_is_one_refund"
    with recorder("none").use_cassette(str(FOLDER / f"{name}.yaml")):
        bench = StripeBench(f"recorded {request.node.name}", BASE_URL)
        with pytest.raises(CannotOverwriteExistingCassetteException, match="_same_key differs"):
            await bench.charge(5000)
        await bench.close()
