"""`makegood platform history | diff | rollback`: who changed what on a platform and why; what differs; one command that brings it back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from policies import PackError, bundled_folder, load_packs
from service.cli.database import embedded_option
from service.cli.keys import find_platform, who_and_reason, with_pool
from service.pack_desk import PackDesk
from service.platforms import VAULT_PURPOSE, PlatformSettings
from service.sealing import Vault
from service.settings import Settings
from service.settings_desk import Difference, SettingsDesk, SettingsMoved, UnknownVersion
from service.settings_reading import SettingsError
from service.store.keys import Change
from service.store.platforms import ChangeMade, Kind, PlatformRow, PlatformStore
from service.store.pool import Pool

# A screen or two; more is for `--most`.
_LINES: Final = 50
_LINES_MAX: Final = 1000

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _of(command: _Command) -> _Command:
    help_text = "Of its own packs instead of its settings."
    return click.option("--packs", "kind", flag_value="packs", help=help_text)(
        click.option("--settings", "kind", flag_value="settings", default=True, hidden=True)(command)
    )


@click.command
@click.argument("slug")
@click.option("--most", type=click.IntRange(1, _LINES_MAX), default=_LINES, show_default=True)
@embedded_option
def history(slug: str, most: int, *, is_embedded: bool) -> None:
    """Show what anybody changed on the platform SLUG: settings, packs, shows, brakes, keys, agents. The newest first."""

    async def work(pool: Pool, _: Settings) -> None:
        found = await find_platform(pool, slug)
        for one in await PlatformStore(pool).changes(found.id, most):
            click.echo(_line(one))

    with_pool(work, is_embedded=is_embedded)


@click.command
@click.argument("slug")
@click.argument("older", type=click.IntRange(0), required=False)
@click.argument("newer", type=click.IntRange(1), required=False)
@_of
@embedded_option
def diff(slug: str, older: int | None, newer: int | None, *, kind: Kind, is_embedded: bool) -> None:
    """Show what differs between two versions; without them, between the present one and the one before."""

    async def work(pool: Pool, settings: Settings) -> Iterable[Difference]:
        found = await find_platform(pool, slug)
        last = newer if newer is not None else _version(found, kind)
        first = older if older is not None else last - 1
        return await _desk(pool, settings).diff(found.id, first, last, kind)

    try:
        differences = with_pool(work, is_embedded=is_embedded)
    except UnknownVersion as error:
        raise click.ClickException(f"there is no version {error} of it") from error
    _print(differences)


@click.command
@click.argument("slug")
@click.option("--to", type=click.IntRange(0), help="The version to bring back. [default: the one before the present]")
@_of
@who_and_reason
@embedded_option
def rollback(slug: str, *, to: int | None, kind: Kind, who: str, why: str, is_embedded: bool) -> None:
    """Bring back an earlier version of the platform's settings, or with --packs of its own packs; checked, and recorded as a new one."""
    change = Change(actor=who, why=why)

    async def work(pool: Pool, settings: Settings) -> Iterable[Difference]:
        found = await find_platform(pool, slug)
        desk = _desk(pool, settings)
        if kind == "packs":
            await packs_of(pool, settings).rollback(found.id, to, change)
        else:
            await desk.rollback(found.id, to, change)
        now = await find_platform(pool, slug)
        return (
            ()
            if _version(now, kind) == _version(found, kind)
            else await desk.diff(found.id, _version(found, kind), _version(now, kind), kind)
        )

    try:
        differences = with_pool(work, is_embedded=is_embedded)
    except UnknownVersion as error:
        raise click.ClickException(f"there is no version {error} to bring back") from error
    except SettingsMoved as error:
        raise click.ClickException(f"somebody changed it meanwhile: it is version {error.version} now") from error
    except SettingsError as error:
        raise click.ClickException(
            "\n".join(["that version does not hold here any more:", *(f"  {one}" for one in error.mistakes)])
        ) from error
    _print(differences)


def _desk(pool: Pool, settings: Settings) -> SettingsDesk:
    if settings.secret is None:
        raise click.ClickException("MAKEGOOD_SECRET is needed")
    vault = Vault(settings.secret.reveal().encode(), purpose=VAULT_PURPOSE)
    kinds = {rail.name: rail.kind for rail in settings.rails}

    async def agrees(packs: Mapping[str, str], chosen: PlatformSettings) -> Sequence[str]:
        return await packs_of(pool, settings).mistakes(packs, chosen)

    return SettingsDesk(PlatformStore(pool), vault, kinds, agrees)


def packs_of(pool: Pool, settings: Settings) -> PackDesk:
    """The desk for platforms' own packs, beside this installation's. Raises click.ClickException."""
    try:
        return PackDesk(pool, load_packs(settings.policies or bundled_folder(), settings.languages))
    except PackError as error:
        raise click.ClickException(
            "\n".join(["the installation's own packs do not hold:", *(f"  {one}" for one in error.errors)])
        ) from error


def _version(row: PlatformRow, kind: Kind) -> int:
    return row.packs_version if kind == "packs" else row.version


def _print(differences: Iterable[Difference]) -> None:
    lines = [f"{one.field}: {_said(one.was)} -> {_said(one.became)}" for one in differences]
    click.echo("\n".join(lines) if lines else "nothing differs")


def _said(value: object) -> str:
    return "(left out)" if value is None else msgspec.json.encode(value).decode()


def _line(one: ChangeMade) -> str:
    version = f" {one.data['version']}" if "version" in one.data else ""
    named = ("back_to", "name", "scope", "ref", "show", "key")
    about = ", ".join(f"{name} {one.data[name]}" for name in named if one.data.get(name) not in {None, ""})
    return f"{one.at:%Y-%m-%d %H:%M:%S} UTC  {one.what}{version}  {about + '  ' if about else ''}by {one.actor}: {one.why}".rstrip(": ")
