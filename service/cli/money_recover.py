"""`makegood money recover`: after a restored backup, nothing is sent until every refund since then is in our books again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from service.cli.database import database_url, embedded_option, installation
from service.cli.money_audit import Moment, find_rail, open_rails, read_report
from service.ports import Movement, Unavailable
from service.recovery import LISTED_MAX, NotStopped, Recovered, Recovery
from service.settings import Settings
from service.store.audit import AuditStore
from service.store.pool import open_pool

_POOL_SIZE: Final = 2
# As of an audit that found differences: something is left to do.
_NOT_COMPLETE: Final = 3
_ACTOR: Final = "operator"

_MEANINGS: Final[Mapping[str, str]] = {
    "applied": "taken up: we had the refund as not sent, or not settled",
    "known": "in our books already",
    "noted": "failed there; no money moved",
    "elsewhere": "made by others; counted",
    "lost": "ours, of an operation that is not here any more; counted, and more money of these orders waits for a person",
    "unknown_payment": "ours, of an order that is not here: let the platform feed its orders again, then run this again",
    "mismatch": "of another amount than ours: a person compares both",
    "people": "beside another attempt that may have paid: a person judges the operation",
}


@click.command("recover")
@click.option("--since", type=Moment(), required=True, help="When the backup was taken, or earlier.")
@click.option(
    "--report", "reports", multiple=True, metavar="RAIL=FILE", help="What a processor without a list gives as a file (Adyen's CSV)."
)
@click.option("--go", "goes", is_flag=True, help="Let money go again, if everything was matched.")
@embedded_option
def command(*, since: datetime, reports: tuple[str, ...], goes: bool, is_embedded: bool) -> None:
    """Match our books with the processors' after a restored backup. Run it before anything serves; again changes nothing more.

    Money is stopped on every platform first. What was sent on a rail that cannot be asked goes to people, unless its report is given.
    """

    async def run(settings: Settings) -> Recovered:
        given = _reports(settings, reports)
        async with (
            await open_pool(database_url(settings), size=_POOL_SIZE, application="makegood money recover") as pool,
            open_rails(settings, *settings.rails) as rails,
        ):
            recovery = Recovery(AuditStore(pool), rails, reports=given, actor=_ACTOR)
            return await recovery.run(since, then="go" if goes else "stay")

    with installation(is_embedded=is_embedded) as settings:
        try:
            found = asyncio.run(run(settings))
        except NotStopped as error:
            raise click.ClickException(f"money is not stopped on {error}: nothing was matched") from error
        except Unavailable as error:
            raise click.ClickException(f"a processor does not answer: {error}; money stays stopped, run it again") from error
    _say(found)
    if not found.complete:
        raise click.exceptions.Exit(_NOT_COMPLETE)


def _reports(settings: Settings, given: Sequence[str]) -> Mapping[str, Sequence[Movement]]:
    found = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not equals or not Path(path).is_file():
            raise click.BadParameter("write it as RAIL=FILE, with a file that is there", param_hint="--report")
        found[name] = read_report(find_rail(settings, name), Path(path))
    return found


def _say(found: Recovered) -> None:
    for rail in found.rails:
        click.echo(f"{rail.rail}: since {rail.since:%Y-%m-%d %H:%M} UTC, {_READ[rail.read]}")
        for word, count in rail.words.items():
            click.echo(f"  {count:7} {word}: {_MEANINGS.get(word, 'a person looks')}")
        if rail.others:
            click.echo(f"  {rail.others:7} others: without our ids, of payments that are not here")
        if rail.in_review:
            click.echo(f"  {rail.in_review:7} in review: a lead says of each whether it was paid; until then none of them is sent")
    for one in found.unmatched:
        seen = one.movement.refund
        click.echo(
            f"{one.word}: {one.rail} {seen.provider_ref}, payment {one.movement.payment_ref}, {seen.amount.minor} {seen.amount.currency}"
        )
    if sum(one.open for one in found.rails) > len(found.unmatched):
        click.echo(f"and more; the first {LISTED_MAX} are shown")
    if found.went is not None:
        click.echo(f"everything is matched: money goes again, {found.went} operations at once")
    elif found.complete:
        click.echo(
            "everything is matched. Money is still stopped; let it go with `makegood money go --reason recovered`, or run this with --go"
        )
    else:
        click.echo("money stays stopped: mend what is listed and run this again")


_READ: Final[Mapping[str, str]] = {
    "list": "read from the processor's list",
    "report": "read from its report",
    "none": "it keeps no list: what was under way went to people",
}
