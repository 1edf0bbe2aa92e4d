"""A platform's own packs as people publish them: checked before they take effect, kept by hash, brought back by one command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from policies import FactError, PackError, Packs, below_minimum, load_own
from policies.facts import type_of_default
from service.platforms import PlatformSettings
from service.settings_desk import SettingsMoved, UnknownVersion
from service.settings_reading import SettingsError
from service.store import policies
from service.store.keys import Change
from service.store.platforms import PlatformRow, PlatformStore
from service.store.pool import Pool

_CANCELLED: Final = "show_cancelled"


class PackDesk:
    """`installed`: the installation's packs, which decide what a platform's own do not."""

    def __init__(self, pool: Pool, installed: Packs) -> None:
        self._pool = pool
        self._store = PlatformStore(pool)
        self._installed = installed

    async def publish(self, platform: UUID, texts: Mapping[str, str], change: Change, *, alone: bool) -> Mapping[str, str]:
        """These are the platform's own packs from the next decision on, in every process. Returns name -> hash.

        `texts`: a name for messages -> text. `alone`: it keeps no other of its own. Raises SettingsError with every mistake, SettingsMoved.
        """
        row = await self._row(platform)
        settings = _settings(row)
        try:
            found = load_own(texts, settings.languages, self._installed)
        except PackError as error:
            raise SettingsError(list(error.errors)) from error
        new = {pack.name: pack.hash for pack in found.by_name.values()}
        kept = {} if alone else row.packs
        await policies.keep(self._pool, [(pack.hash, pack.name, pack.text) for pack in found.by_name.values()])
        await self._put(row, {**kept, **new}, change, back_to=None)
        return new

    async def rollback(self, platform: UUID, to: int | None, change: Change) -> None:
        """Brings back an earlier version of its own packs (None: the one before the present; 0: none of its own), checked as a new one.

        Raises UnknownVersion, SettingsError, SettingsMoved.
        """
        row = await self._row(platform)
        target = row.packs_version - 1 if to is None else to
        found = await self._store.version(platform, "packs", target) if target > 0 else None
        if found is None and target != 0:
            raise UnknownVersion(target)
        await self._put(row, found.body if found else {}, change, back_to=target or None)

    async def mistakes(self, packs: Mapping[str, str], settings: PlatformSettings) -> Sequence[str]:
        """What of the platform's packs (name -> hash) and its settings does not go together."""
        texts = await policies.texts_of(self._pool, tuple(packs.values()))
        missing = [f"packs: the text of {name} was never kept here" for name, text_hash in packs.items() if text_hash not in texts]
        if missing:
            return missing
        try:
            own = load_own({name: texts[text_hash] for name, text_hash in packs.items()}, settings.languages, self._installed)
        except PackError as error:
            return [f"packs: {problem}" for problem in error.errors]
        found = _parameter_mistakes(own, self._installed, settings.parameters)
        if found:
            return found
        pack = own.for_problem(_CANCELLED)
        chosen = settings.parameters.get(pack.name) or {}
        return [f"packs: {problem}" for problem in below_minimum(pack, {k: v for k, v in chosen.items() if k in pack.parameters})]

    async def _put(self, row: PlatformRow, packs: Mapping[str, str], change: Change, *, back_to: int | None) -> None:
        if mistakes := await self.mistakes(packs, _settings(row)):
            raise SettingsError(list(mistakes))
        put = await self._store.put(row.id, "packs", dict(packs), change, expected=row.packs_version, back_to=back_to)
        if put.result == "moved":
            raise SettingsMoved(put.version)

    async def _row(self, platform: UUID) -> PlatformRow:
        row = await self._store.by_id(platform)
        if row is None:
            raise LookupError("a platform is never deleted")
        return row


def _settings(row: PlatformRow) -> PlatformSettings:
    return msgspec.convert({"name": row.slug, **row.settings}, PlatformSettings)


def _parameter_mistakes(own: Packs, installed: Packs, parameters: Mapping[str, Any]) -> list[str]:
    """Names of packs and parameters that there are not, and values of another type than the pack's own."""
    packs = {**installed.by_name, **own.by_name}
    found = []
    for name, chosen in parameters.items():
        pack = packs.get(name)
        if pack is None or not isinstance(chosen, Mapping):
            found.append(f"parameters.{name}: is not a pack with parameters; there are {', '.join(sorted(packs))}")
            continue
        for parameter, value in chosen.items():
            if parameter not in pack.parameters:
                found.append(f"parameters.{name}.{parameter}: is not a parameter; there are {', '.join(sorted(pack.parameters)) or 'none'}")
                continue
            try:
                type_of_default(pack.parameters[parameter]).check(value)
            except (ValueError, FactError) as error:
                found.append(f"parameters.{name}.{parameter}: {error}")
    return found
