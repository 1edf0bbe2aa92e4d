"""`makegood money`: what those who run the installation do about money on all its platforms: stop it, let it go."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import click
import msgspec

from service.cli.database import embedded_option
from service.cli.keys import find_platform, with_pool
from service.settings import Settings
from service.store.brakes import BrakeEverywhere, BrakeStore
from service.store.pool import Pool

# Commands that live in modules of their own, imported when called: name -> module of this package, with a click command called `command`.
_ELSEWHERE: Final[Mapping[str, str]] = {"audit": "money_audit", "recover": "money_recover"}

# Who did it, as the audit and the list of brakes say it: whoever may run commands here. `--reason` can name a person.
_ACTOR: Final = "operator"
# As long as over HTTP.
_REASON_LENGTH_MAX: Final = 500

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Where(msgspec.Struct, frozen=True, kw_only=True):
    """What a command is about: a brake's scope and reference, on one platform or on all."""

    platform: UUID | None
    scope: str
    ref: str
    words: str


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command = importlib.import_module(f"service.cli.{_ELSEWHERE[cmd_name]}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a module of this package, checked by a test
        return command


@click.group(cls=_Group)
def command() -> None:
    """Stop money and let it go, compare it with the processors' books, and recover after a restored backup."""


def _reason(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    text = value.strip()
    if not text or len(text) > _REASON_LENGTH_MAX or not text.isprintable():
        raise click.BadParameter(f"one line of 1 to {_REASON_LENGTH_MAX} characters: it is kept, and shown to everybody who asks why")
    return text


def _about(command: _Command) -> _Command:
    rail = click.option("--rail", help="Only this rail, on every platform.")
    platform = click.option("--platform", "slug", help="Only this platform, by its short name.")
    show = click.option("--show", metavar="PLATFORM/SHOW", help="Only this show of a platform.")
    reason = click.option("--reason", required=True, callback=_reason, help="Why; kept with when.")
    return embedded_option(rail(platform(show(reason(command)))))


@command.command
@_about
def stop(*, rail: str | None, slug: str | None, show: str | None, reason: str, is_embedded: bool) -> None:
    """Send nothing new: everywhere, or on one rail, platform or show. What was sent is followed up. The same again changes the reason."""

    async def work(store: BrakeStore, where: _Where) -> None:
        if where.platform is None:
            count = await store.put_all(where.scope, where.ref, reason=reason, actor=_ACTOR)
            click.echo(f"stopped: {where.words} ({_counted(count, 'platform')})")
        else:
            await store.put(where.platform, where.scope, where.ref, reason=reason, actor=_ACTOR)
            click.echo(f"stopped: {where.words}")
        _print(await store.everywhere())

    _run(work, rail=rail, slug=slug, show=show, is_embedded=is_embedded)


@command.command
@_about
def go(*, rail: str | None, slug: str | None, show: str | None, reason: str, is_embedded: bool) -> None:
    """Take back what `stop` with the same options did: what waited goes at once, unless something else holds it."""

    async def work(store: BrakeStore, where: _Where) -> None:
        if where.platform is None:
            freed = await store.release_all(where.scope, where.ref, reason=reason, actor=_ACTOR)
        else:
            freed = await store.release(where.platform, where.scope, where.ref, reason=reason, actor=_ACTOR)
        if freed is None:
            click.echo(f"nothing was stopped by that name: {where.words}")
        else:
            click.echo(f"goes again: {where.words}, {_counted(freed, 'operation')}")
        _print(await store.everywhere())

    _run(work, rail=rail, slug=slug, show=show, is_embedded=is_embedded)


def _run(
    work: Callable[[BrakeStore, _Where], Awaitable[None]], *, rail: str | None, slug: str | None, show: str | None, is_embedded: bool
) -> None:
    if sum(one is not None for one in (rail, slug, show)) > 1:
        raise click.UsageError("--rail, --platform and --show are three different things: name one of them, or none for everything")

    async def run(pool: Pool, settings: Settings) -> None:
        where = await _where(pool, settings, rail=rail, slug=slug, show=show)
        await work(BrakeStore(pool), where)

    with_pool(run, is_embedded=is_embedded)


async def _where(pool: Pool, settings: Settings, *, rail: str | None, slug: str | None, show: str | None) -> _Where:
    """Raises click.ClickException for what is not there: a brake on it would hold nothing back, and its author would believe it does."""
    if rail is not None:
        known = [one.name for one in settings.rails]
        if rail not in known:
            raise click.ClickException(f"there is no rail {rail}; there {'is' if len(known) == 1 else 'are'} {', '.join(known) or 'none'}")
        return _Where(platform=None, scope="rail", ref=rail, words=f"rail {rail}")
    if slug is not None:
        return _Where(platform=(await find_platform(pool, slug)).id, scope="all", ref="", words=f"everything of {slug}")
    if show is not None:
        of, slash, ref = show.partition("/")
        if not slash or not ref:
            raise click.BadParameter("a show is named by its platform and its reference: northern/nll26", param_hint="--show")
        platform = await find_platform(pool, of)
        found = await BrakeStore(pool).show(platform.id, ref)
        if found is None:
            raise click.ClickException(f"{of} has no show {ref}")
        return _Where(platform=platform.id, scope="show", ref=str(found), words=f"show {ref} of {of}")
    return _Where(platform=None, scope="all", ref="", words="everything")


def _print(brakes: Sequence[BrakeEverywhere]) -> None:
    if not brakes:
        click.echo("nothing is stopped")
        return
    click.echo("stopped now:")
    for one in brakes:
        what = "everything" if one.scope == "all" else f"{one.scope} {one.ref}"
        click.echo(
            f"  {one.platform:24} {what:32} since {one.created_at:%Y-%m-%d %H:%M} UTC by {one.actor}: {one.reason}"
            f" ({_counted(one.waiting, 'operation')} waiting)"
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
