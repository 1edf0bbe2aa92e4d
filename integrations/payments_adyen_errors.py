"""What each error of Adyen's means for money: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import httpx
import msgspec

from service.ports import Declined, OutcomeUnknown, Unavailable


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One failed call, as far as it can be told."""

    cause: BaseException | None
    """what the HTTP client raised, when no answer came"""
    status: int | None
    from_adyen: bool
    """the body is an error object of Adyen's, not of something in between"""
    code: str
    transient: bool
    """the header `transient-error: true`"""
    retry_after_seconds: float | None

    @property
    def detail(self) -> str:
        """Words that hold no personal data: Adyen's messages may quote the request, so they stay out."""
        if self.code:
            return f"error {self.code}"
        return f"HTTP {self.status}" if self.status else type(self.cause).__name__


type_failure = Declined | Unavailable | OutcomeUnknown


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: when it applies, what follows, and who says so."""

    name: str
    applies: Callable[[Trouble], bool]
    failure: Callable[[Trouble], type_failure]
    source: str


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    """An error object, of what we need; both formats of Adyen's have these two."""

    status: int
    errorCode: str  # noqa: N815 - Adyen's word


# Raised before a byte of the request is written: no socket was found or made.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

# Adyen, "Error codes and messages". What is not listed is `bug`: a request of ours that it cannot read.
_DECLINED: Final[Mapping[str, str]] = {
    "137": "amount_too_large",  # Invalid amount specified. Ours are above zero, so it can only be too much
    "138": "unsupported",  # Unsupported currency specified
    "167": "not_found",  # Original pspReference required for this operation: also what an unknown reference is told
}


def _unknown(trouble: Trouble) -> type_failure:
    return OutcomeUnknown(trouble.detail)


def _declined(word: str) -> Callable[[Trouble], type_failure]:
    return lambda trouble: Declined(word, trouble.detail)


def _misconfigured(trouble: Trouble) -> type_failure:
    return Unavailable(trouble.detail, configuration=True)


# The first row that applies decides.
ERROR_TABLE: Final[tuple[Row, ...]] = (
    Row(
        name="never connected",
        applies=lambda t: isinstance(t.cause, _NEVER_SENT),
        failure=lambda t: Unavailable(t.detail, never_sent=True),
        source="httpx, 'Exceptions': all three are raised while a connection is being had",
    ),
    Row(
        name="no answer",
        applies=lambda t: t.status is None,
        failure=_unknown,
        source="httpx, 'Exceptions': read, write and protocol errors come after the request may have left",
    ),
    Row(
        # it asks for the same key again; that it did nothing so far is not said, so nothing is proven
        name="a passing error",
        applies=lambda t: t.transient,
        failure=_unknown,
        source="Adyen, 'API idempotency': the header transient-error: true asks to retry with the same key",
    ),
    Row(
        # the page allows to drop the key and go on: that is how one pays twice
        name="the store of keys is away",
        applies=lambda t: t.code == "703",
        failure=_unknown,
        source="Adyen, 'API idempotency': 503 with error 703, the key could not be looked up",
    ),
    Row(
        name="server error",
        applies=lambda t: t.status is not None and t.status >= 500,
        failure=_unknown,
        source="Adyen, 'HTTP status codes': a 500 says nothing about what was done",
    ),
    Row(
        name="not Adyen's words",
        applies=lambda t: not t.from_adyen,
        failure=_unknown,
        source="Adyen, 'Error codes and messages': an error has status and errorCode, else something in between answered",
    ),
    Row(
        name="the same key is being worked on",
        applies=lambda t: t.code == "704",
        failure=_unknown,
        source="Adyen, 'API idempotency': 422 or 409 with error 704, request already processed or in progress",
    ),
    Row(
        name="too many requests",
        applies=lambda t: t.status == 429,
        failure=lambda t: Unavailable(t.detail, retry_after_seconds=t.retry_after_seconds),
        source="Adyen, 'HTTP status codes': refused before it was worked on",
    ),
    Row(
        name="not allowed",
        applies=lambda t: t.status in {401, 403},
        failure=_misconfigured,
        source="Adyen, 'HTTP status codes': key missing, wrong or without the role",
    ),
    Row(
        name="not this merchant account",
        applies=lambda t: t.code == "901",
        failure=_misconfigured,
        source="Adyen, 'Error codes and messages', 901: the merchant account is unknown or not the key's",
    ),
    *(
        Row(
            name=f"error {code}",
            applies=lambda t, code=code: t.code == code,  # type: ignore[misc]
            failure=_declined(word),
            source=f"Adyen, 'Error codes and messages', {code}",
        )
        for code, word in _DECLINED.items()
    ),
    Row(
        name="a request it cannot read",
        applies=lambda _: True,
        failure=_declined("bug"),
        source="Adyen, 'Error codes and messages': any other 4xx was validated and not carried out",
    ),
)


def failure_of(trouble: Trouble) -> type_failure:
    """Which of the three failures it is, for a request that may move money and was sent for the first time.

    After an earlier try with an unknown outcome, none of this proves that *that* try did nothing.
    """
    return next(row.failure(trouble) for row in ERROR_TABLE if row.applies(trouble))


def no_answer(cause: BaseException) -> Trouble:
    """What is known when the HTTP client raised."""
    return Trouble(cause=cause, status=None, from_adyen=False, code="", transient=False, retry_after_seconds=None)


def trouble_of(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """What is known about an answer that is none of success; header names in lower case or a mapping that does not care."""
    try:
        error = msgspec.json.decode(body, type=_Error)
    except msgspec.DecodeError:  # also what is JSON and no error object
        error = None
    return Trouble(
        cause=None,
        status=status,
        from_adyen=error is not None and error.status == status,
        code=error.errorCode if error else "",
        transient=headers.get("transient-error", "").strip().lower() == "true",
        retry_after_seconds=_seconds(headers.get("retry-after", "")),
    )


def _seconds(text: str) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3). None without one, or for a date."""
    return float(text) if text.isdecimal() else None
