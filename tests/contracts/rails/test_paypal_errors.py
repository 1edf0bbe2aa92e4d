"""Every row of PayPal's error table, produced by a server and told as one of our three failures."""

from __future__ import annotations

from uuid import UUID

import httpx
import msgspec
import pytest

from integrations.payouts_paypal import PayPalPayoutRail
from integrations.payouts_paypal_errors import ERROR_TABLE, Trouble, failure_of, trouble_of
from service.model import Money
from service.ports import Declined, OutcomeUnknown, RefundRequest, Unavailable
from tests.contracts.rails.faults import Answer, FaultServer, Trick, closed_port

REQUEST = RefundRequest(
    operation_id=UUID(int=1),
    attempt_id=UUID(int=2),
    payment_ref="ch_any",
    amount=Money(minor=700, currency="EUR"),
    reason="requested_by_customer",
    destination="jane@example.org",
)
# Long enough for a server on the same machine, short enough to wait for.
_HASTY_SECONDS = 0.5
TOKEN = Answer(status=200, body=b'{"access_token": "t", "expires_in": 32400}')
LINK = "https://api.paypal.com/v1/payments/payouts/ABC123"


def said(status: int, name: str, *details: dict[str, object], headers: dict[str, str] | None = None) -> Answer:
    """An error object as PayPal writes it, with prose that quotes the customer."""
    body = {"name": name, "message": "jane@example.org cannot be paid", "debug_id": "53d95c3d17ae5", "details": list(details)}
    return Answer(status=status, body=msgspec.json.encode(body), headers=headers or {})


def known_before(**details: object) -> Answer:
    return said(
        400, "USER_BUSINESS_ERROR", {"field": "SENDER_BATCH_ID", "issue": "Batch with given sender_batch_id already exists"} | details
    )


UNKNOWN: dict[str, tuple[str, Answer | Trick]] = {
    "silence": ("no answer", Trick.SILENCE),
    "an answer that never ends": ("no answer", Trick.DRIP),
    "a reset": ("no answer", Trick.RESET),
    "a goodbye without an answer": ("no answer", Trick.GOODBYE),
    "half an answer": ("no answer", Trick.HALF),
    "an answer without end": ("no answer", Answer(status=200, body=b" " * (2 * 1024 * 1024 + 1))),
    "500": ("server error", said(500, "INTERNAL_ERROR")),
    "503 with PayPal's words": ("server error", said(503, "SERVICE_UNAVAILABLE")),
    "502 of a proxy": ("server error", Answer(status=502, body=b"<html>Bad gateway</html>")),
    "404 of a proxy": ("not PayPal's words", Answer(status=404, body=b"not here")),
    "403 of a proxy": ("not PayPal's words", Answer(status=403, body=b"<html>Forbidden</html>")),
    "429 of a proxy": ("not PayPal's words", Answer(status=429, body=b"slow down")),
    "400 of a list": ("not PayPal's words", Answer(status=400, body=b"[1]")),
    "400 nested too deep": ("not PayPal's words", Answer(status=400, body=b"[" * 100_000)),
    "a redirect": ("not PayPal's words", Answer(status=307, body=b"", headers={"Location": "http://127.0.0.1:1/"})),
    "sent before, and no link": ("sent before", known_before()),
    "sent before, and a link to elsewhere": ("sent before", known_before(link=[{"href": "https://example.org/ABC123", "rel": "self"}])),
    "two at once": ("two at once", said(409, "RESOURCE_CONFLICT")),
    "201 that is no JSON": ("", Answer(status=201, body=b"<html>fine</html>")),
    "201 without the batch": ("", Answer(status=201, body=b'{"batch_header": {"batch_status": "PENDING"}}')),
    "201 with an id that is none": ("", Answer(status=201, body=b'{"batch_header": {"payout_batch_id": "../token"}}')),
    "201 of another batch": (
        "",
        Answer(status=201, body=b'{"batch_header": {"payout_batch_id": "A", "sender_batch_header": {"sender_batch_id": "key-2"}}}'),
    ),
}
DECLINED: dict[str, tuple[str, Answer, str]] = {
    "not enough money, 422": ("not enough money", said(422, "INSUFFICIENT_FUNDS"), "insufficient_funds"),
    "not enough money, 403": ("not enough money", said(403, "INSUFFICIENT_FUNDS"), "insufficient_funds"),
    "an address": ("an address it does not take", said(400, "VALIDATION_ERROR", {"field": "items[0].receiver", "issue": "x"}), "declined"),
    "another field": ("a request it cannot read", said(400, "VALIDATION_ERROR", {"field": "items[0].amount.value", "issue": "x"}), "bug"),
    "an address and another field": (
        "a request it cannot read",
        said(400, "VALIDATION_ERROR", {"field": "items[0].receiver"}, {"field": "items[0].note"}),
        "bug",
    ),
    "no field at all": ("a request it cannot read", said(400, "VALIDATION_ERROR"), "bug"),
    "a business error of another kind": ("a request it cannot read", said(400, "USER_BUSINESS_ERROR", {"field": "AMOUNT"}), "bug"),
    "a type it does not take": ("a request it cannot read", said(415, "UNSUPPORTED_MEDIA_TYPE"), "bug"),
}
NOT_NOW: dict[str, tuple[str, Answer, bool, float | None]] = {
    "429": ("too many requests", said(429, "RATE_LIMIT_REACHED", headers={"Retry-After": "7"}), False, 7.0),
    "429 with a date": (
        "too many requests",
        said(429, "RATE_LIMIT_REACHED", headers={"Retry-After": "Fri, 01 May 2026 20:00:00 GMT"}),
        False,
        None,
    ),
    "403": ("not allowed", said(403, "AUTHORIZATION_ERROR"), True, None),
    "403 of the account": ("not allowed", said(403, "SENDER_EMAIL_UNCONFIRMED"), True, None),
}


