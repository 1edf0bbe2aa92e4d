"""What each error of Adyen's means for money: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from integrations import http_errors as shared
from integrations.http_errors import Failure, Row, declined, on_code


class Trouble(shared.Trouble, frozen=True, kw_only=True):
    """One failed call. Adyen's messages may quote the request, so only codes are kept."""

    transient: bool = False
    """the header `transient-error: true`"""

    @property
    def word(self) -> str:
        return f"error {self.code}" if self.code else ""


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    """An error object, of what we need; both formats of Adyen's have these two."""

    status: int
    errorCode: str  # noqa: N815 - Adyen's word


# Adyen, "Error codes and messages". What is not listed is `bug`: a request of ours that it cannot read.
_DECLINED: Final[Mapping[str, str]] = {
    "137": "amount_too_large",  # Invalid amount specified. Ours are above zero, so it can only be too much
    "138": "unsupported",  # Unsupported currency specified
    "167": "not_found",  # Original pspReference required for this operation: also what an unknown reference is told
}

# The first row that applies decides.
ERROR_TABLE: Final[tuple[Row[Trouble], ...]] = (
    shared.NEVER_CONNECTED,
    shared.NO_ANSWER,
    Row(
        # it asks for the same key again; that it did nothing so far is not said, so nothing is proven
        name="a passing error",
        applies=lambda t: t.transient,
        failure=shared.unknown,
        source="Adyen, 'API idempotency': the header transient-error: true asks to retry with the same key",
    ),
    # the page allows to drop the key and go on: that is how one pays twice
    on_code(
        "703",
        shared.unknown,
        "Adyen, 'API idempotency': 503 with error 703, the key could not be looked up",
        name="the store of keys is away",
    ),
    shared.server_error("Adyen, 'HTTP status codes': a 500 says nothing about what was done"),
    shared.not_their_words("Adyen, 'Error codes and messages': an error has status and errorCode, else something in between answered"),
    shared.NO_REFUSAL,
    shared.key_in_use("Adyen, 'API idempotency': 422 or 409 with error 704, request already processed or in progress", "704"),
    shared.too_many_requests("Adyen, 'HTTP status codes': refused before it was worked on"),
    shared.not_allowed("Adyen, 'HTTP status codes': key missing, wrong or without the role"),
    on_code(
        "901",
        shared.misconfigured,
        "Adyen, 'Error codes and messages', 901: the merchant account is unknown or not the key's",
        name="not this merchant account",
    ),
    *(
        on_code(code, declined(word), f"Adyen, 'Error codes and messages', {code}", name=f"error {code}")
        for code, word in _DECLINED.items()
    ),
    shared.unreadable("Adyen, 'Error codes and messages': any other 4xx was validated and not carried out"),
)


def failure_of(trouble: Trouble) -> Failure:
    """What it means for a request that may move money; see `http_errors.failure_by`."""
    return shared.failure_by(ERROR_TABLE, trouble)


def trouble_of(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """What is known about an answer that is none of success; header names in lower case or a mapping that does not care."""
    error = shared.told(body, _Error)
    return Trouble(
        status=status,
        theirs=error is not None and error.status == status,
        code=error.errorCode if error else "",
        transient=headers.get("transient-error", "").strip().lower() == "true",
        retry_after_seconds=shared.retry_after(headers),
    )
