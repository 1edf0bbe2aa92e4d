"""A case is put aside for a customer who has been answered, and is back before the doors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from service.store.claims import ClaimStore
from service.store.flow import FlowStore
from service.store.pool import Pool
from tests.desk import waiting
from tests.desk.acting import at_desk, code_of
from tests.promises.house import House

_SHOW: Final = """
INSERT INTO show (platform_id, id, ref, version, name, zone, starts_at, ends_at, status, settings)
VALUES ($1, gen_random_uuid(), 'doors', 1, '{}', 'UTC', app_now() + $2, app_now() + $2 + interval '2 hours', $3, '{}') RETURNING id
"""


async def test_a_customer_who_waits_for_words_is_not_waited_for(house: House) -> None:
    at = await at_desk(house, message="urgent: doors in three hours")
    path, aside = f"/v1/cases/{at.case}/park", {"for": "customer", "seconds": 604_800, "reason": "later"}
    refused = await house.post(path, aside, token=at.agent)
    assert (refused.status_code, code_of(refused), refused.json()["title"]) == (409, "unanswered", "Answer first")
    row = await house.case_row(at.case)
    assert (row["owner"], row["unanswered_at"] is not None) == ("agent", True)
    said = await house.post(f"/v1/cases/{at.case}/replies", {"body": "Which charge do you mean?"}, token=at.agent)
    assert said.is_success, said.text
    assert (await house.post(path, aside, token=at.agent)).status_code == 200


async def test_on_hold_the_promise_of_an_answer_runs_on(house: House) -> None:
    at = await at_desk(house, message="urgent: doors in three hours")
    aside = {"for": "hold", "seconds": 600, "reason": "the shop answers at ten"}
    assert (await house.post(f"/v1/cases/{at.case}/park", aside, token=at.agent)).status_code == 200
    clocks = await house.rows(
        "SELECT due_at FROM sla_clock WHERE case_id = $1 AND kind = 'next_answer' AND ended_at IS NULL",
        (await house.case_row(at.case))["id"],
    )
    assert [row["due_at"] is not None for row in clocks] == [True]


@pytest.mark.parametrize(
    ("starts_in", "status", "asked", "back_in"),
    [
        (timedelta(hours=3), "scheduled", 604_800, 9_000),
        (timedelta(hours=3), "scheduled", 600, 600),
        (timedelta(minutes=20), "scheduled", 604_800, 60),
        (timedelta(hours=-1), "scheduled", 7_200, 7_200),
        (timedelta(hours=3), "cancelled", 604_800, 604_800),
    ],
)
@pytest.mark.parametrize("waits_for", ["customer", "hold"])
async def test_what_is_put_aside_is_back_half_an_hour_before_the_doors(
    still_pool: Pool, *, waits_for: str, starts_in: timedelta, status: str, asked: int, back_in: int
) -> None:
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at)
    show = await still_pool.fetchval(_SHOW, at, starts_in, status)
    await still_pool.execute("UPDATE cases SET show_id = $2 WHERE id = $1", case, show)
    mira, store = await waiting.agent(still_pool, at), ClaimStore(still_pool)
    await store.take(mira, case, 600)
    assert await store.park(mira, case, waits_for=waits_for, seconds=asked, reason="asked for the reference") == "parked"
    row: Any = await still_pool.fetchrow("SELECT due_at, wait_until, due_at - app_now() AS back_in FROM cases WHERE id = $1", case)
    assert row["due_at"] == row["wait_until"]
    assert row["back_in"].total_seconds() == back_in
    await still_pool.execute("UPDATE app_clock SET ahead = ahead + $1", timedelta(seconds=back_in + 1))
    await FlowStore(still_pool).claim_cases(64, 15.0)
    assert await still_pool.fetchval("SELECT owner FROM cases WHERE id = $1", case) in {"queue", "agent"}
