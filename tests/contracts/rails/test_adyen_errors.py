"""Every row of Adyen's error table, produced by a server and told as one of our three failures."""

from __future__ import annotations

import asyncio
from uuid import UUID

import httpx
import msgspec
import pytest

from integrations.payments_adyen import AdyenRail, reference_of
from integrations.payments_adyen_errors import ERROR_TABLE, Row, Trouble, no_answer, trouble_of
from service.model import Money
from service.ports import Declined, OutcomeUnknown, RefundRequest, Unavailable
from tests.contracts.rails.faults import Answer, FaultServer, Trick, closed_port
from tests.peers.adyen_stub import API_KEY, MERCHANT_ACCOUNT

REQUEST = RefundRequest(
    operation_id=UUID(int=1),
    attempt_id=UUID(int=2),
    payment_ref="STUB000000000001",
    amount=Money(minor=700, currency="EUR"),
    reason="requested_by_customer",
)
# Long enough for a server on the same machine, short enough to wait for.
_HASTY_SECONDS = 0.3
# Far longer than a hasty call on a busy machine; without a limit of its own a call would not end at all.
_PATIENCE_SECONDS = 30
_TRANSIENT = {"transient-error": "true"}


def error(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    """An error object as Adyen writes it."""
    body = {"status": status, "errorCode": code, "message": "Refund for jane@example.org", "errorType": "validation"}
    return Answer(status=status, body=msgspec.json.encode(body), headers=headers or {})


def received(**fields: object) -> Answer:
    body = {
        "merchantAccount": MERCHANT_ACCOUNT,
        "paymentPspReference": REQUEST.payment_ref,
        "pspReference": "STUB000000000002",
        "reference": reference_of(REQUEST.operation_id, REQUEST.attempt_id),
        "status": "received",
        "amount": {"value": 700, "currency": "EUR"},
    }
    return Answer(status=201, body=msgspec.json.encode(body | fields))


# By the name of the row that decides.
ROWS: dict[str, list[Answer | Trick]] = {
    "no answer": [Trick.RESET, Trick.GOODBYE, Trick.HALF],
    "a passing error": [error(422, "704", _TRANSIENT), error(500, "905", _TRANSIENT), error(429, "000", _TRANSIENT)],
    "the store of keys is away": [error(503, "703")],
    "server error": [error(500, "905"), Answer(status=502, body=b"<html>Bad gateway</html>")],
    "not Adyen's words": [
        Answer(status=404, body=b"not here"),
        Answer(status=403, body=b"<html>Forbidden</html>"),
        Answer(status=401, body=b""),
        Answer(status=429, body=b'{"error": "slow down"}'),
        Answer(status=422, body=msgspec.json.encode({"status": 400, "errorCode": "167"})),
        Answer(status=302, body=b"", headers={"Location": "/elsewhere"}),
    ],
    "the same key is being worked on": [error(409, "704"), error(422, "704", {"transient-error": "false"})],
    "too many requests": [error(429, "000", {"Retry-After": "7"})],
    "not allowed": [error(401, "000"), error(403, "010")],
    "not this merchant account": [error(422, "901")],
    "error 137": [error(422, "137")],
    "error 138": [error(422, "138")],
    "error 167": [error(422, "167"), error(404, "167")],
    "a request it cannot read": [error(400, "702"), error(422, "130")],
}
UNKNOWN = (
    "no answer",
    "a passing error",
    "the store of keys is away",
    "server error",
    "not Adyen's words",
    "the same key is being worked on",
)
DECLINED = {"error 137": "amount_too_large", "error 138": "unsupported", "error 167": "not_found", "a request it cannot read": "bug"}


async def _failure(reply: Answer | Trick) -> Exception:
    """What a refund raises; it was sent exactly once, under our key."""
    async with FaultServer(reply).serving() as server:
        rail = AdyenRail("adyen", API_KEY, merchant_account=MERCHANT_ACCOUNT, base_url=server.base_url, call_seconds_max=_HASTY_SECONDS)
        try:
            with pytest.raises((Declined, Unavailable, OutcomeUnknown)) as failed:
                await rail.refund(REQUEST, key="key-1")
        finally:
            await rail.close()
    assert server.keys == ["key-1"]
    return failed.value


def _rows(*names: str) -> list[object]:
    return [pytest.param(reply, id=f"{name} {number}") for name in names for number, reply in enumerate(ROWS[name])]


@pytest.mark.parametrize("reply", _rows(*UNKNOWN))
async def test_what_may_have_happened_is_unknown_and_was_sent_once(reply: Answer | Trick) -> None:
    assert isinstance(await _failure(reply), OutcomeUnknown)


@pytest.mark.parametrize("trick", [Trick.SILENCE, Trick.DRIP])
async def test_an_answer_that_does_not_end_is_waited_for_no_longer_than_a_call_may_take(trick: Trick) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        assert isinstance(await _failure(trick), OutcomeUnknown)


@pytest.mark.parametrize("name", DECLINED)
async def test_a_refusal_is_told_in_our_word_and_was_sent_once(name: str) -> None:
    for reply in ROWS[name]:
        failure = await _failure(reply)

        assert isinstance(failure, Declined)
        assert failure.code == DECLINED[name]
        assert "jane" not in str(failure)


@pytest.mark.parametrize("reply", _rows("not allowed", "not this merchant account"))
async def test_a_wrong_key_or_a_missing_role_is_a_matter_of_configuration(reply: Answer) -> None:
    failure = await _failure(reply)

    assert isinstance(failure, Unavailable)
    assert (failure.configuration, failure.never_sent) == (True, False)


async def test_too_many_requests_say_when_to_come_back() -> None:
    failure = await _failure(ROWS["too many requests"][0])

    assert isinstance(failure, Unavailable)
    assert (failure.retry_after_seconds, failure.configuration, failure.never_sent) == (7, False, False)


async def test_a_refused_connection_never_left_this_machine() -> None:
    rail = AdyenRail("adyen", API_KEY, merchant_account=MERCHANT_ACCOUNT, base_url=f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(Unavailable) as failed:
        await rail.refund(REQUEST, key="key-1")

    assert failed.value.never_sent
    await rail.close()


@pytest.mark.parametrize(
    ("cause", "row"),
    [
        (httpx.ConnectError("no"), "never connected"),
        (httpx.ConnectTimeout("no"), "never connected"),
        (httpx.PoolTimeout("no"), "never connected"),
        (httpx.ReadTimeout("no"), "no answer"),
        (httpx.ReadError("no"), "no answer"),
        (httpx.WriteTimeout("no"), "no answer"),
        (httpx.WriteError("no"), "no answer"),
        (httpx.CloseError("no"), "no answer"),
        (httpx.RemoteProtocolError("no"), "no answer"),
        (httpx.ProxyError("no"), "no answer"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_failed_before_there_was_a_connection_counts_as_never_sent(cause: Exception, row: str) -> None:
    assert _deciding(no_answer(cause)).name == row


def test_each_row_is_met_by_what_stands_for_it_here_and_none_is_left_out() -> None:
    met = {
        name: {_deciding(trouble_of(reply.status, reply.headers, reply.body)).name for reply in replies if isinstance(reply, Answer)}
        for name, replies in ROWS.items()
        if name != "no answer"
    }

    assert met == {name: {name} for name in met}
    assert {row.name for row in ERROR_TABLE} == {*ROWS, "never connected"}
    assert all(row.source for row in ERROR_TABLE)


@pytest.mark.parametrize(
    "reply",
    [
        Answer(status=201, body=b"<html>fine</html>"),
        Answer(status=200, body=b"{}"),
        received(status="authorised"),
        received(pspReference=None),
        Answer(status=201, body=b"{}", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["no JSON", "nothing in it", "another word", "no reference", "not what it says it is"],
)
async def test_a_yes_that_cannot_be_read_is_unknown(reply: Answer) -> None:
    assert isinstance(await _failure(reply), OutcomeUnknown)


@pytest.mark.parametrize(
    "reply",
    [
        received(paymentPspReference="STUB000000000009"),
        received(reference="mg-another"),
        received(amount={"value": 701, "currency": "EUR"}),
        received(amount={"value": 700, "currency": "USD"}),
    ],
    ids=["payment", "reference", "amount", "currency"],
)
async def test_the_answer_to_another_request_is_not_taken_for_ours(reply: Answer) -> None:
    failure = await _failure(reply)

    assert isinstance(failure, Declined)
    assert failure.code == "idempotency_misuse"


async def test_a_check_that_gets_no_clear_answer_says_unavailable() -> None:
    for reply in (Trick.RESET, error(500, "905"), error(422, "130")):
        async with FaultServer(reply).serving() as server:
            rail = AdyenRail("adyen", API_KEY, merchant_account=MERCHANT_ACCOUNT, base_url=server.base_url)
            with pytest.raises(Unavailable):
                await rail.check()
            await rail.close()


def _deciding(trouble: Trouble) -> Row:
    return next(row for row in ERROR_TABLE if row.applies(trouble))
