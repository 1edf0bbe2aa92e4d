"""`makegood policy publish`: a platform's own packs, checked whole, and in force everywhere with the next decision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from policies import GUARDS_FILE, RAILS_FILE, pack_files
from service.cli.database import embedded_option
from service.cli.keys import find_platform, who_and_reason, with_pool
from service.cli.platform_history import packs_of
from service.settings import Settings
from service.settings_desk import SettingsMoved
from service.settings_reading import SettingsError
from service.store.keys import Change
from service.store.pool import Pool

# The longest pack of ours has 30 kB; a file of this size is no pack.
_PACK_BYTES_MAX: Final = 1024 * 1024


@click.command
@click.argument("place", metavar="FOLDER|FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--platform", "slug", required=True, help="The platform's short name.")
@who_and_reason
@embedded_option
def publish(place: Path, slug: str, who: str, why: str, *, is_embedded: bool) -> None:
    """Let a platform decide by packs of its own: exactly those of FOLDER, or the one in FILE beside those that it has.

    They decide their problems for this platform, the installation's decide the others. They are checked first: that they load and their
    examples hold, in every language that the platform offers; that a cancelled show is paid back. `makegood platform rollback SLUG --packs`
    brings the ones before back.
    """
    texts, alone = _texts(place), place.is_dir()
    change = Change(actor=who, why=why)

    async def work(pool: Pool, settings: Settings) -> Mapping[str, str]:
        found = await find_platform(pool, slug)
        return await packs_of(pool, settings).publish(found.id, texts, change, alone=alone)

    try:
        published = with_pool(work, is_embedded=is_embedded)
    except SettingsError as error:
        raise click.ClickException("\n".join(["nothing was published:", *(f"  {one}" for one in error.mistakes)])) from error
    except SettingsMoved as error:
        raise click.ClickException(f"somebody published meanwhile: they are version {error.version} now") from error
    for name, text_hash in sorted(published.items()):
        click.echo(f"{name:<12} {text_hash[:12]}")


def _texts(place: Path) -> Mapping[str, str]:
    """Raises click.ClickException."""
    if place.is_dir() and (place / GUARDS_FILE).exists() | (place / RAILS_FILE).exists():
        raise click.ClickException(f"{GUARDS_FILE} and {RAILS_FILE} are the installation's; a platform sets tighter caps in its settings")
    files = pack_files(place) if place.is_dir() else [place]
    if not files:
        raise click.ClickException(f"no pack (*.yaml) is in {place}")
    texts = {}
    for path in files:
        if path.stat().st_size > _PACK_BYTES_MAX:
            raise click.ClickException(f"{path.name} is larger than {_PACK_BYTES_MAX} bytes")
        try:
            texts[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise click.ClickException(f"{path.name} is not UTF-8 text") from error
    return texts
