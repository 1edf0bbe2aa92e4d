"""`makegood doctor`: one line for each part of an installation: well, or what is wrong and how to mend it."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import asyncpg
import click
import msgspec

from service.cli.database import database_url, embedded_option, installation
from service.ports import Declined, Mailer, OutcomeUnknown, RefundRail, Texter, Unavailable
from service.settings import RAIL_KINDS, Rail, Settings, SettingsError, is_sandbox_only, load
from service.store import migrate
from service.store.pool import open_connection

# Longer than any call deadline of ours: what takes longer is down.
_CHECK_SECONDS_MAX: Final = 15.0

# A round trip to the database; each case makes several before its first external call.
_LATENCY_MS_GOOD: Final = 5.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `mend` is set when it is not well."""

    part: str
    said: str
    mend: str = ""

    @property
    def line(self) -> str:
        return f"wrong  {self.part}: {self.said}\n       mend it: {self.mend}" if self.mend else f"ok     {self.part}: {self.said}"


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """How to open what is checked; `service.vendors` says which vendors stand behind it."""

    rails: Mapping[str, Callable[[], AbstractAsyncContextManager[RefundRail]]]
    webhooks: Mapping[str, str] = {}
    """rail -> what to say of its webhook"""
    mailer: Callable[[], AbstractAsyncContextManager[Mailer]] | None
    sandbox_only: bool
    """no rail pays real money, so that letters and texts need not arrive either"""
    texter: Callable[[], AbstractAsyncContextManager[Texter]] | None = None
    """None: codes go by mail alone, and there is nothing to look at"""
    policies: Callable[[], str]
    """loads every pack; returns what to show, raises ValueError"""


class Doctor:
    """Looks at every part side by side, changes nothing, and never stops at the first that is ill."""

    def __init__(
        self, *, dsn: str, parts: Parts, seconds_max: float = _CHECK_SECONDS_MAX, latency_ms_good: float = _LATENCY_MS_GOOD
    ) -> None:
        self._dsn = dsn
        self._parts = parts
        self._seconds_max = seconds_max
        self._latency_ms_good = latency_ms_good

    async def examine(self) -> Sequence[Finding]:
        rails = [
            self._try(
                f"rail {name}",
                f"look at MAKEGOOD_RAIL_{name.upper()}_*: the key, its permissions, the address",
                _opened(make, self._parts.webhooks.get(name, "")),
            )
            for name, make in self._parts.rails.items()
        ]
        return await asyncio.gather(
            self._try("database", "look at MAKEGOOD_DATABASE_URL, and whether PostgreSQL is up and lets us in", self._database()),
            self._try("policies", "`makegood policy check` names file and line", self._policies()),
            *rails,
            self._mail(),
            *([self._try("texts", "look at MAKEGOOD_TEXT", _opened(self._parts.texter))] if self._parts.texter else []),
        )

    async def _try(self, part: str, mend: str, check: Awaitable[Finding | str]) -> Finding:
        try:
            async with asyncio.timeout(self._seconds_max):
                found = await check
        except TimeoutError:
            return Finding(part=part, said=f"no answer within {self._seconds_max:.0f} s", mend=mend)
        except (Declined, Unavailable, OutcomeUnknown, migrate.MigrationError, OSError, asyncpg.PostgresError, ValueError) as error:
            return Finding(part=part, said="; ".join(str(error).splitlines()) or type(error).__name__, mend=mend)
        return found if isinstance(found, Finding) else Finding(part=part, said=found)

    async def _database(self) -> Finding:
        state = await migrate.state(self._dsn)
        connection = await open_connection(self._dsn, application="makegood doctor")
        try:
            best_ms = min([await _round_trip_ms(connection) for _ in range(5)])
        finally:
            connection.terminate()  # at once: a server that hangs must not hold us twice
        said = f"PostgreSQL {state.server_version}, {len(state.applied)} migrations applied, {best_ms:.2f} ms a round trip"
        if state.pending:
            return Finding(part="database", said=f"{said}; missing: {', '.join(state.pending)}", mend="run `makegood migrate`")
        if best_ms > self._latency_ms_good:
            return Finding(part="database", said=said, mend="put the database in the same network as this machine")
        return Finding(part="database", said=said)

    async def _policies(self) -> str:
        return await asyncio.to_thread(self._parts.policies)

    async def _mail(self) -> Finding:
        make = self._parts.mailer
        if make is None:
            if self._parts.sandbox_only:
                return Finding(part="mail", said="sandbox: letters are text files in the data folder, nobody gets them")
            return Finding(part="mail", said="not set up, so nobody gets a code or a pass", mend="set MAKEGOOD_SMTP_HOST and _SENDER")
        return await self._try("mail", "look at MAKEGOOD_SMTP_*: host, port, TLS, user and password", _opened(make))


