"""What processors and the feed tell: `refund_news`, `functions/fed_payments.sql`, and the webhooks of each rail."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_OUTCOMES: Final = "service/store/functions/outcomes.sql"
_FED: Final = "service/store/functions/fed_payments.sql"
_FED_ORDERS: Final = "service/store/functions/fed_orders.sql"
_FED_PASSES: Final = "service/store/functions/fed_passes.sql"
_RULES: Final = "service/feed_rules.py"
_STRIPE: Final = "integrations/payments_stripe_webhook.py"
_ADYEN: Final = "integrations/payments_adyen_notifications.py"
_PAYPAL: Final = "integrations/payouts_paypal_news.py"
_SANDBOX: Final = "integrations/sandbox_webhook.py"
_RAILS: Final = "tests/contracts/rails"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_news.py::test_{name}" for name in names)


def _fed(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guards/promises/test_feed.py::test_{name}" for name in names)


_APPLYING: Final = (
    Guard(
        name="news that come twice",
        why="an order's books would tell of two refunds, and the customer of two letters",
        edits=(Edit(_OUTCOMES, "OR (attempt_rank(v_state) = attempt_rank(a.state) AND a.provider_ref IS NOT NULL)", ""),),
        tests=_tests("news_that_come_twice_are_applied_once"),
    ),
    Guard(
        name="older news after newer",
        why="a refund that arrived would be waited for again",
        edits=(Edit(_OUTCOMES, "OR (attempt_rank(v_state) < attempt_rank(a.state) AND NOT v_believed_dead)", ""),),
        tests=_tests("an_acceptance_that_comes_after_the_end_changes_nothing"),
    ),
    Guard(
        name="a success after a late failure",
        why="the customer would be told that money is there which the bank has sent back",
        edits=(
            Edit(_OUTCOMES, "IF (a.state IN ('FAILED', 'CANCELED') AND NOT v_believed_dead)\n       OR (attempt_rank", "IF (attempt_rank"),
            Edit(_OUTCOMES, "WHEN 'SUCCEEDED' THEN 3", "WHEN 'SUCCEEDED' THEN 5"),
        ),
        tests=_tests("a_success_that_comes_after_the_failure_changes_nothing"),
    ),
    Guard(
        name="a late failure after success",
        why="the bank has sent the money back, and the customer never gets it",
        edits=(Edit(_OUTCOMES, " WHEN 'FAILED' THEN 4 WHEN 'CANCELED' THEN 4 ELSE 1", " ELSE 1"),),
        tests=_tests("a_failure_that_comes_after_the_success_is_owed_again"),
    ),
    Guard(
        name="the amount that is told",
        why="another refund would pass as ours, and ours never be paid",
        edits=(Edit(_OUTCOMES, "IF (o.amount, o.currency) IS DISTINCT FROM", "IF false AND (o.amount, o.currency) IS DISTINCT FROM"),),
        tests=_tests("another_amount_than_ours_is_not_our_refund"),
    ),
    Guard(
        name="a second refund under one attempt",
        why="money that left twice would count once, and nobody would look for it",
        edits=(Edit(_OUTCOMES, "IF (a.provider_ref <> doc->>'provider_ref' OR v_believed_dead)", "IF v_believed_dead"),),
        tests=_tests("a_second_refund_under_our_name_is_money_that_left_twice"),
    ),
    Guard(
        name="money that came after a person had given it up",
        why="a lead's guess would stand over the processor's word, and the customer is paid a second time",
        edits=(Edit(_OUTCOMES, " OR (a.state IN ('FAILED', 'CANCELED') AND a.provider_ref IS NULL);", ";"),),
        tests=_tests("money_that_came_after_a_person_had_given_it_up_is_counted"),
    ),
    Guard(
        name="news take the lease",
        why="a worker that was sending would store a refusal over what the processor has just told",
        edits=(Edit(_OUTCOMES, "SET lease_epoch = lease_epoch + 1, destination_id = CASE", "SET destination_id = CASE"),),
        tests=_tests("a_worker_that_was_sending_when_the_news_came_stores_nothing_over_it"),
    ),
    Guard(
        name="a refund of others is counted",
        why="what the dashboard has given back would be given back again",
        edits=(Edit(_OUTCOMES, "    PERFORM payment_recount(was.platform_id, was.id);\n", ""),),
        tests=_tests("a_refund_made_by_others_is_counted_once_whoever_tells_of_it"),
    ),
    Guard(
        name="a reference that two payments share",
        why="a refund of the one would count against the other, and the one be paid back again",
        edits=(Edit(_OUTCOMES, "IF NOT doc ? 'payment' AND (SELECT count(*)", "IF false AND (SELECT count(*)"),),
        tests=_tests("a_reference_that_two_payments_share_is_nobodys_and_people_hear_of_it_once"),
    ),
    Guard(
        name="dead by its own word and paid by its own word",
        why="two notifications that contradict each other would be one, and nobody would look before money goes another way",
        edits=(
            Edit(
                _OUTCOMES,
                "IF v_state = 'SUCCEEDED' AND a.state IN ('FAILED', 'CANCELED') AND a.succeeded_at",
                "IF false AND a.succeeded_at",
            ),
        ),
        tests=_tests("a_success_after_the_failure_of_the_same_refund_is_a_disagreement_for_people_once"),
    ),
    Guard(
        name="one charge under two names",
        why="a charge that the feed names anew would be there twice, and be paid back twice",
        edits=(Edit(_FED_ORDERS, "AND payment.provider_ref = named.item->>'provider_ref' AND", "AND false AND"),),
        tests=_fed(
            "a_charge_fed_under_another_name_is_the_same_payment_with_what_we_did_to_it",
            "of_two_charges_only_the_one_that_was_renamed_is_named_anew",
        ),
    ),
    Guard(
        name="one charge twice in a document",
        why="a charge would be there twice, and be paid back twice",
        edits=(Edit(_RULES, "if None not in charge and charge in charges[:index]:", "if charge in charges[:0]:"),),
        tests=_fed("one_charge_named_twice_in_a_document_is_a_mistake_that_names_the_field"),
    ),
    Guard(
        name="a ticket that comes after its refund",
        why="the customer would have the money and the show",
        edits=(Edit(_FED_PASSES, "CASE WHEN gone THEN 'void' ELSE said->>'status' END", "said->>'status'"),),
        tests=_fed(
            "a_ticket_that_comes_after_its_refund_admits_nobody_and_people_look",
            "a_ticket_that_comes_after_others_gave_all_money_back_admits_nobody",
        ),
    ),
    Guard(
        name="a ticket that comes after others gave all money back",
        why="the customer would have the money from the dashboard or the bank, and the show",
        edits=(Edit(_FED_PASSES, " OR order_money_is_gone(p, its.order_id);", ";"),),
        tests=_fed("a_ticket_that_comes_after_others_gave_all_money_back_admits_nobody"),
    ),
    Guard(
        name="one refund under two names",
        why="a refund told by the feed and by the processor would be subtracted twice",
        edits=(Edit(_FED, "GROUP BY coalesce('provider:' || r.provider_ref, 'ref:' || r.ref)", "GROUP BY r.ref"),),
        tests=("tests/orders/test_merging.py::test_a_refund_told_under_two_names_counts_once",),
    ),
    Guard(
        name="our own refund told back",
        why="each refund of ours would be subtracted twice",
        edits=(Edit(_FED, "ours := coalesce(was.operation_id, refund_is_ours(p, of_payment, item));", "ours := was.operation_id;"),),
        tests=("tests/orders/test_merging.py::test_our_own_refund_told_back_is_not_counted_twice",),
    ),
    Guard(
        name="the feed keeps our sums",
        why="a feed that is behind would lower what was captured below what has left, and be refused for ever",
        edits=(Edit(_FED, "captured = greatest(excluded.captured, mine.refunded + mine.reserved),", "captured = excluded.captured,"),),
        tests=("tests/orders/test_merging.py::test_less_captured_than_we_refunded_is_a_fact_and_no_failure",),
    ),
)

_BELIEVING: Final = (
    Guard(
        name="Stripe's refund is read, and not taken from the body",
        why="an old or a composed body would decide what counts as paid",
        edits=(
            Edit(
                _STRIPE,
                "from service.ports import Declined, Event, Forged, News, RefundNews,",
                "from service.model import Money\nfrom service.ports import Declined, Event, Forged, News, RefundNews, RefundSeen,",
            ),
            Edit(
                _STRIPE,
                "                return await self._refund(ref)\n",
                "                said = Money(minor=int(event.about.get('amount', '700')), currency='EUR')\n"
                "                seen = RefundSeen(provider_ref=ref, state='SUCCEEDED', amount=said)\n"
                "                return [RefundNews(payment_ref='', refund=seen)]\n",
            ),
        ),
        tests=(f"{_RAILS}/test_stripe_webhook.py::test_a_refund_is_read_afresh_and_the_body_is_not_believed",),
    ),
    Guard(
        name="Stripe's signature",
        why="anybody on the internet could say that a refund failed",
        edits=(
            Edit(_STRIPE, "if not any(hmac.compare_digest(one, other) for one in expected for other in signatures):", "if not expected:"),
        ),
        tests=tuple(
            f"{_RAILS}/test_stripe_webhook.py::test_nobody_else_is_believed[{name}]"
            for name in ("a wrong secret", "one byte changed", "another body")
        ),
    ),
    Guard(
        name="the age of what Stripe signed",
        why="who has once seen a delivery could play it again for ever",
        edits=(Edit(_STRIPE, "if abs(now.timestamp() - int(stamps[0])) > self._tolerance_seconds:", "if not stamps:"),),
        tests=tuple(f"{_RAILS}/test_stripe_webhook.py::test_nobody_else_is_believed[{name}]" for name in ("stale", "of the future")),
    ),
    Guard(
        name="Stripe's account and mode",
        why="a test account's refund would count as money",
        edits=(
            Edit(_STRIPE, "return event.of_account() == self._rail.stripe_account and event.livemode is self._rail.live", "return True"),
        ),
        tests=(f"{_RAILS}/test_stripe_webhook.py::test_only_events_of_our_account_and_mode_are_ours",),
    ),
    Guard(
        name="Adyen's signature of each item",
        why="one forged item in a batch would be believed",
        edits=(
            Edit(_ADYEN, "if not any(hmac.compare_digest(_signature(key, text), said.encode()) for key in self._keys):", "if not text:"),
        ),
        tests=tuple(
            f"{_RAILS}/test_adyen_notifications.py::test_{name}"
            for name in ("an_item_that_was_changed_or_is_unsigned_is_forged", "one_forged_item_refuses_the_batch_that_the_sdk_takes")
        ),
    ),
    Guard(
        name="the age of what Adyen signed",
        why="who has once seen a delivery could play it again for ever",
        edits=(Edit(_ADYEN, "if not now - _AGE_MAX <= _aware(item.event_date) <= now + _AHEAD_MAX:", "if not item.event_date:"),),
        tests=(f"{_RAILS}/test_adyen_notifications.py::test_what_is_older_than_adyens_last_repeat_or_from_the_future_is_forged",),
    ),
    Guard(
        name="PayPal's word for what it sent",
        why="anybody on the internet could say that a pay-out was not claimed",
        edits=(Edit(_PAYPAL, '.verification_status == "SUCCESS"', '.verification_status != ""'),),
        tests=(f"{_RAILS}/test_paypal_notifications.py::test_only_the_exact_word_vouches",),
    ),
    Guard(
        name="the sandbox's books are read, and not taken from the body",
        why="what the other webhooks do would be tried out on something that does not",
        edits=(
            Edit(_SANDBOX, "if not self._rail.traits.reads:\n            return [RefundNews(", "if item:\n            return [RefundNews("),
        ),
        tests=(f"{_RAILS}/test_sandbox_webhook.py::test_the_books_are_asked_and_a_late_post_changes_nothing",),
    ),
)

NEWS: Final = (*_APPLYING, *_BELIEVING)
