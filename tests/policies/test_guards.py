"""The guards' file is read strictly: a number that is missing, misspelt or impossible stops the start."""

import pytest

from policies import GuardsError, bundled_folder, limit, load_guards

TEXT = (bundled_folder() / "guards.yaml").read_text(encoding="utf-8")


def test_a_currency_nobody_thought_about_is_decided_by_people() -> None:
    assert limit(load_guards(TEXT).auto_refund_max, "XAU") == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("auto_refund_max:", "auto_refund:", "auto_refund"),
        ("questions_per_case_max: 4\n", "", "missing required field `questions_per_case_max`"),
        ("questions_per_case_max: 4", "questions_per_case_max: -1", ">= 0.*questions_per_case_max"),
        ("questions_per_case_max: 4", "questions_per_case_max: true", "got `bool`"),
        ("second_person_over: { EUR: 30000", "second_person_over: { EUR: 300.00", r"second_person_over"),
        ("second_person_over: { EUR: 30000", "second_person_over: { eur: 30000", "second_person_over"),
        ("questions_per_case_max: 4", "questions_per_case_max: 4\n  tea: 1", "unknown field `tea`"),
        ("questions_per_case_max: 4", "questions_per_case_max: 4\n  questions_per_case_max: 5", "stands twice"),
    ],
)
def test_a_mistake_in_the_guards_is_named(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(GuardsError, match=message):
        load_guards(TEXT.replace(old, new, 1))
