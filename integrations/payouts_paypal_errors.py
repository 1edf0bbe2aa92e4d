"""What each error of PayPal's means for a pay-out: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
import msgspec

from service.ports import Declined, OutcomeUnknown, Unavailable


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One failed call, as far as it can be told."""

    cause: BaseException | None = None
    """what the HTTP client raised, when no answer came"""
    status: int | None = None
    from_paypal: bool = False
    """the body is an error object of PayPal's, not of something in between"""
    name: str = ""
    fields: tuple[str, ...] = ()
    """which parts of the request they name"""
    original: str = ""
    """of a batch that was sent before: PayPal's id of it"""
    retry_after_seconds: float | None = None

    @property
    def detail(self) -> str:
        """Words without personal data: PayPal's messages and values may quote the receiver, so they stay out."""
        return self.name or (f"HTTP {self.status}" if self.status else type(self.cause).__name__)

    @property
    def sent_before(self) -> bool:
        """The sender_batch_id was used within 30 days. PayPal names the field, in capitals; its prose is not relied on."""
        return self.name == "USER_BUSINESS_ERROR" and any("SENDER_BATCH_ID" in field.upper() for field in self.fields)


type_failure = Declined | Unavailable | OutcomeUnknown


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: when it applies, what follows, and who says so."""

    name: str
    applies: Callable[[Trouble], bool]
    failure: Callable[[Trouble], type_failure]
    source: str


# Raised before a byte of the request is written: no socket was found or made.
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

# Names are words of PayPal's; anything else in their place would be prose, and prose may hold an address.
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}\Z", re.ASCII)
_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]/]{1,100}\Z", re.ASCII)
# Path of "Show payout batch details"; ids have up to 30 characters in the specification.
_BATCH_PATH: Final = re.compile(r"/v1/payments/payouts/([A-Za-z0-9_-]{1,30})\Z", re.ASCII)
# More details than one pay-out has fields; the rest is not looked at.
_DETAILS_MAX: Final = 20


def _unknown(trouble: Trouble) -> type_failure:
    return OutcomeUnknown(trouble.detail)


def _declined(word: str) -> Callable[[Trouble], type_failure]:
    return lambda trouble: Declined(word, trouble.detail)


# The first row that applies decides. "Payouts v1" is PayPal's OpenAPI file payments_payouts_batch_v1; "Reports" is its page on
# transaction logs with their error codes; "Test and go live" is its list of simulated answers.
ERROR_TABLE: Final[tuple[Row, ...]] = (
    Row(
        name="never connected",
        applies=lambda t: isinstance(t.cause, NEVER_SENT),
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
        source="Payouts v1, POST: after a 5nn the same sender_batch_id can be sent again; it does not say that nothing happened",
    ),
    Row(
        name="not PayPal's words",
        applies=lambda t: not t.from_paypal,
        failure=_unknown,
        source="Payouts v1, error: `name` is required, so something in between answered",
    ),
    Row(
        name="sent before",
        applies=lambda t: t.sent_before,
        failure=_unknown,
        source="Payouts v1, sender_batch_id: rejected within 30 days with a link to the original, which alone tells what became of it",
    ),
    Row(
        name="too many requests",
        applies=lambda t: t.status == 429,
        failure=lambda t: Unavailable(t.detail, retry_after_seconds=t.retry_after_seconds),
        source="PayPal, 'Rate limiting guidelines', RATE_LIMIT_REACHED; Reports, RATE_LIMIT_VALIDATION_FAILURES: blocked",
    ),
    Row(
        name="not enough money",
        applies=lambda t: t.name == "INSUFFICIENT_FUNDS",
        failure=_declined("insufficient_funds"),
        source="Test and go live, ERRPYO005 (422); Reports, 1002: add money to the account",
    ),
    Row(
        name="not allowed",
        applies=lambda t: t.status in {401, 403},
        failure=lambda t: Unavailable(t.detail, configuration=True),
        source="Payouts v1, 401 and 403; Test and go live: SENDER_RESTRICTED, SENDER_EMAIL_UNCONFIRMED, AUTHORIZATION_ERROR",
    ),
    Row(
        name="two at once",
        applies=lambda t: t.status == 409,
        failure=_unknown,
        source="Payouts v1, 409 RESOURCE_CONFLICT: another request with this batch is at work",
    ),
    Row(
        name="an address it does not take",
        applies=lambda t: t.status == 400 and bool(t.fields) and all(field.lower().endswith("receiver") for field in t.fields),
        failure=_declined("declined"),
        source="paypal/Payouts-Java-SDK #7: VALIDATION_ERROR naming items[n].receiver; the whole batch is refused",
    ),
    Row(
        name="a request it cannot read",
        applies=lambda _: True,
        failure=_declined("bug"),
        source="Payouts v1, 400, 415 and 422: validated and not carried out",
    ),
)


def failure_of(trouble: Trouble) -> type_failure:
    """Which of the three failures it is, for a request that may move money and was sent for the first time.

    After an earlier try with an unknown outcome, none of this proves that *that* try did nothing.
    """
    return next(row.failure(trouble) for row in ERROR_TABLE if row.applies(trouble))


def trouble_of(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """What is known about an answer that is no success."""
    said = _object(body)
    # PayPal's gate answers as OAuth does, `{"error": "invalid_token"}`; everything behind it has a `name`.
    name = _word(said.get("name") or said.get("error"), _NAME)
    details = [one for one in _list(said.get("details"))[:_DETAILS_MAX] if isinstance(one, dict)]
    links = [*_list(said.get("links")), *(link for one in details for link in (*_list(one.get("link")), *_list(one.get("links"))))]
    return Trouble(
        status=status,
        from_paypal=bool(name),
        name=name,
        fields=tuple(_word(one.get("field"), _FIELD) for one in details),
        original=next((ref for link in links[:_DETAILS_MAX] if (ref := _batch_of(link))), ""),
        retry_after_seconds=_seconds(headers.get("retry-after", "")),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: object, pattern: re.Pattern[str]) -> str:
    return value if isinstance(value, str) and pattern.match(value) else ""


def _batch_of(link: object) -> str:
    """The batch a link leads to, by its path alone: we ask our own base address, never the one in an answer."""
    href = link.get("href") if isinstance(link, dict) else None
    try:
        found = _BATCH_PATH.search(httpx.URL(href).path) if isinstance(href, str) else None
    except httpx.InvalidURL:
        return ""
    return found[1] if found else ""


def _seconds(text: str) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3). None without one, or for a date."""
    return float(text) if text.isdecimal() and text.isascii() and len(text) < 7 else None
