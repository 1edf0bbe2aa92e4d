"""Whatever a browser calls its language, nobody is refused for it; what names none is the platform's first."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest

from service.demo.world import bearer
from service.platforms import language_of
from tests.help.test_likely import buyer_of, outage
from tests.promises.house import House, stream
from tests.promises.test_attacks import somebody

TAGS: Final = {
    "de": "de",
    "DE": "de",
    "de-AT": "de-AT",
    "en_US": "en-US",
    "en-US-x-shop": "en-US",
    "de-DE-u-co-phonebk": "de-DE",
    "de-formal": "de",
    "es-419": "es-419",
    "zh-hant-tw": "zh-Hant-TW",
    "sr_Latn": "sr-Latn",
    "english": None,
    "C": None,
    "-": None,
    "": None,
}


@pytest.mark.parametrize("tag", sorted(TAGS))
def test_of_a_tag_the_language_and_its_region_are_read(tag: str) -> None:
    assert language_of(tag) == TAGS[tag]


@pytest.mark.parametrize(("tag", "german"), [("de-DE-u-co-phonebk", True), ("de_DE", True), ("en-US-x-shop", False), ("english", False)])
async def test_no_tag_of_a_browser_is_refused(house: House, ref: str, tag: str, german: object) -> None:
    order = await house.shop.order(await outage(house, ref), [stream()])
    one = await buyer_of(house, order)
    seen = await house.client.get("/v1/help/orders", params={"locale": tag}, headers=bearer(one.token))
    assert seen.status_code == 200, seen.text
    (likely,) = [likely for entry in seen.json()["orders"] for likely in entry["likely"]]
    looked = await one.asks("/v1/help/preview", {"problem": "stream_outage", "order": order.ref, "show": order.show, "locale": tag})
    case = await one.reports("stream_outage", order=order.ref, show=order.show, locale=tag)
    assert [("gestört" in said) is german for said in (likely["because"], looked.json()["because"], case["answers"][0]["because"])] == [
        True
    ] * 3
    assert case["locale"] == language_of(tag) or (tag, case["locale"]) == ("english", "en")
    code = await house.client.post(
        "/v1/sessions/codes", json={"email": order.email, "locale": tag}, headers=bearer((await somebody(house)).token)
    )
    assert code.status_code == 202, code.text


@pytest.mark.parametrize("tag", ["de DE", "de\r\nx", "<de>", "d" * 61])
async def test_what_no_browser_says_is_refused(house: House, tag: str) -> None:
    one = await somebody(house)
    assert (await house.client.get("/v1/help/orders", params={"locale": tag}, headers=bearer(one.token))).status_code == 400
    assert (await one.asks("/v1/help/preview", {"problem": "other", "locale": tag})).status_code == 400


async def test_who_follows_with_such_a_tag_is_not_refused_for_it(house: House, ref: str) -> None:
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-10))
    one = await buyer_of(house, await house.shop.order(show, [stream()]))
    answer = await one.asks("/v1/help/follow", {"show": show, "locale": "en-US-x-shop"})
    assert answer.json()["type"] == "urn:makegood:problem:no_notice"
