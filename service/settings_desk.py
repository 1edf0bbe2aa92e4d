"""A platform's settings as people and programs change them: checked whole, kept as versions with who and why, compared, brought back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.platform_checks import read_settings
from service.platforms import PlatformSettings, sealed
from service.sealing import Vault
from service.settings_reading import SettingsError
from service.store.keys import Change
from service.store.platforms import Kind, PlatformRow, PlatformStore, SettingVersion

# A secret is kept under this name and its own: `sealed_token` is what was given as `token`.
_SEALED: Final = "sealed_"
# Where a secret is sent, or what it is for. Where one of these changes, the secret is given anew: else whoever may change settings
# could have a secret that they were never shown sent to themselves.
_PLACES: Final = ("url", "kind", "jwks_url", "profile", "key_id", "issuer")
Agrees = Callable[[Mapping[str, str], PlatformSettings], Awaitable[Sequence[str]]]
"""packs (name -> hash), settings -> mistakes"""

# A page of history; people look at the newest.
HISTORY_MAX: Final = 100


class SettingsMoved(Exception):  # noqa: N818 - says what happened
    """Somebody changed the settings since the writer looked. `version`: the one that is there now."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class UnknownVersion(Exception):  # noqa: N818 - says what was asked for
    """The platform never had this version, or there is none before the first."""


