"""Every scenario of the demo ends as it should, asked over HTTP and looked up where it counts."""

from __future__ import annotations

import pytest

from service.demo.journal import Journal, Line
from service.demo.night import Night
from service.demo.scenarios import SCENARIOS, Scenario, perform
from service.demo.stage import open_stage


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
async def test_a_scenario_ends_as_it_should(night: Night, scenario: Scenario) -> None:
    said: list[Line] = []
    async with open_stage(night, Journal(said.append)) as stage:
        assert await perform(stage, scenario) == scenario.ends
    assert {line.kind for line in said} >= {"asked", "seen"}
