"""`makegood migrate`, and what every command needs first: the settings, with a database to go with them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import asyncpg
import click
import msgspec

from service.settings import NEEDED_TO_SERVE, Rail, Secret, Settings, SettingsError, embedded_secret, is_sandbox_only, load
from service.store import embedded, migrate

_DATABASE: Final = "makegood"
_SANDBOX_DATABASE: Final = "makegood_sandbox"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def embedded_option(command: _Command) -> _Command:
    """`--embedded`, spelled the same everywhere; hand it to `installation`."""
    text = "Use a PostgreSQL of our own in MAKEGOOD_DATA instead of MAKEGOOD_DATABASE_URL."
    return click.option("--embedded", "is_embedded", is_flag=True, help=text)(command)


@contextlib.contextmanager
def installation(*, is_embedded: bool) -> Iterator[Settings]:
    """The settings with a database and a secret in them; an embedded server runs for as long as the block does, and is migrated.

    Raises SettingsError when neither a database is named nor an embedded one asked for, or both.
    """
    if is_embedded:
        with _embedded(load(os.environ)) as settings:
            _migrated(database_url(settings))
            yield settings
    else:
        yield load(os.environ, needed=NEEDED_TO_SERVE)


@contextlib.contextmanager
def _embedded(settings: Settings) -> Iterator[Settings]:
    if settings.database_url is not None:
        raise click.UsageError("--embedded and MAKEGOOD_DATABASE_URL are two databases: leave one out")
    data = settings.data.resolve()
    with embedded.running(data / "pg") as server:
        yield msgspec.structs.replace(
            settings,
            data=data,
            database_url=Secret(embedded.ensure_database(server.dsn, _DATABASE)),
            # Without a rail of one's own, money moves in the sandbox's ledger alone.
            rails=settings.rails or (Rail(name="sandbox", kind="sandbox"),),
            sandbox_database_url=settings.sandbox_database_url or Secret(embedded.ensure_database(server.dsn, _SANDBOX_DATABASE)),
            secret=settings.secret or embedded_secret(data),
            # Whoever tries it has the receiver on the same machine.
            webhook_private_addresses=True,
        )


def database_url(settings: Settings) -> str:
    """The address of the database of an `installation`."""
    if settings.database_url is None:
        raise click.UsageError("MAKEGOOD_DATABASE_URL is not set; --embedded brings a database of its own")
    return settings.database_url.reveal()


def need_mail(settings: Settings) -> None:
    """Raises SettingsError where customers would wait for mail or texts that nobody sends. With sandboxes alone, they may stay here."""
    if is_sandbox_only(settings):
        return
    mistakes = ["MAKEGOOD_SMTP_HOST is needed: codes, tickets and answers go out by mail"] if settings.smtp is None else []
    mistakes += ["MAKEGOOD_TEXT is sandbox, which sends nobody anything: leave it out"] if settings.text == "sandbox" else []
    if mistakes:
        raise SettingsError(mistakes)


@click.command("migrate")
@embedded_option
def command(*, is_embedded: bool) -> None:
    """Bring the database to this release's tables. Safe to run again, and by several machines at once."""
    with _embedded(load(os.environ)) if is_embedded else contextlib.nullcontext(load(os.environ)) as settings:
        for name in _migrated(database_url(settings)):
            click.echo(f"applied {name}")
    click.echo("the database is up to date")


def _migrated(dsn: str) -> Sequence[str]:
    try:
        return asyncio.run(migrate.migrate(dsn))
    except (migrate.MigrationError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise click.ClickException(f"the database was not migrated: {error}") from error
