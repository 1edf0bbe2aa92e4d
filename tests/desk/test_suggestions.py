"""What might be done next is what the order says, the rules suggest and people wait for; each suggestion can be previewed as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

import service
from service.suggestions import KEYS
from tests.desk.acting import AHEAD, PRICE, AtDesk, at_desk, person, refund
from tests.promises.house import House

_UI: Final = Path(service.__file__).parent / "ui" / "src"


async def test_a_second_charge_is_suggested_and_can_be_confirmed(house: House) -> None:
    at = await at_desk(house, charges=2)
    first = (await at.suggestions())[0]
    assert (first["key"], first["label"], first["people_needed"]) == ("a", "Send back €45.00, the second charge", 1)
    assert first["action"] == {**refund(cause="duplicate_charge"), "pass_id": None, "position": None, "incident": None}
    seen = await at.preview({name: value for name, value in first["action"].items() if value is not None})
    assert (await at.confirm(seen["id"])).status_code == 200
    (made,) = await at.operations()
    assert (made["amount"], made["reason"]) == (PRICE, "duplicate_charge")
    assert all("second charge" not in one["label"] for one in await at.suggestions())


async def test_what_is_held_comes_first(house: House) -> None:
    at = await at_desk(house, prices=(48000,), status="cancelled", problem="show_cancelled")
    (held,) = (await house.case(at.case))["operations"]
    first = (await at.suggestions())[0]
    assert (first["approve"], first["action"], first["label"], first["people_needed"]) == (held["id"], None, "Agree: €480.00 back", 2)


async def test_a_cancelled_shows_tickets_are_suggested_with_what_is_left_of_them(house: House) -> None:
    at = await at_desk(house, prices=(PRICE, 2500), status="cancelled")
    part = await at.preview(refund(1000, position="1"))
    assert (await at.confirm(part["id"])).status_code == 200
    wanted = [one["action"] for one in await at.suggestions() if one["action"]]
    assert [(one["position"], one["amount"], one["cause"]) for one in wanted] == [
        ("1", PRICE - 1000, "show_cancelled"),
        ("2", 2500, "show_cancelled"),
    ]


async def test_who_wrote_is_written_to_until_the_last_words_are_ours(house: House) -> None:
    at = await at_desk(house, message="Where do I find the parking lot?")
    assert [one["reply"] for one in await at.suggestions()] == [True]
    for what, left in (("notes", [True]), ("replies", [])):
        said = await house.post(f"/v1/cases/{at.case}/{what}", {"body": "Behind the hall."}, token=at.agent)
        assert said.status_code == 200, said.text
        assert [one["reply"] for one in await at.suggestions()] == left, what


def test_no_letter_of_a_suggestion_means_something_else_in_the_console() -> None:
    source = "".join(one.read_text() for one in (_UI / "desk").glob("*.tsx")) + (_UI / "app.tsx").read_text()
    bound = set(re.findall(r'\bkey: "([a-z])"', source)) | set(re.findall(r'shortcut="([a-z])"', source))
    assert bound >= set("cnhwte"), "what the console binds is found"
    assert not bound & set(KEYS)


async def test_what_was_given_for_a_cause_already_is_not_suggested_again(house: House) -> None:
    at = await at_desk(house, status="cancelled")
    part = await at.preview(refund(1000, cause="show_cancelled"))
    assert (await at.confirm(part["id"])).status_code == 200
    (one,) = [one for one in await at.suggestions() if one["action"]]
    assert one["label"] == "Send back €35.00, Stream pass"
    seen = await _previewed(at, one)
    assert (seen["amount"], seen["can_confirm"]) == (PRICE - 1000, True)


async def test_no_money_is_suggested_that_is_not_there_any_more(house: House) -> None:
    at = await at_desk(house, status="cancelled")
    await at.refunded_elsewhere(1500)
    (one,) = [one for one in await at.suggestions() if one["action"]]
    assert one["label"] == "Send back €30.00, Stream pass"
    await at.refunded_elsewhere(PRICE)
    assert [one for one in await at.suggestions() if one["action"]] == []


async def _previewed(at: AtDesk, suggestion: dict[str, Any]) -> Any:
    return await at.preview({name: value for name, value in suggestion["action"].items() if value is not None})


async def _happens(at: AtDesk, what: str) -> None:
    """One of the things that make yesterday's suggestion a dead end."""
    if what == "done":
        for one in [one for one in await at.suggestions() if one["action"]][:1]:
            assert (await at.confirm((await _previewed(at, one))["id"])).status_code == 200
    elif what == "part":
        seen = await at.preview(refund(700))
        if seen["can_confirm"]:
            assert (await at.confirm(seen["id"])).status_code == 200
    elif what == "held":
        program = await person(at.house, "machine")
        await at.house.post(f"/v1/cases/{at.case}/give-back", {"reason": "a program tries"}, token=at.agent)
        await at.take(token=program)
        seen = await at.preview(refund(900), token=program)
        if seen["can_confirm"]:
            assert (await at.confirm(seen["id"], token=program)).status_code == 200
        await at.house.post(f"/v1/cases/{at.case}/give-back", {"reason": "a person again"}, token=program)
        await at.take()
    elif what == "elsewhere":
        await at.refunded_elsewhere(1700)
    elif what == "disputed":
        await at.disputed()
    elif what == "cancelled":
        await at.house.shop.show(at.show, starts_in=AHEAD, status="cancelled")


