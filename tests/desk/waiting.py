"""A desk with a queue: agents who can do this and that, and cases that wait, written as the flow would leave them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from service.callers import Caller
from service.model import new_id
from service.store.pool import Pool

_CASES = """
INSERT INTO cases (platform_id, id, state, problem, requester, identity, channel, locale, owner, due_at, skill, priority, queued_at,
    outcome, created_at)
SELECT $1, gen_random_uuid(), 'open', 'other', 'buyer', 'verified', 'api', $4, 'queue', app_now() + interval '15 minutes', $3, $5,
    app_now(), 'escalate', app_now() FROM generate_series(1, $2) RETURNING id
"""


async def platform(pool: Pool, settings: str = "{}") -> UUID:
    made = new_id()
    await pool.execute(
        "INSERT INTO platform (id, slug, settings) VALUES ($1, $2, $3::text::jsonb)", made, f"desk-{uuid4().hex[:10]}", settings
    )
    return made


async def agent(
    pool: Pool, at: UUID, *, skills: Sequence[str] = ("core",), languages: Sequence[str] = (), capacity: int = 5, role: str = "agent"
) -> Caller:
    """Somebody who is there."""
    made, name = new_id(), f"A-{uuid4().hex[:8]}"
    await pool.execute(
        """
        INSERT INTO agent (platform_id, id, name, role, skills, languages, capacity, seen_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, app_now())
        """,
        at,
        made,
        name,
        role,
        list(skills),
        list(languages),
        capacity,
    )
    return Caller(kind="agent", platform_id=at, platform="desk", id=new_id(), name=f"agent:{name}", agent_id=made, role="agent")


async def cases(pool: Pool, at: UUID, count: int = 1, *, skill: str = "core", locale: str = "en", priority: int = 3) -> list[UUID]:
    """So many that wait; the ones made first are first."""
    return [row["id"] for row in await pool.fetch(_CASES, at, count, skill, locale, priority)]


async def place(pool: Pool, case: UUID, look_by_in: float) -> None:
    """Looked at by so many seconds from now, as routing.yaml would have said."""
    await pool.execute(
        "UPDATE cases SET look_by = app_now() + make_interval(secs => $2), routed_at = app_now() WHERE id = $1", case, look_by_in
    )


async def end(pool: Pool, case: UUID) -> None:
    await pool.execute('SELECT case_next(platform_id, id, \'{"state": "resolved"}\', app_now()) FROM cases WHERE id = $1', case)


async def kinds(pool: Pool, case: UUID) -> list[str]:
    """What its timeline says, in order."""
    return [row["kind"] for row in await pool.fetch("SELECT kind FROM timeline WHERE case_id = $1 ORDER BY seq", case)]
