"""Each row that the table of a platform's gift cards has to itself; the rows of all tables: `test_error_tables.py`."""

from __future__ import annotations

import pytest

from integrations.credit_platform_errors import ERROR_TABLE
from tests.contracts.rails.error_benches import CREDIT, SHARED, each, failure_from, meaning
from tests.contracts.rails.error_benches import credit_error as said
from tests.contracts.rails.faults import Answer

# By the name of the row that decides: what it means, and what the server says.
OWN: dict[str, tuple[str, list[Answer]]] = {
    "no such address": ("configuration", [said(404, "not_found"), said(405, "invalid")]),
    "idempotency_misuse": ("declined: idempotency_misuse", [said(422, "idempotency_misuse")]),
    "currency_unsupported": ("declined: unsupported", [said(422, "currency_unsupported")]),
    "amount_too_large": ("declined: amount_too_large", [said(422, "amount_too_large")]),
    "customer_unknown": ("declined: not_found", [said(422, "customer_unknown")]),
    "declined": ("declined: declined", [said(400, "declined")]),
}
# Shared rows that the contract has words of its own for.
IN_ITS_WORDS: dict[str, tuple[str, list[Answer]]] = {
    "server error": ("unknown", [said(500, "invalid")]),
    "not their words": ("unknown", [Answer(status=422, body=b'{"error": "x"}'), Answer(status=204, body=b"")]),
    "no refusal": ("unknown", [said(202, "in_progress")]),
    "the same key is being worked on": ("unknown", [said(409, "in_progress"), said(422, "in_progress")]),
    "too many requests": ("not now", [said(429, "rate_limited")]),
    "not allowed": ("configuration", [said(401, "unauthorized"), said(403, "forbidden")]),
    "a request it cannot read": ("declined: bug", [said(400, "invalid")]),
}


@pytest.mark.parametrize(("row", "means", "reply"), each(OWN | IN_ITS_WORDS))
async def test_each_error_means_what_its_row_says_and_was_sent_once(row: str, means: str, reply: Answer) -> None:
    failure = await failure_from(CREDIT, reply)

    assert (CREDIT.row(reply, failure), meaning(failure)) == (row, means)


def test_no_row_is_without_a_test() -> None:
    assert {row.name for row in ERROR_TABLE} == SHARED | OWN.keys()


@pytest.mark.parametrize(
    "reply",
    [Answer(status=201, body=b" " * (64 * 1024 + 1)), Answer(status=201, body=b'{"id": "gc_1"}')],
    ids=["an answer without end", "without the card"],
)
async def test_a_yes_that_cannot_be_read_is_unknown(reply: Answer) -> None:
    assert meaning(await failure_from(CREDIT, reply)) == "unknown"


async def test_a_code_that_is_not_the_contracts_is_not_repeated() -> None:
    assert str(await failure_from(CREDIT, said(422, "GIFT-4711-0815"))) == "bug: HTTP 422"
