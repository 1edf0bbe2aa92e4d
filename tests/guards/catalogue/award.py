"""What is owed, and what a refund means for books and access: `functions/awards.sql` and `functions/caps.sql`."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_AWARDS: Final = "service/store/functions/awards.sql"
_CAPS: Final = "service/store/functions/caps.sql"
_CHOICES: Final = "service/store/functions/choices.sql"
_ROOM: Final = "captured - refunded - reserved - refunded_elsewhere"
_NEXT_SLOT: Final = "\n        IF FOUND THEN RETURN jsonb_build_object(v_slot, p_amount); END IF;\n    END LOOP;"
_CONDITION: Final = f"\n                AND {_ROOM} >= v_take;"

# An award locks payments and lines first; the counter has to hold without.
_LOCKS: Final = (
    Edit(_AWARDS, "WHERE platform_id = p_platform AND order_id = p_order ORDER BY id FOR NO KEY UPDATE;\n    IF", "WHERE false;\n    IF"),
    Edit(_AWARDS, "FROM line WHERE platform_id = p_platform AND order_id = p_order ORDER BY id FOR NO KEY UPDATE;", "FROM line;"),
)


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_award.py::test_{name}" for name in names)


def _of_caps(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_caps.py::test_{name}" for name in names)


AWARD: Final = (
    Guard(
        name="what was awarded already",
        why="every further look at a case would pay the same outage again",
        edits=(Edit(_AWARDS, "v_need := r.award - h.awarded;", "v_need := r.award;"),),
        tests=_tests("a_harm_is_paid_once_however_often_it_is_decided", "a_larger_award_for_the_same_harm_adds_only_what_is_missing"),
    ),
    Guard(
        name="what is left of a line's price",
        why="two outages of one show would pay back more than the ticket",
        edits=(Edit(_AWARDS, "least(v_need, (SELECT price - awarded FROM line", "least(v_need, (SELECT price FROM line"),),
        tests=_tests("several_harms_of_a_line_together_give_no_more_than_its_price"),
    ),
    Guard(
        name="what a payment has left",
        why="a payment would give back what others have given back already",
        edits=(Edit(_AWARDS, f"{_ROOM} AS room", "captured AS room"),),
        tests=_tests("what_is_gone_of_one_payment_is_taken_from_the_next"),
    ),
    Guard(
        name="the counter's condition, under a room that is told wrongly",
        why="the payment would bear more than was captured, less what others refunded",
        edits=(Edit(_AWARDS, f"{_ROOM} AS room", "captured AS room"), Edit(_AWARDS, _CONDITION, ";")),
        tests=_tests("a_payment_gives_no_more_than_is_left_of_it"),
    ),
    Guard(
        name="the counter's condition, without the locks before it",
        why="two decisions that both read the same room would both reserve it",
        edits=(*_LOCKS, Edit(_AWARDS, _CONDITION, ";")),
        tests=_tests("two_decisions_at_the_same_moment_take_what_is_left_of_a_payment_once"),
    ),
    Guard(
        name="what is not reserved is not promised, without the locks before it",
        why="the second of two decisions would send what it could not reserve",
        edits=(
            *_LOCKS,
            Edit(
                _AWARDS,
                "IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'the payments",
                "IF false THEN RAISE EXCEPTION USING ERRCODE = 'MG001', MESSAGE = 'the payments",
            ),
        ),
        tests=_tests("two_decisions_at_the_same_moment_take_what_is_left_of_a_payment_once"),
    ),
    Guard(
        name="facts that moved since they were read",
        why="a decision about 25 of 90 minutes would stand on what another case has just given",
        edits=(Edit(_AWARDS, "IF r.seen <> (SELECT awarded FROM line", "IF r.seen < 0 * (SELECT awarded FROM line"),),
        tests=_tests("what_was_promised_since_the_facts_were_read_makes_it_decide_again"),
    ),
    Guard(
        name="no award while a dispute is open",
        why="the bank and we would both give the money back",
        edits=(Edit(_AWARDS, "AND dispute = 'open') THEN\n        RAISE", "AND false) THEN\n        RAISE"),),
        tests=_tests("nothing_is_promised_while_a_bank_may_be_giving_it_back"),
    ),
    Guard(
        name="a cap's condition",
        why="a mistake in a rule would cost more than anybody allowed",
        edits=(Edit(_CAPS, f" AND most - used >= p_amount;{_NEXT_SLOT}", f";{_NEXT_SLOT}"),),
        tests=_tests("a_cap_holds_what_would_pass_it"),
    ),
    Guard(
        name="a shared cap's rest",
        why="sixteen shares of a cap would be spent and the rest let through",
        edits=(
            Edit(
                _CAPS,
                "AND window_start = p_window) < p_amount THEN RETURN NULL; END IF;",
                "AND window_start = p_window) < 0 THEN RETURN NULL; END IF;",
            ),
        ),
        tests=_tests("a_cap_holds_what_would_pass_it"),
    ),
    Guard(
        name="an order's refunds count together",
        why="a large order asked for ticket by ticket would never meet a person",
        edits=(Edit(_AWARDS, "IF v_unseen > (p_limits->>'auto')::bigint", "IF p.amount > (p_limits->>'auto')::bigint"),),
        tests=_tests("an_order_in_small_parts_is_no_smaller"),
    ),
    Guard(
        name="a refused refund gives back",
        why="a customer could never be paid: the line counts as given for ever",
        edits=(Edit(_AWARDS, "PERFORM refund_gives_back(o.platform_id, o, p_now);", "NULL;"),),
        tests=_tests("a_refused_refund_gives_everything_back_and_can_be_decided_anew"),
    ),
    Guard(
        name="what arrived is reserved no more",
        why="the same money would count twice, and the rest of the payment could not be given back",
        edits=(
            Edit(
                _AWARDS,
                "SET reserved = reserved - o.amount, refunded = refunded + o.amount",
                "SET refunded = refunded + o.amount - reserved + reserved",
            ),
        ),
        tests=_tests("a_refund_that_arrived_counts_as_refunded_and_is_reserved_no_more"),
    ),
    Guard(
        name="a full refund ends access",
        why="whoever has the money back would watch the show",
        edits=(
            Edit(_AWARDS, "IF p_accepted AND o.accepted_at IS NULL THEN PERFORM refund_ends_access(o.platform_id, o, p_now); END IF;", ""),
        ),
        tests=_tests("what_the_processor_took_on_in_full_admits_nobody_any_more"),
    ),
    Guard(
        name="access is suspended while the money is on its way",
        why="whoever is being paid back would watch the show meanwhile",
        edits=(Edit(_AWARDS, "AND line.price > 0 AND line.awarded = line.price;", "AND false;"),),
        tests=_tests("what_is_promised_back_in_full_does_not_admit_meanwhile"),
    ),
    Guard(
        name="a share leaves access alone",
        why="a customer with a few euros back would be turned away at the door",
        edits=(Edit(_AWARDS, "AND line.price <= (SELECT sum(part.amount)", "AND 0 <= (SELECT sum(part.amount)"),),
        tests=_tests("a_part_of_the_price_leaves_access_alone"),
    ),
    Guard(
        name="what a refund took of the caps and does not pay",
        why="a day of refused refunds would use up what the customers of the evening are due",
        edits=(Edit(_AWARDS, "PERFORM caps_give_back(p_platform, v_held, o.currency, p_now);", "NULL;"),),
        tests=_of_caps(
            "what_a_refund_took_and_does_not_pay_is_free_for_the_next",
            "whatever_ends_how_at_the_same_moment_caps_hold_what_is_under_way_or_done",
        ),
    ),
    Guard(
        name="what was given back to the caps is held no more",
        why="it could be given back again, and more would go out than anybody allowed",
        edits=(Edit(_AWARDS, "UPDATE operation SET caps = '[]' WHERE platform_id = p_platform AND id = o.id;", "NULL;"),),
        tests=_of_caps("a_refund_that_came_back_after_it_had_arrived_gives_back_once"),
    ),
    Guard(
        name="nothing is given back to a window that is over",
        why="what went out on a day would be told wrongly afterwards",
        edits=(Edit(_CAPS, "WHERE x.until > extract(epoch FROM p_now) ORDER BY x.kind", "ORDER BY x.kind"),),
        tests=_of_caps("of_a_window_that_is_over_nothing_is_given_back"),
    ),
    Guard(
        name="a refund takes of a cap once",
        why="one that people agreed to again would use the day of others too",
        edits=(Edit(_CAPS, "CONTINUE WHEN held @> jsonb_build_array(v_window);", ""),),
        tests=_of_caps("a_yes_to_what_holds_its_place_already_takes_no_second"),
    ),
    Guard(
        name="a refund that goes another way leaves its rail's day",
        why="a processor that closes cards would use up its ceiling without paying anybody",
        edits=(Edit(_CHOICES, "WHERE h->>'kind' = 'rail_day'), o.currency", "WHERE false), o.currency"),),
        tests=_of_caps("a_refund_that_goes_another_way_leaves_its_rails_day_and_is_its_customers_once"),
    ),
)
