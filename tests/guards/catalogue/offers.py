"""What customers are shown before their yes, and what holds the yes to it."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_DECISIONS: Final = "service/store/functions/decisions.sql"
_HELP: Final = "service/store/functions/help.sql"
_RESOLUTION: Final = "service/resolution.py"


def _tests(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/help/{module}.py::test_{name}" for name in names)


OFFERS: Final = (
    Guard(
        name="a yes holds for what was shown",
        why="a customer who agreed to one sum would be paid another, or on another card, without being asked",
        edits=(Edit(_DECISIONS, "IF p_decide ? 'offered' THEN", "IF false THEN"),),
        tests=_tests(
            "test_likely",
            "a_yes_to_something_else_does_nothing_and_says_what_it_would_be_now",
            "a_yes_to_what_is_no_longer_due_does_nothing",
        ),
    ),
    Guard(
        name="a look leaves nothing behind",
        why="whoever opens the widget would have been refunded without a yes",
        edits=(
            Edit(
                _HELP,
                "            RAISE EXCEPTION USING ERRCODE = 'MG006', MESSAGE = 'only looked';\n        EXCEPTION",
                "        EXCEPTION",
            ),
        ),
        tests=_tests("test_likely", "an_outage_is_offered_previewed_and_paid_alike_and_then_no_more"),
    ),
    Guard(
        name="a yes is given to what the platform knows now",
        why="what the platform has given back since would be paid a second time, as it was shown",
        edits=(
            Edit(_RESOLUTION, "if order is not None and not holds and contact.offered is None:", "if order is not None and not holds:"),
        ),
        tests=_tests("test_in_step", "while_the_platform_is_away_a_yes_does_nothing_and_says_that_it_waits"),
    ),
    Guard(
        name="a purchase that was told goes to people",
        why="whoever cannot read their mail would be asked for the code in it, and what they told would be decided on",
        edits=(Edit(_RESOLUTION, "asker) if contact.purchase is None else", "asker) if caller else"),),
        tests=_tests(
            "test_told",
            "a_purchase_comes_to_people_in_the_customers_own_words",
            "a_purchase_never_acts_not_even_for_who_has_proven_the_order",
        ),
    ),
)
