"""The sandbox keeps the contract of a rail, on a real PostgreSQL, whatever kind of rail it stands for."""

from __future__ import annotations

import pytest

from integrations.sandbox import SandboxRail
from integrations.sandbox_books import SandboxPool
from tests.contracts.rails.benches import SandboxBench
from tests.contracts.rails.contract import (
    PaysBackContract,
    PaysBackUnderConcurrency,
    RailContract,
    RailUnderConcurrency,
    ReadableContract,
    UnreadableContract,
)


class TestSandbox(RailContract, PaysBackContract, ReadableContract, RailUnderConcurrency, PaysBackUnderConcurrency):
    @pytest.fixture
    def bench(self, sandbox: SandboxBench) -> SandboxBench:
        return sandbox


class TestSandboxThatOnlyNotifies(RailContract, PaysBackContract, UnreadableContract, RailUnderConcurrency, PaysBackUnderConcurrency):
    @pytest.fixture
    def bench(self, sandbox: SandboxBench, sandbox_pool: SandboxPool) -> SandboxBench:
        sandbox.rail = SandboxRail(sandbox.rail.name, sandbox_pool, reads=False)
        return sandbox


class TestSandboxThatPaysOut(RailContract, RailUnderConcurrency):
    @pytest.fixture
    def bench(self, sandbox: SandboxBench, sandbox_pool: SandboxPool) -> SandboxBench:
        sandbox.rail = SandboxRail(sandbox.rail.name, sandbox_pool, pays="out")
        sandbox.destination = "jane@example.org"
        return sandbox
