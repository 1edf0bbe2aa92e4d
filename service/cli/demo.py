"""`makegood demo`: a live show's problems, resolved as one watches, on a database and a sandbox of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import click
import msgspec

from service.api.host_demo import mounted
from service.demo.evening import open_evening
from service.demo.ground import Ground, hold_ground, without_settings
from service.demo.host import Host
from service.demo.journal import Journal
from service.demo.night import Mailbox, Night, open_night
from service.demo.play import Summary, play
from service.demo.scenarios import SCENARIOS
from service.demo.screen import Screen
from service.demo.stage import PLATFORM
from service.demo.visit import curl_lines, more_links, places, sign_in_links
from service.logs import configure
from service.settings import Settings, load
from service.store.migrate import MigrationError

# What a shell makes of a program that Ctrl-C ended (128 + SIGINT).
_INTERRUPTED: Final = 130


@click.command("demo")
@click.option("--once", is_flag=True, help="Play, print the sums as one line of JSON, and exit: 0 when all ended as it should.")
@click.option("--reset", is_flag=True, help="Forget all plays before this one.")
def command(*, once: bool, reset: bool) -> None:
    """Play a live show's problems and watch them being resolved.

    Brings its own PostgreSQL in MAKEGOOD_DATA (.data); money and mail are a sandbox's. Play it as often as you like.
    It listens at MAKEGOOD_BIND, or else on the first free port from 8080 on.
    """
    heard = without_settings(os.environ)
    chosen = load(heard)
    data = chosen.data.resolve()
    bind = (chosen.bind_host, chosen.bind_port) if heard.get("MAKEGOOD_BIND", "").strip() else None
    screen = Screen()
    screen.line(f"Starting PostgreSQL in {data / 'pg'} …", "dim")
    try:
        with hold_ground(data, bind) as ground, ground.log.open("w", encoding="utf-8", buffering=1) as log:
            configure(format="json", level="info", stream=log)
            status = asyncio.run(_demo(ground, screen, once=once, reset=reset))
    except MigrationError as error:
        raise click.ClickException(f"{error}\n`makegood demo --reset` starts over.") from error
    except (OSError, TimeoutError) as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(status)


async def _demo(ground: Ground, screen: Screen, *, once: bool, reset: bool) -> int:
    """The exit status."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    if reset:
        await ground.clear()
    journal = Journal(screen.says)
    settings = await ground.prepare()
    mailbox = Mailbox(lambda mail: screen.mails(journal, mail), lambda text: screen.texts(journal, text))
    host = Host()
    async with open_night(settings, platform=PLATFORM, mailbox=mailbox, more=mounted(host)) as night:
        screen.line(f"Makegood answers at {night.address}. Its log is {ground.log}.", "dim")
        await host.opens(night)
        summary = await _play_until(told, night, journal, screen)
        if summary is None:
            return _INTERRUPTED
        if not once:
            await _stay_until(told, night, screen, more_links(night, _reveal(settings), ground.data))
    if once:
        click.echo(msgspec.json.encode(summary).decode())
    return 1 if summary.failed and once else 0


async def _play_until(told: asyncio.Event, night: Night, journal: Journal, screen: Screen) -> Summary | None:
    """The sums of the play; None when somebody stopped it."""
    started = time.perf_counter()
    playing = asyncio.create_task(play(night, SCENARIOS, journal, screen))
    stopped = asyncio.create_task(told.wait())
    await asyncio.wait([playing, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not playing.done():
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing
        return None
    stopped.cancel()
    screen.sums(playing.result(), time.perf_counter() - started)
    return playing.result()


def _reveal(settings: Settings) -> str:
    return settings.database_url.reveal() if settings.database_url else ""


async def _stay_until(told: asyncio.Event, night: Night, screen: Screen, more: str) -> None:
    screen.line("\nIt stays up until Ctrl-C. To open:", "bold")
    for what, address in places(night):
        screen.line(f"  {address:<46} {what}")
    screen.line("To try, with tokens of this demo alone:", "bold")
    for what, line in await curl_lines(night):
        screen.line(f"  # {what}", "dim")
        # Not through the screen: a line that is wrapped cannot be pasted.
        click.echo(line)
    async with open_evening(night) as evening:
        screen.line("\nThe evening goes on. The first customers are coming …", "dim")
        screen.hush()
        if await _unless(told, evening.crowd()):
            going_on = asyncio.create_task(evening.goes_on())
            await _show_the_way_in(told, night, screen, more)
            going_on.cancel()
            with suppress(asyncio.CancelledError):
                await going_on
    screen.line("\nStopping.", "dim")


async def _unless(told: asyncio.Event, doing: Coroutine[Any, Any, object]) -> bool:
    """Whether it was done before somebody stopped it."""
    work, stopped = asyncio.create_task(doing), asyncio.create_task(told.wait())
    await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if work.done():
        await work
        return True
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    return False


async def _show_the_way_in(told: asyncio.Event, night: Night, screen: Screen, more: str) -> None:
    """Says it, and at each Enter says it anew, until somebody stops it."""
    wanted = asyncio.Event()
    wanted.set()
    is_typed = _watch_enter(wanted)
    while await _unless(told, wanted.wait()):
        wanted.clear()
        screen.line(f"\nThe console: {night.address}/desk. Each link signs in once, within two minutes:", "bold")
        for who, link in await sign_in_links(night):
            screen.line(f"  # {who}", "dim")
            click.echo(link)
        screen.line("  # another one, from a second terminal", "dim")
        click.echo(more)
        if is_typed:
            screen.line("Enter: fresh links. Ctrl-C: the end.", "dim")
    if is_typed:
        asyncio.get_running_loop().remove_reader(sys.stdin)


def _watch_enter(wanted: asyncio.Event) -> bool:
    """Whether there is a terminal at which somebody can press Enter."""
    if not sys.stdin.isatty():
        return False

    def read() -> None:
        if sys.stdin.readline():
            wanted.set()
        else:
            asyncio.get_running_loop().remove_reader(sys.stdin)

    asyncio.get_running_loop().add_reader(sys.stdin, read)
    return True
