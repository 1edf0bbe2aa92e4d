"""`makegood serve`: answers over HTTP, and finishes what is due."""

from __future__ import annotations

import asyncio

import click

from service import serving
from service.cli.database import embedded_option, installation, need_mail
from service.logs import configure


@click.command("serve")
@click.option("--beside", is_flag=True, hidden=True, help="One of several processes that share the port.")
@embedded_option
def command(*, beside: bool, is_embedded: bool) -> None:
    """Answer customers, agents and processors over HTTP, and finish what is due. Stops cleanly on SIGTERM."""
    with installation(is_embedded=is_embedded) as settings:
        need_mail(settings)
        if not beside and serving.is_taken(settings.bind_host, settings.bind_port):
            raise click.ClickException(
                f"something answers at {settings.bind_host}:{settings.bind_port} already; MAKEGOOD_BIND names another address"
            )
        configure(format=settings.log_format, level=settings.log_level)
        if settings.processes > 1:
            serving.side_by_side(settings, ["serve", "--beside"])
        else:
            asyncio.run(serving.until_told(settings, listen=(settings.bind_host, settings.bind_port)))
