"""What holds for every decision of the bundled packs, whatever the facts are."""

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from policies import Pack, bundled_folder, encode, load_pack, load_packs

PACKS = load_packs(bundled_folder(), ("en", "de"))
REFUND, CHARGES = PACKS.by_name["refund"], PACKS.by_name["charges"]
ALL = list(PACKS.by_name.values())

WORDS = {
    "order.status": ("paid", "pending", "expired", "cancelled", "none"),
    "requester.role": ("buyer", "holder", "platform", "agent"),
    "show.status": ("scheduled", "cancelled", "postponed"),
    "show.phase": ("before", "live", "over"),
    "position.kind": ("stream", "venue", "merchandise", "other", "fee", "none"),
    "payment.status": ("pending", "confirmed", "failed", "cancelled", "none"),
    "payment.dispute": ("none", "open", "won", "lost"),
    "pass.status": ("valid", "suspended", "void", "none"),
    "pass.kind": ("stream", "venue", "merchandise", "other", "fee", "none"),
    "article.key": ("", "player"),
    "order.goods": ("", "2 T-shirts"),
    "answer.postponed": ("keep", "refund"),
    "answer.works_now": ("yes", "no"),
}
# Facts under which money is likely to move, so that the properties of money are not proved on refusals alone.
LIKELY = {
    "order.known": True,
    "order.dispute_open": False,
    "requester.role": "buyer",
    "requester.refunds_90d": 0,
    "payment.status": "confirmed",
    "payment.dispute": "none",
    "position.canceled": False,
    "position.checked_in": False,
    "position.shows": 1,
    "incident.applies": True,
    "incident.ended": True,
    "order.refunded": 0,
}

OUTAGE = {
    "problem": "stream_outage",
    "order.status": "paid",
    "show.status": "scheduled",
    "show.phase": "over",
    "position.kind": "stream",
}

# Money in minor units up to a million, minutes from a year before to a year after.
MONEY, MINUTES = st.integers(0, 10**8), st.integers(-600_000, 600_000)

FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def sane(pack: Pack) -> st.SearchStrategy[dict[str, Any]]:
    """Complete facts as the service could have gathered them; only answers may be missing."""
    return st.fixed_dictionaries({name: _value(pack, name, kind) for name, kind in pack.facts.items()}).map(_consistent)


def likely(pack: Pack) -> st.SearchStrategy[dict[str, Any]]:
    """Sane facts of which most are such that money may move."""
    overlay = st.sets(st.sampled_from(sorted(LIKELY)), max_size=1).map(
        lambda left_out: {name: LIKELY[name] for name in LIKELY if name in pack.facts and name not in left_out}
    )
    owned: dict[str, st.SearchStrategy[Any]] = {
        "order.status": st.just("paid"),
        "position.kind": st.sampled_from(WORDS["position.kind"][:5]),
    }
    owned |= {"position.price": st.integers(1, 10**6), "position.left": st.integers(1, 10**6)}
    owned |= {"order.paid": st.integers(1, 10**6)}
    paid = st.fixed_dictionaries(owned if pack is REFUND else {})
    return st.tuples(sane(pack), overlay, paid).map(lambda parts: _consistent({**parts[0], **parts[1], **parts[2]}))


def _value(pack: Pack, name: str, kind: str) -> st.SearchStrategy[Any]:
    if name == "problem":
        return st.sampled_from(pack.problems)
    if name in WORDS:
        known = st.sampled_from(WORDS[name])
        return st.none() | known if name.startswith("answer.") else known
    if kind == "int":
        return MINUTES if "minutes_to" in name or "minutes_since_end" in name else st.integers(0, 40_000) | MONEY
    return {"bool": st.booleans(), "double": st.floats(0, 1), "string": st.text(max_size=10)}[kind]


def _consistent(facts: dict[str, Any]) -> dict[str, Any]:
    if "position.left" in facts:
        facts["position.left"] = min(facts["position.left"], facts["position.price"])
    if "payment.left" in facts:
        facts["payment.left"] = min(facts["payment.left"], facts["payment.amount"])
    if "show.minutes" in facts:
        facts["show.minutes"] = max(1, facts["show.minutes"])
    return facts


