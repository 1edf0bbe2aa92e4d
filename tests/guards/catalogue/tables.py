"""Unique keys and checks: what no code of ours, however wrong, can write."""

from __future__ import annotations

from typing import Final

from tests.guards.broken import Edit, Guard

_TESTS: Final = "tests/guards/promises/test_tables.py::test_there_is"
_MIGRATIONS: Final = "service/store/migrations"
_FIRST: Final = f"{_MIGRATIONS}/0001_tables.sql"


def _key(name: str, why: str, second: str, old: str, new: str = "", *, file: str = _FIRST, more: tuple[str, ...] = ()) -> Guard:
    """`second`: which second row is refused; an index stays as one that is not unique."""
    return Guard(name=name, why=why, edits=(Edit(file, old, new),), tests=(f"{_TESTS}_no_second[{second}]", *more))


def _check(name: str, why: str, never: str, old: str, kept: str = "") -> Guard:
    """`never`: the change that is refused. `kept`: what of the words stays."""
    return Guard(name=name, why=why, edits=(Edit(_FIRST, old, kept or "CHECK (true)"),), tests=(f"{_TESTS}_never[{never}]",))


_KEYS: Final = (
    _key(
        "a harm is one row",
        "two decisions would each find a row that nothing was awarded on, and the customer is paid twice for one outage",
        "a cause on a line",
        "    UNIQUE NULLS NOT DISTINCT (platform_id, order_id, line_id, payment_id, cause),\n",
    ),
    _key(
        "one live attempt an operation",
        "two rails would pay one refund",
        "a live attempt",
        "CREATE UNIQUE INDEX one_live_attempt",
        "CREATE INDEX one_live_attempt",
        more=("tests/guards/promises/test_tables.py::test_a_live_attempt_that_another_is_just_writing_is_waited_for_and_then_refused",),
    ),
    _key(
        "an attempt's key is its own",
        "a processor would repeat one refund's answer for another",
        "an attempt's key",
        "key text NOT NULL UNIQUE",
        "key text NOT NULL",
    ),
    _key(
        "an attempt's number is its own",
        "the key follows from it: two attempts would send one key",
        "an attempt's number",
        "    UNIQUE (platform_id, operation_id, seq),\n",
    ),
    _key(
        "a try's number is its own",
        "two workers would write one try and believe one answer",
        "a try's number",
        "    PRIMARY KEY (platform_id, attempt_id, seq),\n",
    ),
    _key(
        "one part of a refund for a harm",
        "a harm would be counted twice in one refund",
        "a refund's part for a harm",
        "    PRIMARY KEY (platform_id, operation_id, harm_id),\n",
    ),
    _key(
        "one yes a person",
        "one person would agree twice to a large refund",
        "a person's yes",
        "    PRIMARY KEY (platform_id, operation_id, agent_id),\n",
    ),
    _key(
        "one open action on a pass",
        "a ticket would be replaced twice, and admit two people",
        "an open action on a pass",
        "CREATE UNIQUE INDEX one_open_operation_a_pass_and_action",
        "CREATE INDEX one_open_operation_a_pass_and_action",
    ),
    _key(
        "one valid pass a line",
        "two people would get in with one ticket",
        "a valid pass of a line",
        "CREATE UNIQUE INDEX one_valid_pass_a_line",
        "CREATE INDEX one_valid_pass_a_line",
    ),
    _key(
        "one open case a subject",
        "200 clients who report one outage would open 200 cases, each deciding about the same money",
        "an open case of a subject",
        "CREATE UNIQUE INDEX one_open_case_a_subject ON case_subject (platform_id, order_id, show_id, pass_id, problem) NULLS NOT DISTINCT",
        "CREATE INDEX one_open_case_a_subject ON case_subject (platform_id, order_id, show_id, pass_id, problem)",
        file=f"{_MIGRATIONS}/0006_rails.sql",
    ),
    _key(
        "an idempotency key is used once",
        "a client's retry would be a second wish",
        "an idempotency key",
        "resource_id uuid NOT NULL,\n    created_at timestamptz NOT NULL,\n    PRIMARY KEY (platform_id, caller, method, path, key)\n",
        "resource_id uuid NOT NULL,\n    created_at timestamptz NOT NULL\n",
    ),
    _key(
        "a refund made elsewhere is one row",
        "a refund that the feed repeats would be subtracted twice, and the customer gets too little",
        "a refund made elsewhere",
        "    PRIMARY KEY (platform_id, payment_id, ref),\n",
    ),
    _key(
        "one echo an operation",
        "a second refund in the dashboard would pass as ours told back, and be paid on top",
        "an echo of a refund of ours",
        "CREATE UNIQUE INDEX one_echo_an_operation",
        "CREATE INDEX one_echo_an_operation",
        file=f"{_MIGRATIONS}/0003_orders.sql",
    ),
    _key(
        "a notification is kept once",
        "each delivery would be applied, and an old one over a newer",
        "a notification",
        "        ('applied', 'nothing', 'unknown_payment', 'failed')),\n    PRIMARY KEY (rail, event_id)\n",
        "        ('applied', 'nothing', 'unknown_payment', 'failed'))\n",
        file=f"{_MIGRATIONS}/0007_inbox.sql",
        more=("tests/guards/promises/test_news.py::test_a_notification_is_kept_once",),
    ),
    _key(
        "a dispute is one row",
        "one lost dispute would be counted for each of its notifications",
        "a dispute",
        "    PRIMARY KEY (platform_id, payment_id, ref),\n",
        file=f"{_MIGRATIONS}/0007_inbox.sql",
    ),
    _key(
        "a share of a cap is one row",
        "each writer would have a cap of its own",
        "a share of a cap",
        "    PRIMARY KEY (platform_id, kind, ref, currency, window_start, slot),\n",
    ),
    _key(
        "a charge of an order is one row",
        "a charge told twice could be refunded twice",
        "a charge of an order",
        "    UNIQUE (platform_id, order_id, ref),\n",
    ),
    _key(
        "a failed sale is rolled back once",
        "two workers would ask for the same money back",
        "a failed sale's rollback",
        "    PRIMARY KEY (platform_id, payment_id),\n",
        file=f"{_MIGRATIONS}/0009_rollback.sql",
    ),
    _key(
        "a refund is found back once",
        "a restored backup would count one forgotten refund twice",
        "a refund found back",
        "    PRIMARY KEY (platform_id, order_id, rail, provider_ref),\n",
        file=f"{_MIGRATIONS}/0010_books.sql",
    ),
)

