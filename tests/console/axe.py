"""What axe finds on a page of the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import Page

Theme = Literal["light", "dark"]

AXE: Final = Path(__file__).parents[2] / "service" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
"""given to a page before it loads, so that its policy against foreign scripts can stay as it is"""
# WCAG 2.2 AA, and what axe knows as good practice. Between light and dark only colours differ.
_RULES: Final[dict[Theme, dict[str, Any]]] = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
_RUN: Final = """async (rules) => {
  const found = await axe.run(document, { runOnly: rules, resultTypes: ['violations'] });
  const where = (node) => `${node.target.join(' ')} ${node.failureSummary}`;
  return found.violations.map((one) => `${one.id} (${one.impact}): ${one.nodes.map(where).join(' | ')}`);
}"""


async def violations(page: Page, theme: Theme = "light") -> list[str]:
    """In the page as it is now, shown in that theme."""
    await page.emulate_media(color_scheme=theme)
    found: list[str] = await page.evaluate(_RUN, _RULES[theme])
    return found
