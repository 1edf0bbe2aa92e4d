"""Platforms, agents, the keys of both, and the keys that sign access tokens: the statements of `service.keys` and `service.platforms`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.store.pool import Pool

# Lists for people at a terminal; nobody has more.
_LISTED_MAX: Final = 1000

_ADD_PLATFORM: Final = """
WITH added AS (
    INSERT INTO platform (id, slug, settings, created_at) VALUES ($1, $2, $3, (SELECT app_now()))
    ON CONFLICT (slug) DO NOTHING RETURNING id AS platform_id
)
INSERT INTO audit (platform_id, at, actor, what, why)
SELECT platform_id, (SELECT app_now()), $4, 'platform_added', $5 FROM added RETURNING platform_id
"""

_CHANGE_PLATFORM: Final = """
WITH changed AS (
    UPDATE platform SET settings = $2 WHERE slug = $1 AND settings IS DISTINCT FROM $2 RETURNING id AS platform_id
)
INSERT INTO audit (platform_id, at, actor, what, why)
SELECT platform_id, (SELECT app_now()), $3, 'platform_changed', $4 FROM changed
"""

_PLATFORM: Final = "SELECT id AS platform_id, slug, settings, created_at FROM platform"

_KEY: Final = """
SELECT k.platform_id, k.id, k.kind, k.name, k.scopes, p.slug, a.id AS agent_id, a.name AS agent, a.role
FROM api_key AS k
JOIN platform AS p ON p.id = k.platform_id
LEFT JOIN agent AS a ON a.platform_id = k.platform_id AND a.id = k.agent_id
WHERE k.hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > (SELECT app_now()))
"""

# An agent is made with its first key; a later key of the same name may change role and skills, and the audit row says so.
_MAKE_AGENT: Final = """
INSERT INTO agent (platform_id, id, name, role, skills, created_at) VALUES ($1, $2, $3, $4, $5, (SELECT app_now()))
ON CONFLICT (platform_id, name) DO UPDATE SET role = excluded.role, skills = excluded.skills RETURNING id
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

_KEYS: Final = """
SELECT k.platform_id, k.id, k.kind, k.name, a.role, k.scopes, k.created_at, k.expires_at, k.revoked_at,
       k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > (SELECT app_now())) AS works
FROM api_key AS k LEFT JOIN agent AS a ON a.platform_id = k.platform_id AND a.id = k.agent_id
WHERE k.platform_id = $1 ORDER BY k.created_at, k.id LIMIT $2
"""

_REVOKE: Final = """
WITH revoked AS (
    UPDATE api_key SET revoked_at = (SELECT app_now()) WHERE platform_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING platform_id
)
INSERT INTO audit (platform_id, at, actor, what, why, data)
SELECT platform_id, (SELECT app_now()), $3, 'key_revoked', $4, $5 FROM revoked RETURNING platform_id
"""

# Two processes at once: the unique index lets one win, the other waits for it and writes nothing.
_FIRST_SIGNING_KEY: Final = """
INSERT INTO signing_key (kid, sealed_private, public_jwk, state, created_at) VALUES ($1, $2, $3, 'current', (SELECT app_now()))
ON CONFLICT (state) WHERE state = 'current' DO NOTHING
"""

_SIGNING_KEYS: Final = "SELECT kid, sealed_private, public_jwk, state FROM signing_key ORDER BY state, kid LIMIT $1"


class PlatformRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    slug: str
    settings: Mapping[str, Any]
    created_at: datetime


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
    role: str | None
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    works: bool


class SigningKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    kid: str
    sealed_private: bytes
    public_jwk: Mapping[str, str]
    state: str


class PlatformStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, platform_id: UUID, slug: str, settings: object, change: Change) -> bool:
        """False when the slug is taken; nothing happened then."""
        return await self._pool.fetchval(_ADD_PLATFORM, platform_id, slug, settings, change.actor, change.why) is not None

    async def change(self, slug: str, settings: object, change: Change) -> None:
        await self._pool.execute(_CHANGE_PLATFORM, slug, settings, change.actor, change.why)

    async def by_slug(self, slug: str) -> PlatformRow | None:
        return _platform(await self._pool.fetchrow(f"{_PLATFORM} WHERE slug = $1", slug))

    async def by_id(self, platform_id: UUID) -> PlatformRow | None:
        return _platform(await self._pool.fetchrow(f"{_PLATFORM} WHERE id = $1", platform_id))

    async def all(self) -> Sequence[PlatformRow]:
        rows = await self._pool.fetch(f"{_PLATFORM} ORDER BY slug LIMIT $1", _LISTED_MAX)
        return [found for row in rows if (found := _platform(row)) is not None]


class KeyStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, token_hash: bytes) -> KeyFound | None:
        """The key, if it works now. One statement: it stands before everything that a key may do."""
        row = await self._pool.fetchrow(_KEY, token_hash)
        return KeyFound(**dict(row)) if row else None

    async def make_agent(self, platform_id: UUID, agent_id: UUID, name: str, role: str, skills: Sequence[str]) -> UUID:
        """The agent of that name, new or known, with this role and these skills."""
        found: UUID = await self._pool.fetchval(_MAKE_AGENT, platform_id, agent_id, name, role, list(skills))
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

    async def listed(self, platform_id: UUID) -> Sequence[KeyListed]:
        rows = await self._pool.fetch(_KEYS, platform_id, _LISTED_MAX)
        return [KeyListed(**{name: row[name] for name in KeyListed.__struct_fields__}) for row in rows]

    async def revoke(self, platform_id: UUID, key_id: UUID, change: Change) -> bool:
        """False when there is no such key, or it was revoked before."""
        done = await self._pool.fetchval(_REVOKE, platform_id, key_id, change.actor, change.why, {"key": key_id.hex})
        return done is not None


class SigningKeyStore:
    """Keys of the installation itself, hence without a platform."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_first(self, kid: str, sealed_private: bytes, public_jwk: Mapping[str, str]) -> None:
        """Nothing happens when there is a current key already."""
        await self._pool.execute(_FIRST_SIGNING_KEY, kid, sealed_private, dict(public_jwk))

    async def all(self) -> Sequence[SigningKeyRow]:
        # two or three at a time: current, next, and old ones whose tokens have not all run out
        rows = await self._pool.fetch(_SIGNING_KEYS, 20)
        return [SigningKeyRow(**dict(row)) for row in rows]


def _platform(row: Any) -> PlatformRow | None:
    if row is None:
        return None
    return PlatformRow(id=row["platform_id"], slug=row["slug"], settings=row["settings"], created_at=row["created_at"])
