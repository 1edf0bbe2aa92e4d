"""The written policy as the desk reads it: each rule with its examples and what it decided today, and a try that changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from policies import Pack, Packs, PackShown, Playbook, Playbooks, Routing, RuleTried, Verdict, pack_shown
from policies.routing import RoutingRuleShown
from service.platforms import Platform, Platforms
from service.rulebook import Rulebook
from service.store.platforms import PlatformStore
from service.store.policy_desk import RuleToday

# A day's decisions are read for it; many who look at the page look at one reading.
_KEPT_SECONDS: Final = 10.0
_PLATFORMS_MAX: Final = 1_000
# Versions of packs whose pages are kept.
_PAGES_MAX: Final = 200

Today = Callable[[UUID, str], Awaitable[Sequence[RuleToday]]]
"""of a platform, in its zone"""


class UnknownPack(Exception):  # noqa: N818 - says what was asked for
    """No pack of that name decides for this platform."""


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    packs: Sequence[PackShown]
    today: Mapping[tuple[str, str], Sequence[RuleToday]]
    """pack and rule -> what it decided"""
    routing: Sequence[RoutingRuleShown]
    routing_hash: str
    playbooks: Sequence[Playbook]
    playbooks_hash: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    verdict: Verdict
    trace: Sequence[RuleTried]


class PolicyDesk:
    def __init__(
        self, store: PlatformStore, platforms: Platforms, rulebook: Rulebook, today: Today, *, routing: Routing, playbooks: Playbooks
    ) -> None:
        self._store = store
        self._platforms = platforms
        self._rulebook = rulebook
        self._today = today
        self._routing = routing
        self._playbooks = playbooks
        self._counted: dict[UUID, tuple[float, Sequence[RuleToday]]] = {}
        self._pages: dict[tuple[str, str], PackShown] = {}

    async def policies(self, platform: UUID) -> Policies:
        """As they decide for this platform from now on."""
        found = await self._platform(platform)
        pages = [await self._page(pack, _chosen(found, pack)) for pack in (await self._packs(platform)).deciding()]
        today: dict[tuple[str, str], list[RuleToday]] = {}
        for one in await self._counts(found):
            today.setdefault((one.pack, one.rule), []).append(one)
        return Policies(
            packs=pages,
            today=today,
            routing=self._routing.rules(),
            routing_hash=self._routing.hash,
            playbooks=tuple(self._playbooks.by_id.values()),
            playbooks_hash=self._playbooks.hash,
        )

    async def try_facts(self, platform: UUID, name: str, facts: Mapping[str, Any]) -> Tried:
        """What the pack would say of the ordinary situation with these facts in it; None for a fact that is not known.

        With the platform's own parameters. Nothing is stored. Raises UnknownPack, FactError.
        """
        found = await self._platform(platform)
        pack = next((one for one in (await self._packs(platform)).deciding() if one.name == name), None)
        if pack is None:
            raise UnknownPack
        chosen = _chosen(found, pack)
        known = {**(await self._page(pack, chosen)).usual, **facts}
        return Tried(verdict=pack.decide(known, chosen), trace=pack.trace(known, chosen))

    async def _packs(self, platform: UUID) -> Packs:
        row = await self._store.by_id(platform)
        return (await self._rulebook.holding({} if row is None else row.packs)).packs

    async def _platform(self, platform: UUID) -> Platform:
        found = await self._platforms.by_id(platform)
        if found is None:
            raise LookupError("a platform is never deleted")
        return found

    async def _page(self, pack: Pack, chosen: Mapping[str, Any]) -> PackShown:
        key = (pack.hash, msgspec.json.encode(chosen, order="sorted").decode())
        page = self._pages.get(key)
        if page is None:
            page = await asyncio.to_thread(pack_shown, pack, chosen)
            if len(self._pages) >= _PAGES_MAX:
                self._pages.clear()
            self._pages[key] = page
        return page

    async def _counts(self, platform: Platform) -> Sequence[RuleToday]:
        kept = self._counted.get(platform.id)
        if kept and time.monotonic() - kept[0] < _KEPT_SECONDS:
            return kept[1]
        found = await self._today(platform.id, platform.settings.zone)
        if len(self._counted) >= _PLATFORMS_MAX:
            self._counted.clear()
        self._counted[platform.id] = (time.monotonic(), found)
        return found


def _chosen(platform: Platform, pack: Pack) -> Mapping[str, Any]:
    """The platform's parameters of this pack, as `plan` reads them."""
    chosen = platform.settings.parameters
    own = chosen.get(pack.name) or chosen
    return {name: value for name, value in own.items() if name in pack.parameters}
