"""The rows that all error tables share mean the same at every processor; what each has beside them stands in a file of its own."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from integrations.http_errors import failure_by, retry_after, row_of
from service.ports import OutcomeUnknown, Unavailable
from tests.contracts.rails.error_benches import SHARED, VENDORS, Vendor, failure_from, meaning
from tests.contracts.rails.faults import PATIENT_SECONDS, Answer, Trick, closed_port
from tests.patience import PATIENCE_SECONDS

# In the vendor's own words, by status: the row that decides, and what it means.
IN_THEIR_WORDS = {
    302: ("no refusal", "unknown"),
    400: ("a request it cannot read", "declined: bug"),
    401: ("not allowed", "configuration"),
    403: ("not allowed", "configuration"),
    409: ("the same key is being worked on", "unknown"),
    422: ("a request it cannot read", "declined: bug"),
    429: ("too many requests", "not now"),
    500: ("server error", "unknown"),
    503: ("server error", "unknown"),
}
# From something between them and us: none of it says what became of the request.
IN_OTHER_WORDS = {
    "a page, 401": Answer(status=401, body=b"<html>Sign in</html>"),
    "a page, 403": Answer(status=403, body=b"<html>Forbidden</html>"),
    "text, 404": Answer(status=404, body=b"not here"),
    "nothing, 409": Answer(status=409, body=b""),
    "text, 429": Answer(status=429, body=b"slow down"),
    "another object, 400": Answer(status=400, body=b'{"reason": "no"}'),
    "a list, 400": Answer(status=400, body=b"[1]"),
    "a number, 422": Answer(status=422, body=b"7"),
    "nested without end, 422": Answer(status=422, body=b'{"reason": ' + b"[" * 60_000),
    "a redirect": Answer(status=307, body=b"", headers={"Location": "http://127.0.0.1:1/"}),
}

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


@every_vendor
@pytest.mark.parametrize("status", IN_THEIR_WORDS)
async def test_a_status_means_the_same_wherever_it_comes_from(vendor: Vendor, status: int) -> None:
    reply = vendor.said(status, {})

    failure = await failure_from(vendor, reply)

    assert (vendor.row(reply, failure), meaning(failure)) == IN_THEIR_WORDS[status]


@every_vendor
@pytest.mark.parametrize("name", IN_OTHER_WORDS)
async def test_what_others_say_proves_nothing(vendor: Vendor, name: str) -> None:
    reply = IN_OTHER_WORDS[name]

    failure = await failure_from(vendor, reply)

    assert (vendor.row(reply, failure), meaning(failure)) == ("not their words", "unknown")


@every_vendor
async def test_a_server_error_is_unknown_in_whatever_words(vendor: Vendor) -> None:
    reply = Answer(status=502, body=b"<html>Bad gateway</html>")

    failure = await failure_from(vendor, reply)

    assert (vendor.row(reply, failure), meaning(failure)) == ("server error", "unknown")


@every_vendor
async def test_a_yes_that_says_something_else_is_unknown(vendor: Vendor) -> None:
    for reply in (vendor.said(202, {}), Answer(status=201, body=b"<html>fine</html>"), Answer(status=200, body=b"{}")):
        assert meaning(await failure_from(vendor, reply)) == "unknown"


@every_vendor
@pytest.mark.parametrize("status", [200, 422])
async def test_bytes_that_are_no_text_are_unknown(vendor: Vendor, status: int) -> None:
    assert meaning(await failure_from(vendor, Answer(status=status, body=b'{"code": "\xff", "errorCode": "\xff"}'))) == "unknown"


@every_vendor
@pytest.mark.parametrize("trick", Trick, ids=lambda trick: trick.name.lower())
async def test_an_answer_that_does_not_come_or_end_is_unknown_and_waited_for_no_longer_than_a_call_may_take(
    vendor: Vendor, trick: Trick
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):  # without a limit of its own a call would not end at all
        assert meaning(await failure_from(vendor, trick)) == "unknown"


@every_vendor
@pytest.mark.parametrize(("asked", "seconds"), [("7", 7.0), ("Fri, 01 May 2026 20:00:00 GMT", None)])
async def test_too_many_requests_say_when_to_come_back(vendor: Vendor, asked: str, seconds: float | None) -> None:
    failure = await failure_from(vendor, vendor.said(429, {"Retry-After": asked}))

    assert isinstance(failure, Unavailable)
    assert (meaning(failure), failure.retry_after_seconds) == ("not now", seconds)


@every_vendor
async def test_a_refused_connection_never_left_this_machine(vendor: Vendor) -> None:
    with pytest.raises(Unavailable) as failed:
        await vendor.send(f"http://127.0.0.1:{closed_port()}", PATIENT_SECONDS)

    assert meaning(failed.value) == "never sent"


@every_vendor
@pytest.mark.parametrize(
    ("cause", "row", "means"),
    [
        (httpx.ConnectError("no"), "never connected", "never sent"),
        (httpx.ConnectTimeout("no"), "never connected", "never sent"),
        (httpx.PoolTimeout("no"), "never connected", "never sent"),
        (httpx.ReadTimeout("no"), "no answer", "unknown"),
        (httpx.ReadError("no"), "no answer", "unknown"),
        (httpx.WriteTimeout("no"), "no answer", "unknown"),
        (httpx.WriteError("no"), "no answer", "unknown"),
        (httpx.CloseError("no"), "no answer", "unknown"),
        (httpx.RemoteProtocolError("no"), "no answer", "unknown"),
        (httpx.ProxyError("no"), "no answer", "unknown"),
        (TimeoutError(), "no answer", "unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_what_failed_before_there_was_a_connection_counts_as_never_sent(
    vendor: Vendor, cause: Exception, row: str, means: str
) -> None:
    trouble = vendor.lost(cause)

    assert row_of(vendor.table, trouble).name == row
    assert meaning(failure_by(vendor.table, trouble)) == means


@every_vendor
def test_what_may_have_happened_is_asked_before_anything_that_says_it_did_not(vendor: Vendor) -> None:
    """An answer of which two rows could be said is unknown if one of them is; alone a connection that never was comes first."""
    first, *others = vendor.table
    unknown = [isinstance(row.failure(vendor.lost(TimeoutError())), OutcomeUnknown) for row in others]

    assert first.name == "never connected"
    assert unknown == sorted(unknown, reverse=True)


@every_vendor
def test_every_row_has_a_name_of_its_own_and_says_where_it_comes_from(vendor: Vendor) -> None:
    names = [row.name for row in vendor.table]

    assert len(set(names)) == len(names)
    assert all(row.source for row in vendor.table)
    assert set(names) >= SHARED
    assert names[-1] == "a request it cannot read"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": "120"}, 120.0),
        ({"retry-after": "999999"}, 999_999.0),
        ({"retry-after": "1000000"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 01 May 2026 20:00:00 GMT"}, None),
    ],
)
def test_only_a_plain_number_of_seconds_is_taken_for_a_time_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