def wild(pack: Pack) -> st.SearchStrategy[dict[str, Any]]:
    """Any facts of the declared types, to the edges of their types, each of them there or not."""
    values: Mapping[str, st.SearchStrategy[Any]] = {
        "int": st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
        "bool": st.booleans(),
        "double": st.floats(allow_nan=False, allow_infinity=False),
        "string": st.text(max_size=20) | st.sampled_from(sorted({word for words in WORDS.values() for word in words})),
    }
    problem = st.sampled_from(pack.problems)
    return st.fixed_dictionaries(
        {},
        optional={name: st.none() | (problem if name == "problem" else values[kind]) for name, kind in pack.facts.items()},
    )


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
@FEW
@given(data=st.data())
def test_any_facts_of_the_declared_types_get_a_verdict(pack: Pack, data: st.DataObject) -> None:
    verdict = pack.decide(data.draw(wild(pack)))
    assert verdict.rule in {rule.id for rule in pack.rules}
    assert set(verdict.because) == {"en", "de", "fr", "es", "ja", "ar"}
    assert all(action.amount is None or action.amount > 0 for action in verdict.actions)
    assert (verdict.outcome == "ask") == (verdict.ask is not None)
    assert (verdict.outcome == "wait") == (verdict.wait is not None)
    assert (verdict.outcome == "escalate") == (verdict.escalate is not None)


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
@FEW
@given(data=st.data())
def test_complete_facts_never_leave_a_rule_without_an_answer(pack: Pack, data: st.DataObject) -> None:
    verdict = pack.decide(data.draw(sane(pack)))
    assert verdict.reason == ""
    assert all(name.startswith("answer.") for name in verdict.unknown)


@settings(FEW, max_examples=100)
@given(facts=likely(REFUND))
def test_a_position_never_gets_more_than_is_left_of_its_price_or_of_what_was_paid(facts: dict[str, Any]) -> None:
    paid = sum(action.amount or 0 for action in REFUND.decide(facts).actions)
    assert 0 <= paid <= facts["position.left"]
    assert paid == 0 or paid <= facts["order.paid"] - facts["order.refunded"]


@settings(FEW, max_examples=100)
@given(facts=likely(CHARGES))
def test_a_payment_never_gives_back_more_than_is_left_of_it(facts: dict[str, Any]) -> None:
    verdict = CHARGES.decide(facts)
    paid = sum(action.amount or 0 for action in verdict.actions)
    assert 0 <= paid <= facts["payment.left"]
    assert not paid or facts["payment.status"] == "confirmed"


@FEW
@given(facts=likely(REFUND), change=st.sampled_from([{"order.dispute_open": True}, {"position.kind": "merchandise"}]))
def test_no_money_moves_under_a_dispute_or_for_merchandise(facts: dict[str, Any], change: dict[str, Any]) -> None:
    assert all(action.amount is None for action in REFUND.decide({**facts, **change}).actions)


@FEW
@given(facts=likely(CHARGES), dispute=st.sampled_from(["open", "lost"]))
def test_no_charge_under_dispute_is_paid_back(facts: dict[str, Any], dispute: str) -> None:
    assert CHARGES.decide({**facts, "payment.dispute": dispute}).outcome != "approve"


@given(
    price=st.integers(1, 10**9),
    left_out=st.integers(0, 10**6),
    show_minutes=st.integers(1, 10_000),
    share=st.floats(0.1, 1),
)
@settings(FEW, max_examples=100)
def test_an_outage_gives_the_share_of_the_price_to_the_cent(price: int, left_out: int, show_minutes: int, share: float) -> None:
    minutes, left = max(1, int(show_minutes * share)), max(1, price - left_out)
    verdict = REFUND.decide(
        {
            **{name: value for name, value in LIKELY.items() if name in REFUND.facts},
            **OUTAGE,
            "order.paid": price,
            "position.price": price,
            "position.left": left,
            "show.minutes": show_minutes,
            "incident.minutes": minutes,
            "incident.share_missed": share,
        }
    )
    due = min(left, price * minutes // show_minutes)
    assert [action.amount for action in verdict.actions] == ([due] if price * minutes >= show_minutes else [])


@FEW
@given(facts=sane(REFUND))
def test_an_outage_gives_nothing_to_what_is_no_stream(facts: dict[str, Any]) -> None:
    venue = {**facts, "problem": "stream_outage", "show.status": "scheduled", "position.kind": "venue"}
    assert not REFUND.decide(venue).actions


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
@FEW
@given(data=st.data())
def test_what_no_read_rule_mentions_changes_nothing(pack: Pack, data: st.DataObject) -> None:
    facts = data.draw(sane(pack))
    verdict = pack.decide(facts)
    ids = [rule.id for rule in pack.rules]
    read = {name for rule in pack.rules[: ids.index(verdict.rule) + 1] for name in rule.looks_at}
    other = data.draw(sane(pack))
    mixed = {name: facts[name] if name in read else other[name] for name in reversed(facts)}
    assert encode(pack.decide(mixed)) == encode(verdict)


@pytest.mark.parametrize("pack", ALL, ids=lambda pack: pack.name)
@settings(FEW, max_examples=10)
@given(data=st.data())
def test_the_same_text_facts_and_parameters_give_the_same_bytes(pack: Pack, data: st.DataObject) -> None:
    facts = data.draw(wild(pack))
    again = load_pack(pack.text, languages=()).decide(dict(reversed(facts.items())), pack.parameters)
    assert encode(again) == encode(pack.decide(facts))
