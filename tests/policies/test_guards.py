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
        ("payout_unreachable_max: 0\n", "", "missing required field `payout_unreachable_max`"),
        ("payout_unreachable_max: 0", "payout_unreachable_max: -1", ">= 0.*payout_unreachable_max"),
        ("payout_unreachable_max: 0", "payout_unreachable_max: true", "got `bool`"),
        ("second_person_over: { EUR: 30000", "second_person_over: { EUR: 300.00", r"second_person_over"),
        ("second_person_over: { EUR: 30000", "second_person_over: { eur: 30000", "second_person_over"),
        ("passes_per_hour_max: 60", "passes_per_hour_max: 60\n    tea: 1", "unknown field `tea`"),
        ("waits_per_case_max: 10", "waits_per_case_max: 10\n  waits_per_case_max: 11", "stands twice"),
    ],
)
def test_a_mistake_in_the_guards_is_named(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(GuardsError, match=message):
        load_guards(TEXT.replace(old, new, 1))
