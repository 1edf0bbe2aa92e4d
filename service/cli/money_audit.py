"""`makegood money audit`: our books beside a processor's, and what to do about each difference."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import msgspec

from service.audit import Difference
from service.auditing import Audit, put_right
from service.cli.database import database_url, embedded_option, installation
from service.model import WireId, wire
from service.ports import Declined, Movement, RefundRail, Unavailable
from service.settings import Rail, Settings
from service.store.audit import AuditStore
from service.store.pool import open_pool

# One page of ours and one of theirs at a time.
_POOL_SIZE: Final = 2
# What is under way at this moment is no difference: a call takes ten seconds, a look again a minute.
_STILL_UNDER_WAY: Final = timedelta(minutes=10)
_SINCE_DEFAULT: Final = timedelta(days=2)
# The code that a script asks for: 1 says that the audit itself went wrong.
_DIFFERENCES_FOUND: Final = 3


class Moment(click.ParamType[datetime]):
    """A time, ISO 8601. Without a zone it is UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("write it as 2026-11-20 or 2026-11-20T19:00:00+01:00", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A difference, as --json writes it."""

    kind: str
    platform: str | None
    order: str | None
    payment: str | None
    """the platform's reference, else the processor's"""
    operation: str | None
    provider_ref: str | None
    ours: str | None
    """state and amount in our books"""
    theirs: str | None
    to_do: str
    applied: str | None = None
    """with --apply: what came of it"""


@click.command("audit")
@click.option("--rail", "name", required=True, help="Whose books to compare with ours.")
@click.option("--since", type=Moment(), help="From when on. [default: two days ago]")
@click.option("--until", type=Moment(), help="Until when. [default: ten minutes ago]")
@click.option("--report", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Adyen's payment accounting report, a CSV.")
@click.option("--apply", "applies", is_flag=True, help="Put into our books what the processor's word proves.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@embedded_option
def command(
    *,
    name: str,
    since: datetime | None,
    until: datetime | None,
    report: Path | None,
    applies: bool,
    as_json: bool,
    is_embedded: bool,
) -> None:
    """Compare our books with a processor's, and say of each difference what to do. Ends with 0 if there is none, with 3 if there is any."""

    async def run(settings: Settings) -> int:
        rail = find_rail(settings, name)
        count = 0
        async with await open_pool(database_url(settings), size=_POOL_SIZE, application="makegood money audit") as pool:
            store = AuditStore(pool)
            now = await store.now()
            async with open_rails(settings, rail) as rails:
                audit = Audit(store, rails[name], report=None if report is None else read_report(rail, report))
                async for one in audit.differences(since or now - _SINCE_DEFAULT, until or now - _STILL_UNDER_WAY):
                    applied = None
                    if applies and one.provable and one.theirs is not None:
                        applied = await put_right(store, name, one.theirs, source="audit")
                    _say(one, applied, as_json=as_json)
                    count += 1
        if not as_json:
            click.echo(f"{audit.counted.theirs} of theirs, {audit.counted.ours} of ours compared: {count} differences", err=True)
        return count

    with installation(is_embedded=is_embedded) as settings:
        try:
            found = asyncio.run(run(settings))
        except (Declined, Unavailable) as error:
            raise click.ClickException(unread(name, error)) from error
    if found:
        raise click.exceptions.Exit(_DIFFERENCES_FOUND)


def find_rail(settings: Settings, name: str) -> Rail:
    for one in settings.rails:
        if one.name == name:
            return one
    raise click.ClickException(f"there is no rail {name}; there is {', '.join(one.name for one in settings.rails) or 'none'}")


@asynccontextmanager
async def open_rails(settings: Settings, *rails: Rail) -> AsyncIterator[Mapping[str, RefundRail]]:
    """These alone: mail and webhooks are not needed."""
    from service.vendors import open_vendors  # noqa: PLC0415 - vendors are imported when they are needed

    async with open_vendors(msgspec.structs.replace(settings, rails=rails, smtp=None)) as vendors:
        yield vendors.rails


def unread(rail: str, error: Exception) -> str:
    """What an operator can do about a processor that cannot be read."""
    if isinstance(error, Declined):
        return f"{rail} keeps no list that could be asked for: download its report and give it with --report"
    return f"{rail} does not answer: {error}; nothing was lost, run it again"


def read_report(rail: Rail, path: Path) -> Sequence[Movement]:
    """The refunds of a processor's own report. Raises click.ClickException for a rail that has none, and for what cannot be read."""
    if rail.kind != "adyen" or rail.merchant_account is None:
        raise click.ClickException(f"rail {rail.name} is asked for its list; a report is for Adyen")
    from integrations.payments_adyen_report import read_report as read  # noqa: PLC0415 - as above

    try:
        return read(path.read_bytes(), merchant_account=rail.merchant_account).movements
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path}: {error}") from error


def _say(one: Difference, applied: str | None, *, as_json: bool) -> None:
    ours, theirs = one.ours, one.theirs
    line = Line(
        kind=one.kind,
        platform=ours.platform if ours else None,
        order=ours.order if ours else None,
        payment=ours.payment if ours else theirs.payment_ref if theirs else None,
        operation=wire(WireId.OPERATION, ours.operation) if ours else None,
        provider_ref=theirs.refund.provider_ref if theirs else ours.provider_ref if ours else None,
        ours=f"{ours.state} {ours.amount.minor} {ours.amount.currency}" if ours else None,
        theirs=f"{theirs.refund.state} {theirs.refund.amount.minor} {theirs.refund.amount.currency}" if theirs else None,
        to_do=one.to_do,
        applied=applied,
    )
    if as_json:
        click.echo(msgspec.json.encode(line).decode())
        return
    where = f"{line.platform} order {line.order}, " if ours else ""
    operation = f", {line.operation}" if line.operation else ""
    click.echo(f"{line.kind}: {where}payment {line.payment}{operation}, {line.provider_ref or 'no reference'}")
    click.echo(f"    ours: {line.ours or 'nothing'}; theirs: {line.theirs or 'nothing'}")
    click.echo(f"    {'applied: ' + applied if applied else line.to_do}")