@pytest.mark.parametrize(
    ("problem", "charges", "happenings"),
    [
        ("wants_refund", 2, ("done", "part", "cancelled", "done", "elsewhere")),
        ("other", 2, ("held", "done", "cancelled", "done")),
        ("charged_twice", 2, ("done", "held", "elsewhere", "cancelled")),
        ("link_dead", 1, ("done", "done", "cancelled", "done", "done")),
        ("pass_lost", 1, ("done", "part", "cancelled", "elsewhere")),
        ("show_cancelled", 1, ("cancelled", "part", "done", "disputed")),
    ],
)
async def test_whatever_has_happened_no_suggestion_is_a_dead_end(
    house: House, problem: str, charges: int, happenings: tuple[str, ...]
) -> None:
    at = await at_desk(house, problem=problem, charges=charges, prices=(PRICE, 2500), taken=False)
    asked = await house.post(f"/v1/cases/{at.case}/person", {})
    assert asked.status_code in {200, 409}, asked.text
    await at.take()
    offered = 0
    for what in ("nothing", *happenings):
        await _happens(at, what)
        for one in [one for one in await at.suggestions() if one["action"]]:
            offered += 1
            seen = await _previewed(at, one)
            assert seen["can_confirm"], (what, one["label"], seen["guards"])
            assert one["people_needed"] == seen["people_needed"], (what, one["label"])
            assert one["label"].startswith("Send back") == (seen["amount"] is not None)
            if seen["amount"] is not None:
                assert f"€{seen['amount'] / 100:.2f}," in one["label"], (what, one["label"])
    assert offered, "something was suggested on the way"


async def test_keys_are_letters_and_each_is_one_suggestions(house: House) -> None:
    at = await at_desk(house, prices=tuple([2500] * 12), status="cancelled", charges=2)
    found = await at.suggestions()
    keys = [one["key"] for one in found]
    assert len(found) == 8
    assert len(set(keys)) == 8
    assert all(len(key) == 1 and key.isalpha() for key in keys)


async def test_nothing_is_suggested_for_a_case_that_has_ended(house: House) -> None:
    at = await at_desk(house, charges=2)
    await house.post(f"/v1/cases/{at.case}/resolve", {"outcome": "resolved", "reason": "it was a mistake"}, token=at.agent)
    assert await at.suggestions() == []
