"""Promises of time: they run while the desk is open, stand while somebody else is asked, warn before they break, and then go further."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import bundled_folder, load_guards, load_playbooks, load_routing
from service.desk_loop import DeskLoop
from service.model import new_id
from service.routing import Router
from service.store.claims import ClaimStore
from service.store.flow import FlowStore
from service.store.pool import Pool
from service.store.routing import RoutingStore
from service.watch import Watch
from tests.desk import waiting
from tests.promises.house import FULL

CASES: Final = 5_000 if FULL else 400
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")


async def _tell(_: object) -> None:
    return None


def _loop(pool: Pool) -> DeskLoop:
    def text(name: str) -> str:
        return (bundled_folder() / name).read_text(encoding="utf-8")

    store = RoutingStore(pool)
    router = Router(store, load_routing(text("routing.yaml")), load_playbooks(text("playbooks.yaml")), load_guards(text("guards.yaml")))
    return DeskLoop(store, router, Watch(_tell))


async def _later(pool: Pool, seconds: float) -> None:
    await pool.execute("UPDATE app_clock SET ahead = ahead + make_interval(secs => $1)", seconds)


async def _clocks(pool: Pool, case: UUID, kind: str | None = None) -> list[dict[str, Any]]:
    rows = await pool.fetch(
        """
        SELECT *, extract(epoch FROM coalesce(due_at, app_now()) - app_now())::float + coalesce(left_seconds, 0) AS remains
        FROM sla_clock WHERE case_id = $1 AND ($2::text IS NULL OR kind = $2) ORDER BY kind, seq
        """,
        case,
        kind,
    )
    return [dict(row) for row in rows]


async def _says(pool: Pool, at: UUID, case: UUID, kind: str) -> None:
    await pool.execute(
        "INSERT INTO message (platform_id, id, case_id, kind, author, body, created_at) VALUES ($1, $2, $3, $4, 'x', 'words', app_now())",
        at,
        new_id(),
        case,
        kind,
    )


# ------------------------------------------------------------------------------------------------------------------ desk hours


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    days: tuple[str, ...]
    opens: int
    closes: int
    zone: str

    def document(self) -> str:
        def clock(minutes: int) -> str:
            return f"{minutes // 60:02}:{minutes % 60:02}"

        return msgspec.json.encode(
            {"days": self.days, "opens": clock(self.opens), "closes": clock(self.closes), "zone": self.zone}
        ).decode()

    def is_open(self, at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(self.zone))
        minutes = local.hour * 60 + local.minute
        return _DAYS[local.weekday()] in self.days and self.opens <= minutes < (1440 if self.closes == 1439 else self.closes)


# At least an hour a week, so that what is counted here fits into a year.
@st.composite
def hours(draw: st.DrawFn) -> Hours:
    opens = draw(st.integers(0, 1379))
    return Hours(
        days=tuple(draw(st.sets(st.sampled_from(_DAYS), min_size=1))),
        opens=opens,
        closes=draw(st.integers(opens + 60, 1439)),
        zone=draw(st.sampled_from(ZONES)),
    )


MOMENTS: Final = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - it gets its zone beside
SECONDS: Final = st.integers(0, 40_000)


@given(one=hours(), since=MOMENTS, first=SECONDS, second=SECONDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_seconds_of_the_desk_add_up_and_are_counted_as_they_were_added(
    pool: Pool, one: Hours, since: datetime, first: int, second: int
) -> None:
    """Also over the nights in which clocks are put forward or back."""
    row = await pool.fetchrow(
        """
        SELECT desk_add(h, $2, $3::float + $4::float) AS at_once, desk_add(h, desk_add(h, $2, $3), $4) AS in_two,
            desk_seconds(h, $2, desk_add(h, $2, $3)) AS counted, desk_add(h, $2, $3) AS ends
        FROM (SELECT $1::text::jsonb AS h) AS hours
        """,
        one.document(),
        since,
        float(first),
        float(second),
    )
    assert row is not None
    assert row["at_once"] == row["in_two"]
    assert abs(row["counted"] - first) < 0.001
    assert row["ends"] >= since
    if first > 0:
        assert one.is_open(row["ends"] - timedelta(seconds=0.5)), "it ends while people are there"


@given(one=hours(), since=MOMENTS, minutes=st.integers(1, 3000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_seconds_of_the_desk_are_those_that_a_minute_by_minute_count_finds(
    pool: Pool, one: Hours, since: datetime, minutes: int
) -> None:
    since = since.replace(second=0, microsecond=0)
    until = since + timedelta(minutes=minutes)
    counted = await pool.fetchval("SELECT desk_seconds($1::text::jsonb, $2, $3)", one.document(), since, until)
    assert counted == 60 * sum(one.is_open(since + timedelta(minutes=n)) for n in range(minutes))


async def test_a_desk_that_is_always_there_counts_by_the_clock_on_the_wall(pool: Pool) -> None:
    for document in (
        "{}",
        '{"desk_hours": {"opens": "00:00", "closes": "23:59", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}}',
    ):
        assert await pool.fetchval("SELECT desk_hours($1)", await waiting.platform(pool, document)) is None


# ---------------------------------------------------------------------------------------------------------- starting and stopping


async def test_taking_acknowledges_a_reply_answers_and_the_end_resolves(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at)
    mira = await waiting.agent(still_pool, at)
    assert [clock["kind"] for clock in await _clocks(still_pool, case)] == ["acknowledge", "resolve"]
    await ClaimStore(still_pool).take(mira, case, 90)
    [acknowledged] = await _clocks(still_pool, case, "acknowledge")
    assert acknowledged["met"] is True
    await _says(still_pool, at, case, "customer")
    [asked] = await _clocks(still_pool, case, "next_answer")
    assert asked["ended_at"] is None
    await _says(still_pool, at, case, "customer")
    assert len(await _clocks(still_pool, case, "next_answer")) == 1, "further words are answered with the first"
    await _says(still_pool, at, case, "note")
    assert (await _clocks(still_pool, case, "next_answer"))[0]["ended_at"] is None, "a note is no answer"
    await _says(still_pool, at, case, "reply")
    assert (await _clocks(still_pool, case, "next_answer"))[0]["met"] is True
    await waiting.end(still_pool, case)
    assert [clock["met"] for clock in await _clocks(still_pool, case)] == [True, True, True]


async def test_a_reply_acknowledges_a_case_that_nobody_has_taken(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at)
    await _says(still_pool, at, case, "reply")
    assert (await _clocks(still_pool, case, "acknowledge"))[0]["met"] is True


async def test_a_lease_that_ends_does_not_promise_anew(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at)
    await ClaimStore(still_pool).take(await waiting.agent(still_pool, at), case, 30)
    await _later(still_pool, 31)
    await FlowStore(still_pool).claim_cases(64, 15.0)
    assert await waiting.kinds(still_pool, case) == ["taken", "claim_ended"]
    assert [(clock["kind"], clock["seq"]) for clock in await _clocks(still_pool, case)] == [("acknowledge", 1), ("resolve", 1)]


async def test_a_case_that_never_comes_to_people_has_no_clock(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at)
    await still_pool.execute("DELETE FROM sla_clock")
    await still_pool.execute("UPDATE cases SET owner = 'process', queued_at = NULL WHERE id = $1", case)
    await _says(still_pool, at, case, "customer")
    await waiting.end(still_pool, case)
    assert await _clocks(still_pool, case) == []


PAUSES: Final = st.lists(st.tuples(st.sampled_from(["customer", "hold", "referral", "runs"]), st.integers(1, 2_000)), max_size=8)


@given(stretches=PAUSES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_what_passes_while_the_customer_or_another_team_is_asked_is_not_counted(
    still_pool: Pool, stretches: Sequence[tuple[str, int]]
) -> None:
    """Whatever is done in whatever order: what remains is the target less the time in which the desk could do something."""
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at)
    mira, store = await waiting.agent(still_pool, at, capacity=100), ClaimStore(still_pool)
    await store.take(mira, case, 600)
    spent, idle = 0.0, 0.0
    for what, seconds in stretches:
        if what != "runs":
            await still_pool.execute(
                "UPDATE cases SET owner = 'timer', agent_id = NULL, wait_for = $2, due_at = app_now() + interval '1 day' WHERE id = $1",
                case,
                what,
            )
        await _later(still_pool, seconds)
        spent += seconds
        idle += seconds if what in {"customer", "referral"} else 0
        if what != "runs":
            await still_pool.execute(
                "UPDATE cases SET owner = 'agent', agent_id = $2, wait_for = NULL, due_at = app_now() + interval '1 day' WHERE id = $1",
                case,
                mira.agent_id,
            )
    [clock] = await _clocks(still_pool, case, "resolve")
    assert clock["remains"] == pytest.approx(clock["target_seconds"] - (spent - idle))
    assert clock["next_at"] is not None


async def test_an_end_while_it_is_paused_keeps_the_promise(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at)
    mira, store = await waiting.agent(still_pool, at), ClaimStore(still_pool)
    await store.take(mira, case, 600)
    await store.park(mira, case, waits_for="customer", seconds=604_800, reason="asked for the reference")
    [paused] = await _clocks(still_pool, case, "resolve")
    assert (paused["paused_for"], paused["due_at"], paused["next_at"]) == ("customer", None, None)
    await _later(still_pool, 500_000)
    await waiting.end(still_pool, case)
    assert (await _clocks(still_pool, case, "resolve"))[0]["met"] is True


# --------------------------------------------------------------------------------------------------------- warning and escalating


async def test_a_promise_warns_once_before_it_is_broken_and_then_goes_further_by_the_playbook(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    await waiting.agent(still_pool, at)
    await waiting.agent(still_pool, at, role="lead")
    [case] = await waiting.cases(still_pool, at, skill="support")
    loop = _loop(still_pool)
    await loop.once()
    [clock] = await _clocks(still_pool, case, "acknowledge")
    await _later(still_pool, clock["target_seconds"] - clock["warn_seconds"] + 1)
    await loop.once()
    await loop.once()
    assert await waiting.kinds(still_pool, case) == ["sla_warned"]
    await _later(still_pool, clock["warn_seconds"])
    await loop.once()
    await loop.once()
    assert await waiting.kinds(still_pool, case) == ["sla_warned", "sla_breached", "escalated"]
    row = await still_pool.fetchrow("SELECT skill, look_by <= app_now() AS at_once, owner FROM cases WHERE id = $1", case)
    assert row is not None
    assert (row["skill"], row["at_once"], row["owner"]) == ("escalation", True, "queue"), "the next of its chain, now, and never nobody's"
    first, second = await _clocks(still_pool, case, "acknowledge")
    assert (first["met"], second["ended_at"]) == (False, None), "whom it goes to has the same time"


async def test_it_never_goes_to_a_skill_that_nobody_has(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    await waiting.agent(still_pool, at, skills=("core",))
    [case] = await waiting.cases(still_pool, at)
    loop = _loop(still_pool)
    await loop.once()
    await _later(still_pool, 4 * 86_400)
    await loop.once()
    assert await still_pool.fetchval("SELECT skill FROM cases WHERE id = $1", case) == "core"
    assert await waiting.kinds(still_pool, case) == ["sla_warned", "sla_breached"] * 2, "both clocks, each with its warning"


async def test_who_has_taken_a_case_keeps_it_when_a_promise_is_broken(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    mira = await waiting.agent(still_pool, at)
    [case] = await waiting.cases(still_pool, at)
    await ClaimStore(still_pool).take(mira, case, 600)
    await _says(still_pool, at, case, "customer")
    await _later(still_pool, 400_000)
    await RoutingStore(still_pool).look_at_clocks(100)
    row = await still_pool.fetchrow("SELECT agent_id, look_by <= app_now() AS first FROM cases WHERE id = $1", case)
    assert row is not None
    assert (row["agent_id"], row["first"]) == (mira.agent_id, True)
    assert (await waiting.kinds(still_pool, case)).count("sla_breached") == 2


async def test_routing_replaces_a_provisional_promise_and_tightens_none_that_was_given(still_pool: Pool) -> None:
    at = await waiting.platform(still_pool)
    [case] = await waiting.cases(still_pool, at, priority=4)
    assert (await _clocks(still_pool, case, "acknowledge"))[0]["target_seconds"] == 3_600
    loop = _loop(still_pool)
    await loop.once()
    [clock] = await _clocks(still_pool, case, "acknowledge")
    assert clock["target_seconds"] == 7_200
    assert clock["remains"] == pytest.approx(7_200)
    await still_pool.execute("UPDATE cases SET priority = 1 WHERE id = $1", case)
    await _later(still_pool, 200)
    await loop.once()
    assert await still_pool.fetchval("SELECT route->>'rule' FROM cases WHERE id = $1", case) == "pressing-now"
    assert (await _clocks(still_pool, case, "acknowledge"))[0]["target_seconds"] == 7_200


async def test_every_warning_is_given_once_however_many_look(still_pool: Pool) -> None:
    """Thousands at once, several processes, and people at work meanwhile."""
    at = await waiting.platform(still_pool)
    ids = await waiting.cases(still_pool, at, CASES)
    mira, claims = await waiting.agent(still_pool, at, capacity=100), ClaimStore(still_pool)
    await _later(still_pool, 700)
    store = RoutingStore(still_pool)

    async def looks() -> None:
        for _ in range(CASES):
            if not await store.look_at_clocks(100) and not await _due(still_pool):
                return

    async def works() -> None:
        for case in ids[:50]:
            await claims.take(mira, case, 90)

    await asyncio.gather(looks(), looks(), looks(), works())
    rows = await still_pool.fetch(
        """
        SELECT k.case_id, k.warned_at IS NOT NULL AS warned, k.ended_at IS NOT NULL AS ended, (SELECT count(*) FROM timeline t
            WHERE t.case_id = k.case_id AND t.kind = 'sla_warned' AND t.data->>'clock' = 'acknowledge') AS told
        FROM sla_clock k WHERE k.kind = 'acknowledge'
        """
    )
    assert len(rows) == CASES
    assert [row["case_id"] for row in rows if not row["warned"] and not row["ended"]] == [], "who was taken first needs no warning"
    assert {row["told"] for row in rows if row["warned"]} == {1}
    assert {row["told"] for row in rows if not row["warned"]} <= {0}


async def _due(pool: Pool) -> int:
    found: int = await pool.fetchval("SELECT count(*) FROM sla_clock WHERE next_at <= app_now()")
    return found
