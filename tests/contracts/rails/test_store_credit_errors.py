"""Every row of the error table of a platform's gift cards, produced by a server and told as one of our three failures."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from integrations.credit_platform import PlatformGiftCards
from integrations.credit_platform_errors import ERROR_TABLE, Trouble, failure_of, trouble_of
from service.model import Money
from service.ports import Declined, OutcomeUnknown, Unavailable
from tests.contracts.rails.faults import Answer, FaultServer, Trick, closed_port

# Long enough for a server on the same machine, short enough to wait for.
_HASTY_SECONDS = 0.5


def said(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    body = {"code": code, "message": "jane@example.org has GIFT-4711-0815"}
    return Answer(status=status, body=msgspec.json.encode(body), headers=headers or {})


UNKNOWN: dict[str, tuple[str, Answer | Trick]] = {
    "silence": ("no answer", Trick.SILENCE),
    "an answer that never ends": ("no answer", Trick.DRIP),
    "a reset": ("no answer", Trick.RESET),
    "a goodbye without an answer": ("no answer", Trick.GOODBYE),
    "half an answer": ("no answer", Trick.HALF),
    "an answer without end": ("no answer", Answer(status=201, body=b" " * (64 * 1024 + 1))),
    "500": ("server error", said(500, "invalid")),
    "502 of a proxy": ("server error", Answer(status=502, body=b"<html>Bad gateway</html>")),
    "404 of a proxy": ("not the platform's words", Answer(status=404, body=b"not here")),
    "403 of a proxy": ("not the platform's words", Answer(status=403, body=b"<html>Forbidden</html>")),
    "422 without a code": ("not the platform's words", Answer(status=422, body=b'{"error": "x"}')),
    "422 nested too deep": ("not the platform's words", Answer(status=422, body=b'{"x":' + b"[" * 60_000)),
    "a redirect": ("not the platform's words", Answer(status=307, body=b"", headers={"Location": "http://127.0.0.1:1/"})),
    "204": ("not the platform's words", Answer(status=204, body=b"")),
    "409": ("the same key is being worked on", said(409, "in_progress")),
    "201 that is no JSON": ("", Answer(status=201, body=b"<html>fine</html>")),
    "201 without the card": ("", Answer(status=201, body=b'{"id": "gc_1"}')),
}
DECLINED: dict[str, tuple[str, Answer, str]] = {
    "another amount": ("idempotency_misuse", said(422, "idempotency_misuse"), "idempotency_misuse"),
    "a currency": ("currency_unsupported", said(422, "currency_unsupported"), "unsupported"),
    "too much": ("amount_too_large", said(422, "amount_too_large"), "amount_too_large"),
    "somebody unknown": ("customer_unknown", said(422, "customer_unknown"), "not_found"),
    "no": ("declined", said(400, "declined"), "declined"),
    "a body it cannot read": ("a request it cannot read", said(400, "invalid"), "bug"),
    "a word of its own": ("a request it cannot read", said(422, "jane_is_blocked"), "bug"),
}
NOT_NOW: dict[str, tuple[str, Answer, bool, float | None]] = {
    "429": ("too many requests", said(429, "rate_limited", {"Retry-After": "7"}), False, 7.0),
    "429 with a date": ("too many requests", said(429, "rate_limited", {"Retry-After": "Fri, 01 May 2026 20:00:00 GMT"}), False, None),
    "401": ("not allowed", said(401, "unauthorized"), True, None),
    "403": ("not allowed", said(403, "forbidden"), True, None),
    "404": ("no such address", said(404, "not_found"), True, None),
    "405": ("no such address", said(405, "invalid"), True, None),
}


async def _failure(answer: Answer | Trick) -> Exception:
    """What issuing raises; it was sent exactly once, under our key."""
    async with FaultServer(answer).serving() as server:
        cards = PlatformGiftCards(server.base_url, "secret", call_seconds_max=_HASTY_SECONDS)
        try:
            with pytest.raises((Declined, Unavailable, OutcomeUnknown)) as failed:
                await cards.issue("r", Money(minor=700, currency="EUR"), key="key-1", customer="jane@example.org")
        finally:
            await cards.close()
        assert server.keys == ["key-1"]
    assert "jane" not in str(failed.value)
    assert "GIFT" not in str(failed.value)
    return failed.value


def _row(answer: Answer | Trick) -> str:
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
    cards = PlatformGiftCards(f"http://127.0.0.1:{closed_port()}", "secret")

    with pytest.raises(Unavailable) as failed:
        await cards.issue("r", Money(minor=700, currency="EUR"), key="key-1", customer="")

    assert failed.value.never_sent
    await cards.close()


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
