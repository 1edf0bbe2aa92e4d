"""The service stops and starts again beneath an open queue: the page says so, keeps what it shows, and goes on by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.console.people import open_console
from tests.promises.house import House, databases, open_house, serving_process, settings_for, stream


async def _asks(house: House, ref: str) -> str:
    order = await house.shop.order("live", [stream()], ref=ref)
    case = await house.report("other", order, message="May I bring my own headphones?")
    return str(case["id"])


async def test_the_queue_outlives_a_restart_with_the_page_open(
    browser: Browser, postgres_dsn: str, template_database: str, tmp_path: Path
) -> None:
    async with databases(postgres_dsn, template_database) as (ours, theirs):
        settings = settings_for(ours, theirs)
        address = f"http://{settings.bind_host}:{settings.bind_port}"
        async with open_house(settings) as house, open_console(browser, address, house.desk, house.pool) as console:
            async with serving_process(settings, tmp_path) as first:
                await house.shop.show("live", starts_in=-timedelta(hours=1), minutes=90)
                before = await _asks(house, "BEFORE-1")
                page = await console.agent()
                await page.goto("/desk")
                await expect(page.locator(f"#row-{before}")).to_be_visible()
                await page.evaluate("window.stayed = true")
                assert await first.terminate() == 0
            await expect(page.get_by_text("Not live").first).to_be_visible()
            await expect(page.locator(f"#row-{before}")).to_be_visible()
            async with serving_process(settings, tmp_path):
                after = await _asks(house, "AFTER-1")
                await expect(page.locator(f"#row-{after}")).to_be_visible()
                await expect(page.locator(f"#row-{before}")).to_be_visible()
                await expect(page.get_by_text("Not live")).to_have_count(0)
                assert await page.evaluate("window.stayed")
                # The page ends before the service does: nothing is wrong with it then.
                await page.close()
