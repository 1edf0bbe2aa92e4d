"""A browser for each worker, a running application for each file, and people who sit before it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from service.demo.night import Night
from tests.console.browser import ARGUMENTS, HOW, executable
from tests.console.people import Console, open_console
from tests.patience import PATIENCE_MS
from tests.scenarios.conftest import night

__all__ = ["night"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Skips where there is no Chromium. In CI it has to be there: .ci/run installs it."""
    path = executable()
    if path is None and not os.environ.get("CI"):
        pytest.skip(HOW)
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def console(browser: Browser, night: Night) -> AsyncIterator[Console]:
    """The console of the night's platform."""
    async with open_console(browser, night.address, night.desk, night.pool) as opened:
        yield opened
