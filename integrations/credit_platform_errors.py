"""What each error of a platform's gift cards means: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import httpx
import msgspec

from service.ports import Declined, OutcomeUnknown, Unavailable


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One failed call, as far as it can be told."""

    cause: BaseException | None = None
    """what the HTTP client raised, when no answer came"""
    status: int | None = None
    code: str = ""
    """the platform's word; empty where the body is none of its error objects"""
    retry_after_seconds: float | None = None

    @property
    def detail(self) -> str:
        """Words of the contract alone: prose may name a customer, and what stands as `code` may be that of a voucher."""
        return self.code if self.code in _WORDS else (f"HTTP {self.status}" if self.status else type(self.cause).__name__)


type_failure = Declined | Unavailable | OutcomeUnknown


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: when it applies, what follows, and who says so."""

    name: str
    applies: Callable[[Trouble], bool]
    failure: Callable[[Trouble], type_failure]
    source: str


# Raised before a byte of the request is written: no socket was found or made.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# All words of the contract; the platform may have others, which are `bug`.
_WORDS: Final = frozenset(
    {
        "amount_too_large",
        "currency_unsupported",
        "customer_unknown",
        "declined",
        "forbidden",
        "idempotency_misuse",
        "in_progress",
        "invalid",
        "not_found",
        "rate_limited",
        "unauthorized",
    }
)


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    code: str


def _unknown(trouble: Trouble) -> type_failure:
    return OutcomeUnknown(trouble.detail)


def _declined(word: str) -> Callable[[Trouble], type_failure]:
    return lambda trouble: Declined(word, trouble.detail)


_CONTRACT: Final = "our contract, integrations/credit_platform.py"

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
        name="server error",
        applies=lambda t: t.status is not None and t.status >= 500,
        failure=_unknown,
        source="RFC 9110, 15.6: the server failed; it does not say how far it got",
    ),
    Row(
        name="not the platform's words",
        applies=lambda t: not t.code,
        failure=_unknown,
        source=f"{_CONTRACT}: errors are objects with a code, so something in between answered",
    ),
    Row(
        name="too many requests",
        applies=lambda t: t.status == 429,
        failure=lambda t: Unavailable(t.detail, retry_after_seconds=t.retry_after_seconds),
        source="RFC 6585, 4: limited before it is carried out",
    ),
    Row(
        name="not allowed",
        applies=lambda t: t.status in {401, 403},
        failure=lambda t: Unavailable(t.detail, configuration=True),
        source="RFC 9110, 15.5.2 and 15.5.4: the secret is missing, wrong or not allowed to issue",
    ),
    Row(
        name="no such address",
        applies=lambda t: t.status in {404, 405},
        failure=lambda t: Unavailable(t.detail, configuration=True),
        source=f"{_CONTRACT}: a reference that is not there is an empty list, so the address is wrong",
    ),
    Row(
        name="the same key is being worked on",
        applies=lambda t: t.status == 409,
        failure=_unknown,
        source="draft-ietf-httpapi-idempotency-key-header, 2.7: an earlier request with the key is still running",
    ),
    Row(
        name="idempotency_misuse",
        applies=lambda t: t.code == "idempotency_misuse",
        failure=_declined("idempotency_misuse"),
        source=f"{_CONTRACT}: the reference or the key was used for another amount",
    ),
    Row(
        name="currency_unsupported",
        applies=lambda t: t.code == "currency_unsupported",
        failure=_declined("unsupported"),
        source=f"{_CONTRACT}: its cards do not have that currency",
    ),
    Row(
        name="amount_too_large",
        applies=lambda t: t.code == "amount_too_large",
        failure=_declined("amount_too_large"),
        source=f"{_CONTRACT}: above what a card may hold",
    ),
    Row(
        name="customer_unknown",
        applies=lambda t: t.code == "customer_unknown",
        failure=_declined("not_found"),
        source=f"{_CONTRACT}: it has no customer of that name to give a card to",
    ),
    Row(
        name="declined",
        applies=lambda t: t.code == "declined",
        failure=_declined("declined"),
        source=f"{_CONTRACT}: it does not want to, for reasons of its own",
    ),
    Row(
        name="a request it cannot read",
        applies=lambda _: True,
        failure=_declined("bug"),
        source=f"{_CONTRACT}: any other 4xx was validated and not carried out",
    ),
)


def failure_of(trouble: Trouble) -> type_failure:
    """Which of the three failures it is, for a request that was sent for the first time.

    After an earlier try with an unknown outcome, none of this proves that *that* try did nothing.
    """
    return next(row.failure(trouble) for row in ERROR_TABLE if row.applies(trouble))


def trouble_of(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """What is known about an answer that is no success."""
    try:
        code = msgspec.json.decode(body, type=_Said).code
    except (ValueError, RecursionError):
        code = ""
    wait = headers.get("retry-after", "")
    return Trouble(
        status=status,
        code=code,
        # in seconds (RFC 9110, 10.2.3); a date is left to our own waiting
        retry_after_seconds=float(wait) if wait.isdecimal() and wait.isascii() and len(wait) < 7 else None,
    )
