"""What the error tables of all HTTP processors have in common: one row an error, the first that applies decides.

An adapter writes its own table, in this order: what is unknown stands before everything that says "nothing happened", so that an answer
of which both could be said stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import httpx
import msgspec

from service.ports import Declined, OutcomeUnknown, Unavailable

Failure = Declined | Unavailable | OutcomeUnknown

# Raised before a byte of the request is written: no socket was found or made.
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# Eleven days and a half: longer than any processor shuts us out for, and short enough for every date that is computed from it.
_RETRY_AFTER_DIGITS_MAX: Final = 6


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One failed call, as far as it can be told; adapters add what else their vendor says."""

    cause: BaseException | None = None
    """what the HTTP client raised, when no answer came"""
    status: int | None = None
    theirs: bool = False
    """the body is an error object of the vendor's, not of something in between"""
    code: str = ""
    retry_after_seconds: float | None = None

    @property
    def word(self) -> str:
        """The vendor's own code, as far as it may be repeated: never prose, which may quote the request and so a customer."""
        return self.code

    @property
    def detail(self) -> str:
        """Words that hold no personal data."""
        return self.word or (f"HTTP {self.status}" if self.status else type(self.cause).__name__)


# A row that is content with any trouble serves in every table, hence contravariant.
_T_contra = TypeVar("_T_contra", bound=Trouble, contravariant=True)
_T = TypeVar("_T", bound=Trouble)
_Kind = TypeVar("_Kind")


class Row(msgspec.Struct, Generic[_T_contra], frozen=True, kw_only=True):
    """One line of a table: when it applies, what follows, and who says so."""

    name: str
    applies: Callable[[_T_contra], bool]
    failure: Callable[[Trouble], Failure]
    source: str


def row_of(table: Sequence[Row[_T]], trouble: _T) -> Row[_T]:
    """The first row that applies; the last one of a table always does."""
    return next(row for row in table if row.applies(trouble))


def failure_by(table: Sequence[Row[_T]], trouble: _T) -> Failure:
    """Which of the three failures it is, for a request that may move money and was sent for the first time.

    After an earlier try with an unknown outcome, none of this proves that *that* try did nothing.
    """
    return row_of(table, trouble).failure(trouble)


# ------------------------------------------------------------------------------------------------ what follows


def unknown(trouble: Trouble) -> Failure:
    return OutcomeUnknown(trouble.detail)


def declined(word: str) -> Callable[[Trouble], Failure]:
    """They said no; `word` is ours (`service.ports.Declined`)."""
    return lambda trouble: Declined(word, trouble.detail)


def misconfigured(trouble: Trouble) -> Failure:
    """Nothing happened, and nothing will before somebody mends the settings here or the account there."""
    return Unavailable(trouble.detail, configuration=True)


def not_now(trouble: Trouble) -> Failure:
    """Nothing happened, and they may say when to come back."""
    return Unavailable(trouble.detail, retry_after_seconds=trouble.retry_after_seconds)


# ------------------------------------------------------------------------------------------------ the rows of every table

NEVER_CONNECTED: Final[Row[Trouble]] = Row(
    name="never connected",
    applies=lambda t: isinstance(t.cause, NEVER_SENT),
    failure=lambda t: Unavailable(t.detail, never_sent=True),
    source="httpx, 'Exceptions': all three are raised while a connection is being had",
)
NO_ANSWER: Final[Row[Trouble]] = Row(
    name="no answer",
    applies=lambda t: t.status is None,
    failure=unknown,
    source="httpx, 'Exceptions': read, write and protocol errors come after the request may have left",
)
NO_REFUSAL: Final[Row[Trouble]] = Row(
    name="no refusal",
    applies=lambda t: t.status is not None and t.status < 400,
    failure=unknown,
    source="RFC 9110, 15.2 to 15.4: taken for later, or answered elsewhere; only a 4xx says that it was not carried out",
)


def server_error(source: str) -> Row[Trouble]:
    return Row(name="server error", applies=lambda t: t.status is not None and t.status >= 500, failure=unknown, source=source)


def not_their_words(source: str) -> Row[Trouble]:
    """Something in between answered, and it does not know what became of the request."""
    return Row(name="not their words", applies=lambda t: not t.theirs, failure=unknown, source=source)


def key_in_use(source: str, *codes: str) -> Row[Trouble]:
    """An earlier request with the key is still running, or was carried out."""
    return Row(name="the same key is being worked on", applies=lambda t: t.status == 409 or t.code in codes, failure=unknown, source=source)


def too_many_requests(source: str, *codes: str) -> Row[Trouble]:
    """Limiters run before the request is carried out."""
    return Row(name="too many requests", applies=lambda t: t.status == 429 or t.code in codes, failure=not_now, source=source)


def not_allowed(source: str) -> Row[Trouble]:
    return Row(name="not allowed", applies=lambda t: t.status in {401, 403}, failure=misconfigured, source=source)


def on_code(code: str, failure: Callable[[Trouble], Failure], source: str, *, name: str = "") -> Row[Trouble]:
    """A row for one code of the vendor's, by whose name it goes unless it is given another."""
    return Row(name=name or code, applies=lambda t: t.code == code, failure=failure, source=source)


def unreadable(source: str) -> Row[Trouble]:
    """The last row. Any other 4xx was validated and not carried out: a request of ours that they cannot read."""
    return Row(name="a request it cannot read", applies=lambda _: True, failure=declined("bug"), source=source)


# ------------------------------------------------------------------------------------------------ what an answer says


def told(body: bytes, kind: type[_Kind]) -> _Kind | None:
    """The error object in a body; None for whatever is none, in another encoding or nested without end."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3). None without one; a date, or more than eleven days, is left to our own waiting."""
    text = headers.get("retry-after") or headers.get("Retry-After") or ""
    return float(text) if text.isdecimal() and text.isascii() and len(text) <= _RETRY_AFTER_DIGITS_MAX else None