async def _opened(open_part: Callable[[], AbstractAsyncContextManager[RefundRail | Mailer | Texter]], more: str = "") -> str:
    async with open_part() as part:
        return await part.check() + (f"; {more}" if more else "")


async def _round_trip_ms(connection: asyncpg.Connection[asyncpg.Record]) -> float:
    began = time.perf_counter()
    await connection.fetchval("SELECT 1")
    return (time.perf_counter() - began) * 1000


@click.command("doctor")
@embedded_option
def command(*, is_embedded: bool) -> None:
    """Say what is wrong with this installation, and how to mend it. Ends with 1 if anything is."""
    try:
        with installation(is_embedded=is_embedded) as settings:
            findings = [Finding(part="configuration", said=_configuration(settings)), *_examine(settings)]
    except SettingsError as error:
        findings = [Finding(part="configuration", said=mistake, mend="set it right and ask again") for mistake in error.mistakes]
        findings.extend(_despite_mistakes())
    for finding in findings:
        click.echo(finding.line)
    if any(finding.mend for finding in findings):
        raise click.exceptions.Exit(1)


def _examine(settings: Settings) -> Sequence[Finding]:
    parts = Parts(
        rails={rail.name: functools.partial(_rail, settings, rail) for rail in settings.rails},
        webhooks={rail.name: _webhook(rail) for rail in settings.rails},
        sandbox_only=is_sandbox_only(settings),
        mailer=functools.partial(_mailer, settings) if settings.smtp is not None else None,
        texter=functools.partial(_texter, settings) if settings.text != "none" else None,
        policies=functools.partial(_policies, settings),
    )
    return asyncio.run(Doctor(dsn=database_url(settings), parts=parts).examine())


@asynccontextmanager
async def _rail(settings: Settings, rail: Rail) -> AsyncIterator[RefundRail]:
    """One rail, opened alone, so that one that is ill does not hide the others."""
    from service.vendors import open_vendors  # noqa: PLC0415 - the vendors' own libraries are slow to load, and the settings may be wrong

    async with open_vendors(msgspec.structs.replace(settings, rails=(rail,), smtp=None)) as vendors:
        yield vendors.rails[rail.name]


def _webhook(rail: Rail) -> str:
    """Empty for what has none: a platform's own gift cards answer at once."""
    known = {"WEBHOOK_SECRETS", "WEBHOOK_IDS"} & set(RAIL_KINDS[rail.kind].optional)
    setting = f"MAKEGOOD_RAIL_{rail.name.upper()}_{''.join(known)}"
    if not known:
        return ""
    return (
        "webhook on" if rail.has_webhook else f"webhook off until {setting} is set: what happens later is only seen when it is read again"
    )


@asynccontextmanager
async def _mailer(settings: Settings) -> AsyncIterator[Mailer]:
    from service.vendors import open_vendors  # noqa: PLC0415

    async with open_vendors(settings) as vendors:
        yield vendors.mailer


@asynccontextmanager
async def _texter(settings: Settings) -> AsyncIterator[Texter]:
    from service.vendors import open_texter  # noqa: PLC0415

    texter = open_texter(settings)
    if texter is None or (settings.text == "sandbox" and not is_sandbox_only(settings)):
        raise ValueError("sandbox: texts are text files in the data folder, nobody gets them")
    yield texter


def _policies(settings: Settings) -> str:
    from service.assembly import rules_of  # noqa: PLC0415

    rules = rules_of(settings, {}, {})
    packs = rules.packs.by_name.values()
    return f"{len(packs)} packs with {sum(len(pack.rules) for pack in packs)} rules, the guards and the ways that money may take"


def _despite_mistakes() -> Sequence[Finding]:
    """Settings that are only incomplete still let us look at the rest."""
    try:
        settings = load(os.environ)
    except SettingsError:
        return ()
    return _examine(settings) if settings.database_url is not None else ()


def _configuration(settings: Settings) -> str:
    rails = ", ".join(f"{rail.name} ({rail.kind})" for rail in settings.rails) or "none, so that every refund waits for people"
    return f"{settings.processes} process(es) at {settings.public_url}, languages {', '.join(settings.languages)}, rails: {rails}"
