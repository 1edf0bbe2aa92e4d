"""Who is first: the rules load with their examples or not at all, and the deadlines that they give starve nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Route, RoutingError, bundled_folder, load_guards, load_playbooks, load_routing
from policies.routing import GATHERED, WITHIN_SECONDS_MAX
from service.routing import facts, look_by, place
from service.store.routing import ToRoute

TEXT: Final = (bundled_folder() / "routing.yaml").read_text(encoding="utf-8")
ROUTING: Final = load_routing(TEXT)
GUARDS: Final = load_guards((bundled_folder() / "guards.yaml").read_text(encoding="utf-8"))
PLAYBOOKS: Final = load_playbooks((bundled_folder() / "playbooks.yaml").read_text(encoding="utf-8"))
NOW: Final = datetime(2026, 11, 3, 18, 0, tzinfo=UTC)

_SMALL: Final = """
routing: small
facts: { priority: int, show.phase: string }
usual: { priority: 3, show.phase: before }
rules:
  - id: first
    when: priority == 1
    within: 2m
    examples: [{ given: { priority: 1 }, expect: { within: 2m } }]
  - id: rest
    within: 1h
    lead: 30m
    examples: [{ given: {}, expect: { within: 1h, lead: 30m } }]
"""


def _case(**more: Any) -> ToRoute:
    document = {
        "platform": uuid4(),
        "id": uuid4(),
        "fresh": True,
        "now": NOW,
        "placed_at": NOW,
        "problem": "other",
        "skill": "support",
        "priority": 3,
        "channel": "widget",
        "locale": "de-AT",
        "identity": "verified",
        "returned": False,
        "contacts": 1,
        "starts_at": NOW + timedelta(days=20),
        "ends_at": NOW + timedelta(days=20, hours=2),
        "scheduled": True,
        "currency": "EUR",
        "at_stake": 0,
        "order_value": 4500,
        "customer_value": 4500,
        "suggestions": ("reply",),
        "rules": (),
    }
    return ToRoute(**{**document, **more})


def _rule(**more: Any) -> str:
    one = _case(**more)
    found: str = place(ROUTING, PLAYBOOKS, one, facts(one, GUARDS)).route["rule"]
    return found


def test_all_facts_that_the_file_declares_are_gathered_and_no_others_are_known() -> None:
    known = facts(_case(), GUARDS)
    assert set(known) == set(GATHERED) == set(ROUTING.facts)


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"starts_at": NOW - timedelta(minutes=5), "ends_at": NOW + timedelta(hours=1), "problem": "link_dead"}, "cannot-watch-live"),
        (
            {"starts_at": NOW + timedelta(minutes=40), "ends_at": NOW + timedelta(hours=3), "problem": "pass_missing"},
            "doors-within-the-hour",
        ),
        ({"at_stake": 12_000}, "much-money"),
        ({"at_stake": 18_000, "currency": "JPY"}, "much-money"),
        ({"at_stake": 100, "currency": "XTS"}, "much-money"),
        ({"at_stake": 4_500}, "one-yes-away"),
        ({"suggestions": ("refund", "reply")}, "one-yes-away"),
        ({"suggestions": ("refund", "reply"), "identity": "claimed"}, "in-turn"),
        ({"customer_value": 45_000}, "many-tickets"),
        ({"returned": True}, "came-back"),
        ({"priority": 1, "at_stake": 4_500}, "one-yes-away"),
        ({"priority": 1}, "pressing-now"),
        ({"priority": 5}, "can-wait"),
        (
            {"scheduled": False, "starts_at": NOW + timedelta(minutes=10), "ends_at": NOW + timedelta(hours=1), "problem": "other"},
            "in-turn",
        ),
        ({"starts_at": None, "ends_at": None, "currency": None, "order_value": 0, "customer_value": 0}, "in-turn"),
    ],
)
def test_what_is_gathered_of_a_case_reaches_its_rule(more: dict[str, Any], rule: str) -> None:
    assert _rule(**more) == rule


def test_a_case_comes_nearer_as_its_show_does() -> None:
    at = {"starts_at": NOW + timedelta(hours=11), "ends_at": NOW + timedelta(hours=13), "problem": "pass_missing", "placed_at": NOW}
    places = [
        place(ROUTING, PLAYBOOKS, one := _case(**at, now=NOW + timedelta(hours=later)), facts(one, GUARDS)).look_by for later in (0, 10.5)
    ]
    assert places[0] == NOW + timedelta(minutes=10)
    assert places[1] == NOW + timedelta(minutes=2)


def test_nobody_is_looked_at_later_than_their_letter_says() -> None:
    for priority, seconds in GUARDS.patience.first_look_within_seconds.items():
        one = _case(priority=int(priority))
        placed = place(ROUTING, PLAYBOOKS, one, facts(one, GUARDS))
        assert (placed.look_by - one.placed_at).total_seconds() <= seconds, priority


MOMENTS: Final = st.integers(0, 10 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))
ROUTES: Final = st.builds(
    Route,
    rule=st.just("any"),
    within_seconds=st.integers(1, WITHIN_SECONDS_MAX),
    lead_seconds=st.none() | st.integers(1, WITHIN_SECONDS_MAX),
)


@given(first=ROUTES, then=ROUTES, came=MOMENTS, later=MOMENTS, doors=st.none() | MOMENTS, other_doors=st.none() | MOMENTS)
def test_whoever_comes_after_a_case_is_due_comes_behind_it(
    *, first: Route, then: Route, came: datetime, later: datetime, doors: datetime | None, other_doors: datetime | None
) -> None:
    """So only those who were there by then can be before it, however pressing all are who come later: nobody starves."""
    due = look_by(first, came, doors)
    assert came <= due <= came + timedelta(seconds=first.within_seconds)
    if later > due:
        assert look_by(then, later, other_doors) > due


@given(route=ROUTES, came=MOMENTS, doors=MOMENTS)
def test_the_doors_only_ever_bring_a_case_forward(route: Route, came: datetime, doors: datetime) -> None:
    assert look_by(route, came, doors) <= look_by(route, came, None)


def test_a_rule_that_cannot_be_worked_out_is_no_reason_to_lose_the_case() -> None:
    routing = load_routing(
        _SMALL.replace("priority == 1", "1 / (priority - 1) == -7 || priority == 0").replace("{ priority: 1 }", "{ priority: 0 }")
    )
    assert routing.route({"priority": 1, "show.phase": "before"}).rule == "rest"


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("examples: [{ given: { priority: 1 }, expect: { within: 2m } }]", "about: none", "has no example"),
        ("given: { priority: 1 }", "given: { priority: 2 }", "the example is taken by rule rest"),
        ("expect: { within: 2m }", "expect: { within: 3m }", "the example expects within '3m' and gets 120"),
        ("priority: int", "weather: string", "fact weather is never gathered"),
        ("priority: int", "priority: string", "fact priority is int, not 'string'"),
        ("within: 2m\n", "within: 2\n", "`within` is a length of time"),
        ("within: 2m\n", "within: 9d\n", "has to be above zero and at most 3d"),
        ("within: 1h\n", "within: 1h\n    when: priority == 3\n", "the last rule has no `when`"),
        ("    when: priority == 1\n", "", "only the last rule may have no `when`"),
        ("within: 2m\n", "within: 2m\n    skill: wizards\n", "`skill: wizards` is not known"),
        ("within: 2m\n", "within: 2m\n    targets: { answer: 5m }\n", "targets has no `answer`"),
        ("priority == 1", "priority == ", "`when`:"),
        ("id: rest", "id: first", "two rules are called first"),
    ],
)
def test_a_file_with_a_mistake_does_not_load_and_says_why(was: str, becomes: str, said: str) -> None:
    assert was in _SMALL
    with pytest.raises(RoutingError) as refused:
        load_routing(_SMALL.replace(was, becomes))
    assert said in str(refused.value)
