"""Takes shows and their incidents in, and says what we know of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from service.feed import Article, IncidentFeed, Scope, ShowCaps, ShowFeed
from service.feed_rules import check_incident, check_show
from service.model import ActionKind, Json, Mode, Problem, WireId, new_id, wire
from service.orders import SameVersion, raise_for_conflict
from service.store.orders import Written
from service.store.shows import ShowStore


class UnknownShow(Exception):  # noqa: N818 - says what happened
    """An incident names a show that was never told of."""


class ShowSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The column `settings` of a show."""

    modes: dict[ActionKind, Mode] = {}
    caps: ShowCaps = msgspec.field(default_factory=ShowCaps)
    parameters: dict[str, dict[str, bool | int | float | str]] = {}
    articles: dict[Problem, Article] = {}
    known_errors: dict[str, Article] = {}
    stream_url: str | None = None
    playback_id: str | None = None
    rollback: bool = False


class IncidentState(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    id: str
    ref: str
    version: int
    kind: str
    since: datetime
    until: datetime | None
    scope: Scope


class ShowState(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    ref: str
    version: int
    name: dict[str, str]
    zone: str
    starts_at: datetime
    ends_at: datetime
    minutes: int
    """that pass between the two instants, whatever the clocks on the wall do"""
    status: Literal["scheduled", "cancelled", "postponed"]
    settings: ShowSettings
    incidents: tuple[IncidentState, ...]


class Shows:
    def __init__(self, store: ShowStore) -> None:
        self._store = store

    async def put(
        self, platform_id: UUID, ref: str, feed: ShowFeed, *, same_version: SameVersion = "refuse", source: str = "feed"
    ) -> Written:
        """Takes the document in, unless a newer one or the same is here. Raises FeedInvalid, FeedConflict.

        Another mode, cap or parameter is kept in the audit with `source`, such as `key:shop`.

        A show that is cancelled, postponed or given another time wakes the cases that wait for that, and those that wait for an incident.
        """
        check_show(feed)
        written = await self._store.put(show_document(platform_id, ref, feed, same_version=same_version, source=source))
        raise_for_conflict(written)
        return written

    async def put_incident(self, platform_id: UUID, show: str, ref: str, feed: IncidentFeed) -> Written:
        """Takes the document in, unless a newer one or the same is here; one that has ended wakes the cases that wait for that.

        Raises FeedInvalid, FeedConflict, UnknownShow.
        """
        check_incident(feed)
        written = await self._store.put_incident(
            {
                "platform": platform_id,
                "id": new_id(),
                "show": show,
                "ref": ref,
                "version": feed.version,
                "kind": feed.kind,
                "from": feed.since,
                "to": feed.until,
                "scope": feed.scope,
            }
        )
        if written.result == "unknown_show":
            raise UnknownShow(show)
        raise_for_conflict(written)
        return written

    async def get(self, platform_id: UUID, ref: str) -> ShowState | None:
        found = await self._store.get(platform_id, ref)
        return None if found is None else msgspec.convert(_wired(found), ShowState)


def show_document(platform_id: UUID, ref: str, feed: ShowFeed, *, same_version: SameVersion, source: str = "feed") -> Json:
    """What the SQL function `show_put` reads."""
    return {
        "platform": platform_id,
        "id": new_id(),
        "ref": ref,
        "version": feed.version,
        "same_version": same_version,
        "source": source,
        "name": feed.name,
        "zone": feed.zone,
        "starts_at": feed.starts_at,
        "ends_at": feed.ends_at,
        "status": feed.status,
        "settings": ShowSettings(
            modes=feed.modes,
            caps=feed.caps,
            parameters=feed.parameters,
            articles=feed.articles,
            known_errors=feed.known_errors,
            stream_url=feed.stream_url,
            playback_id=feed.playback_id,
            rollback=feed.rollback,
        ),
    }


def _wired(found: Any) -> Any:
    starts_at, ends_at = (datetime.fromisoformat(found[name]) for name in ("starts_at", "ends_at"))
    return {
        **found,
        "id": wire(WireId.SHOW, UUID(found["id"])),
        "minutes": int((ends_at - starts_at).total_seconds() // 60),
        "incidents": [{**incident, "id": wire(WireId.INCIDENT, UUID(incident["id"]))} for incident in found["incidents"]],
    }
