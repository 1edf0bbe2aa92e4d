"""Platforms, and every version of their settings and packs: the statements of `service.platforms` and `service.settings_desk`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.store.keys import Change
from service.store.pool import Pool

# Lists for people at a terminal; nobody has more.
_LISTED_MAX: Final = 1000
# As many as those platforms may name.
_ORIGINS_MAX: Final = 50_000

Kind = Literal["settings", "packs"]
Result = Literal["changed", "unchanged", "moved"]

_PLATFORM: Final = "SELECT id AS platform_id, slug, settings, version, packs, packs_version, created_at FROM platform"
_VERSION: Final = "SELECT platform_id, version, body, back_to, actor, why, at FROM setting_version WHERE platform_id = $1 AND kind = $2"

# What people changed; who looked at a customer is in the audit too, and is no change.
_CHANGES: Final = """
SELECT platform_id, id, at, actor, what, why, data FROM audit
WHERE platform_id = $1 AND NOT what = ANY ('{case_viewed,money_viewed}') ORDER BY id DESC LIMIT $2
"""


_ORIGINS: Final = """
-- every platform: a browser that asks whether it may ask names none
SELECT DISTINCT one.value AS origin
FROM platform, jsonb_array_elements_text(CASE jsonb_typeof(settings -> 'origins') WHEN 'array' THEN settings -> 'origins' ELSE '[]' END) AS one
LIMIT $1
"""


class PlatformRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    slug: str
    settings: Mapping[str, Any]
    version: int
    packs: Mapping[str, str]
    """name -> hash of its own packs; empty: the installation's decide"""
    packs_version: int
    created_at: datetime


class SettingVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version as it was stored: secrets sealed."""

    version: int
    body: Mapping[str, Any]
    back_to: int | None
    """the version that this one brought back"""
    actor: str
    why: str
    at: datetime


class ChangeMade(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit: what somebody changed on a platform."""

    at: datetime
    actor: str
    what: str
    why: str
    data: Mapping[str, Any]


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """`unchanged`: it says what is there; `moved`: somebody was faster. `version` is the one that is there now."""

    result: Result
    version: int


class PlatformStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, platform_id: UUID, slug: str, settings: object, change: Change) -> bool:
        """False when the slug is taken; nothing happened then."""
        added: bool = await self._pool.fetchval(
            "SELECT platform_add($1, $2, $3, $4, $5)  -- $1 is platform_id", platform_id, slug, settings, change.actor, change.why
        )
        return added

    async def put(
        self, platform_id: UUID, kind: Kind, body: object, change: Change, *, expected: int | None = None, back_to: int | None = None
    ) -> Put:
        """The next version. `expected`: the one the writer has seen; None: whichever is there."""
        answer = await self._pool.fetchval(
            "SELECT setting_put($1, $2, $3, $4, $5, $6, $7)  -- $1 is platform_id",
            platform_id,
            kind,
            expected,
            body,
            back_to,
            change.actor,
            change.why,
        )
        return msgspec.convert(answer, Put)

    async def change(self, slug: str, settings: object, change: Change) -> None:
        """New settings whichever were there; nothing happens when they say the same, or nobody has the slug."""
        found = await self.by_slug(slug)
        if found is not None:
            await self.put(found.id, "settings", settings, change)

    async def by_slug(self, slug: str) -> PlatformRow | None:
        return _platform(await self._pool.fetchrow(f"{_PLATFORM} WHERE slug = $1", slug))

    async def by_id(self, platform_id: UUID) -> PlatformRow | None:
        return _platform(await self._pool.fetchrow(f"{_PLATFORM} WHERE id = $1", platform_id))

    async def all(self) -> Sequence[PlatformRow]:
        rows = await self._pool.fetch(f"{_PLATFORM} ORDER BY slug LIMIT $1", _LISTED_MAX)
        return [found for row in rows if (found := _platform(row)) is not None]

    async def origins(self) -> Sequence[str]:
        """Of all platforms, as their settings have them."""
        return [row["origin"] for row in await self._pool.fetch(_ORIGINS, _ORIGINS_MAX)]

    async def version(self, platform_id: UUID, kind: Kind, version: int) -> SettingVersion | None:
        row = await self._pool.fetchrow(f"{_VERSION} AND version = $3", platform_id, kind, version)
        return None if row is None else _version(row)

    async def versions(self, platform_id: UUID, kind: Kind, *, before: int | None, most: int) -> Sequence[SettingVersion]:
        """Newest first, those below `before`."""
        rows = await self._pool.fetch(
            f"{_VERSION} AND ($3::bigint IS NULL OR version < $3) ORDER BY version DESC LIMIT $4", platform_id, kind, before, most
        )
        return [_version(row) for row in rows]

    async def changes(self, platform_id: UUID, most: int) -> Sequence[ChangeMade]:
        """What anybody changed on the platform, newest first."""
        rows = await self._pool.fetch(_CHANGES, platform_id, most)
        return [ChangeMade(**{name: row[name] for name in ChangeMade.__struct_fields__}) for row in rows]


def _platform(row: Any) -> PlatformRow | None:
    if row is None:
        return None
    return PlatformRow(id=row["platform_id"], **{name: row[name] for name in PlatformRow.__struct_fields__ if name != "id"})


def _version(row: Any) -> SettingVersion:
    return SettingVersion(**{name: row[name] for name in SettingVersion.__struct_fields__})
