"""Rows of access tokens: what a token's signature cannot say, and which of them changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from service.store.pool import Pool


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    jti: UUID
    platform: str
    pass_id: UUID
    pass_status: str
    show: str
    state: str
    issued_at: datetime
    expires_at: datetime
    playback_id: str | None
    """what the show's edge calls its stream, where that edge has names of its own"""


class TokenChange(msgspec.Struct, frozen=True, kw_only=True):
    """A token whose state has changed, as it is now."""

    position: int
    jti: UUID
    state: Literal["active", "suspended", "revoked"]
    expires_at: datetime


async def token(pool: Pool, platform: UUID, jti: UUID) -> TokenRow | None:
    row = await pool.fetchrow(
        """
        SELECT t.jti, f.slug AS platform, t.pass_id, p.status AS pass_status, s.ref AS show, t.state, t.issued_at, t.expires_at,
            s.settings->>'playback_id' AS playback_id
        FROM access_token t JOIN platform f ON f.id = t.platform_id JOIN show s ON s.platform_id = $1 AND s.id = t.show_id
            JOIN pass p ON p.platform_id = $1 AND p.id = t.pass_id
        WHERE t.platform_id = $1 AND t.jti = $2
        """,
        platform,
        jti,
    )
    return None if row is None else TokenRow(**dict(row))


async def issue(pool: Pool, platform: UUID, pass_id: UUID, show_ref: str, jti: UUID) -> TokenRow | None:
    """The pass's active token for the show, made if there is none; None for a pass that is not valid or does not admit to the show."""
    found: UUID | None = await pool.fetchval("SELECT access_issue($1, $2, $3, $4)  -- $1 is platform_id", platform, pass_id, show_ref, jti)
    return None if found is None else await token(pool, platform, found)


async def changes(pool: Pool, platform: UUID, *, since: int, most: int) -> Sequence[TokenChange]:
    """The tokens that changed after that position and have not run out. None is ever skipped, whenever its change commits."""
    rows = await pool.fetch("SELECT * FROM access_changes($1, $2, $3)  -- $1 is platform_id", platform, since, most)
    return [TokenChange(position=row[0], jti=row[1], state=row[2], expires_at=row[3]) for row in rows]


async def head(pool: Pool, platform: UUID) -> int:
    """The last position that was given."""
    found: int | None = await pool.fetchval("SELECT position FROM access_head WHERE platform_id = $1", platform)
    return found or 0


async def now(pool: Pool) -> datetime:
    moment: datetime = await pool.fetchval("SELECT app_now()  -- no platform_id: the installation's clock")
    return moment
