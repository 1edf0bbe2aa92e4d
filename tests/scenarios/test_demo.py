"""Every scenario of the demo ends as it should, asked over HTTP and looked up where it counts."""

from __future__ import annotations

import asyncio
import io
import json
import operator
import shutil
from itertools import pairwise

import pytest
from rich.console import Console

from service.demo.journal import Journal, Line, percentile
from service.demo.night import Night
from service.demo.people import Json
from service.demo.play import play
from service.demo.scenarios import SCENARIOS, Scenario, perform
from service.demo.screen import Screen
from service.demo.stage import NotAsItShould, Stage, open_stage
from service.demo.visit import curl_lines, places
from tests.promises.house import until


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
async def test_a_scenario_ends_as_it_should(night: Night, scenario: Scenario) -> None:
    said: list[Line] = []
    async with open_stage(night, Journal(said.append)) as stage:
        assert await perform(stage, scenario) == scenario.ends
    assert {"asked", "decided", "seen"} <= {line.kind for line in said}
    # What is looked at again at this very moment is neither left nor lost. (An agent has the one that the lines to paste have taken.)
    await until(lambda: night.pool.fetch("SELECT action, state FROM operation WHERE ended_at IS NULL"), operator.not_)
    lost = "SELECT id, owner, due_at FROM cases WHERE state = 'open' AND (owner NOT IN ('queue', 'timer', 'agent') OR due_at IS NULL)"
    await until(lambda: night.pool.fetch(lost), operator.not_)


async def test_each_scenario_has_a_name_of_its_own_and_every_ending_is_among_them() -> None:
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)
    assert {one.ends for one in SCENARIOS} == {"resolved", "handed_over", "denied", "waiting"}


async def test_one_that_fails_is_named_and_counted_and_stops_no_other(night: Night) -> None:
    async def breaks(stage: Stage) -> Json:
        stage.check("pigs fly", holds=False)
        raise AssertionError("unreachable")

    async def ends_otherwise(stage: Stage) -> Json:
        del stage
        return {"status": "closed"}

    broken = Scenario(name="broken", title="Broken", ends="resolved", play=breaks)
    otherwise = Scenario(name="otherwise", title="Ends otherwise", ends="resolved", play=ends_otherwise)
    good = next(one for one in SCENARIOS if one.name == "charged-once")
    screen = Screen(Console(file=io.StringIO(), width=100))
    summary = await play(night, [broken, otherwise, good], Journal(screen.says), screen)
    assert (summary.scenarios, summary.failed, summary.denied, summary.resolved) == (3, 2, 1, 0)
    assert [one.partition(":")[0] for one in screen.failures] == ["broken", "otherwise"]
    assert "pigs fly" in screen.failures[0]


async def test_books_that_differ_end_a_scenario(night: Night) -> None:
    """The check that every scenario ends with does see a refund that is not in our books."""

    async def unbooked(stage: Stage) -> Json:
        case: Json = await charged_once.play(stage)
        await night.pool.execute(
            "UPDATE payment SET refunded_elsewhere = 0, refunded = 1 WHERE order_id = (SELECT max(id::text)::uuid FROM orders)"
        )
        return case

    charged_once = next(one for one in SCENARIOS if one.name == "charged-once")
    async with open_stage(night, Journal()) as stage:
        with pytest.raises(NotAsItShould, match="our books say 1"):
            await perform(stage, Scenario(name="unbooked", title="", ends="denied", play=unbooked))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
async def test_the_lines_to_paste_work_as_they_are(night: Night) -> None:
    async with open_stage(night, Journal()):
        answers = []
        for _, line in await curl_lines(night):
            shell = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
            out, _ = await shell.communicate()
            assert shell.returncode == 0
            answers.append(json.loads(out))
    opened, queue, taken = answers
    assert [(one["amount"], one["status"]) for one in opened["operations"]] == [(4500, "sent")]
    assert "cases" in queue
    assert taken["status"] == "with_people" if queue["cases"] else taken["type"].endswith("nothing_to_take")


async def test_what_there_is_to_open_opens(night: Night) -> None:
    """Beside the host page, which the demo's own command adds (tests/demo_host)."""
    found = [address for _, address in places(night) if "/demo/" not in address]
    assert len(found) >= 4
    for address in found:
        assert (await night.client.get(address)).status_code == 200


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(one) for one in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0), percentile([], 0.5)) == (50.0, 99.0, 100.0, 0.0)
    assert all(low <= high for low, high in pairwise(percentile(values, one / 10) for one in range(1, 11)))
