"""`makegood worker`: finishes what is due, beside the processes that serve."""

from __future__ import annotations

import asyncio

import click

from service import serving
from service.cli.database import embedded_option, installation, need_mail
from service.logs import configure


@click.command("worker")
@embedded_option
def command(*, is_embedded: bool) -> None:
    """Finish what is due: retries, mail, waits that end. As many of these as you like, on as many machines."""
    with installation(is_embedded=is_embedded) as settings:
        need_mail(settings)
        configure(format=settings.log_format, level=settings.log_level)
        if settings.processes > 1:
            serving.side_by_side(settings, ["worker"])
        else:
            asyncio.run(serving.until_told(settings, listen=None))
