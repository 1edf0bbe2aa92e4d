"""Leases, keys and what nobody answered: `functions/sending.sql`, `functions/outcomes.sql`, `service/refunds.py`, `service/outcomes.py`."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_SENDING: Final = "service/store/functions/sending.sql"
_OUTCOMES: Final = "service/store/functions/outcomes.sql"
_REFUNDS: Final = "service/refunds.py"
_STEPS: Final = "service/outcomes.py"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_sending.py::test_{name}" for name in names)


_LEASES: Final = (
    Guard(
        name="the lease's epoch when a sending begins",
        why="two workers would send one refund side by side",
        edits=(Edit(_SENDING, 'IF o.lease_epoch <> p_epoch THEN RETURN \'{"status": "lost"}\'; END IF;', ""),),
        tests=_tests("a_worker_whose_lease_another_has_taken_sends_nothing"),
    ),
    Guard(
        name="the lease's epoch when an answer is stored",
        why="a frozen worker that wakes up would give back money that the next one is just sending",
        edits=(Edit(_OUTCOMES, "IF o.lease_epoch <> (doc->>'epoch')::bigint OR o.ended_at IS NOT NULL", "IF o.ended_at IS NOT NULL"),),
        tests=_tests("a_worker_that_wakes_up_after_another_took_over_changes_nothing"),
    ),
    Guard(
        name="the lease's epoch when a try is taken back",
        why="the try of the worker that is sending now would vanish, and with it the knowledge that money may be on its way",
        edits=(Edit(_SENDING, "AND id = p_operation AND lease_epoch = p_epoch AND state IN", "AND id = p_operation AND state IN"),),
        tests=_tests("a_try_that_waits_for_its_turn_is_taken_back_by_its_own_worker_alone"),
    ),
    Guard(
        name="what has ended is not stored again",
        why="a refund that was paid would be given back, and be paid a second time",
        edits=(Edit(_OUTCOMES, "<> (doc->>'epoch')::bigint OR o.ended_at IS NOT NULL", "<> (doc->>'epoch')::bigint"),),
        tests=_tests("what_has_ended_is_not_ended_once_more"),
    ),
    Guard(
        name="nobody leases what is leased",
        why="every worker would take up every refund",
        edits=(Edit(_SENDING, "\n      AND (lease_until IS NULL OR lease_until <= (SELECT app_now()))", ""),),
        tests=_tests("nobody_leases_what_somebody_is_at"),
    ),
    Guard(
        name="a lease about to end sends nothing",
        why="a process that stood still would send beside the one that took over",
        edits=(Edit(_REFUNDS, 'too_late = entry.kind == "go" and self._monotonic() + CALL_SECONDS_MAX > ends_at', "too_late = False"),),
        tests=_tests("too_little_left_of_a_lease_to_hear_the_answer_sends_nothing"),
    ),
    Guard(
        name="brakes",
        why="after somebody has pulled the brake money would go on leaving",
        edits=(Edit(_SENDING, "IF braked(p_platform, o.action, o.rail, v_show) AND", "IF false AND"),),
        tests=_tests("a_brake_lets_nothing_new_out"),
    ),
    Guard(
        name="a brake holds repeats",
        why="after somebody has pulled the brake what nobody answered would go on leaving",
        edits=(
            Edit(
                _SENDING,
                "IF braked(p_platform, o.action, o.rail, v_show) AND NOT coalesce(v_unknown AND a.key_expires_at <= v_now, false) THEN",
                "IF NOT v_unknown AND braked(p_platform, o.action, o.rail, v_show) THEN",
            ),
        ),
        tests=_tests("a_brake_holds_repeats_as_well"),
    ),
    Guard(
        name="what nobody answered is looked for under a brake",
        why="while money is stopped nobody would know what has left",
        edits=(
            Edit(
                _SENDING,
                "IF NOT v_unknown OR o.action <> 'refund' THEN RETURN '{\"status\": \"paused\"}'; END IF;",
                'RETURN \'{"status": "paused"}\';',
            ),
        ),
        tests=_tests("what_arrived_without_an_answer_is_found_under_a_brake"),
    ),
    Guard(
        name="a key runs out under a brake as well",
        why="when the brake is let go, a key would be sent that the processor may have forgotten",
        edits=(
            Edit(
                _SENDING,
                "IF braked(p_platform, o.action, o.rail, v_show) AND NOT coalesce(v_unknown AND a.key_expires_at <= v_now, false) THEN",
                "IF braked(p_platform, o.action, o.rail, v_show) THEN",
            ),
        ),
        tests=_tests("a_brake_does_not_make_a_key_hold_longer"),
    ),
)

_KEYS: Final = (
    Guard(
        name="the same key for a repeat",
        why="a repeat after a lost answer would pay a second time",
        edits=(Edit(_SENDING, "'try', v_try, 'key', a.key, 'request'", "'try', v_try, 'key', a.key || '-' || v_try, 'request'"),),
        tests=_tests("a_repeat_after_a_lost_answer_carries_the_same_key"),
    ),
    Guard(
        name="another key for another attempt",
        why="the processor would repeat the first attempt's failure for ever, and the customer is never paid",
        edits=(Edit(_SENDING, "'mg-' || replace(a.id::text, '-', '')", "'mg-' || replace(p_operation::text, '-', '')"),),
        tests=_tests("another_attempt_has_another_key"),
    ),
    Guard(
        name="a key that follows from the operation",
        why="a restored backup would send what was paid since under keys that nobody knows",
        edits=(Edit(_SENDING, "SELECT md5(p_operation::text || ':' || p_seq)::uuid", "SELECT gen_random_uuid()"),),
        tests=_tests("a_database_put_back_to_before_the_sending_sends_the_same_request_again"),
    ),
    Guard(
        name="a repeat is the stored request",
        why="the same key with other words is refused, and a lost answer never cleared up",
        edits=(
            Edit(
                _SENDING,
                "'try', v_try, 'key', a.key, 'request', a.request,",
                "'try', v_try, 'key', a.key, 'request', attempt_request(o, a.id),",
            ),
        ),
        tests=_tests("a_repeat_is_the_stored_request_whatever_changed_meanwhile"),
    ),
    Guard(
        name="the key's window",
        why="a processor that has forgotten a key pays it anew",
        edits=(Edit(_SENDING, "ELSIF v_unknown AND a.key_expires_at <= v_now THEN", "ELSIF false THEN"),),
        tests=_tests("a_key_is_not_sent_any_more_when_the_processor_may_have_forgotten_it", "repeats_do_not_make_a_key_hold_longer"),
    ),
    Guard(
        name="repeats leave the key's window alone",
        why="each repeat would make us believe that the processor remembers for another day",
        edits=(
            Edit(
                _SENDING,
                "ELSIF v_unknown THEN\n        UPDATE attempt SET state = 'UNKNOWN' WHERE",
                "ELSIF v_unknown THEN\n        UPDATE attempt SET state = 'UNKNOWN', key_expires_at = v_now + interval '1 day' WHERE",
            ),
        ),
        tests=_tests("repeats_do_not_make_a_key_hold_longer"),
    ),
)

_ANSWERS: Final = (
    Guard(
        name="a try whose worker died is unknown",
        why="what a dead process had sent would be sent anew when its key is long forgotten",
        edits=(
            Edit(
                _SENDING,
                "WHERE platform_id = p_platform AND attempt_id = a.id AND result IS NULL;\n    v_unknown :=",
                "WHERE false;\n    v_unknown :=",
            ),
        ),
        tests=_tests("what_a_worker_took_with_it_when_it_died_may_have_happened"),
    ),
    Guard(
        name="no answer is unknown",
        why="a refund that was carried out and not answered would count as never sent",
        edits=(
            Edit(
                _STEPS,
                'Step(result="UNKNOWN", state="SENT", attempt_state="UNKNOWN"',
                'Step(result="NOT_SENT", state="SENT", attempt_state="PREPARED"',
            ),
        ),
        tests=_tests("an_answer_that_never_came_is_unknown_and_not_refused"),
    ),
    Guard(
        name="a later failure proves nothing about an earlier try",
        why="a lost answer followed by a refused connection would count as never sent",
        edits=(
            Edit(
                _STEPS,
                'attempt_state="UNKNOWN" if begun.unknown_before else "PREPARED",\n        detail=failure.detail',
                'attempt_state="PREPARED",\n        detail=failure.detail',
            ),
        ),
        tests=_tests("a_refused_connection_after_a_lost_answer_proves_nothing_about_it"),
    ),
    Guard(
        name="a refusal after a lost answer is doubted",
        why="the first try may have paid; its refund would be given back and paid by another",
        edits=(
            Edit(
                _REFUNDS,
                'doubtful = failure.code == "already_refunded" or begun.unknown_before',
                'doubtful = failure.code == "already_refunded"',
            ),
        ),
        tests=_tests("a_refusal_after_a_lost_answer_is_for_people_and_gives_nothing_back"),
    ),
    Guard(
        name="already refunded is doubted",
        why="a refund that is there would be given back and paid another way",
        edits=(
            Edit(_REFUNDS, 'doubtful = failure.code == "already_refunded" or begun.unknown_before', "doubtful = begun.unknown_before"),
            Edit(_STEPS, 'if failure.code in {"idempotency_misuse", "already_refunded"}:', 'if failure.code == "idempotency_misuse":'),
        ),
        tests=_tests("a_payment_that_the_processor_calls_refunded_is_for_people"),
    ),
)

SENDING: Final = (*_LEASES, *_KEYS, *_ANSWERS)
