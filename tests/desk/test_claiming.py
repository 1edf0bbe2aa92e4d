"""Taking from the queue, many at once: the best case, once, within everybody's capacity; what nobody keeps comes back to its place."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest

from service.callers import Caller
from service.store.claims import ClaimStore
from service.store.flow import FlowStore
from service.store.pool import Pool
from tests.desk import waiting
from tests.promises.house import FULL

AGENTS, CASES = (200, 5_000) if FULL else (40, 500)
SKILLS: Final = ("core", "payments", "access", "merchandise")
# An agent of the crowd goes on until nobody of all could take more; nobody takes more often than this.
ROUNDS_MAX: Final = 20_000


async def _leases_end(pool: Pool, at: UUID, count: int) -> None:
    """Now, whenever they would have; before all that other tests have left."""
    await pool.execute("UPDATE cases SET due_at = app_now() - interval '1 day' WHERE platform_id = $1 AND owner IN ('agent', 'timer')", at)
    for _ in range(count):
        await FlowStore(pool).claim_cases(64, 15.0)


async def test_the_earliest_deadline_is_first_whatever_came_when(pool: Pool) -> None:
    at = await waiting.platform(pool)
    late, soon, middle = await waiting.cases(pool, at, 3)
    for case, seconds in ((late, 900.0), (soon, 10.0), (middle, 300.0)):
        await waiting.place(pool, case, seconds)
    mira = await waiting.agent(pool, at)
    store = ClaimStore(pool)
    assert [(await store.take(mira, None, 90)).case for _ in range(3)] == [soon, middle, late]
    assert (await store.take(mira, None, 90)).status == "nothing_to_take"


async def test_an_agent_gets_what_they_can_do_and_speak(pool: Pool) -> None:
    at = await waiting.platform(pool)
    [money] = await waiting.cases(pool, at, skill="payments")
    [german] = await waiting.cases(pool, at, locale="de-AT")
    [english] = await waiting.cases(pool, at)
    store = ClaimStore(pool)
    talks = await waiting.agent(pool, at, skills=("core",), languages=("en",))
    assert (await store.take(talks, None, 90)).case == english
    assert (await store.take(talks, None, 90)).status == "nothing_to_take"
    assert (await store.take(await waiting.agent(pool, at, languages=("en", "de")), None, 90)).case == german
    assert (await store.take(await waiting.agent(pool, at, skills=("payments",)), None, 90)).case == money


async def test_what_should_have_been_looked_at_waits_no_longer_for_somebody_who_speaks_it(pool: Pool) -> None:
    at = await waiting.platform(pool)
    [french] = await waiting.cases(pool, at, locale="fr")
    mira, store = await waiting.agent(pool, at, languages=("en",)), ClaimStore(pool)
    assert (await store.take(mira, None, 90)).case is None
    await waiting.place(pool, french, -1.0)
    assert (await store.take(mira, None, 90)).case == french


@pytest.mark.parametrize(("skill", "has"), [("support", "core"), ("core", "support"), ("playback", "access"), ("access", "playback")])
async def test_old_and_new_words_are_one_skill(pool: Pool, skill: str, has: str) -> None:
    at = await waiting.platform(pool)
    [case] = await waiting.cases(pool, at, skill=skill)
    assert (await ClaimStore(pool).take(await waiting.agent(pool, at, skills=(has,)), None, 90)).case == case


async def test_a_lead_takes_what_was_escalated(pool: Pool) -> None:
    at = await waiting.platform(pool)
    [case] = await waiting.cases(pool, at, skill="escalation")
    store = ClaimStore(pool)
    assert (await store.take(await waiting.agent(pool, at), None, 90)).case is None
    assert (await store.take(await waiting.agent(pool, at, role="lead"), None, 90)).case == case


async def test_a_named_case_is_given_whatever_it_needs_but_to_one_alone(pool: Pool) -> None:
    at = await waiting.platform(pool)
    [case] = await waiting.cases(pool, at, skill="trust", locale="fr")
    one, other = await waiting.agent(pool, at, languages=("en",)), await waiting.agent(pool, at)
    store = ClaimStore(pool)
    answers = await asyncio.gather(store.take(one, case, 90), store.take(other, case, 90))
    assert sorted(answer.status for answer in answers) == ["nothing_to_take", "taken"]


async def test_capacity_holds_when_one_agent_asks_twenty_times_at_once(pool: Pool) -> None:
    at = await waiting.platform(pool)
    named = await waiting.cases(pool, at, 30)
    mira, store = await waiting.agent(pool, at, capacity=3), ClaimStore(pool)
    answers = await asyncio.gather(*(store.take(mira, None if n % 2 else named[n], 90) for n in range(20)))
    said = [answer.status for answer in answers]
    # A named case may have been the best one, and be taken already: who has it is told so again.
    assert len({answer.case for answer in answers if answer.status == "taken"}) == 3, said
    assert set(said) <= {"taken", "at_capacity", "nothing_to_take"}
    assert await pool.fetchval("SELECT count(*) FROM cases WHERE agent_id = $1", mira.agent_id) == 3
    kept = next(answer.case for answer in answers if answer.case is not None)
    assert (await store.take(mira, kept, 90)).status == "taken", "who has it keeps it, however much they have"


async def test_a_case_given_to_somebody_at_the_same_time_counts(pool: Pool) -> None:
    """Two colleagues give theirs to the same agent, who takes one meanwhile: one hand is free, one of the three is there."""
    at = await waiting.platform(pool)
    store = ClaimStore(pool)
    mira = await waiting.agent(pool, at, capacity=1)
    givers = [await waiting.agent(pool, at) for _ in range(2)]
    await waiting.cases(pool, at, 3)
    held = [(giver, (await store.take(giver, None, 90)).case) for giver in givers]
    given = [store.give(giver, case, skill=None, agent=mira.agent_id, reason="you know it") for giver, case in held if case]
    said = await asyncio.gather(store.take(mira, None, 90), *given)
    assert await pool.fetchval("SELECT count(*) FROM cases WHERE agent_id = $1", mira.agent_id) == 1, said


async def test_an_agent_who_vanishes_gives_the_case_back_to_its_place(pool: Pool) -> None:
    at = await waiting.platform(pool)
    first, second = await waiting.cases(pool, at, 2)
    await waiting.place(pool, first, 60.0)
    await waiting.place(pool, second, 120.0)
    before = await pool.fetchval("SELECT look_by FROM cases WHERE id = $1", first)
    store = ClaimStore(pool)
    taken = await store.take(await waiting.agent(pool, at), None, 90)
    assert taken.case == first
    await _leases_end(pool, at, 1)
    row = await pool.fetchrow("SELECT owner, agent_id, look_by FROM cases WHERE id = $1", first)
    assert row is not None
    assert (row["owner"], row["agent_id"], row["look_by"]) == ("queue", None, before)
    assert await waiting.kinds(pool, first) == ["taken", "claim_ended"]
    assert (await store.take(await waiting.agent(pool, at), None, 90)).case == first


async def test_a_kept_case_stays_and_another_agent_cannot_keep_it(pool: Pool) -> None:
    at = await waiting.platform(pool)
    [case] = await waiting.cases(pool, at)
    mira, jonas, store = await waiting.agent(pool, at), await waiting.agent(pool, at), ClaimStore(pool)
    await store.take(mira, None, 30)
    assert await store.keep(jonas, case, 90) is None
    now = await pool.fetchval("SELECT app_now()")
    until = await store.keep(mira, case, 90)
    assert until is not None
    assert until == await pool.fetchval("SELECT due_at FROM cases WHERE id = $1", case)
    assert until - now >= timedelta(seconds=90)


async def test_what_is_put_aside_comes_back_to_who_had_it_and_else_to_the_queue(pool: Pool) -> None:
    at = await waiting.platform(pool)
    store = ClaimStore(pool)
    there, gone, full = [await waiting.agent(pool, at, capacity=1) for _ in range(3)]
    await waiting.cases(pool, at, 3)
    held: dict[UUID, UUID] = {}
    for one in (there, gone, full):
        taken = await store.take(one, None, 90)
        assert taken.case is not None
        assert one.agent_id is not None
        assert await store.park(one, taken.case, waits_for="hold", seconds=600, reason="the shop answers at ten")
        held[one.agent_id] = taken.case
    await waiting.cases(pool, at, 1)
    assert (await store.take(full, None, 600)).status == "taken"
    # Who was there a minute ago is there, however long it took to get here.
    seen = "app_now() - CASE WHEN id = $2 THEN interval '2 minutes' ELSE interval '0' END"
    await pool.execute(f"UPDATE agent SET seen_at = {seen} WHERE platform_id = $1", at, gone.agent_id)
    await pool.execute("UPDATE cases SET due_at = app_now() - interval '1 day' WHERE owner = 'timer' AND platform_id = $1", at)
    await FlowStore(pool).claim_cases(64, 15.0)
    owners = {
        row["id"]: (row["owner"], row["agent_id"])
        for row in await pool.fetch("SELECT id, owner, agent_id FROM cases WHERE id = ANY ($1)", list(held.values()))
    }
    ids = [one.agent_id for one in (there, gone, full)]
    assert [owners[held[one]] for one in ids if one] == [("agent", there.agent_id), ("queue", None), ("queue", None)]
    late = await pool.fetchval("SELECT count(*) FROM cases WHERE id = $1 AND look_by <= app_now()", held[gone.agent_id])  # type: ignore[index]
    assert late == 1, "it has waited for long enough"


async def test_what_was_put_aside_can_be_taken_again_by_anybody_with_a_hand_free(pool: Pool) -> None:
    at = await waiting.platform(pool)
    [case] = await waiting.cases(pool, at)
    mira, jonas, store = await waiting.agent(pool, at), await waiting.agent(pool, at, capacity=1), ClaimStore(pool)
    await store.take(mira, case, 90)
    assert await store.unpark(jonas, case, 90) == "not_parked"
    await store.park(mira, case, waits_for="customer", seconds=600, reason="asked for the reference")
    assert await store.unpark(jonas, case, 90) == "taken"
    assert await pool.fetchval("SELECT agent_id FROM cases WHERE id = $1", case) == jonas.agent_id
    assert await waiting.kinds(pool, case) == ["taken", "parked", "unparked"]


async def test_the_next_case_is_found_by_the_index_alone(fresh_pool: Pool) -> None:
    at = await waiting.platform(fresh_pool)
    for _ in range(10):  # no statement may take 20 s, on a loaded machine either
        await waiting.cases(fresh_pool, at, 500)
    await fresh_pool.execute("UPDATE cases SET owner = 'operation' WHERE id IN (SELECT id FROM cases LIMIT 2000)", timeout=120)
    await fresh_pool.execute("ANALYZE cases")
    body = await fresh_pool.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'case_best'")
    values = {"p_platform": f"'{at}'::uuid", "p_skills": "'{core,payments}'::text[]", "p_languages": "'{en}'::text[]", "p_now": "now()"}
    query = re.sub("|".join(values), lambda found: values[found[0]], body)
    async with fresh_pool.acquire() as connection:
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF) {query}"))
    assert "Index Scan using cases_next on cases" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan
    assert re.search(r"Index Scan using cases_next.*rows=1\b", plan), plan


class _Crowd:
    """So many agents at one queue: each takes, and ends, gives back, puts aside or vanishes, until all is done."""

    def __init__(self, pool: Pool, at: UUID) -> None:
        self.pool = pool
        self.at = at
        self.store = ClaimStore(pool)
        self.holds: dict[UUID, str] = {}
        self.twice: list[UUID] = []
        self.done: set[UUID] = set()
        self.left_behind = 0

    async def works(self, caller: Caller, chance: random.Random) -> None:
        for _ in range(ROUNDS_MAX):
            taken = await self.store.take(caller, None, 600)
            if taken.case is None:
                return
            if taken.case in self.holds:
                self.twice.append(taken.case)
            self.holds[taken.case] = caller.name
            await self._deals_with(caller, taken.case, chance.random())

    async def _deals_with(self, caller: Caller, case: UUID, drawn: float) -> None:
        assert await self.store.keep(caller, case, 600) is not None, "somebody else has it"
        del self.holds[case]
        if drawn < 0.05:
            await self.store.give(caller, case, skill="core", agent=None, reason="not mine after all")
        elif drawn < 0.1 and self.left_behind < AGENTS:
            self.left_behind += 1  # its lease ends by itself
        else:
            await waiting.end(self.pool, case)
            self.done.add(case)


async def test_a_crowd_at_one_queue_gets_every_case_once_and_leaves_none(fresh_pool: Pool) -> None:
    at = await waiting.platform(fresh_pool)
    for skill in SKILLS:
        await waiting.cases(fresh_pool, at, CASES // len(SKILLS), skill=skill)
    crowd, chance = _Crowd(fresh_pool, at), random.Random(7)  # noqa: S311 - the same each time
    agents = [await waiting.agent(fresh_pool, at, skills=("core", SKILLS[n % len(SKILLS)]), capacity=100) for n in range(AGENTS)]
    for _ in range(10):
        await asyncio.gather(*(crowd.works(one, random.Random(chance.random())) for one in agents))  # noqa: S311
        crowd.left_behind = AGENTS
        if len(crowd.done) == CASES:
            break
        await _leases_end(fresh_pool, at, 1 + AGENTS // 64)
    assert crowd.twice == []
    assert len(crowd.done) == CASES
    assert await fresh_pool.fetchval("SELECT count(*) FROM cases WHERE state = 'open'") == 0
    counted = await fresh_pool.fetchrow(
        """
        SELECT count(*) FILTER (WHERE kind = 'taken') AS taken, count(*) FILTER (WHERE kind IN ('given_back', 'claim_ended')) AS back
        FROM timeline
        """
    )
    assert counted is not None
    assert counted["taken"] == CASES + counted["back"], "each taking but the last was followed by a coming back"
    assert counted["back"] > 0
