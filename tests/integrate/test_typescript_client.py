"""The TypeScript client: compiled strictly, then run by Node against the running service."""

from __future__ import annotations

import asyncio
import json
import runpy
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from service.demo.night import Night
from service.demo.world import STREAM, Item

_CLIENTS: Final = Path(__file__).parents[2] / "clients"
_PLATFORM: Final = Path(__file__).with_name("platform.ts")
# Compiling and a few requests; a loaded machine takes a minute.
_SECONDS_MAX: Final = 300


def _node(*command: str, folder: Path) -> str:
    node = str(runpy.run_path(str(_CLIENTS / "generate.py"))["NODE"])
    done = subprocess.run([node, *command], cwd=folder, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compiled(folder: Path) -> Path:
    """A package of a platform that uses the client, compiled as strictly as the client itself. Returns its entry."""
    home = _CLIENTS / "typescript"
    runpy.run_path(str(_CLIENTS / "generate.py"))["install_node_packages"]()
    (folder / "package.json").write_text('{"type": "module"}')
    for name in ("index.ts", "schema.ts"):
        (folder / name).write_bytes((home / "src" / name).read_bytes())
    (folder / "platform.ts").write_bytes(_PLATFORM.read_bytes())
    (folder / "node_modules").symlink_to(home / "node_modules")
    options = json.loads((home / "tsconfig.json").read_text())
    # What TypeScript and Node bring is theirs: checking that takes twice as long as everything of ours.
    options["compilerOptions"] |= {"rootDir": ".", "types": ["node"], "skipLibCheck": True}
    (folder / "tsconfig.json").write_text(json.dumps({**options, "include": ["*.ts"]}))
    _node(str(home / "node_modules" / "typescript" / "bin" / "tsc"), folder=folder)
    return folder / "dist" / "platform.js"


async def test_a_platform_in_typescript_feeds_asks_reads_and_is_told_of_problems(night: Night) -> None:
    show = await night.shop.show(f"show-{uuid4().hex[:8]}", starts_in=timedelta(hours=-2), minutes=90)
    starts = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    await night.shop.incident(show, "outage", starts + timedelta(minutes=10), starts + timedelta(minutes=35))
    bought = await night.shop.order(show, [Item(kind=STREAM, name="Stream", price=2500)])

    def run() -> str:
        with tempfile.TemporaryDirectory() as folder:
            entry = compiled(Path(folder))
            return _node(str(entry), night.address, night.desk.platform, bought.ref, show, folder=Path(folder))

    told: dict[str, Any] = json.loads(await asyncio.to_thread(run))
    assert told == {
        "fed": "created",
        "case": "resolved",
        "again": "the same",
        "refund": 694,
        "problem": [404, "urn:makegood:problem:not_found"],
    }
