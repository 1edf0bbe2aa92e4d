"""What waits while another team judges: `functions/referrals.sql`, and the places that ask it."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_REFERRALS: Final = "service/store/functions/referrals.sql"
_SENDING: Final = "service/store/functions/sending.sql"
_PASSES: Final = "service/store/functions/passes.sql"
_DESK: Final = "service/store/functions/desk.sql"
_CASES: Final = "service/store/functions/cases.sql"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/desk/test_referrals.py::test_{name}" for name in names)


REFERRALS: Final = (
    Guard(
        name="what is decided while another team judges waits",
        why="money would leave for an order that fraud is just looking at",
        edits=(Edit(_REFERRALS, "IF referral_holds(NEW.platform_id, NEW.order_id, NEW.case_id) THEN", "IF false THEN"),),
        tests=_tests("what_is_decided_later_waits_too_and_is_nobodys_of_the_desk_to_agree_to"),
    ),
    Guard(
        name="what was ready when another team was asked waits",
        why="the refund that the question is about would leave within the second",
        edits=(Edit(_REFERRALS, "IF o.action = 'void_pass' OR refund_may_have_left(o) THEN RETURN false; END IF;", "RETURN false;"),),
        tests=_tests("what_is_ready_waits_for_the_answer_and_then_goes_by_itself"),
    ),
    Guard(
        name="what may have left is not stopped for another team",
        why="a refund that the processor has would be refused here, and owed once more",
        edits=(Edit(_REFERRALS, "IF o.action = 'void_pass' OR refund_may_have_left(o) THEN RETURN false; END IF;", ""),),
        tests=_tests("what_may_have_left_is_followed_up_as_ever"),
    ),
    Guard(
        name="what never got to the rail waits for another team",
        why="a refund whose first sending came to nothing would be sent again while another team judges",
        edits=(Edit(_SENDING, "IF referral_holds(p_platform, o.order_id, o.case_id) AND", "IF false AND"),),
        tests=_tests("what_was_on_its_way_and_never_got_there_waits_from_then_on"),
    ),
    Guard(
        name="a new link waits for another team",
        why="what our own tables do at once would be done at once",
        edits=(Edit(_PASSES, "IF v_state = 'READY' AND r.rail = 'here'", "IF cardinality(p_hold) = 0 AND r.rail = 'here'"),),
        tests=_tests("a_new_link_is_not_made_while_another_team_judges"),
    ),
    Guard(
        name="nobody of the desk agrees to what another team judges",
        why="a yes would be counted, and the refund be said to be released",
        edits=(
            Edit(
                _DESK,
                """RETURN jsonb_build_object('status', 'not_held', 'state', o.state); END IF;
    IF 'referral' = ANY (o.holds) THEN RETURN '{"status": "referred"}'; END IF;""",
                "RETURN jsonb_build_object('status', 'not_held', 'state', o.state); END IF;",
            ),
        ),
        tests=_tests("cleared_releases_to_what_else_holds_it"),
    ),
    Guard(
        name="one team's word does not let go what another team holds",
        why="moderation's yes would send the money that fraud has not judged",
        edits=(Edit(_REFERRALS, "CONTINUE WHEN referral_holds(o.platform_id, o.order_id, o.case_id);", ""),),
        tests=_tests("of_two_teams_both_have_to_clear"),
    ),
    Guard(
        name="another team that asks back holds on",
        why="a question back would let the money go",
        edits=(Edit(_REFERRALS, "holding = holding AND doc->>'answer' = 'need_more'", "holding = false"),),
        tests=_tests("need_more_gives_the_case_back_with_the_question_and_money_waits_on"),
    ),
    Guard(
        name="what another team confirmed is not decided anew by who was at it",
        why="the worker that held the case would award again what was just refused",
        edits=(Edit(_REFERRALS, "skill = 'trust', lease_epoch = lease_epoch + 1", "skill = 'trust'"),),
        tests=_tests("confirmed_finds_whoever_was_about_to_decide_without_a_lease"),
    ),
    Guard(
        name="a case does not end while another team judges it",
        why="what the question holds would be nobody's: no deadline, no queue, and the customer's money held for ever",
        edits=(Edit(_CASES, "IF v_state NOT IN ('open', 'joined') AND referral_asks(p_platform, p_case) THEN", "IF false THEN"),),
        tests=("tests/desk/test_open_questions.py::test_money_that_arrives_ends_no_case_that_another_team_judges",),
    ),
    Guard(
        name="nobody ends a case that another team judges",
        why="what the question holds would be nobody's, and who ended it would not hear of it",
        edits=(Edit(_DESK, "IF referral_asks(p_platform, p_case) THEN RETURN 'referral_open'; END IF;", ""),),
        tests=("tests/desk/test_open_questions.py::test_a_case_does_not_end_while_another_team_is_asked",),
    ),
    Guard(
        name="nobody answers for another team what they asked themselves",
        why="one person could clear what they had stopped, and be both sides of it",
        edits=(Edit(_REFERRALS, "IF r.agent_id = (doc->>'agent')::uuid THEN RETURN '{\"status\": \"own\"}'; END IF;", ""),),
        tests=_tests("nobody_answers_their_own_question_nor_does_a_program_or_who_has_no_such_skill"),
    ),
)
