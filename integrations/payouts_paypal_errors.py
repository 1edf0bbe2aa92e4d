"""What each error of PayPal's means for a pay-out: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from integrations import http_errors as shared
from integrations.http_errors import Failure, Row, declined


class Trouble(shared.Trouble, frozen=True, kw_only=True):
    """One failed call. `code` is what PayPal calls `name`; its messages and values may quote the receiver, so they stay out."""

    fields: tuple[str, ...] = ()
    """which parts of the request they name"""
    original: str = ""
    """of a batch that was sent before: PayPal's id of it"""

    @property
    def sent_before(self) -> bool:
        """The sender_batch_id was used within 30 days. PayPal names the field, in capitals; its prose is not relied on."""
        return self.code == "USER_BUSINESS_ERROR" and any("SENDER_BATCH_ID" in field.upper() for field in self.fields)


# Names are words of PayPal's; anything else in their place would be prose, and prose may hold an address.
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}\Z", re.ASCII)
_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]/]{1,100}\Z", re.ASCII)
# Path of "Show payout batch details"; ids have up to 30 characters in the specification.
_BATCH_PATH: Final = re.compile(r"/v1/payments/payouts/([A-Za-z0-9_-]{1,30})\Z", re.ASCII)
# More details than one pay-out has fields; the rest is not looked at.
_DETAILS_MAX: Final = 20

# The first row that applies decides. "Payouts v1" is PayPal's OpenAPI file payments_payouts_batch_v1; "Reports" is its page on
# transaction logs with their error codes; "Test and go live" is its list of simulated answers.
ERROR_TABLE: Final[tuple[Row[Trouble], ...]] = (
    shared.NEVER_CONNECTED,
    shared.NO_ANSWER,
    shared.server_error("Payouts v1, POST: after a 5nn the same sender_batch_id can be sent again; it does not say that nothing happened"),
    shared.not_their_words("Payouts v1, error: `name` is required, so something in between answered"),
    shared.NO_REFUSAL,
    Row(
        name="sent before",
        applies=lambda t: t.sent_before,
        failure=shared.unknown,
        source="Payouts v1, sender_batch_id: rejected within 30 days with a link to the original, which alone tells what became of it",
    ),
    shared.key_in_use("Payouts v1, 409 RESOURCE_CONFLICT: another request with this batch is at work"),
    shared.too_many_requests("PayPal, 'Rate limiting guidelines', RATE_LIMIT_REACHED; Reports, RATE_LIMIT_VALIDATION_FAILURES: blocked"),
    # before the next row, for it comes with 403 too
    shared.on_code(
        "INSUFFICIENT_FUNDS",
        declined("insufficient_funds"),
        "Test and go live, ERRPYO005 (422); Reports, 1002: add money to the account",
        name="not enough money",
    ),
    shared.not_allowed("Payouts v1, 401 and 403; Test and go live: SENDER_RESTRICTED, SENDER_EMAIL_UNCONFIRMED, AUTHORIZATION_ERROR"),
    Row(
        name="an address it does not take",
        applies=lambda t: t.status == 400 and bool(t.fields) and all(field.lower().endswith("receiver") for field in t.fields),
        failure=declined("declined"),
        source="paypal/Payouts-Java-SDK #7: VALIDATION_ERROR naming items[n].receiver; the whole batch is refused",
    ),
    shared.unreadable("Payouts v1, 400, 415 and 422: validated and not carried out"),
)


def failure_of(trouble: Trouble) -> Failure:
    """What it means for a pay-out; see `http_errors.failure_by`."""
    return shared.failure_by(ERROR_TABLE, trouble)


def trouble_of(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """What is known about an answer that is no success."""
    said = shared.told(body, dict[str, Any]) or {}
    # PayPal's gate answers as OAuth does, `{"error": "invalid_token"}`; everything behind it has a `name`.
    code = _word(said.get("name") or said.get("error"), _NAME)
    details = [one for one in _list(said.get("details"))[:_DETAILS_MAX] if isinstance(one, dict)]
    links = [*_list(said.get("links")), *(link for one in details for link in (*_list(one.get("link")), *_list(one.get("links"))))]
    return Trouble(
        status=status,
        theirs=bool(code),
        code=code,
        fields=tuple(_word(one.get("field"), _FIELD) for one in details),
        original=next((ref for link in links[:_DETAILS_MAX] if (ref := _batch_of(link))), ""),
        retry_after_seconds=shared.retry_after(headers),
    )


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
