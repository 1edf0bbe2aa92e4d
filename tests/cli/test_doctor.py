from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from policies.pack import PackError
from service.cli.doctor import Doctor, Finding, Parts
from service.ports import Unavailable
from tests.patience import PATIENCE_MS, PATIENCE_SECONDS


class Well:
    async def check(self) -> str:
        return "account acct_1, test mode"


class Locked:
    async def check(self) -> str:
        raise Unavailable("401 invalid key", configuration=True)


class Deaf:
    async def check(self) -> str:
        await asyncio.Event().wait()
        return ""


def opened(kind: type) -> Callable[[], Any]:
    @contextlib.asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        yield kind()

    return opening


def broken_policies() -> str:
    raise PackError(["refund.yaml:12: unknown fact"])


def doctor(dsn: str, parts: Parts) -> Doctor:
    """In no hurry, and content with a database on a machine that has much to do."""
    return Doctor(dsn=dsn, parts=parts, seconds_max=PATIENCE_SECONDS, latency_ms_good=PATIENCE_MS)


def named(findings: Sequence[Finding], part: str) -> Finding:
    return next(finding for finding in findings if finding.part == part)


async def test_what_is_well_is_one_line_each(database_url: str) -> None:
    parts = Parts(sandbox_only=False, rails={"main": opened(Well)}, mailer=opened(Well), policies=lambda: "4 packs, 61 rules")
    findings = await doctor(database_url, parts).examine()
    assert [finding.part for finding in findings] == ["database", "policies", "rail main", "mail"]
    assert all(finding.line.startswith("ok ") for finding in findings), findings
    assert "migrations applied" in findings[0].said


async def test_who_sends_texts_is_looked_at_where_somebody_does(database_url: str) -> None:
    parts = Parts(sandbox_only=True, rails={}, mailer=opened(Well), texter=opened(Locked), policies=lambda: "4 packs, 61 rules")
    found = named(await doctor(database_url, parts).examine(), "texts")
    assert ("401 invalid key" in found.said, "MAKEGOOD_TEXT" in found.mend) == (True, True)


async def test_all_that_is_wrong_is_named_at_once_with_how_to_mend_it() -> None:
    parts = Parts(sandbox_only=False, rails={"main": opened(Locked), "slow": opened(Deaf)}, mailer=None, policies=broken_policies)
    findings = await Doctor(dsn="postgresql://u:hunter2@127.0.0.1:1/none", parts=parts, seconds_max=0.3).examine()
    assert all(finding.mend for finding in findings)
    assert "401 invalid key" in named(findings, "rail main").said
    assert "MAKEGOOD_RAIL_MAIN_" in named(findings, "rail main").mend
    assert "no answer" in named(findings, "rail slow").said
    assert "refund.yaml:12" in named(findings, "policies").said
    assert "MAKEGOOD_SMTP_HOST" in named(findings, "mail").mend
    assert "hunter2" not in "".join(finding.line for finding in findings)


async def test_a_database_without_our_tables_is_sent_to_migrate(empty_database_url: str) -> None:
    parts = Parts(sandbox_only=True, rails={}, mailer=opened(Well), policies=lambda: "")
    findings = await doctor(empty_database_url, parts).examine()
    assert "0001_" in named(findings, "database").said
    assert "makegood migrate" in named(findings, "database").mend
