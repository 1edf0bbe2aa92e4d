"""`makegood sandbox`: what a shop's checkout would have done at a real processor, done in the sandbox's ledger."""

from __future__ import annotations

import asyncio

import click

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import SandboxBooks
from service.cli.database import embedded_option, installation
from service.model import Money
from service.settings import Settings


@click.group
def command() -> None:
    """Make charges in the sandbox, so that they can be refunded."""


@command.command
@click.argument("reference")
@click.option("--amount", required=True, type=click.IntRange(min=1), help="In minor units: 2500 is EUR 25.00.")
@click.option("--currency", required=True, help="ISO 4217, such as EUR.")
@click.option("--rail", default="sandbox", show_default=True, help="The sandbox rail's name.")
@embedded_option
def charge(reference: str, amount: int, currency: str, rail: str, *, is_embedded: bool) -> None:
    """Charge a card that does not exist. REFERENCE is the payment's `provider_ref` in the order feed. Again changes nothing."""
    with installation(is_embedded=is_embedded) as settings:
        asyncio.run(_charge(settings, rail, reference, Money(minor=amount, currency=currency)))
    click.echo(f"{reference}: {amount} {currency} charged in the sandbox")


async def _charge(settings: Settings, rail: str, reference: str, amount: Money) -> None:
    dsn = next((one.database_url for one in settings.rails if one.name == rail and one.kind == "sandbox"), None)
    dsn = dsn or settings.sandbox_database_url
    if dsn is None:
        raise click.ClickException(f"there is no sandbox rail {rail}")
    pool = await open_sandbox(dsn.reveal())
    try:
        await SandboxBooks(rail, pool).load_charge(reference, amount)
    finally:
        await pool.close()
