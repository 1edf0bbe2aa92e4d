"""`makegood keys signing`: the keys that sign access tokens, and how they follow each other."""

from __future__ import annotations

import click

from service.cli.database import embedded_option
from service.cli.keys import who_and_reason, with_pool
from service.settings import Settings
from service.signing import JWKS_SECONDS, KEYS_SECONDS, LEAD_SECONDS, SigningKeys
from service.store.keys import Change
from service.store.pool import Pool
from service.store.signing import SigningKeyRow, SigningKeyStore
from service.tokens import Sealer


@click.group
def command() -> None:
    """The keys that sign access tokens: published first, then signing, then kept until their last token has run out."""


@command.command("list")
@embedded_option
def list_keys(*, is_embedded: bool) -> None:
    """List the keys: state, since when, what comes next."""

    async def work(pool: Pool, _: Settings) -> None:
        for row in await SigningKeyStore(pool).all():
            click.echo(_line(row))

    with_pool(work, is_embedded=is_embedded)


@command.command
@click.option("--now", "has_leaked", is_flag=True, help="A key has leaked: a new one signs at once, all others and their tokens end.")
@who_and_reason
@embedded_option
def rotate(who: str, why: str, *, has_leaked: bool, is_embedded: bool) -> None:
    """Publish a key that will sign, once every edge knows it. The one of today is kept until its last token has run out."""
    change = Change(actor=who, why=why)

    async def work(pool: Pool, settings: Settings) -> bool:
        if settings.secret is None:
            raise click.ClickException("MAKEGOOD_SECRET is needed")
        keys = SigningKeys(SigningKeyStore(pool), Sealer(settings.secret.reveal().encode()))
        if not has_leaked:
            return await keys.rotate(change)
        await keys.withdraw(change)
        return True

    if not with_pool(work, is_embedded=is_embedded):
        raise click.ClickException("a next key is published already; `makegood keys signing list` says from when it signs")
    if has_leaked:
        click.echo(
            f"A new key signs in every process within {KEYS_SECONDS:.0f} s. Every token that was out is refused by us by then, and by"
        )
        click.echo(
            f"edges that check by themselves when they read the key set again, {JWKS_SECONDS} s at most. No pass is revoked: whoever opens"
        )
        click.echo("their case, their link by letter, or has the platform ask for the pass's token, gets it signed anew.")
    else:
        click.echo(f"published; it signs in {LEAD_SECONDS / 60:.0f} minutes, within a minute of that")


def _line(row: SigningKeyRow) -> str:
    following = ""
    if row.ready_at is not None:
        following = f"signs from {row.ready_at:%Y-%m-%d %H:%M} UTC"
    elif row.gone_at is not None:
        following = f"goes after {row.gone_at:%Y-%m-%d %H:%M} UTC"
    return f"{row.kid:44} {row.state:8} since {row.since:%Y-%m-%d %H:%M} UTC  {following}".rstrip()
