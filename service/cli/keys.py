"""`makegood keys`: issue, list, rotate, revoke tokens of platforms and agents. A token goes to standard output, once, alone on its line."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, get_args
from uuid import UUID

import click

from service.cli.database import database_url, embedded_option, installation
from service.cli.groups import Group
from service.keys import (
    DAYS_DEFAULT,
    DAYS_MAX,
    OVERLAP_SECONDS_DEFAULT,
    OVERLAP_SECONDS_MAX,
    KeyRequestError,
    Keys,
    MadeKey,
    Role,
    listed_scopes,
)
from service.model import WireId, unwire, wire
from service.settings import Settings
from service.store.keys import Change, KeyListed, KeyStore
from service.store.platforms import PlatformRow, PlatformStore
from service.store.pool import Pool, open_pool

# One command, one statement or two.
_POOL_SIZE: Final = 2

_Result = TypeVar("_Result")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def with_pool(work: Callable[[Pool, Settings], Awaitable[_Result]], *, is_embedded: bool) -> _Result:
    """Runs one piece of work against the installation's database."""

    async def run(settings: Settings) -> _Result:
        async with await open_pool(database_url(settings), size=_POOL_SIZE, application="makegood keys") as pool:
            return await work(pool, settings)

    with installation(is_embedded=is_embedded) as settings:
        return asyncio.run(run(settings))


def who_and_why(command: _Command) -> _Command:
    """`--why` and `--who`: they are kept with the change."""
    why = click.option("--why", default="made at the command line", help="Kept with the change.")
    who = click.option("--who", default=lambda: f"cli:{getpass.getuser()}", help="Kept with the change. [default: your user name]")
    return why(who(command))


def who_and_reason(command: _Command) -> _Command:
    """The same where the reason has to be said."""
    why = click.option("--why", required=True, help="Why; kept with the change.")
    who = click.option("--who", default=lambda: f"cli:{getpass.getuser()}", help="Kept with the change. [default: your user name]")
    return why(who(command))


def _common(command: _Command) -> _Command:
    platform = click.option("--platform", "slug", required=True, help="The platform's short name.")
    return embedded_option(platform(command))


def _for_a_new_key(command: _Command) -> _Command:
    name = click.option("--name", required=True, help="Who uses it; stands on timelines.")
    scope = click.option("--scope", "scopes", multiple=True, help="Repeat for several. [default: all that such a key has use for]")
    days = click.option("--days", type=click.IntRange(1, DAYS_MAX), default=DAYS_DEFAULT, show_default=True, help="How long it works.")
    return _common(name(scope(days(who_and_why(command)))))


@click.group(cls=Group, elsewhere={"agents": "agents", "signing": "signing"})
def command() -> None:
    """Issue, list, rotate and revoke keys of platforms and agents; look after agents and the signing keys."""


@command.group
def make() -> None:
    """Make a key. Its token is printed once and kept nowhere: only its hash is."""


@make.command(epilog="\b\n" + "\n".join(["Scopes:", *(f"  {line}" for line in listed_scopes())]))
@_for_a_new_key
def platform(*, slug: str, name: str, scopes: tuple[str, ...], days: int, who: str, why: str, is_embedded: bool) -> None:
    """A key of the platform itself: it feeds orders and opens cases for its customers."""

    async def work(pool: Pool, _: Settings) -> MadeKey:
        found = await find_platform(pool, slug)
        return await Keys(KeyStore(pool)).make_platform_key(
            found.id, name=name, scopes=scopes, days=days, change=Change(actor=who, why=why)
        )

    _print_made(with_pool(_told(work), is_embedded=is_embedded))


@make.command
@_for_a_new_key
@click.option("--role", type=click.Choice(get_args(Role)), default="agent", show_default=True)
@click.option("--skill", "skills", multiple=True, help="What the agent can do; repeat for several.")
def agent(
    *,
    slug: str,
    name: str,
    scopes: tuple[str, ...],
    days: int,
    who: str,
    why: str,
    role: Role,
    skills: tuple[str, ...],
    is_embedded: bool,
) -> None:
    """A key of an agent, human or machine; makes the agent too, or gives a known one this role and these skills."""

    async def work(pool: Pool, _: Settings) -> MadeKey:
        found = await find_platform(pool, slug)
        return await Keys(KeyStore(pool)).make_agent_key(
            found.id, name=name, role=role, skills=skills, scopes=scopes, days=days, change=Change(actor=who, why=why)
        )

    _print_made(with_pool(_told(work), is_embedded=is_embedded))


