"""How soon an agent has the next case, and how soon a promise warns, with 200 agents and 5,000 cases that wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import perf_counter
from typing import Final

import msgspec

from service.keys import Keys
from service.store.keys import Change, KeyStore
from tests.bench import cpu
from tests.bench.client import Ask, Connection, connections
from tests.bench.ground import Ground, line, serving
from tests.desk import waiting

AGENTS: Final = 200
CASES: Final = 5_000
# Who has a case for some minutes asks for the next one then: 200 agents about once a second. Here it is twenty times as often, so that it
# is not three of them that decide.
_TAKES: Final = 600
_TAKES_PER_SECOND: Final = 20.0
_CONNECTIONS: Final = 50
_NEXT_MS_MAX: Final = 50.0
_WARNING_SECONDS_MAX: Final = 2.0
# Warnings are spread over the same time in which agents take.
_SPREAD_SECONDS: Final = 25.0
# Only ends a wait for what never comes.
_PATIENCE_SECONDS: Final = 120.0
_SKILLS: Final = ("support", "payments", "playback", "merchandise", "trust")
_LANGUAGES: Final = ("en", "de")
_CHANGE: Final = Change(actor="bench", why="agents of the measurement")

# Each is to warn at a moment of its own.
_SPREAD: Final = """
UPDATE sla_clock SET due_at = planned.at + make_interval(secs => warn_seconds), next_at = planned.at
FROM (SELECT platform_id, case_id, seq, app_now() + make_interval(secs => 2 + random() * $1) AS at
      FROM sla_clock WHERE kind = 'acknowledge') planned
WHERE sla_clock.platform_id = planned.platform_id AND sla_clock.case_id = planned.case_id AND sla_clock.seq = planned.seq
  AND kind = 'acknowledge' AND ended_at IS NULL
"""
_WARNINGS: Final = """
SELECT count(*) FILTER (WHERE warned_at IS NOT NULL) AS given, count(*) FILTER (WHERE warned_at IS NULL AND ended_at IS NULL
        AND due_at - make_interval(secs => warn_seconds) < app_now() - interval '10 seconds') AS missing,
    percentile_disc(0.99) WITHIN GROUP (ORDER BY late) FILTER (WHERE warned_at IS NOT NULL) AS p99,
    max(late) FILTER (WHERE warned_at IS NOT NULL) AS worst
FROM (SELECT *, extract(epoch FROM warned_at - (due_at - make_interval(secs => warn_seconds)))::float AS late FROM sla_clock
      WHERE kind = 'acknowledge') AS clock
"""


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's next case: from the moment they ask for it, and what neighbours took of the machine until they had it."""

    seconds: float
    stolen_seconds: float


async def measure(at: Ground) -> AsyncIterator[str]:
    tokens = await _agents(at)
    for number, skill in enumerate(_SKILLS):
        await waiting.cases(at.pool, at.platform, CASES // len(_SKILLS), skill=skill, locale=_LANGUAGES[number % 2])
    async with serving(at) as server:
        began = perf_counter()
        await _until(at, "SELECT count(*) = 0 FROM cases WHERE owner = 'queue' AND routed_at IS NULL")
        yield line("places_given", round(CASES / (perf_counter() - began)), "cases/s", cases=CASES)
        # In no order of skills, as customers come.
        await at.pool.execute("UPDATE cases SET look_by = look_by + make_interval(secs => 60 * random()) WHERE owner = 'queue'")
        # As autovacuum does within a minute: without figures the planner compares every clock with every other.
        await at.pool.execute("ANALYZE sla_clock")
        await at.pool.execute(_SPREAD, _SPREAD_SECONDS)
        began, stolen = perf_counter(), cpu.stolen_seconds()
        took = await _taken(server.port, tokens)
        stolen = (cpu.stolen_seconds() - stolen) / (perf_counter() - began)
        await asyncio.sleep(max(0.0, _SPREAD_SECONDS + 10.0 - _TAKES / _TAKES_PER_SECOND))
        yield _next(took, stolen, await at.pool.fetchval("SELECT count(*) FROM timeline WHERE kind = 'taken'"))
        yield await _warned(at)


def _next(took: Sequence[Took], stolen: float, taken: int) -> str:
    """The limit is for all of them; beside it what those took during which the machine was ours."""
    ordered = sorted(one.seconds for one in took)
    ours = sorted(one.seconds for one in took if one.stolen_seconds == 0)
    return line(
        "desk_next_p99",
        _p99_ms(ordered),
        "ms",
        limit=_NEXT_MS_MAX,
        holds=_p99_ms(ordered) <= _NEXT_MS_MAX and taken == len(took),
        median=round(1_000 * ordered[len(ordered) // 2], 1),
        worst=round(1_000 * ordered[-1], 1),
        agents=AGENTS,
        waiting=CASES,
        takes=len(ordered),
        per_second=_TAKES_PER_SECOND,
        stolen_cpu_percent=round(100 * stolen),
        undisturbed=len(ours),
        undisturbed_p99=_p99_ms(ours) if ours else None,
    )


def _p99_ms(ordered: Sequence[float]) -> float:
    return round(1_000 * ordered[max(0, int(len(ordered) * 0.99) - 1)], 1)


async def _warned(at: Ground) -> str:
    row = await at.pool.fetchrow(_WARNINGS)
    assert row is not None
    return line(
        "desk_warning_late_p99",
        round(row["p99"], 2),
        "s",
        limit=_WARNING_SECONDS_MAX,
        holds=row["worst"] <= _WARNING_SECONDS_MAX and row["missing"] == 0,
        worst=round(row["worst"], 2),
        given=row["given"],
        missing=row["missing"],
    )


async def _agents(at: Ground) -> list[str]:
    keys, made = Keys(KeyStore(at.pool)), list[str]()
    for number in range(AGENTS):
        skills = ("support", _SKILLS[number % len(_SKILLS)])
        key = await keys.make_agent_key(at.platform, name=f"agent-{number}", role="agent", skills=skills, scopes=(), days=1, change=_CHANGE)
        made.append(key.token)
    await at.pool.execute("UPDATE agent SET capacity = 100, languages = CASE WHEN name LIKE '%5' THEN '{en}'::text[] ELSE '{}' END")
    return made


async def _taken(port: int, tokens: Sequence[str]) -> list[Took]:
    """Each asks at its time, whether or not those before have their answer."""
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()

    async def one(number: int) -> Took:
        await asyncio.sleep(number / _TAKES_PER_SECOND)
        stolen, began = cpu.stolen_seconds(), perf_counter()
        connection = await free.get()
        answer = await connection.send(Ask(path="/v1/queue/take", token=tokens[number % len(tokens)], body={}))
        took = perf_counter() - began
        free.put_nowait(connection)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {answer.body.decode()}")
        return Took(seconds=took, stolen_seconds=cpu.stolen_seconds() - stolen)

    async with connections(port, _CONNECTIONS) as opened:
        for each in opened:
            free.put_nowait(each)
        return list(await asyncio.gather(*(one(number) for number in range(_TAKES))))


async def _until(at: Ground, query: str) -> None:
    ends_at = perf_counter() + _PATIENCE_SECONDS
    while not await at.pool.fetchval(query):
        if perf_counter() > ends_at:
            raise RuntimeError(f"never came true: {query}")
        await asyncio.sleep(0.05)
