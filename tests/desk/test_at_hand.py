"""What an agent has at hand: what was being typed, texts that know the case, and how long people take just now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import new_id
from service.platforms import DeskHours
from service.post_words import desk_opens
from service.shown import WaitRange
from service.store.answering import DRAFTS_KEPT_DAYS, AnsweringStore, WaitSeen
from service.store.platforms import PlatformStore
from service.waits import in_words, quoted
from tests.desk.talking import Talk, talk
from tests.identity.world import TESTING
from tests.promises.house import House, uuid_of

NOW: Final = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
AIMS: Final = {"1": 120, "2": 300, "3": 900}


# ------------------------------------------------------------------------------------------------------------ drafts


async def _types(said: Talk, body: str, kind: str = "reply", token: str | None = None) -> None:
    answer = await said.house.client.put(
        f"/v1/cases/{said.case}/draft", json={"kind": kind, "body": body}, headers={"Authorization": f"Bearer {token or said.agent}"}
    )
    assert answer.status_code == 204, answer.text


async def _drafts(said: Talk, token: str | None = None) -> list[tuple[str, str, str, bool]]:
    found = await said.house.get(f"/v1/cases/{said.case}/drafts", token=token or said.agent)
    return [(one["kind"], one["body"], one["agent"], one["mine"]) for one in found["drafts"]]


async def test_what_is_typed_is_kept_until_it_is_sent(house: House, ref: str) -> None:
    said = await talk(house, ref)
    await _types(said, "Dear Mi")
    await _types(said, "Dear Mia")
    await _types(said, "she seems upset", "note")
    assert sorted(await _drafts(said)) == [("note", "she seems upset", "Mira", True), ("reply", "Dear Mia", "Mira", True)]
    await said.reply("Dear Mia, it is done.")
    assert await _drafts(said) == [("note", "she seems upset", "Mira", True)]
    await _types(said, "", "note")
    assert await _drafts(said) == []


async def test_who_takes_the_case_over_finds_what_was_being_typed(house: House, ref: str) -> None:
    said = await talk(house, ref)
    await _types(said, "half a sentence")
    assert await _drafts(said, house.desk.lead) == []
    # Her browser is gone, and with it the claim.
    await house.pool.execute("UPDATE cases SET due_at = app_now() - interval '1 second' WHERE id = $1", uuid_of(said.case))
    await house.until(lambda: house.case_row(said.case), lambda row: row["owner"] == "queue")
    assert await _drafts(said) == [("reply", "half a sentence", "Mira", True)]
    taken = await house.post("/v1/queue/take", {"case": said.case}, token=house.desk.lead)
    assert taken.status_code == 200, taken.text
    assert await _drafts(said, house.desk.lead) == [("reply", "half a sentence", "Mira", False)]


async def test_a_draft_that_nobody_touches_for_a_month_is_forgotten(house: House, ref: str) -> None:
    said = await talk(house, ref)
    await _types(said, "never sent")
    await AnsweringStore(house.pool).forget_old()
    assert await _drafts(said) != []
    old = "UPDATE draft SET updated_at = updated_at - make_interval(days => $2, hours => 1) WHERE case_id = $1"
    await house.pool.execute(old, uuid_of(said.case), DRAFTS_KEPT_DAYS)
    await AnsweringStore(house.pool).forget_old()
    assert await _drafts(said) == []


async def test_a_draft_is_no_longer_than_a_message(house: House, ref: str) -> None:
    said = await talk(house, ref)
    too_long = await house.client.put(
        f"/v1/cases/{said.case}/draft", json={"kind": "reply", "body": "x" * 5001}, headers={"Authorization": f"Bearer {said.agent}"}
    )
    assert (too_long.status_code, too_long.json()["errors"][0]["field"]) == (400, "/body")


# ------------------------------------------------------------------------------------------------------------ macros


async def _macros(said: Talk) -> dict[str, Any]:
    found = await said.house.get(f"/v1/cases/{said.case}/macros", token=said.agent)
    return {one["id"]: one for one in found["macros"]}


async def test_a_macro_knows_the_case_and_says_what_it_does_not_know(house: House, ref: str) -> None:
    said = await talk(house, ref)
    macros = await _macros(said)
    hello = macros["hello_looking"]
    assert hello["missing"] == []
    assert (
        f"this is Mira from Demo. I have your case in front of me, with everything you told us and your order {said.order.ref}"
        in hello["body"]
    )
    assert not any(set(one["body"]) & set("{}") for one in macros.values())
    assert "double_charge_refunded" not in macros, "it is for another problem"


async def test_a_reply_with_a_gap_is_not_sent(house: House, ref: str) -> None:
    said = await talk(house, ref)
    gap = await said.post("replies", {"body": "[amount?] is on its way.", "macro": "hello_looking"})
    assert (gap.status_code, gap.json()["errors"]) == (400, [{"field": "/body", "message": "still says [amount?]"}])
    for written in ("[Amount?]", "{amount}", "{{Amount}}"):
        gap = await said.post("replies", {"body": f"{written} is on its way."})
        assert (gap.status_code, gap.json()["errors"]) == (400, [{"field": "/body", "message": "still says [amount?]"}]), written
    unknown = await said.post("replies", {"body": "fine", "macro": "no_such_macro"})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (400, "/macro")
    await said.reply("€5.00 is on its way.", macro="hello_looking")
    entry = await house.value("SELECT data FROM timeline WHERE kind = 'replied' AND case_id = $1", uuid_of(said.case))
    assert entry["macro"] == "hello_looking"


async def test_a_macro_is_in_the_language_of_the_case_and_else_in_english(house: House, ref: str) -> None:
    german, italian = await talk(house, ref, locale="de-AT"), await talk(house, f"{ref}b", locale="it")
    assert (await _macros(german))["hello_looking"]["title"] == "Wir sehen es uns gerade an"
    assert (await _macros(italian))["hello_looking"]["title"] == "We are looking at it now"
    unheard_of = await talk(house, f"{ref}c", locale="xx")
    assert (await _macros(unheard_of))["hello_looking"]["missing"] == []


async def test_money_that_went_back_is_named_in_the_macro(house: House, ref: str) -> None:
    """A case whose refund was sent, then opened again by its customer."""
    show = await house.shop.show(ref, starts_in=timedelta(minutes=-60))
    await house.shop.incident(show, "out1", datetime.now(UTC) - timedelta(minutes=40), datetime.now(UTC) - timedelta(minutes=15))
    said = await talk(house, f"{ref}b")
    operation = new_id()
    await house.pool.execute(
        """
        WITH o AS (INSERT INTO operation (platform_id, id, case_id, order_id, action, state, payment_id, rail, amount, currency, reason,
                accepted_at, ended_at, created_at)
            SELECT c.platform_id, $2, c.id, c.order_id, 'refund', 'DONE', p.id, 'sandbox', 694, 'EUR', 'incident', now(), now(), now()
            FROM cases c JOIN payment p ON p.platform_id = c.platform_id AND p.order_id = c.order_id WHERE c.id = $1
            RETURNING platform_id, id)
        INSERT INTO attempt (platform_id, id, operation_id, seq, rail, key, request, state, provider_ref)
        SELECT platform_id, $2, id, 1, 'sandbox', $2::text, '{}', 'SUCCEEDED', 're_12345' FROM o
        """,
        uuid_of(said.case),
        operation,
    )
    await house.pool.execute("UPDATE cases SET problem = 'stream_outage' WHERE id = $1", uuid_of(said.case))
    macro = (await _macros(said))["refund_sent"]
    assert (macro["missing"], macro["fits"]) == ([], True)
    assert macro["body"].startswith("€6.94 for ")
    assert "re_12345" in macro["body"]
    await house.pool.execute("DELETE FROM attempt WHERE operation_id = $1", operation)
    await house.pool.execute("DELETE FROM operation WHERE id = $1", operation)


async def test_a_platforms_own_macro_takes_the_place_of_ours(house: House, ref: str) -> None:
    said = await talk(house, ref)
    store, platform = PlatformStore(house.pool), house.desk.platform_id
    row = await store.by_id(platform)
    assert row is not None
    own = {"id": "hello_looking", "title": {"en": "Hi"}, "body": {"en": "Hi from {platform}, {order}!"}}
    put = await store.put(platform, "settings", {**row.settings, "macros": [own]}, TESTING, expected=row.version, back_to=None)
    assert put.result != "moved"
    macros = await house.until(lambda: _macros(said), lambda found: found["hello_looking"]["title"] == "Hi")
    assert macros["hello_looking"]["body"] == f"Hi from Demo, {said.order.ref}!"
    assert "wait_quote" in macros
    await store.put(platform, "settings", row.settings, TESTING, expected=put.version, back_to=None)
    # A process keeps settings for a moment: whichever test is next finds ours again.
    await house.until(lambda: _macros(said), lambda found: found["hello_looking"]["title"] != "Hi")


# ------------------------------------------------------------------------------------------------------------ the wait


def _seen(*, answered: int = 0, seen: tuple[float, ...] | None = None, promised: tuple[float, ...] | None = None) -> WaitSeen:
    return WaitSeen(answered=answered, seen=seen, waiting=0 if promised is None else 3, promised=promised, now=NOW)


@pytest.mark.parametrize(
    ("seen", "closed", "expected"),
    [
        (_seen(answered=5, seen=(125.0, 190.0, 355.0)), 0.0, (120, 180, 360)),
        (_seen(answered=9, seen=(0.0, 10.0, 20.0)), 0.0, (0, 0, 60)),
        (_seen(answered=4, seen=(1.0, 1.0, 1.0), promised=(120.0, 300.0, 900.0)), 0.0, (120, 300, 900)),
        (_seen(), 0.0, (300, 900, 900)),
        (_seen(), 3600.0, (3900, 4500, 4500)),
        (_seen(answered=5, seen=(125.0, 190.0, 355.0)), 3600.0, (120, 180, 360)),
    ],
)
def test_the_wait_is_what_was_measured_or_what_is_aimed_at(seen: WaitSeen, closed: float, expected: tuple[int, int, int]) -> None:
    quote = quoted(seen, AIMS, closed_seconds=closed)
    assert (quote.low_seconds, quote.typical_seconds, quote.high_seconds) == expected
    assert quote.answered == seen.answered


@given(st.lists(st.floats(min_value=0, max_value=10**6), min_size=3, max_size=3).map(sorted))
def test_a_range_holds_what_it_was_made_from(seconds: list[float]) -> None:
    quote = quoted(_seen(answered=10, seen=tuple(seconds)), AIMS)
    assert quote.low_seconds <= seconds[0]
    assert quote.high_seconds >= seconds[2]
    assert quote.low_seconds <= quote.typical_seconds <= quote.high_seconds
    assert quote.low_seconds < quote.high_seconds


@pytest.mark.parametrize(
    ("low", "high", "english", "german"),
    [
        (0, 60, "under a minute", "unter einer Minute"),
        (0, 300, "up to 5 minutes", "bis zu 5 Minuten"),
        (120, 360, "2 to 6 minutes", "2 bis 6 Minuten"),
        (3600, 7200, "1 to 2 hours", "1 bis 2 Stunden"),
        (36000, 36060, "10 to 11 hours", "10 bis 11 Stunden"),
    ],
)
def test_a_wait_is_said_as_a_range(low: int, high: int, english: str, german: str) -> None:
    wait = WaitRange(low_seconds=low, high_seconds=high)
    assert (in_words(wait, "en-GB"), in_words(wait, "de"), in_words(wait, "it")) == (english, german, english)


def test_a_wait_is_said_in_each_language() -> None:
    wait = WaitRange(low_seconds=120, high_seconds=360)
    said = {language: in_words(wait, language) for language in ("fr-CA", "es", "ja", "ar")}
    assert said["fr-CA"] == "2 à 6 minutes"
    assert said["es"] == "de 2 a 6 minutos"
    assert re.fullmatch(r"2.6分", said["ja"])
    assert re.fullmatch(r"[^0-9]+2[^0-9]+6[^0-9]+", said["ar"])


def test_while_nobody_is_there_the_wait_begins_when_the_desk_opens() -> None:
    hours = DeskHours(days=("mon", "tue", "wed", "thu", "fri"), opens="09:00", closes="18:00")
    friday = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
    assert desk_opens(friday, hours, "UTC") == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    noon = friday.replace(hour=12)
    assert desk_opens(noon, hours, "UTC") == noon


async def test_the_wait_is_counted_from_what_was_looked_at_within_half_an_hour(house: House, ref: str) -> None:
    said = await talk(house, ref, take=False)
    await house.pool.execute("UPDATE cases SET acknowledged_at = NULL")
    store = AnsweringStore(house.pool)
    platform = house.desk.platform_id
    for minutes_ago, seconds in ((1, 60), (2, 120), (3, 180), (4, 240), (5, 300), (40, 9000)):
        await _looked_at(house, platform, seconds, minutes_ago)
    seen = await store.wait_seen(platform, None, 1800.0)
    assert seen.answered == 5
    assert seen.seen == pytest.approx((84.0, 180.0, 276.0))
    assert (await store.wait_seen(platform, "payments", 1800.0)).answered == 5
    assert (await store.wait_seen(platform, "trust", 1800.0)).answered == 0
    assert seen.waiting >= 1
    # As everybody may ask, and as its customer's own case says while it waits.
    for token in (said.customer, said.agent, house.desk.platform):
        quote = await house.get("/v1/wait?skill=payments", token=token)
        assert (quote["low_seconds"], quote["high_seconds"], quote["typical_seconds"], quote["answered"]) == (60, 300, 180, 5)
    shown = await house.until(lambda: said.seen_by(said.customer), lambda one: one["wait_quote"] is not None)
    assert shown["wait_quote"]["low_seconds"] < shown["wait_quote"]["high_seconds"]
    await house.post("/v1/queue/take", {"case": said.case}, token=said.agent)
    assert (await said.seen_by(said.customer))["wait_quote"] is None


async def _looked_at(house: House, platform: UUID, seconds: int, minutes_ago: int) -> None:
    """A case that an agent looked at so long ago, after so many seconds."""
    await house.pool.execute(
        """
        INSERT INTO cases (platform_id, id, state, problem, requester, identity, channel, locale, skill, priority, queued_at,
            acknowledged_at, ended_at, created_at)
        SELECT $1, gen_random_uuid(), 'resolved', 'other', 'nobody', 'anonymous', 'widget', 'en', 'payments', 3,
            now - make_interval(mins => $3, secs => $2), now - make_interval(mins => $3), now, now - interval '1 day'
        FROM (SELECT app_now() AS now OFFSET 0) AS clock
        """,
        platform,
        float(seconds),
        minutes_ago,
    )


def test_a_range_is_two_numbers_on_the_wire() -> None:
    assert msgspec.json.encode(WaitRange(low_seconds=60, high_seconds=120)) == b'{"low_seconds":60,"high_seconds":120}'
