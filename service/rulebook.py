"""Which rules decide for a platform: the installation's, or its own packs before them; compiled once a process, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from policies import PackError, Packs, load_own, people_pack
from service.plan import Rules
from service.view import View

log: Final = structlog.get_logger()

# A pack is half a megabyte or so when compiled. One installation serves a few dozen platforms; old versions make room for new ones.
_KEPT_MAX: Final = 100

TextsOf = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
"""texts of packs by their hashes; those that are not kept are left out"""


class Rulebook:
    """`texts_of` reads packs by hash. What a platform decides by stands in the View, so a new version holds with the next one."""

    def __init__(self, installed: Rules, texts_of: TextsOf) -> None:
        self.installed = installed
        self._texts_of = texts_of
        self._people = people_pack()
        self._kept: dict[tuple[str, ...], Rules] = {}
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    def only(cls, installed: Rules) -> Rulebook:
        """For where no platform has packs of its own."""

        async def none(_: Sequence[str]) -> Mapping[str, str]:
            return {}

        return cls(installed, none)

    @property
    def built_in(self) -> tuple[str, str, str]:
        """Hash, name and text of the pack that hands over to people, to be kept with the others."""
        return self._people.hash, self._people.name, self._people.text

    async def of(self, view: View) -> Rules:
        """The rules of the View's platform. Packs that cannot be read hand every case of theirs to people."""
        return await self.holding(view.packs)

    async def holding(self, packs: Mapping[str, str]) -> Rules:
        """The rules of a platform with these packs of its own (name -> hash)."""
        if not packs:
            return self.installed
        key = tuple(sorted(packs.values()))
        found = self._kept.get(key)
        if found is not None:
            return found
        async with self._one_at_a_time:
            return self._kept.get(key) or self._keep(key, await self._load(packs))

    def _keep(self, key: tuple[str, ...], packs: Packs) -> Rules:
        while len(self._kept) >= _KEPT_MAX:
            self._kept.pop(next(iter(self._kept)))
        rules = self._kept[key] = msgspec.structs.replace(self.installed, packs=packs)
        return rules

    async def _load(self, packs: Mapping[str, str]) -> Packs:
        """Compiling takes a while and is another thread's; others go on deciding meanwhile."""
        texts = await self._texts_of(tuple(packs.values()))
        # A text that was never kept is no pack.
        named = {name: texts.get(text_hash, "") for name, text_hash in packs.items()}
        try:
            return await asyncio.to_thread(load_own, named, (), self.installed.packs)
        except PackError as error:
            log.error("platform_packs_broken", packs=sorted(packs), errors=error.errors[:5])  # noqa: TRY400 - no mistake of ours
            return Packs((self._people,))
