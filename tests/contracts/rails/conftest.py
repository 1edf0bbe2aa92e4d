"""The processors behind the rails: the sandbox's own database, and the peer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from integrations.sandbox import open_sandbox
from integrations.sandbox_books import SandboxPool
from tests.contracts.rails.benches import SandboxBench, beside
from tests.peers import stateful_mock

pytest.register_assert_rewrite("tests.contracts.rails.contract")


@pytest.fixture(scope="session")
def sandbox_dsn(postgres_dsn: str) -> str:
    """A database that does not exist yet: opening the sandbox makes it."""
    return beside(postgres_dsn, f"sandbox_{uuid4().hex[:12]}")


@pytest.fixture(scope="session")
async def sandbox_pool(sandbox_dsn: str) -> AsyncIterator[SandboxPool]:
    async with await open_sandbox(sandbox_dsn) as pool:
        yield pool


@pytest.fixture
def sandbox(sandbox_pool: SandboxPool, request: pytest.FixtureRequest) -> SandboxBench:
    """An account of its own at the sandbox for each test."""
    return SandboxBench(request.node.nodeid, sandbox_pool)


@pytest.fixture(scope="session")
def stripe_peer() -> Iterator[str]:
    """The base URL of stripe-stateful-mock, one process for all tests of this worker."""
    with stateful_mock.running() as base_url:
        yield base_url
