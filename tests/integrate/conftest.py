"""A running application for those who come to it from outside: clients, samples, `check-platform`."""

from __future__ import annotations

from tests.scenarios.conftest import night

__all__ = ["night"]
