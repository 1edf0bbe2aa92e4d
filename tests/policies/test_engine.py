"""What every pack can rely on, each promise as a test."""

from typing import Any

import pytest

from policies import FactError, encode, load_pack
from tests.policies.small import LAST, deny, refund, small, text_of

TWO = deny("a", "{ a: true }", "first") + deny("b", "{ a: false, b: true }", "second")


def test_the_first_true_rule_decides() -> None:
    pack = small(TWO)
    assert pack.decide({"a": True, "b": True}).rule == "first"
    assert pack.decide({"a": False, "b": True}).rule == "second"
    assert pack.decide({"a": False, "b": False}).rule == "people"


def test_a_missing_fact_is_never_taken_for_false() -> None:
    verdict = small(TWO).decide({"b": True})
    assert (verdict.rule, verdict.outcome, verdict.reason, verdict.unknown) == ("first", "escalate", "fact_unknown", ("a",))


def test_null_is_the_same_as_missing() -> None:
    pack = small(TWO)
    assert encode(pack.decide({"a": None, "b": True})) == encode(pack.decide({"b": True}))


def test_every_missing_fact_the_rule_mentions_is_named() -> None:
    pack = small(deny('a && n > 1 && s == "answer.left"', '{ a: true, n: 2, s: "answer.left" }'))
    assert pack.decide({"a": True}).unknown == ("n", "s")


def test_a_missing_fact_that_cannot_matter_does_not_stop_the_reading() -> None:
    pack = small(deny("a && b", "{ a: true, b: true }") + deny("a || n > 1", "{ a: true, b: false }", "either"))
    assert pack.decide({"a": False, "n": 2}).rule == "either"
    assert pack.decide({"a": True, "b": False}).rule == "either"


def test_a_missing_fact_with_a_question_is_asked() -> None:
    pack = small(deny('answer.left == "yes"', '{ answer.left: "yes" }'))
    verdict = pack.decide({})
    assert verdict.outcome == "ask"
    assert verdict.ask is not None
    assert (verdict.ask.fact, verdict.ask.kind, verdict.ask.prompt) == ("answer.left", "choice", {"en": "Have you left?"})
    assert [option.value for option in verdict.ask.options] == ["yes", "no"]
    assert (verdict.rule, verdict.unknown, verdict.because) == ("no", ("answer.left",), {"en": "Have you left?"})


def test_a_question_comes_before_people_when_both_facts_are_missing() -> None:
    pack = small(deny('b && answer.left == "yes"', '{ b: true, answer.left: "yes" }'))
    verdict = pack.decide({})
    assert (verdict.outcome, verdict.unknown) == ("ask", ("answer.left", "b"))


def test_a_rule_that_cannot_be_computed_goes_to_people_with_its_name() -> None:
    pack = small(deny("10 / n > 1", "{ n: 2 }"))
    verdict = pack.decide({"n": 0})
    assert (verdict.outcome, verdict.rule, verdict.reason, verdict.unknown) == ("escalate", "no", "rule_error", ())


def test_what_stops_goes_to_people_the_way_the_last_rule_says() -> None:
    verdict = small(TWO).decide({})
    assert verdict.escalate is not None
    assert (verdict.escalate.skill, verdict.escalate.priority, verdict.escalate.suggest) == ("support", 4, ("reply",))
    assert verdict.because == {"en": "A person looks at this."}


def test_a_rule_that_asks_is_passed_over_once_it_is_answered() -> None:
    asks = """
- id: tell-us
  when: a
  ask: answer.left
  because: { en: We need to know one thing. }
  examples: [{ given: { a: true }, expect: { ask: answer.left } }]
"""
    pack = small(asks + deny('answer.left == "yes"', '{ a: true, answer.left: "yes" }'))
    asked = pack.decide({"a": True})
    assert (asked.outcome, asked.because, asked.unknown) == ("ask", {"en": "We need to know one thing."}, ())
    assert pack.decide({"a": True, "answer.left": "yes"}).rule == "no"


def test_an_undeclared_fact_is_refused_by_name() -> None:
    with pytest.raises(FactError, match=r"order\.total.*declares no such fact"):
        small(TWO).decide({"a": True, "order.total": 3})


