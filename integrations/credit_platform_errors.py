"""What each error of a platform's gift cards means: it said no, nothing happened, or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from integrations import http_errors as shared
from integrations.http_errors import Failure, Row, declined, on_code


class Trouble(shared.Trouble, frozen=True, kw_only=True):
    """One failed call. The contract's error object has a code and nothing else that counts."""

    @property
    def word(self) -> str:
        """Words of the contract alone: what stands as `code` elsewhere may be that of a voucher."""
        return self.code if self.code in _WORDS else ""


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


_CONTRACT: Final = "our contract, integrations/credit_platform.py"

# The first row that applies decides.
ERROR_TABLE: Final[tuple[Row[Trouble], ...]] = (
    shared.NEVER_CONNECTED,
    shared.NO_ANSWER,
    shared.server_error("RFC 9110, 15.6: the server failed; it does not say how far it got"),
    shared.not_their_words(f"{_CONTRACT}: errors are objects with a code, so something in between answered"),
    shared.NO_REFUSAL,
    shared.key_in_use("draft-ietf-httpapi-idempotency-key-header, 2.7: an earlier request with the key is still running", "in_progress"),
    shared.too_many_requests("RFC 6585, 4: limited before it is carried out"),
    shared.not_allowed("RFC 9110, 15.5.2 and 15.5.4: the secret is missing, wrong or not allowed to issue"),
    Row(
        name="no such address",
        applies=lambda t: t.status in {404, 405},
        failure=shared.misconfigured,
        source=f"{_CONTRACT}: a reference that is not there is an empty list, so the address is wrong",
    ),
    on_code("idempotency_misuse", declined("idempotency_misuse"), f"{_CONTRACT}: the reference or the key was used for another amount"),
    on_code("currency_unsupported", declined("unsupported"), f"{_CONTRACT}: its cards do not have that currency"),
    on_code("amount_too_large", declined("amount_too_large"), f"{_CONTRACT}: above what a card may hold"),
    on_code("customer_unknown", declined("not_found"), f"{_CONTRACT}: it has no customer of that name to give a card to"),
    on_code("declined", declined("declined"), f"{_CONTRACT}: it does not want to, for reasons of its own"),
    shared.unreadable(f"{_CONTRACT}: any other 4xx was validated and not carried out"),
)


def failure_of(trouble: Trouble) -> Failure:
    """What it means for a card that was to be issued; see `http_errors.failure_by`."""
    return shared.failure_by(ERROR_TABLE, trouble)


def trouble_of(status: int, headers: Mapping[str, str], body: bytes) -> Trouble:
    """What is known about an answer that is no success."""
    said = shared.told(body, _Said)
    code = said.code if said else ""
    return Trouble(status=status, theirs=bool(code), code=code, retry_after_seconds=shared.retry_after(headers))