class SettingsNow(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` without secrets; `secrets` names those that are set, such as `proof.secret`."""

    version: int
    settings: Mapping[str, Any]
    secrets: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One field that changed; None where it was, or is, left out. A secret says only that it is another one."""

    field: str
    was: Any
    became: Any


class VersionShown(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    at: datetime
    actor: str
    why: str
    back_to: int | None
    """the version that this one brought back"""
    changes: tuple[Difference, ...]
    """against the version before"""


AskedBy = Literal["installation", "platform"]


class SettingsDesk:
    """`kinds`: the installation's rails, name -> kind. `agrees`: what of a platform's packs and its settings does not go together."""

    def __init__(self, store: PlatformStore, vault: Vault, kinds: Mapping[str, str], agrees: Agrees) -> None:
        self._store = store
        self._agrees = agrees
        self._vault = vault
        self._kinds = kinds

    async def now(self, platform: UUID) -> SettingsNow:
        return shown(await self._row(platform))

    async def put(
        self, platform: UUID, document: Mapping[str, Any], change: Change, *, expected: int | None, asked_by: AskedBy = "installation"
    ) -> SettingsNow:
        """Takes the document in whole: what is left out has its default, but a secret that is left out stays, while where it is sent stays.

        Raises SettingsError naming every mistake, SettingsMoved.
        """
        row = await self._row(platform)
        if given := [_plain(place) for place, _ in _secrets(document)]:
            raise SettingsError([f"{place}: is given in the clear under its own name; its sealed form is not taken" for place in given])
        return await self._store_version(
            row, _with_secrets(document, row.settings), change, expected=expected, back_to=None, asked_by=asked_by
        )

    async def rollback(self, platform: UUID, to: int | None, change: Change, *, asked_by: AskedBy = "installation") -> SettingsNow:
        """Brings an earlier version back (None: the one before the present), checked as if it were new, and recorded as a version itself.

        Secrets stay as they are today, as far as they go to the same place: one that was replaced may have been stolen.
        Raises UnknownVersion, SettingsError, SettingsMoved.
        """
        row = await self._row(platform)
        target = row.version - 1 if to is None else to
        found = await self._store.version(platform, "settings", target)
        if found is None:
            raise UnknownVersion(target)
        bare = _without_secrets(found.body)
        body = _with_secrets(_with_secrets(bare, row.settings), found.body)
        return await self._store_version(row, body, change, expected=row.version, back_to=target, asked_by=asked_by)

    async def history(self, platform: UUID, *, before: int | None, most: int, kind: Kind = "settings") -> Sequence[VersionShown]:
        """Newest first."""
        most = min(most, HISTORY_MAX)
        found = list(await self._store.versions(platform, kind, before=before, most=most + 1))
        bodies = [*(one.body for one in found), {}]
        pairs = zip(found, bodies[1:], strict=True)
        return [_version(one, differences(earlier, one.body)) for one, earlier in pairs][:most]

    async def diff(self, platform: UUID, older: int, newer: int, kind: Kind = "settings") -> Sequence[Difference]:
        """Raises UnknownVersion."""
        bodies = []
        for number in (older, newer):
            found = await self._store.version(platform, kind, number)
            if found is None and not (kind == "packs" and number == 0):  # before the first packs of its own there are none
                raise UnknownVersion(number)
            bodies.append(found.body if found else {})
        return differences(*bodies)

    async def _store_version(
        self,
        row: PlatformRow,
        document: Mapping[str, Any],
        change: Change,
        *,
        expected: int | None,
        back_to: int | None,
        asked_by: AskedBy,
    ) -> SettingsNow:
        own = row.settings.get("rails") if asked_by == "platform" else None
        settings = read_settings(document, rails={name: kind for name, kind in self._kinds.items() if own is None or name in own})
        if asked_by == "platform" and (wider := list(_widened(row.settings, settings))):
            raise SettingsError(wider)
        if mistakes := await self._agrees(row.packs, settings):
            raise SettingsError(list(mistakes))
        stored = msgspec.to_builtins(sealed(settings, self._vault, row.slug))
        put = await self._store.put(row.id, "settings", stored, change, expected=expected, back_to=back_to)
        if put.result == "moved":
            raise SettingsMoved(put.version)
        return shown(msgspec.structs.replace(row, settings=stored, version=put.version))

    async def _row(self, platform: UUID) -> PlatformRow:
        row = await self._store.by_id(platform)
        if row is None:
            raise LookupError("a platform is never deleted")
        return row


def _widened(was: Mapping[str, Any], became: PlatformSettings) -> Iterator[str]:
    """The rails are the installation's: a platform gives up what it may use, and takes nothing more. So is who says who is at the desk."""
    if _sign_in(was.get("sign_in")) != _sign_in(msgspec.to_builtins(became.sign_in)):
        yield "sign_in: is for the installation to set: whoever names the identity provider could be any of the agents"
    if was.get("rails") is not None and became.rails is None:
        yield "rails: has to name some of those that you have; all of them are for the installation to give"
    for name in sorted(set(became.payouts.rails) - set(was.get("payouts", {}).get("rails", ()))):
        yield f"payouts.rails: {name} is for the installation to give"


def _sign_in(settings: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Without the secret, which is only ever given; but that one is given is a change."""
    return {name: value for name, value in (settings or {}).items() if name != "sealed_client_secret"}


def shown(row: PlatformRow) -> SettingsNow:
    secrets = tuple(sorted(_plain(place) for place, _ in _secrets(row.settings)))
    return SettingsNow(version=row.version, settings=_without_secrets({"name": row.slug, **row.settings}), secrets=secrets)


def differences(was: Mapping[str, Any], became: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Field by field, by name."""
    old, new = dict(_flat(was)), dict(_flat(became))
    return tuple(_difference(field, old, new) for field in sorted(old.keys() | new.keys()) if old.get(field) != new.get(field))


def _difference(field: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    if field.rpartition(".")[2].startswith(_SEALED):
        said: tuple[Literal["given"] | None, Literal["given anew", "given"] | None] = (
            "given" if field in old else None,
            None if field not in new else "given anew" if field in old else "given",
        )
        return Difference(field=_plain(field), was=said[0], became=said[1])
    return Difference(field=field, was=old.get(field), became=new.get(field))


def _version(one: SettingVersion, changes: tuple[Difference, ...]) -> VersionShown:
    return VersionShown(version=one.version, at=one.at, actor=one.actor, why=one.why, back_to=one.back_to, changes=changes)


def _flat(document: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _secrets(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((field, value) for field, value in _flat(document) if field.rpartition(".")[2].startswith(_SEALED))


def _plain(place: str) -> str:
    """`proof.sealed_secret` as `proof.secret`."""
    part, dot, name = place.rpartition(".")
    return f"{part}{dot}{name.removeprefix(_SEALED)}"


def _without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_secrets(value) if isinstance(value, Mapping) else value
        for name, value in document.items()
        if not name.startswith(_SEALED)
    }


def _with_secrets(document: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the stored secrets that it leaves out, where they still go to the same place."""
    full = dict(document)
    same = all(document.get(name) == stored.get(name) for name in _PLACES)
    for name, value in stored.items():
        if isinstance(value, Mapping) and isinstance(document.get(name), Mapping):
            full[name] = _with_secrets(document[name], value)
        elif name.startswith(_SEALED) and same and name not in document and document.get(name.removeprefix(_SEALED)) is None:
            full[name] = value
            full.pop(name.removeprefix(_SEALED), None)
    return full
