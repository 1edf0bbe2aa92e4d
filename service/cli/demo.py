"""`makegood demo`: a live show's problems, resolved as one watches, on a database and a sandbox of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Final

import click
import msgspec

from service.demo.ground import Ground, hold_ground, without_settings
from service.demo.journal import Journal
from service.demo.night import Mailbox, Night, open_night
from service.demo.play import Summary, play
from service.demo.scenarios import SCENARIOS
from service.demo.screen import Screen
from service.demo.stage import PLATFORM
from service.demo.visit import curl_lines, places, stay_live
from service.logs import configure
from service.settings import load
from service.store.migrate import MigrationError

# What a shell makes of a program that Ctrl-C ended (128 + SIGINT).
_INTERRUPTED: Final = 130


@click.command("demo")
@click.option("--once", is_flag=True, help="Play, print the sums as one line of JSON, and exit: 0 when all ended as it should.")
@click.option("--reset", is_flag=True, help="Forget all plays before this one.")
def command(*, once: bool, reset: bool) -> None:
    """Play a live show's problems and watch them being resolved.

    Brings its own PostgreSQL in MAKEGOOD_DATA (.data); money and mail are a sandbox's. Play it as often as you like.
    """
    data = load(without_settings(os.environ)).data.resolve()
    screen = Screen()
    screen.line(f"Starting PostgreSQL in {data / 'pg'} …", "dim")
    try:
        with hold_ground(data) as ground, ground.log.open("w", encoding="utf-8", buffering=1) as log:
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
    mailbox = Mailbox(lambda mail: screen.mails(journal, mail))
    async with open_night(settings, platform=PLATFORM, mailbox=mailbox) as night:
        screen.line(f"Makegood answers at {night.address}. Its log is {ground.log}.", "dim")
        summary = await _play_until(told, night, journal, screen)
        if summary is None:
            return _INTERRUPTED
        if not once:
            await _stay_until(told, night, screen)
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


async def _stay_until(told: asyncio.Event, night: Night, screen: Screen) -> None:
    screen.line("\nIt stays up until Ctrl-C. To open:", "bold")
    for what, address in places(night):
        screen.line(f"  {address:<46} {what}")
    screen.line("To try, with tokens of this demo alone:", "bold")
    for what, line in await curl_lines(night):
        screen.line(f"  # {what}", "dim")
        # Not through the screen: a line that is wrapped cannot be pasted.
        click.echo(line)
    live = asyncio.create_task(stay_live(night))
    await told.wait()
    live.cancel()
    with suppress(asyncio.CancelledError):
        await live
    screen.line("\nStopping.", "dim")
