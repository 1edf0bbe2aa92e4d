"""The guards of the money, each with what it keeps from happening, the patch that takes it out, and the tests that stand for it."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_FUNCTIONS: Final = "service/store/functions"
_PROMISES: Final = "tests/guards/promises"
_SENDING: Final = f"{_FUNCTIONS}/sending.sql"
_OUTCOMES: Final = f"{_FUNCTIONS}/outcomes.sql"


def _sending(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PROMISES}/test_sending.py::test_{name}" for name in names)


LEASES: Final = (
    Guard(
        name="the lease's epoch when a sending begins",
        why="two workers would send one refund side by side",
        edits=(Edit(_SENDING, 'IF o.lease_epoch <> p_epoch THEN RETURN \'{"status": "lost"}\'; END IF;', ""),),
        tests=_sending("a_worker_whose_lease_another_has_taken_sends_nothing"),
    ),
    Guard(
        name="the lease's epoch when an answer is stored",
        why="a frozen worker that wakes up would give back money that the next one is just sending",
        edits=(Edit(_OUTCOMES, "IF o.lease_epoch <> (doc->>'epoch')::bigint OR o.ended_at IS NOT NULL", "IF o.ended_at IS NOT NULL"),),
        tests=_sending("a_worker_that_wakes_up_after_another_took_over_changes_nothing"),
    ),
    Guard(
        name="what has ended is not stored again",
        why="a refund that was paid would be given back, and be paid a second time",
        edits=(Edit(_OUTCOMES, "<> (doc->>'epoch')::bigint OR o.ended_at IS NOT NULL", "<> (doc->>'epoch')::bigint"),),
        tests=_sending("what_has_ended_is_not_ended_once_more"),
    ),
    Guard(
        name="the key's window",
        why="a processor that has forgotten a key pays it anew",
        edits=(Edit(_SENDING, "ELSIF a.key_expires_at <= v_now THEN", "ELSIF false THEN"),),
        tests=_sending("a_key_is_not_sent_any_more_when_the_processor_may_have_forgotten_it", "repeats_do_not_make_a_key_hold_longer"),
    ),
    Guard(
        name="a new key for a repeat",
        why="a repeat after a lost answer would pay a second time",
        edits=(Edit(_SENDING, "'try', v_try, 'key', a.key, 'request'", "'try', v_try, 'key', a.key || '-' || v_try, 'request'"),),
        tests=_sending("a_repeat_after_a_lost_answer_carries_the_same_key"),
    ),
)

ALL: Final = (*LEASES,)
# In every `make test`: one of each kind of trouble that a customer would feel at once. `make guards` breaks them all.
SAMPLE: Final = (
    "the lease's epoch when an answer is stored",
    "the key's window",
)
