"""A pack with a mistake does not load, and the message says which, where, and what to write instead."""

import re

import pytest

from policies import PackError, load_pack
from policies.expressions import EXPRESSION_CHARACTERS_MAX
from tests.policies.small import LAST, deny, refund, text_of

GOOD = deny("a", "{ a: true }")
LONG = " && ".join(["a"] * EXPRESSION_CHARACTERS_MAX)


def errors_of(text: str, languages: tuple[str, ...] = ("en",)) -> tuple[str, ...]:
    with pytest.raises(PackError) as caught:
        load_pack(text, languages=languages)
    return caught.value.errors


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (GOOD.replace("when: a", "when: c.d"), r"small, rule no, line \d+: `when`: 1:2: undeclared reference to 'c.d'"),
        (GOOD.replace("when: a", "when: a &&"), r"rule no, line \d+: `when`: 1:5: Syntax error"),
        (GOOD.replace("when: a", "when: n > 1.5"), r"`when`: 1:3: found no matching overload for '_>_'"),
        (GOOD.replace("when: a", "when: n + 1"), "the expression gives INT, it must give true or false"),
        (GOOD.replace("when: a", "when: [a]"), "an expression must be text"),
        (GOOD.replace("when: a", "when: dyn(a) == true"), r"dyn\(\) is not allowed"),
        (GOOD.replace("when: a", "when: 'n in [1, \"x\"]'"), "no fixed type"),
        (GOOD.replace("when: a", 'when: "{}.size() == 0"'), "no fixed type"),
        (GOOD.replace("when: a", f"when: {LONG}"), "has 4996 characters, at most 1000 are allowed"),
        (
            GOOD.replace("when: a", "when: names.exists(x, counts.exists(y, y == size(x)))"),
            "a list is walked inside the walk of another",
        ),
        (GOOD.replace("  when: a\n", ""), "rule no, line .*: has no `when`, so no rule after it is ever read"),
        (GOOD.replace("id: no", "id: No Way"), "`id` must be a name in small letters, and is 'No Way'"),
        (GOOD + GOOD, "rule no, line .*: a rule of this name stands above already"),
        (GOOD.replace("  because", "  becaus"), "a rule has no `becaus`; it has id, about, when"),
        (GOOD.replace("  because: { en: No. }\n", ""), "a rule needs `because`"),
        (GOOD.replace("en: No.", "de: Nein."), "rule no, line .*: `because` lacks the language en"),
        (GOOD.replace("en: No.", "en: ''"), "`because` has no text for language en"),
        (GOOD.replace("en: No.", "en: No., English: No."), "'English' is not a language code"),
        (GOOD.replace("would_change: { en: Something else. }", "would_change: {}"), "`would_change` must hold a sentence"),
        (GOOD.replace("en: No.", 'en: "{n} minutes"'), "a sentence can only hold the value of a parameter"),
        (GOOD.replace("en: No.", 'en: "{parameters.most}"'), "names parameters.most, and no such parameter"),
        (GOOD.replace("  deny:", "  denies:"), "answers exactly one of approve, ask, wait, deny, escalate; this one has none"),
        (GOOD.replace("  because", "  approve: []\n  because"), "this one has approve and deny"),
        (GOOD.split("  examples")[0], "rule no, line .*: has no example"),
        (GOOD.replace("given: { a: true }", "given: { a: false, b: false }"), "the example is taken by rule people"),
        (GOOD.replace("given: { a: true }", "given: {}"), "taken by rule no|no example shows it deciding"),
        (GOOD.replace("given: { a: true }", "given: { a: 1 }"), "the example gives a: must be bool, and is int"),
        (GOOD.replace("given: { a: true }", "given: { z: 1 }"), "the example gives z: pack small declares no such fact"),
        (GOOD.replace("expect: deny", "expect: approve"), "the example expects approve and gets deny"),
        (GOOD.replace("expect: deny", "expect: { denied: true }"), "`expect` has no `denied`"),
        (GOOD.replace(", expect: deny", ""), "an example needs `expect`"),
        (refund("n", "{ a: true, n: 1 }", "rounding: up").replace(", rounding: up", ""), "an amount names its `rounding`"),
        (refund("n", "{ a: true, n: 1 }", "rounding: nearest"), "`rounding: nearest` is not known; use one of down, up, half_up"),
        (refund("n / 3", "{ a: true, n: 9 }", "rounding: up"), "cannot round up: write what to divide by as `divided_by`"),
        (refund("n", "{ a: true, n: 9 }", 'at_most: "n / 2", rounding: half_up'), "cannot round half_up"),
        (refund("d", "{ a: true, d: 1.5 }"), "gives DOUBLE, it must give a whole number"),
        (refund("12.50", "{ a: true }"), "gives DOUBLE, it must give a whole number"),
        (refund("n", "{ a: true, n: 1 }").replace("incident", "kindness"), "`cause: kindness` is not known"),
        (refund("n", "{ a: true, n: 1 }").replace("refund,", "pay,"), "`action: pay` is not known"),
        (refund("n", "{ a: true, n: 1 }").replace("refund,", "resend_pass,"), "resend_pass moves no money and has no `amount`"),
        (refund("n", "{ a: true, n: 1 }").replace('amount: "n", ', ""), "needs `amount`, in minor units"),
        (GOOD.replace("deny: { would_change: { en: Something else. } }", "wait: { for: rain }"), "wait needs `at_most`"),
        (
            GOOD.replace("deny: { would_change: { en: Something else. } }", "wait: { for: rain, at_most: soon }"),
            "'soon' is not a duration",
        ),
        (
            GOOD.replace("deny: { would_change: { en: Something else. } }", "wait: { for: rain, at_most: 900d }"),
            "at most 366 days",
        ),
        (GOOD.replace("deny: { would_change: { en: Something else. } }", "ask: n"), "no question is declared"),
        (
            GOOD.replace("deny: { would_change: { en: Something else. } }", "escalate: { skill: a, priority: 9 }"),
            r"`priority` must be a whole number from 1 \(first\) to 5 \(last\)",
        ),
        (GOOD.replace("deny: { would_change: { en: Something else. } }", "escalate: {}"), "escalate needs `skill`"),
    ],
)
def test_a_mistake_in_a_rule_is_named_with_its_place(rule: str, message: str) -> None:
    errors = errors_of(text_of(rule))
    assert any(_found(message, error) for error in errors), errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("- a\n", "the pack must be a list of `name: value`"),
        ("pack: [x\n", r"line \d+, column \d+: not YAML"),
        ("pack: a\npack: b\nrules: []\n", "line 2: 'pack' stands twice"),
        ("pack: &x a\nabout: *x\n", "an alias .* is not allowed"),
        ("pack: !!python/name:os.system a\n", "a tag .* is not allowed"),
        ("pack: " + "[" * 5000 + "]" * 5000, "nested more than 20 deep"),
        ("pack: a\nabout: " + "x" * 200_001, "at most 200000 are read"),
        (text_of(GOOD, facts="a: boolean\nanswer.left: string"), "fact a: 'boolean' is not a type; use string, int, bool"),
        (text_of(GOOD, facts="a: list<list>\nanswer.left: string"), "'list<list>' is not a type"),
        (text_of(GOOD, facts="A: bool\nanswer.left: string"), "'A' cannot be a fact's name"),
        (text_of(GOOD, facts="a: bool\na.b: int\nanswer.left: string"), "fact a cannot stand beside facts that begin with `a.`"),
        (text_of(GOOD, facts="parameters.a: bool\nanswer.left: string"), "'parameters.a' cannot be a fact's name"),
        (text_of(GOOD, facts="a: bool"), r"question answer\.left: no such fact is declared"),
        (text_of(GOOD, facts="a: bool\nanswer.left: bool"), "an answer is a string, and the fact is bool"),
        (text_of(GOOD, questions="answer.left: { prompt: { en: Go? }, options: [] }"), "must be 2 to 12 answers"),
        (text_of(GOOD, extra="parameters: { x: null }"), "parameter x: a parameter's default must be"),
        (text_of(GOOD, extra="for_each: seat"), "`for_each: seat` is not known; use one of position, pass, payment, case"),
        (text_of(GOOD, extra="problems: [a, a]"), "`problems` names something twice"),
        (text_of(GOOD, extra="colour: red"), "the pack has no `colour`; it has pack, about, problems"),
        (text_of(GOOD, name="Big Pack"), "`pack` must be a name in small letters"),
        ("pack: a\nfacts: {}\n", "the pack needs `rules`"),
        (text_of("", last=GOOD), "the last rule must escalate, without `when`"),
        (text_of(GOOD, last=LAST.replace("  escalate", "  when: a\n  escalate")), "the last rule must escalate, without `when`"),
    ],
)
def test_a_mistake_in_a_file_is_named(text: str, message: str) -> None:
    errors = errors_of(text)
    assert any(_found(message, error) for error in errors), errors