@command.command("list")
@_common
def list_keys(slug: str, *, is_embedded: bool) -> None:
    """List keys: who, what for, until when. No token: none is kept."""

    async def work(pool: Pool, _: Settings) -> None:
        found = await find_platform(pool, slug)
        for key in await KeyStore(pool).listed(found.id):
            click.echo(_line(key))

    with_pool(work, is_embedded=is_embedded)


@command.command
@click.argument("key")
@_common
@click.option(
    "--overlap",
    type=click.IntRange(0, OVERLAP_SECONDS_MAX // 3600),
    default=OVERLAP_SECONDS_DEFAULT // 3600,
    show_default=True,
    help="How many hours the token before works too; 0 ends it at once.",
)
@click.option("--days", type=click.IntRange(1, DAYS_MAX), default=DAYS_DEFAULT, show_default=True, help="How long the key works from now.")
@who_and_reason
def rotate(key: str, *, slug: str, overlap: int, days: int, who: str, why: str, is_embedded: bool) -> None:
    """Give a key a new token; both work for the overlap. KEY is its id, as `keys list` shows it."""
    key_id = _key_id(key)

    async def work(pool: Pool, _: Settings) -> MadeKey:
        found = await find_platform(pool, slug)
        made = await Keys(KeyStore(pool)).rotate(
            found.id, key_id, overlap_seconds=overlap * 3600, days=days, change=Change(actor=who, why=why)
        )
        if made is None:
            raise click.ClickException("there is no such key on this platform that works")
        return made

    _print_made(with_pool(_told(work), is_embedded=is_embedded))


@command.command
@click.argument("key")
@_common
@who_and_reason
def revoke(key: str, slug: str, who: str, why: str, *, is_embedded: bool) -> None:
    """Take a key back; it opens nothing from this moment on. KEY is its id, as `keys list` shows it."""
    key_id = _key_id(key)

    async def work(pool: Pool, _: Settings) -> bool:
        found = await find_platform(pool, slug)
        return await KeyStore(pool).revoke(found.id, key_id, Change(actor=who, why=why))

    if not with_pool(work, is_embedded=is_embedded):
        raise click.ClickException("there is no such key on this platform, or it was revoked before")
    click.echo("revoked", err=True)


def _key_id(text: str) -> UUID:
    found = unwire(WireId.KEY, text)
    if found is None:
        raise click.BadParameter("an id looks like key_0192…, see `makegood keys list`")
    return found


async def find_platform(pool: Pool, slug: str) -> PlatformRow:
    found = await PlatformStore(pool).by_slug(slug)
    if found is None:
        raise click.ClickException(f"there is no platform {slug}; `makegood platform list` shows those there are")
    return found


def _told(work: Callable[[Pool, Settings], Awaitable[MadeKey]]) -> Callable[[Pool, Settings], Awaitable[MadeKey]]:
    async def told(pool: Pool, settings: Settings) -> MadeKey:
        try:
            return await work(pool, settings)
        except KeyRequestError as error:
            raise click.ClickException(str(error)) from error

    return told


def _print_made(key: MadeKey) -> None:
    ends = f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never"
    click.echo(f"{wire(WireId.KEY, key.id)}, works until {ends}, may: {', '.join(key.scopes)}", err=True)
    click.echo("The token, shown this once:", err=True)
    click.echo(key.token)


def _line(key: KeyListed) -> str:
    state = "works" if key.works else "revoked" if key.revoked_at else "has run out" if key.agent_id is None else "ended"
    if key.old_until is not None:
        state = f"two tokens until {key.old_until:%Y-%m-%d %H:%M} UTC"
    ends = f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "-"
    return f"{wire(WireId.KEY, key.id)}  {key.role or key.kind:9} {key.name:24} {state:11} {ends:10}  {' '.join(key.scopes)}"
