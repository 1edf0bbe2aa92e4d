"""Notices as rows: what is said on a show now, what was said before, and who is to be written to (functions/notices.sql)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.store.pool import Pool

# A bad night has a dozen; more is a program that repeats itself.
CHANGES_MAX: Final = 200
# What an open widget shows of what was said before.
EARLIER_MAX: Final = 5
# Whoever was away for a moment still hears that it is over.
OVER_SHOWN_SECONDS: Final = 600.0
# What the desk looks back at.
LISTED_MAX: Final = 100
# Who follows is of no use to anybody a day after it is over.
_FOLLOWERS_KEPT_SECONDS: Final = 86_400.0
_FORGOTTEN_AT_ONCE_MAX: Final = 5_000

# $1 platform, $2 the show's reference, $3 how many of the earlier words, $4 how long it is told that it is over.
_NOW: Final = """
SELECT s.id AS show_id, s.ref AS show, n.text, n.begun_at, n.updated_at, n.over_at, coalesce((
    SELECT jsonb_agg(jsonb_build_object('at', u.at, 'text', u.text) ORDER BY u.seq DESC) FROM (
        SELECT * FROM notice_update WHERE platform_id = $1 AND notice_id = n.id AND kind <> 'over' ORDER BY seq DESC OFFSET 1 LIMIT $3) u),
    '[]') AS earlier
FROM show s LEFT JOIN LATERAL (
    SELECT * FROM notice WHERE platform_id = $1 AND show_id = s.id
        AND (over_at IS NULL OR over_at > (SELECT app_now()) - make_interval(secs => $4)) ORDER BY begun_at DESC LIMIT 1) n ON true
WHERE s.platform_id = $1 AND s.ref = $2
"""
_LIST: Final = """
SELECT s.ref AS show, s.name AS show_name, n.text, n.begun_at, n.updated_at, n.over_at, u.actor, u.why,
    (SELECT count(*) FROM notice_follower f WHERE f.platform_id = $1 AND f.notice_id = n.id) AS followers
FROM notice n JOIN show s ON s.platform_id = $1 AND s.id = n.show_id
JOIN notice_update u ON u.platform_id = $1 AND u.notice_id = n.id AND u.seq = n.seq
WHERE n.platform_id = $1 ORDER BY n.over_at IS NOT NULL, n.updated_at DESC LIMIT $2
"""
# Who is written to, and what they are told: only where this is the newest letter that was planned for them, and no newer change waits to be told.
_LETTER: Final = """
SELECT s.ref AS show, s.name AS show_name, s.zone, n.text, n.over_at IS NOT NULL AS is_over, f.locale, p.email AS address, p.name
FROM notice_follower f
JOIN notice n ON n.platform_id = $1 AND n.id = f.notice_id
JOIN show s ON s.platform_id = $1 AND s.id = n.show_id
JOIN person p ON p.platform_id = $1 AND p.id = f.person_id
WHERE f.platform_id = $1 AND f.notice_id = $2 AND f.person_id = $3 AND f.told_seq = $4 AND p.email IS NOT NULL
  AND NOT (n.seq > $4 AND (n.over_at IS NOT NULL OR n.tell_at IS NOT NULL))
"""
# The address as `notice_follow` looks for it.
_FOLLOWS: Final = """
SELECT EXISTS (SELECT FROM notice_follower f
    JOIN notice n ON n.platform_id = $1 AND n.id = f.notice_id AND n.over_at IS NULL
    JOIN show s ON s.platform_id = $1 AND s.id = n.show_id AND s.ref = $2
    JOIN person p ON p.platform_id = $1 AND p.id = f.person_id
    WHERE f.platform_id = $1 AND (address_folded(p.email) = address_folded($3) OR f.caller = $4)) AS following,
  EXISTS (SELECT FROM person WHERE platform_id = $1 AND lower(email) = lower($3) AND address_folded(email) = address_folded($3)) AS possible
"""
_FORGET: Final = """
DELETE FROM notice_follower WHERE (platform_id, notice_id, person_id) IN (
    SELECT f.platform_id, f.notice_id, f.person_id FROM notice n JOIN notice_follower f ON f.platform_id = n.platform_id AND f.notice_id = n.id
    WHERE n.over_at < (SELECT app_now()) - make_interval(secs => $1) LIMIT $2)
