"""Keys of platforms and agents, and the agents themselves: the statements of `service.keys`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from service.store.idempotency import IdempotencyKey, KeyReused, reserve
from service.store.pool import Connection, Pool

_T = TypeVar("_T")

KeyEnd = Literal["anew", "not_later"]
"""When a rotated key runs out: as many days from now as are asked for, or no later than it would have."""

KnownAgent = Literal["takes_role", "keeps_role"]
"""What a further key with another role makes of an agent who is known: its role, or a refusal."""

# Lists for people at a terminal; nobody has more.
_LISTED_MAX: Final = 1000

_KEY: Final = """
SELECT k.platform_id, k.id, k.kind, k.name, k.scopes, p.slug, a.id AS agent_id, a.name AS agent, a.role
FROM api_key AS k
JOIN platform AS p ON p.id = k.platform_id
LEFT JOIN agent AS a ON a.platform_id = k.platform_id AND a.id = k.agent_id
WHERE (k.hash = $1 OR (k.old_hash = $1 AND k.old_until > (SELECT app_now()))) AND k.revoked_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > (SELECT app_now())) AND a.disabled_at IS NULL
"""

# An agent is made with its first key; a later key of the same name gives it this role and these skills, and lets it work again.
_MAKE_AGENT: Final = """
WITH made AS (
    INSERT INTO agent (platform_id, id, name, role, skills, created_at) VALUES ($1, $2, $3, $4, $5, (SELECT app_now()))
    ON CONFLICT (platform_id, name) DO UPDATE SET role = excluded.role, skills = excluded.skills, disabled_at = NULL
        WHERE $8 OR agent.role = excluded.role RETURNING platform_id, id
), ended AS (
    DELETE FROM desk_session AS s USING made WHERE s.platform_id = made.platform_id AND s.agent_id = made.id AND s.role <> $4
), noted AS (
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    SELECT platform_id, (SELECT app_now()), $6, 'agent_made', $7, jsonb_build_object('agent', id, 'name', $3::text, 'role', $4::text, 'skills', $5::text[])
    FROM made
)
SELECT id FROM made
"""

_MAKE_KEY: Final = """
WITH made AS (
    INSERT INTO api_key (platform_id, id, kind, agent_id, name, hash, scopes, created_at, expires_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, now, CASE WHEN $8::int IS NOT NULL THEN now + make_interval(days => $8) END
    FROM (SELECT app_now() AS now) AS clock RETURNING platform_id, expires_at
), noted AS (
    INSERT INTO audit (platform_id, at, actor, what, why, data)
    SELECT platform_id, (SELECT app_now()), $9, 'key_made', $10, $11 FROM made
)
SELECT expires_at FROM made
"""

# The token of today becomes the one before: it works on for the overlap, but no longer than it would have.
_ROTATE: Final = """
WITH rotated AS (
    UPDATE api_key AS k SET hash = $3, rotated_at = now, old_hash = CASE WHEN $4::float > 0 THEN k.hash END,
        old_until = CASE WHEN $4::float > 0 THEN least(now + make_interval(secs => $4::float), k.expires_at) END,
        -- `least` passes over a null: with $8, a key that has an end gets no later one.
        expires_at = least(CASE WHEN $5::int IS NOT NULL THEN now + make_interval(days => $5) END, CASE WHEN $8 THEN k.expires_at END)
    FROM (SELECT app_now() AS now) AS clock
    WHERE k.platform_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now)
      AND NOT EXISTS (SELECT FROM agent a WHERE a.platform_id = $1 AND a.id = k.agent_id AND a.disabled_at IS NOT NULL)
    RETURNING k.platform_id, k.id, k.old_until
)
INSERT INTO audit (platform_id, at, actor, what, why, data)
SELECT platform_id, (SELECT app_now()), $6, 'key_rotated', $7, jsonb_build_object('key', replace(id::text, '-', ''), 'old_until', old_until)
FROM rotated RETURNING platform_id
"""

_KEYS: Final = """
SELECT k.platform_id, k.id, k.kind, k.name, a.id AS agent_id, a.role, k.scopes, k.created_at, k.expires_at, k.rotated_at, k.revoked_at,
       CASE WHEN k.old_until > (SELECT app_now()) THEN k.old_until END AS old_until, k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > (SELECT app_now())) AND a.disabled_at IS NULL AS works
