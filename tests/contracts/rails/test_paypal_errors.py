"""Each row of PayPal's own in its error table, and its tokens; the rows of all tables: `test_error_tables.py`."""

from __future__ import annotations

import msgspec
import pytest

from integrations.payouts_paypal import PayPalPayoutRail
from integrations.payouts_paypal_errors import ERROR_TABLE, trouble_of
from service.ports import Unavailable
from tests.contracts.rails.error_benches import PAYPAL, REQUEST, SHARED, TOKEN, each, failure_from, meaning
from tests.contracts.rails.error_benches import paypal_error as said
from tests.contracts.rails.faults import PATIENT_SECONDS, Answer, FaultServer, Trick

LINK = "https://api.paypal.com/v1/payments/payouts/ABC123"


def known_before(**details: object) -> Answer:
    return said(
        400, "USER_BUSINESS_ERROR", {"field": "SENDER_BATCH_ID", "issue": "Batch with given sender_batch_id already exists"} | details
    )


# By the name of the row that decides: what it means, and what the server says.
OWN: dict[str, tuple[str, list[Answer]]] = {
    "sent before": ("unknown", [known_before(), known_before(link=[{"href": "https://example.org/ABC123", "rel": "self"}])]),
    "not enough money": ("declined: insufficient_funds", [said(422, "INSUFFICIENT_FUNDS"), said(403, "INSUFFICIENT_FUNDS")]),
    "an address it does not take": (
        "declined: declined",
        [said(400, "VALIDATION_ERROR", {"field": "items[0].receiver", "issue": "x"})],
    ),
}
# Shared rows that PayPal has words of its own for.
IN_ITS_WORDS: dict[str, tuple[str, list[Answer]]] = {
    "server error": ("unknown", [said(500, "INTERNAL_ERROR"), said(503, "SERVICE_UNAVAILABLE")]),
    "the same key is being worked on": ("unknown", [said(409, "RESOURCE_CONFLICT"), said(409, "INSUFFICIENT_FUNDS")]),
    "too many requests": ("not now", [said(429, "RATE_LIMIT_REACHED")]),
    "not allowed": ("configuration", [said(403, "AUTHORIZATION_ERROR"), said(403, "SENDER_EMAIL_UNCONFIRMED")]),
    "a request it cannot read": (
        "declined: bug",
        [
            said(400, "VALIDATION_ERROR"),
            said(400, "VALIDATION_ERROR", {"field": "items[0].amount.value", "issue": "x"}),
            said(400, "VALIDATION_ERROR", {"field": "items[0].receiver"}, {"field": "items[0].note"}),
            said(400, "USER_BUSINESS_ERROR", {"field": "AMOUNT"}),
            said(415, "UNSUPPORTED_MEDIA_TYPE"),
        ],
    ),
}


@pytest.mark.parametrize(("row", "means", "reply"), each(OWN | IN_ITS_WORDS))
async def test_each_error_means_what_its_row_says_and_was_sent_once(row: str, means: str, reply: Answer) -> None:
    failure = await failure_from(PAYPAL, reply)

    assert (PAYPAL.row(reply, failure), meaning(failure)) == (row, means)


def test_no_row_is_without_a_test() -> None:
    assert {row.name for row in ERROR_TABLE} == SHARED | OWN.keys()


@pytest.mark.parametrize(
    "body",
    [
        b" " * (2 * 1024 * 1024 + 1),
        b'{"batch_header": {"batch_status": "PENDING"}}',
        b'{"batch_header": {"payout_batch_id": "../token"}}',
        b'{"batch_header": {"payout_batch_id": "A", "sender_batch_header": {"sender_batch_id": "key-2"}}}',
    ],
    ids=["an answer without end", "without the batch", "an id that is none", "another batch"],
)
async def test_a_yes_that_cannot_be_read_is_unknown(body: bytes) -> None:
    assert meaning(await failure_from(PAYPAL, Answer(status=201, body=body))) == "unknown"