"""

Status = Literal["begun", "updated", "same", "over", "unknown", "none", "full"]
Followed = Literal["following", "unknown", "none", "no_address"]


class WordsRow(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    text: Mapping[str, str]


class NoticeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as widgets are told of it. `earlier`: what was said before, the newest first."""

    text: Mapping[str, str]
    begun_at: datetime
    updated_at: datetime
    over_at: datetime | None
    earlier: tuple[WordsRow, ...]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is on a show. `notice` None: nothing is, or it has been over for a while."""

    show_id: UUID
    show: str
    notice: NoticeRow | None


class ListedNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as the desk sees it: `actor` and `why` are of the newest change."""

    show: str
    show_name: Mapping[str, str]
    text: Mapping[str, str]
    begun_at: datetime
    updated_at: datetime
    over_at: datetime | None
    actor: str
    why: str
    followers: int


class NoticeLetter(msgspec.Struct, frozen=True, kw_only=True):
    show: str
    show_name: Mapping[str, str]
    zone: str
    text: Mapping[str, str]
    is_over: bool
    locale: str
    address: str
    name: str | None


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """Of a customer: whether they are written to, and whether they can be, since an address of theirs is known."""

    following: bool
    possible: bool


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    status: Status
    show: UUID | None = None


class NoticeStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def now(self, platform: UUID, show: str) -> Reading | None:
        """What is on that show. None: there is no such show."""
        row = await self._pool.fetchrow(_NOW, platform, show, EARLIER_MAX, OVER_SHOWN_SECONDS)
        if row is None:
            return None
        notice = None if row["text"] is None else msgspec.convert(dict(row), NoticeRow)
        return Reading(show_id=row["show_id"], show=row["show"], notice=notice)

    async def list(self, platform: UUID) -> Sequence[ListedNotice]:
        """Those that are on, then those that are over; the newest first, at most LISTED_MAX."""
        rows = await self._pool.fetch(_LIST, platform, LISTED_MAX)
        return [ListedNotice(**dict(row)) for row in rows]

    async def say(self, platform: UUID, show: str, new: UUID, text: Mapping[str, str], *, actor: str, why: str) -> Changed:
        """Begins the show's notice under the id `new`, or changes the words of the one that is on."""
        answer = await self._pool.fetchval(
            "SELECT notice_say($1, $2, $3, $4, $5, $6, $7)  -- $1 is platform_id", platform, show, new, dict(text), actor, why, CHANGES_MAX
        )
        return msgspec.convert(answer, Changed)

    async def end(self, platform: UUID, show: str, *, actor: str, why: str) -> Changed:
        answer = await self._pool.fetchval("SELECT notice_end($1, $2, $3, $4)  -- $1 is platform_id", platform, show, actor, why)
        return msgspec.convert(answer, Changed)

    async def follow(self, platform: UUID, show: str, *, email: str | None, caller: str, locale: str | None) -> Followed:
        """Once for each address, however often it is asked."""
        status: Followed = await self._pool.fetchval(
            "SELECT notice_follow($1, $2, $3, $4, $5)  -- $1 is platform_id", platform, show, email, caller, locale
        )
        return status

    async def follows(self, platform: UUID, show: str, *, email: str | None, caller: str) -> Following:
        """Whether this customer is written to when the notice changes that is on now: at the address that they proved, or as they wrote down."""
        (row,) = await self._pool.fetch(_FOLLOWS, platform, show, email, caller)
        return Following(**dict(row))

    async def unfollow(self, platform: UUID, show: str, *, email: str | None, caller: str) -> None:
        await self._pool.execute("SELECT notice_unfollow($1, $2, $3, $4)  -- $1 is platform_id", platform, show, email, caller)

    async def letter(self, platform: UUID, notice: UUID, person: UUID, seq: int) -> NoticeLetter | None:
        """None: they follow it no more, have no address, or another letter tells it."""
        row = await self._pool.fetchrow(_LETTER, platform, notice, person, seq)
        return None if row is None else NoticeLetter(**dict(row))

    async def tell(self, most: int) -> int:
        """Enqueues letters for at most so many followers; how many. Safe in every process at once."""
        told: int = await self._pool.fetchval("SELECT notices_tell($1)  -- every platform: the sweep is the installation's own", most)
        return told

    async def forget_old(self) -> None:
        """Drops who followed what has been over for a day, a bounded number at a time."""
        await self._pool.execute(
            _FORGET + "-- every platform: the clean-up is the installation's own", _FOLLOWERS_KEPT_SECONDS, _FORGOTTEN_AT_ONCE_MAX
        )
