"""The sandbox keeps the contract of a rail, on a real PostgreSQL."""

from __future__ import annotations

import pytest

from tests.contracts.rails.benches import SandboxBench
from tests.contracts.rails.contract import PaysBackContract, PaysBackUnderConcurrency, RailContract, RailUnderConcurrency, ReadableContract


@pytest.fixture
def bench(sandbox: SandboxBench) -> SandboxBench:
    return sandbox


class TestSandbox(RailContract, PaysBackContract, ReadableContract, RailUnderConcurrency, PaysBackUnderConcurrency):
    pass
