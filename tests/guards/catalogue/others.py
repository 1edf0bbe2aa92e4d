"""What others do while our refund waits: excess, disputes, rails that are gone, ceilings of pay-outs, a brake at the last moment."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_NO_RAIL_IF: Final = "        if rail is None or taken_on is None:\n"
_NO_RAIL: Final = _NO_RAIL_IF + '            await self._store.calls_people(platform, operation, begun.attempt, "rail_gone")\n'
_SENDING: Final = "service/store/functions/sending.sql"
_DISPUTES: Final = "service/store/functions/disputes.sql"
_CHOICES: Final = "service/store/functions/choices.sql"
_ROLLBACK: Final = "service/store/functions/rollback.sql"
_REFUNDS: Final = "service/refunds.py"
_OPERATIONS: Final = "service/operations.py"
_WHO: Final = "service/choices.py"
_CAPS: Final = "service/caps.py"
_PROMISES: Final = "tests/guards/promises"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PROMISES}/test_others.py::test_{name}" for name in names)


def _gone(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PROMISES}/test_gone_rails.py::test_{name}" for name in names)


def _ceilings(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PROMISES}/test_ceilings.py::test_{name}" for name in names)


_EXCESS: Final = (
    Guard(
        name="every sending asks whether others have emptied the payment",
        why="a refund in the dashboard would be paid on top by whatever has not left yet",
        edits=(
            Edit(
                _SENDING,
                "IF payment_has_excess(p_platform, o.payment_id) THEN",
                "IF a.state IN ('REJECTED', 'FAILED', 'CANCELED') AND payment_has_excess(p_platform, o.payment_id) THEN",
            ),
        ),
        tests=_tests(
            "a_refund_that_has_not_left_does_not_go_on_top_of_what_others_gave_back",
            "a_rail_that_was_never_reached_is_not_tried_again_on_top_of_what_others_gave_back",
            "the_other_rail_of_one_out_of_reach_does_not_pay_on_top_of_what_others_gave_back",
            "what_is_first_seen_when_the_payment_is_read_keeps_the_other_rail_from_paying",
        ),
    ),
    Guard(
        name="what may have left is followed up over an excess",
        why="a refund that has arrived would wait for people as if it had not, and be sent by hand as well",
        edits=(
            Edit(_SENDING, "IF o.action = 'refund' AND (NOT v_unknown OR a.state IN", "IF o.action = 'refund' AND (true OR a.state IN"),
        ),
        tests=_tests("what_may_have_left_is_followed_up_though_others_gave_back"),
    ),
)

_LOST: Final = "(payment_has_excess(p_platform, p_payment) AND NOT refund_may_have_left(o))"

_DISPUTED: Final = (
    Guard(
        name="a dispute that is first heard of as lost",
        why="the bank has taken the money, and what had not left would still go out",
        edits=(Edit(_DISPUTES, f" OR {_LOST} THEN", " THEN"),),
        tests=_tests(
            "a_dispute_told_as_lost_ends_what_has_not_left",
            "a_worker_that_had_taken_it_up_when_the_dispute_was_told_as_lost_sends_nothing",
        ),
    ),
    Guard(
        name="a lost dispute ends nothing that may have left",
        why="money that has arrived would count as never sent",
        edits=(Edit(_DISPUTES, _LOST, "payment_has_excess(p_platform, p_payment)"),),
        tests=_tests("a_dispute_told_as_lost_leaves_what_may_have_left_to_be_found"),
    ),
    Guard(
        name="a part that was lost ends nothing that still has room",
        why="a customer whose bank took five euros back would lose the rest of their refund",
        edits=(Edit(_DISPUTES, _LOST, "NOT refund_may_have_left(o)"),),
        tests=_tests("a_part_that_was_lost_leaves_the_refund_that_still_has_room"),
    ),
)

_GONE: Final = (
    Guard(
        name="people hear of a rail that is gone with refunds on it",
        why="what it had accepted would be looked after by nobody, for ever",
        edits=(
            Edit(_OPERATIONS, 'if begun.status == "follow_up" and not is_money and', 'if begun.status == "never" and not is_money and'),
        ),
        tests=_gone("a_refund_that_a_gone_rail_had_accepted_is_for_people_until_the_rail_is_back"),
    ),
    Guard(
        name="people hear of a rail that is gone and cannot be read",
        why="the customer has chosen another way, and waits for ever without anybody knowing",
        edits=(
            Edit(
                _REFUNDS,
                _NO_RAIL,
                "",
            ),
        ),
        tests=_gone("another_rail_does_not_take_over_from_one_that_is_gone_and_cannot_be_read"),
    ),
    Guard(
        name="a rail that is gone proves nothing",
        why="whoever takes a rail out of the settings would have its refunds paid again by another",
        edits=(
            Edit(
                _REFUNDS,
                _NO_RAIL,
                _NO_RAIL_IF + "            await self._store.proved(platform, operation, epoch)\n            return True\n",
            ),
        ),
        tests=_gone("another_rail_does_not_take_over_from_one_that_is_gone_and_cannot_be_read"),
    ),
)

_CEILINGS: Final = (
    Guard(
        name="a choice takes from the ceiling of its rail",
        why="what one rail cannot pay back would pour out of another, whatever was allowed for a day",
        edits=(
            Edit(
                _CHOICES,
                "SELECT t.reached, t.held INTO v_cap, o.caps"
                " FROM caps_take(v_platform, o.caps, doc->'caps', doc->>'rail', o.currency, o.amount, v_now) AS t;",
                "v_cap := NULL;",
            ),
        ),
        tests=_ceilings(
            "a_choice_beyond_the_days_ceiling_waits_for_people",
            "what_customers_choose_counts_against_the_ceiling_that_the_platform_has_set",
        ),
    ),
    Guard(
        name="what a customer chooses names the ceiling",
        why="the ceiling would be there and bind nobody",
        edits=(Edit(_WHO, '"caps": [] if kind == MANUAL else [', '"caps": [] if kind else ['),),
        tests=_ceilings("what_customers_choose_counts_against_the_ceiling_that_the_platform_has_set"),
    ),
    Guard(
        name="what people agree to names the ceiling of a rail that pays out",
        why="a held pay-out would be let go past what was allowed for a day",
        edits=(Edit(_CAPS, ' | set((view.platform.get("payouts") or {}).get("rails") or ())', ""),),
        tests=_ceilings("what_people_agree_to_counts_against_it_as_well"),
    ),
)

_ROLLED_BACK: Final = (
    Guard(
        name="a brake in the last moment keeps a card from being let go",
        why="after somebody has pulled the brake sales would go on being undone",
        edits=(Edit(_ROLLBACK, "'paused', braked(p_platform,", "'paused', false AND braked(p_platform,"),),
        tests=("tests/rollback/test_failed_sales.py::test_a_pause_in_the_last_moment_keeps_a_card_from_being_let_go_and_only_for_as_long",),
    ),
)

OTHERS: Final = (*_EXCESS, *_DISPUTED, *_GONE, *_CEILINGS, *_ROLLED_BACK)