async def _failure(*answers: Answer | Trick) -> Exception:
    """What a pay-out raises whose only sending is answered so."""
    async with FaultServer(TOKEN, *answers).serving() as server:
        rail = PayPalPayoutRail("paypal", "id", "secret", base_url=server.base_url, call_seconds_max=_HASTY_SECONDS)
        try:
            with pytest.raises((Declined, Unavailable, OutcomeUnknown)) as failed:
                await rail.refund(REQUEST, key="key-1")
        finally:
            await rail.close()
        assert len(server.keys) == 1 + len(answers)
    assert "jane" not in str(failed.value)
    return failed.value


def _row(answer: Answer | Trick) -> str:
    """The row that such an answer meets."""
    if not isinstance(answer, Answer):
        return "no answer"
    trouble = trouble_of(answer.status, {}, answer.body)
    return next(row.name for row in ERROR_TABLE if row.applies(trouble))


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_may_have_happened_is_unknown_and_was_sent_once(name: str) -> None:
    row, answer = UNKNOWN[name]

    assert isinstance(await _failure(answer), OutcomeUnknown)
    if row not in {"", "no answer"}:
        assert _row(answer) == row


@pytest.mark.parametrize("name", DECLINED)
async def test_a_refusal_is_told_in_our_word_and_was_sent_once(name: str) -> None:
    row, answer, word = DECLINED[name]

    failure = await _failure(answer)

    assert isinstance(failure, Declined)
    assert (failure.code, _row(answer)) == (word, row)


@pytest.mark.parametrize("name", NOT_NOW)
async def test_what_was_not_looked_at_has_not_happened(name: str) -> None:
    row, answer, configuration, wait = NOT_NOW[name]

    failure = await _failure(answer)

    assert isinstance(failure, Unavailable)
    assert (failure.never_sent, failure.configuration, failure.retry_after_seconds) == (False, configuration, wait)
    assert _row(answer) == row


async def test_a_refused_connection_never_left_this_machine() -> None:
    rail = PayPalPayoutRail("paypal", "id", "secret", base_url=f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(Unavailable) as failed:
        await rail.refund(REQUEST, key="key-1")

    assert failed.value.never_sent
    await rail.close()


@pytest.mark.parametrize(
    ("cause", "never_sent"),
    [
        (httpx.ConnectError("no"), True),
        (httpx.ConnectTimeout("no"), True),
        (httpx.PoolTimeout("no"), True),
        (httpx.ReadTimeout("no"), False),
        (httpx.ReadError("no"), False),
        (httpx.WriteTimeout("no"), False),
        (httpx.WriteError("no"), False),
        (httpx.CloseError("no"), False),
        (httpx.RemoteProtocolError("no"), False),
        (httpx.ProxyError("no"), False),
        (TimeoutError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_failed_before_there_was_a_connection_counts_as_never_sent(cause: Exception, never_sent: bool) -> None:  # noqa: FBT001 - a parameter of the table
    failure = failure_of(Trouble(cause=cause))

    assert isinstance(failure, Unavailable if never_sent else OutcomeUnknown)
    assert getattr(failure, "never_sent", False) is never_sent


def test_every_row_has_a_name_a_source_and_a_test() -> None:
    names = [row.name for row in ERROR_TABLE]

    assert len(set(names)) == len(names)
    assert all(row.source for row in ERROR_TABLE)
    tested = {one[0] for one in (*UNKNOWN.values(), *DECLINED.values(), *NOT_NOW.values())}
    assert set(names) == tested - {""} | {"never connected"}


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

    failure = await _failure(revoked, TOKEN, revoked)

    assert isinstance(failure, Unavailable)
    assert (failure.configuration, failure.never_sent) == (True, False)


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
        rail = PayPalPayoutRail("paypal", "id", "secret-of-ours", base_url=server.base_url, call_seconds_max=_HASTY_SECONDS)
        with pytest.raises(Unavailable) as failed:
            await rail.refund(REQUEST, key="key-1")
        await rail.close()

    assert (failed.value.configuration, failed.value.retry_after_seconds, failed.value.never_sent) == (configuration, wait, False)
    assert "secret-of-ours" not in str(failed.value)


@pytest.mark.parametrize("base_url", ["http://api-m.paypal.com", "ftp://127.0.0.1", "https://", "https://api-m.paypal.com?x=1"])
def test_the_secret_goes_over_tls_or_nowhere(base_url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        PayPalPayoutRail("paypal", "id", "secret", base_url=base_url)
