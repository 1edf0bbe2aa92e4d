"""`makegood import`: orders of another system, from its files or from the running system, as often as you like."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from integrations.orders_pretix import NotTranslatable
from integrations.orders_pretix_files import FolderError
from integrations.orders_pretix_http import TIMEOUT_SECONDS, PretixReader
from integrations.orders_pretix_mapping import MappingError, Unanswered
from service.cli.database import database_url, embedded_option, installation
from service.cli.pretix_import import CursorFile, MappingFile, PretixImport, Refused
from service.feed_rules import FeedInvalid
from service.imports import Importer, OrderClash
from service.orders import FeedConflict, Orders
from service.ports import Declined, Unavailable
from service.shows import Shows
from service.store.orders import OrderStore
from service.store.platforms import PlatformStore
from service.store.pool import open_pool
from service.store.shows import ShowStore

# The import writes one order after the other; a second connection reads.
_POOL_SIZE: Final = 2

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(name="import")
def command() -> None:
    """Take over shows and orders from elsewhere."""


class Pretix(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said."""

    folders: tuple[Path, ...]
    platform: str
    mapping: Path
    url: str
    token: str
    organizer: str
    events: tuple[str, ...]
    state: Path


@command.command("pretix")
@click.argument("folders", nargs=-1, type=_FOLDER)
@click.option("--platform", required=True, metavar="SLUG", help="Whose orders these are.")
@click.option("--mapping", type=_FILE, default=Path("pretix-mapping.yaml"), show_default=True, help="What items and providers are to us.")
@click.option("--url", default="", help="The address of a running pretix, such as https://pretix.eu")
@click.option(
    "--token",
    default="",
    envvar="PRETIX_TOKEN",
    help="An API token that may view orders; better in PRETIX_TOKEN, which no list of processes shows.",
)
@click.option("--organizer", default="", help="The organizer's short form.")
@click.option("--event", "events", multiple=True, help="An event's short form; may be given several times.")
@click.option("--state", type=_FOLDER, default=Path(), help="Where to keep how far a live import has come.")
@embedded_option
def pretix(  # noqa: PLR0917 - click passes them by name
    folders: tuple[Path, ...],
    platform: str,
    mapping: Path,
    url: str,
    token: str,
    organizer: str,
    events: tuple[str, ...],
    state: Path,
    is_embedded: bool,  # noqa: FBT001 - a flag of the command line
) -> None:
    """Import orders of pretix from FOLDERS, each with event.json, items.json and orders.json, or live from --url.

    The first run writes a mapping for you to answer. Running again takes what has changed, and nothing twice.
    """
    asked = Pretix(
        folders=folders, platform=platform, mapping=mapping, url=url, token=token, organizer=organizer, events=events, state=state
    )
    if bool(folders) == bool(url):
        raise click.UsageError("give folders or --url, one of them")
    if url and not (token and organizer and events):
        raise click.UsageError("--url needs --token, --organizer and --event")
    with installation(is_embedded=is_embedded) as settings, _in_words(mapping):
        asyncio.run(_run(asked, database_url(settings)))


async def _run(asked: Pretix, dsn: str) -> None:
    async with await open_pool(dsn, size=_POOL_SIZE, application="makegood import") as pool:
        found = await PlatformStore(pool).by_slug(asked.platform)
        if found is None:
            raise click.ClickException(f"there is no platform {asked.platform}: makegood platform add")
        importer = Importer(shows=Shows(ShowStore(pool)), orders=Orders(OrderStore(pool)), platform_id=found.id, source="import:pretix")
        with _progress() as progress:
            work = PretixImport(importer, MappingFile(asked.mapping), progress)
            if asked.folders:
                await work.folders(asked.folders)
            else:
                await _live(asked, work)
    click.echo(", ".join(f"{count} {result}" for result, count in sorted(importer.counts.items())) or "no orders")


async def _live(asked: Pretix, work: PretixImport) -> None:
    async with httpx.AsyncClient(base_url=asked.url, timeout=TIMEOUT_SECONDS) as client:
        for event in asked.events:
            reader = PretixReader(client, token=asked.token, organizer=asked.organizer, event=event)
            await work.live(reader, CursorFile(asked.state / f"pretix-{asked.platform}-{asked.organizer}-{event}.cursor.json"))


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def _in_words(mapping: Path) -> Iterator[None]:
    """What an operator can mend, without a traceback."""
    try:
        yield
    except Unanswered as error:
        raise click.ClickException(f"answer every ? in {mapping}, then run this again:\n{error}") from None
    except MappingError as error:
        raise click.ClickException(f"{mapping}: {error}") from None
    except (Refused, FolderError, NotTranslatable, FeedInvalid, FeedConflict, OrderClash, Declined, Unavailable) as error:
        raise click.ClickException(str(error)) from None