_CHECKS: Final = (
    _check(
        "no payment beyond what was captured",
        "whatever the code does, more would leave than came in",
        "more is given back than was captured",
        "CHECK (refunded + reserved <= captured)",
    ),
    _check(
        "nothing reserved below zero",
        "room would be made for money that is not there",
        "less than nothing is reserved",
        "CHECK (reserved >= 0)",
    ),
    _check(
        "nothing refunded below zero",
        "room would be made for money that is not there",
        "less than nothing is refunded",
        "CHECK (refunded >= 0)",
    ),
    _check(
        "nothing refunded elsewhere below zero",
        "room would be made for money that is not there",
        "less than nothing was refunded elsewhere",
        "CHECK (refunded_elsewhere >= 0)",
    ),
    _check(
        "no line beyond its price",
        "a ticket would be paid back for more than it cost",
        "more is promised for a line than was paid for it",
        "CHECK (awarded <= price)",
    ),
    _check(
        "nothing awarded on a line below zero",
        "a line could be paid back more than once",
        "less than nothing is promised for a line",
        "CHECK (awarded >= 0),\n    PRIMARY KEY (platform_id, id),\n    UNIQUE (platform_id",
        ",\n    PRIMARY KEY (platform_id, id),\n    UNIQUE (platform_id",
    ),
    _check(
        "nothing awarded on a harm below zero",
        "a harm could be paid more than once",
        "less than nothing is promised for a harm",
        "CHECK (awarded >= 0),\n    PRIMARY KEY (platform_id, id),\n    UNIQUE NULLS",
        ",\n    PRIMARY KEY (platform_id, id),\n    UNIQUE NULLS",
    ),
    _check(
        "no refund of nothing",
        "a refund of nothing, or less, is a charge",
        "a refund of nothing",
        "amount bigint CHECK (amount > 0),",
        "amount bigint,",
    ),
    _check(
        "a refund has a payment",
        "money would leave that was never paid",
        "a refund without a payment",
        "CHECK (action <> 'refund' OR (amount IS NOT NULL AND currency IS NOT NULL AND payment_id IS NOT NULL))",
    ),
    _check(
        "a refund under way is due at some time",
        "a customer's money would wait for nobody",
        "a refund under way that nobody will look at",
        "CHECK ((state IN ('DONE', 'REFUSED', 'FAILED')) OR due_at IS NOT NULL)",
    ),
    _check("no cap passed", "a mistake in a rule would cost more than anybody allowed", "a cap that is passed", "CHECK (used <= most)"),
    _check("a movement has two accounts", "the books would not balance", "a movement from an account to itself", "CHECK (debit <> credit)"),
)

TABLES: Final = (*_KEYS, *_CHECKS)
