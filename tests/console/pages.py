"""Every page of the console, with something on it to see: for the tests that look at each, and for their pictures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from playwright.async_api import Page, expect

from service.demo.contacts import CONTACTS, sent_back_before
from service.demo.evening import open_evening
from service.demo.night import Night
from service.demo.stage import LIVE, LIVE_SINCE, set_shows, ticket
from service.demo.world import bearer
from tests.console.people import customer_asks
from tests.promises.house import until

# An escalated double charge: somebody sent 45.00 back before, and a person has to see which of the two it was.
ORDER: Final = "TWICE-1"
_UNDER_WAY: Final = "SELECT count(*) FROM cases WHERE state = 'open' AND owner IN ('process', 'operation')"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A page. `{case}` in its address is the escalated double charge."""

    name: str
    path: str
    heading: str
    """the words of its first heading, or of a part of it"""
    who: str = "lead"


PLACES: Final = (
    Place(name="queue", path="/desk", heading="Queue"),
    Place(name="case", path="/desk/cases/{case}", heading="Charged twice"),
    Place(name="search", path=f"/desk/search?q={ORDER}", heading="Search"),
    Place(name="second-person", path="/desk/second-person", heading="Second person"),
    Place(name="shift", path="/desk/shift", heading="My shift"),
    Place(name="board", path="/desk/board", heading="Board"),
    Place(name="policies", path="/desk/policies", heading="Policies"),
    Place(name="brakes", path="/desk/brakes", heading="Brakes"),
    Place(name="notices", path="/desk/notices", heading="Notices"),
    Place(name="sign-in", path="/desk/sign-in", heading="Sign in", who="nobody"),
    Place(name="feedback", path="/feedback", heading="", who="nobody"),
)


async def busy_night(night: Night, customers: int = len(CONTACTS)) -> str:
    """Shows, customers of every kind, and the escalated double charge. Returns its case."""
    await set_shows(night)
    began = datetime.now(UTC) - LIVE_SINCE + timedelta(minutes=10)
    await night.shop.incident(LIVE, "outage", began, began + timedelta(minutes=25))
    said = {"text": {"en": "We know the stream was down.", "de": "Wir wissen, dass der Stream weg war."}, "reason": "an encoder is down"}
    (await night.client.put(f"/v1/shows/{LIVE}/notice", json=said, headers=bearer(night.desk.lead))).raise_for_status()
    async with open_evening(night) as evening:
        await evening.crowd(customers)
    # They wait seconds for their answer; what is then still being worked on would be decided while a test counts.
    await until(lambda: night.pool.fetchval(_UNDER_WAY), lambda found: found == 0)
    return await double_charge(night, ORDER)


async def double_charge(night: Night, ref: str) -> str:
    """The case of a double charge that people have to decide."""
    order = await night.shop.order(
        LIVE, [ticket()], ref=ref, name="Greta Holm", charges=2, payments=sent_back_before(ref), customer_ref=f"customer-{ref.lower()}"
    )
    case = await customer_asks(night, "charged_twice", order, "My bank shows 45.00 twice. One came back, and the other did not.")
    assert case["status"] == "with_people", case
    return str(case["id"])


async def settled(page: Page, place: Place) -> None:
    """Returns once the page shows what it has to show."""
    if place.heading:
        await expect(page.get_by_role("heading", name=place.heading).first).to_be_visible()
    else:
        await expect(page.get_by_role("main")).not_to_be_empty()
    await expect(page.get_by_text("Loading", exact=True)).to_have_count(0)
