"""Behind each number of the board is the list that it counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from service.app import Application
from tests.desk import waiting
from tests.desk.console import Office, browsing, installation, open_office

# Well inside each of the board's steps, and past the last of them: a case goes on ageing while this machine stands still.
_AGES = (60, 100, 400, 500, 1_000, 5_000, 50_000, 100_000, 400_000)


@pytest.fixture(scope="module")
async def app(database_url: str) -> AsyncIterator[Application]:
    async with installation(database_url) as opened:
        yield opened


@pytest.fixture
async def office(app: Application) -> Office:
    return await open_office(app)


async def _read(office: Office, path: str) -> Any:
    async with browsing(office.app, page=None) as http:
        answer = await http.get(path, headers={"Authorization": f"Bearer {office.tokens['Leo']}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _age(office: Office, case: object, seconds: float) -> None:
    await office.pool.execute("UPDATE cases SET queued_at = app_now() - make_interval(secs => $2) WHERE id = $1", case, seconds)


def _counts(shown: Any) -> Iterator[tuple[str, int]]:
    """Each query of the board with the number that stands beside it."""
    if isinstance(shown, dict):
        if "behind" in shown:
            yield shown["behind"], shown["cases"] if "cases" in shown else shown["holding"]
        for part in shown.values():
            yield from _counts(part)
    elif isinstance(shown, list):
        for part in shown:
            yield from _counts(part)


async def _fill(office: Office) -> None:
    """Old and new words for a skill, cases that wait, are taken or put aside, of every age, soon late, late, or both by two clocks."""
    made = [
        (await waiting.cases(office.pool, office.id, skill=skill))[0] for skill in ("core", "support", "trust", "playback", "access") * 2
    ]
    for case, age in zip(made, (*_AGES, 10), strict=True):
        await _age(office, case, age)
    taker = (await office.agent("Mira")).id
    until = "due_at = app_now() + interval '1 hour'"
    await office.pool.execute(f"UPDATE cases SET owner = 'agent', agent_id = $2, {until} WHERE id = ANY ($1)", made[:2], taker)
    for case, waits_for in zip(made[2:5], ("customer", "hold", "referral"), strict=True):
        await office.pool.execute(
            f"UPDATE cases SET owner = 'timer', wait_for = $2, for_agent = $3, {until} WHERE id = $1", case, waits_for, taker
        )
    await office.pool.execute("DELETE FROM sla_clock WHERE platform_id = $1", office.id)
    for case, kind, warned, breached in (
        (made[5], "resolve", True, False),
        (made[6], "resolve", True, True),
        (made[7], "acknowledge", True, True),
        (made[7], "resolve", True, False),
        (made[8], "resolve", False, False),
        (made[3], "resolve", True, False),
    ):
        await office.pool.execute(
            "INSERT INTO sla_clock (platform_id, case_id, kind, seq, target_seconds, started_at, due_at, warn_seconds, warned_at,"
            " breached_at) VALUES ($1, $2, $3, 9, 600, app_now(), app_now() + interval '1 hour', 60, CASE WHEN $4 THEN app_now() END,"
            " CASE WHEN $5 THEN app_now() END)",
            office.id, case, kind, warned, breached,
        )  # fmt: skip


async def test_the_query_behind_each_number_of_the_board_lists_exactly_so_many_cases(office: Office) -> None:
    await _fill(office)
    behind = list(_counts(await _read(office, "/v1/board")))
    counted = dict(behind)
    assert (counted["state=all"], counted["state=taken"]) == (10, 2)
    assert (counted["state=all&sla=at_risk"], counted["state=all&sla=breached"]) == (2, 2), "a late case is not soon late as well"
    assert [n for query, n in behind if "_seconds" in query] == [3, 2, 1, 1, 1, 2]
    assert (counted["state=all&skill=core"], counted["state=all&skill=access"]) == (4, 4), "an old word counts with its new one"
    for query, n in behind:
        found = await _read(office, f"/v1/queue?{query}&limit=200")
        assert (found["total"], len(found["cases"])) == (n, n), query


async def test_a_case_leaves_the_younger_at_the_very_second_at_which_it_joins_the_older(office: Office) -> None:
    """To the second by the database's own clock, which runs on between two questions: so the older are asked last."""
    (case,) = await waiting.cases(office.pool, office.id)
    await _age(office, case, 300)
    assert (await _read(office, "/v1/queue?younger_seconds=300"))["total"] == 0
    assert (await _read(office, "/v1/queue?older_seconds=300"))["total"] == 1
    steps = {one["up_to_seconds"]: one["cases"] for one in (await _read(office, "/v1/board"))["backlog_by_age"]}
    assert (steps[300], steps[900]) == (0, 1)


@pytest.mark.parametrize("query", ["older_seconds=-1", "younger_seconds=soon", "older_seconds=99999999999"])
async def test_an_age_that_is_none_is_refused(office: Office, query: str) -> None:
    async with browsing(office.app, page=None) as http:
        answer: httpx.Response = await http.get(f"/v1/queue?{query}", headers={"Authorization": f"Bearer {office.tokens['Leo']}"})
    assert answer.status_code == 400
