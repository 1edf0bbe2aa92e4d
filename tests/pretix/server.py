"""A real pretix on this machine: its own virtual environment, its own database in our embedded PostgreSQL, gunicorn on the loopback.

What it needs is installed as constraints.txt says, from wheels and from packages of pure Python: no compiler, no library of the machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import httpx

from service.store import embedded

VERSION: Final = "2026.8.0"
HOST: Final = "127.0.0.1"

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent.parent
_ENVIRONMENT: Final = _ROOT / ".pretix-venv"
_CONSTRAINTS: Final = _HERE / "constraints.txt"
_DATABASE: Final = "pretix"
# Of a shop that lives for minutes.
_SECRET: Final = secrets.token_hex(24)

# A slow machine compiles nothing, but unpacks 150 wheels and runs 350 migrations.
_INSTALL_SECONDS_MAX: Final = 900.0
_MIGRATE_SECONDS_MAX: Final = 1800.0
# Two workers import some thousand modules each.
_START_SECONDS_MAX: Final = 300.0
_STOP_SECONDS_MAX: Final = 30.0

# The only thing that cannot be made over pretix's API: the first organizer, and tokens of teams. One may do everything, as the shop's
# people; the other what Makegood needs, and no more.
_ORGANIZER: Final = """
from django_scopes import scopes_disabled
from pretix.base.models import Organizer
with scopes_disabled():
    organizer = Organizer.objects.create(slug="{slug}", name="{slug}", plugins="pretix.plugins.webcheckin")
    owner = organizer.teams.create(name="owner", all_events=True, all_event_permissions=True, all_organizer_permissions=True)
    ours = organizer.teams.create(name="makegood", all_events=True, limit_event_permissions={rights})
    print("tokens=" + owner.tokens.create(name="owner").token + "," + ours.tokens.create(name="makegood").token)
"""
_RIGHTS: Final = {"event.orders:read": True, "event.orders:write": True}


class Tokens(NamedTuple):
    owner: str
    makegood: str


class PretixServer:
    """One pretix. `folder` holds its files; it is given a database of `postgres`."""

    def __init__(self, folder: Path, postgres: embedded.EmbeddedServer, *, port: int, mail_port: int = 9) -> None:
        self._folder = folder
        self._postgres = postgres
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "gunicorn.log"
        self._port = port
        self._mail_port = mail_port
        self.url = f"http://{HOST}:{port}"

    def install(self) -> None:
        """Into `.pretix-venv`, exactly as constraints.txt says; quick when it is there. Raises CalledProcessError."""
        uv, ready = _ROOT / ".uv/bin/uv", _ENVIRONMENT / ".ready"
        if ready.exists() and ready.read_bytes() == _CONSTRAINTS.read_bytes():
            return
        shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
        for arguments in (
            ["venv", "--quiet", "--no-python-downloads", "--python", sys.executable, str(_ENVIRONMENT)],
            ["pip", "install", "--quiet", "--no-deps", "--python", str(_python()), "-r", str(_CONSTRAINTS)],
        ):
            subprocess.run([uv, *arguments], check=True, timeout=_INSTALL_SECONDS_MAX)
        ready.write_bytes(_CONSTRAINTS.read_bytes())

    def migrate(self) -> None:
        """A database with pretix's tables and nothing in it, copied from one that is kept with the server: to make it takes minutes."""
        template = f"pretix_{hashlib.sha256(_CONSTRAINTS.read_bytes()).hexdigest()[:12]}"
        if not asyncio.run(_is_kept(self._postgres.dsn, template)):
            asyncio.run(_new_database(self._postgres.dsn, template))
            self._configure(template)
            self._run(["migrate", "--verbosity", "0", "--skip-checks"])
            asyncio.run(_keep(self._postgres.dsn, template))
        asyncio.run(_new_database(self._postgres.dsn, _DATABASE, template=template))
        self._configure(_DATABASE)

    def _configure(self, database: str) -> None:
        (self._folder / "pretix.cfg").write_text(
            f"""\
[pretix]
instance_name=pretix
url={self.url}
datadir={self._folder / "data"}
allow_http_to_private_networks=true
ecb_rates=off
[database]
backend=postgresql
name={database}
user=postgres
host={self._postgres.folder}
[django]
secret={_SECRET}
debug=off
[mail]
from=shop@example.org
host={HOST}
port={self._mail_port}
""",
            encoding="utf-8",
        )

    def organizer(self, slug: str) -> Tokens:
        """A new organizer without events."""
        said = self._run(["shell", "-c", _ORGANIZER.format(slug=slug, rights=_RIGHTS)])
        return Tokens(*next(line.removeprefix("tokens=") for line in said.splitlines() if line.startswith("tokens=")).split(","))

    def start(self) -> None:
        """Serves until stop(). Raises TimeoutError."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(_python()), "-m", "gunicorn", "pretix.wsgi", "--workers", "2", "--threads", "2", "--preload"),
                    *("--bind", f"{HOST}:{self._port}", "--worker-tmp-dir", str(self._folder), "--timeout", "120"),
                ],
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        ends_at = time.monotonic() + _START_SECONDS_MAX
        while time.monotonic() < ends_at and self._process.poll() is None:
            try:
                # Nobody in particular asks: 401 is what a pretix that works says to that.
                if httpx.get(f"{self.url}/api/v1/organizers/", timeout=30.0, trust_env=False).status_code == 401:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise TimeoutError(f"pretix does not start:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """As a shop that is down: nobody listens any more."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _run(self, arguments: list[str]) -> str:
        done = subprocess.run(
            [_python(), "-m", "pretix", *arguments],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_MIGRATE_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"pretix {arguments[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "PRETIX_CONFIG_FILE": str(self._folder / "pretix.cfg"), "PYTHONWARNINGS": "ignore", "HOME": str(self._folder)}


def _python() -> Path:
    return _ENVIRONMENT / "bin" / "python"


async def _new_database(dsn: str, name: str, *, template: str | None = None) -> None:
    await embedded.drop_database(dsn, name)
    await embedded.create_database(dsn, name, template=template)


async def _is_kept(dsn: str, name: str) -> bool:
    """Whether it was finished: one that nobody may connect to any more is never half made."""
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND NOT datallowconn)", name))
    finally:
        await connection.close()


async def _keep(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    finally:
        await connection.close()