FROM api_key AS k LEFT JOIN agent AS a ON a.platform_id = k.platform_id AND a.id = k.agent_id
WHERE k.platform_id = $1 AND ($2::uuid IS NULL OR k.id = $2) ORDER BY k.created_at, k.id LIMIT $3
"""

_AGENTS: Final = """
SELECT platform_id, id, name, role, skills, languages, capacity, available, sign_in, created_at, disabled_at FROM agent
WHERE platform_id = $1 AND ($2::uuid IS NULL OR id = $2) ORDER BY name LIMIT $3
"""

# How the agent signs in may be an address, which the audit does not keep: only that it was changed. Another role, or another way to sign
# in, ends what was signed in before.
_CHANGE_AGENT: Final = """
WITH changed AS (
    UPDATE agent SET role = coalesce($3, role), skills = coalesce($4, skills), languages = coalesce($7, languages), capacity = coalesce($8, capacity),
        sign_in = CASE WHEN $9::text IS NULL THEN sign_in ELSE nullif($9, '') END
    WHERE platform_id = $1 AND id = $2 RETURNING platform_id, id, role, skills, languages, capacity
), ended AS (
    DELETE FROM desk_session AS s USING changed AS c WHERE s.platform_id = c.platform_id AND s.agent_id = c.id
        AND (s.role <> c.role OR (s.way = 'oidc' AND $9::text IS NOT NULL))
)
INSERT INTO audit (platform_id, at, actor, what, why, data)
SELECT platform_id, (SELECT app_now()), $5, 'agent_changed', $6, jsonb_strip_nulls(jsonb_build_object('agent', id, 'role', role, 'skills', skills,
    'languages', languages, 'capacity', capacity, 'sign_in', CASE WHEN $9::text = '' THEN 'taken' WHEN $9::text IS NOT NULL THEN 'given' END))
FROM changed RETURNING platform_id
"""

# The agent's keys are revoked and its sessions end, so that a later key of the same name does not wake an old token.
_DISABLE_AGENT: Final = """
WITH disabled AS (
    UPDATE agent SET disabled_at = (SELECT app_now()) WHERE platform_id = $1 AND id = $2 AND disabled_at IS NULL RETURNING platform_id, id
), revoked AS (
    UPDATE api_key SET revoked_at = (SELECT app_now()) FROM disabled
    WHERE api_key.platform_id = $1 AND api_key.agent_id = disabled.id AND revoked_at IS NULL RETURNING api_key.id
), ended AS (
    DELETE FROM desk_session AS s USING disabled AS d WHERE s.platform_id = d.platform_id AND s.agent_id = d.id
), links AS (
    DELETE FROM sign_in_once AS s USING disabled AS d WHERE s.platform_id = d.platform_id AND s.agent_id = d.id
)
INSERT INTO audit (platform_id, at, actor, what, why, data)
SELECT platform_id, (SELECT app_now()), $3, 'agent_disabled', $4, jsonb_build_object('agent', id, 'keys', (SELECT count(*) FROM revoked))
FROM disabled RETURNING platform_id
"""

_REVOKE: Final = """
WITH revoked AS (
    UPDATE api_key SET revoked_at = (SELECT app_now()) WHERE platform_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING platform_id
)
INSERT INTO audit (platform_id, at, actor, what, why, data)
SELECT platform_id, (SELECT app_now()), $3, 'key_revoked', $4, $5 FROM revoked RETURNING platform_id
"""


class KeyFound(msgspec.Struct, frozen=True, kw_only=True):
    platform_id: UUID
    id: UUID
    kind: str
    name: str
    scopes: Sequence[str]
    slug: str
    agent_id: UUID | None
    agent: str | None
    role: str | None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    platform_id: UUID
    id: UUID
    kind: str
    agent_id: UUID | None
    name: str
    hash: bytes
    scopes: Sequence[str]
    days: int | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes something and why: kept beside what changed."""

    actor: str
    why: str


