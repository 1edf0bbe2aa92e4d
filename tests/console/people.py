"""Who sits before the console: a browser of their own each, signed in, watched for errors and for what the page's policy forbids."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal
from uuid import uuid4

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Response, expect

from service.demo.night import Night
from service.demo.world import Bought, Desk
from service.keys import Keys
from service.store.keys import Change, KeyStore
from service.store.pool import Pool
from tests.patience import PATIENCE_MS
from tests.promises.house import until

SKILLS: Final = ("support", "payments", "playback", "merchandise", "trust", "accessibility", "operations")
WIDE: Final = (1280, 800)
NARROW: Final = (390, 844)
# 1280 at a zoom of 400 %, as WCAG 2.2 has it (1.4.10).
SMALLEST: Final = (320, 640)
# What the browser sends by itself from the console's own page.
_OWN_PAGE: Final = {"Makegood-Desk": "1", "Sec-Fetch-Site": "same-origin"}

# Told of by the browser itself before any script of the page runs.
_LISTEN: Final = """
window.forbidden = [];
document.addEventListener('securitypolicyviolation', (e) => window.forbidden.push(`${e.effectiveDirective}: ${e.blockedURI} ${e.sample}`));
"""


class Console:
    """Opens browsers for people, and knows what went wrong in any of them."""

    def __init__(self, browser: Browser, address: str, desk: Desk, pool: Pool) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.address = address
        self.desk = desk
        self.pool = pool
        self.wrong: list[str] = []
        """errors of scripts, and what the page's policy has forbidden"""

    async def person(self, token: str | None, *, size: tuple[int, int] = WIDE, **more: Any) -> Page:
        """A page in a browser of their own, signed in with this token; without one, nobody is signed in."""
        context = await self._browser.new_context(
            base_url=self.address,
            locale="en-GB",
            timezone_id="Europe/Berlin",
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",
            **more,
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(_LISTEN)
        if token is not None:
            await sign_in(context, self.address, token)
        page = await context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("response", self._answered)
        return page

    async def agent(self, **more: Any) -> Page:
        """Mira."""
        return await self.person(self.desk.agent, **more)

    async def lead(self, **more: Any) -> Page:
        """Jonas."""
        return await self.person(self.desk.lead, **more)

    async def another(self, name: str = "Noor", role: Literal["agent", "lead"] = "agent", **more: Any) -> Page:
        """One more at the desk."""
        return await self.person(await agent_token(self.pool, self.desk, name, role), **more)

    async def close(self) -> None:
        for context in self._contexts:
            for page in context.pages:
                if page.url.startswith(self.address):
                    self.wrong += [f"{page.url}: {one}" for one in await page.evaluate("window.forbidden")]
            await context.close()

    def _said(self, message: ConsoleMessage) -> None:
        # The browser's own words for an answer of 4xx: what it means is for the page to show, and for tests to look at.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.wrong.append(f"{message.location.get('url')}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} {response.request.method} {response.url}")


@asynccontextmanager
async def open_console(browser: Browser, address: str, desk: Desk, pool: Pool) -> AsyncIterator[Console]:
    """At its end nothing has broken a rule of the page, raised an error, or made the service fail."""
    console = Console(browser, address, desk, pool)
    try:
        yield console
    finally:
        await console.close()
    assert console.wrong == [], "\n".join(console.wrong)


async def sign_in(context: BrowserContext, address: str, token: str) -> None:
    """The cookie, as the page for signing in gets it."""
    answer = await context.request.post("/v1/desk/sessions", data={"token": token}, headers={**_OWN_PAGE, "Origin": address})
    assert answer.status == 201, await answer.text()


def case_at_hand(page: Page) -> Locator:
    """The open case, without the queue beside it: its rows say of other cases who has them."""
    return page.get_by_role("region", name=re.compile("^Case: "))


async def takes(page: Page) -> None:
    """Takes the open case, and has it."""
    await page.get_by_role("button", name="Take", exact=True).click()
    await has_it(page)


async def has_it(page: Page) -> None:
    await expect(case_at_hand(page).get_by_text("You have it", exact=True).first).to_be_visible()


async def agent_token(pool: Pool, desk: Desk, name: str, role: Literal["agent", "lead"] = "agent") -> str:
    change = Change(actor="test", why="works at the desk")
    made = await Keys(KeyStore(pool)).make_agent_key(
        desk.platform_id, name=name, role=role, skills=SKILLS, scopes=(), days=30, change=change
    )
    return made.token


async def customer_asks(night: Night, problem: str, order: Bought, says: str, **more: Any) -> dict[str, Any]:
    """A case as the platform's own screens open it, once it is known what becomes of it. That it is an answer is asserted."""
    body = {"problem": problem, "order": order.ref, "show": order.show, "channel": "api", "message": says, **more}
    headers = {"Authorization": f"Bearer {night.desk.platform}", "Idempotency-Key": f"{order.ref}-{problem}", "Prefer": "wait=20"}
    answer = await night.client.post("/v1/cases", json=body, headers=headers)
    assert answer.is_success, answer.text
    case = str(answer.json()["id"])
    # A machine that stands still for a while answers before that.
    return await until(lambda: case_now(night, case), lambda found: found["status"] != "working")


async def case_now(night: Night, case: str) -> dict[str, Any]:
    """As the platform reads it."""
    answer = await night.client.get(f"/v1/cases/{case}", headers={"Authorization": f"Bearer {night.desk.platform}"})
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def customer_writes(night: Night, case: str, words: str) -> None:
    body = {"message": words, "channel": "api"}
    headers = {"Authorization": f"Bearer {night.desk.platform}", "Idempotency-Key": uuid4().hex}
    answer = await night.client.post(f"/v1/cases/{case}/messages", json=body, headers=headers)
    assert answer.is_success, answer.text
