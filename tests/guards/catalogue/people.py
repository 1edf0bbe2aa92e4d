"""What people may do with money that waits for them: `functions/desk.sql`."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_DESK: Final = "service/store/functions/desk.sql"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_people.py::test_{name}" for name in names)


def _others(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_others.py::test_{name}" for name in names)


PEOPLE: Final = (
    Guard(
        name="the number of people who have to agree",
        why="one person would send any amount",
        edits=(Edit(_DESK, "IF v_given < o.approvals_needed OR 'outside'", "IF 'outside'"),),
        tests=_tests("one_person_is_not_two"),
    ),
    Guard(
        name="the same person's second yes",
        why="one person would be told that both have agreed",
        edits=(
            Edit(_DESK, "IF NOT FOUND THEN RETURN jsonb_build_object('status', 'same_person', 'needed', o.approvals_needed); END IF;", ""),
        ),
        tests=_tests("one_person_is_not_two"),
    ),
    Guard(
        name="no yes while a dispute is open",
        why="the bank and we would both give the money back",
        edits=(
            Edit(
                _DESK,
                "IF EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND order_id = o.order_id AND dispute = 'open')",
                "IF false",
            ),
        ),
        tests=_tests("nobody_agrees_to_money_that_a_bank_may_be_giving_back"),
    ),
    Guard(
        name="no refusal of what may have left",
        why="a refund that arrived would be given back, and be paid a second time",
        edits=(Edit(_DESK, " AND NOT refund_may_have_left(operation)\n", "\n"),),
        tests=_tests("what_may_have_left_cannot_be_refused"),
    ),
    Guard(
        name="what people refuse gives back",
        why="a customer could never be paid: the line counts as given for ever",
        edits=(Edit(_DESK, "IF o.action = 'refund' THEN PERFORM refund_gives_back(p_platform, o, v_now); END IF;", ""),),
        tests=_tests("a_no_gives_everything_back_once"),
    ),
    Guard(
        name="nothing sent by hand that may have left",
        why="the customer would have it from the processor and from the bank",
        edits=(Edit(_DESK, 'RETURN \'{"status": "under_way"}\';', "NULL;"),),
        tests=_tests("what_may_have_left_is_not_sent_by_hand_as_well"),
    ),
    Guard(
        name="money sent by hand needs its people",
        why="one person would write down any reference, and the money counts as sent",
        edits=(Edit(_DESK, 'RETURN \'{"status": "needs_approval"}\';', "NULL;"),),
        tests=_tests("money_sent_by_hand_waits_for_the_people_it_needs"),
    ),
    Guard(
        name="nothing sent by hand while a dispute is open",
        why="the customer would have it from the bank and from people",
        edits=(
            Edit(
                _DESK,
                "IF EXISTS (SELECT FROM payment WHERE platform_id = p_platform AND id = o.payment_id AND dispute = 'open')",
                "IF false",
            ),
        ),
        tests=_others("money_is_not_sent_by_hand_while_the_bank_may_be_giving_it_back"),
    ),
    Guard(
        name="nothing sent by hand on top of what others gave back",
        why="the customer would have it from the dashboard and from people",
        edits=(Edit(_DESK, "    IF payment_has_excess(p_platform, o.payment_id) THEN", "    IF false THEN"),),
        tests=_others("money_sent_by_hand_is_not_written_down_on_top_of_what_others_gave_back"),
    ),
    Guard(
        name="no yes on top of what others gave back",
        why="people would agree to what the dashboard has given back already",
        edits=(Edit(_DESK, "IF o.action = 'refund' AND payment_has_excess(p_platform, o.payment_id) THEN", "IF false THEN"),),
        tests=_others("a_refund_that_has_not_left_does_not_go_on_top_of_what_others_gave_back"),
    ),
    Guard(
        name="a judgement without an attempt makes one",
        why="what a lead found at the processor would be in no books, and could not be matched with its list",
        edits=(Edit(_DESK, "IF a.id IS NULL THEN\n        INSERT INTO attempt", "IF false THEN\n        INSERT INTO attempt"),),
        tests=_tests("people_judge_what_has_no_attempt_either"),
    ),
    Guard(
        name="people judge only what is for review",
        why="a person's guess would end what a worker is just sending",
        edits=(Edit(_DESK, "AND state = 'NEEDS_REVIEW' RETURNING * INTO o;", "RETURNING * INTO o;"),),
        tests=_tests("people_judge_only_what_nobody_could_be_sure_of"),
    ),
)
