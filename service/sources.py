"""The platforms' own systems, each as its platform has set it: opened when it is first needed, and again when its settings change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from uuid import UUID

import msgspec
import structlog

from service.platforms import Platform, Platforms, SourceSettings
from service.ports import EventTold, OrderSource, PassIssuer, Told, Unavailable
from service.store.sources import SourceStore

log: Final = structlog.get_logger()

# What adapters are told of; the rest would only cost them a look.
TOLD_TYPES: Final = ("refund.sent", "refund.succeeded", "refund.failed", "pass.replaced")


class System(Protocol):
    """What one platform's system can do for us."""

    @property
    def orders(self) -> OrderSource: ...
    @property
    def passes(self) -> PassIssuer: ...
    @property
    def told(self) -> Told: ...
    async def close(self) -> None: ...


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to open one. It does not print its token."""

    settings: SourceSettings
    token: str

    def __repr__(self) -> str:
        return f"Connection({self.settings.kind})"


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A system that is kept up with."""

    identity: str
    """which one it is, and how it is understood"""
    adapter: str
    """the name of the endpoint by which it is told what happens here"""


Opener = Callable[[Connection], System]
"""Opens a system of one kind, without asking it anything. Raises ValueError for settings that cannot be used."""


class Sources:
    """One a process. `openers`: by kind."""

    def __init__(self, store: SourceStore, platforms: Platforms, *, openers: Mapping[str, Opener]) -> None:
        self._store = store
        self._platforms = platforms
        self._openers = openers
        self._open: dict[UUID, tuple[Connection, System]] = {}
        self.adapters: dict[str, Told] = {}
        """by the name of an endpoint: whoever is told in this process"""

    async def of(self, platform_id: UUID) -> System | None:
        """The platform's system; None when it has none that can be opened here."""
        platform = await self._platforms.by_id(platform_id)
        return None if platform is None else await self._opened(platform)

    async def issuer(self, platform_id: UUID, name: str) -> PassIssuer | None:
        """The platform's own system as the one that makes its passes, unless its settings name somebody else."""
        platform = await self._platforms.by_id(platform_id)
        if platform is None or platform.settings.source is None or name not in {"", platform.settings.source.kind}:
            return None
        system = await self._opened(platform)
        return None if system is None else system.passes

    async def known(self) -> Mapping[UUID, Followed]:
        """The platforms whose systems can be read here now."""
        found: dict[UUID, Followed] = {}
        for platform_id in await self._store.platforms():
            platform = await self._platforms.by_id(platform_id)
            if platform is not None and platform.settings.source is not None and await self._opened(platform) is not None:
                followed = Followed(identity=_identity(platform.settings.source), adapter=f"source:{platform.slug}")
                self.adapters.setdefault(followed.adapter, _Late(self, platform_id))
                found[platform_id] = followed
        return found

    async def close(self) -> None:
        for _, system in self._open.values():
            await system.close()
        self._open.clear()

    async def _opened(self, platform: Platform) -> System | None:
        source = platform.settings.source
        wanted = None if source is None or platform.source_token is None else Connection(settings=source, token=platform.source_token)
        kept = self._open.get(platform.id)
        if kept is not None and kept[0] == wanted:
            return kept[1]
        made: System | None = None
        if wanted is not None and wanted.settings.kind in self._openers:
            try:
                made = self._openers[wanted.settings.kind](wanted)
            except ValueError as error:
                log.error("source_not_opened", platform_id=str(platform.id), error=str(error))  # noqa: TRY400 - it names the setting
                return None
            self._open[platform.id] = (wanted, made)
        elif kept is not None:
            del self._open[platform.id]
        # The one before may be at work for somebody: it is closed when nobody has it any more.
        return made


class _Late(msgspec.Struct, frozen=True):
    """`Told` by a platform's system as it is when there is something to tell."""

    sources: Sources
    platform_id: UUID

    async def told(self, event: EventTold) -> None:
        system = await self.sources.of(self.platform_id)
        if system is None:
            raise Unavailable("the platform has no system of its own any more", never_sent=True)
        await system.told.told(event)


def _identity(source: SourceSettings) -> str:
    said = (source.kind, source.url, source.organizer, source.events, source.mapping)
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()