@pytest.mark.parametrize(
    ("amount", "more", "n", "expected"),
    [
        ("n * 25 / 90", "rounding: down", 2500, 694),
        ("n * 25", "divided_by: 90, rounding: down", 2500, 694),
        ("n * 25", "divided_by: 90, rounding: up", 2500, 695),
        ("n * 25", "divided_by: 90, rounding: half_up", 2500, 694),
        ("n", "divided_by: 2, rounding: half_up", 5, 3),
        ("n", "divided_by: 3, rounding: half_up", 4, 1),
        ("n", "divided_by: 3, rounding: half_up", 5, 2),
        ("n", "at_most: 100, rounding: down", 2500, 100),
        ("n", "at_most: [300, 200, n], rounding: down", 2500, 200),
        # Beyond what a double can hold: exact all the same.
        ("n", "divided_by: 2, rounding: half_up", 2**62 + 1, 2**61 + 1),
    ],
)
def test_money_is_exact_and_rounded_as_the_rule_says(amount: str, more: str, n: int, expected: int) -> None:
    verdict = small(refund(amount, f"{{ a: true, n: {n} }}", more)).decide({"a": True, "n": n})
    assert [action.amount for action in verdict.actions] == [expected]
    assert verdict.actions[0].cause == "incident"


@pytest.mark.parametrize("n", [0, -1, 2**62])
def test_an_amount_that_is_nothing_negative_or_too_large_goes_to_people(n: int) -> None:
    verdict = small(refund("n * 4", "{ a: true, n: 1 }")).decide({"a": True, "n": n})
    assert (verdict.outcome, verdict.rule, verdict.reason, verdict.actions) == ("escalate", "money", "rule_error", ())


@pytest.mark.parametrize("divisor", [0, -3])
def test_dividing_by_nothing_or_less_goes_to_people(divisor: int) -> None:
    pack = small(refund("100", "{ a: true, n: 1 }", "divided_by: n, rounding: up"))
    assert pack.decide({"a": True, "n": divisor}).reason == "rule_error"


def test_a_fact_missing_from_an_amount_goes_to_people() -> None:
    verdict = small(refund("n", "{ a: true, n: 1 }")).decide({"a": True})
    assert (verdict.reason, verdict.unknown) == ("fact_unknown", ("n",))


def test_parameters_are_typed_by_their_default_and_can_be_replaced() -> None:
    pack = small(deny("n > parameters.most", "{ n: 11 }"), extra="parameters: { most: 10 }")
    assert pack.decide({"n": 11, "a": False, "b": False}).rule == "no"
    assert pack.decide({"n": 11, "a": False, "b": False}, {"most": 11}).rule == "people"
    for wrong in (True, "11", 1.5, None):
        with pytest.raises(FactError, match=r"parameters\.most"):
            pack.decide({"n": 11}, {"most": wrong})
    with pytest.raises(FactError, match=r"parameters\.least.*no such parameter"):
        pack.decide({"n": 11}, {"least": 1})


def test_a_sentence_states_the_parameter_that_decided() -> None:
    rule = deny("n > parameters.most", "{ n: 11 }").replace("en: No.", 'en: "At most {parameters.most}."')
    pack = small(rule, extra="parameters: { most: 10 }")
    assert pack.decide({"n": 20}).because == {"en": "At most 10."}
    assert pack.decide({"n": 20}, {"most": 15}).because == {"en": "At most 15."}


def test_the_hash_is_of_the_text_and_not_of_its_line_ends() -> None:
    text = text_of(TWO)
    pack = load_pack(text, languages=["en"])
    assert load_pack("\ufeff" + text.replace("\n", "  \r\n"), languages=["en"]).hash == pack.hash
    assert load_pack(text + "# a remark\n", languages=["en"]).hash != pack.hash
    assert len(pack.hash) == 64
    assert pack.decide({"a": True}).pack_hash == pack.hash


def test_a_timestamp_a_duration_and_lists_can_be_looked_at() -> None:
    when = """'"x" in names && at < timestamp("2026-11-03T20:00:00Z") && wide > duration("90m") && counts.exists(c, c > 3)'"""
    pack = small(deny(when, '{ at: "2026-11-03T20:00:00+01:00", wide: 2h, names: [x], counts: [1, 4] }'))
    verdict = pack.decide({"at": "2026-11-03T20:59:59+01:00", "wide": "1h31m", "names": ["y", "x"], "counts": [4]})
    assert verdict.rule == "no"


def test_an_empty_approval_says_that_all_is_well() -> None:
    fine = """
    - id: fine
      when: a
      approve: []
      because: { en: All is well. }
      examples: [{ given: { a: true }, expect: { approve: [] } }]
    """
    verdict = small(fine).decide({"a": True})
    assert (verdict.outcome, verdict.actions) == ("approve", ())


def test_a_pack_cannot_be_changed_after_loading() -> None:
    pack = small(TWO)
    facts: Any = pack.facts
    with pytest.raises(TypeError):
        facts["a"] = "int"
    with pytest.raises(AttributeError):
        pack.rules[0].id = "other"  # type: ignore[misc]


def test_a_pack_of_one_rule_hands_everything_over() -> None:
    pack = load_pack(text_of("", last=LAST), languages=["en"])
    assert pack.decide({}).outcome == "escalate"
