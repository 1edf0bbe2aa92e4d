"""Another rail, and who may ask for it: `takeover_needs`, `functions/choices.sql`, `service/choices.py`, `policies/rails.py`."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_SENDING: Final = "service/store/functions/sending.sql"
_CHOICES: Final = "service/store/functions/choices.sql"
_OUTCOMES: Final = "service/store/functions/outcomes.sql"
_STEPS: Final = "service/outcomes.py"
_REFUNDS: Final = "service/refunds.py"
_WHO: Final = "service/choices.py"
_RAILS: Final = "policies/rails.py"
_DEAD: Final = "coalesce(o.proved_at > p_now - interval '1 minute', false)"
_CLEAN: Final = "coalesce(p.read_clean AND p.read_at > p_now - interval '1 hour', false)"
_STAY: Final = "ELSIF a.state <> 'PREPARED' OR attempt_may_have_arrived(o.platform_id, a.id) THEN"

# Two layers keep another rail from paying what is unknown; both go.
_UNKNOWN: Final = ("IF o.action = 'refund' AND (NOT v_unknown OR a.state IN", "IF o.action = 'refund' AND (true OR a.state IN")


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_takeover.py::test_{name}" for name in names)


_PROOFS: Final = (
    Guard(
        name="no other rail while the first may have paid",
        why="a lost answer would be paid a second time, by another rail",
        edits=(
            Edit(_SENDING, *_UNKNOWN),
            Edit(_SENDING, _STAY, "ELSIF false THEN"),
            Edit(
                _SENDING,
                "AND a.state = 'PREPARED' THEN\n            -- Closed",
                "AND a.state IN ('PREPARED', 'UNKNOWN') THEN\n            -- Closed",
            ),
        ),
        tests=_tests(
            "a_rail_that_may_have_paid_goes_on_under_its_key_whatever_was_chosen", "a_try_that_died_with_its_worker_keeps_its_rail"
        ),
    ),
    Guard(
        name="a try that died with its worker counts before another rail pays",
        why="what a dead process had sent would be paid again by another rail",
        edits=(Edit(_SENDING, *_UNKNOWN), Edit(_SENDING, _STAY, "ELSIF a.state <> 'PREPARED' THEN")),
        tests=_tests("a_try_that_died_with_its_worker_keeps_its_rail"),
    ),
    Guard(
        name="the payment is read where it was taken, before a pay-out is sent again",
        why="what others refunded since would be paid out on top",
        edits=(
            Edit(
                _REFUNDS,
                "untouched = await self._payment_is_untouched(platform, operation, taken_on, request)",
                'untouched = rail.traits.pays == "out" or await self._payment_is_untouched(platform, operation, taken_on, request)',
            ),
        ),
        tests=_tests("a_payout_that_came_back_is_not_sent_again_on_top_of_what_others_gave_back_meanwhile"),
    ),
    Guard(
        name="the re-read of a dead refund",
        why="a refund that arrived after its refusal would be paid again",
        edits=(Edit(_SENDING, _DEAD, "true"),),
        tests=_tests(
            "a_refund_that_arrived_after_its_refusal_is_not_paid_again",
            "a_failed_refund_that_is_not_listed_proves_nothing",
            "what_was_read_minutes_ago_is_read_again",
        ),
    ),
    Guard(
        name="the re-read of a dead refund is fresh",
        why="a refund that arrived since it was read would be paid again",
        edits=(Edit(_SENDING, _DEAD, "(o.proved_at IS NOT NULL)"),),
        tests=_tests("what_was_read_minutes_ago_is_read_again"),
    ),
    Guard(
        name="a second attempt that had to wait is proven again",
        why="a refund that arrived while the second could not be sent would be paid again",
        edits=(Edit(_SENDING, " OR seq < a.seq) ORDER BY seq DESC LIMIT 1;", ") ORDER BY seq DESC LIMIT 1;"),),
        tests=_tests(
            "a_second_attempt_that_had_to_wait_is_proven_again",
            "a_second_attempt_that_had_to_wait_is_not_sent_while_nobody_can_be_asked",
        ),
    ),
    Guard(
        name="not listed is no proof",
        why="a processor whose list is behind would have its refund paid again",
        edits=(Edit(_REFUNDS, 'return seen is not None or not rail.traits.reads or begun.attempt_state != "FAILED"', "return True"),),
        tests=_tests("a_failed_refund_that_is_not_listed_proves_nothing"),
    ),
    Guard(
        name="the reading of an unreached payment",
        why="a refund in the dashboard, or a bank's, would be paid on top",
        edits=(Edit(_SENDING, _CLEAN, "true"),),
        tests=_tests(
            "a_payment_that_others_have_touched_is_not_paid_by_another_rail",
            "a_payment_that_nobody_could_read_is_not_paid_by_another_rail",
            "a_payment_that_was_read_hours_ago_is_read_again",
        ),
    ),
    Guard(
        name="the reading of an unreached payment is fresh",
        why="what others did since it was read would be paid on top",
        edits=(Edit(_SENDING, _CLEAN, "coalesce(p.read_clean, false)"),),
        tests=_tests("a_payment_that_was_read_hours_ago_is_read_again"),
    ),
    Guard(
        name="what was read has to be clean",
        why="what others did would be seen, and be paid on top",
        edits=(Edit(_SENDING, _CLEAN, "coalesce(p.read_at > p_now - interval '1 hour', false)"),),
        tests=_tests("a_payment_that_others_have_touched_is_not_paid_by_another_rail"),
    ),
    Guard(
        name="a refund that is not ours is not clean",
        why="a refund in the dashboard would be paid on top",
        edits=(Edit(_CHOICES, "AND p_refunded <= refunded_elsewhere + (", "AND 0 * p_refunded <= refunded_elsewhere + ("),),
        tests=_tests("a_payment_that_others_have_touched_is_not_paid_by_another_rail[a refund that is not ours]"),
    ),
    Guard(
        name="a dispute that only the processor knows is not clean",
        why="the bank and another rail would both pay",
        edits=(Edit(_CHOICES, "read_clean = NOT p_disputed AND dispute <> 'open' AND", "read_clean = dispute <> 'open' AND"),),
        tests=_tests("a_payment_that_others_have_touched_is_not_paid_by_another_rail[a dispute]"),
    ),
    Guard(
        name="a dispute stops another rail",
        why="the bank and another rail would both pay",
        edits=(Edit(_SENDING, "IF p.dispute = 'open' THEN RETURN 'stay'; END IF;", ""),),
        tests=_tests("another_rail_does_not_pay_while_the_bank_may_be_giving_it_back"),
    ),
    Guard(
        name="a payment that others have emptied stops another rail",
        why="a refund in the dashboard would be paid on top",
        edits=(Edit(_SENDING, "IF payment_has_excess(p_platform, o.payment_id) THEN", "IF false THEN"),),
        tests=_tests("another_rail_does_not_pay_on_top_of_what_others_gave_back"),
    ),
    Guard(
        name="the lease's epoch of a proof",
        why="a worker that lost its lease would prove what it read long ago",
        edits=(
            Edit(_CHOICES, "AND id = p_operation AND lease_epoch = p_epoch;\n    RETURN FOUND", "AND id = p_operation;\n    RETURN FOUND"),
        ),
        tests=_tests("what_a_worker_read_before_its_lease_was_lost_proves_nothing"),
    ),
    Guard(
        name="the first attempt is closed where the next is opened",
        why="whoever wakes up late would find it open and send it",
        edits=(
            Edit(
                _SENDING,
                "UPDATE attempt SET state = 'CLOSED_NOT_SENT', read_again_at = v_now + interval '1 hour'"
                " WHERE platform_id = p_platform AND id = a.id\n            RETURNING * INTO a;",
                "a.state := 'CLOSED_NOT_SENT';",
            ),
        ),
        tests=_tests("a_first_rail_that_was_never_reached_is_closed_and_read_and_the_second_pays"),
    ),
    Guard(
        name="a try that runs may have arrived",
        why="the customer would choose another way while the first is being paid",
        edits=(Edit(_SENDING, "result IS DISTINCT FROM 'NOT_SENT'", "result <> 'NOT_SENT'"),),
        tests=_tests("a_choice_made_while_a_try_is_running_is_not_taken"),
    ),
    Guard(
        name="no choice while the first may have paid",
        why="the customer would be told of another way, which never goes",
        edits=(
            Edit(
                _CHOICES,
                "IF a.state <> 'PREPARED' OR attempt_may_have_arrived(v_platform, a.id) THEN RETURN '{\"status\": \"under_way\"}'; END IF;",
                "",
            ),
        ),
        tests=_tests("a_choice_made_while_a_try_is_running_is_not_taken", "a_choice_after_a_lost_answer_is_not_taken"),
    ),
)

_REASONS: Final = (
    Guard(
        name="a refused key is no unreachable rail",
        why="a wrong key of ours would send all money another way, while what was sent before it may still arrive",
        edits=(Edit(_STEPS, '"NOT_SENT" if failure.never_sent else', '"NOT_SENT" if failure.never_sent or failure.configuration else'),),
        tests=_tests("a_rail_that_answered_or_may_have_is_not_given_up_for_being_out_of_reach[401]"),
    ),
    Guard(
        name="a busy rail is no unreachable rail",
        why="a processor at its limit would lose its refunds to another, and carry some of them out all the same",
        edits=(
            Edit(_STEPS, '"NOT_SENT" if failure.never_sent else', '"NOT_SENT" if failure.never_sent or failure.retry_after_seconds else'),
        ),
        tests=_tests("a_rail_that_answered_or_may_have_is_not_given_up_for_being_out_of_reach[429]"),
    ),
    Guard(
        name="nothing is offered that may have arrived",
        why="the customer would be asked where money should go that is there already",
        edits=(Edit(_CHOICES, "\n       OR attempt_may_have_arrived(o.platform_id, a.id) THEN RETURN; END IF;", " THEN RETURN; END IF;"),),
        tests=_tests("a_rail_that_answered_or_may_have_is_not_given_up_for_being_out_of_reach"),
    ),
    Guard(
        name="too little money of ours is no reason",
        why="an empty balance at one processor would be paid from another",
        edits=(
            Edit(
                _OUTCOMES,
                "WHEN p_failure = 'insufficient_funds' THEN 'READY'",
                "WHEN p_failure = 'insufficient_funds' THEN 'CHOICE_NEEDED'",
            ),
        ),
        tests=_tests("only_proof_that_the_money_cannot_go_back_opens_another_way[insufficient_funds-READY]"),
    ),
    Guard(
        name="a dispute is no reason",
        why="the bank and another rail would both pay",
        edits=(
            Edit(
                _OUTCOMES, "'charge_for_pending_refund_disputed') THEN 'HELD'", "'charge_for_pending_refund_disputed') THEN 'CHOICE_NEEDED'"
            ),
        ),
        tests=_tests("only_proof_that_the_money_cannot_go_back_opens_another_way"),
    ),
    Guard(
        name="no policy lets too little money be a reason",
        why="whoever writes rails.yaml would pay from another rail what the first still owes",
        edits=(
            Edit(_RAILS, '    "insufficient_funds": "the balance is too low and the refund waits for it",\n', ""),
            Edit(
                _RAILS,
                '"lost_or_stolen_card", "declined", "unknown", "unreachable"]',
                '"lost_or_stolen_card", "declined", "unknown", "unreachable", "insufficient_funds"]',
            ),
        ),
        tests=("tests/policies/test_rails_pack.py::test_a_mistake_in_the_file_is_named",),
    ),
)

_CHOOSERS: Final = (
    Guard(
        name="a new address needs a strong proof",
        why="whoever reads a customer's mail would have their money sent elsewhere",
        edits=(Edit(_WHO, "level.at_least(IdentityLevel.STRONG)", "level.at_least(IdentityLevel.CLAIMED)"),),
        tests=_tests("money_goes_to_a_new_address_only_for_who_has_proved_strongly_who_they_are"),
    ),
    Guard(
        name="only what was offered",
        why="money would go over a rail that the platform never allowed",
        edits=(
            Edit(_WHO, "if refund is None or chosen.rail not in self._names(settings, refund, by_agent=by_agent):", "if refund is None:"),
        ),
        tests=_tests("a_way_that_was_not_offered_cannot_be_chosen"),
    ),
    Guard(
        name="an agent's choice needs a second person",
        why="one agent would send a customer's money to an address of theirs",
        edits=(Edit(_WHO, "max(approvals, 1 if kind == MANUAL else 2)", "max(approvals, 1)"),),
        tests=_tests("an_agents_choice_waits_for_a_second_person"),
    ),
    Guard(
        name="a large choice waits for people",
        why="a large pay-out would leave on a customer's word alone",
        edits=(Edit(_CHOICES, "state = CASE WHEN cardinality(v_holds) = 0 THEN 'READY' ELSE 'HELD' END,", "state = 'READY',"),),
        tests=_tests("a_choice_that_people_have_to_agree_to_waits_for_them"),
    ),
    Guard(
        name="no choice on top of what others gave back",
        why="a refund in the dashboard would be paid on top",
        edits=(Edit(_CHOICES, "IF payment_has_excess(v_platform, o.payment_id) THEN", "IF false THEN"),),
        tests=_tests("a_choice_is_not_taken_on_top_of_what_others_gave_back"),
    ),
    Guard(
        name="no choice while a dispute is open",
        why="the bank and another rail would both pay",
        edits=(
            Edit(_CHOICES, "dispute = 'open') THEN RETURN '{\"status\": \"disputed\"}'", 'false) THEN RETURN \'{"status": "disputed"}\''),
        ),
        tests=_tests("a_choice_is_not_taken_while_the_bank_may_be_giving_it_back"),
    ),
)

TAKEOVER: Final = (*_PROOFS, *_REASONS, *_CHOOSERS)
