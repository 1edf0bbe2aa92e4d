"""A stored decision can be made again, years later, and compared byte for byte."""

from typing import Any

import msgspec
import pytest

from policies import FactError, StoredDecision, bundled_folder, encode, explain, load_pack

TEXT = (bundled_folder() / "refund.yaml").read_text(encoding="utf-8")
PACK = load_pack(TEXT, languages=["en", "de"])
FACTS: dict[str, Any] = {
    "problem": "wants_refund",
    "case.waited_minutes": 0,
    "order.known": True,
    "order.status": "paid",
    "order.paid": 2500,
    "order.refunded": 0,
    "order.minutes_since_purchase": 60,
    "order.dispute_open": False,
    "requester.role": "buyer",
    "requester.refunds_90d": 0,
    "show.status": "scheduled",
    "show.phase": "before",
    "show.minutes_to_start": 5000,
    "position.kind": "venue",
    "position.price": 2500,
    "position.left": 2500,
    "position.canceled": False,
    "position.checked_in": False,
    "position.shows": 1,
}


def stored(**changes: Any) -> StoredDecision:
    verdict = PACK.decide(FACTS, {"remorse_hours": 24})
    decision = StoredDecision(pack_hash=PACK.hash, facts=FACTS, parameters={"remorse_hours": 24}, verdict=verdict)
    # As it comes back from where it was kept.
    return msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(decision, **changes)), type=StoredDecision)


def test_a_stored_decision_comes_out_again_byte_for_byte() -> None:
    explanation = explain(PACK.text, stored())
    assert explanation.same
    assert explanation.differences == ()
    assert encode(explanation.verdict) == encode(stored().verdict)


def test_the_rules_read_are_named_with_what_they_looked_at() -> None:
    rules = explain(PACK.text, stored()).rules
    assert [rule.decided for rule in rules] == [False] * (len(rules) - 1) + [True]
    assert rules[-1].rule == "remorse"
    assert rules[-1].looked_at["show.phase"] == "before"
    assert rules[0].when == "!order.known && case.waited_minutes < 60"


def test_another_text_another_fact_and_another_verdict_are_found_out() -> None:
    assert "pack_hash" in explain(PACK.text + "# changed\n", stored()).differences[0]
    changed = explain(PACK.text, stored(facts={**FACTS, "position.left": 2499}))
    assert not changed.same
    assert any(difference.startswith("actions: was") for difference in changed.differences)
    assert not explain(PACK.text, stored(parameters={"remorse_hours": 0})).same


def test_facts_that_do_not_fit_the_pack_are_refused() -> None:
    with pytest.raises(FactError, match=r"order\.paid"):
        explain(PACK.text, stored(facts={**FACTS, "order.paid": True}))
