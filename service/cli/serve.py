"""`makegood serve`: answers over HTTP, and finishes what is due."""

from __future__ import annotations

import asyncio

import click

from service import serving
from service.cli.database import embedded_option, installation
from service.logs import configure


@click.command("serve")
@embedded_option
def command(*, is_embedded: bool) -> None:
    """Answer customers, agents and processors over HTTP, and finish what is due. Stops cleanly on SIGTERM."""
    with installation(is_embedded=is_embedded) as settings:
        configure(format=settings.log_format, level=settings.log_level)
        if settings.processes > 1:
            serving.side_by_side(settings, ["serve"])
        else:
            asyncio.run(serving.until_told(settings, listen=(settings.bind_host, settings.bind_port)))