@pytest.mark.parametrize("where", ["link", "links"])
def test_the_link_to_the_original_is_found_where_paypal_puts_it(where: str) -> None:
    answer = known_before(**{where: [{"href": "https://api.paypal.com/about", "rel": "x"}, {"href": LINK, "rel": "self"}]})
    top = msgspec.json.encode({"name": "USER_BUSINESS_ERROR", "details": [{"field": "SENDER_BATCH_ID"}], "links": [{"href": LINK}]})

    assert trouble_of(400, {}, answer.body).original == "ABC123"
    assert trouble_of(400, {}, top).original == "ABC123"


@pytest.mark.parametrize(
    "body",
    [
        {"name": {"no": "text"}},
        {"name": "jane@example.org is unknown"},
        {"name": "X", "details": "none"},
        {"name": "X", "details": [1, {"field": 2, "link": "no", "links": [3, {"href": 4}, {"href": "http://["}]}]},
    ],
)
def test_an_answer_of_another_shape_is_no_accident(body: object) -> None:
    trouble = trouble_of(400, {}, msgspec.json.encode(body))

    assert trouble.original == ""
    assert "jane" not in trouble.detail


# ------------------------------------------------------------------------------------------------ the token


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _made(number: int) -> Answer:
    return Answer(status=201, body=msgspec.json.encode({"batch_header": {"payout_batch_id": f"B{number}", "batch_status": "PENDING"}}))


async def test_a_token_is_kept_until_shortly_before_it_ends() -> None:
    clock = Clock()
    async with FaultServer(TOKEN, _made(1), _made(2), TOKEN, _made(3)).serving() as server:
        rail = PayPalPayoutRail("paypal", "id", "secret", base_url=server.base_url, clock=clock)
        refs = []
        for clock.seconds in (0.0, 32_339.0, 32_340.0):
            refs.append((await rail.refund(REQUEST, key="key-1")).provider_ref)
        await rail.close()

    assert refs == ["B1", "B2", "B3"]
    assert len(server.keys) == 5


async def test_a_token_that_was_revoked_is_replaced_once() -> None:
    revoked = Answer(status=401, body=b'{"error": "invalid_token"}')
    async with FaultServer(
        TOKEN, revoked, Answer(status=200, body=b'{"access_token": "u", "expires_in": 9}'), _made(1)
    ).serving() as server:
        rail = PayPalPayoutRail("paypal", "id", "secret", base_url=server.base_url)
        seen = await rail.refund(REQUEST, key="key-1")
        await rail.close()

    assert seen.provider_ref == "B1"


async def test_a_second_no_to_a_fresh_token_is_a_matter_of_configuration_and_not_never_sent() -> None:
    revoked = Answer(status=401, body=b'{"error": "invalid_token"}')

    failure = await failure_from(PAYPAL, revoked)

    assert meaning(failure) == "configuration"


@pytest.mark.parametrize(
    ("answer", "configuration", "wait"),
    [
        (Answer(status=401, body=b'{"error": "invalid_client"}'), True, None),
        (Answer(status=400, body=b'{"error": "invalid_request"}'), True, None),
        (Answer(status=401, body=b"<html>of a proxy"), False, None),
        (said(429, "RATE_LIMIT_REACHED", headers={"Retry-After": "7"}), False, 7.0),
        (Answer(status=500, body=b""), False, None),
        (Answer(status=200, body=b"{}"), False, None),
        (Trick.SILENCE, False, None),
        (Trick.RESET, False, None),
    ],
)
async def test_without_a_token_nothing_was_asked_for(answer: Answer | Trick, configuration: bool, wait: float | None) -> None:  # noqa: FBT001 - a parameter of the table
    async with FaultServer(answer).serving() as server:
        rail = PayPalPayoutRail("paypal", "id", "secret-of-ours", base_url=server.base_url, call_seconds_max=PATIENT_SECONDS)
        with pytest.raises(Unavailable) as failed:
            await rail.refund(REQUEST, key="key-1")
        await rail.close()

    assert (failed.value.configuration, failed.value.retry_after_seconds, failed.value.never_sent) == (configuration, wait, False)
    assert "secret-of-ours" not in str(failed.value)


@pytest.mark.parametrize("base_url", ["http://api-m.paypal.com", "ftp://127.0.0.1", "https://", "https://api-m.paypal.com?x=1"])
def test_the_secret_goes_over_tls_or_nowhere(base_url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        PayPalPayoutRail("paypal", "id", "secret", base_url=base_url)