def test_all_mistakes_are_listed_at_once() -> None:
    rules = deny("x", "{ a: true }", "one") + deny("y", "{ a: true }", "two").split("  examples")[0]
    errors = errors_of(text_of(rules), languages=("en", "de"))
    assert sum("undeclared reference" in error for error in errors) == 2
    assert sum("lacks the language de" in error for error in errors) >= 5
    assert all(error.startswith("small") for error in errors)


def test_a_language_that_is_not_asked_for_may_be_there() -> None:
    text = text_of(GOOD.replace("en: No.", "en: No., fr: Non."))
    assert load_pack(text, languages=["en"]).languages == ("en", "fr")


def test_a_sentence_is_one_line_and_keeps_the_spaces_that_do_not_break() -> None:
    text = text_of(GOOD.replace("en: No.", 'en: "No\\n  and\\tno", fr: "Non\\u202f?"'))
    (said,) = [rule.answer.because for rule in load_pack(text, languages=["en"]).rules if "fr" in rule.answer.because]
    assert (said["en"], said["fr"]) == ("No and no", "Non\u202f?")


def test_words_that_other_readers_take_for_truth_values_stay_words() -> None:
    pack = load_pack(text_of(deny("s == 'no'", "{ s: no }")), languages=["en"])
    assert pack.decide({"s": "no"}).rule == "no"


def _found(message: str, error: str) -> bool:
    return re.search(message, error) is not None
