"""`python -m tests.pretix`: proves the integration against a real pretix server. A line for each promise; exit 1 when one is broken."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import structlog
from aiosmtpd.controller import Controller

from service.settings import Settings, load
from service.store import embedded, migrate
from tests.ports import free_port
from tests.pretix.proof import prove
from tests.pretix.server import VERSION, PretixServer
from tests.pretix.shop import ORGANIZER, PretixShop
from tests.pretix.world import HOST, Ground, Mailbox

# Of this user's runs; it keeps pretix's empty tables, which take minutes to make. Short: a socket's path holds about a hundred characters.
_POSTGRES: Final = Path(tempfile.gettempdir()) / f"makegood-pretix-{os.getuid()}"


def _run(folder: Path) -> int:
    started = time.monotonic()
    mailbox = Mailbox()
    mail = Controller(mailbox, hostname=HOST, port=free_port())
    mail.start()
    with embedded.running(_POSTGRES) as postgres:
        pretix = PretixServer(folder, postgres, port=free_port(), mail_port=mail.port)
        try:
            pretix.install()
            _said(f"pretix {VERSION} is installed", started)
            pretix.migrate()
            tokens = pretix.organizer(ORGANIZER)
            _said("its tables, an organizer and two tokens are made", started)
            pretix.start()
            _said("it answers", started)
            settings = asyncio.run(_settings(postgres))
            shop = PretixShop(pretix.url, tokens.owner)
            ground = Ground(pretix=pretix, shop=shop, token=tokens.makegood, settings=settings, mailbox=mailbox)
            failed = asyncio.run(prove(ground))
        finally:
            pretix.stop()
            mail.stop()
    _said("all of it" if failed == 0 else f"{failed} broken", started)
    return 1 if failed else 0


async def _settings(postgres: embedded.EmbeddedServer) -> Settings:
    names = ("makegood", "makegood_sandbox")
    for name in names:
        await embedded.drop_database(postgres.dsn, name)
    ours, theirs = [await embedded.create_database(postgres.dsn, name) for name in names]
    await migrate.migrate(ours)
    return load(
        {
            "MAKEGOOD_DATABASE_URL": ours,
            "MAKEGOOD_SANDBOX_DATABASE_URL": theirs,
            "MAKEGOOD_SECRET": secrets.token_hex(32),
            "MAKEGOOD_BIND": f"{HOST}:{free_port()}",
            "MAKEGOOD_RAIL_STRIPE_KIND": "sandbox",
        }
    )


def _said(what: str, started: float) -> None:
    print(f"{time.monotonic() - started:7.1f} s  {what}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pretix", description="The pretix integration against a real pretix server.")
    parser.add_argument("--verbose", action="store_true", help="what Makegood logs, too")
    chosen = parser.parse_args()
    level = logging.INFO if chosen.verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    with tempfile.TemporaryDirectory(prefix="mg-pretix-", ignore_cleanup_errors=True) as folder:
        return _run(Path(folder))


if __name__ == "__main__":
    sys.exit(main())
