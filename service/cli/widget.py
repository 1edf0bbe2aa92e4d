"""`makegood widget`: the line that puts the help widget into a page."""

from __future__ import annotations

import click

from service.cli.database import embedded_option
from service.cli.keys import find_platform, with_pool
from service.settings import Settings
from service.store.pool import Pool
from service.widget_build import BuildError, embed_line, read_build


@click.group
def command() -> None:
    """Embed the help widget."""


@command.command
@click.option("--platform", required=True, help="Whose customers it helps.")
@click.option("--show", help="The show that the page is about: its reference.")
@click.option(
    "--pinned/--no-pinned",
    "is_pinned",
    default=False,
    help="Name exactly this release's script, with its hash: it never changes, and gets no correction until you put in the next line.",
)
@embedded_option
def embed(platform: str, show: str | None, *, is_pinned: bool, is_embedded: bool) -> None:
    """Print the line for a platform's pages. Their origins have to stand in the platform's settings."""

    async def work(pool: Pool, installed: Settings) -> tuple[Settings, bool]:
        found = await find_platform(pool, platform)
        return installed, bool(found.settings.get("origins"))

    installed, has_origins = with_pool(work, is_embedded=is_embedded)
    try:
        build = read_build()
    except BuildError as error:
        raise click.ClickException(str(error)) from error
    if build is None:
        raise click.ClickException("the widget has not been built here: run `make setup`")
    click.echo(embed_line(installed.public_url, platform, show=show, pinned=build if is_pinned else None))
    if not has_origins:
        click.echo(f"no page may call yet: name yours in `origins` of {platform}'s settings (https://shop.example)", err=True)
    if not installed.has_public_url:
        click.echo("MAKEGOOD_PUBLIC_URL is not set: the line says only where this machine listens", err=True)
