"""`makegood platform`: add a platform with its settings, change them, list platforms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import yaml

from service.cli.database import embedded_option
from service.cli.groups import Group
from service.cli.keys import find_platform, who_and_why, with_pool
from service.cli.platform_history import packs_of
from service.model import new_id
from service.platform_checks import read_settings
from service.platforms import SLUG, VAULT_PURPOSE, PlatformSettings, sealed
from service.sealing import Vault
from service.settings import Settings, SettingsError
from service.store.keys import Change
from service.store.platforms import PlatformStore
from service.store.pool import Pool

# Legal texts in ten languages fit.
_FILE_BYTES_MAX: Final = 1024 * 1024

_EXISTING_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Group, elsewhere={name: f"platform_history:{name}" for name in ("history", "diff", "rollback")})
def command() -> None:
    """Add and list platforms: the businesses that this installation serves, strictly apart. Compare settings, bring earlier ones back."""


@command.command
@click.argument("slug")
@click.option("--settings", "file", type=_EXISTING_FILE, help="YAML or JSON: name, languages, zone, sender, contacts, proof, modes, caps…")
@click.option("--change", "may_change", is_flag=True, help="Give a platform that is there already these settings.")
@who_and_why
@embedded_option
def add(slug: str, file: Path | None, who: str, why: str, *, may_change: bool, is_embedded: bool) -> None:
    """Add a platform. SLUG is its short name: it goes into the header Makegood-Platform and never changes."""
    if not SLUG.fullmatch(slug):
        raise click.BadParameter("small letters, digits and dashes, 63 at most")

    async def work(pool: Pool, installed: Settings) -> bool:
        stored = _settings(file, slug, installed)
        store, change = PlatformStore(pool), Change(actor=who, why=why)
        if await store.add(new_id(), slug, stored, change):
            return True
        if may_change:
            found = await find_platform(pool, slug)
            if mistakes := await packs_of(pool, installed).mistakes(found.packs, msgspec.convert(stored, PlatformSettings)):
                raise click.ClickException("\n".join([f"{file}:", *(f"  {mistake}" for mistake in mistakes)]))
            await store.change(slug, stored, change)
        return may_change

    if not with_pool(work, is_embedded=is_embedded):
        raise click.ClickException(f"there is a platform {slug} already; --change gives it these settings")
    click.echo(f"{slug} is there; `makegood keys make platform --platform {slug} --name shop` makes its first key", err=True)


@command.command("list")
@embedded_option
def list_platforms(*, is_embedded: bool) -> None:
    """List platforms: short name, name, languages, zone, whether its own JWTs count."""

    async def work(pool: Pool, _: Settings) -> None:
        for row in await PlatformStore(pool).all():
            settings = msgspec.convert({"name": row.slug, **row.settings}, PlatformSettings)
            proof = "jwt" if settings.proof else "-"
            click.echo(f"{row.slug:24} {settings.name:32} {','.join(settings.languages):12} {settings.zone:20} {proof}")

    with_pool(work, is_embedded=is_embedded)


def _settings(file: Path | None, slug: str, installed: Settings) -> Mapping[str, Any]:
    """The checked settings as they are stored: JSON, a shared secret sealed. Raises click.ClickException with every mistake."""
    document = {"name": slug, **_read(file)} if file else {"name": slug}
    try:
        settings = read_settings(document, rails={rail.name: rail.kind for rail in installed.rails})
    except SettingsError as error:
        raise click.ClickException("\n".join([f"{file}:", *(f"  {mistake}" for mistake in error.mistakes)])) from error
    if installed.secret is None:
        raise click.ClickException("MAKEGOOD_SECRET is needed")
    stored: dict[str, Any] = msgspec.to_builtins(sealed(settings, Vault(installed.secret.reveal().encode(), purpose=VAULT_PURPOSE), slug))
    return stored


def _read(file: Path) -> Mapping[str, Any]:
    if file.stat().st_size > _FILE_BYTES_MAX:
        raise click.ClickException(f"{file} is larger than {_FILE_BYTES_MAX} bytes")
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # the error's own text quotes the file, which may hold a secret
        place = getattr(error, "problem_mark", None)
        raise click.ClickException(f"{file} is not YAML{f', line {place.line + 1}' if place else ''}") from None
    if not isinstance(document, Mapping):
        raise click.ClickException(f"{file} has to be an object with settings")
    return document
