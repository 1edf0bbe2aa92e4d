"""Sessions of people at the desk, the links and states that lead to one: every statement behind `service.desk_sessions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.store.keys import Change
from service.store.pool import Pool

Way = Literal["oidc", "link", "token"]

# A request renews what was last seen longer ago than this: a busy agent writes one row a minute and not one a click.
_RENEW_SECONDS: Final = 60.0
# One pass of the clean-up; what is left waits for the next.
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

# What ends a session: time, silence, the agent disabled or in another role, the token it began with taken back.
_FIND: Final = """
WITH found AS MATERIALIZED (
    SELECT s.platform_id, s.id, s.agent_id, s.scopes, s.way, s.created_at, s.expires_at, s.seen_at, p.slug, a.name, a.role, now
    FROM (SELECT app_now() AS now) AS clock, desk_session AS s
    JOIN platform AS p ON p.id = s.platform_id
    JOIN agent AS a ON a.platform_id = s.platform_id AND a.id = s.agent_id
    LEFT JOIN api_key AS k ON k.platform_id = s.platform_id AND k.id = s.key_id
    WHERE s.hash = $1 AND s.expires_at > now AND s.seen_at > now - make_interval(secs => $2)
      AND a.disabled_at IS NULL AND a.role = s.role AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now)
), renewed AS (
    UPDATE desk_session AS s SET seen_at = found.now FROM found
    WHERE $3 AND s.platform_id = found.platform_id AND s.id = found.id AND found.seen_at < found.now - make_interval(secs => $4)
    RETURNING s.seen_at
)
SELECT platform_id, id, agent_id, scopes, way, slug, name, role, expires_at,
       least(expires_at, coalesce((SELECT seen_at FROM renewed), seen_at) + make_interval(secs => $2)) AS signs_out_at
FROM found
"""

# `who` is found before this; an agent who is disabled, or is a program, signs nobody in.
_OPEN: Final = """
, made AS (
    INSERT INTO desk_session (platform_id, id, agent_id, hash, way, role, scopes, key_id, created_at, seen_at, expires_at)
    SELECT who.platform_id, $2, a.id, $3, $4, a.role, CASE a.role WHEN 'lead' THEN $6::text[] ELSE $5::text[] END, who.key_id,
           now, now, now + make_interval(secs => $7)
    FROM who JOIN agent AS a ON a.platform_id = who.platform_id AND a.id = who.agent_id, (SELECT app_now() AS now) AS clock
    WHERE a.disabled_at IS NULL AND a.role IN ('agent', 'lead')
    RETURNING platform_id, id, agent_id, way, expires_at
), noted AS (
    INSERT INTO audit (platform_id, at, actor, what, data)
    SELECT m.platform_id, (SELECT app_now()), 'agent:' || a.name, 'signed_in', jsonb_build_object('agent', a.id, 'way', m.way, 'session', m.id)
    FROM made AS m JOIN agent AS a ON a.platform_id = m.platform_id AND a.id = m.agent_id
)
SELECT platform_id, id, agent_id, expires_at FROM made
"""
_BY_CODE: Final = """
WITH who AS (
    DELETE FROM sign_in_once WHERE hash = $1 AND agent_id IS NOT NULL AND expires_at > (SELECT app_now()) RETURNING platform_id, agent_id, NULL::uuid AS key_id
)
"""
_BY_KEY: Final = """
WITH who AS (SELECT platform_id, agent_id, id AS key_id FROM api_key WHERE platform_id = $8 AND id = $1 AND agent_id IS NOT NULL)
"""
_BY_NAME: Final = """
WITH who AS (SELECT platform_id, id AS agent_id, NULL::uuid AS key_id FROM agent WHERE platform_id = $8 AND sign_in = $1)
"""

_CLOSE: Final = """
WITH gone AS (DELETE FROM desk_session WHERE hash = $1 RETURNING platform_id, id, agent_id)
INSERT INTO audit (platform_id, at, actor, what, data)
SELECT g.platform_id, (SELECT app_now()), 'agent:' || a.name, 'signed_out', jsonb_build_object('agent', a.id, 'session', g.id)
FROM gone AS g JOIN agent AS a ON a.platform_id = g.platform_id AND a.id = g.agent_id RETURNING platform_id
"""

_LINK: Final = """
WITH made AS (
    INSERT INTO sign_in_once (hash, platform_id, agent_id, created_at, expires_at)
    SELECT $3, platform_id, id, now, now + make_interval(secs => $4) FROM agent, (SELECT app_now() AS now) AS clock
    WHERE platform_id = $1 AND id = $2 AND disabled_at IS NULL AND role IN ('agent', 'lead') RETURNING platform_id, agent_id, expires_at
), noted AS (
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    SELECT platform_id, (SELECT app_now()), $5, 'sign_in_link_made', $6, jsonb_build_object('agent', agent_id) FROM made
)
SELECT expires_at FROM made
"""

_REMEMBER: Final = """
INSERT INTO sign_in_once (hash, platform_id, state, created_at, expires_at)
SELECT $2, $1, $3, now, now + make_interval(secs => $4) FROM (SELECT app_now() AS now) AS clock
"""
_RECALL: Final = """
DELETE FROM sign_in_once WHERE hash = $1 AND agent_id IS NULL AND expires_at > (SELECT app_now()) RETURNING platform_id, state
"""

_PROFILE: Final = """
SELECT platform_id, id, name, role, skills, languages, capacity, available FROM agent WHERE platform_id = $1 AND id = $2
"""

_FORGET: Final = (
    """-- every platform: the clean-up is the installation's own
    DELETE FROM desk_session WHERE hash IN (
        SELECT hash FROM desk_session WHERE expires_at < (SELECT app_now()) ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)""",
    """-- every platform: the clean-up is the installation's own
    DELETE FROM sign_in_once WHERE hash IN (
        SELECT hash FROM sign_in_once WHERE expires_at < (SELECT app_now()) ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)""",
)


class SessionFound(msgspec.Struct, frozen=True, kw_only=True):
    platform_id: UUID
    id: UUID
    agent_id: UUID
    scopes: Sequence[str]
    way: Way
    slug: str
    name: str
    role: Literal["agent", "lead"]
    expires_at: datetime
    signs_out_at: datetime
    """when nothing is asked until then"""


class SessionMade(msgspec.Struct, frozen=True, kw_only=True):
    platform_id: UUID
    id: UUID
    agent_id: UUID
    expires_at: datetime


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """`scopes`: role -> what such an agent may do."""

    id: UUID
    hash: bytes
    way: Way
    scopes: Mapping[str, Sequence[str]]
    seconds: float

    @property
    def values(self) -> tuple[object, ...]:
        return (self.id, self.hash, self.way, list(self.scopes["agent"]), list(self.scopes["lead"]), self.seconds)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as the console shows who is signed in."""

    id: UUID
    name: str
    role: str
    skills: Sequence[str]
    languages: Sequence[str]
    capacity: int
    available: bool


class DeskSessionStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, token_hash: bytes, *, idle_seconds: float, renews: bool) -> SessionFound | None:
        """The session, if it lives now; `renews`: it was somebody's doing, and the silence begins anew."""
        row = await self._pool.fetchrow(_FIND, token_hash, idle_seconds, renews, _RENEW_SECONDS)
        return None if row is None else SessionFound(**dict(row))

    async def open_by_code(self, code_hash: bytes, new: NewSession) -> SessionMade | None:
        """None: there is no such link, it was used, has run out, or its agent does not work here. It is used up in any case."""
        return _made(await self._pool.fetchrow(f"{_BY_CODE}{_OPEN}", code_hash, *new.values))

    async def open_by_key(self, platform: UUID, key: UUID, new: NewSession) -> SessionMade | None:
        return _made(await self._pool.fetchrow(f"{_BY_KEY}{_OPEN}", key, *new.values, platform))

    async def open_by_name(self, platform: UUID, name: str, new: NewSession) -> SessionMade | None:
        """`name`: as the platform's identity provider names somebody. None: nobody who works here is called so."""
        return _made(await self._pool.fetchrow(f"{_BY_NAME}{_OPEN}", name, *new.values, platform))

    async def close(self, token_hash: bytes) -> bool:
        """False: there was none."""
        return await self._pool.fetchval(f"{_CLOSE} -- every platform: the cookie says whose it is", token_hash) is not None

    async def link(self, platform: UUID, agent: UUID, code_hash: bytes, *, seconds: float, change: Change) -> datetime | None:
        """When it runs out. None: there is no such person at this desk."""
        ends: datetime | None = await self._pool.fetchval(_LINK, platform, agent, code_hash, seconds, change.actor, change.why)
        return ends

    async def remember(self, platform: UUID, state_hash: bytes, state: Mapping[str, Any], *, seconds: float) -> None:
        await self._pool.execute(_REMEMBER, platform, state_hash, dict(state), seconds)

    async def recall(self, state_hash: bytes) -> tuple[UUID, Mapping[str, Any]] | None:
        """Once: whoever comes second finds nothing."""
        row = await self._pool.fetchrow(_RECALL, state_hash)
        return None if row is None else (row["platform_id"], row["state"])

    async def profile(self, platform: UUID, agent: UUID) -> Profile | None:
        row = await self._pool.fetchrow(_PROFILE, platform, agent)
        return None if row is None else Profile(**{name: row[name] for name in Profile.__struct_fields__})

    async def forget_old(self) -> None:
        for statement in _FORGET:
            await self._pool.execute(statement, _FORGOTTEN_AT_ONCE_MAX)


def _made(row: Any) -> SessionMade | None:
    return None if row is None else SessionMade(**dict(row))