class KeyListed(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    kind: str
    name: str
    agent_id: UUID | None
    role: str | None
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    rotated_at: datetime | None
    old_until: datetime | None
    """the token before the present one works until then"""
    revoked_at: datetime | None
    works: bool


class AgentListed(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    role: str
    skills: Sequence[str]
    languages: Sequence[str]
    """none: every language"""
    capacity: int
    """how many cases at a time"""
    available: bool
    sign_in: str | None
    """as the platform's identity provider names the agent: a verified address, lower case, or `sub:` and the subject"""
    created_at: datetime
    disabled_at: datetime | None


class AgentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of an agent; None leaves it as it is. `sign_in`: empty takes it away."""

    role: str | None = None
    skills: Sequence[str] | None = None
    languages: Sequence[str] | None = None
    capacity: int | None = None
    sign_in: str | None = None


class SignInTaken(Exception):  # noqa: N818 - says what happened
    """Another agent of the platform signs in by that name."""


class KeyStore:
    """`pool`, or one connection of it for what has to be one transaction with something else."""

    def __init__(self, pool: Pool | Connection) -> None:
        self._pool = pool

    async def find(self, token_hash: bytes) -> KeyFound | None:
        """The key, if it works now. One statement: it stands before everything that a key may do."""
        row = await self._pool.fetchrow(_KEY, token_hash)
        return KeyFound(**dict(row)) if row else None

    async def make_agent(
        self, platform_id: UUID, agent_id: UUID, name: str, change: Change, *, role: str, skills: Sequence[str], known: KnownAgent
    ) -> UUID | None:
        """The agent of that name, new or known, with this role and these skills. None: it is known with another role, which it keeps."""
        found: UUID | None = await self._pool.fetchval(
            _MAKE_AGENT, platform_id, agent_id, name, role, list(skills), change.actor, change.why, known == "takes_role"
        )
        return found

    async def make(self, key: NewKey, change: Change) -> datetime | None:
        """Returns when it runs out."""
        data = {"key": key.id.hex, "kind": key.kind, "name": key.name, "scopes": list(key.scopes)}
        ends: datetime | None = await self._pool.fetchval(
            _MAKE_KEY,
            key.platform_id,
            key.id,
            key.kind,
            key.agent_id,
            key.name,
            key.hash,
            list(key.scopes),
            key.days,
            change.actor,
            change.why,
            data,
        )
        return ends

    async def rotate(
        self, platform_id: UUID, key_id: UUID, token_hash: bytes, change: Change, *, overlap_seconds: float, days: int | None, end: KeyEnd
    ) -> bool:
        """A new token for the same key. False when there is no such key that works."""
        done = await self._pool.fetchval(
            _ROTATE, platform_id, key_id, token_hash, overlap_seconds, days, change.actor, change.why, end == "not_later"
        )
        return done is not None

    async def listed(self, platform_id: UUID) -> Sequence[KeyListed]:
        rows = await self._pool.fetch(_KEYS, platform_id, None, _LISTED_MAX)
        return [_listed(row) for row in rows]

    async def one(self, platform_id: UUID, key_id: UUID) -> KeyListed | None:
        row = await self._pool.fetchrow(_KEYS, platform_id, key_id, 1)
        return None if row is None else _listed(row)

    async def revoke(self, platform_id: UUID, key_id: UUID, change: Change) -> bool:
        """False when there is no such key, or it was revoked before."""
        done = await self._pool.fetchval(_REVOKE, platform_id, key_id, change.actor, change.why, {"key": key_id.hex})
        return done is not None

    async def agents(self, platform_id: UUID) -> Sequence[AgentListed]:
        rows = await self._pool.fetch(_AGENTS, platform_id, None, _LISTED_MAX)
        return [_agent(row) for row in rows]

    async def agent(self, platform_id: UUID, agent_id: UUID) -> AgentListed | None:
        row = await self._pool.fetchrow(_AGENTS, platform_id, agent_id, 1)
        return None if row is None else _agent(row)

    async def change_agent(self, platform_id: UUID, agent_id: UUID, to: AgentChanged, change: Change) -> bool:
        """False: there is no such agent. Raises SignInTaken."""
        skills = None if to.skills is None else sorted(set(to.skills))
        languages = None if to.languages is None else sorted(set(to.languages))
        values = (to.role, skills, change.actor, change.why, languages, to.capacity, to.sign_in)
        try:
            return await self._pool.fetchval(_CHANGE_AGENT, platform_id, agent_id, *values) is not None
        except asyncpg.UniqueViolationError:
            raise SignInTaken from None

    async def disable_agent(self, platform_id: UUID, agent_id: UUID, change: Change) -> bool:
        """All keys of the agent at once. False: there is no such agent, or it was disabled before."""
        return await self._pool.fetchval(_DISABLE_AGENT, platform_id, agent_id, change.actor, change.why) is not None


async def once_made(pool: Pool, key: IdempotencyKey, new: UUID, effect: Callable[[KeyStore], Awaitable[_T]]) -> tuple[UUID, _T | None]:
    """Makes something under its id and keeps the request's key, in one transaction; or names what the same request made before.

    Raises KeyReused, and what the effect raises: the request's key stays free then.
    """
    async with pool.acquire() as connection, connection.transaction():
        earlier = await reserve(connection, key, new)
        if earlier is None:
            return new, await effect(KeyStore(connection))
        if not earlier.same_body:
            raise KeyReused
        return earlier.resource_id, None


def _listed(row: Any) -> KeyListed:
    return KeyListed(**{name: row[name] for name in KeyListed.__struct_fields__})


def _agent(row: Any) -> AgentListed:
    return AgentListed(**{name: row[name] for name in AgentListed.__struct_fields__})
