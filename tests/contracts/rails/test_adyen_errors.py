"""Each row of Adyen's own in its error table, and what Adyen says beside errors; the rows of all tables: `test_error_tables.py`."""

from __future__ import annotations

import msgspec
import pytest

from integrations.payments_adyen import AdyenRail, reference_of
from integrations.payments_adyen_errors import ERROR_TABLE
from service.ports import Unavailable
from tests.contracts.rails.error_benches import ADYEN, REQUEST, SHARED, each, failure_from, meaning
from tests.contracts.rails.error_benches import adyen_error as error
from tests.contracts.rails.faults import Answer, FaultServer, Trick
from tests.peers.adyen_stub import API_KEY, MERCHANT_ACCOUNT

_TRANSIENT = {"transient-error": "true"}

# By the name of the row that decides: what it means, and what the server says.
OWN: dict[str, tuple[str, list[Answer]]] = {
    "a passing error": ("unknown", [error(422, "704", _TRANSIENT), error(500, "905", _TRANSIENT), error(429, "000", _TRANSIENT)]),
    "the store of keys is away": ("unknown", [error(503, "703")]),
    "not this merchant account": ("configuration", [error(422, "901")]),
    "error 137": ("declined: amount_too_large", [error(422, "137")]),
    "error 138": ("declined: unsupported", [error(422, "138")]),
    "error 167": ("declined: not_found", [error(422, "167"), error(404, "167")]),
}
# Shared rows that Adyen has words of its own for.
IN_ITS_WORDS: dict[str, tuple[str, list[Answer]]] = {
    "the same key is being worked on": ("unknown", [error(409, "704"), error(422, "704", {"transient-error": "false"}), error(429, "704")]),
    "not their words": ("unknown", [Answer(status=422, body=msgspec.json.encode({"status": 400, "errorCode": "167"}))]),
    "a request it cannot read": ("declined: bug", [error(400, "702"), error(422, "130")]),
}


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


@pytest.mark.parametrize(("row", "means", "reply"), each(OWN | IN_ITS_WORDS))
async def test_each_error_means_what_its_row_says_and_was_sent_once(row: str, means: str, reply: Answer) -> None:
    failure = await failure_from(ADYEN, reply)

    assert (ADYEN.row(reply, failure), meaning(failure)) == (row, means)


def test_no_row_is_without_a_test() -> None:
    assert {row.name for row in ERROR_TABLE} == SHARED | OWN.keys()


@pytest.mark.parametrize(
    "reply",
    [
        received(status="authorised"),
        received(pspReference=None),
        Answer(status=201, body=received().body.replace(b"STUB", b"\xff")),
        Answer(status=201, body=b"{}", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["another word", "no reference", "no text", "not what it says it is"],
)
async def test_a_yes_that_cannot_be_read_is_unknown(reply: Answer) -> None:
    assert meaning(await failure_from(ADYEN, reply)) == "unknown"


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
    assert meaning(await failure_from(ADYEN, reply)) == "declined: idempotency_misuse"


async def test_a_check_that_gets_no_clear_answer_says_unavailable() -> None:
    for reply in (Trick.RESET, error(500, "905"), error(422, "130")):
        async with FaultServer(reply).serving() as server:
            rail = AdyenRail("adyen", API_KEY, merchant_account=MERCHANT_ACCOUNT, base_url=server.base_url)
            with pytest.raises(Unavailable):
                await rail.check()
            await rail.close()
