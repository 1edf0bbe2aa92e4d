"""How long a test waits for what must come. A loaded machine is slow, not wrong: this only ends a wait for what never comes."""

from __future__ import annotations

from typing import Final

PATIENCE_SECONDS: Final = 120.0
PATIENCE_MS: Final = PATIENCE_SECONDS * 1000
