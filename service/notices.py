"""Notices: one switch tells every widget of a show "we know", says how it goes on, and writes to those who asked to be told."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from service.callers import Caller
from service.kept import Kept
from service.model import IdentityLevel, new_id
from service.notice_live import NoSuchShow
from service.platforms import Platforms
from service.store.notices import Following, ListedNotice, NoticeStore, Reading
from service.watch import Watch

log: Final = structlog.get_logger()

# As late as a widget that polls may be anyway; a crowd that opens its widgets costs two readings a second.
_KEPT_SECONDS: Final = 1.0
# Shows that are asked for at the same time; names that nobody has are in there too.
_KEPT_MAX: Final = 1_000


class NoNotice(Exception):  # noqa: N818 - says what happened
    """Nothing is said on this show just now."""


class ChangedTooOften(Exception):  # noqa: N818 - says what happened
    """More than a night of people would say: end it, and begin another."""


class WrongLanguages(Exception):  # noqa: N818 - says what happened
    """Words in a language that the platform does not offer, or none in its first one."""

    def __init__(self, missing: str | None, unknown: Sequence[str]) -> None:
        super().__init__("languages")
        self.missing = missing
        self.unknown = unknown


class NotProven(Exception):  # noqa: N818 - says what happened
    """Whoever has proven nothing is written to by nobody."""


class NoAddress(Exception):  # noqa: N818 - says what happened
    """The customer has proven no address, or one that we do not know."""


class NoticeWords(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    text: Mapping[str, str]


class NoticeShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is said on a show. Once it is `over` it is shown so for ten minutes, then it is gone."""

    show: str
    text: Mapping[str, str]
    """by language: what is said now"""
    since: datetime
    updated_at: datetime
    over: bool
    updates: tuple[NoticeWords, ...] = ()
    """what was said before `text`, the newest first; at most five"""


class NoticeAtDesk(msgspec.Struct, frozen=True, kw_only=True):
    """The same as people at the desk see it; `actor` and `reason` are of the newest change."""

    show: str
    show_name: Mapping[str, str]
    text: Mapping[str, str]
    since: datetime
    updated_at: datetime
    over: bool
    actor: str
    reason: str
    followers: int
    """how many customers are written to when it changes"""


class Notices:
    """One a process."""

    def __init__(self, store: NoticeStore, platforms: Platforms, watch: Watch) -> None:
        self._store = store
        self._platforms = platforms
        self._watch = watch
        self._kept: Kept[tuple[UUID, str], Reading | None] = Kept(_KEPT_SECONDS, most=_KEPT_MAX, monotonic=time.monotonic)

    async def now(self, platform: UUID, show: str) -> NoticeShown | None:
        """What is said on that show, at most a second ago. None: nothing is, or there is no such show."""

        async def read() -> Reading | None:
            return await self._store.now(platform, show)

        reading = await self._kept.get((platform, show), read)
        return None if reading is None else shown(reading)

    async def list(self, platform: UUID) -> Sequence[NoticeAtDesk]:
        """Those that are on, then those that are over, the newest first."""
        return [_at_desk(one) for one in await self._store.list(platform)]

    async def say(self, caller: Caller, show: str, text: Mapping[str, str], reason: str) -> None:
        """Begins the show's notice, or says something else in its place; the same words again change nothing.

        Raises NoSuchShow, WrongLanguages, ChangedTooOften.
        """
        platform = await self._platforms.by_id(caller.platform_id)
        offered = platform.settings.languages if platform is not None else ("en",)
        unknown = sorted(set(text) - set(offered))
        if unknown or offered[0] not in text:
            raise WrongLanguages(None if offered[0] in text else offered[0], unknown)
        changed = await self._store.say(caller.platform_id, show, new_id(), text, actor=caller.name, why=reason)
        if changed.status == "full":
            raise ChangedTooOften
        await self._told(changed.show, f"notice_{changed.status}", caller, show)

    async def end(self, caller: Caller, show: str, reason: str) -> None:
        """It is over; once it is, it stays so. Raises NoSuchShow."""
        changed = await self._store.end(caller.platform_id, show, actor=caller.name, why=reason)
        await self._told(changed.show, f"notice_{changed.status}", caller, show)

    async def _told(self, show_id: UUID | None, what: str, caller: Caller, show: str) -> None:
        if show_id is None:
            raise NoSuchShow(show)
        self._watch.tell(show_id)
        log.info(what, show=show, actor=caller.name)

    async def follow(self, caller: Caller, show: str, locale: str | None) -> None:
        """A customer is written to when the notice that is on changes, and once when it is over. Once for each address.

        Raises NotProven, NoSuchShow, NoNotice, NoAddress.
        """
        _check_proven(caller)
        status = await self._store.follow(caller.platform_id, show, email=caller.email, caller=caller.key, locale=locale)
        refusals = {"unknown": NoSuchShow, "none": NoNotice, "no_address": NoAddress}
        if status in refusals:
            raise refusals[status](show)

    async def follows(self, caller: Caller, show: str) -> Following:
        """Whether this customer is written to, and can be. Raises NotProven."""
        _check_proven(caller)
        return await self._store.follows(caller.platform_id, show, email=caller.email, caller=caller.key)

    async def unfollow(self, caller: Caller, show: str) -> None:
        """Takes it back; what nobody followed stays so. Raises NotProven."""
        _check_proven(caller)
        await self._store.unfollow(caller.platform_id, show, email=caller.email, caller=caller.key)


def shown(reading: Reading) -> NoticeShown | None:
    notice = reading.notice
    if notice is None:
        return None
    return NoticeShown(
        show=reading.show,
        text=notice.text,
        since=notice.begun_at,
        updated_at=notice.updated_at,
        over=notice.over_at is not None,
        updates=tuple(NoticeWords(at=one.at, text=one.text) for one in notice.earlier),
    )


def as_told(reading: Reading) -> str:
    """The same as JSON on one line, as live widgets are told of it; `null` where nothing is said."""
    return msgspec.json.encode(shown(reading)).decode()


def _at_desk(one: ListedNotice) -> NoticeAtDesk:
    return NoticeAtDesk(
        show=one.show,
        show_name=one.show_name,
        text=one.text,
        since=one.begun_at,
        updated_at=one.updated_at,
        over=one.over_at is not None,
        actor=one.actor,
        reason=one.why,
        followers=one.followers,
    )


def _check_proven(caller: Caller) -> None:
    if not caller.level.at_least(IdentityLevel.VERIFIED):
        raise NotProven
